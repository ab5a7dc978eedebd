/* core/text/unicode_form.h - Unicode's normal forms of a text (Unicode Standard Annex 15), and its
 * lower case.
 */
#pragma once
#include "core/buf.h"
#include <stdbool.h>
#include <stddef.h>

enum unicode_form { UNICODE_NFC, UNICODE_NFD, UNICODE_NFKC, UNICODE_NFKD };

/* True only where the form of the text is the text itself; quick, and sometimes false though it is.
 */
bool unicode_form_is_plain(enum unicode_form form, const char *text, size_t len);
/* Appends the form of a text (valid UTF-8). Lack of memory is left in out->failed. */
void unicode_form_append(enum unicode_form form, const char *text, size_t len, struct buf *out);

/* Appends a text (valid UTF-8) in lower case, each character by itself: a final sigma becomes
 * the same letter as others. */
void unicode_lower_append(const char *text, size_t len, struct buf *out);
