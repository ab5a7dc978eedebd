/* core/text/jinja/node.h - a parsed template: a tree of nodes, in one pool.
 *
 * Variables are slots of an activation: each macro, call block, recursive loop and filter of a loop
 * has one of its own, and the rest of the template the outermost. scope.c finds the slots.
 */
#pragma once
#include "core/pool.h"
#include "core/text/jinja/lexer.h"
#include "core/text/jinja/value.h"

enum node_kind {
    /* expressions */
    N_CONST,   /* constant */
    N_TEXT,    /* constant: data of the template */
    N_NAME,    /* slot up activations away */
    N_NSREF,   /* likewise; target of an assignment to attribute `attribute` */
    N_TUPLE,   /* items */
    N_LIST,    /* items */
    N_DICT,    /* items: key, value, key, value ... */
    N_ATTR,    /* a.attribute */
    N_ITEM,    /* a[b] */
    N_SLICE,   /* a[b:c:d], each of b, c, d may be NULL */
    N_CALL,    /* a(args) */
    N_FILTER,  /* a | name(args); a NULL: of what a block wrote */
    N_TEST,    /* a is name(args) */
    N_COND,    /* b if a else c; c may be NULL */
    N_AND,     /* a and b */
    N_OR,      /* a or b */
    N_NOT,     /* not a */
    N_NEG,     /* -a */
    N_POS,     /* +a */
    N_BINARY,  /* a op b, op a token */
    N_CONCAT,  /* items, joined as texts */
    N_COMPARE, /* a, then items, each an N_OPERAND */
    N_OPERAND, /* op a; op a token, or an enum node_in */
    /* statements */
    N_OUTPUT,       /* items */
    N_IF,           /* a, body, elifs (each an N_IF), other */
    N_FOR,          /* a target, b values, c condition or NULL, body, other */
    N_SET,          /* a target, b value */
    N_SET_BLOCK,    /* a target, b filter or NULL, body */
    N_MACRO,        /* name, params, body */
    N_CALL_BLOCK,   /* a call, params, body */
    N_FILTER_BLOCK, /* a filter, body */
    N_WITH,         /* items: target, value, target, value ...; body */
    N_GENERATION,   /* body */
    N_BREAK,
    N_CONTINUE,
};

enum node_in { OP_IN = 100, OP_NOT_IN };

struct node;
struct nodes {
    struct node **at;
    int n;
};

struct call_args {
    struct nodes items, named;
    struct str *names;             /* of `named` */
    struct node *star, *star_star; /* NULL: none */
};

struct load { /* how a variable begins as its scope is entered */
    enum { LOAD_PARAMETER, LOAD_UNDEFINED, LOAD_ALIAS, LOAD_CONTEXT } how;
    int slot;
    int up, from; /* LOAD_ALIAS: a slot; LOAD_CONTEXT: `from` is the number of a name */
};
struct loads {
    struct load *at;
    int n;
};

struct parameters { /* of a macro or call block */
    struct str *names;
    int *name_ids;
    struct node **defaults; /* NULL where there is none */
    int n;
    int caller, kwargs, varargs; /* slots of these special names; -1: the body reads it not */
};

struct node {
    uint8_t kind, op;
    bool soft;       /* N_FILTER, N_TEST: an unknown name is found only as it runs */
    bool parameter;  /* N_NAME: always has a value */
    bool recursive;  /* N_FOR */
    bool extended;   /* N_FOR: its body reads `loop` */
    uint16_t height; /* of the tree below */
    uint32_t line, column;
    struct node *a, *b, *c, *d;
    union {
        struct nodes items;
        struct call_args args;
        struct value constant;
    };
    struct str name;      /* N_NAME, N_NSREF, N_MACRO; attribute of N_ATTR; N_FILTER, N_TEST */
    struct str attribute; /* N_NSREF */
    int name_id;          /* of N_NAME, N_NSREF, N_MACRO */
    int up, slot;         /* where the variable is; N_FOR: the slot of `loop` */
    int known;            /* N_ATTR: enum attribute, 0: none; N_FILTER, N_TEST: its row + 1, or 0;
                             N_NAME, a loop's target: slot in the activation of the condition */
    struct nodes body, other, elifs;
    struct parameters *params;
    struct loads loads, other_loads, test_loads;
    int n_slots, n_test_slots; /* of the activation that it makes */
};

struct jinja {
    struct pool pool;
    char *name;
    struct nodes body;
    struct loads loads;
    int n_slots;
    struct str *names; /* all names of variables, by their number */
    bool *reads; /* whether the template reads it from the caller's variables or environment */
    int n_names;
    bool has_generation;
};

/* Finds the slots of all variables. */
int jinja_resolve(struct jinja *t, struct err *err);
