/* proto/sha256.h - SHA-256 (FIPS 180-4) of bytes that come in parts, by OpenSSL. */
#pragma once
#include <stddef.h>

struct sha256;

enum { SHA256_HEX_BYTES = 65 };

struct sha256 *sha256_open(void); /* NULL for lack of memory */
void sha256_add(struct sha256 *s, const void *bytes, size_t len);
/* 64 hex digits; nothing can be added after. */
void sha256_finish(struct sha256 *s, char ret_hex[SHA256_HEX_BYTES]);
void sha256_close(struct sha256 *s); /* NULL-safe */
