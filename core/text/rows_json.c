/* core/text/rows_json.c - rows of JSON: a value a line, or the elements of one array.
 *
 * An element of an array ends where its brackets are closed, which is found without parsing it:
 * only strings must be passed over, as they may hold brackets. So an array of any length is read an
 * element at a time.
 */
#include "core/json_file.h"
#include "core/json_parse.h"
#include "core/text/rows_impl.h"
#include <ctype.h>
#include <limits.h>
#include <string.h>

/* ---- JSON lines ---- */

/* The next line, without its feed. 1, 0 at the end, or a code. */
static int next_line(struct rows *r, const char **ret, size_t *ret_len, struct err *err)
{
    const char *feed = NULL;
    int rc = rows_more(r, err);

    if (rc <= 0)
        return rc;
    r->text.len = 0;
    while (rc > 0 && !(feed = memchr(r->block + r->at, '\n', r->n - r->at))) {
        rc = rows_keep(r, r->n - r->at, err);
        rc = rc < 0 ? rc : rows_more(r, err);
    }
    if (rc < 0)
        return rc;
    *ret_len = feed ? (size_t)(feed - (r->block + r->at)) : 0;
    *ret = r->block + r->at;
    if (r->text.len > 0 || !feed) {
        rc = rows_keep(r, *ret_len, err);
        *ret = r->text.data;
        *ret_len = r->text.len;
    } else if (*ret_len > ROW_BYTES_MAX) {
        rc = rows_keep(r, *ret_len, err);
    } else {
        r->at += *ret_len;
    }
    if (rc < 0)
        return rc;
    r->at += feed ? 1 : 0;
    r->line += r->line < INT_MAX;
    return 1;
}

static bool is_blank(const char *text, size_t len)
{
    while (len > 0 && (*text == ' ' || *text == '\t' || *text == '\r'))
        text++, len--;
    return len == 0;
}

static int next_of_lines(struct rows *r, struct row *ret, struct err *err)
{
    int line = r->line, rc;
    const char *text = NULL;
    json_error_t why;
    json_t *value;
    size_t len = 0;

    while ((rc = next_line(r, &text, &len, err)) > 0 && is_blank(text, len))
        line = r->line;
    if (rc <= 0)
        return rc;
    value = json_parse(text, len, JSON_ALLOW_NUL, &why);
    if (!value && json_file_out_of_memory(&why))
        return err_nomem(err, len);
    if (!value)
        return rows_fault(r, line, ret, err, "is not a JSON object: %s", why.text);
    *ret = (struct row){.value = value, .line = line};
    return 1;
}

/* ---- where a value ends ---- */

struct value_scan {
    int depth;
    bool in_string, escaped;
};

/* Bytes up to the end of a value of which the scan has seen the bytes before; n where it does not
 * end there, *ret_ended being false. A number or a word ends before what follows it. */
static size_t scan_value(struct value_scan *s, const char *text, size_t n, bool *ret_ended)
{
    size_t i;

    *ret_ended = true;
    for (i = 0; i < n; i++) {
        char c = text[i];
        if (s->escaped) {
            s->escaped = false;
        } else if (s->in_string) {
            s->escaped = c == '\\';
            s->in_string = c != '"';
            if (!s->in_string && s->depth == 0)
                return i + 1;
        } else if (c == '"') {
            s->in_string = true;
        } else if (c == '{' || c == '[') {
            s->depth++;
        } else if ((c == '}' || c == ']') && s->depth > 0) {
            if (--s->depth == 0)
                return i + 1;
        } else if (s->depth == 0 &&
                   (c == ',' || c == '}' || c == ']' || isspace((unsigned char)c))) {
            return i;
        }
    }
    *ret_ended = false;
    return n;
}

/* ---- one object over several lines ---- */

/* The name of the object's only list of objects, or NULL. */
static const char *find_list(const json_t *object)
{
    const char *key, *found = NULL;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        if (!json_is_object(json_array_get(value, 0)))
            continue;
        if (found)
            return NULL;
        found = key;
    }
    for (const char *c = found; c && *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_') /* jq would need quotes */
            return NULL;
    return found && *found && !isdigit((unsigned char)*found) ? found : NULL;
}

static int refuse_object(struct rows *r, const json_t *object, size_t len, struct err *err)
{
    const char *at = r->block + r->at + len, *end = r->block + r->n, *list = find_list(object);
    int first = r->line, last;

    rows_skip(r, len);
    last = r->line;
    while (at < end && isspace((unsigned char)*at))
        at++;
    if (at < end || !r->at_end)
        return rows_fail(r, ERR_UNSUPPORTED, first, err,
                         "the JSON objects are spread over several lines, the first one up to line "
                         "%d; each row must be one line. Convert it: jq -c . FILE > OUT.jsonl",
                         last);
    if (list)
        return rows_fail(
            r, ERR_UNSUPPORTED, first, err,
            "is one JSON object up to line %d, not rows. If its rows are in \"%.60s\": "
            "jq -c '.%.60s[]' FILE > OUT.jsonl",
            last, list, list);
    return rows_fail(r, ERR_UNSUPPORTED, first, err,
                     "is one JSON object up to line %d; each row must be one line. If it is a row: "
                     "jq -c . FILE > OUT.jsonl",
                     last);
}

