/* daemon/service/text.h - UTF-8, which strings of protobuf must be whatever programs write. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

bool text_is_utf8(const char *text);
/* Replaces bytes that are not UTF-8 by '?', in place. */
void text_make_utf8(char *text, size_t len);
/* Bytes at the end that begin a character whose rest is not there: 0 to 3. */
size_t text_cut_bytes(const char *text, size_t len);
