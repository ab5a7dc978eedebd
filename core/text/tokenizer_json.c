/* core/text/tokenizer_json.c - a tokenizer from HF's tokenizer.json and the tokenizer_config.json
 * beside it.
 *
 * Every component of the file is either done exactly or refused by name. Not looked at are
 * truncation and padding (we do neither), the decoder (byte-level BPE has but one) and what a
 * post-processor adds behind the text.
 */
#include "core/file.h"
#include "core/json_file.h"
#include "core/text/tokenizer_impl.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    GAP_MAX = 1 << 16
}; /* a quarter of what the ids may leave out beside the tokens there are */

enum { FILE_BYTES_MAX = 64 << 20, BESIDE_BYTES_MAX = 16 << 20 };

static const char *type_of(const json_t *component)
{
    const char *type = json_string_value(json_object_get(component, "type"));

    return type ? type : "(no type)";
}

static bool is_set(const json_t *value)
{
    return value && !json_is_null(value);
}

static int refuse(struct err *err, const char *what, const char *name)
{
    return err_set(err, ERR_UNSUPPORTED, "the %s '%.60s' is not supported", what, name);
}

/* A blank text, null and false say no. */
static bool is_no(const json_t *value)
{
    return !is_set(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

static int check_model(const json_t *root, struct err *err)
{
    static const char *const refused[] = {"dropout", "continuing_subword_prefix",
                                          "end_of_word_suffix", "byte_fallback"};
    const json_t *model = json_object_get(root, "model");
    const json_t *normalizer = json_object_get(root, "normalizer");
    const json_t *list = json_object_get(normalizer, "normalizers");

    if (!json_is_object(model))
        return err_set(err, ERR_INVALID, "has no model");
    /* files of old leave the type out */
    if (is_set(json_object_get(model, "type")) && strcmp(type_of(model), "BPE") != 0)
        return refuse(err, "tokenizer model", type_of(model));
    if (!json_is_object(json_object_get(model, "vocab")) ||
        !json_is_array(json_object_get(model, "merges")))
        return err_set(err, ERR_INVALID, "the model has no vocab or no merges");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (!is_no(json_object_get(model, refused[i])))
            return refuse(err, "setting of the BPE model", refused[i]);
    if (is_set(normalizer) && !(json_is_array(list) && json_array_size(list) == 0))
        return err_set(err, ERR_UNSUPPORTED,
                       "the normalizer %.60s, which changes the text before it is cut, is not "
                       "supported",
                       type_of(normalizer));
    return 0;
}

/* The largest id + 1 of vocab and added_tokens; a negative code where one is not an id, or where
 * there are so few tokens that tables for all ids would be out of proportion. */
static int count_ids(const json_t *vocab, const json_t *added, int *ret, struct err *err)
{
    json_int_t most = -1, id;
    const char *text;
    json_t *value;
    size_t i;

    json_object_foreach((json_t *)vocab, text, value)
    {
        id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= VOCAB_MAX)
            return err_set(err, ERR_INVALID, "the token '%.80s' has no possible id", text);
        most = id > most ? id : most;
    }
    json_array_foreach(added, i, value)
    {
        const json_t *number = json_object_get(value, "id");
        id = json_is_integer(number) ? json_integer_value(number) : -1;
        if (id < 0 || id >= VOCAB_MAX || !json_is_string(json_object_get(value, "content")))
            return err_set(err, ERR_INVALID, "added token %zu has no possible id or no content", i);
        most = id > most ? id : most;
    }
    *ret = (int)most + 1;
    if (most < 0)
        return err_set(err, ERR_INVALID, "the vocabulary is empty");
    if ((size_t)most / 4 > json_object_size(vocab) + json_array_size(added) + GAP_MAX)
        return err_set(
            err, ERR_INVALID,
            "a token has the id %lld, but there are only %zu tokens: the file is damaged",
            (long long)most, json_object_size(vocab) + json_array_size(added));
    return 0;
}

static int put_vocab(struct tokenizer *t, const json_t *vocab, struct err *err)
{
    const char *text;
    json_t *id;
    int rc = 0;

    json_object_foreach((json_t *)vocab, text, id)
    {
        rc = vocab_put(&t->vocab, (int)json_integer_value(id), text, strlen(text), err);
        if (rc < 0)
            break;
    }
    return rc;
}

static int put_added(struct tokenizer *t, const json_t *added, struct err *err)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
    json_t *value;
    size_t i;
    int rc;

    json_array_foreach(added, i, value)
    {
        const json_t *content = json_object_get(value, "content");
        bool second = json_is_true(json_object_get(value, "normalized"));
        for (int k = 0; k < 3; k++)
            if (json_is_true(json_object_get(value, flags[k])))
                return err_set(err, ERR_UNSUPPORTED,
                               "the added token '%.80s' is %s, which is not "
                               "supported",
                               json_string_value(content), flags[k]);
        rc = tokenizer_add_token(t, (int)json_integer_value(json_object_get(value, "id")),
                                 json_string_value(content), json_string_length(content),
                                 json_is_true(json_object_get(value, "special")),
                                 second ? ADDED_SECOND : ADDED_FIRST, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* "a b" in older files, ["a", "b"] in newer ones */
static int put_merge(struct tokenizer *t, int rank, const json_t *merge, struct err *err)
{
    const json_t *a = json_array_get(merge, 0), *b = json_array_get(merge, 1);
    const char *text = json_string_value(merge), *blank = text ? strchr(text, ' ') : NULL;

    if (json_array_size(merge) == 2 && json_is_string(a) && json_is_string(b))
        return vocab_put_merge(&t->vocab, rank, json_string_value(a), json_string_length(a),
                               json_string_value(b), json_string_length(b), err);
    if (!blank)
        return err_set(err, ERR_INVALID, "merge %d is not two tokens", rank);
    return vocab_put_merge(&t->vocab, rank, text, (size_t)(blank - text), blank + 1,
                           strlen(blank + 1), err);
}

static int put_merges(struct tokenizer *t, const json_t *merges, struct err *err)
{
    json_t *merge;
    size_t i;
    int rc = 0;

    json_array_foreach(merges, i, merge)
    {
        rc = put_merge(t, (int)i, merge, err);
        if (rc < 0)
            break;
    }
    return rc;
}

static int add_split(struct tokenizer *t, const json_t *step, struct err *err)
{
    const char *behaviour = json_string_value(json_object_get(step, "behavior"));
    const json_t *pattern = json_object_get(step, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    const char *literal = json_string_value(json_object_get(pattern, "String"));
    bool removed = behaviour && strcmp(behaviour, "Removed") == 0;

    if (!regex && !literal)
        return err_set(err, ERR_INVALID, "the pre-tokenizer Split has no pattern");
    if (!behaviour || (!removed && strcmp(behaviour, "Isolated") != 0))
        return refuse(err, "behavior of the pre-tokenizer Split",
                      behaviour ? behaviour : "(none is given)");
    return pretokenizer_add(&t->pre, regex ? regex : literal, !regex,
                            removed ? SPLIT_REMOVED : SPLIT_ISOLATED,
                            json_is_true(json_object_get(step, "invert")), err);
}

static int add_byte_level(struct tokenizer *t, const json_t *step, struct err *err)
{
    const json_t *use_regex = json_object_get(step, "use_regex");
    int rc = 0;

    if (json_is_true(json_object_get(step, "add_prefix_space")))
        rc = pretokenizer_add_blank(&t->pre, err);
    if (rc == 0 && !json_is_false(use_regex)) /* files of before 2022 lack it: true */
        rc = pretokenizer_add(&t->pre, pretokenizer_gpt2, false, SPLIT_ISOLATED, false, err);
    return rc;
}

static int add_step(struct tokenizer *t, const json_t *step, bool last, struct err *err)
{
    bool single = json_is_true(json_object_get(step, "individual_digits"));
    const char *type = type_of(step);

    if (strcmp(type, "ByteLevel") == 0)
        return last ? add_byte_level(t, step, err)
                    : err_set(err, ERR_UNSUPPORTED,
                              "the pre-tokenizer ByteLevel is supported as the last step only");
    if (last)
        return err_set(err, ERR_UNSUPPORTED,
                       "the last step of the pre-tokenizer is %.60s: only byte-level BPE, where it "
                       "is ByteLevel, is supported",
                       type);
    if (strcmp(type, "Split") == 0)
        return add_split(t, step, err);
    if (strcmp(type, "Digits") == 0)
        return pretokenizer_add(&t->pre, single ? "\\p{N}" : "\\p{N}+", false, SPLIT_ISOLATED,
                                false, err);
    return refuse(err, "pre-tokenizer", type);
}

static int add_steps(struct tokenizer *t, const json_t *pre, struct err *err)
{
    const json_t *list = json_object_get(pre, "pretokenizers");
    json_t *step;
    size_t i;
    int rc = 0;

    if (!json_is_object(pre))
        return err_set(err, ERR_UNSUPPORTED, "has no pre-tokenizer: byte-level BPE has ByteLevel");
    if (strcmp(type_of(pre), "Sequence") != 0)
        return add_step(t, pre, true, err);
    if (json_array_size(list) == 0)
        return err_set(err, ERR_INVALID, "the pre-tokenizer is an empty Sequence");
    json_array_foreach(list, i, step)
    {
        rc = add_step(t, step, i + 1 == json_array_size(list), err);
        if (rc < 0)
            break;
    }
    return rc;
}

/* Whether a TemplateProcessing puts a special token in front of a single text: it is the begin
 * token then. */
static void read_template(struct tokenizer *t, const json_t *processor)
{
    const json_t *first = json_array_get(json_object_get(processor, "single"), 0);
    const char *name =
        json_string_value(json_object_get(json_object_get(first, "SpecialToken"), "id"));
    const json_t *ids = json_object_get(
        name ? json_object_get(json_object_get(processor, "special_tokens"), name) : NULL, "ids");
    const json_t *id = json_array_get(ids, 0);

    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= t->vocab.n)
        return;
    t->bos = (int)json_integer_value(id);
    t->adds_bos = true;
}

static void read_post_processor(struct tokenizer *t, const json_t *processor)
{
    json_t *each;
    size_t i;

    if (strcmp(type_of(processor), "TemplateProcessing") == 0)
        read_template(t, processor);
    json_array_foreach(json_object_get(processor, "processors"), i,
                       each) if (strcmp(type_of(each), "TemplateProcessing") == 0)
        read_template(t, each);
}

/* An unknown token would stand for bytes that the vocabulary cannot spell; we leave those out, as
 * is done where there is none. */
static int check_unknown(const struct tokenizer *t, const json_t *model, struct err *err)
{
    const char *unknown = json_string_value(json_object_get(model, "unk_token"));

    for (int byte = 0; unknown && byte < 256; byte++)
        if (t->vocab.byte_ids[byte] < 0)
            return refuse(err, "unknown token (unk_token) beside a vocabulary without every byte",
                          unknown);
    return 0;
}

static int fill(struct tokenizer *t, const json_t *root, struct err *err)
{
    const json_t *model = json_object_get(root, "model");
    int rc = put_vocab(t, json_object_get(model, "vocab"), err);

    if (rc == 0)
        rc = put_added(t, json_object_get(root, "added_tokens"), err);
    if (rc == 0)
        rc = put_merges(t, json_object_get(model, "merges"), err);
    if (rc == 0)
        rc = add_steps(t, json_object_get(root, "pre_tokenizer"), err);
    if (rc < 0)
        return rc;
    t->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    read_post_processor(t, json_object_get(root, "post_processor"));
    return 0;
}

/* "text" or {"content": "text"}; the id of the token, or the fallback. */
static int configured_id(const struct tokenizer *t, const json_t *config, const char *key,
                         int fallback)
{
    const json_t *value = json_object_get(config, key);
    const char *text =
        json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
    int id = text ? tokenizer_id(t, text) : -1;

    return id < 0 ? fallback : id;
}

/* One text, or a list of {"name", "template"} of which we take "default". */
static const char *configured_template(const json_t *config)
{
    const json_t *value = json_object_get(config, "chat_template");
    json_t *each;
    size_t i;

    json_array_foreach(value, i, each)
    {
        const char *name = json_string_value(json_object_get(each, "name"));
        if (name && strcmp(name, "default") == 0)
            return json_string_value(json_object_get(each, "template"));
    }
    return json_string_value(value);
}

static char *beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path)) : strdup("."), *joined;

    joined = folder ? file_join(folder, name) : NULL;
    free(folder);
    return joined;
}

