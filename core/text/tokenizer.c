/* core/text/tokenizer.c - see tokenizer.h. Nothing of a tokenizer but its cache changes after it
 * was loaded: what a call needs beside is its own. */
#include "core/text/tokenizer.h"
#include "core/text/tokenizer_impl.h"
#include "core/text/piece_cache.h"
#include "core/utf8.h"
#include <stdlib.h>
#include <string.h>

int tokenizer_new(enum tokenizer_kind kind, int n_ids, size_t n_merges, struct tokenizer **ret,
                  struct err *err)
{
    struct tokenizer *t = calloc(1, sizeof(*t));
    int rc;

    if (!t)
        return err_nomem(err, sizeof(*t));
    t->kind = kind;
    t->cache = piece_cache_new();
    t->bos = t->eos = t->behind = t->fallback.unknown = -1;
    t->flags = calloc((size_t)n_ids + 1, sizeof(*t->flags));
    rc = t->flags ? vocab_init(&t->vocab, n_ids, n_merges, err) : err_nomem(err, (size_t)n_ids);
    if (rc == 0 && kind == TOKENIZER_PIECES)
        rc = pieces_init(&t->pieces, &t->vocab, err);
    if (rc == 0 && kind == TOKENIZER_CHARACTERS)
        rc = breaks_init(&t->breaks, err);
    if (rc < 0) {
        tokenizer_free(t);
        return rc;
    }
    *ret = t;
    return 0;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    for (int i = 0; i < ADDED_PASSES; i++)
        added_tokens_free(&t->added[i]);
    normalizer_free(&t->normalizer);
    pretokenizer_free(&t->pre);
    pieces_free(&t->pieces);
    breaks_free(&t->breaks);
    vocab_free(&t->vocab);
    pool_free(&t->texts);
    token_list_free(&t->ends);
    chat_source_free(&t->chat);
    piece_cache_free(t->cache);
    free(t->flags);
    free(t);
}

int tokenizer_add_token(struct tokenizer *t, int id, const char *text, size_t len, unsigned flags,
                        enum added_pass pass, struct err *err)
{
    struct added_token token = {.len = len, .id = id, .flags = flags};
    int rc = vocab_put(&t->vocab, id, text, len, err);

    if (rc < 0)
        return rc;
    t->flags[id] = TOKEN_ADDED | (flags & ADDED_SPECIAL ? TOKEN_SPECIAL : 0);
    token.text = t->vocab.tokens[id].text;
    return len == 0 ? 0 : added_tokens_put(&t->added[pass], &token, err);
}

/* Those of the second pass are looked for in normalised text, and so are normalised themselves. */
static int normalise_added(struct tokenizer *t, struct err *err)
{
    struct added_tokens *a = &t->added[ADDED_SECOND];
    struct watch watch;
    struct normalizer_scratch s = {.watch = &watch};
    int rc = 0, n = 0;

    watch_start(&watch, 0);
    for (int i = 0; i < a->n && rc == 0 && t->normalizer.n > 0; i++) {
        struct added_token *token = &a->items[i];
        rc = normalizer_run(&t->normalizer, &s, token->text, token->len, &token->text, &token->len,
                            err);
        if (rc == 0 && !(token->text = pool_text(&t->texts, token->text, token->len)))
            rc = err_nomem(err, token->len);
        if (rc == 0 && token->len > 0)
            a->items[n++] = *token;
    }
    if (t->normalizer.n > 0)
        a->n = rc < 0 ? 0 : n;
    buf_free(&s.bufs[0]);
    buf_free(&s.bufs[1]);
    return rc;
}

static bool is_fallback(const struct tokenizer *t, int32_t id)
{
    const struct vocab_token *token = &t->vocab.tokens[id];

    return id == t->fallback.unknown ||
           (t->fallback.bytes && vocab_byte_of_piece(token->text, token->len) >= 0);
}

/* Where texts without a pre-tokenizer may be cut. Tokens that stand for unknown characters are not
 * in a text as they are spelled: where they merge, nothing is known. */
static void find_breaks(struct tokenizer *t)
{
    const struct vocab *v = &t->vocab;

    for (size_t i = 0; i <= v->merge_mask; i++) {
        const struct vocab_merge *m = &v->merges[i];
        if (m->key == UINT64_MAX)
            continue;
        breaks_forbid_within(&t->breaks, v->tokens[m->id].text, v->tokens[m->id].len);
        if (is_fallback(t, (int32_t)(m->key >> 32)) || is_fallback(t, (int32_t)m->key))
            breaks_forbid_all(&t->breaks);
    }
}

