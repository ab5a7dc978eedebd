/* core/text/jinja/parser.h - from tokens to nodes. One token ahead of the current one is looked at.
 * Within this folder only.
 */
#pragma once
#include "core/text/jinja/node.h"

enum {
    HEIGHT_MOST = 300, /* of the tree: all that walks it is recursive */
    NAMES_MOST = 400,
};

struct parser {
    struct jinja *t;
    const struct token *at;
    struct pool *pool;
    int depth;     /* of expressions and statements that are being read */
    int for_depth; /* loops around */
    int names_cap;
    struct err *err;
};

struct node *parser_node(struct parser *p, enum node_kind kind, const struct token *at);
/* Fails, naming the place of token t. Returns NULL. */
void *parser_fail(struct parser *p, const struct token *t, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void *parser_unexpected(struct parser *p, const char *expected);
void *parser_nomem(struct parser *p, size_t bytes);
bool parser_enter(struct parser *p); /* counts p->depth; false: too deep */
/* Sets the height from the children. NULL: too high. */
struct node *parser_done(struct parser *p, struct node *n);

/* Nodes of two parts, and of one; NULL where a part is NULL. */
struct node *parser_make(struct parser *p, enum node_kind kind, const struct token *at,
                         struct node *a, struct node *b);
struct node *parser_make_one(struct parser *p, enum node_kind kind, const struct token *at,
                             struct node *a);

bool parser_is_name(const struct parser *p, const char *name);
bool parser_skip_name(struct parser *p, const char *name);
bool parser_skip(struct parser *p, enum token_kind kind);
bool parser_expect(struct parser *p, enum token_kind kind, const char *words);
int parser_name_id(struct parser *p, struct str name); /* -1: failed */

struct node_list { /* in building */
    struct node **at;
    int n, cap;
};
bool parser_push(struct parser *p, struct node_list *l,
                 struct node *n); /* false: n NULL, or failed */
struct nodes parser_nodes(const struct node_list *l);

enum tuple_mode { TUPLE_PLAIN, TUPLE_NO_COND, TUPLE_PARENTHESES };

/* All return NULL after a failure. */
struct node *parse_expression(struct parser *p);
struct node *parse_no_cond(struct parser *p); /* without "if" */
/* Attributes, items and calls; then filters and tests. A NULL node is handed on. */
struct node *parse_behind_operand(struct parser *p, struct node *n);
struct node *parse_behind_value(struct parser *p, struct node *n);
/* `stop`: a name that ends a tuple, or NULL. */
struct node *parse_tuple(struct parser *p, enum tuple_mode mode, const char *stop);
struct node *parse_target(struct parser *p, const char *stop, bool with_namespace);
struct node *parse_target_name(struct parser *p);
struct node *parse_primary(struct parser *p, bool with_namespace);
/* Filters behind `a`, which is NULL for those of a block. first: the name comes without a bar. */
struct node *parse_filters(struct parser *p, struct node *a, bool first);
int parse_args(struct parser *p, struct call_args *args);

int parse_template(struct parser *p, struct nodes *body);
