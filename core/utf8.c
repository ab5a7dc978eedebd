/* daemon/service/text.c - see text.h. */
#include "daemon/service/text.h"
#include <string.h>

/* Length of the UTF-8 character at p, of at most n bytes; 0: it is none; -1: it may be one that is
 * cut. */
static int utf8_length(const unsigned char *p, size_t n)
{
    static const unsigned int least[] = {0, 0, 0x80, 0x800, 0x10000};
    int len = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    unsigned int code = len > 1 ? p[0] & (0x7fu >> len) : p[0];
    int i;

    for (i = 1; i < len; i++) {
        if ((size_t)i == n)
            return -1;
        if (p[i] >> 6 != 2)
            return 0;
        code = code << 6 | (p[i] & 0x3fu);
    }
    if (len == 0 || code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ||
        code == 0)
        return 0;
    return len;
}

void text_make_utf8(char *text, size_t len)
{
    size_t at = 0;

    while (at < len) {
        int n = utf8_length((const unsigned char *)text + at, len - at);
        if (n <= 0) {
            text[at] = '?';
            n = 1;
        }
        at += (size_t)n;
    }
}

size_t text_cut_bytes(const char *text, size_t len)
{
    size_t back;

    for (back = 1; back <= 3 && back <= len; back++)
        if (((unsigned char)text[len - back] & 0xc0) == 0xc0)
            return utf8_length((const unsigned char *)text + len - back, back) < 0 ? back : 0;
    return 0;
}

bool text_is_utf8(const char *text)
{
    size_t len = strlen(text), at = 0;
    int n;

    for (; at < len; at += (size_t)n) {
        n = utf8_length((const unsigned char *)text + at, len - at);
        if (n <= 0)
            return false;
    }
    return true;
}
