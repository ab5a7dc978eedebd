/* core/text/unicode_form.c - see unicode_form.h.
 *
 * The text is taken apart to its characters, marks that follow one another are put in the order of
 * their classes, and for NFC and NFKC every mark is composed with the last character of class 0
 * that no mark of its own or a higher class separates it from.
 */
#include "core/text/unicode_form.h"
#include "core/text/unicode_tables.h"
#include "core/utf8.h"
#include <stdlib.h>
#include <string.h>

enum { /* Hangul syllables are composed by arithmetic */
       S_BASE = 0xac00,
       L_BASE = 0x1100,
       V_BASE = 0x1161,
       T_BASE = 0x11a7,
       L_COUNT = 19,
       V_COUNT = 21,
       T_COUNT = 28,
       S_COUNT = L_COUNT * V_COUNT * T_COUNT
};

/* A character with its class: code | class << CLASS_SHIFT. */
enum { CLASS_SHIFT = 24, CODE_MASK = (1 << 24) - 1 };
enum { FEW = 16 };

bool unicode_form_is_plain(enum unicode_form form, const char *text, size_t len)
{
    uint8_t first = form == UNICODE_NFC ? 0xcc : 0x80; /* of U+0300; Latin letters are composed */

    for (size_t i = 0; i < len; i++)
        if ((uint8_t)text[i] >= first)
            return false;
    return true;
}

