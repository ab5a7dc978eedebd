/* core/text/jinja/parse_operand.c - operands of expressions, and what stands behind them:
 * attributes, items, calls, filters and tests. */
#include "core/text/jinja/attributes.h"
#include "core/text/jinja/filters.h"
#include "core/text/jinja/parser.h"
#include "core/text/jinja/tests.h"

static struct node *make_const(struct parser *p, const struct token *at, struct value v)
{
    struct node *n = parser_node(p, N_CONST, at);

    if (n)
        n->constant = v;
    return n;
}

static struct node *parse_name(struct parser *p, bool with_namespace)
{
    const struct token *t = p->at++;
    struct node *n;
    char first = t->text.at[0];

    if (str_equal(t->text, STR("true")) || str_equal(t->text, STR("True")))
        return make_const(p, t, value_bool(true));
    if (str_equal(t->text, STR("false")) || str_equal(t->text, STR("False")))
        return make_const(p, t, value_bool(false));
    if ((first | 32) == 'n' && (str_equal(t->text, STR("none")) || str_equal(t->text, STR("None"))))
        return make_const(p, t, value_none());
    n = parser_node(p, N_NAME, t);
    if (!n)
        return NULL;
    n->name = t->text;
    n->name_id = parser_name_id(p, t->text);
    if (n->name_id < 0)
        return NULL;
    if (with_namespace && parser_skip(p, T_DOT)) {
        n->kind = N_NSREF;
        n->attribute = p->at->text;
        if (!parser_expect(p, T_NAME, "a name"))
            return NULL;
    }
    return n;
}

/* Strings that follow each other are one. */
static struct node *parse_string(struct parser *p)
{
    const struct token *t = p->at;
    size_t len = 0;
    char *text, *end;

    for (; p->at->kind == T_STRING; p->at++)
        len += p->at->text.len;
    if (p->at == t + 1)
        return make_const(p, t, value_str(t->text));
    end = text = pool_alloc(p->pool, len + 1);
    if (!text)
        return parser_nomem(p, len + 1);
    for (const struct token *s = t; s < p->at; s++) {
        if (s->text.len)
            memcpy(end, s->text.at, s->text.len);
        end += s->text.len;
    }
    return make_const(p, t, value_text(text, len));
}

static struct node *parse_list(struct parser *p)
{
    struct node *n = parser_node(p, N_LIST, p->at++);
    struct node_list items = {0};

    if (!n)
        return NULL;
    while (p->at->kind != T_RBRACKET) {
        if (items.n > 0 && !parser_expect(p, T_COMMA, "\",\" or \"]\""))
            return NULL;
        if (p->at->kind == T_RBRACKET)
            break;
        if (!parser_push(p, &items, parse_expression(p)))
            return NULL;
    }
    p->at++;
    n->items = parser_nodes(&items);
    return parser_done(p, n);
}

static struct node *parse_dict(struct parser *p)
{
    struct node *n = parser_node(p, N_DICT, p->at++);
    struct node_list items = {0};

    if (!n)
        return NULL;
    while (p->at->kind != T_RBRACE) {
        if (items.n > 0 && !parser_expect(p, T_COMMA, "\",\" or \"}\""))
            return NULL;
        if (p->at->kind == T_RBRACE)
            break;
        if (!parser_push(p, &items, parse_expression(p)) || !parser_expect(p, T_COLON, "\":\"") ||
            !parser_push(p, &items, parse_expression(p)))
            return NULL;
    }
    p->at++;
    n->items = parser_nodes(&items);
    return parser_done(p, n);
}

struct node *parse_primary(struct parser *p, bool with_namespace)
{
    const struct token *t = p->at;
    struct node *n;

    switch (t->kind) {
    case T_NAME:
        return parse_name(p, with_namespace);
    case T_STRING:
        return parse_string(p);
    case T_INTEGER:
        p->at++;
        return make_const(p, t, value_int(t->integer));
    case T_FLOAT:
        p->at++;
        return make_const(p, t, value_real(t->real));
    case T_LPAREN:
        p->at++;
        n = parse_tuple(p, TUPLE_PARENTHESES, NULL);
        return n && parser_expect(p, T_RPAREN, "\",\" or \")\"") ? n : NULL;
    case T_LBRACKET:
        return parse_list(p);
    case T_LBRACE:
        return parse_dict(p);
    default:
        return parser_unexpected(p, "an expression");
    }
}

static bool is_tuple_end(const struct parser *p, const char *stop)
{
    return p->at->kind == T_VARIABLE_END || p->at->kind == T_BLOCK_END || p->at->kind == T_RPAREN ||
           (stop && parser_is_name(p, stop));
}

