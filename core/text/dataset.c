/* core/text/dataset.c - see dataset.h. A file is read row by row (rows.h); each row is checked,
 * tokenised in a scratch list and copied to the arena. A row with a problem is reported and left
 * out: what comes after it is checked all the same.
 */
#define XXH_STATIC_LINKING_ONLY /* the state on the stack */
#include "core/text/dataset.h"
#include "core/text/dataset_impl.h"
#include "core/text/data_files.h"
#include "core/text/rows.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const size_t SAMPLE_BYTES = 16 << 20;

enum { PROGRESS_ROWS = 4096 };

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

/* How often the next row of a weight is in a pass: after n rows it is n times the weight, without
 * its fraction. */
static long times_in_a_pass(struct loader *l)
{
    double before = floor((double)l->n_rows * l->weight), now;

    l->n_rows++;
    now = floor((double)l->n_rows * l->weight);
    return (long)(now - before);
}

static int add_example(struct loader *l, const struct example *e)
{
    int rc = l->in->take ? l->in->take(l->in->taker, e, l->err) : grow(l);

    if (rc < 0)
        return rc;
    if (!l->in->take)
        l->d->examples[l->d->n] = *e;
    l->d->n++;
    return 0;
}

/* Keeps n ids of the row in the scratch, from `begin` on. n_whole: of the row. */
static int keep_ids(struct loader *l, int begin, int n, int n_whole, int line)
{
    const int32_t *labels = l->row.labels.ids + begin;
    struct dataset *d = l->d;
    struct example e = {.n = n, .n_whole = n_whole, .file = d->n_files - 1, .line = line};
    int rc = 0;

    l->row.labels.ids[begin] = LABEL_NONE; /* nothing stands in front of it */
    for (int i = 0; i < n; i++)
        e.n_trained += labels[i] != LABEL_NONE;
    if (l->times > 0 && (!l->in->sample_only || d->ids.bytes < SAMPLE_BYTES)) {
        rc = id_store_add(&d->ids, l->row.ids.ids + begin, labels, n, &e.ids, l->err);
        e.labels = e.ids ? e.ids + n : NULL;
    }
    for (long i = 0; i < l->times && rc == 0; i++) {
        rc = add_example(l, &e);
        if (e.n_trained == 0)
            dataset_note_line(l, &d->untrained, line);
    }
    if (n > d->longest)
        d->longest = n;
    return rc;
}

/* The same for ids that may be too many: data.overflow says what becomes of them. */
static int keep_part(struct loader *l, int begin, int n, int line)
{
    int max = l->data->max_tokens < 2 ? 2 : l->data->max_tokens, rc = 0;

    if (n <= max)
        return keep_ids(l, begin, n, n, line);
    if (l->data->overflow == OVERFLOW_DROP) {
        dataset_note_line(l, &l->d->dropped, line);
        return 0;
    }
    dataset_note_line(l, &l->d->cut, line);
    if (l->data->overflow == OVERFLOW_CUT)
        return keep_ids(l, begin, max, n, line);
    for (int at = 0; at + 1 < n && rc == 0; at += max)
        rc = keep_ids(l, begin + at, n - at < max ? n - at : max, n, line);
    return rc;
}

static int keep_row(struct loader *l, int line)
{
    int rc = 0;

    l->d->n_rows++;
    l->times = times_in_a_pass(l);
    if (l->n_parts == 0)
        return keep_part(l, 0, l->row.ids.n, line);
    for (int i = 0; i < l->n_parts && rc == 0; i++) {
        int begin = l->parts[i], end = i + 1 < l->n_parts ? l->parts[i + 1] : l->row.ids.n;
        if (end - begin >= 2)
            rc = keep_part(l, begin, end - begin, line);
    }
    return rc;
}

/* The names of fields that are not used, for people. */
static void name_unused(struct loader *l)
{
    struct buf b = {0};

    for (int i = 0; i < l->n_unused; i++)
        buf_printf(&b, "%s%s (%ld row%s)", i ? ", " : "", l->unused[i].name, l->unused[i].rows,
                   l->unused[i].rows == 1 ? "" : "s");
    if (b.len && !b.failed)
        l->d->unused = pool_text(l->pool, b.data, b.len);
    buf_free(&b);
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
                      json_type_words(row->value));
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
        /* Whoever takes rows may use those behind it at once, as if it were not there. */
        if (l->in->take && problems_count(l->problems) > 0)
            l->hopeless = true;
        if (l->in->progress && ++l->n_read % PROGRESS_ROWS == 0)
            l->in->progress(l->in->arg, l->n_read);
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
    if (l->d->n == 0 && l->d->dropped.n > 0)
        problems_add(
            l->problems, l->d->files[l->d->dropped.first[0].file], l->d->dropped.first[0].line,
            "every row is longer than data.max_tokens (%d) and is left out", l->data->max_tokens);
    else if (l->d->n == 0)
        problems_add(l->problems, l->path, 0,
                     l->d->n_rows ? "the weights of its files leave the data set no row"
                                  : "the data set has no rows");
    else if (l->d->untrained.n == l->d->n)
        problems_add(
            l->problems, l->d->files[l->d->untrained.first[0].file], l->d->untrained.first[0].line,
            "no token of any row is trained: every completion is empty, masked, or cut off "
            "by max_tokens %d",
            l->data->max_tokens);
}

