/* daemon/service/tokens.h - who besides the owner may call dashd: <state>/tokens.json (0600).
 *
 *   {"entries": [{"name": "ci", "kind": "token", "role": "submit", "created_ms": 1764218242000,
 *                 "expires_ms": 0, "sha256": "9f86d0..."}]}
 *
 * An entry is a bearer token, "dash_" and 64 hex digits, or a certificate, known by its common
 * name. `dashd token` changes the file, under a lock and as a whole; a dashd that runs reads it
 * again when it has changed (core/file_version.h).
 *
 * Of a token only the SHA-256 is kept, plain and without salt: it has 256 random bits, so there is
 * no list of likely ones to try, which is what salts and slow hashes are against.
 *
 * The last use of an entry is dashd's to write, so it stands in a file of its own,
 * <state>/token-uses.json: {"token:ci": 1764218242000}.
 */
#pragma once
#include "core/err.h"
#include "daemon/service/role.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    TOKEN_NAME_MAX = 64,
    TOKEN_HASH_SIZE = 65,
    TOKEN_SECRET_SIZE = 5 + 64 + 1,
    TOKENS_MAX = 1000
};

struct token {
    char name[TOKEN_NAME_MAX + 1];
    enum role role;
    bool certificate;               /* name is its common name; else a bearer token */
    int64_t created_ms, expires_ms; /* Unix time; expires_ms 0: never */
    int64_t used_ms;                /* 0: not yet, as far as is known */
    char hash[TOKEN_HASH_SIZE];     /* hex; "": a certificate */
};

struct tokens {
    struct token *items;
    int n;
};

/* What is in the state folder; none where the file is missing. ERR_INVALID where the file is
 * damaged, or others can read it. On success the caller calls tokens_free(). */
int tokens_read(const char *state, struct tokens *ret, struct err *err);
void tokens_free(struct tokens *t);
char *tokens_path(const char *state); /* caller frees; NULL for lack of memory */

/* Letters, digits, '.', '_', '-', '@'; for certificates printable ASCII. */
int tokens_check_name(const char *name, bool certificate, struct err *err);

/* Adds *entry and makes its secret, unless it is a certificate's. ERR_STATE where the name is
 * there.
 */
int tokens_add(const char *state, struct token *entry, char ret_secret[TOKEN_SECRET_SIZE],
               struct err *err);
/* ERR_NOT_FOUND where there is none of this kind. */
int tokens_remove(const char *state, const char *name, bool certificate, struct err *err);

void tokens_hash(const char *secret, char ret_hash[TOKEN_HASH_SIZE]);
/* In a time that does not depend on how much of it is right. NULL: there is none. */
struct token *tokens_find_hash(const struct tokens *t, const char hash[TOKEN_HASH_SIZE]);
struct token *tokens_find_certificate(const struct tokens *t, const char *name);
bool token_has_expired(const struct token *t, int64_t now_ms);

/* Sets used_ms of each from the file of uses; without one, nothing. */
void tokens_read_uses(const char *state, struct tokens *t);
int tokens_write_uses(const char *state, const struct tokens *t, struct err *err);