static uint32_t class_of(uint32_t code)
{
    int low = 0, high = unicode_n_classes;

    while (low < high) {
        int middle = (low + high) / 2;
        if (unicode_classes[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < unicode_n_classes && unicode_classes[low].first <= code
               ? unicode_classes[low].value
               : 0;
}

static const struct unicode_decomposition *find_decomposition(uint32_t code)
{
    int low = 0, high = unicode_n_decompositions;

    while (low < high) {
        int middle = (low + high) / 2;
        if (unicode_decompositions[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < unicode_n_decompositions && unicode_decompositions[low].code == code
               ? &unicode_decompositions[low]
               : NULL;
}

static void put(struct buf *out, uint32_t code)
{
    uint32_t with_class = code < 0x300 ? code : code | class_of(code) << CLASS_SHIFT;

    buf_append(out, &with_class, sizeof(with_class));
}

/* The run that has the character, or NULL. */
static const struct unicode_compat *find_compat(uint32_t code)
{
    int low = 0, high = unicode_n_compats;

    while (low < high) {
        int middle = (low + high) / 2;
        if (unicode_compats[middle].first + unicode_compats[middle].n <= code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < unicode_n_compats && unicode_compats[low].first <= code ? &unicode_compats[low]
                                                                         : NULL;
}

static void put_compat(struct buf *out, const struct unicode_compat *c, uint32_t code)
{
    uint32_t place = code - c->first;

    if (c->len == 1)
        put(out, c->to + place);
    for (uint32_t i = 0; c->len > 1 && i < c->len; i++)
        put(out, unicode_compat_texts[c->to + place * c->len + i]);
}

static void decompose(struct buf *out, uint32_t code)
{
    const struct unicode_decomposition *d;

    if (code >= S_BASE && code < S_BASE + S_COUNT) {
        code -= S_BASE;
        put(out, L_BASE + code / (V_COUNT * T_COUNT));
        put(out, V_BASE + code % (V_COUNT * T_COUNT) / T_COUNT);
        if (code % T_COUNT)
            put(out, T_BASE + code % T_COUNT);
    } else if (code >= 0xc0 && (d = find_decomposition(code))) {
        decompose(out, d->first); /* four deep at most: the table is ours */
        if (d->second)
            decompose(out, d->second);
    } else {
        put(out, code);
    }
}

static int compare_keys(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

    return a < b ? -1 : a > b;
}

/* Many marks: sorted as (class, place, code). */
static bool order_many(uint32_t *marks, size_t n)
{
    uint64_t *keys = malloc(n * sizeof(*keys));

    if (!keys)
        return false;
    for (size_t i = 0; i < n; i++)
        keys[i] =
            (uint64_t)(marks[i] >> CLASS_SHIFT) << 56 | (uint64_t)i << 24 | (marks[i] & CODE_MASK);
    qsort(keys, n, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < n; i++)
        marks[i] = (uint32_t)(keys[i] >> 56) << CLASS_SHIFT | (uint32_t)(keys[i] & CODE_MASK);
    free(keys);
    return true;
}

/* Puts marks in the order of their classes, equal ones staying in theirs. */
static bool order_run(uint32_t *marks, size_t n)
{
    if (n > FEW)
        return order_many(marks, n);
    for (size_t i = 1; i < n; i++) {
        uint32_t mark = marks[i];
        size_t at = i;
        for (; at > 0 && marks[at - 1] >> CLASS_SHIFT > mark >> CLASS_SHIFT; at--)
            marks[at] = marks[at - 1];
        marks[at] = mark;
    }
    return true;
}

static bool order(uint32_t *codes, size_t n)
{
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && codes[end] >> CLASS_SHIFT; end++)
            ;
        if (end > i + 1 && !order_run(codes + i, end - i))
            return false;
        end += end == i;
    }
    return true;
}

/* What two characters are composed to; 0: nothing. */
static uint32_t find_composition(uint32_t first, uint32_t second)
{
    int low = 0, high = unicode_n_compositions;

    if (first - L_BASE < L_COUNT && second - V_BASE < V_COUNT)
        return S_BASE + ((first - L_BASE) * V_COUNT + second - V_BASE) * T_COUNT;
    if (first - S_BASE < S_COUNT && (first - S_BASE) % T_COUNT == 0 &&
        second - T_BASE - 1 < T_COUNT - 1)
        return first + second - T_BASE;
    while (low < high) {
        int middle = (low + high) / 2;
        const struct unicode_decomposition *d =
            &unicode_decompositions[unicode_compositions[middle]];
        if (d->first == first && d->second == second)
            return d->code;
        if (d->first < first || (d->first == first && d->second < second))
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

static size_t compose(uint32_t *codes, size_t n)
{
    size_t out = 0, starter = SIZE_MAX;
    uint32_t last_class = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t code = codes[i] & CODE_MASK, class = codes[i] >> CLASS_SHIFT, made = 0;
        bool adjacent = starter != SIZE_MAX && starter + 1 == out;
        if (starter != SIZE_MAX && (adjacent || (last_class && last_class < class)) &&
            code >= 0x300)
            made = find_composition(codes[starter], code);
        if (made) {
            codes[starter] = made;
            continue;
        }
        if (class == 0)
            starter = out;
        last_class = class;
        codes[out++] = code;
    }
    return out;
}

static uint32_t next_code(const uint8_t *p, size_t *at)
{
    const uint8_t *c = p + *at;
    size_t n = *c < 0x80 ? 1 : *c < 0xe0 ? 2 : *c < 0xf0 ? 3 : 4;
    uint32_t code = n == 1 ? *c : *c & (0x7fu >> n);

    for (size_t i = 1; i < n; i++)
        code = code << 6 | (c[i] & 0x3fu);
    *at += n;
    return code;
}

static void decompose_compat(struct buf *out, uint32_t code)
{
    const struct unicode_compat *c = code < 0xa0 ? NULL : find_compat(code);

    if (c)
        put_compat(out, c, code);
    else
        decompose(out, code);
}

void unicode_form_append(enum unicode_form form, const char *text, size_t len, struct buf *out)
{
    bool compat = form == UNICODE_NFKC || form == UNICODE_NFKD;
    struct buf codes = {0};
    uint32_t *each;
    char bytes[4];
    size_t n;

    for (size_t at = 0; at < len;)
        (compat ? decompose_compat : decompose)(&codes, next_code((const uint8_t *)text, &at));
    each = (uint32_t *)(void *)codes.data;
    n = codes.len / sizeof(*each);
    if (codes.failed || !order(each, n)) {
        out->failed = true;
        n = 0;
    }
    if (form == UNICODE_NFC || form == UNICODE_NFKC)
        n = compose(each, n);
    for (size_t i = 0; i < n; i++)
        buf_append(out, bytes, utf8_put(each[i] & CODE_MASK, bytes));
    buf_free(&codes);
}

static uint32_t lower_of(uint32_t code)
{
    int low = 0, high = unicode_n_lowers;
    const struct unicode_lower *l;

    while (low < high) {
        int middle = (low + high) / 2;
        if (unicode_lowers[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    l = &unicode_lowers[low];
    if (low == unicode_n_lowers || code < l->first || (code - l->first) % l->every)
        return code;
    return code - l->first + l->to;
}

void unicode_lower_append(const char *text, size_t len, struct buf *out)
{
    enum { DOTTED_I = 0x130, DOT_ABOVE = 0x307 };
    char bytes[4];

    for (size_t at = 0; at < len;) {
        uint32_t code = next_code((const uint8_t *)text, &at);
        buf_append(out, bytes, utf8_put(lower_of(code), bytes));
        if (code == DOTTED_I)
            buf_append(out, bytes, utf8_put(DOT_ABOVE, bytes));
    }
}
