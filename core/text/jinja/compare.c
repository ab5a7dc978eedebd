/* core/text/jinja/compare.c - see data.h: equality, order and membership. Numbers compare by value
 * whatever their type, an integer and a float exactly; other values of different types are unequal
 * and have no order. */
#include "core/text/jinja/data.h"
#include "core/text/jinja/python_text.h"
#include <math.h>

int compare_int_real(int64_t i, double x)
{
    int64_t whole;

    if (x >= 0x1p63)
        return -1;
    if (x < -0x1p63)
        return 1;
    whole = (int64_t)x; /* towards 0 */
    if (i != whole)
        return i < whole ? -1 : 1;
    return x > (double)whole ? -1 : x < (double)whole ? 1 : 0;
}

/* -1, 0, 1, or 2 where one is NaN. */
static int compare_numbers(const struct value *a, const struct value *b)
{
    if (is_integral(a) && is_integral(b))
        return (a->integer > b->integer) - (a->integer < b->integer);
    if ((a->kind == V_FLOAT && isnan(a->real)) || (b->kind == V_FLOAT && isnan(b->real)))
        return 2;
    if (is_integral(a))
        return compare_int_real(a->integer, b->real);
    if (is_integral(b))
        return -compare_int_real(b->integer, a->real);
    return (a->real > b->real) - (a->real < b->real);
}

static int compare_texts(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int c = len ? memcmp(a.at, b.at, len) : 0; /* UTF-8 sorts as its code points do */

    return c ? (c > 0) - (c < 0) : (a.len > b.len) - (a.len < b.len);
}

static int lists_equal(struct run *r, const struct value *a, const struct value *b, bool *ret)
{
    struct value x, y;
    int rc = run_steps(r, a->len / 8);

    *ret = a->len == b->len;
    for (size_t i = 0; i < a->len && *ret && rc == 0; i++) {
        rc = list_at(r, a, i, &x);
        if (rc == 0)
            rc = list_at(r, b, i, &y);
        if (rc == 0)
            rc = value_equal(r, &x, &y, ret);
    }
    return rc;
}

static int dicts_equal(struct run *r, const struct value *a, const struct value *b, bool *ret)
{
    struct value key, item, other;
    void *at = NULL;
    int rc = 0;

    *ret = dict_count(a) == dict_count(b);
    while (*ret && (rc = dict_next(r, a, &at, &key, &item)) > 0) {
        rc = dict_get(r, b, &key, &other);
        *ret = rc > 0;
        if (rc > 0)
            rc = value_equal(r, &item, &other, ret);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? rc : 0;
}

static bool ranges_equal(const struct range *a, const struct range *b)
{
    return a->n == b->n && (a->n == 0 || a->start == b->start) && (a->n <= 1 || a->step == b->step);
}

static int methods_equal(struct run *r, const struct value *a, const struct value *b)
{
    (void)b;
    return run_unsupported(r, "comparing a %s is not supported", kind_name(a));
}

static int equal_within(struct run *r, const struct value *a, const struct value *b, bool *ret)
{
    *ret = false;
    switch ((enum value_kind)a->kind) {
    case V_UNDEFINED:
    case V_NONE:
        *ret = true;
        return 0;
    case V_STRING:
        *ret = str_equal(str_of(a), str_of(b));
        return run_steps(r, a->len / 64);
    case V_LIST:
    case V_TUPLE:
        return lists_equal(r, a, b, ret);
    case V_DICT:
        return dicts_equal(r, a, b, ret);
    case V_RANGE:
        *ret = ranges_equal(a->range, b->range);
        return 0;
    case V_VIEW:
    case V_METHOD:
        return methods_equal(r, a, b);
    default:
        *ret = a->integer == b->integer; /* the same function or object */
        return 0;
    }
}

int value_equal(struct run *r, const struct value *a, const struct value *b, bool *ret)
{
    int rc;

    if (is_number(a) && is_number(b)) {
        *ret = compare_numbers(a, b) == 0;
        return 0;
    }
    *ret = false;
    if (a->kind != b->kind)
        return 0;
    rc = run_enter(r);
    if (rc == 0)
        rc = run_steps(r, 1);
    if (rc == 0)
        rc = equal_within(r, a, b, ret);
    r->depth--;
    return rc;
}

static bool holds(int compared, enum order order)
{
    switch (order) {
    case ORDER_LT:
        return compared == -1;
    case ORDER_LE:
        return compared == -1 || compared == 0;
    case ORDER_GT:
        return compared == 1;
    default:
        return compared == 1 || compared == 0;
    }
}

/* The first items that differ decide, else the lengths. */
static int order_lists(struct run *r, const struct value *a, enum order order,
                       const struct value *b, bool *ret)
{
    struct value x, y;
    bool equal = true;
    int rc = run_steps(r, a->len / 8);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < a->len && i < b->len; i++) {
        rc = list_at(r, a, i, &x);
        if (rc == 0)
            rc = list_at(r, b, i, &y);
        if (rc == 0)
            rc = value_equal(r, &x, &y, &equal);
        if (rc < 0)
            return rc;
        if (!equal)
            return value_order(r, &x, order, &y, ret);
    }
    *ret = holds((a->len > b->len) - (a->len < b->len), order);
    return 0;
}

