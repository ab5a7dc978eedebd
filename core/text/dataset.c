/* core/text/dataset.c - see dataset.h. A file is read row by row; each row is checked, tokenised in
 * a scratch list and copied to the arena. A row with a problem is reported and left out: what comes
 * after it is checked all the same.
 */
#define XXH_STATIC_LINKING_ONLY /* the state on the stack */
#include "core/text/dataset.h"
#include "core/text/dataset_impl.h"
#include "core/file.h"
#include "core/json_file.h"
#include "core/json_parse.h"
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { ROW_BYTES_MAX = 64 << 20 };
static const long ARRAY_BYTES_MAX = 1l << 30; /* read as a whole */

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

/* Steals row, which is NULL where the line is not JSON. */
static int add_row(struct loader *l, json_t *row, int line, const json_error_t *why)
{
    int rc = 0;

    if (!row && json_file_out_of_memory(why))
        return no_memory(l);
    if (json_is_object(row))
        rc = dataset_read_row(l, row, line);
    else
        dataset_fault(l, FAULT_NOT_JSON, line, "is not a JSON object: %s",
                      row ? dataset_type_name(row) : why->text);
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

/* What ends the reading of the file and is not a fault of a row. */
static void give_up(struct loader *l, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void give_up(struct loader *l, int line, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    problems_add(l->problems, l->path, line, "%s", text);
    l->hopeless = true;
}

/* The lines of a file. Not getline(): it has no limit on the length of a line, and its lack of
 * memory looks like the end of the file. */
struct lines {
    FILE *f;
    char block[1 << 16];
    size_t at, n;    /* of the block */
    off_t bytes;     /* read so far */
    struct buf line; /* the current one, without its line feed */
    int number;
};

/* 1: there is another line; 0: there is none, or the file cannot be read; or a negative code. */
static int next_line(struct loader *l, struct lines *r)
{
    const char *end = NULL;

    if (r->number == INT_MAX)
        return give_up(l, r->number, "the file has too many lines"), 0;
    r->number++;
    r->line.len = 0;
    while (!end) {
        size_t n;
        if (r->at == r->n) {
            r->at = 0;
            r->n = fread(r->block, 1, sizeof(r->block), r->f);
            r->bytes += (off_t)r->n;
        }
        if (r->n == 0 && ferror(r->f))
            return give_up(l, r->number, "cannot be read: %s", strerror(errno)), 0;
        if (r->n == 0)
            return r->line.len > 0;
        end = memchr(r->block + r->at, '\n', r->n - r->at);
        n = end ? (size_t)(end - (r->block + r->at)) : r->n - r->at;
        if (n > ROW_BYTES_MAX - r->line.len)
            return give_up(l, r->number, "the row has more than %d MiB", ROW_BYTES_MAX >> 20), 0;
        buf_append(&r->line, r->block + r->at, n);
        if (r->line.failed)
            return err_nomem(l->err, r->line.len + n);
        r->at += end ? n + 1 : n;
    }
    return 1;
}

static int load_lines(struct loader *l, FILE *f, off_t expected)
{
    struct lines r = {.f = f};
    json_error_t why;
    int rc;

    while ((rc = next_line(l, &r)) > 0) {
        if (is_blank(r.line.data, r.line.len))
            continue;
        rc = add_row(l, json_parse(r.line.data, r.line.len, JSON_ALLOW_NUL, &why), r.number, &why);
        if (rc < 0 || l->hopeless)
            break;
    }
    if (rc == 0 && !l->hopeless && r.bytes < expected)
        give_up(l, 0, "the file became shorter while it was read");
    buf_free(&r.line);
    return rc;
}

/* The rest of the file. */
static int read_rest(struct loader *l, FILE *f, struct buf *text)
{
    char block[1 << 16];
    size_t n;

    while ((n = fread(block, 1, sizeof(block), f)) > 0 && text->len <= (size_t)ARRAY_BYTES_MAX)
        buf_append(text, block, n);
    return text->failed ? no_memory(l) : 0;
}

static int load_array(struct loader *l, FILE *f)
{
    json_error_t why = {0};
    json_t *rows = NULL, *row;
    struct buf text = {0};
    size_t i;
    int rc = read_rest(l, f, &text);

    if (rc == 0 && !ferror(f))
        rows = json_parse(text.data, text.len, JSON_ALLOW_NUL, &why);
    buf_free(&text);
    if (rc < 0)
        return rc;
    if (ferror(f))
        give_up(l, 0, "cannot be read to its end");
    else if (!rows && json_file_out_of_memory(&why))
        rc = no_memory(l);
    else if (!rows)
        give_up(l, why.line, "is not JSON: %s", why.text);
    else if (json_array_size(rows) > INT_MAX)
        give_up(l, 0, "the file has too many rows");
    json_array_foreach(rows, i, row)
    {
        if (rc < 0 || l->hopeless)
            break;
        rc = add_row(l, json_incref(row), (int)i + 1, &why);
    }
    json_decref(rows);
    return rc;
}

/* Leaves f at the first byte that counts: behind a byte order mark and, to look at it, blanks.
 * Returns the first character that is none; EOF for an empty file or one that cannot be read. */
static int first_character(FILE *f, off_t *ret_begin)
{
    unsigned char mark[3];
    off_t begin = 0;
    int c;

    if (fread(mark, 1, 3, f) == 3 && memcmp(mark, "\xef\xbb\xbf", 3) == 0)
        begin = 3;
    if (ferror(f) || fseeko(f, begin, SEEK_SET) < 0)
        return EOF;
    do
        c = getc(f);
    while (c == ' ' || c == '\t' || c == '\r' || c == '\n');
    if (ferror(f) || fseeko(f, begin, SEEK_SET) < 0)
        return EOF;
    *ret_begin = begin;
    return c;
}

static int load_stream(struct loader *l, FILE *f, off_t bytes)
{
    off_t begin = -1;
    int c = first_character(f, &begin);

    if (begin < 0)
        give_up(l, 0, "cannot be read: %s", strerror(errno));
    else if (c == '[' && bytes > ARRAY_BYTES_MAX)
        give_up(l, 0, "a JSON array of more than %ld MiB is not read: write one row a line instead",
                ARRAY_BYTES_MAX >> 20);
    else
        return c == '[' ? load_array(l, f) : load_lines(l, f, bytes - begin);
    return 0;
}

static int load_file(struct loader *l)
{
    size_t words = strlen(l->path);
    struct err failed;
    off_t bytes = 0;
    FILE *f;
    int fd, rc;

    if (file_open(l->path, &fd, &bytes, &failed) < 0) {
        if (strncmp(failed.text, l->path, words) == 0) /* the problem names the path itself */
            words = strspn(failed.text + words, ": ") + words;
        else
            words = 0;
        problems_add(l->problems, words ? l->path : NULL, 0, "%s", failed.text + words);
        l->hopeless = true;
        return 0;
    }
    f = fdopen(fd, "r");
    if (!f) {
        close(fd);
        return err_nomem(l->err, sizeof(*f));
    }
    rc = load_stream(l, f, bytes);
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
