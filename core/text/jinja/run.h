/* core/text/jinja/run.h - one render: what its parts share. Within this folder only.
 *
 * Functions return 0, or a negative code with r->err set. The place that a message names is r->at,
 * the node that is evaluated.
 */
#pragma once
#include "core/text/jinja/jinja.h"
#include "core/text/jinja/memory.h"
#include "core/text/jinja/node.h"
#include "core/text/jinja/value.h"

struct activation {
    struct activation *outer;
    struct value slots[];
};

struct run {
    const struct jinja *t;
    const struct jinja_options *options;
    struct jinja_output *out;
    struct arena arena;
    struct activation *frame;
    struct value
        *context; /* by name: what the caller passed, what the environment has, or missing */
    const struct node *at;
    uint64_t steps;
    int depth;
    int captures;        /* blocks around whose text becomes a value */
    size_t capture_from; /* where the outermost of them begins */
    struct err *err;
};

struct macro {
    const struct node *node;    /* N_MACRO, N_CALL_BLOCK or N_GENERATION */
    struct activation *defined; /* around it */
};

struct args { /* of a call; those of a filter or test begin with what it is applied to */
    struct value *items;
    int n;
    struct str *names;
    struct value *named;
    int n_named;
};

int run_fail(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int run_unsupported(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What a function returns that set r->err. */
static inline int run_code(const struct run *r)
{
    return r->err->code < 0 ? r->err->code : ERR_INTERNAL;
}
int run_nomem(struct run *r); /* the arena refused: its limit, or no memory */
int run_steps(struct run *r, uint64_t n);
int run_enter(struct run *r); /* r->depth + 1, which the caller takes back; or it is too deep */
void *run_alloc(struct run *r, size_t count, size_t size); /* NULL: err is set */
const char *kind_name(const struct value *v);              /* Python's name of the type */

/* Expressions and statements. */
enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };
int run_eval(struct run *r, const struct node *n, struct value *ret);
int run_body(struct run *r, const struct nodes *body); /* an enum flow, or negative */
int run_assign(struct run *r, const struct node *target, const struct value *v);
void run_enter_scope(struct run *r, const struct loads *loads);
void run_leave_scope(struct run *r, const struct loads *loads);
struct activation *run_activation(struct run *r, struct activation *outer, int n_slots);
/* Text that is written from begin_capture() becomes a value. It is dropped where *ret is NULL. */
size_t run_begin_capture(struct run *r);
int run_end_capture(struct run *r, size_t begin, struct value *ret);
int run_write(struct run *r, const char *text, size_t len);

/* Calls. */
int run_args(struct run *r, const struct call_args *from, const struct value *first,
             struct args *ret);
int call_value(struct run *r, const struct value *callee, const struct args *args,
               struct value *ret);
int call_macro(struct run *r, const struct macro *m, const struct args *args, struct value *ret);
int call_method(struct run *r, const struct value *self, int attribute, const struct args *args,
                struct value *ret);
int call_filter(struct run *r, int row, struct args *args, struct value *ret);
int call_test(struct run *r, int row, const struct args *args, bool *ret);
/* Python's binding: values by parameter, missing ones where none is given. names: "a b=c" parted by
 * blanks; those from `optional` on may be absent. */
int bind_args(struct run *r, const char *what, const struct args *args, const char *const *names,
              int n, int required, struct value *out);
int bind_positional(struct run *r, const char *what, const struct args *args, int least, int most);

/* Loops. */
struct loop;
int run_for(struct run *r, const struct node *n); /* an enum flow, or negative */
int loop_attribute(struct run *r, struct loop *l, int attribute, struct value *ret);
int loop_length(struct run *r, struct loop *l, int64_t *ret);
int loop_call(struct run *r, struct loop *l, const struct args *args, struct value *ret);
int loop_cycle(struct run *r, struct loop *l, const struct args *args, struct value *ret);
int loop_changed(struct run *r, struct loop *l, const struct args *args, struct value *ret);

#if defined(__clang_analyzer__) && !defined(RUN_DEFINED_HERE)
/* As in err.h: what these return is negative. */
#define run_fail(...)        err_negative(run_fail(__VA_ARGS__))
#define run_unsupported(...) err_negative(run_unsupported(__VA_ARGS__))
#define run_nomem(...)       err_negative(run_nomem(__VA_ARGS__))
#endif
