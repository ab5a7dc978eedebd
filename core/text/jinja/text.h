/* core/text/jinja/text.h - texts in building, and values as texts. Within this folder only. */
#pragma once
#include "core/text/jinja/run.h"

struct builder { /* zero-initialise; the text lies in the memory of the render */
    char *at;
    size_t len, cap;
};
int builder_add(struct run *r, struct builder *b, const char *text, size_t len);
int builder_str(struct run *r, struct builder *b, struct str s);
int builder_puts(struct run *r, struct builder *b, const char *text);
int builder_char(struct run *r, struct builder *b, uint32_t c);
int builder_repeat(struct run *r, struct builder *b, struct str s, int64_t times);
struct value builder_value(const struct builder *b);

/* Python's str() and repr(), appended. ERR_UNSUPPORTED: the text would hold an address. */
int text_of(struct run *r, struct builder *b, const struct value *v);
int repr_of(struct run *r, struct builder *b, const struct value *v);
int repr_of_text(struct run *r, struct builder *b, struct str s);
/* str(): without a copy where it is a text. */
int str_value(struct run *r, const struct value *v, struct value *ret);
int concat(struct run *r, const struct value *a, const struct value *b, struct value *ret);
/* As Python's escape(): markup as it is, other values with & < > ' " spelt out. */
int escape_value(struct run *r, const struct value *v, struct value *ret);

/* The shortest digits that give the number again, as Python's repr(); returns bytes, below 32. */
int real_text(double x, char *out);
int int_text(int64_t i, char *out);

struct json_form {
    bool ascii, sort;
    const char *item, *key; /* separators */
    size_t item_len, key_len;
    struct str indent;
    bool indented;
};
int json_of(struct run *r, struct builder *b, const struct value *v, const struct json_form *form);

/* Python's format % values. */
int format_percent(struct run *r, struct str format, const struct value *values, struct value *ret);
/* Python's str.format(). */
int format_braces(struct run *r, struct str format, const struct args *args, struct value *ret);
/* Python's float(text) and int(text, base): 1, 0: it is none, negative: failed. */
int parse_real(struct run *r, struct str s, double *ret);
int parse_int(struct run *r, struct str s, int64_t base, int64_t *ret);
int strftime_text(struct run *r, struct str format, struct value *ret);
