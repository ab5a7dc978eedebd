/* core/json_scan.c - see json_scan.h. A scanner without a tree: what it passes over costs no
 * memory, and the first fault is kept with its place. */
#include "core/json_scan.h"
#include "core/utf8.h"
#include <ctype.h>
#include <string.h>

static bool fault(struct json_scan *s, const char *words)
{
    if (!s->fault)
        s->fault = words;
    return false;
}

int json_scan_peek(struct json_scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
    return s->at < s->end ? (unsigned char)*s->at : -1;
}

bool json_scan_accept(struct json_scan *s, char c)
{
    if (json_scan_peek(s) != (unsigned char)c)
        return false;
    s->at++;
    return true;
}

/* Four hexadecimal digits; -1: they are not. */
static long hex4(const char *at, const char *end)
{
    long v = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

/* The code point that "uXXXX" or "uXXXX\uXXXX" at `at` stands for, and its bytes. -1: none. */
static long escaped_code(const char *at, const char *end, size_t *ret_len)
{
    long high = hex4(at + 1, end), low;

    *ret_len = 5;
    if (high <= 0 || (high >= 0xdc00 && high < 0xe000))
        return -1;
    if (high < 0xd800 || high >= 0xe000)
        return high;
    low = end - at >= 11 && at[5] == '\\' && at[6] == 'u' ? hex4(at + 7, end) : -1;
    *ret_len = 11;
    return low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00) : -1;
}

static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";

/* An escape, s->at being behind its backslash. */
static bool scan_escape(struct json_scan *s)
{
    size_t len = 1;

    if (s->at == s->end || *s->at == '\0')
        return fault(s, "a string has no end");
    if (*s->at == 'u' && escaped_code(s->at, s->end, &len) < 0)
        return fault(s, "a string has an impossible \\u escape");
    if (*s->at != 'u' && !strchr(escapes, *s->at))
        return fault(s, "a string has an unknown escape");
    s->at += len;
    return true;
}

bool json_scan_string(struct json_scan *s, const char **ret_raw, size_t *ret_len)
{
    const char *begin;

    if (!json_scan_accept(s, '"'))
        return fault(s, "a string is missing");
    begin = s->at;
    while (s->at < s->end && *s->at != '"') {
        size_t n = utf8_len((const uint8_t *)s->at, (size_t)(s->end - s->at));
        if (n == 0)
            return fault(s, "a string is not UTF-8");
        if ((unsigned char)*s->at < ' ')
            return fault(s, "a string has a control character");
        if (*s->at == '\\') {
            s->at++;
            if (!scan_escape(s))
                return false;
        } else {
            s->at += n;
        }
    }
    if (s->at >= s->end)
        return fault(s, "a string has no end");
    *ret_raw = begin;
    *ret_len = (size_t)(s->at - begin);
    s->at++;
    return true;
}

size_t json_scan_unescape(char *text, size_t len)
{
    const char *at = text, *end = text + len, *known;
    char *out = text;
    size_t used;
    long code;

    while (at < end) {
        if (*at != '\\' || at + 1 == end) {
            *out++ = *at++;
        } else if (at[1] == 'u' && (code = escaped_code(at + 1, end, &used)) > 0) {
            out += utf8_put((uint32_t)code, out); /* shorter than the escape */
            at += 1 + used;
        } else {
            known = at[1] ? strchr(escapes, at[1]) : NULL;
            *out++ = known ? meanings[known - escapes] : at[1];
            at += 2;
        }
    }
    *out = '\0';
    return (size_t)(out - text);
}

static void skip_digits(struct json_scan *s)
{
    while (s->at < s->end && isdigit((unsigned char)*s->at))
        s->at++;
}

static bool next_is(const struct json_scan *s, const char *any)
{
    return s->at < s->end && *s->at && strchr(any, *s->at);
}

/* A number; *ret_whole: it has neither a fraction nor an exponent. */
static bool scan_number(struct json_scan *s, bool *ret_whole)
{
    const char *digits;

    *ret_whole = true;
    if (next_is(s, "-"))
        s->at++;
    digits = s->at;
    skip_digits(s);
    if (s->at == digits || (*digits == '0' && s->at - digits > 1))
        return fault(s, "a value is missing, or is not JSON");
    if (next_is(s, ".")) {
        *ret_whole = false;
        digits = ++s->at;
        skip_digits(s);
        if (s->at == digits)
            return fault(s, "a number has no digit behind its point");
    }
    if (next_is(s, "eE")) {
        *ret_whole = false;
        s->at++;
        if (next_is(s, "+-"))
            s->at++;
        digits = s->at;
        skip_digits(s);
        if (s->at == digits)
            return fault(s, "a number has no digit in its exponent");
    }
    return true;
}

static bool scan_word(struct json_scan *s)
{
    static const char *const words[] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};

    for (int i = 0; i < 6; i++) {
        size_t len = strlen(words[i]);
        if ((size_t)(s->end - s->at) >= len && memcmp(s->at, words[i], len) == 0) {
            s->at += len;
            return true;
        }
    }
    return fault(s, "a value is missing, or is not JSON");
}

static bool skip(struct json_scan *s, int depth)
{
    const char *raw;
    bool first = true, whole;
    size_t len;
    int rc, c = json_scan_peek(s);

    if (depth > JSON_SCAN_DEPTH_MAX)
        return fault(s, "values are nested too deeply");
    if (c == '"')
        return json_scan_string(s, &raw, &len);
    if (c == '-' && s->end - s->at > 1 && s->at[1] == 'I')
        return scan_word(s);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(s, &whole);
    if (c != '{' && c != '[')
        return scan_word(s);
    s->at++;
    do {
        rc = c == '{' ? json_scan_member(s, &first, &raw, &len) : json_scan_element(s, &first);
    } while (rc > 0 && skip(s, depth + 1));
    return rc == 0;
}

bool json_scan_skip(struct json_scan *s)
{
    return skip(s, 0);
}

bool json_scan_integer(struct json_scan *s, int64_t *ret, bool *ret_fits)
{
    int c = json_scan_peek(s);
    const char *at = s->at;
    int64_t v = 0;
    bool whole;

    *ret_fits = false;
    if ((c != '-' && (c < '0' || c > '9')) || (c == '-' && s->end - s->at > 1 && s->at[1] == 'I'))
        return json_scan_skip(s);
    if (!scan_number(s, &whole))
        return false;
    if (!whole)
        return true;
    for (at += c == '-'; at < s->at; at++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, *at - '0', &v))
            return true; /* the negative numbers reach further */
    if (c != '-' && v == INT64_MIN)
        return true;
    *ret = c == '-' ? v : -v;
    *ret_fits = true;
    return true;
}

/* Whether something follows in what `close` closes. */
static int more(struct json_scan *s, bool *first, char close)
{
    bool was_first = *first;

    *first = false;
    if (json_scan_accept(s, close))
        return 0;
    if (was_first)
        return 1;
    if (!json_scan_accept(s, ','))
        return fault(s, "a comma or the end of a list or an object is missing"), -1;
    if (json_scan_peek(s) == close)
        return fault(s, "nothing follows a comma"), -1;
    return 1;
}

int json_scan_member(struct json_scan *s, bool *first, const char **ret_raw_key, size_t *ret_len)
{
    int rc = more(s, first, '}');

    if (rc <= 0)
        return rc;
    if (!json_scan_string(s, ret_raw_key, ret_len))
        return -1;
    return json_scan_accept(s, ':') ? 1 : (fault(s, "a colon is missing"), -1);
}

int json_scan_element(struct json_scan *s, bool *first)
{
    return more(s, first, ']');
}