static int add_file(struct loader *l, const char *path)
{
    char **files = realloc(l->d->files, ((size_t)l->d->n_files + 1) * sizeof(*files));
    char *copy = pool_text(l->pool, path, strlen(path));

    if (files)
        l->d->files = files;
    if (!files || !copy)
        return err_nomem(l->err, strlen(path));
    files[l->d->n_files++] = copy;
    l->path = copy;
    return load_file(l);
}

/* The files of one name. */
static int load_name(struct loader *l, const struct data_name *name)
{
    const char *const path = name->path;
    struct data_files files = {0};
    int rc = data_files_find(&path, 1, &files, l->problems, l->err);

    l->weight = name->weight;
    l->n_rows = 0;
    for (int i = 0; i < files.n && rc == 0 && !l->hopeless; i++)
        rc = add_file(l, files.paths[i]);
    data_files_free(&files);
    return rc;
}

/* A file that two names lead to is a problem. */
static int check_names_once(struct loader *l, const struct data_names *names)
{
    const char **paths = calloc((size_t)names->n + 1, sizeof(*paths));
    struct data_files files = {0};
    int rc;

    if (!paths)
        return err_nomem(l->err, (size_t)names->n * sizeof(*paths));
    for (int i = 0; i < names->n; i++)
        paths[i] = names->of[i].path;
    rc = data_files_find(paths, names->n, &files, l->problems, l->err);
    data_files_free(&files);
    free(paths);
    return rc;
}

static int load_names(struct loader *l, const struct data_names *names)
{
    int rc = names->n > 1 ? check_names_once(l, names) : 0;

    for (int i = 0; i < names->n && rc == 0 && !l->hopeless; i++)
        rc = load_name(l, &names->of[i]);
    return rc;
}

int dataset_load(const struct dataset_input *in, struct dataset *ret_dataset,
                 struct problems *problems, struct err *err)
{
    struct dataset d = {.ids = {.folder = in->folder}};
    struct loader l = {
        .in = in,
        .path = in->names->n ? in->names->of[0].path : "",
        .data = in->data,
        .d = &d,
        .problems = problems,
        .err = err,
    };
    int before = problems_count(problems), rc;

    d.arena = l.pool = calloc(1, sizeof(*l.pool));
    rc = l.pool ? load_names(&l, in->names) : err_nomem(err, sizeof(*l.pool));
    dataset_count_the_rest(&l);
    if (rc == 0)
        check_whole(&l);
    if (rc == 0)
        rc = id_store_finish(&d.ids, err);
    name_unused(&l);
    token_list_free(&l.row.ids);
    token_list_free(&l.row.labels);
    row_encoder_free(l.encoder);
    free(l.parts);
    if (rc == 0 && problems_count(problems) > before)
        rc = err_set(err, ERR_INVALID, "%s: the data cannot be used", l.path);
    if (rc < 0 && !in->take)
        dataset_free(&d);
    else
        *ret_dataset = d;
    return rc;
}

void dataset_free(struct dataset *d)
{
    if (d->arena)
        pool_free(d->arena);
    free(d->arena);
    id_store_close(&d->ids);
    free(d->files);
    free(d->examples);
    *d = (struct dataset){0};
}

void dataset_hash(const struct dataset *d, long n, char ret_hex[33])
{
    XXH3_state_t state;
    XXH128_hash_t hash;

    XXH3_128bits_reset(&state);
    for (long i = 0; i < n; i++) {
        const struct example *e = &d->examples[i];
        int32_t length = e->n;
        XXH3_128bits_update(&state, &length, sizeof(length));
        XXH3_128bits_update(&state, e->ids, (size_t)length * sizeof(*e->ids));
        XXH3_128bits_update(&state, e->labels, (size_t)length * sizeof(*e->labels));
    }
    hash = XXH3_128bits_digest(&state);
    snprintf(ret_hex, 33, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

bool dataset_begins_row(const struct dataset *d, long i)
{
    const struct example *e = &d->examples[i];

    return i == 0 || e[-1].file != e->file || e[-1].line != e->line;
}
