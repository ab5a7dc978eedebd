/* core/json_plain.c - see json_plain.h.
 *
 * One pass, and nothing is read twice: the bytes of a text are looked at eight at a time until one
 * ends it, escapes something or is not ASCII. Where in doubt, parsing stops: NULL is never wrong.
 */
#include "core/json_plain.h"
#include "core/buf.h"
#include "core/utf8.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, KEY_MAX = 200, NUMBER_MAX = 40, SURE_DIGITS = 18 };

struct parser {
    const char *at, *end;
    bool allow_nul;
    int depth;
    struct buf text; /* of a string with escapes */
};

static json_t *parse_value(struct parser *p);

static int peek(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
        p->at++;
    return p->at < p->end ? (unsigned char)*p->at : -1;
}

static bool accept(struct parser *p, char c)
{
    if (peek(p) != c)
        return false;
    p->at++;
    return true;
}

/* Whether one of eight bytes is a quote, a backslash, a control character or not ASCII. */
static bool has_special(uint64_t x)
{
    const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    uint64_t quote = x ^ ones * '"', backslash = x ^ ones * '\\';

    return (((quote - ones) | (backslash - ones) | (x - ones * 0x20) | x) & tops) != 0;
}

/* Passes over what needs no escape; false where bytes are not UTF-8. */
static bool skip_plain(struct parser *p)
{
    uint64_t word;
    size_t n;

    for (;;) {
        while (p->end - p->at >= 8 && (memcpy(&word, p->at, 8), !has_special(word)))
            p->at += 8;
        while (p->at < p->end && (unsigned char)*p->at < 0x80) {
            if (*p->at == '"' || *p->at == '\\' || (unsigned char)*p->at < 0x20)
                return true;
            p->at++;
        }
        if (p->at == p->end)
            return false;
        while (p->at < p->end && (unsigned char)*p->at >= 0x80) {
            n = utf8_len((const uint8_t *)p->at, (size_t)(p->end - p->at));
            if (n == 0)
                return false;
            p->at += n;
        }
    }
}

static bool hex4(struct parser *p, uint32_t *ret)
{
    uint32_t value = 0;

    if (p->end - p->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = *p->at++;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return false;
        value = value << 4 | (uint32_t)digit;
    }
    *ret = value;
    return true;
}

/* \uXXXX, p->at being behind the u. */
static bool unescape_code(struct parser *p)
{
    uint32_t code, low;
    char bytes[4];

    if (!hex4(p, &code))
        return false;
    if (code >= 0xdc00 && code < 0xe000)
        return false;
    if (code >= 0xd800 && code < 0xdc00) {
        if (p->end - p->at < 2 || p->at[0] != '\\' || p->at[1] != 'u')
            return false;
        p->at += 2;
        if (!hex4(p, &low) || low < 0xdc00 || low >= 0xe000)
            return false;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if (code == 0 && !p->allow_nul)
        return false;
    buf_append(&p->text, bytes, utf8_put(code, bytes));
    return true;
}

static bool unescape(struct parser *p)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found;
    char c;

    if (p->end - p->at < 2)
        return false;
    c = p->at[1];
    p->at += 2;
    if (c == 'u')
        return unescape_code(p);
    found = c ? strchr(from, c) : NULL;
    if (found)
        buf_append(&p->text, to + (found - from), 1);
    return found;
}

/* A string, p->at being behind its quote. Its bytes are those of the document, or in p->text. */
static bool parse_text(struct parser *p, const char **ret, size_t *ret_len)
{
    const char *begin = p->at, *plain = begin;

    p->text.len = 0;
    for (;;) {
        if (!skip_plain(p))
            return false;
        if (*p->at == '"' && plain == begin) {
            *ret = begin;
            *ret_len = (size_t)(p->at++ - begin);
            return true;
        }
        buf_append(&p->text, plain, (size_t)(p->at - plain));
        if (*p->at == '"')
            break;
        if (*p->at != '\\' || !unescape(p))
            return false;
        plain = p->at;
    }
    p->at++;
    *ret = p->text.data ? p->text.data : "";
    *ret_len = p->text.len;
    return !p->text.failed;
}

static json_t *parse_string(struct parser *p)
{
    const char *text;
    size_t len;

    p->at++;
    return parse_text(p, &text, &len) ? json_stringn_nocheck(text, len) : NULL;
}

static bool parse_member(struct parser *p, json_t *object)
{
    char key[KEY_MAX + 1];
    const char *text;
    json_t *value;
    size_t len;

    if (!accept(p, '"') || !parse_text(p, &text, &len) || len > KEY_MAX || memchr(text, 0, len))
        return false;
    memcpy(key, text, len);
    key[len] = '\0';
    if (!accept(p, ':'))
        return false;
    value = parse_value(p);
    return value && json_object_set_new_nocheck(object, key, value) == 0;
}

static bool parse_element(struct parser *p, json_t *array)
{
    json_t *value = parse_value(p);

    return value && json_array_append_new(array, value) == 0;
}

/* An object or an array, p->at being at its opening bracket. */
static json_t *parse_list(struct parser *p, json_t *list, char close,
                          bool (*parse_one)(struct parser *p, json_t *list))
{
    bool good = list && ++p->depth < DEPTH_MAX;

    p->at++;
    if (good && !accept(p, close)) {
        do
            good = parse_one(p, list);
        while (good && accept(p, ','));
        good = good && accept(p, close);
    }
    p->depth--;
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *parse_number(struct parser *p)
{
    size_t n = 0, digits = 0;
    bool whole = true;
    char text[NUMBER_MAX + 1];
    double real;

    while (p->at + n < p->end && n < NUMBER_MAX && p->at[n] && strchr("+-.eE0123456789", p->at[n]))
        n++;
    memcpy(text, p->at, n);
    text[n] = '\0';
    p->at += n;
    n = text[0] == '-';
    digits = strspn(text + n, "0123456789");
    if (n + digits == NUMBER_MAX || digits == 0 || (text[n] == '0' && digits > 1))
        return NULL;
    n += digits;
    if (text[n] == '.') {
        whole = false;
        digits = strspn(text + n + 1, "0123456789");
        n += 1 + digits;
    }
    if (digits == 0 || digits > SURE_DIGITS || text[n]) /* an exponent is rare */
        return NULL;
    if (whole)
        return json_integer(strtoll(text, NULL, 10));
    real = strtod(text, NULL);
    return json_real(real);
}

static bool word(struct parser *p, const char *expected)
{
    size_t len = strlen(expected);

    if ((size_t)(p->end - p->at) < len || memcmp(p->at, expected, len) != 0)
        return false;
    p->at += len;
    return true;
}

static json_t *parse_value(struct parser *p)
{
    switch (peek(p)) {
    case '"':
        return parse_string(p);
    case '{':
        return parse_list(p, json_object(), '}', parse_member);
    case '[':
        return parse_list(p, json_array(), ']', parse_element);
    case 't':
        return word(p, "true") ? json_true() : NULL;
    case 'f':
        return word(p, "false") ? json_false() : NULL;
    case 'n':
        return word(p, "null") ? json_null() : NULL;
    case -1:
        return NULL;
    default:
        return parse_number(p);
    }
}

json_t *json_plain_parse(const char *bytes, size_t len, bool allow_nul)
{
    struct parser p = {.at = bytes, .end = bytes + len, .allow_nul = allow_nul};
    int first = len ? peek(&p) : -1;
    json_t *root = first == '{' || first == '[' ? parse_value(&p) : NULL;

    if (root && peek(&p) != -1) {
        json_decref(root);
        root = NULL;
    }
    buf_free(&p.text);
    return root;
}
