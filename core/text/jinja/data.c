/* core/text/jinja/data.c - see data.h: lists and dicts. What the template makes are arrays of
 * values, and a dict is searched from its beginning, which counts as steps; what the caller passed
 * stays JSON, whose strings become values without a copy. */
#include "core/text/jinja/data.h"
#include "core/json_parse.h"
#include <math.h>

enum { LOOKUPS_PER_STEP = 16 };

/* A list, unless it stands for a number that JSON or this program lacks. */
static int array_of_json(struct run *r, const json_t *json, struct value *ret)
{
    bool pair = json_array_size(json) == 2;
    const char *number = pair ? json_parse_not_finite(json) : NULL;
    const char *large = pair ? json_parse_large_integer(json) : NULL;

    if (large)
        return run_unsupported(r, "the integer %.80s%s is beyond 64 bits", large,
                               strlen(large) > 80 ? "..." : "");
    if (json_array_size(json) > UINT32_MAX)
        return run_unsupported(r, "a list has more than %u items", UINT32_MAX);
    if (number && number[0] == 'N')
        *ret = value_real(NAN);
    else if (number)
        *ret = value_real(number[0] == '-' ? -INFINITY : INFINITY);
    else
        *ret = (struct value){.kind = V_LIST,
                              .flags = FROM_JSON,
                              .len = (uint32_t)json_array_size(json),
                              .json = json};
    return 0;
}

int value_of_json(struct run *r, const json_t *json, struct value *ret)
{
    switch (json_typeof(json)) {
    case JSON_STRING:
        if (json_string_length(json) > UINT32_MAX / 2)
            return run_unsupported(r, "a text has more than 2 GiB");
        *ret = value_text(json_string_value(json), json_string_length(json));
        return 0;
    case JSON_OBJECT:
        *ret = (struct value){.kind = V_DICT, .flags = FROM_JSON, .json = json};
        return 0;
    case JSON_ARRAY:
        return array_of_json(r, json, ret);
    case JSON_INTEGER:
        *ret = value_int(json_integer_value(json));
        return 0;
    case JSON_REAL:
        *ret = value_real(json_real_value(json));
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        *ret = value_bool(json_is_true(json));
        return 0;
    default:
        *ret = value_none();
        return 0;
    }
}

bool is_sequence(const struct value *v)
{
    return v->kind == V_LIST || v->kind == V_TUPLE;
}

bool is_text(const struct value *v)
{
    return v->kind == V_STRING;
}

size_t list_count(const struct value *v)
{
    return v->len;
}

int list_at(struct run *r, const struct value *v, size_t i, struct value *ret)
{
    if (v->flags & FROM_JSON)
        return value_of_json(r, json_array_get(v->json, i), ret);
    *ret = v->items[i];
    return 0;
}

int vector_push(struct run *r, struct vector *v, const struct value *item)
{
    if (v->n == v->cap) {
        size_t cap = v->cap ? 2 * v->cap : 8;
        struct value *more = NULL;
        if (cap <= UINT32_MAX)
            more = run_alloc(r, cap, sizeof(*more));
        if (!more)
            return cap <= UINT32_MAX ? run_code(r) : run_fail(r, "a list is too long");
        if (v->n)
            memcpy(more, v->items, v->n * sizeof(*more));
        v->items = more;
        v->cap = cap;
    }
    v->items[v->n++] = *item;
    return 0;
}

struct value vector_list(const struct vector *v, enum value_kind kind)
{
    return (struct value){.kind = (uint8_t)kind, .len = (uint32_t)v->n, .items = v->items};
}

int vector_of(struct run *r, const struct value *iterable, struct vector *ret)
{
    struct cursor c;
    struct value item;
    int rc = cursor_open(r, iterable, &c);

    while (rc >= 0 && (rc = cursor_next(r, &c, &item)) > 0)
        rc = vector_push(r, ret, &item);
    return rc;
}

size_t dict_count(const struct value *v)
{
    return v->flags & FROM_JSON ? json_object_size(v->json) : v->dict->n;
}

int check_hashable(struct run *r, const struct value *v)
{
    struct value item;
    int rc = run_steps(r, 1);

    if (rc < 0)
        return rc;
    if (v->kind == V_LIST || v->kind == V_DICT)
        return run_fail(r, "a %s cannot be the key of a dict", kind_name(v));
    if (v->kind != V_TUPLE)
        return 0;
    rc = run_enter(r);
    for (size_t i = 0; i < v->len && rc == 0; i++) {
        rc = list_at(r, v, i, &item);
        if (rc == 0)
            rc = check_hashable(r, &item);
    }
    r->depth--;
    return rc;
}

