/* core/text/jinja/methods.c - methods of dicts, lists, ranges and the values of loop.h. */
#include "core/text/jinja/methods.h"
#include "core/text/jinja/attributes.h"
#include "core/text/jinja/loop.h"

static int dict_method(struct run *r, const struct value *self, int attribute,
                       const struct args *args, struct value *ret)
{
    struct dict *copy;
    bool get = attribute == A_GET;
    int rc = bind_positional(r, "the method of a dict", args, get, get ? 2 : 0);

    if (rc < 0)
        return rc;
    switch ((enum attribute)attribute) {
    case A_GET:
        rc = dict_get(r, self, &args->items[0], ret);
        if (rc == 0)
            *ret = args->n == 2 ? args->items[1] : value_none();
        return rc < 0 ? rc : 0;
    case A_COPY:
        copy = dict_new(r);
        rc = copy ? dict_update(r, copy, self) : run_code(r);
        *ret = dict_value(copy);
        return rc;
    default:
        *ret = *self;
        ret->kind = V_VIEW;
        ret->extra = attribute == A_ITEMS  ? VIEW_ITEMS
                     : attribute == A_KEYS ? VIEW_KEYS
                                           : VIEW_VALUES;
        return 0;
    }
}

static int list_count_of(struct run *r, const struct value *self, const struct args *args,
                         struct value *ret)
{
    struct cursor c;
    struct value item;
    int64_t n = 0;
    bool equal;
    int rc = bind_positional(r, "count()", args, 1, 1);

    if (rc == 0)
        rc = cursor_open(r, self, &c);
    while (rc >= 0 && (rc = cursor_next(r, &c, &item)) > 0) {
        rc = value_equal(r, &item, &args->items[0], &equal);
        n += rc == 0 && equal;
    }
    *ret = value_int(n);
    return rc;
}

static int list_index_of(struct run *r, const struct value *self, const struct args *args,
                         struct value *ret)
{
    struct cursor c;
    struct value item;
    int64_t n, bounds[2] = {0, INT64_MAX};
    bool equal = false;
    int rc = bind_positional(r, "index()", args, 1, self->kind == V_RANGE ? 1 : 3);

    if (rc == 0)
        rc = value_length(r, self, &n);
    for (int i = 1; i < args->n && rc == 0; i++) {
        rc = need_int(r, "index()", &args->items[i]);
        bounds[i - 1] = args->items[i].integer;
        if (bounds[i - 1] < 0)
            bounds[i - 1] = bounds[i - 1] + n < 0 ? 0 : bounds[i - 1] + n;
    }
    if (rc == 0)
        rc = cursor_open(r, self, &c);
    for (int64_t i = 0; rc >= 0 && i < bounds[1] && (rc = cursor_next(r, &c, &item)) > 0; i++) {
        rc = i < bounds[0] ? 0 : value_equal(r, &item, &args->items[0], &equal);
        if (rc == 0 && equal) {
            *ret = value_int(i);
            return 0;
        }
    }
    return rc < 0 ? rc : run_fail(r, "the value is not in the %s", kind_name(self));
}

static int list_method(struct run *r, const struct value *self, int attribute,
                       const struct args *args, struct value *ret)
{
    struct vector copy = {0};
    int rc;

    if (attribute == A_COUNT)
        return list_count_of(r, self, args, ret);
    if (attribute == A_INDEX)
        return list_index_of(r, self, args, ret);
    rc = bind_positional(r, "copy()", args, 0, 0);
    if (rc == 0)
        rc = vector_of(r, self, &copy);
    *ret = vector_list(&copy, V_LIST);
    return rc;
}

static int cycler_method(struct run *r, struct cycler *c, int attribute, const struct args *args,
                         struct value *ret)
{
    int rc = bind_positional(r, "the method of a cycler", args, 0, 0);

    if (rc < 0)
        return rc;
    if (attribute == A_RESET) {
        c->at = 0;
        *ret = value_none();
    } else {
        *ret = c->items.items[c->at];
        c->at = (c->at + 1) % c->items.len;
    }
    return 0;
}

int call_method(struct run *r, const struct value *self, int attribute, const struct args *args,
                struct value *ret)
{
    switch ((enum value_kind)self->kind) {
    case V_STRING:
        return text_method(r, self, attribute, args, ret);
    case V_DICT:
        return dict_method(r, self, attribute, args, ret);
    case V_CYCLER:
        return cycler_method(r, self->cycler, attribute, args, ret);
    case V_LOOP:
        return attribute == A_CYCLE ? loop_cycle(r, self->loop, args, ret)
                                    : loop_changed(r, self->loop, args, ret);
    default:
        return list_method(r, self, attribute, args, ret);
    }
}
