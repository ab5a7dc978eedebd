/* core/text/tokenizer_write.c - see tokenizer_write.h: the tokens. tokenizer_write_check.c decides
 * what the file can say. */
#include "core/tensor/tensorfile.h"
#include "core/text/token_text.h"
#include "core/text/tokenizer_write_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAD_NAME_MAX = 40 };

/* ---- tokens ---- */

static bool is_byte(const struct tokenizer *t, int id)
{
    bool bytes = t->kind == TOKENIZER_PIECES ? t->pieces.has_bytes : t->fallback.bytes;

    return t->kind != TOKENIZER_BYTES && bytes &&
           vocab_byte_of_piece(t->vocab.tokens[id].text, t->vocab.tokens[id].len) >= 0;
}

static bool is_unknown(const struct tokenizer *t, int id)
{
    return t->kind != TOKENIZER_BYTES &&
           id == (t->kind == TOKENIZER_PIECES ? t->pieces.unknown : t->fallback.unknown);
}

/* Runs of blanks that are added tokens, too: no text has them once its blanks are U+2581, and
 * llama.cpp would print them as they are spelled. */
static bool is_run_of_blanks(const struct tokenizer_keys *k, int id)
{
    const struct vocab_token *token = &k->t->vocab.tokens[id];

    return k->t->kind == TOKENIZER_CHARACTERS && k->made[id] &&
           memmem(token->text, token->len, token_blank, strlen(token_blank));
}

static enum gguf_token type_of(const struct tokenizer_keys *k, int id)
{
    const struct tokenizer *t = k->t;

    if (id >= t->vocab.n || !t->vocab.tokens[id].text || t->vocab.tokens[id].len == 0)
        return GGUF_UNUSED;
    if ((t->flags[id] & TOKEN_ADDED) && is_unknown(t, id))
        return GGUF_UNKNOWN;
    if (t->flags[id] & TOKEN_SPECIAL)
        return GGUF_CONTROL;
    if (t->flags[id] & TOKEN_ADDED)
        return is_run_of_blanks(k, id) ? GGUF_NORMAL : GGUF_USER_DEFINED;
    return is_byte(t, id) ? GGUF_BYTE : GGUF_NORMAL;
}

/* An id that no token has, in the converter's words. */
static void add_unused(const struct tokenizer_keys *k, int id)
{
    char name[PAD_NAME_MAX];
    int len = snprintf(name, sizeof(name), "[PAD%d]", id);

    while (vocab_find(&k->t->vocab, name, (size_t)len) >= 0 && len + 1 < PAD_NAME_MAX)
        len += snprintf(name + len, sizeof(name) - (size_t)len, "_");
    gguf_add_text(k->o, name, (size_t)len);
}

/* SentencePiece finds the pieces that its user defined once blanks are U+2581, llama.cpp before. */
static void add_user_piece(const struct tokenizer_keys *k, const struct vocab_token *token)
{
    struct buf text = {0};

    token_text_append(token->text, token->len, &text);
    gguf_add_text(k->o, text.data ? text.data : "", text.len);
    k->o->keys.failed |= text.failed;
    buf_free(&text);
}

static void add_token(const struct tokenizer_keys *k, int id)
{
    const struct tokenizer *t = k->t;
    const struct vocab_token *token = &t->vocab.tokens[id];

    if (id >= t->vocab.n || !token->text || token->len == 0)
        add_unused(k, id);
    else if (t->kind == TOKENIZER_PIECES && (t->flags[id] & TOKEN_ADDED) &&
             t->pieces.ranks[id] != MERGE_NEVER)
        add_user_piece(k, token);
    else
        gguf_add_text(k->o, token->text, token->len);
}

static int put_tokens(const struct tokenizer_keys *k, struct err *err)
{
    size_t n = (size_t)k->w->n_tokens;
    int32_t *types = malloc((n + 1) * sizeof(*types));

    if (!types)
        return err_nomem(err, n * sizeof(*types));
    gguf_begin_texts(k->o, "tokenizer.ggml.tokens", n);
    for (int id = 0; id < (int)n; id++) {
        add_token(k, id);
        types[id] = type_of(k, id);
    }
    gguf_put_i32s(k->o, "tokenizer.ggml.token_type", types, n);
    free(types);
    return 0;
}

