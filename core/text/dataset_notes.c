/* core/text/dataset_notes.c - what a user should know of a data set before it is trained, a
 * sentence a line: of plan, and of the coordinator's notices. */
#include "core/text/dataset.h"
#include <stdarg.h>
#include <stdio.h>

static void put_lines(const struct dataset *d, const struct row_lines *lines, struct buf *out)
{
    buf_puts(out, lines->lines == 1 ? " (line " : " (lines ");
    for (int i = 0; i < ROW_LINES_MAX && i < lines->lines; i++) {
        buf_puts(out, i ? ", " : "");
        if (d->n_files > 1)
            buf_printf(out, "%s:", d->files[lines->first[i].file]);
        buf_printf(out, "%d", lines->first[i].line);
    }
    if (lines->lines > ROW_LINES_MAX)
        buf_printf(out, " and %ld more", lines->lines - ROW_LINES_MAX);
    buf_puts(out, ")\n");
}

static void note(const struct dataset *d, const struct row_lines *lines, long of, struct buf *out,
                 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* of: rows in all. */
static void note(const struct dataset *d, const struct row_lines *lines, long of, struct buf *out,
                 const char *fmt, ...)
{
    char text[300];
    va_list ap;

    if (lines->n == 0)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    buf_printf(out, "%ld of %ld rows %s", lines->n, of, text);
    put_lines(d, lines, out);
}

void dataset_notes(const struct dataset *d, const struct data_options *data, struct buf *out)
{
    if (d->n != d->n_rows - d->dropped.n)
        buf_printf(out,
                   "%ld rows are %ld in a pass over the data, by the weights of files or by "
                   "data.overflow: split\n",
                   d->n_rows, d->n);
    note(d, &d->cut, d->n_rows, out,
         data->overflow == OVERFLOW_SPLIT
             ? "are longer than data.max_tokens (%d) and are split into several"
             : "are longer than data.max_tokens (%d) and are cut",
         data->max_tokens);
    note(d, &d->dropped, d->n_rows, out, "are longer than data.max_tokens (%d) and are left out",
         data->max_tokens);
    note(d, &d->untrained, d->n, out,
         d->n == d->n_rows - d->dropped.n ? "have no trained token and are left out"
                                          : "of a pass have no trained token and are left out");
    note(d, &d->without_stop, d->n_rows, out,
         "end their last answer with no token at which the model stops: a model trained so may not "
         "stop");
    if (d->unused)
        buf_printf(out, "fields that are not used: %s\n", d->unused);
}
