/* client/data_report.c - see data_report.h. Lengths are those before rows are cut. */
#include "client/data_report.h"
#include "client/printable.h"
#include "core/buf.h"
#include "core/utf8.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BARS = 10, BAR_COLUMNS = 40, CUT_LISTED = 10, PERCENTILES = 6 };

static const int percentiles[PERCENTILES] = {0, 10, 50, 90, 99, 100};

struct numbers {
    int *lengths; /* (n), rising */
    long n;
    double tokens, trained;
    int bar_width; /* tokens */
    long bars[BARS];
};

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static int count(const struct dataset *d, struct numbers *ret, struct err *err)
{
    struct numbers c = {0};

    c.lengths = malloc(((size_t)d->n + 1) * sizeof(*c.lengths));
    if (!c.lengths)
        return err_nomem(err, (size_t)d->n * sizeof(*c.lengths));
    for (long i = 0; i < d->n; i++) {
        if (dataset_begins_row(d, i))
            c.lengths[c.n++] = d->examples[i].n_whole;
        c.tokens += d->examples[i].n;
        c.trained += d->examples[i].n_trained;
    }
    qsort(c.lengths, (size_t)c.n, sizeof(*c.lengths), by_value);
    c.bar_width = (c.lengths[c.n - 1] + BARS) / BARS;
    for (long i = 0; i < c.n; i++)
        c.bars[c.lengths[i] / c.bar_width]++;
    *ret = c;
    return 0;
}

/* The nearest rank. */
static int percentile(const struct numbers *c, int percent)
{
    long at = (c->n * percent + 99) / 100;

    return c->lengths[at > 0 ? at - 1 : 0];
}

static const char *kind_of(enum data_format format)
{
    static const char *const names[] = {"", "prompt", "instruction", "messages", "text", "ids"};

    return names[format];
}

static void print_bars(const struct numbers *c)
{
    long most = 1;

    for (int i = 0; i < BARS; i++)
        most = c->bars[i] > most ? c->bars[i] : most;
    for (int i = 0; i < BARS; i++) {
        int columns = (int)((c->bars[i] * BAR_COLUMNS + most - 1) / most);
        printf("  %6d to %-6d %8ld ", i * c->bar_width, (i + 1) * c->bar_width - 1, c->bars[i]);
        for (int k = 0; k < columns; k++)
            putchar('#');
        putchar('\n');
    }
}

static void print_notes(const struct data_report *r)
{
    struct buf notes = {0};
    char *at, *end;

    dataset_notes(r->data, r->options, &notes);
    for (at = notes.data; at && (end = strchr(at, '\n')); at = end + 1) {
        *end = '\0';
        fputs("note: ", stdout);
        printable_print(stdout, at);
        putchar('\n');
    }
    buf_free(&notes);
}

static void print_cut_lines(const struct data_report *r)
{
    const struct dataset *d = r->data;
    int listed = 0;

    for (long i = 0; i < d->n && listed <= CUT_LISTED; i++) {
        if (d->examples[i].n_whole <= d->examples[i].n || !dataset_begins_row(d, i))
            continue;
        if (listed == CUT_LISTED)
            printf(", ...");
        else
            printf("%s%d (%d tokens)", listed ? ", " : "cut lines: ", d->examples[i].line,
                   d->examples[i].n_whole);
        listed++;
    }
    if (listed)
        putchar('\n');
}

static void print_file(const char *path)
{
    printf("file: ");
    printable_print(stdout, path);
    putchar('\n');
}

static void print_text(const struct data_report *r, const struct numbers *c)
{
    const struct dataset *d = r->data;

    for (int i = 0; i < d->n_files; i++)
        print_file(d->files[i]);
    printf("rows: %ld of kind %s\n", d->n, kind_of(d->format));
    if (d->template_source) {
        printf("template: ");
        printable_print(stdout, d->template_source);
        putchar('\n');
    }
    printf("tokens: %.0f, %.0f of them trained (%.0f%%)\n", c->tokens, c->trained,
           100 * c->trained / c->tokens);
    printf("tokens a row: ");
    for (int i = 0; i < PERCENTILES; i++)
        printf("%s%d%%: %d", i ? ", " : "", percentiles[i], percentile(c, percentiles[i]));
    putchar('\n');
    print_bars(c);
    print_cut_lines(r);
    print_notes(r);
}

static json_t *lengths_json(const struct numbers *c)
{
    json_t *o = json_object(), *bars = json_array();
    char name[8];

    for (int i = 0; i < PERCENTILES; i++) {
        snprintf(name, sizeof(name), "p%d", percentiles[i]);
        json_object_set_new(o, name, json_integer(percentile(c, percentiles[i])));
    }
    for (int i = 0; i < BARS; i++)
        json_array_append_new(bars, json_integer(c->bars[i]));
    json_object_set_new(o, "bar_tokens", json_integer(c->bar_width));
    json_object_set_new(o, "bars", bars);
    return o;
}

static json_t *files_json(const struct dataset *d)
{
    json_t *list = json_array();

    for (int i = 0; i < d->n_files; i++)
        json_array_append_new(list, json_string(d->files[i]));
    return list;
}

