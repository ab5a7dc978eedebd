/* core/buf.c - see buf.h. Capacity doubles; one byte past len is kept for the NUL. */
#include "core/buf.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t CAP_MAX = (size_t)1 << 40; /* more than any machine gives */

static bool reserve(struct buf *b, size_t more)
{
    size_t cap = b->cap ? b->cap : 64;
    char *data = NULL;

    if (b->failed)
        return false;
    if (more < b->cap - b->len) /* cap is 0 or above len */
        return true;
    while (cap <= CAP_MAX && cap - b->len <= more)
        cap *= 2;
    if (cap <= CAP_MAX)
        data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void *buf_grow(struct buf *b, size_t len)
{
    char *at;

    if (!reserve(b, len))
        return NULL;
    at = b->data + b->len;
    b->len += len;
    b->data[b->len] = '\0';
    return at;
}

void buf_append(struct buf *b, const void *bytes, size_t len)
{
    void *at = buf_grow(b, len);

    if (at && len)
        memcpy(at, bytes, len);
}

void buf_puts(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    int len;
    char *at;

    va_start(ap, fmt);
    va_copy(again, ap);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        b->failed = true;
    else if ((at = buf_grow(b, (size_t)len)))
        vsnprintf(at, (size_t)len + 1, fmt, again);
    va_end(again);
}

void buf_put_number(struct buf *b, double x)
{
    static const double whole_most = 1e15;
    char text[40];
    int digits = 1;

    if (x == floor(x) && fabs(x) < whole_most) {
        buf_printf(b, "%.0f", x);
        return;
    }
    do
        snprintf(text, sizeof(text), "%.*g", digits, x);
    while (strtod(text, NULL) != x && digits++ < 17);
    buf_puts(b, text);
}

char *buf_take(struct buf *b)
{
    char *data;

    if (!reserve(b, 0)) {
        buf_free(b);
        return NULL;
    }
    b->data[b->len] = '\0';
    data = b->data;
    *b = (struct buf){0};
    return data;
}

size_t buf_common(const struct buf *a, const struct buf *b)
{
    size_t n = a->len < b->len ? a->len : b->len, i = 0;

    while (i < n && a->data[i] == b->data[i])
        i++;
    return i;
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}
