/* core/text/jinja/python_text.c - see python_text.h. Most texts are ASCII, which is answered
 * without the tables; those are searched by halves. */
#include "core/text/jinja/python_text.h"
#include "core/text/jinja/char_tables.h"

static unsigned look_up(uint32_t c)
{
    int low = 0, high = n_char_runs;

    while (low < high) {
        int mid = (low + high) / 2;
        if (c > char_runs[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n_char_runs && c >= char_runs[low].first ? char_runs[low].properties : 0;
}

unsigned char_properties(uint32_t c)
{
    if (c >= 'a' && c <= 'z')
        return CHAR_ALPHA | CHAR_LOWER | CHAR_CASED | CHAR_PRINTABLE;
    if (c > ' ' && c < 'A' && c != '\'' && c != '.' && c != ':' && (c < '0' || c > '9'))
        return CHAR_PRINTABLE;
    return look_up(c);
}

static int map_long(const struct case_map *map, uint32_t c, uint32_t out[3])
{
    int low = 0, high = map->n_longs, n = 0;

    while (low < high) {
        int mid = (low + high) / 2;
        if (c > map->longs[mid].code)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == map->n_longs || map->longs[low].code != c)
        return 0;
    for (; n < 3 && map->longs[low].to[n]; n++)
        out[n] = map->longs[low].to[n];
    return n;
}

int char_to_case(uint32_t c, enum char_case wanted, uint32_t out[3])
{
    const struct case_map *map = &case_maps[wanted];
    int low = 0, high = map->n_runs, n;

    out[0] = c;
    if (c < 0x80) {
        if (wanted == CASE_LOWER ? c >= 'A' && c <= 'Z' : c >= 'a' && c <= 'z')
            out[0] = c ^ 32;
        return 1;
    }
    n = map_long(map, c, out);
    if (n > 0)
        return n;
    while (low < high) {
        int mid = (low + high) / 2;
        if (c > map->runs[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    if (low < map->n_runs && c >= map->runs[low].first &&
        (c - map->runs[low].first) % (uint32_t)map->runs[low].stride == 0)
        out[0] = (uint32_t)((int64_t)c + map->runs[low].delta);
    return 1;
}

size_t text_count(struct str s)
{
    size_t n = 0, i = 0;

    for (; i + 8 <= s.len; i += 8) {
        uint64_t w;
        memcpy(&w, s.at + i, 8);
        /* The bytes that continue a character have the bits 10 at their top. */
        n += 8 - (size_t)__builtin_popcountll(w >> 7 & ~(w >> 6) & 0x0101010101010101u);
    }
    for (; i < s.len; i++)
        n += ((uint8_t)s.at[i] & 0xc0) != 0x80;
    return n;
}

size_t text_offset(struct str s, size_t i)
{
    size_t at = 0;

    if (i >= s.len)
        return s.len;
    for (; at < s.len; at++) {
        if (((uint8_t)s.at[at] & 0xc0) == 0x80)
            continue;
        if (i == 0)
            return at;
        i--;
    }
    return s.len;
}

size_t text_space_at(struct str s, size_t at)
{
    size_t len;
    uint8_t c = (uint8_t)s.at[at];

    if (c < 0x80)
        return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
    if ((c & 0xc0) == 0x80)
        return 0; /* within a character */
    return char_properties(char_at(s.at + at, &len)) & CHAR_SPACE ? len : 0;
}

struct str text_strip(struct str s, bool left, bool right)
{
    size_t n;

    while (left && s.len > 0 && (n = text_space_at(s, 0)) > 0)
        s = (struct str){s.at + n, s.len - n};
    while (right && s.len > 0) {
        size_t at = s.len - 1;
        while (at > 0 && ((uint8_t)s.at[at] & 0xc0) == 0x80)
            at--;
        if (text_space_at(s, at) == 0)
            break;
        s.len = at;
    }
    return s;
}

size_t text_find(struct str s, struct str part, size_t from, size_t to)
{
    const char *found;

    if (to > s.len)
        to = s.len;
    if (from > to || part.len > to - from)
        return SIZE_MAX;
    if (part.len == 0)
        return from;
    found = memmem(s.at + from, to - from, part.at, part.len);
    return found ? (size_t)(found - s.at) : SIZE_MAX;
}

size_t text_rfind(struct str s, struct str part, size_t from, size_t to)
{
    if (to > s.len)
        to = s.len;
    if (from > to || part.len > to - from)
        return SIZE_MAX;
    for (size_t at = to - part.len;; at--) {
        if (part.len == 0 || memcmp(s.at + at, part.at, part.len) == 0)
            return at;
        if (at == from)
            return SIZE_MAX;
    }
}
