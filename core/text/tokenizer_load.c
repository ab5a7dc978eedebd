/* core/text/tokenizer_load.c - a tokenizer from a GGUF's key-values.
 *
 * A GGUF does not hold the pre-tokenizer but its name; the patterns behind the names are those of
 * the models' own tokenizer.json.
 */
#include "core/tensor/tensorfile.h"
#include "core/text/tokenizer_impl.h"
#include <stdlib.h>
#include <string.h>

/* tokenizer.ggml.token_type */
enum { GGUF_NORMAL = 1, GGUF_UNKNOWN = 2, GGUF_CONTROL = 3, GGUF_USER_DEFINED = 4 };

enum pre_family { PRE_GPT2, PRE_SMOLLM, PRE_LLAMA3, PRE_QWEN2 };

static const struct pre_name {
    const char *name;
    enum pre_family family;
} pre_names[] = {
    {"smollm", PRE_SMOLLM},    {"starcoder", PRE_SMOLLM}, {"refact", PRE_SMOLLM},
    {"command-r", PRE_SMOLLM}, {"codeshell", PRE_SMOLLM}, {"llama-bpe", PRE_LLAMA3},
    {"llama3", PRE_LLAMA3},    {"llama-v3", PRE_LLAMA3},  {"falcon3", PRE_LLAMA3},
    {"qwen2", PRE_QWEN2},      {"megrez", PRE_QWEN2},     {"deepseek-r1-qwen", PRE_QWEN2},
    {"gpt-2", PRE_GPT2},       {"phi-2", PRE_GPT2},       {"olmo", PRE_GPT2},
    {"mpt", PRE_GPT2},
};

static const struct pre_name *find_pre(const char *name)
{
    for (size_t i = 0; name && i < sizeof(pre_names) / sizeof(pre_names[0]); i++)
        if (strcmp(pre_names[i].name, name) == 0)
            return &pre_names[i];
    return NULL;
}

static int add_steps(struct tokenizer *t, enum pre_family family, struct err *err)
{
    static const char *const patterns[] = {
        [PRE_GPT2] = pretokenizer_gpt2,
        [PRE_SMOLLM] = pretokenizer_gpt2,
        [PRE_LLAMA3] = pretokenizer_llama3,
        [PRE_QWEN2] = pretokenizer_qwen2,
    };
    int rc = 0;

    if (family == PRE_SMOLLM)
        rc = pretokenizer_add(&t->pre, "\\p{N}", false, SPLIT_ISOLATED, false, err);
    if (rc == 0)
        rc = pretokenizer_add(&t->pre, patterns[family], false, SPLIT_ISOLATED, false, err);
    return rc;
}

static int changed(struct err *err)
{
    return err_set(err, ERR_INVALID, "the file was changed while it was read");
}

static int put_tokens(struct tokenizer *t, const struct gguf_array *tokens,
                      const struct gguf_array *types, struct err *err)
{
    const uint8_t *at = NULL;
    const char *text;
    size_t len;
    int rc = 0;

    for (int id = 0; id < (int)tokens->n && rc == 0; id++) {
        double type = types ? gguf_number(types, id) : GGUF_NORMAL;
        if (!gguf_next_text(tokens, &at, &text, &len))
            rc = changed(err);
        else if (type == GGUF_CONTROL || type == GGUF_UNKNOWN || type == GGUF_USER_DEFINED)
            rc = tokenizer_add_token(t, id, text, len, type != GGUF_USER_DEFINED, ADDED_FIRST, err);
        else
            rc = vocab_put(&t->vocab, id, text, len, err);
    }
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

static int id_of_key(const struct tensorfile *file, const char *key)
{
    double v;

    return tensorfile_kv_number(file, key, &v) && v >= 0 && v < VOCAB_MAX ? (int)v : -1;
}

static int check_arrays(const struct gguf_array *tokens, const struct gguf_array *types,
                        const struct gguf_array *merges, struct err *err)
{
    if (!tokens || !tokens->strings || tokens->n < 1 || tokens->n > VOCAB_MAX)
        return err_set(err, ERR_INVALID,
                       "tokenizer.ggml.tokens is missing or is not an array of strings");
    if (types && (types->strings || types->n != tokens->n))
        return err_set(err, ERR_INVALID, "tokenizer.ggml.token_type does not fit the tokens");
    if (!merges || !merges->strings || merges->n > VOCAB_MAX)
        return err_set(err, ERR_INVALID,
                       "tokenizer.ggml.merges is missing or is not an array of strings");
    return 0;
}

static int fill(struct tokenizer *t, const struct tensorfile *file, enum pre_family family,
                struct err *err)
{
    const char *template = tensorfile_kv_string(file, "tokenizer.chat_template");
    int rc = put_tokens(t, tensorfile_kv_array(file, "tokenizer.ggml.tokens"),
                        tensorfile_kv_array(file, "tokenizer.ggml.token_type"), err);

    if (rc == 0)
        rc = put_merges(t, tensorfile_kv_array(file, "tokenizer.ggml.merges"), err);
    if (rc == 0)
        rc = add_steps(t, family, err);
    if (rc < 0)
        return rc;
    t->ignore_merges = family == PRE_LLAMA3;
    t->adds_bos = family == PRE_LLAMA3; /* unless the file says otherwise: llama.cpp's rule */
    tensorfile_kv_bool(file, "tokenizer.ggml.add_bos_token", &t->adds_bos);
    t->bos = id_of_key(file, "tokenizer.ggml.bos_token_id");
    t->eos = id_of_key(file, "tokenizer.ggml.eos_token_id");
    if (template && !(t->chat_template = strdup(template)))
        return err_nomem(err, strlen(template));
    return tokenizer_finish(t, err);
}

static int from_gguf(const struct tensorfile *file, struct tokenizer **ret, struct err *err)
{
    const struct gguf_array *tokens = tensorfile_kv_array(file, "tokenizer.ggml.tokens");
    const struct gguf_array *merges = tensorfile_kv_array(file, "tokenizer.ggml.merges");
    const char *model = tensorfile_kv_string(file, "tokenizer.ggml.model");
    const char *name = tensorfile_kv_string(file, "tokenizer.ggml.pre");
    const struct pre_name *pre = find_pre(name);
    struct tokenizer *t = NULL;
    int rc;

    if (!model || strcmp(model, "gpt2") != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "the tokenizer model '%.60s' is not supported: byte-level BPE (gpt2) is",
                       model ? model : "(none is named)");
    if (!pre)
        return err_set(
            err, ERR_UNSUPPORTED,
            "the pre-tokenizer '%.60s' is not supported: smollm, llama-bpe, qwen2, gpt-2 "
            "and their aliases are",
            name ? name : "(none is named)");
    rc = check_arrays(tokens, tensorfile_kv_array(file, "tokenizer.ggml.token_type"), merges, err);
    if (rc == 0)
        rc = tokenizer_new((int)tokens->n, (size_t)merges->n, &t, err);
    if (rc == 0)
        rc = fill(t, file, pre->family, err);
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
