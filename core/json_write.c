/* core/json_write.c - see json_write.h. What separates a value from the one in front is written
 * with the value, so that nothing has to be taken back. */
#include "core/json_write.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDENT = 2, DIGITS_OF_F32 = 9 };

static void break_line(const struct json_writer *w)
{
    buf_printf(w->out, "\n%*s", INDENT * w->depth, "");
}

/* In front of a value or a key. */
static void separate(struct json_writer *w)
{
    if (w->keyed) {
        w->keyed = false;
        return;
    }
    if (w->follows)
        buf_puts(w->out, ",");
    if (w->depth > 0)
        break_line(w);
    w->follows = true;
}

static void put_quoted(struct buf *out, const char *text, size_t len)
{
    size_t plain = 0;

    buf_puts(out, "\"");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= ' ' && c != '"' && c != '\\')
            continue;
        buf_append(out, text + plain, i - plain);
        plain = i + 1;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_puts(out, "\\n");
        else
            buf_printf(out, "\\u%04x", c);
    }
    buf_append(out, text + plain, len - plain);
    buf_puts(out, "\"");
}

void json_write_begin(struct json_writer *w, char bracket)
{
    separate(w);
    buf_append(w->out, &bracket, 1);
    w->depth++;
    w->follows = false;
}

void json_write_end(struct json_writer *w, char bracket)
{
    bool empty = !w->follows;

    w->depth--;
    if (!empty)
        break_line(w);
    buf_append(w->out, &bracket, 1);
    w->follows = true;
    if (w->depth == 0)
        buf_puts(w->out, "\n");
}

void json_write_key(struct json_writer *w, const char *key, size_t len)
{
    separate(w);
    put_quoted(w->out, key, len);
    buf_puts(w->out, ": ");
    w->keyed = true;
}

void json_write_text(struct json_writer *w, const char *text, size_t len)
{
    separate(w);
    put_quoted(w->out, text, len);
}

void json_write_int(struct json_writer *w, int64_t value)
{
    separate(w);
    buf_printf(w->out, "%" PRId64, value);
}

void json_write_bool(struct json_writer *w, bool value)
{
    separate(w);
    buf_puts(w->out, value ? "true" : "false");
}

void json_write_null(struct json_writer *w)
{
    separate(w);
    buf_puts(w->out, "null");
}

void json_write_number(struct json_writer *w, double value)
{
    size_t begin;

    separate(w);
    begin = w->out->len;
    buf_put_number(w->out, value);
    /* digits alone would be an integer, which some readers refuse */
    if (!w->out->failed && !strpbrk(w->out->data + begin, ".e"))
        buf_puts(w->out, ".0");
}

void json_write_f32(struct json_writer *w, double value)
{
    char digits[40];
    int n = 1;

    do
        snprintf(digits, sizeof(digits), "%.*g", n, (double)(float)value);
    while (strtof(digits, NULL) != (float)value && n++ < DIGITS_OF_F32);
    json_write_number(w, strtod(digits, NULL));
}

static void put_key(struct json_writer *w, const char *key)
{
    json_write_key(w, key, strlen(key));
}

void json_put_text(struct json_writer *w, const char *key, const char *text)
{
    put_key(w, key);
    json_write_text(w, text, strlen(text));
}

void json_put_int(struct json_writer *w, const char *key, int64_t value)
{
    put_key(w, key);
    json_write_int(w, value);
}

void json_put_bool(struct json_writer *w, const char *key, bool value)
{
    put_key(w, key);
    json_write_bool(w, value);
}

void json_put_null(struct json_writer *w, const char *key)
{
    put_key(w, key);
    json_write_null(w);
}

void json_put_number(struct json_writer *w, const char *key, double value)
{
    put_key(w, key);
    json_write_number(w, value);
}

void json_put_f32(struct json_writer *w, const char *key, double value)
{
    put_key(w, key);
    json_write_f32(w, value);
}

void json_put_begin(struct json_writer *w, const char *key, char bracket)
{
    put_key(w, key);
    json_write_begin(w, bracket);
}
