/* core/text/jinja/parse_statement.c - statements and data. A block is read up to one of the names
 * that end it, which the statement that opened it names; so an end that fits nothing is an unknown
 * tag. */
#include "core/text/jinja/parser.h"

static int parse_body(struct parser *p, const char *const *ends, struct nodes *body);

static const char *const ends_for[] = {"endfor", "else", NULL};
static const char *const ends_for_else[] = {"endfor", NULL};
static const char *const ends_if[] = {"elif", "else", "endif", NULL};
static const char *const ends_if_else[] = {"endif", NULL};
static const char *const ends_set[] = {"endset", NULL};
static const char *const ends_macro[] = {"endmacro", NULL};
static const char *const ends_call[] = {"endcall", NULL};
static const char *const ends_filter[] = {"endfilter", NULL};
static const char *const ends_with[] = {"endwith", NULL};
static const char *const ends_generation[] = {"endgeneration", NULL};

/* The rest of a tag, and what is up to one of `ends`, whose name is then the current token. */
static int parse_block(struct parser *p, const char *const *ends, struct nodes *body)
{
    parser_skip(p, T_COLON);
    if (!parser_expect(p, T_BLOCK_END, "the end of the tag"))
        return -1;
    return parse_body(p, ends, body);
}

/* The same, and skips the name where there is only one. */
static int parse_only_block(struct parser *p, const char *const *ends, struct nodes *body)
{
    int rc = parse_block(p, ends, body);

    p->at += rc == 0;
    return rc;
}

static struct node *parse_for_parts(struct parser *p, struct node *n)
{
    n->a = parse_target(p, "in", false);
    if (!n->a)
        return NULL;
    if (!parser_skip_name(p, "in"))
        return parser_unexpected(p, "\"in\"");
    n->b = parse_tuple(p, TUPLE_NO_COND, "recursive");
    if (!n->b)
        return NULL;
    if (parser_skip_name(p, "if") && !(n->c = parse_expression(p)))
        return NULL;
    n->recursive = parser_skip_name(p, "recursive");
    if (parse_block(p, ends_for, &n->body) < 0)
        return NULL;
    if (parser_skip_name(p, "else"))
        return parse_only_block(p, ends_for_else, &n->other) < 0 ? NULL : n;
    p->at++;
    return n;
}

static struct node *parse_for(struct parser *p)
{
    struct node *n = parser_node(p, N_FOR, p->at++);

    if (!n)
        return NULL;
    p->for_depth++;
    n = parse_for_parts(p, n);
    p->for_depth--;
    return n;
}

/* An "if" or "elif" and its body; what ends that is the current token. */
static struct node *parse_branch(struct parser *p)
{
    struct node *n = parser_node(p, N_IF, p->at++);

    if (!n || !(n->a = parse_tuple(p, TUPLE_NO_COND, NULL)) ||
        parse_block(p, ends_if, &n->body) < 0)
        return NULL;
    return parser_done(p, n);
}

static struct node *parse_if(struct parser *p)
{
    struct node *n = parse_branch(p);
    struct node_list elifs = {0};

    if (!n)
        return NULL;
    while (parser_is_name(p, "elif"))
        if (!parser_push(p, &elifs, parse_branch(p)))
            return NULL;
    n->elifs = parser_nodes(&elifs);
    if (parser_skip_name(p, "else"))
        return parse_only_block(p, ends_if_else, &n->other) < 0 ? NULL : n;
    p->at++;
    return n;
}

static struct node *parse_set(struct parser *p)
{
    struct node *n = parser_node(p, N_SET, p->at++);

    if (!n || !(n->a = parse_target(p, NULL, true)))
        return NULL;
    if (parser_skip(p, T_ASSIGN))
        return (n->b = parse_tuple(p, TUPLE_PLAIN, NULL)) ? n : NULL;
    n->kind = N_SET_BLOCK;
    if (p->at->kind == T_PIPE && !(n->b = parse_filters(p, NULL, false)))
        return NULL;
    return parse_only_block(p, ends_set, &n->body) < 0 ? NULL : n;
}

