/* core/text/jinja/parse_expression.c - operators, by recursive descent: each function reads what
 * binds tighter than its own operators. From the loosest: if, or, and, not, comparisons, + -, ~, *
 * / // %,
 * **, signs; then what parse_operand.c reads. */
#include "core/text/jinja/parser.h"

static struct node *make_binary(struct parser *p, const struct token *op, struct node *a,
                                struct node *b)
{
    struct node *n = parser_make(p, N_BINARY, op, a, b);

    if (n)
        n->op = op->kind;
    return n;
}

static struct node *parse_unary(struct parser *p, bool with_filter)
{
    const struct token *t = p->at;
    struct node *n;

    if (!parser_enter(p))
        return NULL;
    if (t->kind == T_SUB || t->kind == T_ADD) {
        p->at++;
        n = parser_make_one(p, t->kind == T_SUB ? N_NEG : N_POS, t, parse_unary(p, false));
    } else {
        n = parse_primary(p, false);
    }
    n = parse_behind_operand(p, n);
    p->depth--;
    return with_filter ? parse_behind_value(p, n) : n;
}

static struct node *parse_pow(struct parser *p)
{
    struct node *n = parse_unary(p, true);

    while (n && p->at->kind == T_POW) {
        const struct token *op = p->at++;
        n = make_binary(p, op, n, parse_unary(p, true));
    }
    return n;
}

static struct node *parse_product(struct parser *p)
{
    struct node *n = parse_pow(p);

    while (n && (p->at->kind == T_MUL || p->at->kind == T_DIV || p->at->kind == T_FLOORDIV ||
                 p->at->kind == T_MOD)) {
        const struct token *op = p->at++;
        n = make_binary(p, op, n, parse_pow(p));
    }
    return n;
}

static struct node *parse_concat(struct parser *p)
{
    struct node *n = parse_product(p);
    struct node_list items = {0};

    if (!n || p->at->kind != T_TILDE)
        return n;
    if (!parser_push(p, &items, n))
        return NULL;
    n = parser_node(p, N_CONCAT, p->at);
    if (!n)
        return NULL;
    while (parser_skip(p, T_TILDE))
        if (!parser_push(p, &items, parse_product(p)))
            return NULL;
    n->items = parser_nodes(&items);
    return parser_done(p, n);
}

static struct node *parse_sum(struct parser *p)
{
    struct node *n = parse_concat(p);

    while (n && (p->at->kind == T_ADD || p->at->kind == T_SUB)) {
        const struct token *op = p->at++;
        n = make_binary(p, op, n, parse_concat(p));
    }
    return n;
}

/* The operator of a comparison at hand, which it skips; 0: none. */
static int comparison(struct parser *p)
{
    int kind = p->at->kind;

    if (kind >= T_EQ && kind <= T_GTEQ) {
        p->at++;
        return kind;
    }
    if (parser_skip_name(p, "in"))
        return OP_IN;
    if (parser_is_name(p, "not") && p->at[1].kind == T_NAME &&
        str_equal(p->at[1].text, STR("in"))) {
        p->at += 2;
        return OP_NOT_IN;
    }
    return 0;
}

static struct node *parse_compare(struct parser *p)
{
    const struct token *t;
    struct node *n = parse_sum(p), *compare;
    struct node_list items = {0};
    int op;

    while (n && (t = p->at, op = comparison(p)) != 0) {
        struct node *operand = parser_make_one(p, N_OPERAND, t, parse_sum(p));
        if (!parser_push(p, &items, operand))
            return NULL;
        operand->op = (uint8_t)op;
    }
    if (!n || items.n == 0)
        return n;
    compare = parser_node(p, N_COMPARE, &(struct token){.line = n->line, .column = n->column});
    if (!compare)
        return NULL;
    compare->a = n;
    compare->items = parser_nodes(&items);
    return parser_done(p, compare);
}

static struct node *parse_not(struct parser *p)
{
    const struct token *t = p->at;
    struct node *n;

    if (!parser_is_name(p, "not"))
        return parse_compare(p);
    if (!parser_enter(p))
        return NULL;
    p->at++;
    n = parser_make_one(p, N_NOT, t, parse_not(p));
    p->depth--;
    return n;
}

static struct node *parse_and(struct parser *p)
{
    struct node *n = parse_not(p);
    const struct token *t = p->at;

    while (n && parser_skip_name(p, "and"))
        n = parser_make(p, N_AND, t, n, parse_not(p));
    return n;
}

struct node *parse_no_cond(struct parser *p)
{
    struct node *n = parse_and(p);
    const struct token *t = p->at;

    while (n && parser_skip_name(p, "or"))
        n = parser_make(p, N_OR, t, n, parse_and(p));
    return n;
}

struct node *parse_expression(struct parser *p)
{
    const struct token *t = p->at;
    struct node *n;

    if (!parser_enter(p))
        return NULL;
    n = parse_no_cond(p);
    while (n && parser_skip_name(p, "if")) {
        struct node *cond = parser_make(p, N_COND, t, parse_no_cond(p), n);
        if (cond && parser_skip_name(p, "else")) {
            cond->c = parse_expression(p);
            cond = cond->c ? parser_done(p, cond) : NULL;
        }
        n = cond;
    }
    p->depth--;
    return n;
}
