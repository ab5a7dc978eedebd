/* core/text/jinja/text.c - see text.h. A text that grows at the end of the render's memory grows in
 * place, so that a sum of many texts copies each but once. */
#include "core/text/jinja/text.h"
#include "core/text/jinja/data.h"
#include "core/text/jinja/loop.h"
#include "core/text/jinja/python_text.h"
#include "core/utf8.h"
#include <stdio.h>

static const size_t TEXT_MOST = UINT32_MAX / 2;

static int builder_room(struct run *r, struct builder *b, size_t more)
{
    size_t cap = b->cap < 64 ? 64 : b->cap;
    char *at;

    if (more <= b->cap - b->len)
        return 0;
    if (more > TEXT_MOST - b->len)
        return run_fail(r, "a text grows beyond 2 GiB");
    while (cap - b->len < more)
        cap *= 2;
    if (b->at && arena_extend(&r->arena, b->at, b->cap, cap - b->cap)) {
        b->cap = cap;
        return 0;
    }
    at = arena_text(&r->arena, cap);
    if (!at)
        return run_nomem(r);
    if (b->len)
        memcpy(at, b->at, b->len);
    b->at = at;
    b->cap = cap;
    return 0;
}

int builder_add(struct run *r, struct builder *b, const char *text, size_t len)
{
    int rc = builder_room(r, b, len);

    if (rc == 0)
        rc = run_steps(r, 1 + len / 64);
    if (rc < 0)
        return rc;
    if (len)
        memcpy(b->at + b->len, text, len);
    b->len += len;
    return 0;
}

int builder_str(struct run *r, struct builder *b, struct str s)
{
    return builder_add(r, b, s.at, s.len);
}

int builder_puts(struct run *r, struct builder *b, const char *text)
{
    return builder_add(r, b, text, strlen(text));
}

int builder_char(struct run *r, struct builder *b, uint32_t c)
{
    char text[4];

    return builder_add(r, b, text, utf8_put(c, text));
}

int builder_repeat(struct run *r, struct builder *b, struct str s, int64_t times)
{
    size_t total;
    int rc;

    if (times <= 0 || s.len == 0)
        return 0;
    if (__builtin_mul_overflow(s.len, (size_t)times, &total))
        return run_fail(r, "a text grows beyond 2 GiB");
    rc = builder_room(r, b, total);
    if (rc == 0)
        rc = run_steps(r, total / 64);
    for (int64_t i = 0; i < times && rc == 0; i++) {
        memcpy(b->at + b->len, s.at, s.len);
        b->len += s.len;
    }
    return rc;
}

struct value builder_value(const struct builder *b)
{
    return value_text(b->at ? b->at : "", b->len);
}

