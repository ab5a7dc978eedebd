/* core/text/tokenizer.c - see tokenizer.h. Nothing of a tokenizer changes after it was loaded: what
 * a call needs beside is its own. */
#include "core/text/tokenizer.h"
#include "core/text/bpe.h"
#include "core/text/tokenizer_impl.h"
#include "core/utf8.h"
#include <stdlib.h>
#include <string.h>

enum { WORK_MAX = 4096 }; /* comparisons between looks at the clock */

int tokenizer_new(int n_ids, size_t n_merges, struct tokenizer **ret, struct err *err)
{
    struct tokenizer *t = calloc(1, sizeof(*t));
    int rc;

    if (!t)
        return err_nomem(err, sizeof(*t));
    t->bos = t->eos = -1;
    t->flags = calloc((size_t)n_ids + 1, sizeof(*t->flags));
    rc = t->flags ? vocab_init(&t->vocab, n_ids, n_merges, err) : err_nomem(err, (size_t)n_ids);
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
        free(t->added[i].items);
    pretokenizer_free(&t->pre);
    vocab_free(&t->vocab);
    free(t->chat_template);
    free(t->flags);
    free(t);
}

int tokenizer_add_token(struct tokenizer *t, int id, const char *text, size_t len, bool special,
                        enum added_pass pass, struct err *err)
{
    struct added_tokens *a = &t->added[pass];
    int rc = vocab_put(&t->vocab, id, text, len, err);

    if (rc < 0)
        return rc;
    t->flags[id] = TOKEN_ADDED | (special ? TOKEN_SPECIAL : 0);
    if (len == 0)
        return 0;
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
    a->items[a->n++] = (struct added_token){t->vocab.tokens[id].text, len, id};
    return 0;
}

static int compare_added(const void *x, const void *y)
{
    const struct added_token *a = x, *b = y;
    int bytes = (uint8_t)a->text[0] - (uint8_t)b->text[0];

    if (bytes)
        return bytes;
    if (a->len != b->len)
        return a->len < b->len ? 1 : -1;
    return a->id - b->id;
}

static void sort_added(struct added_tokens *a)
{
    int at = 0;

    if (a->n > 0)
        qsort(a->items, (size_t)a->n, sizeof(*a->items), compare_added);
    for (int byte = 0; byte <= 256; byte++) {
        while (at < a->n && (uint8_t)a->items[at].text[0] < byte)
            at++;
        a->first[byte] = at;
    }
}

int tokenizer_finish(struct tokenizer *t, struct err *err)
{
    for (int i = 0; i < ADDED_PASSES; i++)
        sort_added(&t->added[i]);
    vocab_find_bytes(&t->vocab);
    if (t->bos >= t->vocab.n || t->bos < 0)
        t->bos = -1;
    if (t->eos >= t->vocab.n || t->eos < 0)
        t->eos = -1;
    if (t->adds_bos && t->bos < 0)
        return err_set(err, ERR_INVALID,
                       "the tokenizer asks for a begin token in front of every text but has none");
    return 0;
}

struct encoding { /* one call of tokenizer_encode() */
    const struct tokenizer *t;
    struct token_list *out;
    struct pretokenizer_scratch *pre;
    struct bpe_scratch bpe;
    struct buf spelled;
};

