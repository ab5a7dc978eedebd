/* core/text/rows_csv.c - rows of CSV (RFC 4180), whose header names the fields.
 *
 * A field is in quotes if it begins with one; then it ends at a quote that is not doubled, and may
 * hold delimiters and line ends. A quote elsewhere is a character as any other. The fields of a row
 * are put one behind the other in r->text, and where each ends in r->ends.
 */
#include "core/text/rows_impl.h"
#include "core/utf8.h"
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 10000, NAME_WORDS_MAX = 4, NAME_BYTES_MAX = 64, RECORDS_LOOKED_AT = 8 };

/* ---- is it CSV at all? ---- */

/* The end of a field in [at, end): at its delimiter or line end. */
static const char *field_end(const char *at, const char *end, char delimiter)
{
    if (at < end && *at == '"')
        for (at++; at < end; at++) {
            if (*at != '"')
                continue;
            if (at + 1 == end || at[1] != '"')
                break;
            at++;
        }
    while (at < end && *at != delimiter && *at != '\n')
        at++;
    return at;
}

/* "prompt", "Input text": what somebody would call a field. */
static bool is_name(const char *at, const char *end, bool one_word)
{
    bool letters = false;
    int words = 1;

    if (end > at && end[-1] == '\r')
        end--;
    if (end - at >= 2 && *at == '"' && end[-1] == '"')
        at++, end--;
    if (at == end || end - at > NAME_BYTES_MAX || *at == ' ' || end[-1] == '.')
        return false;
    for (; at < end; at++) {
        unsigned char c = (unsigned char)*at, letter = c | 32;
        words += c == ' ';
        if ((letter >= 'a' && letter <= 'z') || c >= 0x80)
            letters = true;
        else if (!c || !strchr("_-./ 0123456789", c))
            return false;
    }
    return letters && words <= (one_word ? 1 : NAME_WORDS_MAX);
}

/* The fields of the record at *at, which is moved behind it; *ret_names: whether all could be
 * names. 0: there is none. */
static int count_fields(const char **at, const char *end, char delimiter, bool *ret_names)
{
    int n = 0;

    *ret_names = true;
    while (*at < end) {
        const char *field = *at, *stop = field_end(field, end, delimiter);
        bool index = n++ == 0 && stop < end && stop == field; /* of pandas, which has no name */
        *ret_names = *ret_names && (index || is_name(field, stop, false));
        *at = stop < end ? stop + 1 : end;
        if (stop == end || *stop == '\n')
            break;
    }
    return n;
}

static char likely_delimiter(const char *at, const char *end, char certain)
{
    static const char delimiters[] = {'\t', ',', ';'};
    char best = certain ? certain : ',';
    int most = 1;

    for (int i = 0; certain != '\t' && i < 3; i++) {
        const char *p = at;
        bool names;
        int n = count_fields(&p, end, delimiters[i], &names);
        if (n > most) {
            most = n;
            best = delimiters[i];
        }
    }
    return best;
}

/* Whether at least half of the next records have n fields. */
static bool rows_fit(const char *at, const char *end, char delimiter, int n)
{
    int records = 0, fit = 0;
    bool names;

    while (at < end && records < RECORDS_LOOKED_AT) {
        records++;
        fit += count_fields(&at, end, delimiter, &names) == n || at == end; /* it may be cut */
    }
    return 2 * fit >= records;
}

bool rows_csv_sniff(struct rows *r, char certain)
{
    const char *header = r->block + r->at, *at = header, *end = r->block + r->n;
    char delimiter = likely_delimiter(at, end, certain);
    bool names;
    int n = count_fields(&at, end, delimiter, &names);

    if (!certain && (!names || at == end || !rows_fit(at, end, delimiter, n)))
        return false;
    if (!certain && n == 1 && (*at == '{' || !is_name(header, at - 1, true)))
        return false;
    r->delimiter = delimiter;
    return true;
}

/* ---- reading ---- */

