/* core/text/merge_scores.c - see merge_scores.h.
 *
 * Among merges of one token, and of runs of one character that share a score, scores take the
 * leftmost where the list has an order of its own. That makes a difference only in texts that
 * repeat, and there only if the merges before have left a choice: the writer of a GGUF tries it.
 */
#include "core/text/merge_scores.h"
#include "core/text/token_text.h"
#include "core/utf8.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct span { /* of the ranks of the merges that make a token */
    int id, first, last;
};

/* (n) by id; last < 0: no merge makes it. */
static void find_spans(const struct tokenizer *t, struct span *spans)
{
    const struct vocab *v = &t->vocab;

    for (int id = 0; id < v->n; id++)
        spans[id] = (struct span){id, INT_MAX, -1};
    for (size_t i = 0; i <= v->merge_mask; i++) {
        const struct vocab_merge *m = &v->merges[i];
        struct span *s;
        if (m->key == UINT64_MAX)
            continue;
        s = &spans[m->id];
        s->first = m->rank < s->first ? m->rank : s->first;
        s->last = m->rank > s->last ? m->rank : s->last;
    }
}

static int by_first(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

static int mixed(const struct vocab_token *a, const struct vocab_token *b, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "the merges that make '%s' stand among those that make '%s'",
                   vocab_token_show(a).text, vocab_token_show(b).text);
}

static int set_scores(const struct tokenizer *t, struct span *spans, float *scores, struct err *err)
{
    const struct vocab_token *tokens = t->vocab.tokens;
    int n = t->vocab.n, made = 0, order = 0, first = 0, last = -1;

    qsort(spans, (size_t)n, sizeof(*spans), by_first);
    for (; made < n && spans[made].last >= 0; made++) {
        const struct vocab_token *a = &tokens[spans[first].id], *b = &tokens[spans[made].id];
        if (spans[made].first > last) {
            first = made;
            order++;
        } else if (!token_is_run(a->text, a->len) || !token_is_run(b->text, b->len)) {
            return mixed(a, b, err);
        }
        last = spans[made].last > last ? spans[made].last : last;
        scores[spans[made].id] = (float)(1 - order);
    }
    for (int i = made; i < n; i++)
        scores[spans[i].id] = (float)-order;
    return 0;
}

/* ---- whether every pair is in the list ---- */

/* A part of a token that can be there when it is merged: a character, or what a merge makes. */
static bool can_be(const struct tokenizer *t, const bool *made, const char *text, size_t len,
                   int *ret_id)
{
    *ret_id = vocab_find(&t->vocab, text, len);
    return utf8_len((const uint8_t *)text, len) == len || (*ret_id >= 0 && made[*ret_id]);
}

static int check_pairs(const struct tokenizer *t, const bool *made, int id, struct err *err)
{
    const struct vocab_token *token = &t->vocab.tokens[id];
    size_t at = 0, step;
    int left, right;

    while ((step = utf8_len((const uint8_t *)token->text + at, token->len - at)) > 0 &&
           (at += step) < token->len) {
        if (!can_be(t, made, token->text, at, &left) ||
            !can_be(t, made, token->text + at, token->len - at, &right))
            continue;
        if (left >= 0 && right >= 0 && vocab_find_merge(&t->vocab, left, right))
            continue;
        return err_set(err, ERR_UNSUPPORTED,
                       "no merge makes '%s' of '%s' and '%s', and scores would",
                       vocab_token_show(token).text, token_text_show(token->text, at).text,
                       token_text_show(token->text + at, token->len - at).text);
    }
    return 0;
}

/* Added tokens that no merge makes are cut out of a text before it is merged. */
static bool is_merged(const struct tokenizer *t, const bool *made, int id)
{
    const struct vocab_token *token = &t->vocab.tokens[id];

    if (!token->text || token->len == 0 || (t->flags[id] & TOKEN_SPECIAL))
        return false;
    return made[id] ||
           !((t->flags[id] & TOKEN_ADDED) || vocab_byte_of_piece(token->text, token->len) >= 0);
}

int merge_scores(const struct tokenizer *t, float *scores, bool *made, struct err *err)
{
    size_t n = (size_t)t->vocab.n;
    struct span *spans = calloc(n + 1, sizeof(*spans));
    int rc = spans ? 0 : err_nomem(err, n * sizeof(*spans));

    if (rc == 0) {
        find_spans(t, spans);
        for (size_t id = 0; id < n; id++)
            made[id] = spans[id].last >= 0;
        rc = set_scores(t, spans, scores, err);
    }
    for (int id = 0; id < (int)n && rc == 0; id++)
        if (is_merged(t, made, id))
            rc = check_pairs(t, made, id, err);
    free(spans);
    return rc;
}
