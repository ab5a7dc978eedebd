/* core/text/tokenizer_json.c - a tokenizer from HF's tokenizer.json and the files beside it.
 *
 * Every component of the file is either done exactly or refused by name. Not looked at are
 * truncation and padding (we do neither), and what a decoder does beside putting bytes and blanks
 * back.
 */
#include "core/text/json_model.h"
#include "core/text/json_steps.h"
#include "core/text/tokenizer_files.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    GAP_MAX = 1 << 16
}; /* a quarter of what the ids may leave out beside the tokens there are */

enum { FILE_BYTES_MAX = 64 << 20 };

/* A blank text, null and false say no. */
static bool is_no(const json_t *value)
{
    return !json_is_set(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

static int check_model(const struct json_model *m, const json_t *root, struct err *err)
{
    static const char *const refused[] = {"dropout", "continuing_subword_prefix",
                                          "end_of_word_suffix"};
    const json_t *model = json_object_get(root, "model");

    if (!json_is_object(model))
        return err_set(err, ERR_INVALID, "has no model");
    /* files of old leave the type out */
    if (json_is_set(json_object_get(model, "type")) &&
        strcmp(json_component_type(model), "BPE") != 0)
        return json_component_refuse(err, "tokenizer model", json_component_type(model));
    if (!m->vocab || !m->merges)
        return err_set(err, ERR_INVALID, "the model has no vocab or no merges");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (!is_no(json_object_get(model, refused[i])))
            return json_component_refuse(err, "setting of the BPE model", refused[i]);
    return 0;
}

/* The largest id + 1 of vocab and added_tokens; a negative code where one is not an id, or where
 * there are so few tokens that tables for all ids would be out of proportion. */
static int count_ids(const struct json_model *m, const json_t *added, int *ret, struct err *err)
{
    size_t n = 0, i;
    int most = -1, rc = json_model_count_tokens(m, &n, &most, err);
    json_t *value;

    if (rc < 0)
        return rc;
    json_array_foreach(added, i, value)
    {
        const json_t *number = json_object_get(value, "id");
        json_int_t id = json_is_integer(number) ? json_integer_value(number) : -1;
        if (id < 0 || id >= VOCAB_MAX || !json_is_string(json_object_get(value, "content")))
            return err_set(err, ERR_INVALID, "added token %zu has no possible id or no content", i);
        most = id > most ? (int)id : most;
    }
    n += json_array_size(added);
    *ret = most + 1;
    if (most < 0)
        return err_set(err, ERR_INVALID, "the vocabulary is empty");
    if ((size_t)most / 4 > n + GAP_MAX)
        return err_set(err, ERR_INVALID,
                       "a token has the id %d, but there are only %zu tokens: the file is damaged",
                       most, n);
    return 0;
}

static unsigned flags_of(const json_t *token)
{
    static const struct {
        const char *key;
        unsigned flag;
    } flags[] = {
        {"lstrip", ADDED_LSTRIP},
        {"rstrip", ADDED_RSTRIP},
        {"single_word", ADDED_SINGLE_WORD},
        {"special", ADDED_SPECIAL},
    };
    unsigned set = 0;

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (json_is_true(json_object_get(token, flags[i].key)))
            set |= flags[i].flag;
    return set;
}

static int put_added(struct tokenizer *t, const json_t *added, struct err *err)
{
    json_t *value;
    size_t i;
    int rc;

    json_array_foreach(added, i, value)
    {
        const json_t *content = json_object_get(value, "content");
        bool second = json_is_true(json_object_get(value, "normalized"));
        rc = tokenizer_add_token(t, (int)json_integer_value(json_object_get(value, "id")),
                                 json_string_value(content), json_string_length(content),
                                 flags_of(value), second ? ADDED_SECOND : ADDED_FIRST, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* What a character becomes that no token stands for. */
static int read_fallback(struct tokenizer *t, const json_t *model, struct err *err)
{
    const char *unknown = json_string_value(json_object_get(model, "unk_token"));

    t->fallback.bytes = json_is_true(json_object_get(model, "byte_fallback"));
    t->fallback.fuse = json_is_true(json_object_get(model, "fuse_unk"));
    t->fallback.unknown = unknown ? tokenizer_id(t, unknown) : -1;
    if (t->kind == TOKENIZER_CHARACTERS && unknown && t->fallback.unknown < 0)
        return err_set(err, ERR_INVALID, "the unk_token '%.60s' is not in the vocabulary", unknown);
    return 0;
}

/* In a BPE of bytes, an unknown token would stand for bytes that the vocabulary cannot spell; we
 * leave those out, as is done where there is none. */
static int check_unknown(const struct tokenizer *t, const json_t *model, struct err *err)
{
    const char *unknown = json_string_value(json_object_get(model, "unk_token"));
    bool fallback = json_is_true(json_object_get(model, "byte_fallback"));

    if (t->kind != TOKENIZER_BYTES)
        return 0;
    for (int byte = 0; (unknown || fallback) && byte < 256; byte++)
        if (t->vocab.byte_ids[byte] < 0)
            return json_component_refuse(
                err,
                unknown ? "unknown token (unk_token) beside a vocabulary without every "
                          "byte"
                        : "setting of the BPE model beside a vocabulary without every "
                          "byte",
                unknown ? unknown : "byte_fallback");
    return 0;
}

static bool is_step(const json_t *step, const char *type, const char *key, const char *text)
{
    const char *is = json_string_value(json_object_get(step, "type"));
    const char *value = json_string_value(json_object_get(step, key));

    return is && strcmp(is, type) == 0 && value && strcmp(value, text) == 0;
}

/* The steps that a converted model of SentencePiece has: a blank in front, and every blank becomes
 * U+2581. */
static bool is_converted(const json_t *root)
{
    const json_t *steps = json_object_get(json_object_get(root, "normalizer"), "normalizers");
    const json_t *replace = json_array_get(steps, 1);
    const char *blank =
        json_string_value(json_object_get(json_object_get(replace, "pattern"), "String"));

    return json_array_size(steps) == 2 && !json_is_set(json_object_get(root, "pre_tokenizer")) &&
           is_step(json_array_get(steps, 0), "Prepend", "prepend", "\xe2\x96\x81") &&
           is_step(replace, "Replace", "content", "\xe2\x96\x81") && blank &&
           strcmp(blank, " ") == 0;
}

/* transformers 5 has steps of its own for the class LlamaTokenizer in place of those of the file:
 * unless `legacy` is set, only the beginning of a text gets a blank, not what follows a special
 * token. */
static int add_steps(struct tokenizer *t, const json_t *root, const struct tokenizer_files *files,
                     struct err *err)
{
    const char *class = json_string_value(json_object_get(files->config, "tokenizer_class"));
    const json_t *prefix = json_object_get(files->config, "add_prefix_space");
    bool llama =
        class && (strcmp(class, "LlamaTokenizer") == 0 || strcmp(class, "LlamaTokenizerFast") == 0);
    int rc;

    if (llama && is_converted(root))
        return pretokenizer_add_meta(&t->pre, "\xe2\x96\x81",
                                     json_is_false(prefix) ? META_NEVER
                                     : json_is_true(json_object_get(files->config, "legacy"))
                                         ? META_ALWAYS
                                         : META_FIRST,
                                     err);
    rc = json_steps_add_normalizer(t, json_object_get(root, "normalizer"), err);
    return rc < 0 ? rc
                  : json_steps_add_pre_tokenizer(t, json_object_get(root, "pre_tokenizer"), err);
}

static int fill(struct tokenizer *t, const struct json_model *m, const json_t *root,
                const struct tokenizer_files *files, int n_ids, struct err *err)
{
    const json_t *model = json_object_get(root, "model");
    int rc = json_model_put_tokens(m, &t->vocab, err);

    if (rc == 0)
        rc = put_added(t, json_object_get(root, "added_tokens"), err);
    if (rc == 0)
        rc = json_model_put_merges(m, &t->vocab, err);
    if (rc == 0)
        rc = read_fallback(t, model, err);
    if (rc == 0)
        rc = add_steps(t, root, files, err);
    if (rc < 0)
        return rc;
    t->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    json_steps_read_decoder(t, json_object_get(root, "decoder"));
    json_steps_read_post_processor(t, json_object_get(root, "post_processor"));
    rc = files->path ? tokenizer_files_apply(files, t, n_ids, err) : 0;
    if (rc == 0)
        rc = tokenizer_finish(t, err);
    return rc < 0 ? rc : check_unknown(t, model, err);
}

static int from_root(const struct json_model *m, const json_t *root,
                     const struct tokenizer_files *files, int bos_id, int eos_id,
                     struct tokenizer **ret, struct err *err)
{
    bool bytes = json_steps_are_of_bytes(json_object_get(root, "pre_tokenizer"));
    struct tokenizer *t = NULL;
    int rc = check_model(m, root, err), n_ids = 0;

    if (rc == 0)
        rc = count_ids(m, json_object_get(root, "added_tokens"), &n_ids, err);
    if (rc == 0)
        rc = tokenizer_new(bytes ? TOKENIZER_BYTES : TOKENIZER_CHARACTERS,
                           n_ids + (int)tokenizer_files_count(files), json_model_count_merges(m),
                           &t, err);
    if (rc != 0)
        return rc;
    t->bos = bos_id;
    t->eos = eos_id;
    rc = fill(t, m, root, files, n_ids, err);
    if (rc < 0) {
        tokenizer_free(t);
        return rc;
    }
    *ret = t;
    return 0;
}

int tokenizer_from_json(const char *path, int bos_id, int eos_id, struct tokenizer **ret_tokenizer,
                        struct err *err)
{
    struct tokenizer_files files = {0};
    struct json_model m;
    json_t *root = NULL;
    int rc = json_model_read(path, FILE_BYTES_MAX, &m, &root, err);

    if (rc == 0)
        rc = tokenizer_files_read(path, &files, err);
    if (rc == 0 && (rc = from_root(&m, root, &files, bos_id, eos_id, ret_tokenizer, err)) < 0)
        err_prefix(err, "%s", path);
    tokenizer_files_free(&files);
    json_model_free(&m);
    json_decref(root);
    return rc;
}

int tokenizer_from_json_text(const char *text, size_t len, struct tokenizer **ret_tokenizer,
                             struct err *err)
{
    const struct tokenizer_files none = {0};
    struct json_model m;
    json_t *root = NULL;
    int rc = json_model_of_text(text, len, &m, &root, err);

    if (rc == 0)
        rc = from_root(&m, root, &none, -1, -1, ret_tokenizer, err);
    json_model_free(&m);
    json_decref(root);
    return rc;
}