/* Whether the first line is only the beginning of an object, and the next lines continue it: the
 * whole of it is read where the block has it. */
static int check_first_object(struct rows *r, struct err *err)
{
    const char *begin = r->block + r->at;
    size_t n = r->n - r->at, len;
    const char *feed = memchr(begin, '\n', n);
    struct value_scan scan = {0};
    json_error_t why;
    json_t *value;
    bool ended;
    int rc = 0;

    len = scan_value(&scan, begin, n, &ended);
    if (!feed || (ended && begin + len <= feed)) /* it is one line */
        return 0;
    value = json_parse(begin, len, JSON_ALLOW_NUL, &why);
    if (value)
        rc = refuse_object(r, value, len, err);
    else if (!ended && !r->at_end && json_error_code(&why) == json_error_premature_end_of_input)
        rc = rows_fail(r, ERR_UNSUPPORTED, r->line, err,
                       "the JSON object that begins here is spread over several lines; each row "
                       "must be one line. Convert it: jq -c . FILE > OUT.jsonl");
    json_decref(value);
    return rc;
}

int rows_begin_lines(struct rows *r, struct err *err)
{
    r->next = next_of_lines;
    return check_first_object(r, err);
}

/* ---- a JSON array ---- */

/* Passes over blanks. 1: block[at] is the next byte; 0: the end; or a code. */
static int skip_blanks(struct rows *r, struct err *err)
{
    int rc;

    while ((rc = rows_more(r, err)) > 0) {
        size_t n = 0;
        while (r->at + n < r->n && strchr(" \t\r\n", r->block[r->at + n]) && r->block[r->at + n])
            n++;
        rows_skip(r, n);
        if (r->at < r->n)
            return 1;
    }
    return rc;
}

static int not_json(struct rows *r, int line, const char *why, struct err *err)
{
    return rows_fail(r, ERR_INVALID, line, err, "is not JSON: %s", why);
}

/* Leaves the element at block[at] in the block or the text, and passes over it. */
static int next_element(struct rows *r, const char **ret, size_t *ret_len, struct err *err)
{
    struct value_scan scan = {0};
    size_t before = r->at, n;
    bool ended = false;
    int line = r->line, rc = 1;

    r->text.len = 0;
    while (rc > 0) {
        n = scan_value(&scan, r->block + r->at, r->n - r->at, &ended);
        if (ended && r->text.len == 0 && n <= ROW_BYTES_MAX) {
            rows_skip(r, n);
            *ret = r->block + before;
            *ret_len = n;
            return 1;
        }
        before = r->at;
        rc = rows_keep(r, n, err);
        if (rc < 0) {
            r->failed_line = line;
            return rc;
        }
        r->at = before;
        rows_skip(r, n);
        rc = ended ? 0 : rows_more(r, err);
    }
    if (rc == 0 && !ended)
        return not_json(r, line, "the row that begins here does not end: the file is cut off", err);
    *ret = r->text.data ? r->text.data : "";
    *ret_len = r->text.len;
    return rc < 0 ? rc : 1;
}

/* Behind the array's end there may be blanks. */
static int end_array(struct rows *r, struct err *err)
{
    int rc;

    r->closed = true;
    rc = skip_blanks(r, err);
    return rc > 0 ? not_json(r, r->line, "something follows the end of the array", err) : rc;
}

/* Up to the first byte of the next element: 1; 0: the array is closed; or a code. */
static int find_element(struct rows *r, struct err *err)
{
    int rc = skip_blanks(r, err);

    if (rc > 0 && r->block[r->at] == ']') {
        r->at++;
        return end_array(r, err);
    }
    if (rc > 0 && r->number > 0) {
        if (r->block[r->at] != ',')
            return not_json(r, r->line, "',' or ']' is expected behind a row", err);
        r->at++;
        rc = skip_blanks(r, err);
    }
    if (rc == 0)
        return not_json(r, r->line, "the array does not end: the file is cut off", err);
    return rc;
}

static int next_of_array(struct rows *r, struct row *ret, struct err *err)
{
    json_error_t why;
    const char *text = "";
    json_t *value;
    size_t len = 0;
    int rc = r->closed ? 0 : find_element(r, err), line = r->line;

    if (rc > 0)
        rc = next_element(r, &text, &len, err);
    if (rc <= 0)
        return rc;
    if (r->number == INT_MAX)
        return rows_fail(r, ERR_INVALID, 0, err, "the file has too many rows");
    value = json_parse(text, len, JSON_ALLOW_NUL | (*text == '{' ? 0 : JSON_DECODE_ANY), &why);
    if (!value && json_file_out_of_memory(&why))
        return err_nomem(err, len);
    if (!value)
        return not_json(r, line + (why.line > 0 ? why.line - 1 : 0), why.text, err);
    *ret = (struct row){.value = value, .line = ++r->number};
    return 1;
}

int rows_begin_array(struct rows *r, struct err *err)
{
    (void)err;
    r->at++;
    r->next = next_of_array;
    return 0;
}
