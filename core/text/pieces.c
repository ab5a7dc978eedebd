/* core/text/pieces.c - see pieces.h. A symbol's id is looked up only when its text is known to be
 * final: a character need not be a piece to become part of one. */
#include "core/text/pieces.h"
#include "core/text/piece_cache.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_LOOKED_UP = -1 };
enum { WORK_MAX = 4096 }; /* small steps between looks at the clock */

int pieces_init(struct pieces *p, const struct vocab *v, struct err *err)
{
    size_t bytes = ((size_t)v->n + 1) * sizeof(*p->ranks);

    p->unknown = -1;
    p->ranks = malloc(bytes);
    if (!p->ranks)
        return err_nomem(err, bytes);
    memset(p->ranks, 0xff, bytes); /* MERGE_NEVER */
    return breaks_init(&p->breaks, err);
}

void pieces_free(struct pieces *p)
{
    free(p->ranks);
    added_tokens_free(&p->user);
    breaks_free(&p->breaks);
    *p = (struct pieces){0};
}

/* The bits of floats that are not negative are in the order of their values, and those of negative
 * ones in the reverse; the highest score gets the lowest rank. */
static uint32_t rank_of(float score)
{
    uint32_t bits;

    score += 0.0f; /* no negative zero */
    memcpy(&bits, &score, sizeof(bits));
    return bits >> 31 ? bits : 0x7fffffff - bits;
}

void pieces_set_score(struct pieces *p, const struct vocab *v, int id, float score)
{
    p->ranks[id] = rank_of(score);
    breaks_forbid_within(&p->breaks, v->tokens[id].text, v->tokens[id].len);
}

float pieces_score(const struct pieces *p, int id)
{
    uint32_t rank = p->ranks[id], bits = rank >> 31 ? rank : 0x7fffffff - rank;
    float score;

    if (rank == MERGE_NEVER)
        return 0;
    memcpy(&score, &bits, sizeof(score));
    return score;
}

void pieces_finish(struct pieces *p, const struct vocab *v)
{
    p->has_bytes = vocab_find_byte_pieces(v, p->byte_ids);
    added_tokens_sort(&p->user);
}

struct run { /* text in which nothing but merging happens */
    const struct pieces *p;
    const struct vocab *v;
    const char *text;
};

static bool find_pair(const void *context, const struct merge_symbol *left,
                      const struct merge_symbol *right, uint32_t end, struct merge_pair *ret)
{
    const struct run *r = context;
    int id = vocab_find(r->v, r->text + left->begin, end - left->begin);

    (void)right;
    if (id < 0 || r->p->ranks[id] == MERGE_NEVER)
        return false;
    *ret = (struct merge_pair){r->p->ranks[id], id};
    return true;
}

struct writer {
    const struct pieces *p;
    const struct vocab *v;
    struct merge_scratch *s;
    struct token_list *out;
    const char *text;   /* the whole one */
    bool after_unknown; /* unknown characters in a row are one token */
    struct err *err;
};

static int push_unknown(struct writer *w, const char *text, size_t len)
{
    bool again = w->after_unknown;
    int rc = 0;

    if (w->p->has_bytes) {
        for (size_t i = 0; i < len && rc == 0; i++)
            rc = token_list_push(w->out, w->p->byte_ids[(uint8_t)text[i]],
                                 (uint32_t)(text + i - w->text), w->err);
        return rc;
    }
    w->after_unknown = true;
    return again || w->p->unknown < 0
               ? 0
               : token_list_push(w->out, w->p->unknown, (uint32_t)(text - w->text), w->err);
}

static int push(struct writer *w, const char *text, size_t len, int32_t id)
{
    if (id == NOT_LOOKED_UP)
        id = vocab_find(w->v, text, len);
    if (id < 0 || id == w->p->unknown)
        return push_unknown(w, text, len);
    w->after_unknown = false;
    return token_list_push(w->out, id, (uint32_t)(text - w->text), w->err);
}

static size_t next_character(const char *text, size_t at, size_t len)
{
    for (at++; at < len && ((uint8_t)text[at] & 0xc0) == 0x80; at++)
        ;
    return at;
}

static int merge_run(struct writer *w, const char *text, size_t len)
{
    const struct run run = {w->p, w->v, text};
    const struct merge_symbol *symbols;
    int n = 0, rc = merge_reserve(w->s, len, w->err);

    if (rc < 0)
        return rc;
    symbols = w->s->symbols;
    for (size_t at = 0; at < len; at = next_character(text, at, len))
        w->s->symbols[n++] = (struct merge_symbol){.id = NOT_LOOKED_UP, .begin = (uint32_t)at};
    n = merge_all(w->s, n, len, find_pair, &run);
    for (int i = 0; i < n && rc == 0; i++) {
        size_t end = i + 1 < n ? symbols[i + 1].begin : len;
        rc = push(w, text + symbols[i].begin, end - symbols[i].begin, symbols[i].id);
    }
    return rc;
}

/* What an unknown character becomes depends on what is in front: such runs are not kept. */
static int encode_run(struct writer *w, const char *text, size_t len)
{
    struct piece_cache *cache = w->after_unknown ? NULL : w->s->cache;
    uint32_t origin = (uint32_t)(text - w->text);
    int first = w->out->n, rc = piece_cache_find(cache, text, len, origin, w->out, w->err);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = merge_run(w, text, len);
    if (rc == 0 && !w->after_unknown)
        piece_cache_put(cache, text, len, origin, w->out, first);
    return rc;
}

int pieces_encode(const struct pieces *p, const struct vocab *v, struct merge_scratch *s,
                  const char *text, size_t len, struct token_list *out, struct watch *watch,
                  struct err *err)
{
    struct writer w = {p, v, s, out, text, false, err};
    size_t done = 0, at = 0, before = 0, work = 0;
    int rc = 0;

    while (at < len && rc == 0) {
        const struct added_token *user = added_tokens_at(&p->user, text + at, len - at, &work);
        if (work > WORK_MAX && watch_is_late(watch, work))
            return err_set(err, ERR_UNSUPPORTED,
                           "the %d pieces that a user defined take too long to find in a text",
                           p->user.n);
        work = work > WORK_MAX ? 0 : work;
        if (at > done && (user || breaks_allow(&p->breaks, text, before, at, len))) {
            rc = encode_run(&w, text + done, at - done);
            done = at;
        }
        before = at;
        if (user && rc == 0) {
            rc = push(&w, text + at, user->len, user->id);
            done = at += user->len;
        } else {
            at = next_character(text, at, len);
        }
    }
    return rc < 0 || done == len ? rc : encode_run(&w, text + done, len - done);
}
