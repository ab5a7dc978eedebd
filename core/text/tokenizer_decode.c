/* core/text/tokenizer_decode.c - ids back to text. */
#include "core/text/token_text.h"
#include "core/text/tokenizer_impl.h"
#include <string.h>

static size_t unspell(const struct tokenizer *t, int32_t id, const struct vocab_token *token,
                      char *out)
{
    bool bytes = t->kind == TOKENIZER_PIECES ? t->pieces.has_bytes : t->fallback.bytes;
    int byte = bytes ? vocab_byte_of_piece(token->text, token->len) : -1;

    if (t->kind == TOKENIZER_BYTES && !(t->flags[id] & TOKEN_ADDED))
        return vocab_unspell(token->text, token->len, out);
    if (t->kind != TOKENIZER_BYTES && byte >= 0) {
        *out = (char)byte;
        return 1;
    }
    if (t->kind != TOKENIZER_BYTES)
        return token_text_unspell(token->text, token->len, out);
    memcpy(out, token->text, token->len);
    return token->len;
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
    out->len -= token->len - unspell(t, id, token, at);
    out->data[out->len] = '\0';
    return 0;
}

/* Drops the blanks of the first token, which was decoded at `begin`. */
static void drop_blanks(struct buf *out, size_t begin)
{
    size_t n = begin;

    for (size_t i = begin; i < out->len; i++)
        if (out->data[i] != ' ')
            out->data[n++] = out->data[i];
    out->len = n;
    if (out->data)
        out->data[n] = '\0';
}

static void drop_blank(struct buf *out, size_t begin)
{
    if (out->len == begin || out->data[begin] != ' ')
        return;
    memmove(out->data + begin, out->data + begin + 1, out->len - begin); /* with its NUL */
    out->len--;
}

int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int n, bool skip_special,
                     struct buf *out, struct err *err)
{
    size_t before = out->len;
    bool first = true;
    int rc = 0;

    for (int i = 0; i < n && rc == 0; i++) {
        bool special = ids[i] >= 0 && ids[i] < t->vocab.n && (t->flags[ids[i]] & TOKEN_SPECIAL);
        if (special && skip_special)
            continue;
        rc = decode_one(t, ids[i], out, err);
        if (rc == 0 && first && t->strip == STRIP_FIRST_TOKEN)
            drop_blanks(out, before);
        first = false;
    }
    if (rc == 0 && t->strip == STRIP_BLANK)
        drop_blank(out, before);
    return rc;
}
