/* core/text/bpe.c - the symbols of a piece are made here, and merge.c joins them: the pair with the
 * lowest rank in the list of merges first.
 */
#include "core/text/bpe.h"
#include "core/text/piece_cache.h"
#include <stdlib.h>

static bool find_pair(const void *vocab, const struct merge_symbol *left,
                      const struct merge_symbol *right, uint32_t end, struct merge_pair *ret)
{
    const struct vocab_merge *m = vocab_find_merge(vocab, left->id, right->id);

    (void)end;
    if (m)
        *ret = (struct merge_pair){(uint32_t)m->rank, m->id};
    return m != NULL;
}

/* origin: where their text begins in the piece. */
static int push_all(const struct merge_symbol *symbols, int n, uint32_t origin,
                    struct token_list *out, struct err *err)
{
    int rc = 0;

    for (int i = 0; i < n && rc == 0; i++)
        rc = token_list_push(out, symbols[i].id, origin + symbols[i].begin, err);
    return rc;
}

static int merge_bytes(const struct vocab *v, struct merge_scratch *s, const char *piece,
                       size_t len, struct token_list *out, struct err *err)
{
    int n = 0, rc = merge_reserve(s, len, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < len; i++) {
        int32_t id = v->byte_ids[(uint8_t)piece[i]];
        if (id >= 0)
            s->symbols[n++] = (struct merge_symbol){.id = id, .begin = (uint32_t)i};
    }
    n = merge_all(s, n, len, find_pair, v);
    return push_all(s->symbols, n, 0, out, err);
}

int bpe_encode_bytes(const struct vocab *v, struct merge_scratch *s, const char *piece, size_t len,
                     struct token_list *out, struct err *err)
{
    int first = out->n, rc = piece_cache_find(s->cache, piece, len, 0, out, err);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = merge_bytes(v, s, piece, len, out, err);
    if (rc == 0)
        piece_cache_put(s->cache, piece, len, 0, out, first);
    return rc;
}

struct parts { /* one call of bpe_encode_characters() */
    const struct vocab *v;
    const struct bpe_fallback *fallback;
    struct merge_scratch *s;
    struct token_list *out;
    bool after_unknown; /* the character before became the unknown token */
};

static void add(struct parts *p, int *n, int32_t id, size_t begin)
{
    p->s->symbols[(*n)++] = (struct merge_symbol){.id = id, .begin = (uint32_t)begin};
}

static bool add_bytes(struct parts *p, int *n, const char *text, size_t begin, size_t len)
{
    const struct bpe_fallback *f = p->fallback;

    for (size_t i = 0; i < len; i++)
        if (!f->bytes || f->byte_ids[(uint8_t)text[begin + i]] < 0)
            return false;
    for (size_t i = 0; i < len; i++)
        add(p, n, f->byte_ids[(uint8_t)text[begin + i]], begin + i);
    return true;
}

/* The symbols of one character. */
static void add_character(struct parts *p, int *n, const char *text, size_t begin, size_t len)
{
    int32_t id = vocab_find(p->v, text + begin, len);
    bool unknown = false;

    if (id >= 0)
        add(p, n, id, begin);
    else if (!add_bytes(p, n, text, begin, len) && p->fallback->unknown >= 0) {
        unknown = true;
        if (!p->after_unknown || !p->fallback->fuse)
            add(p, n, p->fallback->unknown, begin);
    }
    p->after_unknown = unknown;
}

static size_t next_character(const char *text, size_t at, size_t len)
{
    for (at++; at < len && ((uint8_t)text[at] & 0xc0) == 0x80; at++)
        ;
    return at;
}

static int merge_part(struct parts *p, const char *text, size_t len, uint32_t origin,
                      struct err *err)
{
    int n = 0, rc = merge_reserve(p->s, len, err);

    if (rc < 0)
        return rc;
    for (size_t at = 0, next; at < len; at = next) {
        next = next_character(text, at, len);
        add_character(p, &n, text, at, next - at);
    }
    n = merge_all(p->s, n, len, find_pair, p->v);
    return push_all(p->s->symbols, n, origin, p->out, err);
}

/* What an unknown character becomes depends on what is in front: such parts are not kept. */
static int encode_part(struct parts *p, const char *text, size_t len, uint32_t origin,
                       struct err *err)
{
    struct piece_cache *cache = p->after_unknown ? NULL : p->s->cache;
    int first = p->out->n, rc = piece_cache_find(cache, text, len, origin, p->out, err);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = merge_part(p, text, len, origin, err);
    if (rc == 0 && !p->after_unknown)
        piece_cache_put(cache, text, len, origin, p->out, first);
    return rc;
}

int bpe_encode_characters(const struct vocab *v, const struct bpe_fallback *fallback,
                          const struct breaks *breaks, struct merge_scratch *s, const char *piece,
                          size_t len, struct token_list *out, struct err *err)
{
    struct parts p = {v, fallback, s, out, false};
    size_t done = 0, at = 0, before;
    int rc = 0;

    while (at < len && rc == 0) {
        before = at;
        at = next_character(piece, at, len);
        if (at < len && !breaks_allow(breaks, piece, before, at, len))
            continue;
        rc = encode_part(&p, piece + done, at - done, (uint32_t)done, err);
        done = at;
    }
    return rc;
}
