/* core/text/tokenizer_gguf.c - a tokenizer from a GGUF's key-values: byte-level BPE ("gpt2") or
 * SentencePiece's BPE ("llama"), as llama.cpp reads them. */
#include "core/tensor/tensorfile.h"
#include "core/text/gguf_pre.h"
#include "core/text/gguf_tokens.h"
#include "core/text/tokenizer_impl.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct arrays {
    const struct gguf_array *tokens, *types, *merges, *scores; /* types may be NULL */
};

static int changed(struct err *err)
{
    return err_set(err, ERR_INVALID, "the file was changed while it was read");
}

static bool is_added(int type)
{
    return type == GGUF_CONTROL || type == GGUF_UNKNOWN || type == GGUF_USER_DEFINED;
}

static int put_token(struct tokenizer *t, const struct arrays *a, int id, const char *text,
                     size_t len, struct err *err)
{
    int type = a->types ? (int)gguf_number(a->types, id) : GGUF_NORMAL, rc;
    unsigned flags = type == GGUF_USER_DEFINED ? 0 : ADDED_SPECIAL;
    double score;

    if (is_added(type))
        rc = tokenizer_add_token(t, id, text, len, flags, ADDED_FIRST, err);
    else
        rc = vocab_put(&t->vocab, id, text, len, err);
    if (rc < 0 || t->kind != TOKENIZER_PIECES)
        return rc;
    score = a->scores ? gguf_number(a->scores, id) : 0;
    if (isnan(score))
        return err_set(err, ERR_INVALID, "the score of token %d is not a number", id);
    if (type == GGUF_UNKNOWN && t->pieces.unknown < 0)
        t->pieces.unknown = id;
    if (type != GGUF_CONTROL && type != GGUF_UNKNOWN && type != GGUF_BYTE)
        pieces_set_score(&t->pieces, &t->vocab, id, (float)score);
    return 0;
}

static int put_tokens(struct tokenizer *t, const struct arrays *a, struct err *err)
{
    const uint8_t *at = NULL;
    const char *text;
    size_t len;
    int rc = 0;

    for (int id = 0; id < (int)a->tokens->n && rc == 0; id++)
        rc = gguf_next_text(a->tokens, &at, &text, &len) ? put_token(t, a, id, text, len, err)
                                                         : changed(err);
    return rc;
}

static int put_merges(struct tokenizer *t, const struct gguf_array *merges, struct err *err)
{
    const uint8_t *at = NULL;
    const char *text, *blank;
    size_t len;
    int rc = 0;

    for (int i = 0; i < (int)merges->n && rc == 0; i++) {
        if (!gguf_next_text(merges, &at, &text, &len))
            return changed(err);
        blank = len > 0 ? memchr(text + 1, ' ', len - 1) : NULL;
        if (!blank)
            return err_set(err, ERR_INVALID, "merge %d of the GGUF is not two tokens", i);
        rc = vocab_put_merge(&t->vocab, i, text, (size_t)(blank - text), blank + 1,
                             (size_t)(text + len - blank - 1), err);
    }
    return rc;
}

static int id_of_key(const struct tensorfile *file, const char *key, int fallback)
{
    double v;

    return tensorfile_kv_number(file, key, &v) && v >= 0 && v < VOCAB_MAX ? (int)v : fallback;
}

static int check_arrays(const struct arrays *a, bool pieces, struct err *err)
{
    if (!a->tokens || !a->tokens->strings || a->tokens->n < 1 || a->tokens->n > VOCAB_MAX)
        return err_set(err, ERR_INVALID,
                       "tokenizer.ggml.tokens is missing or is not an array of strings");
    if (a->types && (a->types->strings || a->types->n != a->tokens->n))
        return err_set(err, ERR_INVALID, "tokenizer.ggml.token_type does not fit the tokens");
    if (pieces && (!a->scores || a->scores->strings || a->scores->n != a->tokens->n))
        return err_set(err, ERR_INVALID,
                       "tokenizer.ggml.scores is missing or does not fit the tokens");
    if (!pieces && (!a->merges || !a->merges->strings || a->merges->n > VOCAB_MAX))
        return err_set(err, ERR_INVALID,
                       "tokenizer.ggml.merges is missing or is not an array of strings");
    return 0;
}