static bool parse_parameter(struct parser *p, struct parameters *params, bool *defaults)
{
    struct node *n = parse_target_name(p);

    if (!n)
        return false;
    if (str_equal(n->name, STR("caller")) || str_equal(n->name, STR("kwargs")) ||
        str_equal(n->name, STR("varargs")))
        return parser_fail(p, p->at, ERR_UNSUPPORTED, "a parameter \"%.*s\" is not supported",
                           (int)n->name.len, n->name.at);
    for (int i = 0; i < params->n; i++)
        if (params->name_ids[i] == n->name_id)
            return parser_fail(p, p->at, ERR_INVALID, "two parameters have the same name");
    params->names[params->n] = n->name;
    params->name_ids[params->n] = n->name_id;
    params->defaults[params->n] = NULL;
    if (parser_skip(p, T_ASSIGN)) {
        *defaults = true;
        params->defaults[params->n] = parse_expression(p);
        if (!params->defaults[params->n])
            return false;
    } else if (*defaults) {
        return parser_fail(p, p->at, ERR_INVALID, "a parameter without a default follows one with");
    }
    params->n++;
    return true;
}

enum { PARAMETERS_MOST = 100 };

static int parse_signature(struct parser *p, struct parameters *params)
{
    bool defaults = false;
    size_t bytes = PARAMETERS_MOST *
                   (sizeof(*params->names) + sizeof(*params->name_ids) + sizeof(*params->defaults));
    char *memory = pool_alloc(p->pool, bytes);

    if (!memory)
        return err_nomem(p->err, bytes);
    params->names = (struct str *)memory;
    params->defaults = (struct node **)(params->names + PARAMETERS_MOST);
    params->name_ids = (int *)(params->defaults + PARAMETERS_MOST);
    while (p->at->kind != T_RPAREN) {
        if (params->n > 0 && !parser_expect(p, T_COMMA, "\",\" or \")\""))
            return -1;
        if (params->n == PARAMETERS_MOST) {
            parser_fail(p, p->at, ERR_UNSUPPORTED, "more than %d parameters", PARAMETERS_MOST);
            return -1;
        }
        if (!parse_parameter(p, params, &defaults))
            return -1;
    }
    p->at++;
    return 0;
}

static struct parameters *new_params(struct parser *p)
{
    struct parameters *params = pool_alloc(p->pool, sizeof(*params));

    if (!params)
        return parser_nomem(p, sizeof(*params));
    *params = (struct parameters){.caller = -1, .kwargs = -1, .varargs = -1};
    return params;
}

static struct node *parse_macro(struct parser *p)
{
    struct node *n = parser_node(p, N_MACRO, p->at++), *name = parse_target_name(p);

    if (!n || !name || !(n->params = new_params(p)))
        return NULL;
    n->name = name->name;
    n->name_id = name->name_id;
    if (!parser_expect(p, T_LPAREN, "\"(\"") || parse_signature(p, n->params) < 0)
        return NULL;
    return parse_only_block(p, ends_macro, &n->body) < 0 ? NULL : n;
}

static struct node *parse_call_block(struct parser *p)
{
    const struct token *t = p->at++;
    struct node *n = parser_node(p, N_CALL_BLOCK, t);

    if (!n || !(n->params = new_params(p)))
        return NULL;
    if (parser_skip(p, T_LPAREN) && parse_signature(p, n->params) < 0)
        return NULL;
    n->a = parse_expression(p);
    if (!n->a)
        return NULL;
    if (n->a->kind != N_CALL)
        return parser_fail(p, t, ERR_INVALID, "the tag call needs a call");
    return parse_only_block(p, ends_call, &n->body) < 0 ? NULL : n;
}

static struct node *parse_filter_block(struct parser *p)
{
    struct node *n = parser_node(p, N_FILTER_BLOCK, p->at++);

    if (!n || !(n->a = parse_filters(p, NULL, true)))
        return NULL;
    return parse_only_block(p, ends_filter, &n->body) < 0 ? NULL : n;
}

static struct node *parse_with(struct parser *p)
{
    struct node *n = parser_node(p, N_WITH, p->at++);
    struct node_list items = {0};

    if (!n)
        return NULL;
    while (p->at->kind != T_BLOCK_END) {
        if (items.n > 0 && !parser_expect(p, T_COMMA, "\",\" or the end of the tag"))
            return NULL;
        if (!parser_push(p, &items, parse_target(p, NULL, false)) ||
            !parser_expect(p, T_ASSIGN, "\"=\"") || !parser_push(p, &items, parse_expression(p)))
            return NULL;
    }
    n->items = parser_nodes(&items);
    return parse_only_block(p, ends_with, &n->body) < 0 ? NULL : n;
}

