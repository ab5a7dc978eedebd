/* core/text/rows.c - see rows.h. The first block is filled before anything is decided: what a file
 * is, its first 256 KiB say, unpacked.
 */
#include "core/text/rows.h"
#include "core/text/file_kind.h"
#include "core/text/rows_impl.h"
#include "core/utf8.h"
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int refuse_folder(const char *path, struct err *err)
{
    const struct file_kind *kind = file_kind_of_folder(path);

    return kind ? err_set(err, ERR_INVALID, "%s: is %s. %s", path, kind->name, kind->advice)
                : ERR_INVALID;
}

int rows_open(const char *path, struct rows **ret, struct err *err)
{
    struct rows *r = calloc(1, sizeof(*r));
    int rc;

    if (!r)
        return err_nomem(err, sizeof(*r));
    r->line = 1;
    r->path = strdup(path);
    r->block = malloc(ROWS_BLOCK_BYTES);
    rc = r->path && r->block ? unpack_open(path, &r->bytes, err) : err_nomem(err, ROWS_BLOCK_BYTES);
    if (rc == ERR_INVALID)
        rc = refuse_folder(path, err);
    if (rc < 0) {
        rows_close(r);
        return rc;
    }
    *ret = r;
    return 0;
}

void rows_close(struct rows *r)
{
    if (!r)
        return;
    unpack_close(r->bytes);
    for (int i = 0; i < r->n_names; i++)
        free(r->names[i]);
    free(r->names);
    buf_free(&r->text);
    buf_free(&r->fault);
    buf_free(&r->ends);
    free(r->block);
    free(r->path);
    free(r);
}

int rows_failed_line(const struct rows *r)
{
    return r->failed_line;
}

bool rows_are_csv(const struct rows *r)
{
    return r->delimiter;
}

int rows_fail(struct rows *r, int code, int line, struct err *err, const char *fmt, ...)
{
    char text[900];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r->failed_line = line;
    return err_set(err, code, "%s", text);
}

int rows_fault(struct rows *r, int line, struct row *ret, struct err *err, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r->fault.len = 0;
    buf_puts(&r->fault, text);
    if (r->fault.failed)
        return err_nomem(err, sizeof(text));
    *ret = (struct row){.fault = r->fault.data, .line = line};
    return 1;
}

int rows_more(struct rows *r, struct err *err)
{
    size_t n = 0;
    int rc;

    if (r->at < r->n)
        return 1;
    if (r->at_end)
        return 0;
    rc = unpack_read(r->bytes, r->block, ROWS_BLOCK_BYTES, &n, err);
    if (rc < 0) {
        r->failed_line = r->line;
        return rc;
    }
    r->at = 0;
    r->n = n;
    r->at_end = n == 0;
    return n > 0;
}

int rows_keep(struct rows *r, size_t n, struct err *err)
{
    if (n > ROW_BYTES_MAX - r->text.len)
        return rows_fail(r, ERR_INVALID, r->line, err, "the row has more than %d MiB",
                         ROW_BYTES_MAX >> 20);
    buf_append(&r->text, r->block + r->at, n);
    if (r->text.failed)
        return err_nomem(err, r->text.len + n);
    r->at += n;
    return 0;
}

void rows_skip(struct rows *r, size_t n)
{
    const char *at = r->block + r->at, *end = at + n;

    while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        r->line += r->line < INT_MAX;
        at++;
    }
    r->at += n;
}

/* Fills the whole block, or up to the end of the file. */
static int fill_first_block(struct rows *r, struct err *err)
{
    size_t n = 1;
    int rc = 0;

    while (rc == 0 && n > 0 && r->n < ROWS_BLOCK_BYTES) {
        rc = unpack_read(r->bytes, r->block + r->n, ROWS_BLOCK_BYTES - r->n, &n, err);
        if (rc == 0)
            r->n += n;
    }
    r->at_end = n == 0;
    return rc;
}

/* ',' or '\t' where the name of the file ends in .csv or .tsv, be it packed or not; else 0. */
static char certain_delimiter(const char *path)
{
    static const char *const packed[] = {".gz", ".zst", ".zstd"};
    size_t len = strlen(path);

    for (int i = 0; i < 3; i++) {
        size_t more = strlen(packed[i]);
        if (len > more && strcasecmp(path + len - more, packed[i]) == 0) {
            len -= more;
            break;
        }
    }
    if (len < 4)
        return 0;
    if (strncasecmp(path + len - 4, ".csv", 4) == 0)
        return ',';
    return strncasecmp(path + len - 4, ".tsv", 4) == 0 ? '\t' : 0;
}

static bool is_json_text(const char *text, size_t len)
{
    json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    json_decref(value);
    return value;
}

/* Whether some of the lines in the block are JSON, or mean to be: the first one is not. */
static bool has_json_lines(const struct rows *r)
{
    const char *at = r->block + r->at, *end = r->block + r->n,
               *feed = memchr(at, '\n', (size_t)(end - at));

    if (is_json_text(at, (size_t)((feed ? feed : end) - at)))
        return true;
    for (; feed && feed + 1 < end; feed = memchr(feed + 1, '\n', (size_t)(end - feed - 1)))
        if (feed[1] == '{')
            return true;
    return false;
}

static int refuse(struct rows *r, const struct file_kind *kind, struct err *err)
{
    return rows_fail(r, ERR_UNSUPPORTED, 0, err, "is %s. %s", kind->name, kind->advice);
}

/* What the file is. Leaves block[at] at the first byte that is not blank. */
static int begin(struct rows *r, struct err *err)
{
    int rc = fill_first_block(r, err);
    const struct file_kind *kind;

    if (rc < 0)
        return rc;
    if (r->n == 0)
        return rows_fail(r, ERR_INVALID, 0, err, "the file is empty: the data set has no rows");
    kind = file_kind_of_bytes(r->block, r->n);
    if (kind)
        return refuse(r, kind, err);
    r->at = utf8_mark_len(r->block, r->n);
    while (r->at < r->n && strchr(" \t\r\n", r->block[r->at]) && r->block[r->at])
        rows_skip(r, 1);
    if (r->at == r->n || r->block[r->at] == '{')
        return rows_begin_lines(r, err);
    if (r->block[r->at] == '[')
        return rows_begin_array(r, err);
    if (rows_csv_sniff(r, certain_delimiter(r->path)))
        return rows_begin_csv(r, err);
    if (has_json_lines(r))
        return rows_begin_lines(r, err);
    return refuse(r, file_kind_of_text(r->block + r->at, r->n - r->at), err);
}

int rows_next(struct rows *r, struct row *ret, struct err *err)
{
    int rc = r->next ? 0 : begin(r, err);

    if (rc < 0)
        return rc;
    if (r->line == INT_MAX)
        return rows_fail(r, ERR_INVALID, r->line, err, "the file has too many lines");
    return r->next(r, ret, err);
}
