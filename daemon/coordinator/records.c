/* daemon/coordinator/records.c - see records.h. */
#include "daemon/coordinator/records.h"
#include "core/buf.h"
#include "core/file.h"
#include "daemon/coordinator/outputs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_floats(struct buf *b, const char *name, const float *x, int n)
{
    int i;

    buf_printf(b, "\"%s\": [", name);
    for (i = 0; i < n; i++)
        buf_printf(b, "%s%.5g", i ? ", " : "", (double)x[i]);
    buf_puts(b, "], ");
}

static void print_profile(struct buf *b, const struct trainable_map *map,
                          const struct direction_profile *p)
{
    char name[MODULE_NAME_MAX];
    int i;

    module_full_name(map->layer, map->kind, name);
    buf_printf(b, " \"%s\": {\"rows\": %d, \"columns\": %d, \"rank\": %d, \"points\": [", name,
               map->rows, map->columns, p->p);
    for (i = 0; i < p->n; i++)
        buf_printf(b, "%s%d", i ? ", " : "", p->index[i]);
    buf_puts(b, "], ");
    print_floats(b, "sigma", p->sigma, p->n);
    print_floats(b, "delta", p->delta, p->n);
    buf_printf(b, "\"share\": %.6g, \"update\": %.6g}", p->share, p->update);
}

int write_spectra(const char *output, const struct state *s,
                  const struct direction_profile *profiles, struct err *err)
{
    char *path = file_join(output, "spectra.json");
    struct buf b = {0};
    int map, rc;

    buf_puts(&b, "{\n");
    for (map = 0; map < s->layout->n; map++) {
        print_profile(&b, &s->layout->maps[map], &profiles[map]);
        buf_puts(&b, map + 1 < s->layout->n ? ",\n" : "\n");
    }
    buf_puts(&b, "}\n");
    rc = b.failed || !path ? err_nomem(err, b.cap) : file_write_durably(path, b.data, b.len, err);
    buf_free(&b);
    free(path);
    return rc;
}

/* ---- coefficients ---- */

/* Bytes of the leading rows of steps up to `step`. */
static size_t keep_rows(const char *text, size_t len, int step)
{
    size_t at = 0;
    int of;

    while (at < len) {
        const char *end = memchr(text + at, '\n', len - at);
        if (!end || sscanf(text + at, "{\"step\": %d,", &of) != 1 || of > step)
            break;
        at = (size_t)(end - text) + 1;
    }
    return at;
}

int coefficients_open(const char *output, int step, int first, int last, struct coefficients *ret,
                      struct err *err)
{
    struct coefficients c = {.fd = -1,
                             .path = file_join(output, "coefficients.jsonl"),
                             .first = first,
                             .last = last,
                             .stride = (last - first + COEFFICIENT_ROWS - 1) / COEFFICIENT_ROWS};
    size_t kept;
    int rc = c.path ? 0 : err_nomem(err, strlen(output));

    if (c.stride < 1)
        c.stride = 1;
    if (rc == 0)
        rc = file_open_append(c.path, 0666, &c.fd, err);
    if (rc == 0)
        rc = rows_cut(c.fd, c.path, keep_rows, step, &kept, err);
    if (rc < 0) {
        coefficients_close(&c);
        return rc;
    }
    *ret = c;
    return 0;
}

static bool has_row(const struct coefficients *c, int step)
{
    return c->fd >= 0 && step > c->first && ((step - c->first) % c->stride == 0 || step == c->last);
}

int coefficients_add(struct coefficients *c, const struct state *s, struct err *err)
{
    int k = s->layout->directions, map, j, rc;
    struct buf b = {0};

    if (!has_row(c, s->step))
        return 0;
    buf_printf(&b, "{\"step\": %d, \"c\": [", s->step);
    for (map = 0; map < s->layout->n; map++) {
        const float *of = s->params + s->layout->maps[map].c;
        for (j = 0; j < k; j++)
            buf_printf(&b, "%s%.4g", j ? "," : map ? ",[" : "[", (double)of[j]);
        buf_puts(&b, "]");
    }
    buf_puts(&b, "]}\n");
    rc = b.failed ? err_nomem(err, b.cap) : row_append(c->fd, c->path, &b, err);
    buf_free(&b);
    return rc;
}

void coefficients_close(struct coefficients *c)
{
    if (c->path && c->fd >= 0)
        close(c->fd);
    free(c->path);
    *c = (struct coefficients){.fd = -1};
}
