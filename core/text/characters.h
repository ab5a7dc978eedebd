/* core/text/characters.h - white space and characters of words at a place of a text (valid UTF-8),
 * as Rust's regular expressions have \s and \w.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Where the white space that ends at `at` begins, at least `least`; `at` where there is none. */
size_t characters_space_before(const char *text, size_t at, size_t least);
/* Where the white space that begins at `at` ends. */
size_t characters_space_behind(const char *text, size_t at, size_t len);

/* Whether a character of a word ends or begins at `at`; false at the ends of the text. */
bool characters_word_before(const char *text, size_t at);
bool characters_word_at(const char *text, size_t at, size_t len);
