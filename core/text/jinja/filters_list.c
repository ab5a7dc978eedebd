/* core/text/jinja/filters_list.c - filters of lists: order, groups, sums. Those that Python makes
 * generators are in filters_lazy.c. */
#include "core/text/jinja/filters.h"
#include "core/text/jinja/methods.h"
#include "core/text/jinja/python_text.h"
#include "core/text/jinja/text_case.h"
#include <math.h>

int ignore_case(struct run *r, const struct value *v, struct value *ret)
{
    struct builder b = {0};
    int rc;

    *ret = *v;
    if (v->kind != V_STRING)
        return 0;
    rc = text_to_case(r, str_of(v), TEXT_LOWER, &b);
    *ret = builder_value(&b);
    return rc;
}

/* A part of a path: of digits, an integer. */
static int path_step(struct run *r, struct str part, struct value *ret)
{
    int64_t i;
    int rc;

    *ret = value_str(part);
    if (!text_is_all(part, CHAR_DIGIT))
        return 0;
    rc = parse_int(r, part, 10, &i);
    if (rc == 0)
        return run_unsupported(r, "this attribute is not supported");
    *ret = value_int(i);
    return rc < 0 ? rc : 0;
}

int path_of(struct run *r, const struct value *attribute, struct path *ret)
{
    struct vector steps = {0};
    struct value step;
    struct str s;
    int rc = 0;

    *ret = (struct path){0};
    if (attribute->kind == V_MISSING || attribute->kind == V_NONE)
        return 0;
    if (attribute->kind != V_STRING) {
        rc = vector_push(r, &steps, attribute);
    } else {
        s = str_of(attribute);
        for (size_t at = 0; at <= s.len && rc == 0;) {
            size_t dot = text_find(s, STR("."), at, s.len), end = dot == SIZE_MAX ? s.len : dot;
            rc = path_step(r, (struct str){s.at + at, end - at}, &step);
            if (rc == 0)
                rc = vector_push(r, &steps, &step);
            at = end + 1;
        }
    }
    ret->steps = steps.items;
    ret->n = steps.n;
    return rc;
}

int path_get(struct run *r, const struct path *path, const struct value *item, struct value *ret)
{
    struct value v = *item;
    int rc = 0;

    for (size_t i = 0; i < path->n && rc == 0; i++) {
        rc = get_item(r, &v, &path->steps[i], &v);
        if (rc == 0 && v.kind == V_UNDEFINED && path->fallback.kind != V_MISSING)
            v = path->fallback;
    }
    if (rc == 0 && path->fold)
        rc = ignore_case(r, &v, &v);
    *ret = v;
    return rc;
}

int filter_list(struct run *r, struct value *in, struct value *ret)
{
    struct vector v = {0};
    int rc = vector_of(r, in, &v);

    *ret = vector_list(&v, V_LIST);
    return rc;
}

int filter_first(struct run *r, struct value *in, struct value *ret)
{
    struct cursor c;
    int rc = cursor_open(r, in, &c);

    if (rc == 0)
        rc = cursor_next(r, &c, ret);
    if (rc == 0)
        *ret = value_hint("there is no first item: the list is empty");
    return rc < 0 ? rc : 0;
}

/* What reversed() takes. */
static bool is_reversible(const struct value *v)
{
    return is_iterable(v) && v->kind != V_ITERATOR && v->kind != V_LOOP;
}

int filter_last(struct run *r, struct value *in, struct value *ret)
{
    struct vector v = {0};
    struct value last = value_int(-1);
    int rc;

    if (!is_reversible(in))
        return run_fail(r, "a %s has no last item", kind_name(in));
    if (is_sequence(in) && in->len > 0)
        return get_item(r, in, &last, ret);
    rc = vector_of(r, in, &v);
    *ret = v.n ? v.items[v.n - 1] : value_hint("there is no last item: the list is empty");
    return rc;
}

struct reversed {
    struct iterator it;
    struct value of;
    size_t left;
};

static int reverse_next(struct run *r, struct iterator *it, struct value *ret)
{
    struct reversed *v = (struct reversed *)it;
    int rc;

    if (v->left == 0)
        return 0;
    rc = list_at(r, &v->of, --v->left, ret);
    return rc < 0 ? rc : 1;
}

int filter_reverse(struct run *r, struct value *in, struct value *ret)
{
    static const struct value none = {.kind = V_NONE};
    const struct value bounds[3] = {none, none, value_int(-1)};
    struct reversed *v;
    struct vector items = {0};
    int rc;

    if (in->kind == V_STRING)
        return get_slice(r, in, bounds, ret);
    if (!is_iterable(in))
        return run_fail(r, "a %s cannot be reversed", kind_name(in));
    rc = vector_of(r, in, &items);
    *ret = vector_list(&items, V_LIST);
    for (size_t i = 0; i < items.n / 2 && in->kind == V_ITERATOR; i++) {
        struct value item = items.items[i];
        items.items[i] = items.items[items.n - 1 - i];
        items.items[items.n - 1 - i] = item;
    }
    if (in->kind == V_ITERATOR || rc < 0)
        return rc; /* a list */
    v = run_alloc(r, 1, sizeof(*v));
    if (!v)
        return run_code(r);
    *v = (struct reversed){.it = {reverse_next}, .of = *ret, .left = items.n};
    *ret = iterator_value(&v->it);
    return 0;
}