static int too_large(struct rows *r, int line, struct err *err)
{
    return rows_fail(r, ERR_INVALID, line, err, "the row has more than %d MiB%s",
                     ROW_BYTES_MAX >> 20, r->quoted ? ", or a quote in it is not closed" : "");
}

/* As rows_keep(), and counts the lines; line: of the row. */
static int keep(struct rows *r, size_t n, int line, struct err *err)
{
    if (n > ROW_BYTES_MAX - r->text.len)
        return too_large(r, line, err);
    buf_append(&r->text, r->block + r->at, n);
    if (r->text.failed)
        return err_nomem(err, r->text.len + n);
    rows_skip(r, n);
    return 0;
}

/* Behind an opening quote, up to behind the closing one. */
static int read_quoted(struct rows *r, int line, struct err *err)
{
    int opened = r->line, rc;

    r->quoted = true;
    while ((rc = rows_more(r, err)) > 0) {
        const char *at = r->block + r->at, *quote = memchr(at, '"', r->n - r->at);
        rc = keep(r, quote ? (size_t)(quote - at) : r->n - r->at, line, err);
        if (rc < 0)
            return rc;
        if (!quote)
            continue;
        r->at++;
        rc = rows_more(r, err);
        if (rc <= 0 || r->block[r->at] != '"')
            return rc < 0 ? rc : 0;
        rc = keep(r, 1, line, err);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? rc
                  : rows_fail(r, ERR_INVALID, opened, err,
                              "the quote that opens a field here is never closed");
}

/* Up to the delimiter or the line's end, which is passed over: *ret_last. */
static int read_bare(struct rows *r, int line, bool *ret_last, struct err *err)
{
    int rc;

    *ret_last = true;
    while ((rc = rows_more(r, err)) > 0) {
        size_t n = 0, left = r->n - r->at;
        const char *at = r->block + r->at;
        while (n < left && at[n] != r->delimiter && at[n] != '\n')
            n++;
        rc = keep(r, n, line, err);
        if (rc < 0)
            return rc;
        if (n == left)
            continue;
        *ret_last = at[n] == '\n';
        rows_skip(r, 1);
        return 0;
    }
    return rc;
}

static int read_field(struct rows *r, int line, bool *ret_last, struct err *err)
{
    int rc = rows_more(r, err);
    bool quoted = rc > 0 && r->block[r->at] == '"';
    size_t bare;

    if (quoted) {
        r->at++;
        rc = read_quoted(r, line, err);
    }
    bare = r->text.len;
    if (rc >= 0)
        rc = read_bare(r, line, ret_last, err);
    if (rc < 0)
        return rc;
    if (*ret_last && r->text.len > bare && r->text.data[r->text.len - 1] == '\r')
        r->text.len--;
    buf_append(&r->ends, &r->text.len, sizeof(r->text.len));
    if (r->ends.failed)
        return err_nomem(err, r->ends.len);
    if (quoted && r->text.len > bare && !r->behind_quote)
        r->behind_quote = (int)(r->ends.len / sizeof(size_t));
    return 0;
}

/* The next record that is not a blank line: the number of its fields, 0 at the end, or a code. */
static int read_record(struct rows *r, int *ret_line, struct err *err)
{
    bool last = false;
    int rc, n;

    do {
        r->text.len = r->ends.len = 0;
        r->quoted = false;
        r->behind_quote = 0;
        *ret_line = r->line;
        rc = rows_more(r, err);
        if (rc <= 0)
            return rc;
        for (n = 0, last = false; !last && rc >= 0; n++) {
            if (n == FIELDS_MAX)
                return rows_fail(r, ERR_INVALID, *ret_line, err, "the row has more than %d fields",
                                 FIELDS_MAX);
            rc = read_field(r, *ret_line, &last, err);
        }
        if (rc < 0)
            return rc;
    } while (n == 1 && r->text.len == 0 && !r->quoted);
    return n;
}

static const char *field(const struct rows *r, int i, size_t *ret_len)
{
    const size_t *ends = (const size_t *)(const void *)r->ends.data;
    size_t begin = i ? ends[i - 1] : 0;

    *ret_len = ends[i] - begin;
    return r->text.data ? r->text.data + begin : "";
}

/* ---- the header ---- */

static int check_name(struct rows *r, const char *name, size_t len, int line, struct err *err)
{
    if (memchr(name, '\r', len))
        return rows_fail(r, ERR_UNSUPPORTED, line, err,
                         "the lines end with carriage returns alone. Convert it: tr '\\r' '\\n' < "
                         "FILE > OUT.csv");
    if (utf8_valid(name, len) < len || memchr(name, 0, len))
        return rows_fail(r, ERR_INVALID, line, err,
                         "the header is not UTF-8. If it is Latin-1: iconv -f LATIN1 -t UTF-8 FILE "
                         "> OUT.csv");
    for (int i = 0; i < r->n_names; i++) {
        const char *other = r->names[i];
        if (other && strlen(other) == len && memcmp(other, name, len) == 0)
            return rows_fail(r, ERR_INVALID, line, err,
                             "the header names the field \"%.60s\" twice", other);
    }
    return 0;
}

static int add_name(struct rows *r, int i, int line, struct err *err)
{
    size_t len;
    const char *name = field(r, i, &len);
    int rc = check_name(r, name, len, line, err);

    if (rc < 0)
        return rc;
    r->names[i] = strndup(name, len);
    if (!r->names[i])
        return err_nomem(err, len);
    r->n_names++;
    return 0;
}

static int next_of_csv(struct rows *r, struct row *ret, struct err *err);

int rows_begin_csv(struct rows *r, struct err *err)
{
    int line, n = read_record(r, &line, err), rc = n < 0 ? n : 0;

    if (n > 0 && r->behind_quote)
        rc = rows_fail(r, ERR_INVALID, line, err,
                       "field %d of the header has text behind its closing quote", r->behind_quote);
    if (n > 0 && rc == 0 && !(r->names = calloc((size_t)n, sizeof(*r->names))))
        rc = err_nomem(err, (size_t)n * sizeof(*r->names));
    for (int i = 0; i < n && rc == 0; i++)
        rc = add_name(r, i, line, err);
    r->header_line = line;
    r->next = next_of_csv;
    return rc;
}

/* ---- rows ---- */

/* Puts field i in the row. 0; 1: it is not UTF-8; or a code. */
static int put_field(const struct rows *r, int i, json_t *row, struct err *err)
{
    size_t len;
    const char *text = field(r, i, &len);

    if (utf8_valid(text, len) < len)
        return 1;
    if (json_object_set_new_nocheck(row, r->names[i], json_stringn_nocheck(text, len)) < 0)
        return err_nomem(err, len);
    return 0;
}

static int make_row(struct rows *r, int line, struct row *ret, struct err *err)
{
    json_t *row = json_object();
    int rc = row ? 0 : err_nomem(err, sizeof(*ret)), i;

    for (i = 0; i < r->n_names && rc == 0; i++)
        rc = put_field(r, i, row, err);
    if (rc == 0) {
        *ret = (struct row){.value = row, .line = line};
        return 1;
    }
    json_decref(row);
    return rc < 0 ? rc
                  : rows_fault(r, line, ret, err,
                               "the field \"%.60s\" is not UTF-8. If the file is Latin-1: iconv -f "
                               "LATIN1 -t UTF-8 FILE > OUT.csv",
                               r->names[i - 1]);
}

static int next_of_csv(struct rows *r, struct row *ret, struct err *err)
{
    int line, n = read_record(r, &line, err);

    if (n <= 0)
        return n;
    if (r->behind_quote)
        return rows_fault(r, line, ret, err,
                          "field %d has text behind its closing quote; a quote within a quoted "
                          "field must be doubled",
                          r->behind_quote);
    if (n != r->n_names)
        return rows_fault(r, line, ret, err,
                          "the row has %d field%s, but the header in line %d names %d", n,
                          n == 1 ? "" : "s", r->header_line, r->n_names);
    return make_row(r, line, ret, err);
}
