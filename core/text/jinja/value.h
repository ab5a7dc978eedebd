/* core/text/jinja/value.h - what an expression of a template is worth: 16 bytes, passed by value.
 *
 * Texts, lists and dicts are borrowed: from the template, from the JSON that the caller gave, or
 * from the memory of the render. None of them ever changes; a namespace, a cycler, a joiner and an
 * iterator do. A list, tuple or dict of JSON stays JSON (FROM_JSON) and its items become values as
 * they are read.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str { /* borrowed UTF-8, which may hold NUL */
    const char *at;
    size_t len;
};
#define STR(literal) ((struct str){literal, sizeof(literal) - 1})

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

enum value_kind {
    V_MISSING, /* no value: a variable that is not set, an argument that is not given */
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_STRING,
    V_LIST,
    V_TUPLE,
    V_DICT,
    V_RANGE,
    V_VIEW,     /* of a dict: what its keys(), values() and items() return */
    V_ITERATOR, /* visits each item once: what map, select and the like return */
    V_NAMESPACE,
    V_MACRO,
    V_LOOP,
    V_FUNCTION, /* of the environment, by its enum function */
    V_METHOD,   /* of a value: x.strip without a call */
    V_JOINER,
    V_CYCLER,
};

enum value_flag {
    FROM_JSON = 1, /* V_LIST, V_DICT */
    MARKUP = 2,    /* V_STRING: Python's Markup, which escapes what is added to it */
    GROUP = 4,     /* V_TUPLE: of the filter groupby, with attributes */
};

enum undefined_why { /* in `extra` of V_UNDEFINED; text and len are what the message names */
                     UNDEFINED_NAME,
                     UNDEFINED_ATTRIBUTE, /* of a value of kind `flags` */
                     UNDEFINED_ELEMENT,   /* likewise, but not a text */
                     UNDEFINED_HINT,      /* the text is the message */
                     UNDEFINED_UNSAFE,    /* an attribute that the sandbox hides */
};

enum view_kind { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS }; /* in `extra` of V_VIEW */

struct pair;
struct dict { /* of values that are made by the template; order of insertion */
    struct pair *pairs;
    size_t n, cap;
};
struct range {
    int64_t start, stop, step, n;
};

struct value {
    uint8_t kind, flags;
    uint16_t extra;
    uint32_t len; /* bytes of a text, items of a list or tuple */
    union {
        int64_t integer; /* V_BOOL, V_INT, V_FUNCTION */
        double real;
        const char *text;
        const json_t *json;
        struct value *items;
        struct dict *dict; /* V_DICT, V_NAMESPACE, and what a V_VIEW is of */
        struct range *range;
        struct iterator *iterator;
        struct macro *macro;
        struct loop *loop;
        struct method *method;
        struct joiner *joiner;
        struct cycler *cycler;
    };
};
_Static_assert(sizeof(struct value) == 16, "two words");

struct pair {
    struct value key, value;
};

static inline struct value value_none(void)
{
    return (struct value){.kind = V_NONE};
}
static inline struct value value_bool(bool b)
{
    return (struct value){.kind = V_BOOL, .integer = b};
}
static inline struct value value_int(int64_t i)
{
    return (struct value){.kind = V_INT, .integer = i};
}
static inline struct value value_real(double x)
{
    return (struct value){.kind = V_FLOAT, .real = x};
}
static inline struct value value_text(const char *at, size_t len)
{
    return (struct value){.kind = V_STRING, .len = (uint32_t)len, .text = at};
}
static inline struct value value_str(struct str s)
{
    return value_text(s.at, s.len);
}
static inline struct str str_of(const struct value *v)
{
    return (struct str){v->text, v->len};
}
static inline struct value value_hint(const char *message)
{
    return (struct value){.kind = V_UNDEFINED,
                          .extra = UNDEFINED_HINT,
                          .len = (uint32_t)strlen(message),
                          .text = message};
}
static inline bool is_integral(const struct value *v)
{
    return v->kind == V_INT || v->kind == V_BOOL;
}
static inline bool is_number(const struct value *v)
{
    return is_integral(v) || v->kind == V_FLOAT;
}
