/* core/text/unicode_form.h - Unicode's canonical forms of a text (Unicode Standard Annex 15). */
#pragma once
#include "core/buf.h"
#include <stdbool.h>
#include <stddef.h>

enum unicode_form { UNICODE_NFC, UNICODE_NFD };

/* True only where the form of the text is the text itself; quick, and sometimes false though it is.
 */
bool unicode_form_is_plain(enum unicode_form form, const char *text, size_t len);
/* Appends the form of a text (valid UTF-8). Lack of memory is left in out->failed. */
void unicode_form_append(enum unicode_form form, const char *text, size_t len, struct buf *out);
