/* core/text/tokenizer_write_json.c - see tokenizer_write_json.h: the checks, and the vocabulary
 * with its merges. What is written is read back, and where scores have become merges both must give
 * the same ids. */
#include "core/text/score_merges.h"
#include "core/text/tokenizer_write_json_impl.h"
#include "core/utf8.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void tokenizer_folder_fault(const struct tokenizer_folder *k, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    problems_add_rest(k->problems, k->w->from, "the tokenizer cannot become a tokenizer.json", fmt,
                      ap);
    va_end(ap);
}

/* ---- what cannot be said ---- */

/* A list of merges joins what stood around a character that is left out, and scores do not. */
static void check_unknown(const struct tokenizer_folder *k)
{
    if (!k->t->pieces.has_bytes && k->t->pieces.unknown < 0)
        tokenizer_folder_fault(k,
                               "it has neither a token of type unknown nor all the tokens <0x00> "
                               "to <0xFF>: around a character without a token, merges give "
                               "other ids than scores");
}

static void check_steps(struct tokenizer_folder *k)
{
    bool collapse = false;

    if (k->t->kind == TOKENIZER_BYTES) {
        k->pre = gguf_pre_of(&k->t->normalizer, &k->t->pre, k->t->ignore_merges);
        if (!k->pre)
            tokenizer_folder_fault(k, "its pre-tokenizer is not one that a GGUF names");
    } else if (k->t->kind != TOKENIZER_PIECES || k->t->pieces.user.n > 0 ||
               !normalizer_is_blanks(&k->t->normalizer, &k->prefix, &collapse)) {
        tokenizer_folder_fault(k, "it is not one of a GGUF");
    } else {
        if (collapse)
            tokenizer_folder_fault(k, "tokenizer.ggml.remove_extra_whitespaces is not supported "
                                      "there");
        check_unknown(k);
    }
}

static void check_token(const struct tokenizer_folder *k, int id, int *named)
{
    const struct vocab_token *token = &k->t->vocab.tokens[id];
    int found = vocab_find(&k->t->vocab, token->text, token->len);

    if (utf8_valid(token->text, token->len) < token->len)
        tokenizer_folder_fault(k, "the token of id %d is not UTF-8", id);
    else if (memchr(token->text, '\0', token->len))
        tokenizer_folder_fault(k, "the token of id %d holds a NUL", id);
    else if (token->len > TOKENIZER_TOKEN_MAX)
        tokenizer_folder_fault(k, "the token of id %d has %u bytes; at most %d are possible", id,
                               token->len, TOKENIZER_TOKEN_MAX);
    else if (found != id)
        tokenizer_folder_fault(k, "the ids %d and %d have the same text, '%s'", id, found,
                               vocab_token_show(token).text);
    else if (id >= k->w->n_tokens)
        tokenizer_folder_fault(k, "the token '%s' has the id %d, and the model has %d tokens",
                               vocab_token_show(token).text, id, k->w->n_tokens);
    else
        return;
    ++*named;
}

static void check_tokens(const struct tokenizer_folder *k)
{
    const struct vocab *v = &k->t->vocab;
    int named = 0;

    for (int id = 0; id < v->n && named < TOKENS_NAMED_MAX; id++)
        if (v->tokens[id].text && v->tokens[id].len > 0)
            check_token(k, id, &named);
}

static void check_templates(const struct tokenizer_folder *k)
{
    const struct chat_source *s = &k->t->chat;

    if (k->w->chat_template && !utf8_is_valid(k->w->chat_template))
        tokenizer_folder_fault(k, "the chat template of the job is not UTF-8");
    for (int i = 0; i < s->n_templates; i++)
        if (!utf8_is_valid(s->templates[i].name) || !utf8_is_valid(s->templates[i].text))
            tokenizer_folder_fault(k, "a chat template is not UTF-8");
}

static void find_added(struct tokenizer_folder *k)
{
    for (int pass = 0; pass < ADDED_PASSES; pass++)
        for (int i = 0; i < k->t->added[pass].n; i++) {
            const struct added_token *token = &k->t->added[pass].items[i];
            k->added[pass][token->id] = token;
        }
}

/* ---- the model ---- */

static void put_vocab(struct tokenizer_folder *k)
{
    const struct vocab *v = &k->t->vocab;

    json_put_begin(&k->j, "vocab", '{');
    for (int id = 0; id < v->n; id++) {
        if (!v->tokens[id].text || v->tokens[id].len == 0)
            continue;
        json_write_key(&k->j, v->tokens[id].text, v->tokens[id].len);
        json_write_int(&k->j, id);
    }
    json_write_end(&k->j, '}');
}

static void put_merge(struct tokenizer_folder *k, int left, int right, struct buf *text)
{
    const struct vocab_token *a = &k->t->vocab.tokens[left], *b = &k->t->vocab.tokens[right];

    text->len = 0;
    buf_append(text, a->text, a->len);
    buf_puts(text, " ");
    buf_append(text, b->text, b->len);
    if (!text->failed)
        json_write_text(&k->j, text->data, text->len);
    k->j.out->failed |= text->failed;
}