/* What a tuple consists of: targets, or expressions. */
static struct node *parse_tuple_of(struct parser *p, enum tuple_mode mode, const char *stop,
                                   bool targets, bool with_namespace)
{
    const struct token *begin = p->at;
    struct node_list items = {0};
    struct node *n;
    bool tuple = false;

    do {
        if (is_tuple_end(p, stop))
            break;
        n = targets                 ? parse_primary(p, with_namespace)
            : mode == TUPLE_NO_COND ? parse_no_cond(p)
                                    : parse_expression(p);
        if (!parser_push(p, &items, n))
            return NULL;
        tuple = tuple || p->at->kind == T_COMMA;
    } while (parser_skip(p, T_COMMA));
    if (!tuple && items.n > 0)
        return items.at[0];
    if (!tuple && mode != TUPLE_PARENTHESES)
        return parser_unexpected(p, "an expression");
    n = parser_node(p, N_TUPLE, begin);
    if (!n)
        return NULL;
    n->items = parser_nodes(&items);
    return parser_done(p, n);
}

struct node *parse_tuple(struct parser *p, enum tuple_mode mode, const char *stop)
{
    return parse_tuple_of(p, mode, stop, false, false);
}

/* Names, tuples of names, and where the parser read one, attributes of a namespace. */
static bool check_target(struct parser *p, const struct node *n)
{
    struct token at = {.line = n->line, .column = n->column};

    if (n->kind == N_TUPLE) {
        for (int i = 0; i < n->items.n; i++)
            if (!check_target(p, n->items.at[i]))
                return false;
        return true;
    }
    if (n->kind != N_NAME && n->kind != N_NSREF)
        return parser_fail(p, &at, ERR_INVALID, "only names can be assigned to");
    if (n->kind == N_NAME && p->for_depth > 0 && str_equal(n->name, STR("loop")))
        return parser_fail(p, &at, ERR_INVALID, "\"loop\" cannot be assigned to in a loop");
    return true;
}

struct node *parse_target(struct parser *p, const char *stop, bool with_namespace)
{
    struct node *n = parse_tuple_of(p, TUPLE_PLAIN, stop, true, with_namespace);

    return n && check_target(p, n) ? n : NULL;
}

struct node *parse_target_name(struct parser *p)
{
    struct node *n;

    if (p->at->kind != T_NAME)
        return parser_unexpected(p, "a name");
    n = parse_name(p, false);
    return n && check_target(p, n) ? n : NULL;
}

static bool push_named(struct parser *p, struct node_list *named, struct str **names)
{
    struct str name = p->at->text;

    for (int i = 0; i < named->n; i++)
        if (str_equal((*names)[i], name))
            return parser_fail(p, p->at, ERR_INVALID, "the argument \"%.*s\" is given twice",
                               (int)(name.len < 100 ? name.len : 100), name.at);
    if ((named->n & (named->n - 1)) == 0) { /* room for the next power of two */
        struct str *more = pool_alloc(p->pool, (size_t)(2 * named->n + 1) * sizeof(*more));
        if (!more)
            return parser_nomem(p, sizeof(*more));
        if (named->n)
            memcpy(more, *names, (size_t)named->n * sizeof(*more));
        *names = more;
    }
    (*names)[named->n] = name;
    p->at += 2;
    return parser_push(p, named, parse_expression(p));
}

/* One argument; false after a failure. */
static bool parse_arg(struct parser *p, struct call_args *args, struct node_list *items,
                      struct node_list *named)
{
    const struct token *t = p->at;

    if (t->kind == T_MUL && !args->star && !args->star_star) {
        p->at++;
        return (args->star = parse_expression(p));
    }
    if (t->kind == T_POW && !args->star_star) {
        p->at++;
        return (args->star_star = parse_expression(p));
    }
    if (t->kind == T_NAME && t[1].kind == T_ASSIGN && !args->star_star)
        return push_named(p, named, &args->names);
    if (t->kind != T_MUL && t->kind != T_POW && !args->star && !args->star_star && named->n == 0)
        return parser_push(p, items, parse_expression(p));
    return parser_fail(p, t, ERR_INVALID, "this argument cannot follow those before it");
}

int parse_args(struct parser *p, struct call_args *args)
{
    struct node_list items = {0}, named = {0};
    bool first = true;

    *args = (struct call_args){0};
    p->at++; /* the bracket */
    while (p->at->kind != T_RPAREN) {
        if (!first && !parser_expect(p, T_COMMA, "\",\" or \")\""))
            return -1;
        if (p->at->kind == T_RPAREN)
            break;
        if (!parse_arg(p, args, &items, &named))
            return -1;
        first = false;
    }
    p->at++;
    args->items = parser_nodes(&items);
    args->named = parser_nodes(&named);
    return 0;
}

static struct node *parse_call(struct parser *p, struct node *a)
{
    struct node *n = parser_node(p, N_CALL, p->at);

    if (!n || parse_args(p, &n->args) < 0)
        return NULL;
    n->a = a;
    return parser_done(p, n);
}

static struct node *parse_attribute(struct parser *p, struct node *a)
{
    const struct token *dot = p->at++, *t = p->at;
    struct node *n;

