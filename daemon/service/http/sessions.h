/* daemon/service/http/sessions.h - who has signed in to the page, and who may by an address.
 *
 * A browser keeps a cookie, which stands for a caller as long as that caller is known (auth.h):
 * a token that is revoked ends its sessions. Sessions are in memory alone, so the next dashd asks
 * again; at most SESSIONS_MAX, of which the one used longest ago makes room. What is kept of a
 * cookie is its SHA-256.
 *
 * A code is part of an address that dashctl prints: it signs in once, within a minute.
 */
#pragma once
#include "daemon/service/auth.h"

struct sessions;

enum { SESSIONS_MAX = 256, SESSION_ID_SIZE = 65, SESSION_IDLE_S = 12 * 3600 };

struct sessions *sessions_open(uv_loop_t *loop, struct auth *auth); /* NULL for lack of memory */
void sessions_close(struct sessions *s);                            /* NULL-safe */

/* A new session, or a new code. */
int sessions_add(struct sessions *s, const struct caller *caller, char ret_id[SESSION_ID_SIZE],
                 struct err *err);
int sessions_add_code(struct sessions *s, const struct caller *caller,
                      char ret_code[SESSION_ID_SIZE], struct err *err);
/* False where it is none, or no longer. A code is one no more after it. */
bool sessions_find(struct sessions *s, const char *id, struct caller *ret);
bool sessions_take_code(struct sessions *s, const char *code, struct caller *ret);
void sessions_remove(struct sessions *s, const char *id);