/* Where a key is; d->n where it is not. */
static int find_key(struct run *r, const struct dict *d, const struct value *key, size_t *ret)
{
    bool equal = false;
    int rc = run_steps(r, d->n / LOOKUPS_PER_STEP + (key->kind == V_STRING ? key->len / 64 : 0));
    size_t i;

    for (i = 0; i < d->n && rc == 0; i++) {
        if (key->kind == V_STRING && d->pairs[i].key.kind == V_STRING)
            equal = str_equal(str_of(key), str_of(&d->pairs[i].key));
        else
            rc = value_equal(r, key, &d->pairs[i].key, &equal);
        if (equal)
            break;
    }
    *ret = i;
    return rc;
}

static int json_get(struct run *r, const struct value *v, struct str key, struct value *ret)
{
    char name[200], *copy = key.len < sizeof(name) ? name : run_alloc(r, key.len + 1, 1);
    const json_t *found;
    int rc;

    if (!copy)
        return run_code(r);
    if (key.len)
        memcpy(copy, key.at, key.len);
    copy[key.len] = '\0';
    found = strlen(copy) == key.len ? json_object_get(v->json, copy) : NULL;
    rc = found ? value_of_json(r, found, ret) : 0;

    return rc < 0 ? rc : found != NULL;
}

int dict_get(struct run *r, const struct value *v, const struct value *key, struct value *ret)
{
    size_t i;
    int rc = check_hashable(r, key);

    if (rc < 0)
        return rc;
    if (v->flags & FROM_JSON)
        return key->kind == V_STRING ? json_get(r, v, str_of(key), ret) : 0;
    rc = find_key(r, v->dict, key, &i);
    if (rc < 0 || i == v->dict->n)
        return rc;
    *ret = v->dict->pairs[i].value;
    return 1;
}

int dict_get_text(struct run *r, const struct value *v, struct str key, struct value *ret)
{
    struct value k = value_str(key);

    if (v->flags & FROM_JSON)
        return json_get(r, v, key, ret);
    return dict_get(r, v, &k, ret);
}

struct dict *dict_new(struct run *r)
{
    struct dict *d = run_alloc(r, 1, sizeof(*d));

    if (d)
        *d = (struct dict){0};
    return d;
}

int dict_set(struct run *r, struct dict *d, const struct value *key, const struct value *item)
{
    size_t i = 0;
    int rc = check_hashable(r, key);

    if (rc == 0)
        rc = find_key(r, d, key, &i);
    if (rc < 0)
        return rc;
    if (i < d->n) {
        d->pairs[i].value = *item;
        return 0;
    }
    if (d->n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 4;
        struct pair *more = run_alloc(r, cap, sizeof(*more));
        if (!more)
            return run_code(r);
        if (d->n)
            memcpy(more, d->pairs, d->n * sizeof(*more));
        d->pairs = more;
        d->cap = cap;
    }
    d->pairs[d->n++] = (struct pair){*key, *item};
    return 0;
}

/* A pair of an iterable of pairs. */
static int set_pair(struct run *r, struct dict *d, const struct value *item)
{
    struct vector v = {0};
    int rc = vector_of(r, item, &v);

    if (rc < 0)
        return rc;
    if (v.n != 2)
        return run_fail(r, "a dict needs pairs, not %zu values", v.n);
    return dict_set(r, d, &v.items[0], &v.items[1]);
}

int dict_update(struct run *r, struct dict *d, const struct value *from)
{
    struct cursor c;
    struct value key, item;
    void *at = NULL;
    int rc = 0;

    if (from->kind == V_DICT) {
        while (rc == 0 && (rc = dict_next(r, from, &at, &key, &item)) > 0)
            rc = dict_set(r, d, &key, &item);
        return rc;
    }
    rc = cursor_open(r, from, &c);
    while (rc >= 0 && (rc = cursor_next(r, &c, &item)) > 0)
        rc = set_pair(r, d, &item);
    return rc;
}

struct value dict_value(struct dict *d)
{
    return (struct value){.kind = V_DICT, .dict = d};
}

static int json_next(struct run *r, const struct value *v, void **at, struct value *key,
                     struct value *item)
{
    json_t *object = (json_t *)v->json; /* only read */
    void *next = *at ? json_object_iter_next(object, *at) : json_object_iter(object);
    int rc;

    if (!next)
        return 0;
    *at = next;
    *key = value_str((struct str){json_object_iter_key(next), strlen(json_object_iter_key(next))});
    rc = value_of_json(r, json_object_iter_value(next), item);
    return rc < 0 ? rc : 1;
}

int dict_next(struct run *r, const struct value *v, void **at, struct value *key,
              struct value *item)
{
    struct pair *next;
    int rc = run_steps(r, 1);

    if (rc < 0)
        return rc;
    if (v->flags & FROM_JSON)
        return json_next(r, v, at, key, item);
    next = *at ? (struct pair *)*at + 1 : v->dict->pairs;
    if (v->dict->n == 0 || next == v->dict->pairs + v->dict->n)
        return 0;
    *at = next;
    *key = next->key;
    *item = next->value;
    return 1;
}
