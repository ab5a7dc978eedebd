/* core/text/characters.c - see characters.h. What belongs to words is asked of PCRE2, a character
 * at a time: few tokens ask. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/text/characters.h"
#include <pcre2.h>
#include <stdint.h>

static const char word[] = "^[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}]";
static const char word_before_10_40[] = "^[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200c}\\x{200d}]";

static size_t len_at(const char *text, size_t at, size_t len)
{
    uint8_t first = (uint8_t)text[at];
    size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    return n < len - at ? n : len - at;
}

static size_t begin_before(const char *text, size_t at)
{
    for (at--; at > 0 && ((uint8_t)text[at] & 0xc0) == 0x80; at--)
        ;
    return at;
}

/* Unicode's White_Space. */
static bool is_space(const char *at, size_t len)
{
    const uint8_t *p = (const uint8_t *)at;
    uint32_t code;

    if (len == 1)
        return *p == ' ' || (*p >= '\t' && *p <= '\r');
    code = len == 2   ? (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f)
           : len == 3 ? (uint32_t)(p[0] & 0xf) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f)
                      : 0;
    return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
           code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

size_t characters_space_before(const char *text, size_t at, size_t least)
{
    while (at > least) {
        size_t begin = begin_before(text, at);
        if (!is_space(text + begin, at - begin))
            break;
        at = begin;
    }
    return at;
}

size_t characters_space_behind(const char *text, size_t at, size_t len)
{
    while (at < len && is_space(text + at, len_at(text, at, len)))
        at += len_at(text, at, len);
    return at;
}

static pcre2_code *compile(const char *pattern)
{
    PCRE2_SIZE where;
    int why;

    return pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &why, &where, NULL);
}

static bool is_word(const char *at, size_t len)
{
    pcre2_code *code = compile(word);
    pcre2_match_data *match;
    bool found = false;

    if (!code)
        code = compile(word_before_10_40);
    match = code ? pcre2_match_data_create_from_pattern(code, NULL) : NULL;
    if (match)
        found = pcre2_match(code, (PCRE2_SPTR)at, len, 0, PCRE2_NO_UTF_CHECK, match, NULL) > 0;
    pcre2_match_data_free(match);
    pcre2_code_free(code);
    return found;
}

bool characters_word_before(const char *text, size_t at)
{
    size_t begin = at > 0 ? begin_before(text, at) : 0;

    return at > 0 && is_word(text + begin, at - begin);
}

bool characters_word_at(const char *text, size_t at, size_t len)
{
    return at < len && is_word(text + at, len_at(text, at, len));
}
