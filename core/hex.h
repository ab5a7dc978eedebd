/* core/hex.h - bytes as lowercase hex digits. */
#pragma once
#include <stddef.h>

/* Writes 2 * n digits and a NUL. */
void hex_print(const void *bytes, size_t n, char *ret);
