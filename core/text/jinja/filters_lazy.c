/* core/text/jinja/filters_lazy.c - filters that give generators: each item is computed as it is
 * asked for, and an error appears only then. */
#include "core/text/jinja/filters.h"
#include "core/text/jinja/methods.h"
#include "core/text/jinja/tests.h"

struct lazy {
    struct iterator it;
    struct cursor cursor;
    struct value of;
    bool open;
    /* items of a dict, of slice and of batch */
    struct value fill;
    int64_t size, number;
    struct vector list;
    /* unique, map, select */
    struct path path;
    struct args args; /* of the filter or test; items[0] is where the item goes */
    int row;          /* 0: none */
    bool reject;
    struct str name;
};

static struct lazy *lazy_new(struct run *r, const struct value *of,
                             int (*next)(struct run *r, struct iterator *it, struct value *ret))
{
    struct lazy *l = run_alloc(r, 1, sizeof(*l));

    if (l)
        *l = (struct lazy){.it = {next}, .of = *of};
    return l;
}

static int lazy_value(struct run *r, struct lazy *l, struct value *ret)
{
    if (!l)
        return run_code(r);
    *ret = iterator_value(&l->it);
    return 0;
}

static int open_once(struct run *r, struct lazy *l)
{
    if (l->open)
        return 0;
    l->open = true;
    return cursor_open(r, &l->of, &l->cursor);
}

static int items_next(struct run *r, struct iterator *it, struct value *ret)
{
    struct lazy *l = (struct lazy *)it;

    if (!l->open && l->of.kind == V_UNDEFINED)
        return 0;
    if (!l->open && l->of.kind != V_DICT)
        return run_fail(r, "items needs a dict, not a %s", kind_name(&l->of));
    if (!l->open) {
        l->of.kind = V_VIEW;
        l->of.extra = VIEW_ITEMS;
    }
    if (open_once(r, l) < 0)
        return run_code(r);
    return cursor_next(r, &l->cursor, ret);
}

int filter_items(struct run *r, struct value *in, struct value *ret)
{
    return lazy_value(r, lazy_new(r, in, items_next), ret);
}

static int batch_next(struct run *r, struct iterator *it, struct value *ret)
{
    struct lazy *l = (struct lazy *)it;
    struct vector v = {0};
    struct value item;
    int rc = open_once(r, l);

    if (rc == 0 && l->size <= 0 && l->size != INT64_MIN) /* Python compares lengths for equality */
        return run_unsupported(r, "batch of fewer than one item is not supported");
    while (rc >= 0 && (int64_t)v.n < l->size && (rc = cursor_next(r, &l->cursor, &item)) > 0)
        rc = vector_push(r, &v, &item);
    if (rc < 0 || v.n == 0)
        return rc;
    while (l->fill.kind != V_NONE && (int64_t)v.n < l->size)
        if ((rc = run_steps(r, 1)) < 0 || (rc = vector_push(r, &v, &l->fill)) < 0)
            return rc;
    *ret = vector_list(&v, V_LIST);
    return 1;
}

static int with_size(struct run *r, struct lazy *l, struct value *in, struct value *ret)
{
    int rc = l ? need_int(r, "batch or slice", &in[1]) : run_code(r);

    if (rc < 0)
        return rc;
    l->size = in[1].integer;
    l->fill = in[2].kind == V_MISSING ? value_none() : in[2];
    return lazy_value(r, l, ret);
}

int filter_batch(struct run *r, struct value *in, struct value *ret)
{
    return with_size(r, lazy_new(r, in, batch_next), in, ret);
}

