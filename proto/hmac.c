/* proto/hmac.c - see hmac.h. */
#include "proto/hmac.h"
#include "core/hex.h"
#include "proto/openssl.h"

void hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                 char ret_hex[HMAC_HEX_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;

    HMAC(EVP_sha256(), key, (int)key_len, bytes, len, digest, &n);
    hex_print(digest, 32, ret_hex);
}
