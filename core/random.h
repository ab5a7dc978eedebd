/* core/random.h - random numbers that nobody can guess, from the operating system. */
#pragma once
#include "core/err.h"
#include <stddef.h>

/* Writes 2 * n_bytes hex digits and a NUL. */
int random_hex(char *ret_hex, size_t n_bytes, struct err *err);