    if (t->kind == T_INTEGER) {
        p->at++;
        return parser_make(p, N_ITEM, dot, a, make_const(p, t, value_int(t->integer)));
    }
    if (!parser_expect(p, T_NAME, "a name or an integer"))
        return NULL;
    n = parser_make_one(p, N_ATTR, dot, a);
    if (!n)
        return NULL;
    n->name = t->text;
    n->known = attribute_find(t->text);
    return n;
}

/* The part of a slice behind a colon, which may be absent. *failed: it is wrong. */
static struct node *parse_bound(struct parser *p, bool *failed)
{
    struct node *n;

    if (p->at->kind == T_COLON || p->at->kind == T_RBRACKET || p->at->kind == T_COMMA)
        return NULL;
    n = parse_expression(p);
    *failed = !n;
    return n;
}

static struct node *parse_subscript(struct parser *p, struct node *a)
{
    const struct token *t = p->at++;
    struct node *n = parser_node(p, N_SLICE, t);
    bool failed = false;

    if (!n)
        return NULL;
    n->a = a;
    if (p->at->kind == T_RBRACKET)
        return parser_unexpected(p, "an expression");
    n->b = parse_bound(p, &failed);
    if (failed)
        return NULL;
    if (p->at->kind == T_COMMA)
        return parser_fail(p, p->at, ERR_UNSUPPORTED, "several subscripts are not supported");
    if (parser_skip(p, T_RBRACKET)) {
        n->kind = N_ITEM;
        return parser_done(p, n);
    }
    if (!parser_expect(p, T_COLON, "\":\" or \"]\""))
        return NULL;
    n->c = parse_bound(p, &failed);
    if (!failed && parser_skip(p, T_COLON))
        n->d = parse_bound(p, &failed);
    if (failed)
        return NULL;
    if (p->at->kind == T_COMMA)
        return parser_fail(p, p->at, ERR_UNSUPPORTED, "several subscripts are not supported");
    return parser_expect(p, T_RBRACKET, "\"]\"") ? parser_done(p, n) : NULL;
}

struct node *parse_behind_operand(struct parser *p, struct node *n)
{
    while (n) {
        if (p->at->kind == T_DOT)
            n = parse_attribute(p, n);
        else if (p->at->kind == T_LBRACKET)
            n = parse_subscript(p, n);
        else if (p->at->kind == T_LPAREN)
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

/* The name of a filter or test, behind "|" or "is". */
static struct node *named_node(struct parser *p, enum node_kind kind, struct node *a)
{
    struct node *n = parser_node(p, kind, p->at);

    if (!n)
        return NULL;
    n->a = a;
    n->name = p->at->text;
    if (!parser_expect(p, T_NAME, kind == N_FILTER ? "the name of a filter" : "the name of a test"))
        return NULL;
    if (p->at->kind == T_DOT)
        return parser_fail(p, p->at, ERR_UNSUPPORTED, "a name with a dot is not supported here");
    n->known = kind == N_FILTER ? filter_find(n->name) : test_find(n->name);
    return n;
}

struct node *parse_filters(struct parser *p, struct node *a, bool first)
{
    while (first || p->at->kind == T_PIPE) {
        struct node *n;
        p->at += !first;
        n = named_node(p, N_FILTER, a);
        if (!n || (p->at->kind == T_LPAREN && parse_args(p, &n->args) < 0))
            return NULL;
        a = parser_done(p, n);
        if (!a)
            return NULL;
        first = false;
    }
    return a;
}

static bool begins_test_arg(const struct parser *p)
{
    switch (p->at->kind) {
    case T_NAME:
        return !parser_is_name(p, "else") && !parser_is_name(p, "or") && !parser_is_name(p, "and");
    case T_STRING:
    case T_INTEGER:
    case T_FLOAT:
    case T_LBRACKET:
    case T_LBRACE:
        return true;
    default:
        return false;
    }
}

static struct node *parse_test(struct parser *p, struct node *a)
{
    const struct token *t = p->at++;
    bool negated = parser_skip_name(p, "not");
    struct node *n = named_node(p, N_TEST, a);
    struct node_list items = {0};

    if (!n)
        return NULL;
    if (p->at->kind == T_LPAREN) {
        if (parse_args(p, &n->args) < 0)
            return NULL;
    } else if (begins_test_arg(p)) {
        if (parser_is_name(p, "is"))
            return parser_fail(p, p->at, ERR_INVALID, "tests with \"is\" cannot follow each other");
        if (!parser_push(p, &items, parse_behind_operand(p, parse_primary(p, false))))
            return NULL;
        n->args.items = parser_nodes(&items);
    }
    n = parser_done(p, n);
    return negated ? parser_make_one(p, N_NOT, t, n) : n;
}

struct node *parse_behind_value(struct parser *p, struct node *n)
{
    while (n) {
        if (p->at->kind == T_PIPE)
            n = parse_filters(p, n, false);
        else if (parser_is_name(p, "is"))
            n = parse_test(p, n);
        else if (p->at->kind == T_LPAREN)
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}