int filter_join(struct run *r, struct value *in, struct value *ret)
{
    struct value sep = in[1].kind == V_MISSING ? value_text("", 0) : in[1], item;
    struct builder b = {0};
    struct cursor c;
    struct path path;
    bool first = true;
    int rc = path_of(r, &in[2], &path);

    if (rc == 0)
        rc = str_value(r, &sep, &sep);
    if (rc == 0)
        rc = cursor_open(r, in, &c);
    while (rc >= 0 && (rc = cursor_next(r, &c, &item)) > 0) {
        rc = path_get(r, &path, &item, &item);
        if (rc == 0 && !first)
            rc = builder_str(r, &b, str_of(&sep));
        if (rc == 0)
            rc = text_of(r, &b, &item);
        first = false;
    }
    *ret = builder_value(&b);
    return rc;
}

enum { PATHS_MOST = 16 };

/* Several attributes, which commas part. Returns how many, or negative. */
static int paths_of(struct run *r, const struct value *attribute, bool fold,
                    struct path paths[PATHS_MOST])
{
    struct str s = str_of(attribute);
    struct value part = *attribute;
    size_t at = 0, end;
    int n = 0, rc;

    do {
        end = SIZE_MAX;
        if (attribute->kind == V_STRING) {
            end = text_find(s, STR(","), at, s.len);
            part = value_text(s.at + at, (end == SIZE_MAX ? s.len : end) - at);
        }
        if (n == PATHS_MOST)
            return run_unsupported(r, "more than %d attributes are not supported", PATHS_MOST);
        rc = path_of(r, &part, &paths[n]);
        paths[n++].fold = fold;
        at = end + 1;
    } while (rc == 0 && end != SIZE_MAX);
    return rc < 0 ? rc : n;
}

/* A list of the attributes of each item. */
static int keys_of(struct run *r, const struct value *attribute, bool fold,
                   const struct vector *items, struct vector *keys)
{
    struct path paths[PATHS_MOST];
    int n = paths_of(r, attribute, fold, paths), rc = n < 0 ? n : 0;

    for (size_t i = 0; i < items->n && rc == 0; i++) {
        struct vector key = {0};
        struct value part;
        for (int k = 0; k < n && rc == 0; k++) {
            rc = path_get(r, &paths[k], &items->items[i], &part);
            if (rc == 0)
                rc = vector_push(r, &key, &part);
        }
        part = vector_list(&key, V_LIST);
        if (rc == 0)
            rc = vector_push(r, keys, &part);
    }
    return rc;
}

/* reverse= of sorted(), which takes numbers only. */
static int need_flag(struct run *r, const struct value *v)
{
    return v->kind == V_MISSING ? 0 : need_int(r, "reverse", v);
}

int filter_sort(struct run *r, struct value *in, struct value *ret)
{
    struct vector items = {0}, keys = {0};
    int rc = need_flag(r, &in[1]);

    if (rc == 0)
        rc = vector_of(r, in, &items);
    if (rc == 0)
        rc = keys_of(r, &in[3], !is_true(&in[2]), &items, &keys);
    if (rc == 0)
        rc = sort_by_keys(r, items.items, keys.items, items.n, is_true(&in[1]));
    *ret = vector_list(&items, V_LIST);
    return rc;
}

static int pairs_of(struct run *r, const struct value *dict, bool by_value, bool fold,
                    struct vector *items, struct vector *keys)
{
    struct value view = *dict, pair, key;
    int rc;

    view.kind = V_VIEW;
    view.extra = VIEW_ITEMS;
    rc = vector_of(r, &view, items);
    for (size_t i = 0; i < items->n && rc == 0; i++) {
        pair = items->items[i];
        key = pair.items[by_value];
        if (fold)
            rc = ignore_case(r, &key, &key);
        if (rc == 0)
            rc = vector_push(r, keys, &key);
    }
    return rc;
}

int filter_dictsort(struct run *r, struct value *in, struct value *ret)
{
    struct vector items = {0}, keys = {0};
    bool by_value = in[2].kind == V_STRING && str_equal(str_of(&in[2]), STR("value"));
    int rc = need_flag(r, &in[3]);

    if (rc == 0 && in[2].kind != V_MISSING && !by_value &&
        !(in[2].kind == V_STRING && str_equal(str_of(&in[2]), STR("key"))))
        return run_fail(r, "dictsort sorts by \"key\" or \"value\" only");
    if (rc == 0 && in->kind == V_UNDEFINED)
        return fail_undefined(r, in);
    if (rc == 0 && in->kind != V_DICT)
        return run_fail(r, "dictsort needs a dict, not a %s", kind_name(in));
    if (rc == 0)
        rc = pairs_of(r, in, by_value, !is_true(&in[1]), &items, &keys);
    if (rc == 0)
        rc = sort_by_keys(r, items.items, keys.items, items.n, is_true(&in[3]));
    *ret = vector_list(&items, V_LIST);
    return rc;
}