static int finish_characters(struct tokenizer *t, struct err *err)
{
    bool bytes = vocab_find_byte_pieces(&t->vocab, t->fallback.byte_ids) && t->fallback.bytes;

    if (!bytes && t->fallback.bytes && t->fallback.unknown >= 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "its byte_fallback lacks some of the tokens <0x00> to <0xFF> and it has an "
                       "unk_token, which is not supported");
    find_breaks(t);
    if (!bytes && t->fallback.unknown < 0) /* what is left out lets its neighbours merge */
        breaks_forbid_all(&t->breaks);
    return 0;
}

int tokenizer_finish(struct tokenizer *t, struct err *err)
{
    int rc = normalise_added(t, err);

    for (int i = 0; i < ADDED_PASSES; i++)
        added_tokens_sort(&t->added[i]);
    vocab_find_bytes(&t->vocab);
    if (t->kind == TOKENIZER_PIECES)
        pieces_finish(&t->pieces, &t->vocab);
    if (rc == 0 && t->kind == TOKENIZER_CHARACTERS)
        rc = finish_characters(t, err);
    if (t->bos >= t->vocab.n || t->bos < 0)
        t->bos = -1;
    if (t->eos >= t->vocab.n || t->eos < 0)
        t->eos = -1;
    if (rc == 0 && t->adds_bos && t->bos < 0)
        return err_set(err, ERR_INVALID,
                       "the tokenizer asks for a begin token in front of every text but has none");
    return rc;
}

struct encoding { /* one call of tokenizer_encode() */
    const struct tokenizer *t;
    struct token_list *out;
    bool raw;
    const char *text;                /* the whole one */
    const struct token_marks *marks; /* NULL: none; else out->places is set */
    int mark;                        /* the first that has no token yet */
    size_t segment;                  /* of the whole text: what is normalised as one */
    const char *normalised;          /* what it became */
    size_t cut;                      /* of that: what the pre-tokenizer cuts now */
    struct watch watch;
    struct normalizer_scratch normal;
    struct pretokenizer_scratch *pre;
    struct merge_scratch merge;
    struct buf spelled;
};

/* The id of a piece that is a token as a whole, or -1. */
static int whole_piece(struct encoding *e, const char *piece, size_t len)
{
    char *at;

    if (e->t->kind == TOKENIZER_CHARACTERS)
        return vocab_find(&e->t->vocab, piece, len);
    e->spelled.len = 0;
    if (len > SIZE_MAX / 2)
        return -1;
    at = buf_grow(&e->spelled, 2 * len);
    if (!at)
        return -1;
    for (size_t i = 0; i < len; i++)
        at += vocab_spell_byte((uint8_t)piece[i], at);
    return vocab_find(&e->t->vocab, e->spelled.data, (size_t)(at - e->spelled.data));
}

static int encode_bytes_of_piece(struct encoding *e, const char *piece, size_t len, struct err *err)
{
    const struct tokenizer *t = e->t;
    int id = t->ignore_merges ? whole_piece(e, piece, len) : -1;

    if (e->spelled.failed)
        return err_nomem(err, 2 * len);
    if (id >= 0)
        return token_list_push(e->out, id, 0, err);
    if (t->kind == TOKENIZER_PIECES)
        return pieces_encode(&t->pieces, &t->vocab, &e->merge, piece, len, e->out, &e->watch, err);
    if (t->kind == TOKENIZER_CHARACTERS)
        return bpe_encode_characters(&t->vocab, &t->fallback, &t->breaks, &e->merge, piece, len,
                                     e->out, err);
    return bpe_encode_bytes(&t->vocab, &e->merge, piece, len, e->out, err);
}

/* map: of what the second pass cut out. */
static int encode_piece(void *context, const char *piece, size_t len, struct piece_map *map,
                        struct err *err)
{
    struct encoding *e = context;
    int first = e->out->n, rc = encode_bytes_of_piece(e, piece, len, err);

    for (int i = first; rc == 0 && e->marks && i < e->out->n; i++)
        e->out->begins[i] = (uint32_t)(e->cut + piece_map_find(map, piece + e->out->begins[i]));
    return rc;
}

