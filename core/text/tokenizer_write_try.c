/* core/text/tokenizer_write_try.c - see tokenizer_write_impl.h: whether a tokenizer that was
 * written and read back gives the same ids, where merges have become scores, or scores merges: for
 * the texts of all tokens, one behind the other, and for runs of one character, where scores and a
 * list may choose otherwise. They begin with a letter: what is put in front of a blank may differ
 * (tokenizer_write_check.c).
 */
#include "core/text/token_text.h"
#include "core/text/tokenizer_write_impl.h"
#include "core/utf8.h"
#include <string.h>

enum { TOKENS_AT_ONCE = 24, RUN_MAX = 100 };

/* Whether both give the text, which is emptied, the same ids. */
static int try_text(const struct tokenizer_trial *k, struct buf *text, bool *same, struct err *err)
{
    struct token_list a = {0}, b = {0};
    int rc = text->failed ? err_nomem(err, text->cap) : 0;

    if (rc == 0)
        rc = tokenizer_encode_raw(k->is, text->data, text->len, &a, err);
    if (rc == 0)
        rc = tokenizer_encode_raw(k->becomes, text->data, text->len, &b, err);
    *same = rc == 0 && a.n == b.n &&
            (a.n == 0 || memcmp(a.ids, b.ids, (size_t)a.n * sizeof(*a.ids)) == 0);
    if (rc == 0 && !*same)
        k->fault(k->context, text->data, text->len);
    text->len = 0;
    token_list_free(&a);
    token_list_free(&b);
    return rc;
}

static int try_tokens(const struct tokenizer_trial *k, bool *same, struct err *err)
{
    const struct vocab *v = &k->is->vocab;
    struct buf text = {0};
    int rc = 0, n = 0;

    for (int id = 0; id < v->n && rc == 0 && *same; id++) {
        if (!k->made[id])
            continue;
        if (text.len == 0)
            buf_puts(&text, "a");
        token_text_append(v->tokens[id].text, v->tokens[id].len, &text);
        if (++n % TOKENS_AT_ONCE == 0)
            rc = try_text(k, &text, same, err);
    }
    if (rc == 0 && *same && text.len > 0)
        rc = try_text(k, &text, same, err);
    buf_free(&text);
    return rc;
}

static int try_runs(const struct tokenizer_trial *k, const struct vocab_token *token, bool *same,
                    struct err *err)
{
    size_t step = utf8_len((const uint8_t *)token->text, token->len);
    struct buf text = {0};
    int rc = 0;

    for (int n = 1; n <= RUN_MAX && rc == 0 && *same; n++) {
        buf_puts(&text, "a");
        for (int i = 0; i < n; i++)
            token_text_append(token->text, step, &text);
        buf_puts(&text, "a");
        rc = try_text(k, &text, same, err);
    }
    buf_free(&text);
    return rc;
}

/* Two of one character, which is how runs begin. */
static bool is_pair(const struct vocab_token *token)
{
    return token->len % 2 == 0 &&
           token->len / 2 == utf8_len((const uint8_t *)token->text, token->len) &&
           memcmp(token->text, token->text + token->len / 2, token->len / 2) == 0;
}

int tokenizer_try(const struct tokenizer_trial *k, struct err *err)
{
    const struct vocab *v = &k->is->vocab;
    bool same = true;
    int rc = try_tokens(k, &same, err);

    for (int id = 0; id < v->n && rc == 0 && same; id++)
        if (k->made[id] && is_pair(&v->tokens[id]))
            rc = try_runs(k, &v->tokens[id], &same, err);
    return rc;
}
