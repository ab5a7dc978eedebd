/* core/text/jinja/cursor.c - see data.h: what is iterated over, and how long it is. A cursor reads
 * one item after the other and owns nothing; an iterator is a value that is at some item. */
#include "core/text/jinja/data.h"
#include "core/text/jinja/loop.h"
#include "core/text/jinja/python_text.h"

struct value iterator_value(struct iterator *it)
{
    return (struct value){.kind = V_ITERATOR, .iterator = it};
}

bool is_iterable(const struct value *v)
{
    switch ((enum value_kind)v->kind) {
    case V_UNDEFINED:
    case V_STRING:
    case V_LIST:
    case V_TUPLE:
    case V_DICT:
    case V_RANGE:
    case V_VIEW:
    case V_ITERATOR:
    case V_LOOP:
        return true;
    default:
        return false;
    }
}

int cursor_open(struct run *r, const struct value *v, struct cursor *c)
{
    *c = (struct cursor){.of = *v};
    if (!is_iterable(v))
        return run_fail(r, "a %s cannot be iterated over", kind_name(v));
    if (v->kind == V_LOOP)
        return run_unsupported(r, "iterating over \"loop\" is not supported");
    return 0;
}

static int next_char(struct cursor *c, struct value *ret)
{
    size_t len;

    if (c->i == c->of.len)
        return 0;
    char_at(c->of.text + c->i, &len);
    *ret = value_text(c->of.text + c->i, len); /* of Markup, too, items are plain */
    c->i += len;
    return 1;
}

static int pair_value(struct run *r, const struct value *key, const struct value *item,
                      struct value *ret)
{
    struct value *items = run_alloc(r, 2, sizeof(*items));

    if (!items)
        return run_code(r);
    items[0] = *key;
    items[1] = *item;
    *ret = (struct value){.kind = V_TUPLE, .len = 2, .items = items};
    return 1;
}

static int next_of_view(struct run *r, struct cursor *c, struct value *ret)
{
    struct value dict = {.kind = V_DICT, .flags = c->of.flags, .dict = c->of.dict}, key, item;
    int rc = dict_next(r, &dict, &c->at, &key, &item);

    if (rc <= 0)
        return rc;
    if (c->of.extra == VIEW_ITEMS)
        return pair_value(r, &key, &item, ret);
    *ret = c->of.extra == VIEW_KEYS ? key : item;
    return 1;
}

static int next_of_dict(struct run *r, struct cursor *c, struct value *ret)
{
    struct value item;

    return dict_next(r, &c->of, &c->at, ret, &item);
}

static int next_of_iterator(struct run *r, struct iterator *it, struct value *ret)
{
    int rc = it->over ? 0 : run_enter(r);

    if (it->over)
        return 0;
    if (rc == 0) {
        rc = it->next(r, it, ret);
        r->depth--;
    }
    it->over = it->over || rc <= 0;
    return rc;
}

int cursor_next(struct run *r, struct cursor *c, struct value *ret)
{
    int rc = run_steps(r, 1);

    if (rc < 0)
        return rc;
    switch ((enum value_kind)c->of.kind) {
    case V_STRING:
        return next_char(c, ret);
    case V_LIST:
    case V_TUPLE:
        if (c->i == c->of.len)
            return 0;
        rc = list_at(r, &c->of, c->i++, ret);
        return rc < 0 ? rc : 1;
    case V_DICT:
        return next_of_dict(r, c, ret);
    case V_VIEW:
        return next_of_view(r, c, ret);
    case V_RANGE:
        if ((int64_t)c->i == c->of.range->n)
            return 0;
        *ret = value_int(c->of.range->start + (int64_t)c->i++ * c->of.range->step);
        return 1;
    case V_ITERATOR:
        return next_of_iterator(r, c->of.iterator, ret);
    default:
        return 0; /* undefined */
    }
}

bool has_length(const struct value *v)
{
    return is_iterable(v) && v->kind != V_ITERATOR;
}

int value_length(struct run *r, const struct value *v, int64_t *ret)
{
    struct value dict = {.kind = V_DICT, .flags = v->flags, .dict = v->dict};

    switch ((enum value_kind)v->kind) {
    case V_UNDEFINED:
        *ret = 0;
        return 0;
    case V_STRING:
        *ret = (int64_t)text_count(str_of(v));
        return run_steps(r, v->len / 64);
    case V_LIST:
    case V_TUPLE:
        *ret = (int64_t)list_count(v);
        return 0;
    case V_DICT:
    case V_VIEW:
        *ret = (int64_t)dict_count(&dict);
        return 0;
    case V_RANGE:
        *ret = v->range->n;
        return 0;
    case V_LOOP:
        return loop_length(r, v->loop, ret);
    default:
        return run_fail(r, "a %s has no length", kind_name(v));
    }
}

bool is_true(const struct value *v)
{
    struct value dict = {.kind = V_DICT, .flags = v->flags, .dict = v->dict};

    switch ((enum value_kind)v->kind) {
    case V_MISSING:
    case V_UNDEFINED:
    case V_NONE:
        return false;
    case V_BOOL:
    case V_INT:
        return v->integer != 0;
    case V_FLOAT:
        return v->real != 0;
    case V_STRING:
    case V_LIST:
    case V_TUPLE:
        return v->len > 0;
    case V_DICT:
    case V_VIEW:
        return dict_count(&dict) > 0;
    case V_RANGE:
        return v->range->n > 0;
    default:
        return true; /* a loop has at least one item while it can be read */
    }
}
