/* core/dataset.c - see dataset.h. A file is read row by row; each row is checked, tokenised in a
 * scratch list and copied to the arena. A row with a problem is told and left out: what comes after
 * it is checked all the same.
 */
#define XXH_STATIC_LINKING_ONLY /* the state on the stack */
#include "core/dataset.h"
#include "core/dataset_impl.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static int grow(struct loader *l)
{
    long cap = l->cap ? 2 * l->cap : 1024;
    struct example *examples;

    if (l->d->n < l->cap)
        return 0;
    if (l->cap > LONG_MAX / 4 / (long)sizeof(*examples))
        return err_nomem(l->err, SIZE_MAX);
    examples = realloc(l->d->examples, (size_t)cap * sizeof(*examples));
    if (!examples)
        return err_nomem(l->err, (size_t)cap * sizeof(*examples));
    l->d->examples = examples;
    l->cap = cap;
    return 0;
}

/* Cuts the row in the scratch to max_tokens and applies train_on_prompt; the counts that stand in
 * the data set follow. */
static int keep_row(struct loader *l, int line)
{
    int max = l->data->max_tokens < 2 ? 2 : l->data->max_tokens;
    int n = l->row.ids.n < max ? l->row.ids.n : max, n_trained = 0;
    bool all = l->data->train_on_prompt && l->d->format != FORMAT_IDS;
    struct dataset *d = l->d;
    int32_t *ids = pool_alloc(l->pool, 2 * (size_t)n * sizeof(*ids)), *labels;
    int rc = ids ? grow(l) : err_nomem(l->err, 2 * (size_t)n * sizeof(*ids));

    if (rc < 0)
        return rc;
    labels = ids + n;
    memcpy(ids, l->row.ids.ids, (size_t)n * sizeof(*ids));
    for (int i = 0; i < n; i++) {
        labels[i] = i == 0 ? LABEL_NONE : all ? ids[i] : l->row.labels.ids[i];
        n_trained += labels[i] != LABEL_NONE;
    }
    d->examples[d->n++] = (struct example){ids, labels, n, n_trained, line};
    if (l->row.ids.n > n && d->n_truncated++ == 0)
        d->first_truncated = line;
    if (n_trained == 0 && d->n_untrained++ == 0)
        d->first_untrained = line;
    if (n > d->longest)
        d->longest = n;
    return 0;
}

/* Steals row. */
static int take_row(struct loader *l, json_t *row, int line, const char *why)
{
    int rc = 0;

    if (json_is_object(row))
        rc = dataset_read_row(l, row, line);
    else
        dataset_fault(l, FAULT_NOT_JSON, line, "is not a JSON object: %s",
                      row ? dataset_type_name(row) : why);
    json_decref(row);
    if (rc <= 0)
        return rc;
    if (l->row.ids.n >= 2)
        return keep_row(l, line);
    dataset_fault(l, FAULT_SHORT, line,
                  "the row has fewer than two tokens: nothing can be predicted");
    return 0;
}

static bool is_blank(const char *text, size_t len)
{
    return strspn(text, " \t\r\n") >= len;
}

static int load_lines(struct loader *l, FILE *f)
{
    char *line = NULL;
    json_error_t why;
    size_t cap = 0;
    ssize_t len;
    int n = 0, rc = 0;

    while (rc == 0 && !l->hopeless && (len = getline(&line, &cap, f)) >= 0) {
        n++;
        if (is_blank(line, (size_t)len))
            continue;
        rc = take_row(l, json_loadb(line, (size_t)len, JSON_ALLOW_NUL, &why), n, why.text);
    }
    if (rc == 0 && ferror(f))
        problems_add(l->problems, l->path, 0, "cannot be read: %s", strerror(errno));
    free(line);
    return rc;
}