/* What a file beside tokenizer.json says; a file that is not there says nothing. */
static int read_beside(struct tokenizer *t, const char *path, struct err *err)
{
    char *config_path = beside(path, "tokenizer_config.json");
    char *jinja_path = beside(path, "chat_template.jinja");
    json_t *config = NULL;
    size_t len;
    int rc = 0, line;

    if (!config_path || !jinja_path) {
        rc = err_nomem(err, strlen(path));
        goto done;
    }
    if (access(config_path, F_OK) == 0) {
        rc = json_file_read_object(config_path, BESIDE_BYTES_MAX, &config, &line, err);
        if (rc < 0 && line > 0)
            err_prefix(err, "%s:%d: is not a JSON object", config_path, line);
    }
    t->eos = configured_id(t, config, "eos_token", t->eos);
    if (!t->adds_bos)
        t->bos = configured_id(t, config, "bos_token", t->bos);
    if (rc == 0 && access(jinja_path, F_OK) == 0)
        rc = file_read(jinja_path, BESIDE_BYTES_MAX, &t->chat_template, &len, err);
    else if (rc == 0 && configured_template(config) &&
             !(t->chat_template = strdup(configured_template(config))))
        rc = err_nomem(err, strlen(configured_template(config)));
done:
    json_decref(config);
    free(config_path);
    free(jinja_path);
    return rc;
}

