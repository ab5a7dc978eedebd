/* core/json_parse.c - see json_parse.h. Plain texts are read by json_plain.c; of the others, one
 * pass over the text looks for such numbers outside of strings. Only where there is one is the text
 * copied, with the number rewritten. What is no JSON is left for jansson to refuse: a word is a
 * number only between the signs that may stand around one. */
#include "core/json_parse.h"
#include "core/buf.h"
#include "core/json_plain.h"
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char not_finite[] = "a number that is not finite";
static const char large_integer[] = "an integer beyond 64 bits";

enum { SURE_DIGITS = 18, SURE_EXPONENT = 2 }; /* numbers of that size always fit */

struct rewriter {
    const char *at, *end;
    const char *copied; /* what is before it is in out */
    struct buf out;
};

static bool is_one_of(char c, const char *any)
{
    return c && strchr(any, c);
}

static size_t count_digits(const char *at, const char *end)
{
    const char *begin = at;

    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return (size_t)(at - begin);
}

static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at < end ? at + 1 : end;
}

static void replace(struct rewriter *r, const char *from, size_t len, const char *mark)
{
    buf_append(&r->out, r->copied, (size_t)(from - r->copied));
    buf_printf(&r->out, "[\"%s\",\"", mark);
    buf_append(&r->out, from, len);
    buf_puts(&r->out, "\"]");
    r->copied = from + len;
}

static bool is_finite(const char *number, size_t len, struct buf *failed)
{
    char *text = strndup(number, len);
    bool finite;

    if (!text) {
        failed->failed = true;
        return true;
    }
    finite = isfinite(strtod(text, NULL));
    free(text);
    return finite;
}

static bool fits_64_bits(const char *number, size_t len)
{
    char text[32];

    if (len >= sizeof(text))
        return false;
    memcpy(text, number, len);
    text[len] = '\0';
    errno = 0;
    strtoll(text, NULL, 10);
    return errno == 0;
}

/* A number, which begins at r->at with its sign, if any, or a digit. */
static void number(struct rewriter *r)
{
    const char *begin = r->at, *at = begin + (*begin == '-');
    size_t digits = count_digits(at, r->end), exponent = 0;
    bool whole = true;

    at += digits;
    if (at < r->end && *at == '.') {
        whole = false;
        at += 1 + count_digits(at + 1, r->end);
    }
    if (at < r->end && is_one_of(*at, "eE")) {
        whole = false;
        at += at + 1 < r->end && is_one_of(at[1], "+-") ? 2 : 1;
        exponent = count_digits(at, r->end);
        at += exponent;
    }
    r->at = at > begin ? at : begin + 1;
    if (digits <= SURE_DIGITS && exponent <= SURE_EXPONENT)
        return;
    if (whole && begin[*begin == '-'] != '0' && !fits_64_bits(begin, (size_t)(at - begin)))
        replace(r, begin, (size_t)(at - begin), large_integer);
    else if (!whole && !is_finite(begin, (size_t)(at - begin), &r->out))
        replace(r, begin, (size_t)(at - begin), not_finite);
}

/* Whether a value of Python's is here, between signs that may stand around a value. */
static size_t python_word(const struct rewriter *r, const char *start)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    const char *at = r->at;

    if (at == start || !is_one_of(at[-1], ":,[ \t\r\n"))
        return 0;
    for (int i = 0; i < 3; i++) {
        size_t len = strlen(words[i]);
        if ((size_t)(r->end - at) > len && memcmp(at, words[i], len) == 0 &&
            is_one_of(at[len], ",]} \t\r\n"))
            return len;
    }
    return 0;
}

static void rewrite(struct rewriter *r)
{
    const char *start = r->at;
    size_t len;

    while (r->at < r->end) {
        char c = *r->at;
        if (c == '"') {
            r->at = skip_string(r->at, r->end);
        } else if (is_one_of(c, "NI-") && (len = python_word(r, start)) > 0) {
            replace(r, r->at, len, not_finite);
            r->at += len;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            number(r);
        } else {
            r->at++;
        }
    }
}

static json_t *no_memory(json_error_t *why)
{
    *why = (json_error_t){.line = -1}; /* no words: as jansson does where it runs out within */
    return NULL;
}

json_t *json_parse(const char *bytes, size_t len, size_t flags, json_error_t *why)
{
    struct rewriter r = {.at = bytes, .end = bytes + len, .copied = bytes};
    json_t *root = flags & ~(size_t)JSON_ALLOW_NUL
                       ? NULL
                       : json_plain_parse(bytes, len, flags & JSON_ALLOW_NUL);

    if (root)
        return root;
    if (len > 0)
        rewrite(&r);
    if (r.copied == bytes && !r.out.failed)
        return json_loadb(bytes, len, flags, why);
    buf_append(&r.out, r.copied, (size_t)(r.end - r.copied));
    if (r.out.failed) {
        buf_free(&r.out);
        return no_memory(why);
    }
    root = json_loadb(r.out.data, r.out.len, flags, why);
    buf_free(&r.out);
    return root;
}

static const char *marked(const json_t *value, const char *mark)
{
    const char *first = json_string_value(json_array_get(value, 0));

    return first && strcmp(first, mark) == 0 ? json_string_value(json_array_get(value, 1)) : NULL;
}

const char *json_parse_not_finite(const json_t *value)
{
    return marked(value, not_finite);
}

const char *json_parse_large_integer(const json_t *value)
{
    return marked(value, large_integer);
}
