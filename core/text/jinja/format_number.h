/* core/text/jinja/format_number.h - values in the forms that "%5.2f" and "{:>5.2f}" ask for. */
#pragma once
#include "core/text/jinja/text.h"

struct number_form {
    char type;                /* d i u x X o f F e E g G, c s r a % n, or 0 */
    char align;               /* < > = ^, or 0 */
    char sign;                /* + - blank, or 0 */
    bool alternate;           /* # */
    char group;               /* , _ or 0 */
    struct str fill;          /* one character; empty: a blank */
    int64_t width, precision; /* precision -1: none */
};

/* Appends an integer or float; type is one of those of numbers. */
int format_number(struct run *r, struct builder *b, const struct value *v,
                  const struct number_form *form);
/* Appends a text, cut to the precision and filled to the width. `align` is the default. */
int format_text(struct run *r, struct builder *b, struct str s, const struct number_form *form,
                char align);
/* Reads digits; false: more than fit. */
bool read_digits(struct str s, size_t *at, int64_t *ret);
