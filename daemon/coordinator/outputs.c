/* daemon/coordinator/outputs.c - see outputs.h. Files are written whole and renamed; metrics.jsonl
 * alone grows, and is cut back to the checkpoint at start. */
#include "daemon/coordinator/outputs.h"
#include "core/model/adapter.h"
#include "core/buf.h"
#include "core/file.h"
#include "core/job/outcome_file.h"
#include "report/report_page.h"
#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS_BYTES_MAX = 1 << 30 };

/* Keeps the leading rows 1, 2, ... up to `step`, as long as they are right. Returns the length of
 * the text they take. */
static size_t keep_rows(const char *text, size_t len, int step, struct step_row *rows, int *n)
{
    size_t at = 0;

    while (*n < step) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end ? (size_t)(end - (text + at)) : 0;
        if (!end || line > STEP_ROW_BYTES_MAX || !step_row_parse(text + at, line, &rows[*n]) ||
            rows[*n].step != *n + 1)
            break;
        at += line + 1;
        ++*n;
    }
    return at;
}

int metrics_open(const char *output, int step, struct metrics *ret, struct step_row **ret_rows,
                 int *ret_n, struct err *err)
{
    struct metrics m = {.fd = -1, .path = file_join(output, "metrics.jsonl")};
    struct step_row *rows = calloc((size_t)step + 1, sizeof(*rows));
    char *text = NULL;
    size_t len = 0, kept = 0;
    int n = 0, rc = m.path && rows ? 0 : err_nomem(err, (size_t)step * sizeof(*rows));

    if (rc == 0)
        rc = file_open_append(m.path, 0666, &m.fd, err);
    if (rc == 0) /* what rows of `step` steps fit in: past that there is nothing to keep */
        rc = file_read_at(m.fd, 0, m.path, (size_t)step * (STEP_ROW_BYTES_MAX + 1), &text, &len,
                          err);
    if (rc == 0)
        kept = keep_rows(text, len, step, rows, &n);
    free(text);
    if (rc == 0 && ftruncate(m.fd, (off_t)kept) < 0)
        rc = err_errno(err, "%s: cannot be written", m.path);
    if (rc < 0) {
        free(rows);
        metrics_close(&m);
        return rc;
    }
    *ret = m;
    *ret_rows = rows;
    *ret_n = n;
    return 0;
}

/* Whole or an error: what a failed one leaves is cut off by the next metrics_open(). */
int row_append(int fd, const char *path, const struct buf *row, struct err *err)
{
    size_t at = 0;

    while (at < row->len) {
        ssize_t n = write(fd, row->data + at, row->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "%s: cannot be written", path);
        if (n == 0)
            return err_set(err, ERR_IO, "%s: a row could be written in part only", path);
        at += (size_t)n;
    }
    return 0;
}

int rows_cut(int fd, const char *path, size_t (*keep)(const char *text, size_t len, int step),
             int step, size_t *ret_kept, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    int rc = file_read_at(fd, 0, path, ROWS_BYTES_MAX, &text, &len, err);

    if (rc < 0)
        return rc;
    *ret_kept = keep(text, len, step);
    free(text);
    if (ftruncate(fd, (off_t)*ret_kept) < 0)
        return err_errno(err, "%s: cannot be written", path);
    return 0;
}

int metrics_add(struct metrics *m, const struct step_row *row, struct err *err)
{
    struct buf b = {0};
    int rc;

    step_row_print(row, &b);
    rc = b.failed ? err_nomem(err, b.cap) : row_append(m->fd, m->path, &b, err);
    buf_free(&b);
    return rc;
}

void metrics_close(struct metrics *m)
{
    if (m->fd >= 0)
        close(m->fd);
    free(m->path);
    *m = (struct metrics){.fd = -1};
}

static void print_numbers(struct buf *b, const char *name, const double *x, int n)
{
    int i;

    buf_printf(b, "\"%s\": [", name);
    for (i = 0; i < n; i++)
        buf_printf(b, "%s%.10g", i ? ", " : "", x[i]);
    buf_puts(b, "]");
}

static void print_map(struct buf *b, const struct state *s, int map)
{
    const struct directions *c = &s->chosen.of[map];
    const float *coefficients = s->params + s->layout->maps[map].c;
    char name[MODULE_NAME_MAX];
    int i, k = s->layout->directions;

    module_full_name(s->layout->maps[map].layer, s->layout->maps[map].kind, name);
    buf_printf(b, " \"%s\": {\"indices\": [", name);
    for (i = 0; i < k; i++)
        buf_printf(b, "%s%d", i ? ", " : "", c->indices[i]);
    buf_puts(b, "], ");
    print_numbers(b, "delta", c->delta, k);
    buf_puts(b, ", ");
    print_numbers(b, "sigma", c->sigma, k);
    buf_puts(b, ", \"coefficient\": [");
    for (i = 0; i < k; i++)
        buf_printf(b, "%s%.9g", i ? ", " : "", (double)coefficients[i]);
    buf_printf(b, "], \"next_delta\": %.10g}", *c->next_delta);
}

int write_directions(const char *output, const struct state *s, struct err *err)
{
    struct buf b = {0};
    int map, rc;

    buf_puts(&b, "{\n");
    for (map = 0; map < s->layout->n; map++) {
        print_map(&b, s, map);
        buf_puts(&b, map + 1 < s->layout->n ? ",\n" : "\n");
    }
    buf_puts(&b, "}\n");
    rc = b.failed ? err_nomem(err, b.cap)
                  : file_write_in(output, "directions.json", b.data, b.len, err);
    buf_free(&b);
    return rc;
}

/* Whoever can write to the output folder could have the adapter written elsewhere. */
static int refuse_link(const char *path, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is a symbolic link: remove it", path);
    return 0;
}

int write_adapter(const struct job *job, const struct state *s, struct err *err)
{
    char *folder = file_join(job->output, "adapter");
    struct adapter *a = NULL;
    int rc = folder ? state_adapter(s, true, &a, err) : err_nomem(err, strlen(job->output));

    if (rc == 0)
        rc = refuse_link(folder, err);
    if (rc == 0)
        rc = file_make_folders(folder, err);
    if (rc == 0)
        rc = adapter_write(folder, a, job->model, err);
    adapter_free(a);
    free(folder);
    return rc;
}

int write_report(const char *output, struct err *err)
{
    struct job_result job = {.state = strdup("SUCCEEDED")};
    char *path = file_join(output, "report.html");
    int rc = job.state && path ? job_result_read(output, true, &job, err)
                               : err_nomem(err, strlen(output));

    if (rc == 0)
        rc = report_write(path, &job, 1, err);
    job_result_free(&job);
    free(path);
    return rc;
}

const char *outcome_name(enum report_how how)
{
    static const char *const names[] = {"", "adapter_written", "stopped", "failed", "lost"};

    return names[how];
}

int write_outcome(const char *output, enum report_how how, bool asked, const char *reason,
                  struct err *err)
{
    return outcome_write(output, outcome_name(how), asked, reason, err);
}
