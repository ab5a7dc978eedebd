/* core/text/json_model.c - see json_model.h. What json_scan has passed over once is JSON, so that
 * the later passes find no fault. */
#include "core/text/json_model.h"
#include "core/buf.h"
#include "core/file.h"
#include "core/json_file.h"
#include "core/json_parse.h"
#include "core/json_scan.h"
#include <stdlib.h>
#include <string.h>

struct raw { /* a string as it is written, between its quotes */
    const char *bytes;
    size_t len;
};

static bool is_key(const struct raw *key, const char *name)
{
    return key->len == strlen(name) && memcmp(key->bytes, name, key->len) == 0;
}

/* The text of the next value, if it begins with `open`. */
static bool take(struct json_scan *s, char open, const char **ret, size_t *ret_len)
{
    bool right = json_scan_peek(s) == (unsigned char)open;
    const char *begin = s->at;

    if (!json_scan_skip(s))
        return false;
    *ret = right ? begin : NULL;
    *ret_len = (size_t)(s->at - begin);
    return true;
}

static bool find_in_model(struct json_scan *s, struct json_model *m)
{
    struct raw key;
    bool first = true;
    int rc;

    m->vocab = m->merges = NULL; /* of several models the last counts, as in jansson */
    if (!json_scan_accept(s, '{'))
        return json_scan_skip(s);
    while ((rc = json_scan_member(s, &first, &key.bytes, &key.len)) > 0) {
        bool found = is_key(&key, "vocab")    ? take(s, '{', &m->vocab, &m->vocab_len)
                     : is_key(&key, "merges") ? take(s, '[', &m->merges, &m->merges_len)
                                              : json_scan_skip(s);
        if (!found)
            return false;
    }
    return rc == 0;
}

/* False where the text is not an object of JSON. */
static bool find(struct json_scan *s, struct json_model *m)
{
    struct raw key;
    bool first = true;
    int rc;

    if (!json_scan_accept(s, '{'))
        return false;
    while ((rc = json_scan_member(s, &first, &key.bytes, &key.len)) > 0)
        if (!(is_key(&key, "model") ? find_in_model(s, m) : json_scan_skip(s)))
            return false;
    return rc == 0 && json_scan_peek(s) < 0;
}

/* Appends the text from *at up to a value, and an empty value instead of it. */
static void cut(struct buf *out, const char **at, const char *value, size_t len, const char *empty)
{
    buf_append(out, *at, (size_t)(value - *at));
    buf_puts(out, empty);
    *at = value + len;
}

static void cut_both(const struct json_model *m, size_t len, struct buf *out)
{
    bool vocab_first = !m->merges || (m->vocab && m->vocab < m->merges);
    const char *at = m->bytes;

    if (m->vocab && vocab_first)
        cut(out, &at, m->vocab, m->vocab_len, "{}");
    if (m->merges)
        cut(out, &at, m->merges, m->merges_len, "[]");
    if (m->vocab && !vocab_first)
        cut(out, &at, m->vocab, m->vocab_len, "{}");
    buf_append(out, at, (size_t)(m->bytes + len - at));
}

static int parse_rest(const struct json_model *m, size_t len, json_t **ret, struct err *err)
{
    struct buf text = {0};
    json_error_t why;

    cut_both(m, len, &text);
    if (text.failed)
        return err_nomem(err, len);
    *ret = json_parse(text.data, text.len, 0, &why);
    buf_free(&text);
    if (*ret)
        return 0;
    if (json_file_out_of_memory(&why))
        return err_set(err, ERR_NOMEM, "not enough memory for its JSON");
    return err_set(err, ERR_INVALID, "is not a JSON object: %s", why.text);
}

/* In jansson's words and with the line, if jansson finds a fault, too. */
static int not_an_object(const char *path, size_t max, const struct json_scan *s, struct err *err)
{
    json_t *root = NULL;
    int line, rc = json_file_read_object(path, max, &root, &line, err);

    json_decref(root);
    if (rc < 0)
        return line > 0 ? err_prefix(err, "%s:%d: is not a JSON object", path, line) : rc;
    return err_set(err, ERR_INVALID, "%s: is not a JSON object: %s", path,
                   s->fault ? s->fault : "something follows it");
}

int json_model_read(const char *path, size_t max, struct json_model *ret, json_t **ret_root,
                    struct err *err)
{
    struct json_scan s;
    size_t len;
    int rc;

    *ret = (struct json_model){0};
    rc = file_read(path, max, &ret->bytes, &len, err);
    if (rc < 0)
        return rc;
    s = (struct json_scan){.start = ret->bytes, .at = ret->bytes, .end = ret->bytes + len};
    if (!find(&s, ret))
        return not_an_object(path, max, &s, err);
    rc = parse_rest(ret, len, ret_root, err);
    return rc < 0 ? err_prefix(err, "%s", path) : 0;
}

int json_model_of_text(const char *text, size_t len, struct json_model *ret, json_t **ret_root,
                       struct err *err)
{
    struct json_scan s;