/* SentencePiece's normalisation, as far as a GGUF has it. */
static int add_pieces_steps(struct tokenizer *t, const struct tensorfile *file, struct err *err)
{
    bool prefix = true, collapse = false;

    tensorfile_kv_bool(file, "tokenizer.ggml.add_space_prefix", &prefix);
    tensorfile_kv_bool(file, "tokenizer.ggml.remove_extra_whitespaces", &collapse);
    t->strip = prefix ? STRIP_BLANK : STRIP_NOTHING;
    return normalizer_add_blanks(&t->normalizer, prefix, collapse, err);
}

bool gguf_names_phi3(const char *name)
{
    return name && (strcasestr(name, "phi-3") || strcasestr(name, "phi3"));
}

bool gguf_phi3_strips(const char *token)
{
    static const char *const not [] = {"<unk>", "<s>", "<|endoftext|>"};

    for (size_t i = 0; i < sizeof(not ) / sizeof(not [0]); i++)
        if (strcmp(token, not [i]) == 0)
            return false;
    return true;
}

static void strip_behind(struct tokenizer *t, const struct tensorfile *file)
{
    struct added_tokens *a = &t->added[ADDED_FIRST];

    if (!gguf_names_phi3(tensorfile_kv_string(file, "general.name")))
        return;
    for (int i = 0; i < a->n; i++)
        if (gguf_phi3_strips(a->items[i].text))
            a->items[i].flags |= ADDED_RSTRIP;
}

/* Names of what ends a generated text beside the end token. */
static const char *const ends[] = {"<|eot_id|>",    "<|eom_id|>",    "<|im_end|>", "<|end|>",
                                   "<end_of_turn>", "<|endoftext|>", "<EOT>"};
enum { N_ENDS = sizeof(ends) / sizeof(ends[0]) };

bool gguf_names_end(const char *token)
{
    for (int i = 0; i < N_ENDS; i++)
        if (strcmp(token, ends[i]) == 0)
            return true;
    return false;
}

static int read_ends(struct tokenizer *t, const struct tensorfile *file, struct err *err)
{
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    int rc = 0;

    for (int i = 0; i < N_ENDS && rc == 0; i++) {
        int id = tokenizer_id(t, ends[i]);
        if (id >= 0 && (t->flags[id] & TOKEN_ADDED))
            rc = token_list_push(&t->ends, id, 0, err);
    }
    for (int i = 0; i < 2 && rc == 0; i++) {
        int id = id_of_key(file, keys[i], -1);
        if (id >= 0)
            rc = token_list_push(&t->ends, id, 0, err);
    }
    return rc;
}

/* Special tokens by the names of transformers. */
static int read_chat(struct tokenizer *t, const struct tensorfile *file, struct err *err)
{
    const struct {
        const char *name;
        int id;
    } specials[] = {
        {"bos_token", t->bos},
        {"eos_token", t->eos},
        {"unk_token", id_of_key(file, "tokenizer.ggml.unknown_token_id", -1)},
        {"sep_token", id_of_key(file, "tokenizer.ggml.seperator_token_id", -1)},
        {"pad_token", id_of_key(file, "tokenizer.ggml.padding_token_id", -1)},
        {"mask_token", id_of_key(file, "tokenizer.ggml.mask_token_id", -1)},
    };
    int rc = chat_source_read_gguf(&t->chat, file, err);

    for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]) && rc == 0; i++)
        if (specials[i].id >= 0 && specials[i].id < t->vocab.n)
            rc = chat_source_add_special(&t->chat, specials[i].name,
                                         t->vocab.tokens[specials[i].id].text, err);
    return rc;
}

