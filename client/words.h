/* client/words.h - numbers and jobs in words, for people. */
#pragma once
#include "proto/dash.pb-c.h"
#include <stdbool.h>
#include <stddef.h>

/* "2026-01-31 23:59:59", local time. */
void words_time(int64_t unix_ms, char *out, size_t size);
const char *words_state(Dash__V1__JobState state); /* "RUNNING" */
bool words_is_final(Dash__V1__JobState state);

/* "37 of 224 matrices decomposed, 40s left" */
void words_decomposition(const Dash__V1__Decomposition *d, char *out, size_t size);

/* Whether the terminal shows UTF-8, as the locale says. */
bool words_utf8(void);
/* Columns that UTF-8 text takes (combining and wide characters counted as the locale does), and its
 * length when cut to at most `columns`. */
int words_columns(const char *text);
size_t words_cut(const char *text, int columns);
