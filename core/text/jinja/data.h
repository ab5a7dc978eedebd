/* core/text/jinja/data.h - lists, dicts and iterators; equality and order; truth. As Python has
 * them. Within this folder only.
 */
#pragma once
#include "core/text/jinja/run.h"

/* A value of JSON. ERR_UNSUPPORTED: a number that this program does not hold. */
int value_of_json(struct run *r, const json_t *json, struct value *ret);

bool is_true(const struct value *v);
bool is_sequence(const struct value *v); /* a list or tuple */
bool is_text(const struct value *v);

/* Items of a list or tuple. */
size_t list_count(const struct value *v);
int list_at(struct run *r, const struct value *v, size_t i, struct value *ret);

struct vector { /* in building; its items become a list */
    struct value *items;
    size_t n, cap;
};
int vector_push(struct run *r, struct vector *v, const struct value *item);
struct value vector_list(const struct vector *v, enum value_kind kind);
int vector_of(struct run *r, const struct value *iterable, struct vector *ret); /* appends all */

size_t dict_count(const struct value *v);
/* 1: *ret is set; 0: there is no such key; negative: failed, or the key cannot be one. */
int dict_get(struct run *r, const struct value *v, const struct value *key, struct value *ret);
int dict_get_text(struct run *r, const struct value *v, struct str key, struct value *ret);
struct dict *dict_new(struct run *r);
int dict_set(struct run *r, struct dict *d, const struct value *key, const struct value *item);
/* Adds all pairs: of a dict, or of an iterable of pairs. */
int dict_update(struct run *r, struct dict *d, const struct value *from);
struct value dict_value(struct dict *d);
/* Items, in their order: *at is 0, then what it was set to. 0: no more. */
int dict_next(struct run *r, const struct value *v, void **at, struct value *key,
              struct value *item);

int check_hashable(struct run *r, const struct value *v);

/* Visits what a value iterates over. */
struct cursor {
    struct value of;
    size_t i;
    void *at;
};
int cursor_open(struct run *r, const struct value *v, struct cursor *c); /* fails: not iterable */
int cursor_next(struct run *r, struct cursor *c, struct value *ret);     /* 1, 0: no more, < 0 */
bool is_iterable(const struct value *v);
bool has_length(const struct value *v);
int value_length(struct run *r, const struct value *v, int64_t *ret); /* fails: has none */

/* A generator: next() as cursor_next(). What it is made of follows in the struct of its maker. */
struct iterator {
    int (*next)(struct run *r, struct iterator *it, struct value *ret);
    bool over;
};
struct value iterator_value(struct iterator *it);

int value_equal(struct run *r, const struct value *a, const struct value *b, bool *ret);
enum order { ORDER_LT, ORDER_LE, ORDER_GT, ORDER_GE };
int value_order(struct run *r, const struct value *a, enum order order, const struct value *b,
                bool *ret);
int value_in(struct run *r, const struct value *item, const struct value *of, bool *ret);
int compare_int_real(int64_t i, double x); /* -1, 0, 1; x is not NaN */

/* Sorts items by keys, as Python's sorted(). */
int sort_by_keys(struct run *r, struct value *items, struct value *keys, size_t n, bool reverse);

/* Subscripts and attributes. */
int get_attribute(struct run *r, const struct value *v, struct str name, int known,
                  struct value *ret);
int get_item(struct run *r, const struct value *v, const struct value *index, struct value *ret);
int get_slice(struct run *r, const struct value *v, const struct value bounds[3],
              struct value *ret);
int fail_undefined(struct run *r, const struct value *v);

/* Operators. */
int operate(struct run *r, int op, const struct value *a, const struct value *b, struct value *ret);
int negate(struct run *r, const struct value *v, bool minus, struct value *ret);
