/* core/text/vocab.c - see vocab.h. Both tables are twice as large as what they hold, or more, and
 * are probed linearly. Hashes have a random seed: a file cannot be made whose tokens or merges all
 * meet in one place, which would take the square of their number in time. */
#include "core/text/vocab.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

enum { EXCERPT_MAX = 80 };

static const uint64_t FREE_MERGE = UINT64_MAX;

/* 0: there are too many. */
static size_t table_size(size_t n)
{
    size_t size = 16;

    if (n > VOCAB_MAX)
        return 0;
    while (size < 2 * n)
        size *= 2;
    return size;
}

struct shown_text vocab_token_show(const struct vocab_token *token)
{
    return token_text_show(token->text, token->len);
}

int vocab_init(struct vocab *v, int n, size_t n_merges, struct err *err)
{
    size_t slots = n < 0 ? 0 : table_size((size_t)n), merges = table_size(n_merges);

    *v = (struct vocab){0};
    if (slots == 0 || merges == 0)
        return err_set(err, ERR_INVALID,
                       "the tokenizer has ids up to %d and %zu merges; at most %d of each are "
                       "possible",
                       n - 1, n_merges, VOCAB_MAX);
    *v = (struct vocab){.n = n, .slot_mask = slots - 1, .merge_mask = merges - 1};
    if (getrandom(&v->seed, sizeof(v->seed), 0) != (ssize_t)sizeof(v->seed))
        v->seed = (uintptr_t)v; /* then it can be guessed, which only costs time */
    v->tokens = calloc((size_t)n + 1, sizeof(*v->tokens));
    v->slots = malloc(slots * sizeof(*v->slots));
    v->merges = malloc(merges * sizeof(*v->merges));
    if (!v->tokens || !v->slots || !v->merges)
        return err_nomem(err, merges * sizeof(*v->merges));
    memset(v->slots, 0xff, slots * sizeof(*v->slots));
    memset(v->merges, 0xff, merges * sizeof(*v->merges));
    return 0;
}

void vocab_free(struct vocab *v)
{
    free(v->tokens);
    free(v->slots);
    free(v->merges);
    pool_free(&v->pool);
    *v = (struct vocab){0};
}

/* The slot that holds the text, or the free one where it would go. */
static int32_t *find_slot(const struct vocab *v, const char *text, size_t len)
{
    size_t at = XXH3_64bits_withSeed(text, len, v->seed) & v->slot_mask;

    for (;; at = (at + 1) & v->slot_mask) {
        const struct vocab_token *t = &v->tokens[v->slots[at] < 0 ? 0 : v->slots[at]];
        if (v->slots[at] < 0 || (t->len == len && memcmp(t->text, text, len) == 0))
            return &v->slots[at];
    }
}

/* Bytes of a text that a message shows. */
static int excerpt(size_t len)
{
    return len < EXCERPT_MAX ? (int)len : EXCERPT_MAX;
}

int vocab_put(struct vocab *v, int id, const char *text, size_t len, struct err *err)
{
    struct vocab_token *t;

    if (id < 0 || id >= v->n)
        return err_set(err, ERR_INVALID, "the token '%.*s' has the id %d, which is not below %d",
                       excerpt(len), text, id, v->n);
    if (len > VOCAB_TOKEN_MAX)
        return err_set(err, ERR_INVALID,
                       "the token of id %d has %zu bytes; at most %d are possible", id, len,
                       VOCAB_TOKEN_MAX);
    t = &v->tokens[id];
    if (t->text && (t->len != len || memcmp(t->text, text, len) != 0))
        return err_set(err, ERR_INVALID, "the tokens '%.*s' and '%.*s' both have the id %d",
                       excerpt(t->len), t->text, excerpt(len), text, id);
    if (!t->text)
        t->text = pool_text(&v->pool, text, len);
    if (!t->text)
        return err_nomem(err, len);
    t->len = (uint32_t)len;
    *find_slot(v, t->text, len) = id;
    return 0;
}

int vocab_find(const struct vocab *v, const char *text, size_t len)
{
    return *find_slot(v, text, len);
}

static struct vocab_merge *find_merge_slot(const struct vocab *v, uint64_t key)
{
    size_t at = XXH3_64bits_withSeed(&key, sizeof(key), v->seed) & v->merge_mask;

    while (v->merges[at].key != key && v->merges[at].key != FREE_MERGE)
        at = (at + 1) & v->merge_mask;
    return &v->merges[at];
}