    *ret = (struct json_model){.bytes = malloc(len + 1)};
    if (!ret->bytes)
        return err_nomem(err, len);
    memcpy(ret->bytes, text, len);
    s = (struct json_scan){.start = ret->bytes, .at = ret->bytes, .end = ret->bytes + len};
    if (!find(&s, ret))
        return err_set(err, ERR_INVALID, "is not a JSON object");
    return parse_rest(ret, len, ret_root, err);
}

void json_model_free(struct json_model *m)
{
    free(m->bytes);
    *m = (struct json_model){0};
}

/* What a string stands for: itself, or a copy in `copy` without escapes. */
static int unescape(struct raw *text, struct buf *copy, struct err *err)
{
    if (!memchr(text->bytes, '\\', text->len))
        return 0;
    copy->len = 0;
    buf_append(copy, text->bytes, text->len);
    if (copy->failed)
        return err_nomem(err, text->len);
    text->len = json_scan_unescape(copy->data, copy->len);
    text->bytes = copy->data;
    return 0;
}

static int no_id(const struct raw *token, struct err *err)
{
    return err_set(err, ERR_INVALID, "the token '%.*s' has no possible id",
                   token->len < 80 ? (int)token->len : 80, token->bytes);
}

static struct json_scan scan_of(const char *text, size_t len)
{
    return (struct json_scan){.start = text, .at = text + 1, .end = text + len};
}

int json_model_count_tokens(const struct json_model *m, size_t *ret_n, int *ret_most,
                            struct err *err)
{
    struct json_scan s = scan_of(m->vocab, m->vocab_len);
    struct raw token;
    bool first = true, fits;
    int64_t id = 0;

    *ret_n = 0;
    *ret_most = -1;
    while (json_scan_member(&s, &first, &token.bytes, &token.len) > 0) {
        if (!json_scan_integer(&s, &id, &fits) || !fits || id < 0 || id >= VOCAB_MAX)
            return no_id(&token, err);
        *ret_most = id > *ret_most ? (int)id : *ret_most;
        ++*ret_n;
    }
    return 0;
}

int json_model_put_tokens(const struct json_model *m, struct vocab *v, struct err *err)
{
    struct json_scan s = scan_of(m->vocab, m->vocab_len);
    struct buf copy = {0};
    struct raw token;
    bool first = true, fits;
    int64_t id = -1;
    int rc = 0;

    while (rc == 0 && json_scan_member(&s, &first, &token.bytes, &token.len) > 0) {
        json_scan_integer(&s, &id, &fits);
        rc = unescape(&token, &copy, err);
        if (rc == 0)
            rc = vocab_put(v, (int)id, token.bytes, token.len, err);
    }
    buf_free(&copy);
    return rc;
}

size_t json_model_count_merges(const struct json_model *m)
{
    struct json_scan s = scan_of(m->merges, m->merges_len);
    bool first = true;
    size_t n = 0;

    while (json_scan_element(&s, &first) > 0 && json_scan_skip(&s))
        n++;
    return n;
}

/* ["a", "b"] in newer files. False: it is something else. */
static bool scan_pair(struct json_scan *s, struct raw *left, struct raw *right)
{
    bool first = true;

    return json_scan_accept(s, '[') && json_scan_element(s, &first) > 0 &&
           json_scan_peek(s) == '"' && json_scan_string(s, &left->bytes, &left->len) &&
           json_scan_element(s, &first) > 0 && json_scan_peek(s) == '"' &&
           json_scan_string(s, &right->bytes, &right->len) && json_scan_element(s, &first) == 0;
}

/* "a b" in older ones; their blanks are never escaped. */
static bool scan_text(struct json_scan *s, struct raw *left, struct raw *right)
{
    struct raw both;
    const char *blank;

    if (json_scan_peek(s) != '"' || !json_scan_string(s, &both.bytes, &both.len))
        return false;
    blank = memchr(both.bytes, ' ', both.len);
    if (!blank)
        return false;
    *left = (struct raw){both.bytes, (size_t)(blank - both.bytes)};
    *right = (struct raw){blank + 1, both.len - left->len - 1};
    return true;
}

int json_model_put_merges(const struct json_model *m, struct vocab *v, struct err *err)
{
    struct json_scan s = scan_of(m->merges, m->merges_len);
    struct buf copies[2] = {{0}};
    struct raw left = {0}, right = {0};
    bool first = true;
    int rc = 0;

    for (int rank = 0; rc == 0 && json_scan_element(&s, &first) > 0; rank++) {
        bool found =
            json_scan_peek(&s) == '[' ? scan_pair(&s, &left, &right) : scan_text(&s, &left, &right);
        if (!found)
            rc = err_set(err, ERR_INVALID, "merge %d is not two tokens", rank);
        if (rc == 0)
            rc = unescape(&left, &copies[0], err);
        if (rc == 0)
            rc = unescape(&right, &copies[1], err);
        if (rc == 0)
            rc = vocab_put_merge(v, rank, left.bytes, left.len, right.bytes, right.len, err);
    }
    buf_free(&copies[0]);
    buf_free(&copies[1]);
    return rc;
}
