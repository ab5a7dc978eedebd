/* core/text/tokenizer_files.c - the files are read first and counted, since the tables of a
 * tokenizer are made once, with room for the tokens that the files add.
 */
#include "core/text/tokenizer_files.h"
#include "core/file.h"
#include "core/json_file.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BYTES_MAX = 16 << 20 };

static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};
enum { N_LISTS = sizeof(lists) / sizeof(lists[0]) };

/* *ret is NULL where there is no such file. */
static int read_object(const char *path, const char *name, json_t **ret, struct err *err)
{
    char *beside = file_beside(path, name);
    int rc = 0, line = 0;

    if (!beside)
        return err_nomem(err, strlen(path));
    if (access(beside, F_OK) == 0)
        rc = json_file_read_object(beside, BYTES_MAX, ret, &line, err);
    if (rc < 0 && line > 0)
        err_prefix(err, "%s:%d: is not a JSON object", beside, line);
    free(beside);
    return rc;
}

int tokenizer_files_read(const char *path, struct tokenizer_files *ret, struct err *err)
{
    bool decoder;
    int rc;

    *ret = (struct tokenizer_files){.path = strdup(path)};
    if (!ret->path)
        return err_nomem(err, strlen(path));
    rc = read_object(path, "tokenizer_config.json", &ret->config, err);
    decoder = json_is_object(json_object_get(ret->config, "added_tokens_decoder"));
    if (rc == 0 && !decoder)
        rc = read_object(path, "special_tokens_map.json", &ret->map, err);
    if (rc == 0 && !decoder)
        rc = read_object(path, "added_tokens.json", &ret->added, err);
    if (rc == 0)
        rc = read_object(path, "generation_config.json", &ret->generation, err);
    if (rc == 0 && !ret->generation)
        rc = read_object(path, "config.json", &ret->generation, err);
    return rc;
}

void tokenizer_files_free(struct tokenizer_files *f)
{
    json_decref(f->config);
    json_decref(f->map);
    json_decref(f->added);
    json_decref(f->generation);
    free(f->path);
    *f = (struct tokenizer_files){0};
}

size_t tokenizer_files_count(const struct tokenizer_files *f)
{
    size_t n = json_object_size(f->config) + json_object_size(f->map) + json_object_size(f->added) +
               json_object_size(json_object_get(f->config, "added_tokens_decoder"));

    for (int i = 0; i < N_LISTS; i++) {
        const json_t *a = json_object_get(f->config, lists[i]);
        const json_t *b = json_object_get(f->map, lists[i]);
        n += json_array_size(a) + json_object_size(a) + json_array_size(b) + json_object_size(b);
    }
    return n;
}

/* What special_tokens_map.json says, else tokenizer_config.json. */
static const json_t *setting(const struct tokenizer_files *f, const char *key)
{
    const json_t *value = json_object_get(f->map, key);

    return value ? value : json_object_get(f->config, key);
}

