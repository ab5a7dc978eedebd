/* core/utf8.h - UTF-8 as RFC 3629 has it: no surrogates, nothing longer than it need be. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at p, of which len > 0 may be read; 0 where there is none. */
size_t utf8_len(const uint8_t *p, size_t len);
/* Bytes up to the first that belongs to no character; len where there is none. */
size_t utf8_valid(const char *text, size_t len);
/* Writes a code point of up to 0x10ffff (1 to 4 bytes); returns how many. */
size_t utf8_put(uint32_t code, char *out);
