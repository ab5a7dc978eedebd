/* core/utf8.c - see utf8.h. One decoder (RFC 3629: nothing over-long, no surrogates) serves all. */
#include "core/utf8.h"
#include <stdint.h>
#include <string.h>

/* Length of the UTF-8 character at p, of at most n bytes, and its code; 0: it is none; -1: it may
 * be one that is cut. */
static int decode(const unsigned char *p, size_t n, uint32_t *ret_code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int len = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    uint32_t code = len > 1 ? p[0] & (0x7fu >> len) : p[0];
    int i;

    for (i = 1; i < len; i++) {
        if ((size_t)i == n)
            return -1;
        if (p[i] >> 6 != 2)
            return 0;
        code = code << 6 | (p[i] & 0x3fu);
    }
    if (len == 0 || code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    *ret_code = code;
    return len;
}

size_t utf8_code(const uint8_t *p, size_t len, uint32_t *ret_code)
{
    int n = decode(p, len, ret_code);

    return n > 0 ? (size_t)n : 0;
}

size_t utf8_len(const uint8_t *p, size_t len)
{
    uint32_t code;

    return utf8_code(p, len, &code);
}

size_t utf8_valid(const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t at = 0, n;

    while (at < len && (n = utf8_len(p + at, len - at)) > 0)
        at += n;
    return at;
}

size_t utf8_put(uint32_t code, char *out)
{
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(first[n] | code);
    return n;
}

void utf8_make_valid(char *text, size_t len)
{
    uint32_t code = 0;
    size_t at = 0;

    while (at < len) {
        int n = decode((const unsigned char *)text + at, len - at, &code);
        if (n <= 0 || code == 0) {
            text[at] = '?';
            n = 1;
        }
        at += (size_t)n;
    }
}

size_t utf8_cut_bytes(const char *text, size_t len)
{
    uint32_t code;
    size_t back;

    for (back = 1; back <= 3 && back <= len; back++)
        if (((unsigned char)text[len - back] & 0xc0) == 0xc0)
            return decode((const unsigned char *)text + len - back, back, &code) < 0 ? back : 0;
    return 0;
}

size_t utf8_fit(const char *text, size_t max)
{
    size_t len = strnlen(text, max);

    return len - utf8_cut_bytes(text, len);
}

size_t utf8_mark_len(const char *text, size_t len)
{
    return len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

bool utf8_is_valid(const char *text)
{
    size_t len = strlen(text);

    return utf8_valid(text, len) == len;
}

/* C0, DEL and C1 controls act on terminals; the others break lines or change their order. */
static bool acts(uint32_t code, enum utf8_lines lines)
{
    if (lines == UTF8_KEEP_LINES && (code == '\n' || code == '\t'))
        return false;
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c || code == 0x200e ||
           code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

/* Bytes of the next character that need no escape; 0: *ret_len bytes at text do. */
static size_t plain(const char *text, enum utf8_lines lines, uint32_t *ret_code, size_t *ret_len)
{
    int n = decode((const unsigned char *)text, strnlen(text, 4), ret_code);

    *ret_len = n > 0 ? (size_t)n : 1;
    if (n <= 0)
        *ret_code = (unsigned char)text[0];
    return n > 0 && !acts(*ret_code, lines) ? (size_t)n : 0;
}

void utf8_escape(const char *text, enum utf8_lines lines, struct buf *out)
{
    uint32_t code;
    size_t len;

    while (*text) {
        size_t n = plain(text, lines, &code, &len);
        if (n > 0)
            buf_append(out, text, n);
        else
            buf_printf(out, code < 0x100 ? "\\x%02x" : "\\u%04x", code);
        text += n > 0 ? n : len;
    }
}

bool utf8_is_printable(const char *text, enum utf8_lines lines)
{
    uint32_t code;
    size_t len, n;

    for (; *text; text += n) {
        n = plain(text, lines, &code, &len);
        if (n == 0)
            return false;
    }
    return true;
}
