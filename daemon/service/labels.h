/* daemon/service/labels.h - a job's labels: names with values, by which its user finds it again.
 *
 * They are kept as one text, a line "name=value" each, sorted by name: a name has letters, digits
 * and . _ - / alone, a value no line's end, so that nothing is quoted.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>

enum { LABELS_MAX = 64, LABEL_NAME_MAX = 63, LABEL_VALUE_MAX = 256 };

struct label { /* borrows */
    const char *name, *value;
};

/* The text of n labels, which must be valid and of different names; the caller frees it. */
int labels_encode(const struct label *labels, size_t n, char **ret_text, struct err *err);
/* Splits a text of labels_encode() into labels, which point into it; at most LABELS_MAX. The text
 * is changed: copy it before. Returns how many there are. */
size_t labels_split(char *text, struct label labels[LABELS_MAX]);
/* Whether the text has this label. */
bool labels_have(const char *text, const struct label *label);
