/* core/text/dataset.c - see dataset.h. A file is read row by row (rows.h); each row is checked,
 * tokenised in a scratch list and copied to the arena. A row with a problem is reported and left
 * out: what comes after it is checked all the same.
 */
#define XXH_STATIC_LINKING_ONLY /* the state on the stack */
#include "core/text/dataset.h"
#include "core/text/dataset_impl.h"
#include "core/text/rows.h"
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

static int no_memory(struct loader *l)
{
    return err_set(l->err, ERR_NOMEM, "%s: not enough memory for its rows", l->path);
}

/* Steals the row's value. */
static int add_row(struct loader *l, const struct rows *rows, const struct row *row)
{
    int rc = 0;

    if (json_is_object(row->value))
        rc = dataset_read_row(l, row->value, row->line);
    else if (row->fault)
        dataset_fault(l, rows_are_csv(rows) ? FAULT_FIELDS : FAULT_NOT_JSON, row->line, "%s",
                      row->fault);
    else
        dataset_fault(l, FAULT_NOT_JSON, row->line, "is not a JSON object: %s",
                      dataset_type_name(row->value));
    json_decref(row->value);
    if (rc <= 0)
        return rc;
    if (l->row.ids.n >= 2)
        return keep_row(l, row->line);
    dataset_fault(l, FAULT_SHORT, row->line,
                  "the row has fewer than two tokens: nothing can be predicted");
    return 0;
}

/* What ends the reading of the file and is not a fault of a row. A text that names the path itself
 * stands without it. */
static void give_up(struct loader *l, int line, const char *text)
{
    size_t len = strlen(l->path);
    bool named = strncmp(text, l->path, len) == 0 && strncmp(text + len, ": ", 2) == 0;

    problems_add(l->problems, l->path, line, "%s", named ? text + len + 2 : text);
    l->hopeless = true;
}

static int load_rows(struct loader *l, struct rows *rows)
{
    struct err failed;
    struct row row;
    int rc;

    while (!l->hopeless && (rc = rows_next(rows, &row, &failed)) != 0) {
        if (rc == ERR_NOMEM)
            return no_memory(l);
        if (rc < 0)
            give_up(l, rows_failed_line(rows), failed.text);
        else if ((rc = add_row(l, rows, &row)) < 0)
            return rc;
    }
    return 0;
}

static int load_file(struct loader *l)
{
    struct rows *rows = NULL;
    struct err failed;
    int rc = rows_open(l->path, &rows, &failed);

    if (rc == ERR_NOMEM)
        return err_set(l->err, rc, "%s", failed.text);
    if (rc < 0) {
        give_up(l, 0, failed.text);
        return 0;
    }
    rc = load_rows(l, rows);
    rows_close(rows);
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

int dataset_load(const char *path, const struct data_options *data,
                 const struct tokenizer *tokenizer, const struct err *refusal, int vocab,
                 struct dataset *ret_dataset, struct problems *problems, struct err *err)
{
    struct dataset d = {0};
    struct loader l = {
        .path = path,
        .data = data,
        .tokenizer = tokenizer,
        .refusal = refusal,
        .vocab = vocab,
        .d = &d,
        .problems = problems,
        .err = err,
    };
    int before = problems_count(problems), rc;

    d.arena = l.pool = calloc(1, sizeof(*l.pool));
    rc = l.pool ? load_file(&l) : err_nomem(err, sizeof(*l.pool));
    dataset_count_the_rest(&l);
    if (rc == 0)
        check_whole(&l);
    free(l.row.ids.ids);
    free(l.row.labels.ids);
    free(l.messages);
    if (rc == 0 && problems_count(problems) > before)
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
