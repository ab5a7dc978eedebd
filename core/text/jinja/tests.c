/* core/text/jinja/tests.c - see tests.h: one table, and a switch over what each asks. */
#include "core/text/jinja/tests.h"
#include "core/text/jinja/data.h"
#include "core/text/jinja/filters.h"
#include "core/text/jinja/text_case.h"

enum test {
    IS_BOOLEAN,
    IS_CALLABLE,
    IS_DEFINED,
    IS_DIVISIBLEBY,
    IS_ESCAPED,
    IS_EVEN,
    IS_FALSE,
    IS_FILTER,
    IS_FLOAT,
    IS_IN,
    IS_INTEGER,
    IS_ITERABLE,
    IS_LOWER,
    IS_MAPPING,
    IS_NONE,
    IS_NUMBER,
    IS_ODD,
    IS_SAMEAS,
    IS_SEQUENCE,
    IS_STRING,
    IS_TEST,
    IS_TRUE,
    IS_UNDEFINED,
    IS_UPPER,
    IS_EQ,
    IS_NE,
    IS_GT,
    IS_GE,
    IS_LT,
    IS_LE,
};

static const struct row {
    const char *name;
    enum test test;
    int args; /* beside what is tested */
} rows[] = {
    {"boolean", IS_BOOLEAN, 0},
    {"callable", IS_CALLABLE, 0},
    {"defined", IS_DEFINED, 0},
    {"divisibleby", IS_DIVISIBLEBY, 1},
    {"escaped", IS_ESCAPED, 0},
    {"even", IS_EVEN, 0},
    {"false", IS_FALSE, 0},
    {"filter", IS_FILTER, 0},
    {"float", IS_FLOAT, 0},
    {"in", IS_IN, 1},
    {"integer", IS_INTEGER, 0},
    {"iterable", IS_ITERABLE, 0},
    {"lower", IS_LOWER, 0},
    {"mapping", IS_MAPPING, 0},
    {"none", IS_NONE, 0},
    {"number", IS_NUMBER, 0},
    {"odd", IS_ODD, 0},
    {"sameas", IS_SAMEAS, 1},
    {"sequence", IS_SEQUENCE, 0},
    {"string", IS_STRING, 0},
    {"test", IS_TEST, 0},
    {"true", IS_TRUE, 0},
    {"undefined", IS_UNDEFINED, 0},
    {"upper", IS_UPPER, 0},
    {"==", IS_EQ, 1},
    {"eq", IS_EQ, 1},
    {"equalto", IS_EQ, 1},
    {"!=", IS_NE, 1},
    {"ne", IS_NE, 1},
    {">", IS_GT, 1},
    {"gt", IS_GT, 1},
    {"greaterthan", IS_GT, 1},
    {">=", IS_GE, 1},
    {"ge", IS_GE, 1},
    {"<", IS_LT, 1},
    {"lt", IS_LT, 1},
    {"lessthan", IS_LT, 1},
    {"<=", IS_LE, 1},
    {"le", IS_LE, 1},
};

int test_find(struct str name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (str_equal(name, (struct str){rows[i].name, strlen(rows[i].name)}))
            return (int)i + 1;
    return 0;
}

static bool is_callable(const struct value *v)
{
    return v->kind == V_UNDEFINED || v->kind == V_MACRO || v->kind == V_FUNCTION ||
           v->kind == V_METHOD || v->kind == V_LOOP || v->kind == V_JOINER;
}

/* Identity: of values that may be the same object or not, Python alone knows. */
static int same(struct run *r, const struct value *a, const struct value *b, bool *ret)
{
    *ret = a->kind == b->kind && (a->kind == V_NONE || a->integer == b->integer);
    if (a->kind != b->kind || a->kind == V_NONE || a->kind == V_BOOL || a->kind == V_MACRO ||
        a->kind == V_NAMESPACE)
        return 0;
    return run_unsupported(r, "sameas of two values of the type %s is not supported", kind_name(a));
}

static int has_remainder(struct run *r, const struct value *v, const struct value *by, int64_t rest,
                         bool *ret)
{
    struct value remainder = {0}, wanted = value_int(rest);
    int rc = operate(r, T_MOD, v, by, &remainder);

    return rc < 0 ? rc : value_equal(r, &remainder, &wanted, ret);
}