/* The id of a piece that is a token as a whole, or -1. */
static int whole_piece(struct encoding *e, const char *piece, size_t len)
{
    char *at;

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

static int encode_piece(void *context, const char *piece, size_t len, struct err *err)
{
    struct encoding *e = context;
    int id = e->t->ignore_merges ? whole_piece(e, piece, len) : -1;

    if (e->spelled.failed)
        return err_nomem(err, 2 * len);
    if (id >= 0)
        return token_list_push(e->out, id, err);
    return bpe_encode(&e->t->vocab, &e->bpe, piece, len, e->out, err);
}

/* The longest added token at the beginning of text, or NULL. Adds to *work what it took. */
static const struct added_token *added_at(const struct added_tokens *a, const char *text,
                                          size_t len, size_t *work)
{
    uint8_t byte = (uint8_t)text[0];

    *work += 1 + (size_t)(a->first[byte + 1] - a->first[byte]);

    for (int i = a->first[byte]; i < a->first[byte + 1]; i++)
        if (a->items[i].len <= len && memcmp(a->items[i].text, text, a->items[i].len) == 0)
            return &a->items[i];
    return NULL;
}

/* Cuts at the added tokens of a pass; what lies between them goes to the next pass, and at last to
 * the pre-tokenizer. */
static int encode_pass(struct encoding *e, enum added_pass pass, const char *text, size_t len,
                       struct err *err)
{
    const struct added_tokens *a = &e->t->added[pass];
    size_t done = 0, at = 0, work = 0;
    int rc;

    if (pass == ADDED_PASSES)
        return pretokenizer_split(&e->t->pre, e->pre, text, len, encode_piece, e, err);
    if (a->n == 0)
        return encode_pass(e, pass + 1, text, len, err);
    while (at < len) {
        const struct added_token *found = added_at(a, text + at, len - at, &work);
        if (work > WORK_MAX && pretokenizer_is_late(e->pre, work))
            return err_set(err, ERR_UNSUPPORTED,
                           "the tokenizer's %d added tokens take too long to find in a text", a->n);
        work = work > WORK_MAX ? 0 : work;
        if (!found) {
            at++;
            continue;
        }
        rc = encode_pass(e, pass + 1, text + done, at - done, err);
        if (rc == 0)
            rc = token_list_push(e->out, found->id, err);
        if (rc < 0)
            return rc;
        at += found->len;
        done = at;
    }
    return encode_pass(e, pass + 1, text + done, len - done, err);
}

static int check_utf8(const char *text, size_t len, struct err *err)
{
    size_t valid = utf8_valid(text, len);

    if (valid == len)
        return 0;
    return err_set(err, ERR_INVALID, "the text is not UTF-8: byte 0x%02x at offset %zu",
                   (uint8_t)text[valid], valid);
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len,
                     struct token_list *out, struct err *err)
{
    struct encoding e = {.t = t, .out = out};
    int rc = check_utf8(text, len, err), before = out->n;

    if (rc == 0)
        rc = pretokenizer_scratch_new(&t->pre, len, &e.pre, err);
    if (rc == 0)
        rc = encode_pass(&e, ADDED_FIRST, text, len, err);
    pretokenizer_scratch_free(e.pre);
    bpe_scratch_free(&e.bpe);
    buf_free(&e.spelled);
    if (rc < 0)
        out->n = before;
    return rc;
}

static int decode_one(const struct tokenizer *t, int32_t id, struct buf *out, struct err *err)
{
    const struct vocab_token *token = id >= 0 && id < t->vocab.n ? &t->vocab.tokens[id] : NULL;
    char *at;

    if (!token || !token->text)
        return err_set(err, ERR_INVALID, "no token has the id %d", id);
    at = buf_grow(out, token->len);
    if (!at)
        return err_nomem(err, token->len);
    if (t->flags[id] & TOKEN_ADDED)
        memcpy(at, token->text, token->len);
    else
        out->len -= token->len - vocab_unspell(token->text, token->len, at);
    out->data[out->len] = '\0';
    return 0;
}

int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int n, bool skip_special,
                     struct buf *out, struct err *err)
{
    int rc = 0;

    for (int i = 0; i < n && rc == 0; i++) {
        bool special = ids[i] >= 0 && ids[i] < t->vocab.n && (t->flags[ids[i]] & TOKEN_SPECIAL);
        if (!special || !skip_special)
            rc = decode_one(t, ids[i], out, err);
    }
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

int tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

bool tokenizer_adds_bos(const struct tokenizer *t)
{
    return t->adds_bos;
}

int tokenizer_vocab(const struct tokenizer *t)
{
    return t->vocab.n;
}

const char *tokenizer_chat_template(const struct tokenizer *t)
{
    return t->chat_template;
}
