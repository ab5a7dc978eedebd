/* core/text/jinja/eval.c - what the expressions of a template are worth. */
#include "core/text/jinja/attributes.h"
#include "core/text/jinja/data.h"
#include "core/text/jinja/python_text.h"
#include "core/text/jinja/text.h"

static int eval_name(struct run *r, const struct node *n, struct value *ret)
{
    struct activation *a = r->frame;

    for (int i = 0; i < n->up; i++)
        a = a->outer;
    *ret = a->slots[n->slot];
    if (ret->kind != V_MISSING)
        return 0;
    if (n->parameter)
        return run_unsupported(r, "the variable \"%.*s\" of a loop is used after the loop",
                               (int)n->name.len, n->name.at);
    *ret = (struct value){.kind = V_UNDEFINED,
                          .extra = UNDEFINED_NAME,
                          .len = (uint32_t)n->name.len,
                          .text = n->name.at};
    return 0;
}

static int eval_list(struct run *r, const struct node *n, struct value *ret)
{
    struct value *items = run_alloc(r, (size_t)n->items.n, sizeof(*items));
    int rc = items ? 0 : run_code(r);

    for (int i = 0; i < n->items.n && rc == 0; i++)
        rc = run_eval(r, n->items.at[i], &items[i]);
    *ret = (struct value){
        .kind = n->kind == N_LIST ? V_LIST : V_TUPLE, .len = (uint32_t)n->items.n, .items = items};
    return rc;
}

static int eval_dict(struct run *r, const struct node *n, struct value *ret)
{
    struct dict *d = dict_new(r);
    struct value key, item;
    int rc = d ? 0 : run_code(r);

    for (int i = 0; i < n->items.n && rc == 0; i += 2) {
        rc = run_eval(r, n->items.at[i], &key);
        if (rc == 0)
            rc = run_eval(r, n->items.at[i + 1], &item);
        if (rc == 0)
            rc = dict_set(r, d, &key, &item);
    }
    if (rc == 0)
        *ret = dict_value(d);
    return rc;
}

static int eval_attribute(struct run *r, const struct node *n, struct value *ret)
{
    struct value v;
    int rc = run_eval(r, n->a, &v);

    r->at = n;
    return rc < 0 ? rc : get_attribute(r, &v, n->name, n->known, ret);
}

static int eval_item(struct run *r, const struct node *n, struct value *ret)
{
    struct value v, index;
    int rc = run_eval(r, n->a, &v);

    if (rc == 0)
        rc = run_eval(r, n->b, &index);
    r->at = n;
    return rc < 0 ? rc : get_item(r, &v, &index, ret);
}

static int eval_slice(struct run *r, const struct node *n, struct value *ret)
{
    const struct node *parts[] = {n->b, n->c, n->d};
    struct value v, bounds[3];
    int rc = run_eval(r, n->a, &v);

    for (int i = 0; i < 3 && rc == 0; i++) {
        bounds[i] = value_none();
        if (parts[i])
            rc = run_eval(r, parts[i], &bounds[i]);
    }
    r->at = n;
    return rc < 0 ? rc : get_slice(r, &v, bounds, ret);
}

static int call_on(struct run *r, const struct node *n, const struct value *self,
                   enum attribute method, struct value *ret)
{
    struct args args;
    int rc = run_args(r, &n->args, NULL, &args);

    r->at = n;
    return rc < 0 ? rc : call_method(r, self, (int)method, &args, ret);
}

static int eval_call(struct run *r, const struct node *n, struct value *ret)
{
    struct value callee, self;
    struct args args;
    enum attribute method;
    int rc;

    if (n->a->kind == N_ATTR && n->a->known) { /* a method is called without becoming a value */
        rc = run_eval(r, n->a->a, &self);
        if (rc < 0)
            return rc;
        r->at = n->a;
        if (attribute_access(&self, n->a->known, &method) == ACCESS_METHOD)
            return call_on(r, n, &self, method, ret);
        rc = get_attribute(r, &self, n->a->name, n->a->known, &callee);
    } else {
        rc = run_eval(r, n->a, &callee);
    }
    if (rc == 0)
        rc = run_args(r, &n->args, NULL, &args);
    r->at = n;
    return rc < 0 ? rc : call_value(r, &callee, &args, ret);
}

static int unknown_name(struct run *r, const struct node *n)
{
    return run_unsupported(r, "the %s \"%.*s\" is not supported",
                           n->kind == N_FILTER ? "filter" : "test",
                           (int)(n->name.len < 100 ? n->name.len : 100), n->name.at);
}

static int eval_filter(struct run *r, const struct node *n, struct value *ret)
{
    struct value v;
    struct args args;
    int rc = run_eval(r, n->a, &v);

    if (rc == 0)
        rc = run_args(r, &n->args, &v, &args);
    r->at = n;
    if (rc < 0)
        return rc;
    return n->known ? call_filter(r, n->known, &args, ret) : unknown_name(r, n);
}