/* ---- merges, or scores ---- */

static int put_merges(const struct tokenizer_keys *k, struct err *err)
{
    const struct vocab *v = &k->t->vocab;
    struct vocab_merge *list = NULL;
    size_t n = 0;
    int rc = vocab_list_merges(v, &list, &n, err);

    if (rc < 0)
        return rc;
    gguf_begin_texts(k->o, "tokenizer.ggml.merges", n);
    for (size_t i = 0; i < n; i++) {
        const struct vocab_token *left = &v->tokens[list[i].key >> 32];
        const struct vocab_token *right = &v->tokens[list[i].key & UINT32_MAX];
        struct buf text = {0};
        buf_append(&text, left->text, left->len);
        buf_puts(&text, " ");
        buf_append(&text, right->text, right->len);
        gguf_add_text(k->o, text.data ? text.data : "", text.len);
        k->o->keys.failed |= text.failed;
        buf_free(&text);
    }
    free(list);
    return 0;
}

static int put_scores(const struct tokenizer_keys *k, struct err *err)
{
    size_t n = (size_t)k->w->n_tokens;
    float *scores = calloc(n + 1, sizeof(*scores));

    if (!scores)
        return err_nomem(err, n * sizeof(*scores));
    for (int id = 0; id < (int)n; id++) {
        enum gguf_token type = type_of(k, id);
        if (type == GGUF_NORMAL || type == GGUF_USER_DEFINED)
            scores[id] =
                k->t->kind == TOKENIZER_PIECES ? pieces_score(&k->t->pieces, id) : k->scores[id];
    }
    gguf_put_f32s(k->o, "tokenizer.ggml.scores", scores, n);
    free(scores);
    return 0;
}

/* ---- special tokens and templates ---- */

static void put_id(const struct tokenizer_keys *k, const char *key, int id)
{
    if (id >= 0 && id < k->w->n_tokens)
        gguf_put_u32(k->o, key, (uint32_t)id);
}

static int unknown_id(const struct tokenizer_keys *k)
{
    const struct tokenizer *t = k->t;
    int id = t->kind == TOKENIZER_PIECES ? t->pieces.unknown : t->fallback.unknown;

    return id >= 0 ? id : tokenizer_named(k->t, "unk_token");
}

/* llama.cpp ends a text at the end token, at two more that keys name, and at some known names. */
static void put_ends(const struct tokenizer_keys *k)
{
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    const struct tokenizer *t = k->t;
    size_t n = 0;
    bool seen;

    for (int i = 0; i < t->ends.n; i++) {
        int id = t->ends.ids[i];
        seen =
            id == t->eos || id >= t->vocab.n || id >= k->w->n_tokens || !t->vocab.tokens[id].text;
        for (int j = 0; j < i; j++)
            seen |= t->ends.ids[j] == id;
        if (seen || ((t->flags[id] & TOKEN_ADDED) && gguf_names_end(t->vocab.tokens[id].text)))
            continue;
        if (n < sizeof(keys) / sizeof(keys[0]))
            gguf_put_u32(k->o, keys[n++], (uint32_t)id);
        else
            buf_printf(k->notices, "llama.cpp does not end an answer at the token '%s'\n",
                       t->vocab.tokens[id].text);
    }
}

static void put_special(const struct tokenizer_keys *k)
{
    const struct tokenizer *t = k->t;

    put_id(k, "tokenizer.ggml.bos_token_id", t->bos);
    put_id(k, "tokenizer.ggml.eos_token_id", t->eos);
    put_id(k, "tokenizer.ggml.unknown_token_id", unknown_id(k));
    put_id(k, "tokenizer.ggml.seperator_token_id", tokenizer_named(k->t, "sep_token"));
    put_id(k, "tokenizer.ggml.padding_token_id", tokenizer_named(k->t, "pad_token"));
    put_id(k, "tokenizer.ggml.mask_token_id", tokenizer_named(k->t, "mask_token"));
    put_ends(k);
    gguf_put_bool(k->o, "tokenizer.ggml.add_bos_token", t->adds_bos);
    gguf_put_bool(k->o, "tokenizer.ggml.add_eos_token", t->behind >= 0 && t->behind == t->eos);
}

