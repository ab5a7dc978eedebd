/* proto/sha256.c - see sha256.h: OpenSSL's context under another name. */
#include "proto/sha256.h"
#include "core/hex.h"
#include "proto/openssl.h"

struct sha256 *sha256_open(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1)
        return (struct sha256 *)ctx;
    EVP_MD_CTX_free(ctx);
    return NULL;
}

void sha256_add(struct sha256 *s, const void *bytes, size_t len)
{
    EVP_DigestUpdate((EVP_MD_CTX *)s, bytes, len);
}

void sha256_finish(struct sha256 *s, char ret_hex[SHA256_HEX_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;

    EVP_DigestFinal_ex((EVP_MD_CTX *)s, digest, &len);
    hex_print(digest, 32, ret_hex);
}

void sha256_close(struct sha256 *s)
{
    EVP_MD_CTX_free((EVP_MD_CTX *)s);
}
