/* core/text/tokenizer_vocab.c - a byte-level BPE from vocab.json and merges.txt, which older models
 * have instead of a tokenizer.json. How the text is cut depends on the class of tokenizer that
 * tokenizer_config.json names. */
#include "core/file.h"
#include "core/json_file.h"
#include "core/text/known_patterns.h"
#include "core/text/tokenizer_files.h"
#include <stdlib.h>
#include <string.h>

enum { BYTES_MAX = 64 << 20 };
enum { GAP_MAX = 1 << 16 }; /* ids that may be left out */

static const struct kind {
    const char *name, *pattern;
    bool nfc;
} kinds[] = {
    {"GPT2Tokenizer", known_gpt2, false},
    {"GPT2TokenizerFast", known_gpt2, false},
    {"Qwen2Tokenizer", known_qwen2, true},
    {"Qwen2TokenizerFast", known_qwen2, true},
};

static int find_kind(const struct tokenizer_files *files, const struct kind **ret, struct err *err)
{
    const char *name = json_string_value(json_object_get(files->config, "tokenizer_class"));

    *ret = &kinds[0];
    if (!name)
        return 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, name) == 0) {
            *ret = &kinds[i];
            return 0;
        }
    return err_set(err, ERR_UNSUPPORTED,
                   "vocab.json and merges.txt of a %.60s are not supported without a "
                   "tokenizer.json: save the tokenizer with a newer transformers",
                   name);
}

static int count_ids(const json_t *vocab, int *ret, struct err *err)
{
    json_int_t most = -1;
    const char *text;
    json_t *value;

    json_object_foreach((json_t *)vocab, text, value)
    {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || (size_t)id >= 4 * json_object_size(vocab) + GAP_MAX)
            return err_set(err, ERR_INVALID, "the token '%.80s' has no possible id", text);
        most = id > most ? id : most;
    }
    *ret = (int)most + 1;
    return most < 0 ? err_set(err, ERR_INVALID, "the vocabulary is empty") : 0;
}

static int put_vocab(struct tokenizer *t, const json_t *vocab, struct err *err)
{
    const char *text;
    json_t *id;
    int rc = 0;

    json_object_foreach((json_t *)vocab, text, id)
    {
        if (rc == 0)
            rc = vocab_put(&t->vocab, (int)json_integer_value(id), text, strlen(text), err);
    }
    return rc;
}

static size_t count_lines(const char *text)
{
    size_t n = 1;

    while ((text = strchr(text, '\n')))
        text++, n++;
    return n;
}

/* Two tokens a line, behind a line that names the version. */
static int put_merges(struct tokenizer *t, const char *text, struct err *err)
{
    int rank = 0, rc = 0;

    for (const char *at = text, *end; *at && rc == 0; at = *end ? end + 1 : end) {
        const char *blank;
        end = at + strcspn(at, "\n");
        if (end == at || strncmp(at, "#version", 8) == 0)
            continue;
        blank = memchr(at, ' ', (size_t)(end - at));
        if (!blank)
            return err_set(err, ERR_INVALID, "merge %d is not two tokens", rank);
        rc = vocab_put_merge(&t->vocab, rank++, at, (size_t)(blank - at), blank + 1,
                             (size_t)(end - blank - 1 - (end[-1] == '\r')), err);
    }
    return rc;
}

static int fill(struct tokenizer *t, const struct kind *kind, const json_t *vocab,
                const char *merges, int n_ids, const struct tokenizer_files *files, struct err *err)
{
    bool blank = json_is_true(json_object_get(files->config, "add_prefix_space"));
    int rc = put_vocab(t, vocab, err);

    if (rc == 0 && (rc = put_merges(t, merges, err)) < 0)
        err_prefix(err, "merges.txt");
    if (rc == 0 && kind->nfc)
        rc = normalizer_add_form(&t->normalizer, UNICODE_NFC, err);
    if (rc == 0 && blank)
        rc = pretokenizer_add_blank(&t->pre, err);
    if (rc == 0)
        rc = pretokenizer_add(&t->pre, kind->pattern, false, SPLIT_ISOLATED, false, err);
    if (rc == 0)
        rc = tokenizer_files_apply(files, t, n_ids, err);
    if (rc < 0)
        return rc;
    t->adds_bos = t->bos >= 0 && json_is_true(json_object_get(files->config, "add_bos_token"));
    return tokenizer_finish(t, err);
}

static int from_files(const char *merges, const json_t *vocab, const struct tokenizer_files *files,
                      int bos_id, int eos_id, struct tokenizer **ret, struct err *err)
{
    const struct kind *kind = NULL;
    struct tokenizer *t = NULL;
    int n_ids = 0, rc = find_kind(files, &kind, err);

    if (rc == 0)
        rc = count_ids(vocab, &n_ids, err);
    if (rc == 0)
        rc = tokenizer_new(TOKENIZER_BYTES, n_ids + (int)tokenizer_files_count(files),
                           count_lines(merges), &t, err);
    if (rc < 0 || !t)
        return rc;
    t->bos = bos_id;
    t->eos = eos_id;
    rc = fill(t, kind, vocab, merges, n_ids, files, err);
    if (rc < 0)
        tokenizer_free(t);
    else
        *ret = t;
    return rc;
}

int tokenizer_from_vocab(const char *path, int bos_id, int eos_id, struct tokenizer **ret_tokenizer,
                         struct err *err)
{
    char *merges_path = file_beside(path, "merges.txt"), *merges = NULL;
    struct tokenizer_files files = {0};
    json_t *vocab = NULL;
    size_t len;
    int line = 0, rc = merges_path ? 0 : err_nomem(err, strlen(path));

    if (rc == 0)
        rc = json_file_read_object(path, BYTES_MAX, &vocab, &line, err);
    if (rc < 0 && line > 0)
        err_prefix(err, "%s:%d: is not a JSON object", path, line);
    if (rc == 0)
        rc = file_read(merges_path, BYTES_MAX, &merges, &len, err);
    if (rc == 0)
        rc = tokenizer_files_read(path, &files, err);
    if (rc == 0 && (rc = from_files(merges, vocab, &files, bos_id, eos_id, ret_tokenizer, err)) < 0)
        err_prefix(err, "%s", path);
    tokenizer_files_free(&files);
    json_decref(vocab);
    free(merges);
    free(merges_path);
    return rc;
}
