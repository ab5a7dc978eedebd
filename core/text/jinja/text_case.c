/* core/text/jinja/text_case.c - see text_case.h. Texts of ASCII take a way of their own. */
#include "core/text/jinja/text_case.h"
#include "core/text/jinja/python_text.h"

static bool is_ascii(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((uint8_t)s.at[i] >= 0x80)
            return false;
    return true;
}

/* Whether a sigma at `at` ends a word: a cased character before it and none behind it, but for
 * those that case ignores. */
static bool is_final_sigma(struct str s, size_t at)
{
    size_t i = at, len;
    bool before = false;

    while (i > 0 && !before) {
        unsigned p;
        for (i--; i > 0 && ((uint8_t)s.at[i] & 0xc0) == 0x80; i--)
            ;
        p = char_properties(char_at(s.at + i, &len));
        if (p & CHAR_CASE_IGNORABLE)
            continue;
        if (!(p & CHAR_CASED))
            return false;
        before = true;
    }
    for (i = at + 2; before && i < s.len; i += len) {
        unsigned p = char_properties(char_at(s.at + i, &len));
        if (!(p & CHAR_CASE_IGNORABLE))
            return !(p & CHAR_CASED);
    }
    return before;
}

static int put_case(struct run *r, struct str s, size_t at, enum char_case wanted,
                    struct builder *out)
{
    uint32_t mapped[3];
    size_t len;
    uint32_t c = char_at(s.at + at, &len);
    int n = char_to_case(c, wanted, mapped), rc = 0;

    if (c == 0x3a3 && wanted == CASE_LOWER) {
        mapped[0] = is_final_sigma(s, at) ? 0x3c2 : 0x3c3;
        rc = run_steps(r, 1 + s.len / 64);
    }
    for (int i = 0; i < n && rc == 0; i++)
        rc = builder_char(r, out, mapped[i]);
    return rc;
}

/* The case of a character of a title or the like. -1: it stays. */
static int case_of(enum text_case wanted, bool first, bool behind_cased, unsigned properties)
{
    switch (wanted) {
    case TEXT_LOWER:
        return CASE_LOWER;
    case TEXT_UPPER:
        return CASE_UPPER;
    case TEXT_TITLE:
        return behind_cased ? CASE_LOWER : CASE_TITLE;
    case TEXT_CAPITALIZE:
        return first ? CASE_TITLE : CASE_LOWER;
    default:
        return properties & CHAR_UPPER ? CASE_LOWER : properties & CHAR_LOWER ? CASE_UPPER : -1;
    }
}

static int ascii_to_case(struct run *r, struct str s, bool upper, struct builder *out)
{
    int rc = builder_str(r, out, s);

    for (size_t i = 0; i < s.len && rc == 0; i++) {
        char *c = out->at + out->len - s.len + i;
        if (upper ? *c >= 'a' && *c <= 'z' : *c >= 'A' && *c <= 'Z')
            *c ^= 32;
    }
    return rc;
}

int text_to_case(struct run *r, struct str s, enum text_case wanted, struct builder *out)
{
    bool behind_cased = false;
    size_t len;
    int rc = 0;

    if (wanted <= TEXT_UPPER && is_ascii(s))
        return ascii_to_case(r, s, wanted == TEXT_UPPER, out);
    for (size_t i = 0; i < s.len && rc == 0; i += len) {
        unsigned p = char_properties(char_at(s.at + i, &len));
        int to = case_of(wanted, i == 0, behind_cased, p);
        rc = to < 0 ? builder_add(r, out, s.at + i, len)
                    : put_case(r, s, i, (enum char_case)to, out);
        behind_cased = p & CHAR_CASED;
    }
    return rc;
}

bool text_is_all(struct str s, unsigned properties)
{
    size_t len;

    for (size_t i = 0; i < s.len; i += len)
        if (!(char_properties(char_at(s.at + i, &len)) & properties))
            return false;
    return s.len > 0;
}

static bool is_cased(struct str s, unsigned wanted, unsigned refused)
{
    bool found = false;
    size_t len;

    for (size_t i = 0; i < s.len; i += len) {
        unsigned p = char_properties(char_at(s.at + i, &len));
        if (p & refused)
            return false;
        found = found || p & wanted;
    }
    return found;
}

bool text_is_lower(struct str s)
{
    return is_cased(s, CHAR_LOWER, CHAR_UPPER | CHAR_TITLE);
}

bool text_is_upper(struct str s)
{
    return is_cased(s, CHAR_UPPER, CHAR_LOWER | CHAR_TITLE);
}

bool text_is_title(struct str s)
{
    bool found = false, behind = false;
    size_t len;

    for (size_t i = 0; i < s.len; i += len) {
        unsigned p = char_properties(char_at(s.at + i, &len));
        bool begins = p & (CHAR_UPPER | CHAR_TITLE);
        if (begins ? behind : p & CHAR_LOWER && !behind)
            return false;
        behind = begins || p & CHAR_LOWER;
        found = found || behind;
    }
    return found;
}
