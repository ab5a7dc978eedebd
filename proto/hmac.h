/* proto/hmac.h - HMAC-SHA-256 (RFC 2104), by OpenSSL. */
#pragma once
#include <stddef.h>

enum { HMAC_HEX_BYTES = 65 };

void hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                 char ret_hex[HMAC_HEX_BYTES]);
