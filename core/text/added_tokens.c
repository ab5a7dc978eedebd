/* core/text/added_tokens.c - see added_tokens.h. Tokens are sorted by their bytes. Those that begin
 * with what was read of the text so far are a range of the list, which every further byte narrows:
 * a text is compared with all of them at once. */
#include "core/text/added_tokens.h"
#include "core/text/characters.h"
#include "core/text/vocab.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WORK_MAX = 4096 }; /* small steps between looks at the clock */
enum { BYTES_SHIFT = 4 }; /* that many bits: bytes compared in one step */

int added_tokens_put(struct added_tokens *a, const struct added_token *token, struct err *err)
{
    if (a->n >= VOCAB_MAX)
        return err_set(err, ERR_INVALID, "there are more than %d added tokens", VOCAB_MAX);
    if (a->n == a->cap) {
        int cap = a->cap ? 2 * a->cap : 32; /* at most 2 * VOCAB_MAX */
        struct added_token *items = realloc(a->items, (size_t)cap * sizeof(*items));
        if (!items)
            return err_nomem(err, (size_t)cap * sizeof(*items));
        a->items = items;
        a->cap = cap;
    }
    a->items[a->n++] = *token;
    return 0;
}

void added_tokens_free(struct added_tokens *a)
{
    free(a->items);
    *a = (struct added_tokens){0};
}

static int compare(const void *x, const void *y)
{
    const struct added_token *a = x, *b = y;
    int rc = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);

    if (rc)
        return rc;
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    return a->id - b->id;
}

void added_tokens_sort(struct added_tokens *a)
{
    int at = 0, n = 0;

    if (a->n > 0)
        qsort(a->items, (size_t)a->n, sizeof(*a->items), compare);
    for (int i = 0; i < a->n; i++) {
        bool equal = i + 1 < a->n && a->items[i].len == a->items[i + 1].len &&
                     memcmp(a->items[i].text, a->items[i + 1].text, a->items[i].len) == 0;
        if (!equal)
            a->items[n++] = a->items[i];
    }
    a->n = n;
    for (int byte = 0; byte <= 256; byte++) {
        while (at < a->n && (uint8_t)a->items[at].text[0] < byte)
            at++;
        a->first[byte] = at;
    }
}

/* The first of items [low, high) that has at least `value` at byte `depth`, all of them being
 * longer than that. */
static int lower_bound(const struct added_token *items, int low, int high, size_t depth, int value)
{
    while (low < high) {
        int middle = low + (high - low) / 2;
        if ((uint8_t)items[middle].text[depth] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Of the only token that is left, whose first `depth` bytes are those of the text. */
static const struct added_token *the_last_one(const struct added_token *token, const char *text,
                                              size_t len, size_t depth, size_t *work)
{
    *work += token->len >> BYTES_SHIFT;
    if (token->len > len || memcmp(token->text + depth, text + depth, token->len - depth) != 0)
        return NULL;
    return token;
}

const struct added_token *added_tokens_at(const struct added_tokens *a, const char *text,
                                          size_t len, size_t *work)
{
    uint8_t byte = (uint8_t)text[0];
    int low = a->first[byte], high = a->first[byte + 1];
    const struct added_token *found = NULL, *last;

    for (size_t depth = 1; low < high; depth++) {
        ++*work;
        if (a->items[low].len == depth) /* the shortest of the range comes first */
            found = &a->items[low++];
        if (low + 1 == high) {
            last = the_last_one(&a->items[low], text, len, depth, work);
            return last ? last : found;
        }
        if (depth == len || low == high)
            break;
        low = lower_bound(a->items, low, high, depth, (uint8_t)text[depth]);
        high = lower_bound(a->items, low, high, depth, (uint8_t)text[depth] + 1);
    }
    return found;
}

static bool is_single_word(const char *text, size_t begin, size_t end, size_t len)
{
    return !characters_word_before(text, begin) && !characters_word_at(text, end, len);
}

static void set_match(const struct added_token *token, const char *text, size_t at, size_t len,
                      struct added_match *m)
{
    size_t begin = at < m->end ? m->end : at, end = at + token->len;

    m->next = end;
    if (token->flags & ADDED_LSTRIP)
        begin = characters_space_before(text, begin, m->end);
    if (token->flags & ADDED_RSTRIP)
        end = characters_space_behind(text, end, len);
    m->token = token;
    m->begin = begin;
    m->end = end;
}

static int too_long(const struct added_tokens *a, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "the tokenizer's %d added tokens take too long to find in a text", a->n);
}

int added_tokens_next(const struct added_tokens *a, const char *text, size_t len, bool special,
                      struct watch *watch, struct added_match *m, struct err *err)
{
    size_t at = m->next, work = 0;

    while (a->n > 0 && at < len) {
        const struct added_token *found = added_tokens_at(a, text + at, len - at, &work);
        if (++work > WORK_MAX) {
            if (watch_is_late(watch, work))
                return too_long(a, err);
            work = 0;
        }
        if (!found) {
            at++;
        } else if ((!special && (found->flags & ADDED_SPECIAL)) ||
                   ((found->flags & ADDED_SINGLE_WORD) &&
                    !is_single_word(text, at, at + found->len, len))) {
            at += found->len;
        } else {
            set_match(found, text, at, len, m);
            work += (m->end - at) >> BYTES_SHIFT;
            return watch_is_late(watch, work) ? too_long(a, err) : 1;
        }
    }
    return 0;
}