int value_order(struct run *r, const struct value *a, enum order order, const struct value *b,
                bool *ret)
{
    int rc = run_steps(r, 1);

    if (rc < 0)
        return rc;
    if (is_number(a) && is_number(b)) {
        *ret = holds(compare_numbers(a, b), order);
        return 0;
    }
    if (a->kind == V_STRING && b->kind == V_STRING) {
        *ret = holds(compare_texts(str_of(a), str_of(b)), order);
        return run_steps(r, a->len / 64);
    }
    if (a->kind == V_UNDEFINED || b->kind == V_UNDEFINED)
        return fail_undefined(r, a->kind == V_UNDEFINED ? a : b);
    if (is_sequence(a) && a->kind == b->kind) {
        rc = run_enter(r);
        if (rc == 0)
            rc = order_lists(r, a, order, b, ret);
        r->depth--;
        return rc;
    }
    if (a->kind == V_VIEW && b->kind == V_VIEW)
        return methods_equal(r, a, b);
    return run_fail(r, "a %s and a %s have no order", kind_name(a), kind_name(b));
}

static int in_items(struct run *r, const struct value *item, const struct value *of, bool *ret)
{
    struct cursor c;
    struct value x;
    int rc = cursor_open(r, of, &c);

    *ret = false;
    while (rc >= 0 && !*ret && (rc = cursor_next(r, &c, &x)) > 0)
        rc = value_equal(r, &x, item, ret);
    return rc < 0 ? rc : 0;
}

/* Of a range, numbers; of the keys of a dict, what may be a key. */
static int in_keys(struct run *r, const struct value *item, const struct value *of, bool *ret)
{
    struct value dict = {.kind = V_DICT, .flags = of->flags, .dict = of->dict}, found;
    int rc = dict_get(r, &dict, item, &found);

    *ret = rc > 0;
    return rc < 0 ? rc : 0;
}

int value_in(struct run *r, const struct value *item, const struct value *of, bool *ret)
{
    if (of->kind == V_STRING) {
        if (item->kind != V_STRING)
            return run_fail(r, "only a text can be in a text, not a %s", kind_name(item));
        *ret = text_find(str_of(of), str_of(item), 0, of->len) != SIZE_MAX;
        return run_steps(r, of->len / 64);
    }
    if (of->kind == V_DICT || (of->kind == V_VIEW && of->extra == VIEW_KEYS))
        return in_keys(r, item, of, ret);
    return in_items(r, item, of, ret);
}

/* Merges two sorted halves; of equal ones, those of the first come first. */
static int merge(struct run *r, const size_t *from, size_t *to, const struct value *keys,
                 size_t half, size_t n)
{
    size_t a = 0, b = half;

    for (size_t i = 0; i < n; i++) {
        bool second = false;
        if (a < half && b < n) {
            int rc = value_order(r, &keys[from[b]], ORDER_LT, &keys[from[a]], &second);
            if (rc < 0)
                return rc;
        }
        to[i] = a == half || second ? from[b++] : from[a++];
    }
    return 0;
}

static int sort_places(struct run *r, size_t *places, size_t *spare, const struct value *keys,
                       size_t n)
{
    size_t half = n / 2;
    int rc;

    if (n < 2)
        return 0;
    rc = sort_places(r, places, spare, keys, half);
    if (rc == 0)
        rc = sort_places(r, places + half, spare, keys, n - half);
    if (rc == 0)
        rc = merge(r, places, spare, keys, half, n);
    if (rc == 0)
        memcpy(places, spare, n * sizeof(*places));
    return rc;
}

static int refuse_nan(struct run *r, const struct value *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (keys[i].kind == V_FLOAT && isnan(keys[i].real))
            return run_unsupported(r, "sorting NaN is not supported");
    return 0;
}

int sort_by_keys(struct run *r, struct value *items, struct value *keys, size_t n, bool reverse)
{
    size_t *places = run_alloc(r, 2 * n + 1, sizeof(*places));
    struct value *sorted = run_alloc(r, 2 * n + 1, sizeof(*sorted));
    int rc;

    if (n == 0)
        return 0;
    if (!places || !sorted)
        return run_code(r);
    for (size_t i = 0; i < n; i++)
        places[i] = reverse ? n - 1 - i : i;
    rc = refuse_nan(r, keys, n);
    if (rc == 0)
        rc = sort_places(r, places, places + n, keys, n);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        size_t from = places[reverse ? n - 1 - i : i];
        sorted[i] = items[from];
        sorted[n + i] = keys[from];
    }
    memcpy(items, sorted, n * sizeof(*items));
    memcpy(keys, sorted + n, n * sizeof(*keys));
    return 0;
}