static int print_json(const struct data_report *r, const struct numbers *c, struct err *err)
{
    const struct dataset *d = r->data;
    json_t *o = json_pack(
        "{s:o, s:I, s:s, s:s?, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:s?}", "files", files_json(d),
        "rows", (json_int_t)d->n, "kind", kind_of(d->format), "template", d->template_source,
        "tokens", (json_int_t)c->tokens, "trained_tokens", (json_int_t)c->trained, "lengths",
        lengths_json(c), "rows_cut", (json_int_t)d->cut.n, "rows_dropped", (json_int_t)d->dropped.n,
        "rows_untrained", (json_int_t)d->untrained.n, "rows_without_stop",
        (json_int_t)d->without_stop.n, "unused_fields", d->unused);
    int failed = !o || json_dumpf(o, stdout, JSON_INDENT(1)) < 0;

    putchar('\n');
    json_decref(o);
    return failed ? err_nomem(err, sizeof(json_t)) : 0;
}

int data_report_print(const struct data_report *r, struct err *err)
{
    struct numbers c = {0};
    int rc = count(r->data, &c, err);

    if (rc < 0)
        return rc;
    if (r->json)
        rc = print_json(r, &c, err);
    else
        print_text(r, &c);
    free(c.lengths);
    return rc;
}

/* ---- one row ---- */

struct marks {
    const char *begin, *end;
};

static struct marks choose_marks(void)
{
    const char *no_color = getenv("NO_COLOR");

    if (isatty(STDOUT_FILENO) && !(no_color && *no_color))
        return (struct marks){"\033[32m", "\033[0m"};
    return (struct marks){"[", "]"};
}

static int decode(const struct data_report *r, const int32_t *ids, int n, struct buf *out,
                  struct err *err)
{
    out->len = 0;
    buf_puts(out, "");
    if (r->tokenizer)
        return tokenizer_decode(r->tokenizer, ids, n, false, out, err);
    for (int i = 0; i < n; i++)
        buf_printf(out, "%s%d", i ? " " : "", ids[i]);
    return out->failed ? err_nomem(err, out->cap) : 0;
}

static void print_piece(struct buf *text, bool trained, const struct marks *m)
{
    struct buf safe = {0};

    utf8_make_valid(text->data, text->len);
    utf8_escape(text->data, UTF8_KEEP_LINES, &safe);
    printf("%s%s%s", trained ? m->begin : "", safe.data ? safe.data : "", trained ? m->end : "");
    buf_free(&safe);
}

static int print_as_text(const struct data_report *r, const struct example *e, struct err *err)
{
    struct marks m = choose_marks();
    struct buf text = {0};
    int rc = 0;

    for (int i = 0, end; i < e->n && rc == 0; i = end) {
        bool trained = e->labels[i] >= 0;
        for (end = i; end < e->n && (e->labels[end] >= 0) == trained;)
            end++;
        rc = decode(r, e->ids + i, end - i, &text, err);
        if (rc == 0)
            print_piece(&text, trained, &m);
        if (!r->tokenizer)
            putchar(' ');
    }
    putchar('\n');
    if (e->n_whole > e->n)
        printf("(cut here: the row has %d tokens)\n", e->n_whole);
    buf_free(&text);
    return rc;
}

static int print_as_ids(const struct data_report *r, const struct example *e, struct err *err)
{
    struct buf text = {0}, safe = {0};
    int rc = 0;

    for (int i = 0; i < e->n && rc == 0; i++) {
        rc = r->tokenizer ? decode(r, e->ids + i, 1, &text, err) : 0;
        safe.len = 0;
        buf_puts(&safe, "");
        if (rc == 0 && r->tokenizer) {
            utf8_make_valid(text.data, text.len);
            utf8_escape(text.data, UTF8_ONE_LINE, &safe);
        }
        printf("%6d %7d %s %s\n", i, e->ids[i], e->labels[i] >= 0 ? "trained" : "-      ",
               safe.data ? safe.data : "");
    }
    buf_free(&text);
    buf_free(&safe);
    return rc;
}

static int print_row_json(const struct data_report *r, const struct example *e, struct err *err)
{
    json_t *ids = json_array(), *labels = json_array(), *o;
    struct buf text = {0};
    int rc = r->tokenizer ? decode(r, e->ids, e->n, &text, err) : 0, failed;

    for (int i = 0; i < e->n; i++) {
        json_array_append_new(ids, json_integer(e->ids[i]));
        json_array_append_new(labels, json_integer(e->labels[i]));
    }
    if (text.data)
        utf8_make_valid(text.data, text.len);
    o = json_pack("{s:s, s:i, s:s?, s:o, s:o, s:i, s:i}", "file", r->data->files[e->file], "line",
                  e->line, "text", text.data, "input_ids", ids, "labels", labels,
                  "tokens_before_cut", e->n_whole, "trained_tokens", e->n_trained);
    failed = !o || json_dumpf(o, stdout, JSON_ENSURE_ASCII) < 0;
    putchar('\n');
    json_decref(o);
    buf_free(&text);
    return rc < 0 ? rc : failed ? err_nomem(err, sizeof(json_t)) : 0;
}

int data_report_print_row(const struct data_report *r, int line, bool ids, struct err *err)
{
    const struct dataset *d = r->data;
    int rc = 0, found = 0;

    for (long i = 0; i < d->n && rc == 0; i++) {
        const struct example *e = &d->examples[i];
        if (e->line != line)
            continue;
        found++;
        if (d->n_files > 1 && !r->json)
            print_file(d->files[e->file]);
        rc = r->json ? print_row_json(r, e, err)
             : ids   ? print_as_ids(r, e, err)
                     : print_as_text(r, e, err);
    }
    if (rc == 0 && !found)
        return err_set(err, ERR_INVALID, "no row is in line %d", line);
    return rc;
}