static int load_array(struct loader *l, FILE *f)
{
    json_error_t why;
    json_t *rows = json_loadf(f, JSON_ALLOW_NUL, &why), *row;
    size_t i;
    int rc = 0;

    if (!rows) {
        problems_add(l->problems, l->path, why.line, "is not JSON: %s", why.text);
        l->hopeless = true;
        return 0;
    }
    json_array_foreach(rows, i, row)
    {
        rc = take_row(l, json_incref(row), (int)i + 1, "");
        if (rc < 0 || l->hopeless)
            break;
    }
    json_decref(rows);
    return rc;
}

/* Leaves f at the first byte that counts: behind a byte order mark and, to look at it, blanks. */
static int first_character(FILE *f)
{
    unsigned char mark[3];
    long begin = 0;
    int c;

    if (fread(mark, 1, 3, f) == 3 && memcmp(mark, "\xef\xbb\xbf", 3) == 0)
        begin = 3;
    fseek(f, begin, SEEK_SET);
    do
        c = getc(f);
    while (c == ' ' || c == '\t' || c == '\r' || c == '\n');
    fseek(f, begin, SEEK_SET);
    return c;
}

static int load_file(struct loader *l)
{
    FILE *f = fopen(l->path, "re");
    int rc;

    if (!f) {
        problems_add(l->problems, l->path, 0, "cannot be opened: %s", strerror(errno));
        l->hopeless = true;
        return 0;
    }
    rc = first_character(f) == '[' ? load_array(l, f) : load_lines(l, f);
    fclose(f);
    return rc;
}

static void check_whole(struct loader *l)
{
    long faulty = 0;

    for (int i = 0; i < FAULTS; i++)
        faulty += l->faults[i];
    if (l->hopeless || faulty > 0)
        return;
    if (l->d->n == 0)
        problems_add(l->problems, l->path, 0, "the data set has no rows");
    else if (l->d->n_untrained == l->d->n)
        problems_add(
            l->problems, l->path, l->d->first_untrained,
            "no token of any row is trained: every completion is empty, masked, or cut off "
            "by max_tokens %d",
            l->data->max_tokens);
}

int dataset_load(const char *path, const struct job_data *data, const struct tokenizer *tokenizer,
                 int vocab, struct dataset *ret_dataset, struct problems *problems, struct err *err)
{
    struct dataset d = {0};
    struct loader l = {
        .path = path,
        .data = data,
        .tokenizer = tokenizer,
        .vocab = vocab,
        .d = &d,
        .problems = problems,
        .err = err,
    };
    int before = problems->n + problems->dropped, rc;

    d.arena = l.pool = calloc(1, sizeof(*l.pool));
    rc = l.pool ? load_file(&l) : err_nomem(err, sizeof(*l.pool));
    dataset_count_the_rest(&l);
    if (rc == 0)
        check_whole(&l);
    free(l.row.ids.ids);
    free(l.row.labels.ids);
    free(l.messages);
    if (rc == 0 && problems->n + problems->dropped > before)
        rc = err_set(err, ERR_INVALID, "%s: the data cannot be used", path);
    if (rc < 0) {
        dataset_free(&d);
        return rc;
    }
    *ret_dataset = d;
    return 0;
}

void dataset_free(struct dataset *d)
{
    if (d->arena)
        pool_free(d->arena);
    free(d->arena);
    free(d->examples);
    *d = (struct dataset){0};
}

void dataset_hash(const struct dataset *d, char ret_hex[33])
{
    XXH3_state_t state;
    XXH128_hash_t hash;

    XXH3_128bits_reset(&state);
    for (long i = 0; i < d->n; i++) {
        const struct example *e = &d->examples[i];
        int32_t n = e->n;
        XXH3_128bits_update(&state, &n, sizeof(n));
        XXH3_128bits_update(&state, e->ids, (size_t)n * sizeof(*e->ids));
        XXH3_128bits_update(&state, e->labels, (size_t)n * sizeof(*e->labels));
    }
    hash = XXH3_128bits_digest(&state);
    snprintf(ret_hex, 33, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}