/* "text" or {"content": "text", ...} */
static const char *content_of(const json_t *token)
{
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

static unsigned flags_of(const json_t *token, bool special)
{
    unsigned flags = special ? ADDED_SPECIAL : 0;

    if (json_is_true(json_object_get(token, "lstrip")))
        flags |= ADDED_LSTRIP;
    if (json_is_true(json_object_get(token, "rstrip")))
        flags |= ADDED_RSTRIP;
    if (json_is_true(json_object_get(token, "single_word")))
        flags |= ADDED_SINGLE_WORD;
    return flags;
}

/* The names by which a chat template reads special tokens. */
static const char *const named[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
enum { N_NAMED = sizeof(named) / sizeof(named[0]) };

struct adding {
    struct tokenizer *t;
    int n_ids; /* taken so far */
    struct err *err;
};

/* Adds a token that is not an added one yet: with the vocabulary's id, or the next that is free. */
static int add(struct adding *a, const json_t *token, bool special)
{
    const json_t *normalized = json_object_get(token, "normalized");
    const char *text = content_of(token);
    int id = text ? tokenizer_id(a->t, text) : -1;
    bool second = normalized ? json_is_true(normalized) : !special;
    enum added_pass pass = second ? ADDED_SECOND : ADDED_FIRST;

    if (!text || !*text || (id >= 0 && (a->t->flags[id] & TOKEN_ADDED)))
        return 0;
    if (id < 0)
        id = a->n_ids++;
    return tokenizer_add_token(a->t, id, text, strlen(text), flags_of(token, special),
                               a->t->kind == TOKENIZER_PIECES ? ADDED_FIRST : pass, a->err);
}

struct numbered {
    json_int_t id;
    const json_t *token;
};

static int compare_numbered(const void *x, const void *y)
{
    const struct numbered *a = x, *b = y;

    return a->id < b->id ? -1 : a->id > b->id;
}

/* In the order of the ids that are its keys. */
static int add_decoder(struct adding *a, const json_t *decoder)
{
    size_t n = 0, most = json_object_size(decoder);
    struct numbered *tokens = calloc(most + 1, sizeof(*tokens));
    const char *key;
    json_t *token;
    int rc = 0;

    if (!tokens)
        return err_nomem(a->err, most * sizeof(*tokens));
    json_object_foreach((json_t *)decoder, key, token)
    {
        tokens[n++] = (struct numbered){strtoll(key, NULL, 10), token};
    }
    qsort(tokens, n, sizeof(*tokens), compare_numbered);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add(a, tokens[i].token, json_is_true(json_object_get(tokens[i].token, "special")));
    free(tokens);
    return rc;
}

static bool is_named(const struct tokenizer_files *f, const char *text)
{
    const json_t *each;
    const char *content;
    size_t i;

    for (i = 0; i < N_NAMED; i++)
        if ((content = content_of(setting(f, named[i]))) && strcmp(content, text) == 0)
            return true;
    for (int k = 0; k < N_LISTS; k++)
        json_array_foreach(setting(f, lists[k]), i,
                           each) if ((content = content_of(each)) &&
                                     strcmp(content, text) == 0) return true;
    return false;
}

/* added_tokens.json: {"text": id}, in the order of the ids. */
static int add_map(struct adding *a, const struct tokenizer_files *f)
{
    size_t n = 0, most = json_object_size(f->added);
    struct numbered *tokens = calloc(most + 1, sizeof(*tokens));
    const char *text;
    json_t *id, *token;
    int rc = 0;

    if (!tokens)
        return err_nomem(a->err, most * sizeof(*tokens));
    json_object_foreach((json_t *)f->added, text, id)
    {
        token = json_string(text);
        tokens[n++] = (struct numbered){json_integer_value(id), token};
    }
    qsort(tokens, n, sizeof(*tokens), compare_numbered);
    for (size_t i = 0; i < n; i++) {
        text = json_string_value(tokens[i].token);
        if (rc == 0)
            rc = text ? add(a, tokens[i].token, is_named(f, text)) : err_nomem(a->err, most);
        json_decref((json_t *)tokens[i].token);
    }
    free(tokens);
    return rc;
}

static int add_lists(struct adding *a, const struct tokenizer_files *f)
{
    const json_t *list, *each;
    json_t *value;
    const char *key;
    size_t i;
    int rc = 0;

    for (int k = 0; k < N_LISTS; k++) {
        list = setting(f, lists[k]);
        json_array_foreach(list, i, each) rc = rc == 0 ? add(a, each, true) : rc;
        json_object_foreach((json_t *)list, key, value) rc = rc == 0 ? add(a, value, true) : rc;
    }
    return rc;
}

static bool ends_in_token(const char *key)
{
    size_t len = strlen(key);

    return len > 6 && strcmp(key + len - 6, "_token") == 0;
}

/* bos_token and the like: a name that is no member of the vocabulary becomes one. */
static int add_named(struct adding *a, const struct tokenizer_files *f)
{
    const char *key;
    json_t *value;
    int rc = 0;

    json_object_foreach(f->config, key, value)
    {
        if (rc == 0 && ends_in_token(key))
            rc = add(a, setting(f, key), true);
    }
    json_object_foreach(f->map, key, value)
    {
        if (rc == 0 && ends_in_token(key))
            rc = add(a, value, true);
    }
    return rc < 0 ? rc : add_lists(a, f);
}

static int add_end(struct tokenizer *t, const json_t *id, struct err *err)
{
    json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;

    if (value < 0 || value > INT32_MAX)
        return 0;
    return token_list_push(&t->ends, (int32_t)value, 0, err);
}

static int read_ends(const struct tokenizer_files *f, struct tokenizer *t, struct err *err)
{
    const json_t *ids = json_object_get(f->generation, "eos_token_id"), *each;
    int rc = add_end(t, ids, err);
    size_t i;

    json_array_foreach(ids, i, each) rc = rc == 0 ? add_end(t, each, err) : rc;
    return rc;
}

static int configured_id(const struct tokenizer *t, const json_t *token, int fallback)
{
    const char *text = content_of(token);
    int id = text ? tokenizer_id(t, text) : -1;

    return id < 0 ? fallback : id;
}

static bool is_standard(const char *key)
{
    for (int i = 0; i < N_NAMED; i++)
        if (strcmp(named[i], key) == 0)
            return true;
    return false;
}

/* Tokens of the model's own, as image_token: any NAME_token that is one, or, with all, any name. */
static int add_own(struct tokenizer *t, const json_t *object, bool all, struct err *err)
{
    const char *key;
    json_t *value;
    int rc = 0;

    json_object_foreach((json_t *)object, key, value)
    {
        if (rc == 0 && (all || (ends_in_token(key) && !is_standard(key))))
            rc = chat_source_add_special(&t->chat, key, content_of(value), err);
    }
    return rc;
}

/* A template's variables: of two with the same name the later one counts. */
static int read_chat(const struct tokenizer_files *f, struct tokenizer *t, struct err *err)
{
    int rc = chat_source_read_folder(&t->chat, f->path, f->config, err);

    for (int i = 0; i < N_NAMED && rc == 0; i++)
        rc = chat_source_add_special(&t->chat, named[i], content_of(setting(f, named[i])), err);
    if (rc == 0)
        rc = add_own(t, f->config, false, err);
    if (rc == 0)
        rc = add_own(t, f->map, false, err);
    return rc < 0 ? rc : add_own(t, setting(f, "extra_special_tokens"), true, err);
}

int tokenizer_files_apply(const struct tokenizer_files *f, struct tokenizer *t, int n_ids,
                          struct err *err)
{
    struct adding a = {t, n_ids, err};
    int rc = add_decoder(&a, json_object_get(f->config, "added_tokens_decoder"));

    if (rc == 0)
        rc = add_map(&a, f);
    if (rc == 0)
        rc = add_named(&a, f);
    if (rc == 0)
        rc = read_ends(f, t, err);
    if (rc < 0)
        return rc;
    t->vocab.n = a.n_ids;
    if (t->eos < 0 && t->ends.n > 0)
        t->eos = t->ends.ids[0];
    t->eos = configured_id(t, setting(f, "eos_token"), t->eos);
    if (!t->adds_bos)
        t->bos = configured_id(t, setting(f, "bos_token"), t->bos);
    return read_chat(f, t, err);
}
