/* daemon/service/session_token.h - what a caller who has signed in by MUNGE gets: a token that
 * holds for an hour: who leaves a group is a caller for no longer than that.
 *
 *   munge_<uid>_<Unix time of its end in ms>_<64 hex digits>
 *
 * The digits are the HMAC of what is before them, with a key that dashd makes when it starts and
 * keeps in memory alone. So nothing is kept of those who sign in, however many they are and
 * however often, and all tokens end with dashd.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stdint.h>

enum { SESSION_KEY_SIZE = 65, SESSION_TOKEN_SIZE = 112, SESSION_TOKEN_S = 3600 };

struct session_key {
    char hex[SESSION_KEY_SIZE];
};

int session_key_make(struct session_key *ret, struct err *err);
void session_token_make(const struct session_key *key, unsigned uid, int64_t expires_ms,
                        char ret[SESSION_TOKEN_SIZE]);
/* False where this key has not made it, or it has ended. */
bool session_token_read(const struct session_key *key, const char *token, int64_t now_ms,
                        unsigned *ret_uid, int64_t *ret_expires_ms);
