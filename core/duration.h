/* core/duration.h - a duration in words, for people. */
#pragma once
#include <stddef.h>

/* "8s", "3m20s", "2h05m", "4d03h". */
void duration_words(double seconds, char *out, size_t size);