/* ---- marks ---- */

/* The byte of the normalised segment that a byte of the segment became: what the text in front of
 * it becomes is as long. */
static int normalised_place(struct encoding *e, const char *raw, size_t place, size_t *ret,
                            struct err *err)
{
    struct normalizer_scratch s = {.watch = &e->watch};
    const char *text;
    int rc;

    *ret = place;
    if (e->normalised == raw || place == 0)
        return 0;
    rc = normalizer_run(&e->t->normalizer, &s, raw, place, &text, ret, err);
    buf_free(&s.bufs[0]);
    buf_free(&s.bufs[1]);
    return rc;
}

/* Of the tokens from `first` on, which are those of the segment, the one that holds the byte. Where
 * several begin there, one is what the tokenizer put in front: the first belongs to a part that
 * begins with the byte. */
static int token_at(const struct encoding *e, int first, size_t place, bool begins_there)
{
    const uint32_t *begins = e->out->begins;
    int i = first;

    while (i + 1 < e->out->n && begins[i + 1] <= place)
        i++;
    while (begins_there && i > first && begins[i - 1] == begins[i])
        i--;
    return i;
}

/* Finds the marks in a segment that ends at byte `end` of the text and begins at token `first`. */
static int find_marks(struct encoding *e, int first, size_t end, struct err *err)
{
    size_t place;
    int rc = 0;

    for (; rc == 0 && e->marks && e->mark < e->marks->n; e->mark++) {
        bool is_end = e->mark % 2;
        size_t at = e->marks->at[e->mark];
        if (at - is_end >= end)
            break;
        rc = normalised_place(e, e->text + e->segment, at - e->segment, &place, err);
        place -= is_end && place > 0;
        e->marks->tokens[e->mark] = token_at(e, first, place, !is_end);
    }
    return rc;
}

static int encode_pass(struct encoding *e, enum added_pass pass, const char *text, size_t len,
                       bool at_start, struct err *err);

/* What lies between the added tokens of a pass: it is normalised behind the first. */
static int encode_between(struct encoding *e, enum added_pass pass, const char *text, size_t len,
                          bool at_start, struct err *err)
{
    int rc = 0, first = e->out->n;
    size_t end;

    if (pass == ADDED_SECOND)
        e->cut = (size_t)(text - e->normalised);
    if (pass == ADDED_SECOND)
        return pretokenizer_split(&e->t->pre, e->pre, text, len, at_start, encode_piece, e, err);
    if (len == 0)
        return 0;
    e->segment = (size_t)(text - e->text);
    end = e->segment + len;
    if (e->t->normalizer.n > 0)
        rc = normalizer_run(&e->t->normalizer, &e->normal, text, len, &text, &len, err);
    e->normalised = text;
    if (rc == 0)
        rc = encode_pass(e, ADDED_SECOND, text, len, at_start, err);
    return rc < 0 ? rc : find_marks(e, first, end, err);
}

/* An added token in the text of a pass. */
static int push_added(struct encoding *e, enum added_pass pass, const struct added_match *m,
                      const char *text, struct err *err)
{
    const char *begin = text + m->begin;
    int first = e->out->n;
    int rc = token_list_push(e->out, m->token->id,
                             pass == ADDED_SECOND ? (uint32_t)(begin - e->normalised) : 0, err);

    if (rc < 0 || pass == ADDED_SECOND)
        return rc;
    e->segment = (size_t)(begin - e->text);
    e->normalised = begin;
    return find_marks(e, first, (size_t)(text - e->text) + m->end, err);
}

/* Cuts at the added tokens of a pass; what lies between them goes to the next pass, and at last to
 * the pre-tokenizer. */
static int encode_pass(struct encoding *e, enum added_pass pass, const char *text, size_t len,
                       bool at_start, struct err *err)
{
    const struct added_tokens *a = &e->t->added[pass];
    struct added_match m = {0};
    size_t done = 0;
    int rc;

    while ((rc = added_tokens_next(a, text, len, !e->raw, &e->watch, &m, err)) > 0) {
        if (m.begin > done)
            rc = encode_between(e, pass, text + done, m.begin - done, at_start && done == 0, err);
        if (rc >= 0)
            rc = push_added(e, pass, &m, text, err);
        if (rc < 0)
            return rc;
        done = m.end;
    }
    if (rc < 0 || done >= len)
        return rc;
    return encode_between(e, pass, text + done, len - done, at_start && done == 0, err);
}

