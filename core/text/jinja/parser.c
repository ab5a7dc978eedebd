/* core/text/jinja/parser.c - what the two halves of the parser share: the current token, nodes and
 * their heights, names. See parser.h. */
#include "core/text/jinja/parser.h"
#include <stdarg.h>
#include <stdio.h>

void *parser_fail(struct parser *p, const struct token *t, int code, const char *fmt, ...)
{
    char why[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    err_set(p->err, code, "%s, line %u, column %u: %s", p->t->name, t->line, t->column, why);
    return NULL;
}

void *parser_unexpected(struct parser *p, const char *expected)
{
    char words[100] = "";

    return parser_fail(p, p->at, ERR_INVALID, "expected %s, not %s", expected,
                       jinja_token_words(p->at, words, sizeof(words)));
}

void *parser_nomem(struct parser *p, size_t bytes)
{
    err_nomem(p->err, bytes);
    return NULL;
}

struct node *parser_node(struct parser *p, enum node_kind kind, const struct token *at)
{
    struct node *n = pool_alloc(p->pool, sizeof(*n));

    if (!n)
        return parser_nomem(p, sizeof(*n));
    *n = (struct node){.kind = (uint8_t)kind, .line = at->line, .column = at->column};
    return n;
}

bool parser_enter(struct parser *p)
{
    if (p->depth >= HEIGHT_MOST) {
        parser_fail(p, p->at, ERR_UNSUPPORTED, "this is nested more than %d deep", HEIGHT_MOST);
        return false;
    }
    p->depth++;
    return true;
}

static void raise_by(struct node *n, const struct node *child)
{
    if (child && child->height >= n->height)
        n->height = child->height + 1;
}

static void raise_by_all(struct node *n, const struct nodes *list)
{
    for (int i = 0; i < list->n; i++)
        raise_by(n, list->at[i]);
}

struct node *parser_done(struct parser *p, struct node *n)
{
    raise_by(n, n->a);
    raise_by(n, n->b);
    raise_by(n, n->c);
    raise_by(n, n->d);
    if (n->kind != N_CONST && n->kind != N_TEXT)
        raise_by_all(n, &n->items);
    if (n->kind == N_CALL || n->kind == N_FILTER || n->kind == N_TEST) {
        raise_by_all(n, &n->args.named);
        raise_by(n, n->args.star);
        raise_by(n, n->args.star_star);
    }
    raise_by_all(n, &n->body);
    raise_by_all(n, &n->other);
    raise_by_all(n, &n->elifs);
    for (int i = 0; n->params && i < n->params->n; i++)
        raise_by(n, n->params->defaults[i]);
    if (n->height > HEIGHT_MOST)
        return parser_fail(p, &(struct token){.line = n->line, .column = n->column},
                           ERR_UNSUPPORTED, "this is nested more than %d deep", HEIGHT_MOST);
    return n;
}

bool parser_is_name(const struct parser *p, const char *name)
{
    return p->at->kind == T_NAME && str_equal(p->at->text, (struct str){name, strlen(name)});
}

bool parser_skip_name(struct parser *p, const char *name)
{
    bool is = parser_is_name(p, name);

    p->at += is;
    return is;
}

bool parser_skip(struct parser *p, enum token_kind kind)
{
    bool is = p->at->kind == kind;

    p->at += is && kind != T_EOF;
    return is;
}

bool parser_expect(struct parser *p, enum token_kind kind, const char *words)
{
    if (parser_skip(p, kind))
        return true;
    parser_unexpected(p, words);
    return false;
}

int parser_name_id(struct parser *p, struct str name)
{
    struct jinja *t = p->t;

    for (int i = 0; i < t->n_names; i++)
        if (str_equal(t->names[i], name))
            return i;
    if (t->n_names == NAMES_MOST) {
        parser_fail(p, p->at, ERR_UNSUPPORTED, "more than %d names are not supported", NAMES_MOST);
        return -1;
    }
    if (!t->names) {
        t->names = pool_alloc(p->pool, NAMES_MOST * sizeof(*t->names));
        if (!t->names)
            parser_nomem(p, NAMES_MOST * sizeof(*t->names));
    }
    if (!t->names)
        return -1;
    t->names[t->n_names] = name;
    return t->n_names++;
}

bool parser_push(struct parser *p, struct node_list *l, struct node *n)
{
    if (!n)
        return false;
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 4;
        struct node **more = pool_alloc(p->pool, (size_t)cap * sizeof(struct node *));
        if (!more)
            return parser_nomem(p, (size_t)cap * sizeof(struct node *));
        if (l->n)
            memcpy(more, l->at, (size_t)l->n * sizeof(struct node *));
        l->at = more;
        l->cap = cap;
    }
    l->at[l->n++] = n;
    return true;
}

struct nodes parser_nodes(const struct node_list *l)
{
    return (struct nodes){l->at, l->n};
}

struct node *parser_make(struct parser *p, enum node_kind kind, const struct token *at,
                         struct node *a, struct node *b)
{
    struct node *n = a && b ? parser_node(p, kind, at) : NULL;

    if (!n)
        return NULL;
    n->a = a;
    n->b = b;
    return parser_done(p, n);
}

struct node *parser_make_one(struct parser *p, enum node_kind kind, const struct token *at,
                             struct node *a)
{
    struct node *n = a ? parser_node(p, kind, at) : NULL;

    if (!n)
        return NULL;
    n->a = a;
    return parser_done(p, n);
}
