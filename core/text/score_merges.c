/* core/text/score_merges.c - see score_merges.h.
 *
 * Of pieces with one score the leftmost in a text is merged first, where a list has an order of its
 * own: two such pieces are refused unless both are runs of one character, for which the longest
 * left part first does the same. Of one piece that overlaps itself the writer of a tokenizer.json
 * tries it.
 */
#include "core/text/score_merges.h"
#include "core/text/token_text.h"
#include "core/utf8.h"
#include <stdlib.h>
#include <string.h>

struct list {
    const struct tokenizer *t;
    struct score_merge *items;
    size_t n, cap;
};

static struct shown_text show(const struct tokenizer *t, int id)
{
    return token_text_show(t->vocab.tokens[id].text, t->vocab.tokens[id].len);
}

static int push(struct list *l, const struct score_merge *merge, struct err *err)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 1024;
        struct score_merge *bigger = realloc(l->items, cap * sizeof(*bigger));
        if (!bigger)
            return err_nomem(err, cap * sizeof(*bigger));
        l->items = bigger;
        l->cap = cap;
    }
    l->items[l->n++] = *merge;
    return 0;
}

/* Added tokens are cut out of a text before it is merged, but for those that are spelled with
 * U+2581, which a text has only behind that. */
static bool is_merged(const struct tokenizer *t, int id)
{
    const struct vocab_token *token = &t->vocab.tokens[id];

    if (!token->text || t->pieces.ranks[id] == MERGE_NEVER)
        return false;
    return !(t->flags[id] & TOKEN_ADDED) ||
           memmem(token->text, token->len, token_blank, strlen(token_blank));
}

/* A part that can be there when a piece is merged: a character, or what merging makes. The unknown
 * token is there for other characters, which do not merge. */
static bool can_be(const struct tokenizer *t, const char *text, size_t len, int *ret_id)
{
    *ret_id = vocab_find(&t->vocab, text, len);
    if (*ret_id >= 0 && *ret_id == t->pieces.unknown)
        return false;
    return utf8_len((const uint8_t *)text, len) == len ||
           (*ret_id >= 0 && t->pieces.ranks[*ret_id] != MERGE_NEVER);
}

static int add_pairs(struct list *l, int id, bool *made, struct err *err)
{
    const struct tokenizer *t = l->t;
    const struct vocab_token *token = &t->vocab.tokens[id];
    size_t at = 0, step;
    int rc = 0;

    while (rc == 0 && (step = utf8_len((const uint8_t *)token->text + at, token->len - at)) > 0 &&
           (at += step) < token->len) {
        struct score_merge merge = {.id = id,
                                    .rank = t->pieces.ranks[id],
                                    .left_len = (uint32_t)at,
                                    .right_len = token->len - (uint32_t)at};
        if (!can_be(t, token->text, at, &merge.left) ||
            !can_be(t, token->text + at, token->len - at, &merge.right))
            continue;
        if (merge.left < 0 || merge.right < 0)
            return err_set(err, ERR_UNSUPPORTED,
                           "the piece '%s' has a character that is no piece, and so no merge makes "
                           "it",
                           show(t, id).text);
        made[id] = true;
        rc = push(l, &merge, err);
    }
    return rc;
}

static int by_rank(const void *a, const void *b)
{
    const struct score_merge *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->left_len != y->left_len)
        return x->left_len > y->left_len ? -1 : 1;
    if (x->right_len != y->right_len)
        return x->right_len > y->right_len ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Runs of the same character. */
static bool are_runs(const struct vocab_token *a, const struct vocab_token *b)
{
    size_t step = utf8_len((const uint8_t *)a->text, a->len);

    return token_is_run(a->text, a->len) && token_is_run(b->text, b->len) && b->len >= step &&
           memcmp(a->text, b->text, step) == 0;
}

static int check_ties(const struct list *l, struct err *err)
{
    for (size_t i = 1; i < l->n; i++) {
        const struct score_merge *a = &l->items[i - 1], *b = &l->items[i];
        if (a->rank == b->rank && a->id != b->id &&
            !are_runs(&l->t->vocab.tokens[a->id], &l->t->vocab.tokens[b->id]))
            return err_set(err, ERR_UNSUPPORTED,
                           "the pieces '%s' and '%s' have one score: the leftmost is merged first, "
                           "which no list of merges says",
                           show(l->t, a->id).text, show(l->t, b->id).text);
    }
    return 0;
}

int score_merges(const struct tokenizer *t, struct score_merge **ret, size_t *ret_n, bool *made,
                 struct err *err)
{
    struct list l = {.t = t};
    int rc = 0;

    for (int id = 0; id < t->vocab.n && rc == 0; id++)
        if (is_merged(t, id))
            rc = add_pairs(&l, id, made, err);
    if (l.n > 0)
        qsort(l.items, l.n, sizeof(*l.items), by_rank);
    if (rc == 0)
        rc = check_ties(&l, err);
    if (rc < 0) {
        free(l.items);
        return rc;
    }
    *ret = l.items;
    *ret_n = l.n;
    return 0;
}
