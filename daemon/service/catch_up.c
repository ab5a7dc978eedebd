/* daemon/service/catch_up.c - see catch_up.h. The file is read in slices from where it was read
 * before; a file that was written anew is noticed by its first line. */
#include "daemon/service/catch_up.h"
#include "core/file.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLICE_BYTES = 1 << 20 };

struct wanted {
    int after, last; /* steps (after, last] */
};

struct rows {
    struct step_row *items;
    int n, cap;
};

static int add(struct rows *rows, const struct step_row *row, struct err *err)
{
    struct step_row *items;
    int cap;

    if (rows->n == rows->cap) {
        cap = rows->cap ? 2 * rows->cap : 64;
        items = realloc(rows->items, (size_t)cap * sizeof(*items));
        if (!items)
            return err_nomem(err, (size_t)cap * sizeof(*items));
        rows->items = items;
        rows->cap = cap;
    }
    rows->items[rows->n++] = *row;
    return 0;
}

/* A line without its end is one that was being written. *ret_used: bytes of the lines that were
 * taken. */
static int read_lines(const char *text, size_t len, const struct wanted *w, struct rows *rows,
                      size_t *ret_used, struct err *err)
{
    const char *line = text, *end;
    struct step_row row;
    int rc = 0;

    for (; rc == 0 && (end = memchr(line, '\n', len - (size_t)(line - text))); line = end + 1) {
        if (!step_row_parse(line, (size_t)(end - line), &row))
            break;
        if (row.step > w->last)
            break;
        if (row.step == w->after + rows->n + 1)
            rc = add(rows, &row, err);
        else if (row.step > w->after)
            break;
    }
    *ret_used = (size_t)(line - text);
    return rc;
}

/* Reads the rows from *offset on and moves it behind the last one taken. *ret_strange: there are
 * lines, and the first does not continue what is known. *ret_more: there may be further rows. */
static int read_slice(int fd, const struct wanted *w, int64_t *offset, struct rows *rows,
                      bool *ret_strange, bool *ret_more, struct err *err)
{
    char *text = NULL;
    size_t len = 0, used = 0;
    int rc = file_read_at(fd, *offset, "metrics.jsonl", SLICE_BYTES, &text, &len, err);

    if (rc == 0)
        rc = read_lines(text, len, w, rows, &used, err);
    *ret_strange = rc == 0 && used == 0 && memchr(text, '\n', len);
    *ret_more = rc == 0 && len == SLICE_BYTES && used > 0;
    *offset += (int64_t)used;
    free(text);
    return rc;
}

static int read_from(int fd, const struct wanted *w, int64_t *offset, struct rows *rows,
                     bool *ret_strange, struct err *err)
{
    bool more, strange;
    int rc = read_slice(fd, w, offset, rows, ret_strange, &more, err);

    while (rc == 0 && more)
        rc = read_slice(fd, w, offset, rows, &strange, &more, err);
    return rc;
}

static int read_new(const char *path, const struct wanted *w, int64_t *offset, struct rows *rows,
                    struct err *err)
{
    bool strange = false;
    int64_t size = 0;
    int fd = -1, rc;

    if (file_open_no_link(path, &fd, &size, NULL) < 0)
        return 0;
    if (size < *offset) /* cut, and written anew */
        *offset = 0;
    rc = read_from(fd, w, offset, rows, &strange, err);
    if (rc == 0 && strange && *offset > 0) {
        *offset = 0; /* written anew beyond where we were */
        rc = read_from(fd, w, offset, rows, &strange, err);
    }
    close(fd);
    return rc;
}

int catch_up_read(const char *output, int after, int last, int64_t *offset,
                  struct step_row **ret_rows, int *ret_n, struct err *err)
{
    char *path = file_join(output, "metrics.jsonl");
    const struct wanted wanted = {after, last};
    struct rows rows = {0};
    int rc = path ? read_new(path, &wanted, offset, &rows, err) : err_nomem(err, strlen(output));

    free(path);
    if (rc < 0) {
        free(rows.items);
        return rc;
    }
    *ret_rows = rows.items;
    *ret_n = rows.n;
    return 0;
}
