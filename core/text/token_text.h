/* core/text/token_text.h - texts of tokens, as a text has them and as a message shows them. */
#pragma once
#include "core/buf.h"
#include <stdbool.h>
#include <stddef.h>

/* U+2581, which stands for a blank in pieces of SentencePiece. */
extern const char token_blank[];

/* Writes the piece with its blanks put back to out, which has room for len bytes; returns how many.
 */
size_t token_text_unspell(const char *text, size_t len, char *out);
void token_text_append(const char *text, size_t len, struct buf *out);

/* One character, again and again: a run of blanks. */
bool token_is_run(const char *text, size_t len);

/* The beginning of any bytes, fit to be printed. */
struct shown_text {
    char text[160];
};
struct shown_text token_text_show(const char *text, size_t len);
enum { TOKENS_NAMED_MAX = 5 }; /* in the messages of one fault */