static int has_name(struct run *r, const struct value *v, bool filter, bool *ret)
{
    int rc = check_hashable(r, v);

    *ret = rc == 0 && v->kind == V_STRING &&
           (filter ? filter_find(str_of(v)) : test_find(str_of(v))) > 0;
    if (rc == 0 && v->kind == V_STRING && !*ret)
        return run_unsupported(r, "whether there is \"%.*s\" is not known",
                               (int)(v->len < 100 ? v->len : 100), v->text);
    return rc;
}

static int has_case(struct run *r, const struct value *v, bool upper, bool *ret)
{
    struct value text = {0};
    int rc = str_value(r, v, &text);

    if (rc == 0)
        rc = run_steps(r, text.len / 8);
    if (rc == 0)
        *ret = upper ? text_is_upper(str_of(&text)) : text_is_lower(str_of(&text));
    return rc;
}

/* Tests that only look at the type. */
static bool has_type(enum test test, const struct value *v)
{
    switch (test) {
    case IS_BOOLEAN:
        return v->kind == V_BOOL;
    case IS_CALLABLE:
        return is_callable(v);
    case IS_DEFINED:
        return v->kind != V_UNDEFINED;
    case IS_UNDEFINED:
        return v->kind == V_UNDEFINED;
    case IS_ESCAPED:
        return v->kind == V_STRING && v->flags & MARKUP;
    case IS_FALSE:
        return v->kind == V_BOOL && !v->integer;
    case IS_TRUE:
        return v->kind == V_BOOL && v->integer;
    case IS_FLOAT:
        return v->kind == V_FLOAT;
    case IS_INTEGER:
        return v->kind == V_INT;
    case IS_NUMBER:
        return is_number(v);
    case IS_ITERABLE:
        return is_iterable(v);
    case IS_MAPPING:
        return v->kind == V_DICT;
    case IS_NONE:
        return v->kind == V_NONE;
    case IS_SEQUENCE:
        return has_length(v) && v->kind != V_VIEW && v->kind != V_LOOP;
    default:
        return v->kind == V_STRING; /* IS_STRING */
    }
}

static int compare(struct run *r, enum test test, const struct value *a, const struct value *b,
                   bool *ret)
{
    static const enum order orders[] = {
        [IS_LT] = ORDER_LT, [IS_LE] = ORDER_LE, [IS_GT] = ORDER_GT, [IS_GE] = ORDER_GE};
    int rc;

    if (test != IS_EQ && test != IS_NE)
        return value_order(r, a, orders[test], b, ret);
    rc = value_equal(r, a, b, ret);
    *ret = *ret == (test == IS_EQ);
    return rc;
}

static int ask(struct run *r, enum test test, const struct value *v, bool *ret)
{
    struct value two = value_int(2);

    switch (test) {
    case IS_DIVISIBLEBY:
        return has_remainder(r, v, v + 1, 0, ret);
    case IS_EVEN:
        return has_remainder(r, v, &two, 0, ret);
    case IS_ODD:
        return has_remainder(r, v, &two, 1, ret);
    case IS_SAMEAS:
        return same(r, v, v + 1, ret);
    case IS_IN:
        return value_in(r, v, v + 1, ret);
    case IS_FILTER:
    case IS_TEST:
        return has_name(r, v, test == IS_FILTER, ret);
    case IS_LOWER:
    case IS_UPPER:
        return has_case(r, v, test == IS_UPPER, ret);
    case IS_EQ:
    case IS_NE:
    case IS_GT:
    case IS_GE:
    case IS_LT:
    case IS_LE:
        return compare(r, test, v, v + 1, ret);
    default:
        *ret = has_type(test, v);
        return 0;
    }
}

int call_test(struct run *r, int row, const struct args *args, bool *ret)
{
    static const char *const names[] = {"value", "num"}, *const others[] = {"value", "other"},
                             *const seqs[] = {"value", "seq"};
    const struct row *t = &rows[row - 1];
    struct value in[2] = {{0}};
    int rc;

    if (t->test >= IS_EQ) /* of the module operator, which takes no names */
        rc = bind_positional(r, t->name, args, 2, 2);
    else
        rc = bind_args(r, t->name, args,
                       t->test == IS_SAMEAS ? others
                       : t->test == IS_IN   ? seqs
                                            : names,
                       1 + t->args, 1 + t->args, in);
    if (rc < 0)
        return rc;
    *ret = false;
    return ask(r, t->test, t->test >= IS_EQ ? args->items : in, ret);
}