static int check_utf8(const char *text, size_t len, struct err *err)
{
    size_t valid = utf8_valid(text, len);

    if (valid == len)
        return 0;
    return err_set(err, ERR_INVALID, "the text is not UTF-8: byte 0x%02x at offset %zu",
                   (uint8_t)text[valid], valid);
}

static int encode(const struct tokenizer *t, const char *text, size_t len, bool raw,
                  const struct token_marks *marks, struct token_list *out, struct err *err)
{
    struct encoding e = {.t = t, .out = out, .raw = raw, .text = text, .marks = marks};
    int rc = check_utf8(text, len, err), before = out->n;

    watch_start(&e.watch, len);
    e.normal.watch = &e.watch;
    e.merge.cache = piece_cache_enter(t->cache);
    if (rc == 0)
        rc = pretokenizer_scratch_new(&t->pre, len, &e.watch, &e.pre, err);
    if (rc == 0)
        rc = encode_pass(&e, ADDED_FIRST, text, len, true, err);
    pretokenizer_scratch_free(e.pre);
    piece_cache_leave(e.merge.cache);
    merge_scratch_free(&e.merge);
    buf_free(&e.normal.bufs[0]);
    buf_free(&e.normal.bufs[1]);
    buf_free(&e.spelled);
    for (; rc >= 0 && marks && e.mark < marks->n; e.mark++)
        marks->tokens[e.mark] = out->n;
    if (rc < 0)
        out->n = before;
    return rc < 0 ? rc : 0;
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len,
                     struct token_list *out, struct err *err)
{
    return encode(t, text, len, false, NULL, out, err);
}

int tokenizer_encode_raw(const struct tokenizer *t, const char *text, size_t len,
                         struct token_list *out, struct err *err)
{
    return encode(t, text, len, true, NULL, out, err);
}

int tokenizer_encode_marked(const struct tokenizer *t, const char *text, size_t len,
                            const struct token_marks *marks, struct token_list *out,
                            struct err *err)
{
    struct token_list list = {.places = true};
    int rc = encode(t, text, len, false, marks, &list, err), before = out->n;

    for (int i = 0; i < list.n && rc == 0; i++)
        rc = token_list_push(out, list.ids[i], 0, err);
    token_list_free(&list);
    for (int i = 0; i < marks->n; i++)
        marks->tokens[i] += before;
    return rc;
}

int tokenizer_id(const struct tokenizer *t, const char *token)
{
    return vocab_find(&t->vocab, token, strlen(token));
}

int tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

bool tokenizer_is_end(const struct tokenizer *t, int32_t id)
{
    for (int i = 0; i < t->ends.n; i++)
        if (t->ends.ids[i] == id)
            return true;
    return t->eos >= 0 && id == t->eos;
}

static bool is_in(const struct token_list *list, int first, int32_t id)
{
    for (int i = first; i < list->n; i++)
        if (list->ids[i] == id)
            return true;
    return false;
}

int tokenizer_ends(const struct tokenizer *t, struct token_list *out, struct err *err)
{
    int rc = t->eos >= 0 ? token_list_push(out, t->eos, 0, err) : 0, first = out->n - (t->eos >= 0);

    for (int i = 0; i < t->ends.n && rc == 0; i++) {
        int32_t id = t->ends.ids[i];
        bool there = id < t->vocab.n && t->vocab.tokens[id].text;
        if (there && !is_in(out, first, id))
            rc = token_list_push(out, id, 0, err);
    }
    return rc;
}

int tokenizer_named(const struct tokenizer *t, const char *name)
{
    const struct chat_source *s = &t->chat;

    for (int i = s->n_specials - 1; i >= 0; i--)
        if (strcmp(s->specials[i].name, name) == 0)
            return tokenizer_id(t, s->specials[i].text);
    return -1;
}

int tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

bool tokenizer_adds_bos(const struct tokenizer *t)
{
    return t->adds_bos;
}

int tokenizer_behind(const struct tokenizer *t)
{
    return t->behind;
}

int tokenizer_vocab(const struct tokenizer *t)
{
    return t->vocab.n;
}

const struct chat_source *tokenizer_chat(const struct tokenizer *t)
{
    return &t->chat;
}

bool tokenizer_is_added(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocab.n && (t->flags[id] & TOKEN_ADDED);
}
