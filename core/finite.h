/* core/finite.h - numbers of a message or a file that must be finite. They may be unaligned. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Whether all n numbers are finite and at least `least`; -FLT_MAX asks for finite alone. NaN is
 * never. */
bool floats_are_right(const void *at, size_t n, float least);
bool doubles_are_right(const void *at, size_t n, double least);