static uint64_t merge_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static int find_joined(const struct vocab *v, const char *left, size_t left_len, const char *right,
                       size_t right_len)
{
    char small[256], *joined = small;
    int id;

    if (left_len + right_len > sizeof(small))
        joined = malloc(left_len + right_len);
    if (!joined)
        return -1;
    memcpy(joined, left, left_len);
    memcpy(joined + left_len, right, right_len);
    id = vocab_find(v, joined, left_len + right_len);
    if (joined != small)
        free(joined);
    return id;
}

int vocab_put_merge(struct vocab *v, int32_t rank, const char *left, size_t left_len,
                    const char *right, size_t right_len, struct err *err)
{
    int l = vocab_find(v, left, left_len), r = vocab_find(v, right, right_len);
    int id = find_joined(v, left, left_len, right, right_len);
    struct vocab_merge *slot;

    if (l < 0 || r < 0 || id < 0)
        return err_set(err, ERR_INVALID, "the merge '%.*s %.*s' is not of tokens that make a token",
                       excerpt(left_len), left, excerpt(right_len), right);
    slot = find_merge_slot(v, merge_key(l, r));
    *slot = (struct vocab_merge){.key = merge_key(l, r), .rank = rank, .id = id};
    return 0;
}

const struct vocab_merge *vocab_find_merge(const struct vocab *v, int32_t left, int32_t right)
{
    const struct vocab_merge *m = find_merge_slot(v, merge_key(left, right));

    return m->key == FREE_MERGE ? NULL : m;
}

static int by_rank(const void *a, const void *b)
{
    const struct vocab_merge *x = a, *y = b;

    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

int vocab_list_merges(const struct vocab *v, struct vocab_merge **ret, size_t *ret_n,
                      struct err *err)
{
    struct vocab_merge *list = malloc((v->merge_mask + 1) * sizeof(*list));
    size_t n = 0;

    if (!list)
        return err_nomem(err, (v->merge_mask + 1) * sizeof(*list));
    for (size_t i = 0; i <= v->merge_mask; i++)
        if (v->merges[i].key != UINT64_MAX)
            list[n++] = v->merges[i];
    if (n > 0)
        qsort(list, n, sizeof(*list), by_rank);
    *ret = list;
    *ret_n = n;
    return 0;
}

/* Bytes that are printable in Latin-1 stand for themselves; the others are, in order, U+0100 and
 * on. */
static bool is_own_character(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
}

static int character_of(int byte)
{
    int n = 0;

    if (is_own_character(byte))
        return byte;
    if (byte <= ' ')
        return 0x100 + byte;
    if (byte == 0xad)
        return 0x100 + 33 + 34;
    n = byte - 0x7f;
    return 0x100 + 33 + n;
}

/* -1: outside of the alphabet */
static int byte_of(int character)
{
    int n = character - 0x100;

    if (n < 0)
        return is_own_character(character) ? character : -1;
    if (n <= ' ')
        return n;
    if (n < 33 + 34)
        return n - 33 + 0x7f;
    return n == 33 + 34 ? 0xad : -1;
}

int vocab_spell_byte(uint8_t byte, char *text)
{
    int c = character_of(byte);

    if (c < 0x80) {
        text[0] = (char)c;
        return 1;
    }
    text[0] = (char)(0xc0 | c >> 6);
    text[1] = (char)(0x80 | (c & 0x3f));
    return 2;
}

size_t vocab_unspell(const char *text, size_t len, char *out)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + len;
    size_t n = 0;

    while (p < end) {
        int c = *p++, byte;
        if (c >= 0xc2 && c < 0xe0 && p < end && (*p & 0xc0) == 0x80)
            c = (c & 0x1f) << 6 | (*p++ & 0x3f);
        else if (c >= 0x80)
            c = 0x10000;
        byte = byte_of(c);
        if (byte < 0) {
            memcpy(out, text, len);
            return len;
        }
        out[n++] = (char)byte;
    }
    return n;
}

void vocab_find_bytes(struct vocab *v)
{
    char text[2];

    for (int byte = 0; byte < 256; byte++)
        v->byte_ids[byte] = vocab_find(v, text, (size_t)vocab_spell_byte((uint8_t)byte, text));
}

bool vocab_find_byte_pieces(const struct vocab *v, int32_t ids[256])
{
    bool all = true;
    char text[8];

    for (int byte = 0; byte < 256; byte++) {
        ids[byte] = vocab_find(v, text, (size_t)snprintf(text, sizeof(text), "<0x%02X>", byte));
        all = all && ids[byte] >= 0;
    }
    return all;
}

int vocab_byte_of_piece(const char *text, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *high, *low;

    if (len != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
        return -1;
    high = memchr(digits, text[3], 16);
    low = memchr(digits, text[4], 16);
    return high && low ? (int)((high - digits) << 4 | (low - digits)) : -1;
}