static int read_special(struct tokenizer *t, const struct tensorfile *file, struct err *err)
{
    bool pieces = t->kind == TOKENIZER_PIECES, adds_eos = false;
    int rc;

    tensorfile_kv_bool(file, "tokenizer.ggml.add_bos_token", &t->adds_bos);
    tensorfile_kv_bool(file, "tokenizer.ggml.add_eos_token", &adds_eos);
    t->bos = id_of_key(file, "tokenizer.ggml.bos_token_id", pieces ? 1 : -1);
    t->eos = id_of_key(file, "tokenizer.ggml.eos_token_id", pieces ? 2 : -1);
    t->behind = adds_eos ? t->eos : -1;
    rc = read_ends(t, file, err);
    return rc < 0 ? rc : read_chat(t, file, err);
}

static int fill(struct tokenizer *t, const struct tensorfile *file, const struct arrays *a,
                const struct gguf_pre *pre, struct err *err)
{
    int rc = put_tokens(t, a, err);

    if (rc == 0 && pre)
        rc = put_merges(t, a->merges, err);
    if (rc == 0)
        rc = pre ? gguf_pre_add(pre, &t->normalizer, &t->pre, err) : add_pieces_steps(t, file, err);
    if (rc < 0)
        return rc;
    t->ignore_merges = pre && pre->ignore_merges;
    t->adds_bos = !pre || pre->adds_bos; /* unless the file says otherwise: llama.cpp's rule */
    strip_behind(t, file);
    rc = read_special(t, file, err);
    return rc < 0 ? rc : tokenizer_finish(t, err);
}

/* *ret_pre is NULL for pieces. */
static int find_kind(const struct tensorfile *file, const struct gguf_pre **ret_pre,
                     struct err *err)
{
    const char *model = tensorfile_kv_string(file, "tokenizer.ggml.model");
    const char *name = tensorfile_kv_string(file, "tokenizer.ggml.pre");

    *ret_pre = NULL;
    if (model && strcmp(model, "llama") == 0)
        return 0;
    if (!model || strcmp(model, "gpt2") != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "the tokenizer model '%.60s' is not supported: gpt2 (byte-level BPE) and "
                       "llama (SentencePiece's BPE) are",
                       model ? model : "(none is named)");
    *ret_pre = gguf_pre_find(name);
    if (*ret_pre)
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "the pre-tokenizer '%.60s' (tokenizer.ggml.pre) is not supported: use the "
                   "model's folder with its tokenizer.json",
                   name);
}

static int from_gguf(const struct tensorfile *file, struct tokenizer **ret, struct err *err)
{
    const struct arrays a = {
        .tokens = tensorfile_kv_array(file, "tokenizer.ggml.tokens"),
        .types = tensorfile_kv_array(file, "tokenizer.ggml.token_type"),
        .merges = tensorfile_kv_array(file, "tokenizer.ggml.merges"),
        .scores = tensorfile_kv_array(file, "tokenizer.ggml.scores"),
    };
    const struct gguf_pre *pre = NULL;
    struct tokenizer *t = NULL;
    int rc = find_kind(file, &pre, err);

    if (rc == 0)
        rc = check_arrays(&a, !pre, err);
    if (rc == 0)
        rc = tokenizer_new(pre ? TOKENIZER_BYTES : TOKENIZER_PIECES, (int)a.tokens->n,
                           pre ? (size_t)a.merges->n : 0, &t, err);
    if (rc == 0)
        rc = fill(t, file, &a, pre, err);
    if (rc < 0) {
        tokenizer_free(t);
        return rc;
    }
    *ret = t;
    return 0;
}

int tokenizer_from_gguf(const struct tensorfile *file, struct tokenizer **ret_tokenizer,
                        struct err *err)
{
    int rc = from_gguf(file, ret_tokenizer, err);

    if (rc < 0)
        err_prefix(err, "%s", tensorfile_path(file));
    return rc;
}
