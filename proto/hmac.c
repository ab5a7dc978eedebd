/* proto/hmac.c - see hmac.h. */
#include "proto/hmac.h"
#include "proto/openssl.h"
#include <stdio.h>

void hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                 char ret_hex[HMAC_HEX_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0, i;

    HMAC(EVP_sha256(), key, (int)key_len, bytes, len, digest, &n);
    for (i = 0; i < 32; i++)
        snprintf(ret_hex + 2 * (size_t)i, 3, "%02x", digest[i]);
}
