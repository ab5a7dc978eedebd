/* daemon/service/auth.h - who a caller is, and what it may do.
 *
 *   a connection by        is, with this name,                          and has the role
 *   unix socket            dashd's own user, or root     uid:1001       admin
 *                          a member of dashd's group     uid:1002       submit
 *   TLS, with a token      what its entry says           token:NAME     of the entry (tokens.h)
 *   TLS, with certificate  what its entry says           cert:NAME      of the entry
 *   TLS, signed in         the same as by the unix socket
 *   by MUNGE (sign_in.h)
 *   HTTP on loopback       the same as TLS, with a token; or who has asked for the page
 *                          (sessions.h)
 *   TCP without TLS        anybody of this machine       loopback       admin
 *
 * A token, where one is sent, counts before a certificate. Names of different kinds cannot be
 * equal, so a job that remembers who created it (run_row) remembers one caller alone.
 *
 * Whoever is refused learns one sentence, the same for a token that was never valid, has expired or
 * was revoked: it does not say which exist.
 */
#pragma once
#include "core/err.h"
#include "daemon/service/peer.h"
#include "daemon/service/role.h"
#include "daemon/service/session_token.h"
#include "daemon/service/tokens.h"
#include <stdbool.h>
#include <uv.h>

struct auth;

enum { CALLER_NAME_SIZE = TOKEN_NAME_MAX + 8 };

struct caller {
    char name[CALLER_NAME_SIZE]; /* "": nobody */
    enum role role;
    int64_t expires_ms; /* of a sign-in by MUNGE; 0: never */
    bool by_entry;      /* a token's or a certificate's, which may be revoked or expire */
    char hash[TOKEN_HASH_SIZE];
};

/* Reads the tokens of the state folder, and again whenever they change. */
int auth_open(uv_loop_t *loop, const char *state, struct auth **ret_auth, struct err *err);
void auth_close(struct auth *a); /* NULL-safe; writes down the last uses */

/* bearer: the value of the call's `authorization`, or NULL. ERR_DENIED where nobody known calls. */
int auth_identify(struct auth *a, const struct peer *peer, const char *bearer, struct caller *ret,
                  struct err *err);
/* A caller whom MUNGE has named and who may: who that is, and a token, which auth_identify() takes
 * until it ends. */
void auth_sign_in(struct auth *a, unsigned uid, struct caller *ret,
                  char ret_token[SESSION_TOKEN_SIZE], int64_t *ret_expires_ms);
/* ERR_DENIED if the caller lacks the role. */
int auth_check_role(const struct caller *caller, enum role needed, struct err *err);
/* Whether the caller would be the same now: its entry has neither changed nor expired. */
bool auth_still_holds(struct auth *a, const struct caller *caller);
/* To be called every second or so: looks for changes, and writes down uses from time to time. */
void auth_tick(struct auth *a);