static int keys_by_path(struct run *r, const struct path *path, const struct vector *items,
                        struct vector *keys)
{
    struct value key;
    int rc = 0;

    for (size_t i = 0; i < items->n && rc == 0; i++) {
        rc = path_get(r, path, &items->items[i], &key);
        if (rc == 0)
            rc = vector_push(r, keys, &key);
    }
    return rc;
}

static int push_group(struct run *r, struct path path, const struct value *key,
                      const struct value *items, size_t n, struct vector *groups)
{
    struct value *pair = run_alloc(r, 2, sizeof(*pair)), group;
    int rc = 0;

    if (!pair)
        return run_code(r);
    pair[0] = *key;
    if (path.fold) { /* the name as it is written in the first item */
        path.fold = false;
        rc = path_get(r, &path, &items[0], &pair[0]);
    }
    pair[1] = (struct value){.kind = V_LIST, .len = (uint32_t)n, .items = (struct value *)items};
    group = (struct value){.kind = V_TUPLE, .flags = GROUP, .len = 2, .items = pair};
    return rc < 0 ? rc : vector_push(r, groups, &group);
}

int filter_groupby(struct run *r, struct value *in, struct value *ret)
{
    struct vector items = {0}, keys = {0}, groups = {0};
    struct path path;
    size_t begin = 0;
    bool equal;
    int rc = path_of(r, &in[1], &path);

    path.fold = !is_true(&in[3]);
    if (in[2].kind != V_NONE)
        path.fallback = in[2];
    if (rc == 0)
        rc = vector_of(r, in, &items);
    if (rc == 0)
        rc = keys_by_path(r, &path, &items, &keys);
    if (rc == 0)
        rc = sort_by_keys(r, items.items, keys.items, items.n, false);
    for (size_t i = 1; i <= items.n && rc == 0; i++) {
        equal = false;
        if (i < items.n)
            rc = value_equal(r, &keys.items[begin], &keys.items[i], &equal);
        if (rc < 0 || equal)
            continue;
        rc = push_group(r, path, &keys.items[begin], items.items + begin, i - begin, &groups);
        begin = i;
    }
    *ret = vector_list(&groups, V_LIST);
    return rc;
}

static int extreme(struct run *r, struct value *in, enum order order, struct value *ret)
{
    struct vector items = {0}, keys = {0};
    struct path path;
    size_t best = 0;
    bool better;
    int rc = path_of(r, &in[2], &path);

    path.fold = !is_true(&in[1]);
    if (rc == 0)
        rc = vector_of(r, in, &items);
    if (rc == 0)
        rc = keys_by_path(r, &path, &items, &keys);
    for (size_t i = 1; i < items.n && rc == 0; i++) {
        rc = value_order(r, &keys.items[i], order, &keys.items[best], &better);
        if (rc == 0 && better)
            best = i;
    }
    *ret = items.n ? items.items[best] : value_hint("there is no item: the list is empty");
    return rc;
}

int filter_min(struct run *r, struct value *in, struct value *ret)
{
    return extreme(r, in, ORDER_LT, ret);
}

int filter_max(struct run *r, struct value *in, struct value *ret)
{
    return extreme(r, in, ORDER_GT, ret);
}

/* Newer versions of Python keep what rounding takes from a sum of floats, older ones do not: where
 * the two differ, there is no one answer. */
struct sum {
    struct value total;
    double kept, carry; /* of the newer ones */
    bool real;
};

static void keep_real(struct sum *s, double x)
{
    double t = s->kept + x;

    s->carry += fabs(s->kept) >= fabs(x) ? (s->kept - t) + x : (x - t) + s->kept;
    s->kept = t;
}

static int add_to_sum(struct run *r, struct sum *s, const struct value *item)
{
    double x = item->kind == V_FLOAT ? item->real : (double)item->integer;

    if (is_number(&s->total) && is_number(item) && (s->real || item->kind == V_FLOAT)) {
        if (!s->real)
            s->kept = s->total.kind == V_FLOAT ? s->total.real : (double)s->total.integer;
        s->real = true;
        keep_real(s, x);
    }
    return operate(r, T_ADD, &s->total, item, &s->total);
}

int filter_sum(struct run *r, struct value *in, struct value *ret)
{
    struct sum s = {.total = in[2].kind == V_MISSING ? value_int(0) : in[2]};
    struct cursor c;
    struct path path;
    struct value item;
    int rc = path_of(r, &in[1], &path);

    if (rc == 0 && s.total.kind == V_STRING)
        return run_fail(r, "sum does not add texts");
    if (rc == 0)
        rc = cursor_open(r, in, &c);
    while (rc >= 0 && (rc = cursor_next(r, &c, &item)) > 0) {
        rc = path_get(r, &path, &item, &item);
        if (rc == 0)
            rc = add_to_sum(r, &s, &item);
    }
    if (rc == 0 && s.real && isfinite(s.kept) && s.kept + s.carry != s.total.real)
        return run_unsupported(r, "this sum of floats depends on the version of Python");
    *ret = s.total;
    return rc;
}
