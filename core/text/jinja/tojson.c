/* core/text/jinja/tojson.c - the filter tojson: Python's json.dumps() with the arguments that
 * transformers passes on. Keys keep their order unless sorted, numbers are Python's, and characters
 * stay what they are unless ensure_ascii. */
#include "core/text/jinja/filters.h"
#include "core/text/jinja/methods.h"
#include "core/text/jinja/python_text.h"
#include "core/text/jinja/text.h"
#include <math.h>
#include <stdio.h>

static int json_value(struct run *r, struct builder *b, const struct value *v,
                      const struct json_form *form, int level);

/* Bytes from `at` that stand as they are. */
static size_t plain_bytes(struct str s, size_t at, bool ascii)
{
    size_t i = at;

    while (i < s.len && (uint8_t)s.at[i] >= 0x20 && s.at[i] != '"' && s.at[i] != '\\' &&
           (!ascii || (uint8_t)s.at[i] < 0x7f || s.at[i] == 0x7f))
        i++;
    return i - at;
}

static int put_escape(struct run *r, struct builder *b, uint32_t c)
{
    static const char letters[] = "\"\\\n\r\t\f\b", names[] = "\"\\nrtfb";
    const char *letter = c && c < 0x80 ? strchr(letters, (int)c) : NULL;
    char text[16];

    if (letter)
        snprintf(text, sizeof(text), "\\%c", names[letter - letters]);
    else if (c < 0x10000)
        snprintf(text, sizeof(text), "\\u%04x", c);
    else
        snprintf(text, sizeof(text), "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                 0xdc00 + ((c - 0x10000) & 0x3ff));
    return builder_puts(r, b, text);
}

static int json_text(struct run *r, struct builder *b, struct str s, bool ascii)
{
    size_t at = 0, n, len;
    int rc = builder_puts(r, b, "\"");

    while (at < s.len && rc == 0) {
        n = plain_bytes(s, at, ascii);
        rc = builder_add(r, b, s.at + at, n);
        at += n;
        if (rc < 0 || at == s.len)
            break;
        rc = put_escape(r, b, char_at(s.at + at, &len));
        at += len;
    }
    return rc < 0 ? rc : builder_puts(r, b, "\"");
}

static int json_number(struct run *r, struct builder *b, const struct value *v)
{
    char text[40];
    int n;

    if (v->kind == V_FLOAT && !isfinite(v->real))
        return builder_puts(r, b, isnan(v->real) ? "NaN" : v->real < 0 ? "-Infinity" : "Infinity");
    n = v->kind == V_FLOAT ? real_text(v->real, text) : int_text(v->integer, text);
    return builder_add(r, b, text, (size_t)n);
}

static int new_line(struct run *r, struct builder *b, const struct json_form *form, int level)
{
    int rc;

    if (!form->indented)
        return 0;
    rc = builder_puts(r, b, "\n");
    return rc < 0 ? rc : builder_repeat(r, b, form->indent, level);
}

/* What stands before an item: a comma behind another one, and a line of its own. */
static int begin_item(struct run *r, struct builder *b, const struct json_form *form, bool first,
                      int level)
{
    int rc = first ? 0 : builder_add(r, b, form->item, form->item_len);

    return rc < 0 ? rc : new_line(r, b, form, level);
}

static int json_list(struct run *r, struct builder *b, const struct value *v,
                     const struct json_form *form, int level)
{
    struct value item;
    int rc = builder_puts(r, b, "[");

    for (size_t i = 0; i < v->len && rc == 0; i++) {
        rc = begin_item(r, b, form, i == 0, level + 1);
        if (rc == 0)
            rc = list_at(r, v, i, &item);
        if (rc == 0)
            rc = json_value(r, b, &item, form, level + 1);
    }
    if (rc == 0 && v->len > 0)
        rc = new_line(r, b, form, level);
    return rc < 0 ? rc : builder_puts(r, b, "]");
}

/* Keys are texts in JSON: those of other types become what JSON has for them. */
static int json_key(struct run *r, struct builder *b, const struct value *key,
                    const struct json_form *form)
{
    int rc;

    switch ((enum value_kind)key->kind) {
    case V_STRING:
        return json_text(r, b, str_of(key), form->ascii);
    case V_NONE:
    case V_BOOL:
    case V_INT:
    case V_FLOAT:
        rc = builder_puts(r, b, "\"");
        if (rc == 0)
            rc = json_value(r, b, key, form, 0);
        return rc < 0 ? rc : builder_puts(r, b, "\"");
    default:
        return run_fail(r, "a %s cannot be a key of JSON", kind_name(key));
    }
}

static int sorted_pairs(struct run *r, const struct value *v, struct vector *keys,
                        struct vector *items, bool sort)
{
    struct value key, item;
    void *at = NULL;
    int rc = 0;

    while (rc == 0 && (rc = dict_next(r, v, &at, &key, &item)) > 0) {
        rc = vector_push(r, keys, &key);
        if (rc == 0)
            rc = vector_push(r, items, &item);
    }
    return rc == 0 && sort ? sort_by_keys(r, items->items, keys->items, items->n, false) : rc;
}

static int json_pair(struct run *r, struct builder *b, const struct value *key,
                     const struct value *item, const struct json_form *form, int level)
{
    int rc = json_key(r, b, key, form);

    if (rc == 0)
        rc = builder_add(r, b, form->key, form->key_len);
    return rc < 0 ? rc : json_value(r, b, item, form, level);
}

static int json_dict(struct run *r, struct builder *b, const struct value *v,
                     const struct json_form *form, int level)
{
    struct vector keys = {0}, items = {0};
    struct value key, item;
    void *at = NULL;
    size_t n = 0;
    int rc = builder_puts(r, b, "{");

    if (rc == 0 && form->sort) {
        rc = sorted_pairs(r, v, &keys, &items, true);
        for (; n < keys.n && rc == 0; n++) {
            rc = begin_item(r, b, form, n == 0, level + 1);
            if (rc == 0)
                rc = json_pair(r, b, &keys.items[n], &items.items[n], form, level + 1);
        }
    } else {
        for (; rc == 0 && (rc = dict_next(r, v, &at, &key, &item)) > 0; n++) {
            rc = begin_item(r, b, form, n == 0, level + 1);
            if (rc == 0)
                rc = json_pair(r, b, &key, &item, form, level + 1);
        }
    }
    if (rc == 0 && n > 0)
        rc = new_line(r, b, form, level);
    return rc < 0 ? rc : builder_puts(r, b, "}");
}

static int json_within(struct run *r, struct builder *b, const struct value *v,
                       const struct json_form *form, int level)
{
    switch ((enum value_kind)v->kind) {
    case V_NONE:
        return builder_puts(r, b, "null");
    case V_BOOL:
        return builder_puts(r, b, v->integer ? "true" : "false");
    case V_INT:
    case V_FLOAT:
        return json_number(r, b, v);
    case V_STRING:
        return json_text(r, b, str_of(v), form->ascii);
    case V_LIST:
    case V_TUPLE:
        return json_list(r, b, v, form, level);
    case V_DICT:
        return json_dict(r, b, v, form, level);
    default:
        return run_fail(r, "a %s has no form in JSON", kind_name(v));
    }
}

static int json_value(struct run *r, struct builder *b, const struct value *v,
                      const struct json_form *form, int level)
{
    int rc = run_enter(r);

    if (rc == 0)
        rc = run_steps(r, 1);
    if (rc == 0)
        rc = json_within(r, b, v, form, level);
    r->depth--;
    return rc;
}

int json_of(struct run *r, struct builder *b, const struct value *v, const struct json_form *form)
{
    return json_value(r, b, v, form, 0);
}

/* separators=(item, key) */
static int read_separators(struct run *r, const struct value *v, struct json_form *form)
{
    struct vector two = {0};
    int rc = v->kind == V_MISSING || v->kind == V_NONE ? 0 : vector_of(r, v, &two);

    if (rc < 0 || v->kind == V_MISSING || v->kind == V_NONE)
        return rc;
    if (two.n != 2)
        return run_fail(r, "the separators of tojson must be two texts");
    rc = need_text(r, "tojson", &two.items[0]);
    if (rc == 0)
        rc = need_text(r, "tojson", &two.items[1]);
    form->item = two.items[0].text;
    form->item_len = two.items[0].len;
    form->key = two.items[1].text;
    form->key_len = two.items[1].len;
    return rc;
}

static int read_indent(struct run *r, const struct value *v, struct json_form *form)
{
    struct builder blanks = {0};
    int rc = 0;

    if (v->kind == V_MISSING || v->kind == V_NONE)
        return 0;
    form->indented = true;
    form->item = ",";
    form->item_len = 1;
    if (v->kind == V_STRING) {
        form->indent = str_of(v);
        return 0;
    }
    rc = need_int(r, "tojson", v);
    if (rc == 0)
        rc = builder_repeat(r, &blanks, STR(" "), v->integer);
    form->indent = (struct str){blanks.at, blanks.len};
    return rc;
}

int filter_tojson(struct run *r, struct value *in, struct value *ret)
{
    struct json_form form = {.ascii = is_true(&in[1]),
                             .sort = is_true(&in[4]),
                             .item = ", ",
                             .key = ": ",
                             .item_len = 2,
                             .key_len = 2};
    struct builder b = {0};
    int rc = read_indent(r, &in[2], &form);

    if (rc == 0)
        rc = read_separators(r, &in[3], &form);
    if (rc == 0)
        rc = json_of(r, &b, in, &form);
    *ret = builder_value(&b);
    return rc;
}