static struct node *parse_generation(struct parser *p)
{
    struct node *n = parser_node(p, N_GENERATION, p->at++);

    p->t->has_generation = true;
    if (!n || !(n->params = new_params(p)))
        return NULL;
    return parse_only_block(p, ends_generation, &n->body) < 0 ? NULL : n;
}

static struct node *parse_print(struct parser *p)
{
    struct node *n = parser_node(p, N_OUTPUT, p->at++);
    struct node_list items = {0};

    if (!n)
        return NULL;
    while (p->at->kind != T_BLOCK_END) {
        if (items.n > 0 && !parser_expect(p, T_COMMA, "\",\" or the end of the tag"))
            return NULL;
        if (!parser_push(p, &items, parse_expression(p)))
            return NULL;
    }
    n->items = parser_nodes(&items);
    return n;
}

static struct node *parse_break(struct parser *p)
{
    return parser_node(p, N_BREAK, p->at++);
}

static struct node *parse_continue(struct parser *p)
{
    return parser_node(p, N_CONTINUE, p->at++);
}

static const struct {
    const char *name;
    struct node *(*parse)(struct parser *p);
} statements[] = {
    {"for", parse_for},         {"if", parse_if},
    {"set", parse_set},         {"macro", parse_macro},
    {"call", parse_call_block}, {"filter", parse_filter_block},
    {"with", parse_with},       {"generation", parse_generation},
    {"break", parse_break},     {"continue", parse_continue},
    {"print", parse_print},
};

static struct node *parse_statement(struct parser *p)
{
    const struct token *t = p->at;
    struct node *n;

    if (t->kind != T_NAME)
        return parser_unexpected(p, "the name of a tag");
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        if (!parser_is_name(p, statements[i].name))
            continue;
        if (!parser_enter(p))
            return NULL;
        n = statements[i].parse(p);
        p->depth--;
        return n ? parser_done(p, n) : NULL;
    }
    return parser_fail(p, t, ERR_UNSUPPORTED, "the tag \"%.*s\" is not supported here",
                       (int)(t->text.len < 60 ? t->text.len : 60), t->text.at);
}

/* Data and expressions in a row are one output. */
static struct node *parse_output(struct parser *p)
{
    struct node *n = parser_node(p, N_OUTPUT, p->at), *item;
    struct node_list items = {0};

    if (!n)
        return NULL;
    while (p->at->kind == T_DATA || p->at->kind == T_VARIABLE_BEGIN) {
        const struct token *t = p->at++;
        if (t->kind == T_DATA) {
            item = parser_node(p, N_TEXT, t);
            if (item)
                item->constant = value_str(t->text);
        } else {
            item = parse_tuple(p, TUPLE_PLAIN, NULL);
            if (item && !parser_expect(p, T_VARIABLE_END, "the end of the tag"))
                return NULL;
        }
        if (!parser_push(p, &items, item))
            return NULL;
    }
    n->items = parser_nodes(&items);
    return parser_done(p, n);
}

static bool is_end(const struct parser *p, const char *const *ends)
{
    for (; ends && *ends; ends++)
        if (parser_is_name(p, *ends))
            return true;
    return false;
}

static int parse_body(struct parser *p, const char *const *ends, struct nodes *body)
{
    struct node_list list = {0};

    while (p->at->kind != T_EOF) {
        if (p->at->kind != T_BLOCK_BEGIN) {
            if (!parser_push(p, &list, parse_output(p)))
                return -1;
            continue;
        }
        p->at++;
        if (is_end(p, ends)) {
            *body = parser_nodes(&list);
            return 0;
        }
        if (!parser_push(p, &list, parse_statement(p)) ||
            !parser_expect(p, T_BLOCK_END, "the end of the tag"))
            return -1;
    }
    *body = parser_nodes(&list);
    if (!ends)
        return 0;
    parser_fail(p, p->at, ERR_INVALID, "expected the tag \"%s\", not the end of the template",
                ends[0]);
    return -1;
}

int parse_template(struct parser *p, struct nodes *body)
{
    return parse_body(p, NULL, body);
}
