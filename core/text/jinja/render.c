/* core/text/jinja/render.c - see jinja.h. A render walks the tree. What it builds lies in one
 * arena, and the text in the caller's buffer. */
#define RUN_DEFINED_HERE
#include "core/text/jinja/data.h"
#include "core/text/jinja/functions.h"
#include "core/text/jinja/python_text.h"
#include "core/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const struct jinja_options jinja_defaults = {
    .steps = 50000000,
    .depth = 1500,
    .output_bytes = 64 << 20,
    .memory_bytes = 256 << 20,
    .now = JINJA_NO_DATE,
};

static int report(struct run *r, int code, const char *fmt, va_list ap)
{
    char why[700];

    vsnprintf(why, sizeof(why), fmt, ap);
    utf8_make_valid(why, strlen(why)); /* a name may have been cut */
    return err_set(r->err, code, "%s, line %u, column %u: %s", r->t->name, r->at ? r->at->line : 1,
                   r->at ? r->at->column : 1, why);
}

int run_fail(struct run *r, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = report(r, ERR_INVALID, fmt, ap);
    va_end(ap);
    return rc;
}

int run_unsupported(struct run *r, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = report(r, ERR_UNSUPPORTED, fmt, ap);
    va_end(ap);
    return rc;
}

int run_nomem(struct run *r)
{
    if (r->arena.limited)
        return run_fail(r, "rendering needs more than %zu bytes of memory",
                        r->options->memory_bytes);
    return err_set(r->err, ERR_NOMEM, "out of memory while %s is rendered", r->t->name);
}

int run_steps(struct run *r, uint64_t n)
{
    r->steps += n;
    return r->steps > r->options->steps ? run_fail(r, "rendering takes too many steps") : 0;
}

int run_enter(struct run *r)
{
    if (r->depth++ >= r->options->depth)
        return run_fail(r, "this is nested too deep");
    return 0;
}

void *run_alloc(struct run *r, size_t count, size_t size)
{
    size_t bytes;
    void *at = NULL;

    if (!__builtin_mul_overflow(count, size, &bytes))
        at = arena_alloc(&r->arena, bytes);
    else
        r->arena.limited = true;
    if (!at)
        run_nomem(r);
    return at;
}

const char *kind_name(const struct value *v)
{
    static const char *const names[] = {[V_MISSING] = "missing value",
                                        [V_UNDEFINED] = "undefined value",
                                        [V_NONE] = "None",
                                        [V_BOOL] = "bool",
                                        [V_INT] = "int",
                                        [V_FLOAT] = "float",
                                        [V_STRING] = "text",
                                        [V_LIST] = "list",
                                        [V_TUPLE] = "tuple",
                                        [V_DICT] = "dict",
                                        [V_RANGE] = "range",
                                        [V_VIEW] = "view of a dict",
                                        [V_ITERATOR] = "generator",
                                        [V_NAMESPACE] = "namespace",
                                        [V_MACRO] = "macro",
                                        [V_LOOP] = "loop",
                                        [V_FUNCTION] = "function",
                                        [V_METHOD] = "method",
                                        [V_JOINER] = "joiner",
                                        [V_CYCLER] = "cycler"};

    return names[v->kind];
}

static int variable_value(struct run *r, const struct jinja_variable *v, struct value *ret)
{
    if (v->json)
        return value_of_json(r, v->json, ret);
    if (v->len > UINT32_MAX / 2)
        return run_unsupported(r, "the variable \"%s\" has more than 2 GiB", v->name);
    *ret = value_text(v->text ? v->text : "", v->len);
    return 0;
}

/* What names mean that the template does not set. */
static int fill_context(struct run *r, const struct jinja_variable *variables, int n)
{
    const struct jinja *t = r->t;
    int rc = 0;

    r->context = run_alloc(r, (size_t)t->n_names, sizeof(*r->context));
    if (!r->context)
        return run_code(r);
    for (int i = 0; i < t->n_names && rc == 0; i++) {
        int function = t->reads[i] ? function_find(t->names[i]) : FUNCTION_NONE, k = 0;
        r->context[i] = (struct value){0};
        if (!t->reads[i])
            continue;
        while (k < n &&
               !str_equal(t->names[i], (struct str){variables[k].name, strlen(variables[k].name)}))
            k++;
        if (k < n)
            rc = variable_value(r, &variables[k], &r->context[i]);
        else if (function)
            r->context[i] = (struct value){.kind = V_FUNCTION, .integer = function};
    }
    return rc;
}

static int render(struct run *r, const struct jinja_variable *variables, int n)
{
    int rc = fill_context(r, variables, n);

    if (rc < 0)
        return rc;
    r->frame = run_activation(r, NULL, r->t->n_slots);
    if (!r->frame)
        return run_code(r);
    run_enter_scope(r, &r->t->loads);
    return run_body(r, &r->t->body);
}

/* The lengths of spans, which were counted in characters, become ends in bytes. */
static void finish_spans(struct jinja_output *out)
{
    for (int i = 0; i < out->n_spans; i++) {
        struct jinja_span *s = &out->spans[i];
        struct str rest = {out->text.data + s->begin, out->text.len - s->begin};
        s->end = s->begin + (rest.len ? text_offset(rest, s->end) : 0);
    }
}

int jinja_render(const struct jinja *t, const struct jinja_variable *variables, int n,
                 const struct jinja_options *options, struct jinja_output *out, struct err *err)
{
    struct err why = {0};
    struct run r = {.t = t, .options = options, .out = out, .err = &why};
    int rc;

    out->text.len = 0;
    out->n_spans = 0;
    out->raised = false;
    r.arena.most = options->memory_bytes;
    buf_append(&out->text, "", 0); /* an empty text is a text, too */
    rc = out->text.failed ? err_nomem(&why, 1) : render(&r, variables, n);
    arena_free(&r.arena);
    out->steps = r.steps;
    if (rc == 0) {
        out->text.data[out->text.len] = '\0';
        finish_spans(out);
        return 0;
    }
    if (out->text.failed)
        buf_free(&out->text);
    out->text.len = 0;
    out->n_spans = 0;
    if (err)
        *err = why;
    return rc;
}

void jinja_output_free(struct jinja_output *out)
{
    buf_free(&out->text);
    free(out->spans);
    *out = (struct jinja_output){0};
}
