/* daemon/service/session_token.c - see session_token.h. A token is compared with the one that would
 * be made of its numbers, in a time that does not depend on how much of it is right. */
#include "daemon/service/session_token.h"
#include "core/random.h"
#include "proto/hmac.h"
#include "proto/openssl.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int session_key_make(struct session_key *ret, struct err *err)
{
    return random_hex(ret->hex, (SESSION_KEY_SIZE - 1) / 2, err);
}

void session_token_make(const struct session_key *key, unsigned uid, int64_t expires_ms,
                        char ret[SESSION_TOKEN_SIZE])
{
    char said[SESSION_TOKEN_SIZE - HMAC_HEX_BYTES], hmac[HMAC_HEX_BYTES];

    snprintf(said, sizeof(said), "munge_%u_%" PRId64, uid, expires_ms);
    hmac_sha256(key->hex, strlen(key->hex), said, strlen(said), hmac);
    snprintf(ret, SESSION_TOKEN_SIZE, "%s_%s", said, hmac);
}

bool session_token_read(const struct session_key *key, const char *token, int64_t now_ms,
                        unsigned *ret_uid, int64_t *ret_expires_ms)
{
    char right[SESSION_TOKEN_SIZE];
    int64_t expires_ms;
    unsigned uid;

    if (sscanf(token, "munge_%10u_%15" SCNd64 "_", &uid, &expires_ms) != 2)
        return false;
    session_token_make(key, uid, expires_ms, right);
    if (strlen(token) != strlen(right) || CRYPTO_memcmp(token, right, strlen(right)) != 0 ||
        now_ms >= expires_ms)
        return false;
    *ret_uid = uid;
    *ret_expires_ms = expires_ms;
    return true;
}