static int put_listed(struct tokenizer_folder *k, struct buf *text, struct err *err)
{
    struct vocab_merge *list = NULL;
    size_t n = 0;
    int rc = vocab_list_merges(&k->t->vocab, &list, &n, err);

    for (size_t i = 0; i < n; i++)
        put_merge(k, (int)(list[i].key >> 32), (int)(list[i].key & UINT32_MAX), text);
    free(list);
    return rc;
}

static int put_scored(struct tokenizer_folder *k, struct buf *text, struct err *err)
{
    struct score_merge *list = NULL;
    struct err why;
    size_t n = 0;
    int rc = score_merges(k->t, &list, &n, k->made, &why);

    if (rc == ERR_UNSUPPORTED)
        tokenizer_folder_fault(k, "%s", why.text);
    else if (rc < 0)
        return err_set(err, rc, "%s", why.text);
    for (size_t i = 0; i < n; i++)
        put_merge(k, list[i].left, list[i].right, text);
    free(list);
    return 0;
}

static int put_model(struct tokenizer_folder *k, struct err *err)
{
    const struct tokenizer *t = k->t;
    int unknown = k->pre ? -1 : t->pieces.unknown, rc;
    struct buf text = {0};

    json_put_begin(&k->j, "model", '{');
    json_put_text(&k->j, "type", "BPE");
    json_put_null(&k->j, "dropout");
    if (unknown >= 0)
        json_put_text(&k->j, "unk_token", t->vocab.tokens[unknown].text);
    else
        json_put_null(&k->j, "unk_token");
    json_put_null(&k->j, "continuing_subword_prefix");
    json_put_null(&k->j, "end_of_word_suffix");
    json_put_bool(&k->j, "fuse_unk", !k->pre);
    json_put_bool(&k->j, "byte_fallback", !k->pre && t->pieces.has_bytes);
    json_put_bool(&k->j, "ignore_merges", t->ignore_merges);
    put_vocab(k);
    json_put_begin(&k->j, "merges", '[');
    rc = k->pre ? put_listed(k, &text, err) : put_scored(k, &text, err);
    json_write_end(&k->j, ']');
    json_write_end(&k->j, '}');
    buf_free(&text);
    return rc;
}

static int put_json(struct tokenizer_folder *k, struct err *err)
{
    int rc;

    json_write_begin(&k->j, '{');
    json_put_text(&k->j, "version", "1.0");
    json_put_null(&k->j, "truncation");
    json_put_null(&k->j, "padding");
    tokenizer_folder_put_steps(k);
    rc = put_model(k, err);
    json_write_end(&k->j, '}');
    return rc == 0 && k->j.out->failed ? err_nomem(err, k->j.out->len) : rc;
}

/* ---- all ---- */

static void other_ids(void *context, const char *text, size_t len)
{
    tokenizer_folder_fault(context,
                           "merges in place of its scores give other ids for a text such as '%s'",
                           token_text_show(text, len).text);
}

/* What was written can be read, and does the same. */
static int try_json(struct tokenizer_folder *k, struct err *err)
{
    struct tokenizer_trial trial = {.is = k->t, .made = k->made, .fault = other_ids, .context = k};
    struct tokenizer *back = NULL;
    struct err why;
    int rc = tokenizer_from_json_text(k->j.out->data, k->j.out->len, &back, &why);

    if (rc == ERR_NOMEM)
        return err_set(err, rc, "%s", why.text);
    if (rc < 0) {
        tokenizer_folder_fault(k, "%s", why.text);
        return 0;
    }
    trial.becomes = back;
    if (k->t->kind == TOKENIZER_PIECES)
        rc = tokenizer_try(&trial, err);
    tokenizer_free(back);
    return rc;
}

int tokenizer_write_json(const struct tokenizer_writing *w, struct buf *ret_json,
                         struct buf *ret_config, struct buf *notices, struct problems *problems,
                         struct err *err)
{
    size_t n = (size_t)w->tokenizer->vocab.n + 1;
    struct tokenizer_folder k = {
        .w = w,
        .t = w->tokenizer,
        .j = {.out = ret_json},
        .notices = notices,
        .problems = problems,
        .added = {calloc(n, sizeof(*k.added[0])), calloc(n, sizeof(*k.added[1]))},
        .made = calloc(n, sizeof(*k.made)),
    };
    int before = problems_count(problems);
    int rc = k.added[0] && k.added[1] && k.made ? 0 : err_nomem(err, n * sizeof(*k.added[0]));

    if (rc == 0) {
        check_steps(&k);
        check_tokens(&k);
        check_templates(&k);
        find_added(&k);
    }
    if (rc == 0 && problems_count(problems) == before) {
        tokenizer_folder_put_config(&k, ret_config);
        rc = put_json(&k, err);
    }
    if (rc == 0 && problems_count(problems) == before)
        rc = ret_config->failed ? err_nomem(err, ret_config->len) : try_json(&k, err);
    free(k.added[0]);
    free(k.added[1]);
    free(k.made);
    return rc;
}