static int eval_test(struct run *r, const struct node *n, struct value *ret)
{
    struct value v;
    struct args args;
    bool holds = false;
    int rc = run_eval(r, n->a, &v);

    if (rc == 0)
        rc = run_args(r, &n->args, &v, &args);
    r->at = n;
    if (rc < 0)
        return rc;
    rc = n->known ? call_test(r, n->known, &args, &holds) : unknown_name(r, n);
    *ret = value_bool(holds);
    return rc;
}

static int eval_cond(struct run *r, const struct node *n, struct value *ret)
{
    struct value v;
    int rc = run_eval(r, n->a, &v);

    if (rc < 0)
        return rc;
    if (is_true(&v))
        return run_eval(r, n->b, ret);
    if (n->c)
        return run_eval(r, n->c, ret);
    *ret = value_hint("the condition of an if without else is false, so that there is no value");
    return 0;
}

static int eval_and_or(struct run *r, const struct node *n, struct value *ret)
{
    int rc = run_eval(r, n->a, ret);

    if (rc < 0 || is_true(ret) == (n->kind == N_OR))
        return rc;
    return run_eval(r, n->b, ret);
}

static int eval_unary(struct run *r, const struct node *n, struct value *ret)
{
    struct value v;
    int rc = run_eval(r, n->a, &v);

    r->at = n;
    if (rc < 0)
        return rc;
    if (n->kind != N_NOT)
        return negate(r, &v, n->kind == N_NEG, ret);
    *ret = value_bool(!is_true(&v));
    return 0;
}

static int eval_binary(struct run *r, const struct node *n, struct value *ret)
{
    struct value a, b;
    int rc = run_eval(r, n->a, &a);

    if (rc == 0)
        rc = run_eval(r, n->b, &b);
    r->at = n;
    return rc < 0 ? rc : operate(r, n->op, &a, &b, ret);
}

static int eval_concat(struct run *r, const struct node *n, struct value *ret)
{
    struct value sum = value_text("", 0), item;
    int rc = 0;

    for (int i = 0; i < n->items.n && rc == 0; i++) {
        rc = run_eval(r, n->items.at[i], &item);
        r->at = n;
        if (rc == 0)
            rc = str_value(r, &item, &item);
        if (rc == 0)
            rc = concat(r, &sum, &item, &sum);
    }
    *ret = sum;
    return rc;
}

static int compare(struct run *r, int op, const struct value *a, const struct value *b, bool *ret)
{
    static const enum order orders[] = {
        [T_LT] = ORDER_LT, [T_LTEQ] = ORDER_LE, [T_GT] = ORDER_GT, [T_GTEQ] = ORDER_GE};
    int rc;

    if (op == T_EQ || op == T_NE) {
        rc = value_equal(r, a, b, ret);
        *ret = *ret == (op == T_EQ);
        return rc;
    }
    if (op == OP_IN || op == OP_NOT_IN) {
        rc = value_in(r, a, b, ret);
        *ret = *ret == (op == OP_IN);
        return rc;
    }
    return value_order(r, a, orders[op], b, ret);
}

/* a < b < c is a < b and b < c, and evaluates b once. */
static int eval_compare(struct run *r, const struct node *n, struct value *ret)
{
    struct value a, b;
    bool holds = true;
    int rc = run_eval(r, n->a, &a);

    for (int i = 0; i < n->items.n && rc == 0 && holds; i++) {
        rc = run_eval(r, n->items.at[i]->a, &b);
        r->at = n->items.at[i];
        if (rc == 0)
            rc = compare(r, n->items.at[i]->op, &a, &b, &holds);
        a = b;
    }
    *ret = value_bool(holds);
    return rc;
}

static int eval_within(struct run *r, const struct node *n, struct value *ret)
{
    switch ((enum node_kind)n->kind) {
    case N_TUPLE:
    case N_LIST:
        return eval_list(r, n, ret);
    case N_DICT:
        return eval_dict(r, n, ret);
    case N_ATTR:
        return eval_attribute(r, n, ret);
    case N_ITEM:
        return eval_item(r, n, ret);
    case N_SLICE:
        return eval_slice(r, n, ret);
    case N_CALL:
        return eval_call(r, n, ret);
    case N_FILTER:
        return eval_filter(r, n, ret);
    case N_TEST:
        return eval_test(r, n, ret);
    case N_COND:
        return eval_cond(r, n, ret);
    case N_AND:
    case N_OR:
        return eval_and_or(r, n, ret);
    case N_NOT:
    case N_NEG:
    case N_POS:
        return eval_unary(r, n, ret);
    case N_BINARY:
        return eval_binary(r, n, ret);
    case N_CONCAT:
        return eval_concat(r, n, ret);
    default:
        return eval_compare(r, n, ret);
    }
}

int run_eval(struct run *r, const struct node *n, struct value *ret)
{
    int rc;

    if (n->kind == N_CONST || n->kind == N_TEXT) {
        *ret = n->constant;
        return 0;
    }
    r->at = n;
    if (n->kind == N_NAME)
        return eval_name(r, n, ret);
    rc = run_enter(r);
    if (rc == 0)
        rc = run_steps(r, 1);
    if (rc == 0)
        rc = eval_within(r, n, ret);
    r->depth--;
    return rc;
}