static int from_root(const char *path, const json_t *root, int bos_id, int eos_id,
                     struct tokenizer **ret, struct err *err)
{
    const json_t *model = json_object_get(root, "model");
    struct tokenizer *t = NULL;
    int rc = check_model(root, err), n_ids = 0;

    if (rc == 0)
        rc = count_ids(json_object_get(model, "vocab"), json_object_get(root, "added_tokens"),
                       &n_ids, err);
    if (rc == 0)
        rc = tokenizer_new(n_ids, json_array_size(json_object_get(model, "merges")), &t, err);
    if (rc != 0)
        return rc;
    t->bos = bos_id;
    t->eos = eos_id;
    rc = fill(t, root, err);
    if (rc == 0)
        rc = read_beside(t, path, err);
    if (rc == 0)
        rc = tokenizer_finish(t, err);
    if (rc == 0)
        rc = check_unknown(t, model, err);
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
    json_t *root = NULL;
    int line, rc = json_file_read_object(path, FILE_BYTES_MAX, &root, &line, err);

    if (rc < 0)
        return line > 0 ? err_prefix(err, "%s:%d: is not a JSON object", path, line) : rc;
    rc = from_root(path, root, bos_id, eos_id, ret_tokenizer, err);
    if (rc < 0)
        err_prefix(err, "%s", path);
    json_decref(root);
    return rc;
}