static void put_templates(const struct tokenizer_keys *k)
{
    const struct chat_source *s = &k->t->chat;
    const char *text = k->w->chat_template;
    int n = 0;
    char *key;

    for (int i = 0; i < s->n_templates; i++) {
        if (strcmp(s->templates[i].name, "default") != 0)
            n++;
        else if (!text)
            text = s->templates[i].text;
    }
    if (text)
        gguf_put_string(k->o, "tokenizer.chat_template", text);
    if (n == 0)
        return;
    gguf_begin_texts(k->o, "tokenizer.chat_templates", (size_t)n);
    for (int i = 0; i < s->n_templates; i++)
        if (strcmp(s->templates[i].name, "default") != 0)
            gguf_add_text(k->o, s->templates[i].name, strlen(s->templates[i].name));
    for (int i = 0; i < s->n_templates; i++) {
        if (strcmp(s->templates[i].name, "default") == 0)
            continue;
        if (asprintf(&key, "tokenizer.chat_template.%s", s->templates[i].name) < 0) {
            k->o->keys.failed = true;
            return;
        }
        gguf_put_string(k->o, key, s->templates[i].text);
        free(key);
    }
}

/* ---- all ---- */

static int put_keys(const struct tokenizer_keys *k, struct err *err)
{
    bool bytes = k->t->kind == TOKENIZER_BYTES;
    int rc;

    gguf_put_string(k->o, "tokenizer.ggml.model", bytes ? "gpt2" : "llama");
    gguf_put_string(k->o, "tokenizer.ggml.pre", bytes ? k->pre->name : "default");
    rc = put_tokens(k, err);
    if (rc == 0)
        rc = bytes ? put_merges(k, err) : put_scores(k, err);
    if (!bytes) {
        gguf_put_bool(k->o, "tokenizer.ggml.add_space_prefix", k->prefix);
        gguf_put_bool(k->o, "tokenizer.ggml.remove_extra_whitespaces", k->collapse);
    }
    put_special(k);
    put_templates(k);
    return rc;
}

static void other_ids(void *context, const char *text, size_t len)
{
    tokenizer_write_fault(
        context, "scores in place of its merges give other ids for a text such as", text, len);
}

/* Reads back keys in which merges have become scores. */
static int try_keys(struct tokenizer_keys *k, struct err *err)
{
    struct tokenizer_trial trial = {.is = k->t, .made = k->made, .fault = other_ids, .context = k};
    struct tensorfile *file = NULL;
    struct tokenizer *back = NULL;
    struct buf image = {0};
    int rc = gguf_out_header(k->o, &image, err);

    if (rc == 0)
        rc = tensorfile_from_memory(image.data, image.len, k->w->from, &file, err);
    if (rc == 0)
        rc = tokenizer_from_gguf(file, &back, err);
    trial.becomes = back;
    if (rc == 0)
        rc = tokenizer_try(&trial, err);
    tokenizer_free(back);
    tensorfile_close(file);
    buf_free(&image);
    return rc;
}

int tokenizer_write_gguf(const struct tokenizer_writing *w, struct gguf_out *o, struct buf *notices,
                         struct problems *problems, struct err *err)
{
    size_t n = (size_t)w->tokenizer->vocab.n + 1;
    struct tokenizer_keys k = {
        .w = w,
        .t = w->tokenizer,
        .o = o,
        .notices = notices,
        .problems = problems,
        .scores = calloc(n, sizeof(*k.scores)),
        .made = calloc(n, sizeof(*k.made)),
    };
    int before = problems_count(problems);
    int rc = k.scores && k.made ? tokenizer_write_check(&k, err) : err_nomem(err, n);

    if (rc == 0 && problems_count(problems) == before)
        rc = put_keys(&k, err);
    if (rc == 0 && problems_count(problems) == before && k.t->kind == TOKENIZER_CHARACTERS)
        rc = try_keys(&k, err);
    free(k.scores);
    free(k.made);
    return rc;
}