static int slice_next(struct run *r, struct iterator *it, struct value *ret)
{
    struct lazy *l = (struct lazy *)it;
    struct vector v = {0};
    int64_t each, extra, from, to;
    int rc = 0;

    if (!l->open)
        rc = vector_of(r, &l->of, &l->list);
    l->open = true;
    if (rc == 0 && l->size == 0)
        return run_fail(r, "a list cannot be cut into 0 slices");
    if (rc < 0 || l->number >= l->size)
        return rc;
    each = (int64_t)l->list.n / l->size;
    extra = (int64_t)l->list.n % l->size;
    from = l->number * each + (l->number < extra ? l->number : extra);
    to = from + each + (l->number < extra);
    for (int64_t i = from; i < to && rc == 0; i++)
        rc = vector_push(r, &v, &l->list.items[i]);
    if (rc == 0 && l->fill.kind != V_NONE && l->number >= extra)
        rc = vector_push(r, &v, &l->fill);
    l->number++;
    *ret = vector_list(&v, V_LIST);
    return rc < 0 ? rc : 1;
}

int filter_slice(struct run *r, struct value *in, struct value *ret)
{
    return with_size(r, lazy_new(r, in, slice_next), in, ret);
}

static int unique_next(struct run *r, struct iterator *it, struct value *ret)
{
    struct lazy *l = (struct lazy *)it;
    struct value key;
    bool known;
    int rc = open_once(r, l);

    while (rc >= 0 && (rc = cursor_next(r, &l->cursor, ret)) > 0) {
        rc = path_get(r, &l->path, ret, &key);
        if (rc == 0)
            rc = check_hashable(r, &key);
        known = false;
        for (size_t i = 0; i < l->list.n && rc == 0 && !known; i++)
            rc = value_equal(r, &l->list.items[i], &key, &known);
        if (rc == 0)
            rc = run_steps(r, l->list.n / 16);
        if (rc < 0 || known)
            continue;
        rc = vector_push(r, &l->list, &key);
        return rc < 0 ? rc : 1;
    }
    return rc;
}

int filter_unique(struct run *r, struct value *in, struct value *ret)
{
    struct lazy *l = lazy_new(r, in, unique_next);
    int rc = l ? path_of(r, &in[2], &l->path) : run_code(r);

    if (rc < 0)
        return rc;
    l->path.fold = !is_true(&in[1]);
    return lazy_value(r, l, ret);
}

/* The arguments of the filter or test for one item. */
static int args_for(struct run *r, const struct lazy *l, const struct value *item, struct args *ret)
{
    *ret = l->args;
    ret->items = run_alloc(r, (size_t)l->args.n, sizeof(*ret->items));
    if (!ret->items)
        return run_code(r);
    memcpy(ret->items, l->args.items, (size_t)l->args.n * sizeof(*ret->items));
    ret->items[0] = *item;
    return 0;
}

static bool takes_named(const struct args *args, const char *name, struct value *ret)
{
    for (int i = 0; i < args->n_named; i++)
        if (str_equal(args->names[i], (struct str){name, strlen(name)})) {
            *ret = args->named[i];
            return true;
        }
    return false;
}

/* What map() does with each item: an attribute, or a filter by its name. */
static int prepare_map(struct run *r, struct lazy *l)
{
    struct value attribute, fallback = value_none();

    if (l->args.n == 1 && takes_named(&l->args, "attribute", &attribute)) {
        bool given = takes_named(&l->args, "default", &fallback);
        if (l->args.n_named > 1 + given)
            return run_fail(r, "map does not take all of these arguments");
        if (path_of(r, &attribute, &l->path) < 0)
            return run_code(r);
        if (fallback.kind != V_NONE)
            l->path.fallback = fallback;
        return 0;
    }
    if (l->args.n < 2)
        return run_fail(r, "map needs the name of a filter");
    if (l->args.items[1].kind != V_STRING)
        return run_fail(r, "map needs the name of a filter, not a %s",
                        kind_name(&l->args.items[1]));
    l->name = str_of(&l->args.items[1]);
    l->row = filter_find(l->name);
    l->args.items++; /* the place of the name is that of the item */
    l->args.n--;
    if (l->row == 0)
        return run_unsupported(r, "the filter \"%.*s\" is not supported",
                               (int)(l->name.len < 100 ? l->name.len : 100), l->name.at);
    return 0;
}