/* What repr() writes for a character that is not printed as it is; returns bytes. */
static size_t escape_char(uint32_t c, char *out)
{
    if (c == '\n' || c == '\r' || c == '\t' || c == '\\')
        return (size_t)sprintf(out, "\\%c",
                               c == '\n'   ? 'n'
                               : c == '\r' ? 'r'
                               : c == '\t' ? 't'
                                           : '\\');
    return (size_t)sprintf(out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

/* Bytes from `at` that repr() leaves as they are. */
static size_t plain_bytes(struct str s, size_t at, char quote)
{
    size_t i = at, len;

    while (i < s.len) {
        uint32_t c = char_at(s.at + i, &len);
        if (c == (uint8_t)quote || c == '\\' || !(char_properties(c) & CHAR_PRINTABLE))
            break;
        i += len;
    }
    return i - at;
}

int repr_of_text(struct run *r, struct builder *b, struct str s)
{
    bool single = memchr(s.at, '\'', s.len), doubled = memchr(s.at, '"', s.len);
    char quote = single && !doubled ? '"' : '\'', escape[16];
    size_t at = 0, len;
    int rc = builder_add(r, b, &quote, 1);

    while (at < s.len && rc == 0) {
        size_t n = plain_bytes(s, at, quote);
        rc = builder_add(r, b, s.at + at, n);
        at += n;
        if (rc < 0 || at == s.len)
            break;
        if (s.at[at] == quote) {
            len = 1;
            n = (size_t)sprintf(escape, "\\%c", quote);
        } else {
            n = escape_char(char_at(s.at + at, &len), escape);
        }
        rc = builder_add(r, b, escape, n);
        at += len;
    }
    return rc < 0 ? rc : builder_add(r, b, &quote, 1);
}

static int repr_of_list(struct run *r, struct builder *b, const struct value *v)
{
    struct value item;
    int rc = builder_puts(r, b, v->kind == V_LIST ? "[" : "(");

    for (size_t i = 0; i < v->len && rc == 0; i++) {
        rc = i > 0 ? builder_puts(r, b, ", ") : 0;
        if (rc == 0)
            rc = list_at(r, v, i, &item);
        if (rc == 0)
            rc = repr_of(r, b, &item);
    }
    if (rc < 0)
        return rc;
    return builder_puts(r, b, v->kind == V_LIST ? "]" : v->len == 1 ? ",)" : ")");
}

static int repr_of_dict(struct run *r, struct builder *b, const struct value *v)
{
    struct value key, item;
    void *at = NULL;
    int rc = builder_puts(r, b, "{");

    for (bool first = true; rc == 0 && (rc = dict_next(r, v, &at, &key, &item)) > 0;
         first = false) {
        rc = first ? 0 : builder_puts(r, b, ", ");
        if (rc == 0)
            rc = repr_of(r, b, &key);
        if (rc == 0)
            rc = builder_puts(r, b, ": ");
        if (rc == 0)
            rc = repr_of(r, b, &item);
    }
    return rc < 0 ? rc : builder_puts(r, b, "}");
}

static int repr_of_view(struct run *r, struct builder *b, const struct value *v)
{
    static const char *const names[] = {"dict_keys(", "dict_values(", "dict_items("};
    struct vector items = {0};
    struct value list;
    int rc = vector_of(r, v, &items);

    if (rc == 0)
        rc = builder_puts(r, b, names[v->extra]);
    if (rc < 0)
        return rc;
    list = vector_list(&items, V_LIST);
    rc = repr_of_list(r, b, &list);
    return rc < 0 ? rc : builder_puts(r, b, ")");
}

static int repr_of_range(struct run *r, struct builder *b, const struct range *range)
{
    char text[100];

    if (range->step == 1)
        snprintf(text, sizeof(text), "range(%jd, %jd)", (intmax_t)range->start,
                 (intmax_t)range->stop);
    else
        snprintf(text, sizeof(text), "range(%jd, %jd, %jd)", (intmax_t)range->start,
                 (intmax_t)range->stop, (intmax_t)range->step);
    return builder_puts(r, b, text);
}

static int repr_of_namespace(struct run *r, struct builder *b, const struct value *v)
{
    struct value dict = dict_value(v->dict);
    int rc = builder_puts(r, b, "<Namespace ");

    if (rc == 0)
        rc = repr_of_dict(r, b, &dict);
    return rc < 0 ? rc : builder_puts(r, b, ">");
}

static int repr_of_macro(struct run *r, struct builder *b, const struct macro *m)
{
    int rc = builder_puts(r, b, "<Macro ");

    if (rc == 0 && m->node->kind == N_MACRO)
        rc = repr_of_text(r, b, m->node->name);
    else if (rc == 0)
        rc = builder_puts(r, b, "anonymous");
    return rc < 0 ? rc : builder_puts(r, b, ">");
}

static int repr_of_markup(struct run *r, struct builder *b, struct str s)
{
    int rc = builder_puts(r, b, "Markup(");

    if (rc == 0)
        rc = repr_of_text(r, b, s);
    return rc < 0 ? rc : builder_puts(r, b, ")");
}

static int repr_of_number(struct run *r, struct builder *b, const struct value *v)
{
    char text[40];
    int n = v->kind == V_FLOAT ? real_text(v->real, text) : int_text(v->integer, text);

    return builder_add(r, b, text, (size_t)n);
}

static int repr_within(struct run *r, struct builder *b, const struct value *v)
{
    switch ((enum value_kind)v->kind) {
    case V_UNDEFINED:
        return builder_puts(r, b, "Undefined");
    case V_NONE:
        return builder_puts(r, b, "None");
    case V_BOOL:
        return builder_puts(r, b, v->integer ? "True" : "False");
    case V_INT:
    case V_FLOAT:
        return repr_of_number(r, b, v);
    case V_STRING:
        return v->flags & MARKUP ? repr_of_markup(r, b, str_of(v)) : repr_of_text(r, b, str_of(v));
    case V_LIST:
    case V_TUPLE:
        return repr_of_list(r, b, v);
    case V_DICT:
        return repr_of_dict(r, b, v);
    case V_RANGE:
        return repr_of_range(r, b, v->range);
    case V_VIEW:
        return repr_of_view(r, b, v);
    case V_NAMESPACE:
        return repr_of_namespace(r, b, v);
    case V_MACRO:
        return repr_of_macro(r, b, v->macro);
    default:
        return run_unsupported(r, "the text of a %s is not supported", kind_name(v));
    }
}

int repr_of(struct run *r, struct builder *b, const struct value *v)
{
    int rc = run_enter(r);

    if (rc == 0)
        rc = run_steps(r, 1);
    if (rc == 0)
        rc = repr_within(r, b, v);
    r->depth--;
    return rc;
}

int text_of(struct run *r, struct builder *b, const struct value *v)
{
    if (v->kind == V_STRING)
        return builder_str(r, b, str_of(v));
    return v->kind == V_UNDEFINED ? 0 : repr_of(r, b, v);
}

int str_value(struct run *r, const struct value *v, struct value *ret)
{
    struct builder b = {0};
    int rc = 0;

    if (v->kind == V_STRING) {
        *ret = value_text(v->text, v->len);
        return 0;
    }
    rc = text_of(r, &b, v);
    if (rc == 0)
        *ret = builder_value(&b);
    return rc;
}

static int join_two(struct run *r, const struct value *a, const struct value *b, struct value *ret)
{
    struct builder sum = {0};
    size_t len = (size_t)a->len + b->len;
    int rc = run_steps(r, b->len / 64);

    if (rc < 0)
        return rc;
    if (len <= TEXT_MOST && arena_extend(&r->arena, a->text, a->len, b->len)) {
        memcpy((char *)a->text + a->len, b->text, b->len); /* behind a, where nothing is */
        *ret = value_text(a->text, len);
        return 0;
    }
    rc = builder_room(r, &sum, len);
    if (rc == 0)
        rc = builder_str(r, &sum, str_of(a));
    if (rc == 0)
        rc = builder_str(r, &sum, str_of(b));
    if (rc < 0)
        return rc;
    if (sum.at && sum.at + sum.cap == r->arena.at)
        r->arena.at = sum.at + sum.len; /* what is added next to this text goes there */
    *ret = builder_value(&sum);
    return 0;
}

int concat(struct run *r, const struct value *a, const struct value *b, struct value *ret)
{
    bool markup = (a->flags | b->flags) & MARKUP;
    struct value x = *a, y = *b;
    int rc = 0;

    if (markup)
        rc = escape_value(r, a, &x);
    if (markup && rc == 0)
        rc = escape_value(r, b, &y);
    if (rc == 0)
        rc = y.len ? join_two(r, &x, &y, ret) : (*ret = value_text(x.text, x.len), 0);
    if (rc == 0 && markup)
        ret->flags |= MARKUP;
    return rc;
}

int escape_value(struct run *r, const struct value *v, struct value *ret)
{
    static const char special[] = "&<>'\"";
    static const char *const spelt[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    struct builder b = {0};
    struct value text;
    int rc;

    if (v->kind == V_STRING && (v->flags & MARKUP)) {
        *ret = *v;
        return 0;
    }
    rc = str_value(r, v, &text);
    for (size_t i = 0; rc == 0 && i < text.len; i++) {
        const char *found = text.text[i] ? strchr(special, text.text[i]) : NULL;
        rc = found ? builder_puts(r, &b, spelt[found - special])
                   : builder_add(r, &b, text.text + i, 1);
    }
    if (rc < 0)
        return rc;
    *ret = builder_value(&b);
    ret->flags |= MARKUP;
    return 0;
}