static int map_next(struct run *r, struct iterator *it, struct value *ret)
{
    struct lazy *l = (struct lazy *)it;
    struct args args;
    struct value item;
    int rc = 0;

    if (!l->open && !is_true(&l->of))
        return 0;
    if (!l->open)
        rc = prepare_map(r, l);
    if (rc == 0)
        rc = open_once(r, l);
    if (rc == 0)
        rc = cursor_next(r, &l->cursor, &item);
    if (rc <= 0)
        return rc;
    if (l->row == 0) {
        rc = path_get(r, &l->path, &item, ret);
    } else {
        rc = args_for(r, l, &item, &args);
        if (rc == 0)
            rc = call_filter(r, l->row, &args, ret);
    }
    return rc < 0 ? rc : 1;
}

static struct lazy *lazy_args(struct run *r, const struct args *args,
                              int (*next)(struct run *r, struct iterator *it, struct value *ret))
{
    struct lazy *l = lazy_new(r, &args->items[0], next);

    if (l)
        l->args = *args;
    return l;
}

int filter_map(struct run *r, struct args *args, struct value *ret)
{
    return lazy_value(r, lazy_args(r, args, map_next), ret);
}

/* What select() and the like ask of each item, or of an attribute of it. */
static int prepare_select(struct run *r, struct lazy *l)
{
    if (l->number) { /* of an attribute */
        if (l->args.n < 2)
            return run_fail(r, "selectattr and rejectattr need the name of an attribute");
        if (path_of(r, &l->args.items[1], &l->path) < 0)
            return run_code(r);
        l->args.items++;
        l->args.n--;
    }
    if (l->args.n < 2)
        return 0;
    if (l->args.items[1].kind != V_STRING)
        return run_fail(r, "the name of a test must be a text, not a %s",
                        kind_name(&l->args.items[1]));
    l->name = str_of(&l->args.items[1]);
    l->row = test_find(l->name);
    l->args.items++;
    l->args.n--;
    if (l->row == 0)
        return run_unsupported(r, "the test \"%.*s\" is not supported",
                               (int)(l->name.len < 100 ? l->name.len : 100), l->name.at);
    return 0;
}

static int meets(struct run *r, struct lazy *l, const struct value *item, bool *ret)
{
    struct args args;
    struct value v;
    int rc = path_get(r, &l->path, item, &v);

    if (rc == 0 && l->row == 0)
        *ret = is_true(&v);
    else if (rc == 0 && (rc = args_for(r, l, &v, &args)) == 0)
        rc = call_test(r, l->row, &args, ret);
    *ret = *ret != l->reject;
    return rc;
}

static int select_next(struct run *r, struct iterator *it, struct value *ret)
{
    struct lazy *l = (struct lazy *)it;
    bool met = false;
    int rc = 0;

    if (!l->open && !is_true(&l->of))
        return 0;
    if (!l->open)
        rc = prepare_select(r, l);
    if (rc == 0)
        rc = open_once(r, l);
    while (rc >= 0 && (rc = cursor_next(r, &l->cursor, ret)) > 0) {
        rc = meets(r, l, ret, &met);
        if (rc == 0 && met)
            return 1;
    }
    return rc;
}

static int select_by(struct run *r, struct args *args, bool attribute, bool reject,
                     struct value *ret)
{
    struct lazy *l = lazy_args(r, args, select_next);

    if (l) {
        l->number = attribute;
        l->reject = reject;
    }
    return lazy_value(r, l, ret);
}

int filter_select(struct run *r, struct args *args, struct value *ret)
{
    return select_by(r, args, false, false, ret);
}

int filter_reject(struct run *r, struct args *args, struct value *ret)
{
    return select_by(r, args, false, true, ret);
}

int filter_selectattr(struct run *r, struct args *args, struct value *ret)
{
    return select_by(r, args, true, false, ret);
}

int filter_rejectattr(struct run *r, struct args *args, struct value *ret)
{
    return select_by(r, args, true, true, ret);
}
