/* core/text/jinja/exec.c - statements. All of them write to one text; a block whose text becomes a
 * value writes there, too, and its end takes the text away again. */
#include "core/text/jinja/data.h"
#include "core/text/jinja/python_text.h"
#include "core/text/jinja/text.h"
#include <stdlib.h>

int run_write(struct run *r, const char *text, size_t len)
{
    struct buf *b = &r->out->text;

    if (len > r->options->output_bytes - b->len)
        return run_fail(r, "the text has more than %zu bytes", r->options->output_bytes);
    buf_append(b, text, len);
    if (b->failed)
        return err_nomem(r->err, b->len + len);
    return run_steps(r, 1 + len / 64);
}

static int write_value(struct run *r, const struct value *v)
{
    struct value text;
    int rc;

    if (v->kind == V_STRING)
        return run_write(r, v->text, v->len);
    if (v->kind == V_UNDEFINED)
        return 0;
    rc = str_value(r, v, &text);
    return rc < 0 ? rc : run_write(r, text.text, text.len);
}

size_t run_begin_capture(struct run *r)
{
    if (r->captures++ == 0)
        r->capture_from = r->out->text.len;
    return r->out->text.len;
}

int run_end_capture(struct run *r, size_t begin, struct value *ret)
{
    size_t len = r->out->text.len - begin;
    char *text;

    r->captures--;
    r->out->text.len = begin;
    if (!ret)
        return 0;
    if (len > UINT32_MAX / 2)
        return run_fail(r, "a text grows beyond 2 GiB");
    text = arena_text(&r->arena, len);
    if (!text)
        return run_nomem(r);
    if (len)
        memcpy(text, r->out->text.data + begin, len);
    *ret = value_text(text, len);
    return run_steps(r, len / 64);
}

struct activation *run_activation(struct run *r, struct activation *outer, int n_slots)
{
    struct activation *a = run_alloc(r, 1, sizeof(*a) + (size_t)n_slots * sizeof(a->slots[0]));

    if (!a)
        return NULL;
    a->outer = outer;
    memset(a->slots, 0, (size_t)n_slots * sizeof(a->slots[0])); /* V_MISSING */
    return a;
}

void run_enter_scope(struct run *r, const struct loads *loads)
{
    struct value *slots = r->frame->slots;

    r->steps += (uint64_t)loads->n / 16;
    for (int i = 0; i < loads->n; i++) {
        const struct load *l = &loads->at[i];
        struct activation *a = r->frame;
        switch (l->how) {
        case LOAD_PARAMETER:
            break;
        case LOAD_UNDEFINED:
            slots[l->slot].kind = V_MISSING;
            break;
        case LOAD_ALIAS:
            for (int up = 0; up < l->up; up++)
                a = a->outer;
            slots[l->slot] = a->slots[l->from];
            break;
        case LOAD_CONTEXT:
            slots[l->slot] = r->context[l->from];
            break;
        }
    }
}

void run_leave_scope(struct run *r, const struct loads *loads)
{
    for (int i = 0; i < loads->n; i++)
        r->frame->slots[loads->at[i].slot].kind = V_MISSING;
}

static struct value *slot_of(struct run *r, const struct node *n)
{
    struct activation *a = r->frame;

    for (int i = 0; i < n->up; i++)
        a = a->outer;
    return &a->slots[n->slot];
}

static int set_attribute(struct run *r, const struct node *n, const struct value *v)
{
    struct value name = value_str(n->attribute), *space = slot_of(r, n);

    if (space->kind != V_NAMESPACE)
        return run_fail(r, "an attribute can be set of a namespace only");
    if (n->attribute.at[0] == '_')
        return run_fail(r, "an attribute of a namespace must not begin with \"_\"");
    return dict_set(r, space->dict, &name, v);
}

/* The items of a value, of which there must be n. */
static int unpack(struct run *r, const struct value *v, int n, struct value *items)
{
    struct cursor c;
    struct value more;
    int rc = cursor_open(r, v, &c);

    for (int i = 0; i < n && rc >= 0; i++) {
        rc = cursor_next(r, &c, &items[i]);
        if (rc == 0)
            return run_fail(r, "there are %d values for %d names", i, n);
    }
    if (rc >= 0)
        rc = cursor_next(r, &c, &more);
    return rc > 0 ? run_fail(r, "there are more than %d values for %d names", n, n) : rc;
}

int run_assign(struct run *r, const struct node *target, const struct value *v)
{
    struct value few[4], *items = few;
    int rc;

    if (target->kind == N_NAME) {
        *slot_of(r, target) = *v;
        return 0;
    }
    r->at = target;
    if (target->kind == N_NSREF)
        return set_attribute(r, target, v);
    if (target->items.n > 4)
        items = run_alloc(r, (size_t)target->items.n, sizeof(*items));
    rc = items ? unpack(r, v, target->items.n, items) : run_code(r);
    for (int i = 0; i < target->items.n && rc == 0; i++)
        rc = run_assign(r, target->items.at[i], &items[i]);
    return rc;
}

/* Python looks at the namespaces before it evaluates the value. */
static int check_namespaces(struct run *r, const struct node *target)
{
    int rc = 0;

    if (target->kind == N_NSREF && slot_of(r, target)->kind != V_NAMESPACE) {
        r->at = target;
        return run_fail(r, "\"%.*s\" is not a namespace", (int)target->name.len, target->name.at);
    }
    for (int i = 0; target->kind == N_TUPLE && i < target->items.n && rc == 0; i++)
        rc = check_namespaces(r, target->items.at[i]);
    return rc;
}

static int exec_output(struct run *r, const struct node *n)
{
    struct value v;
    int rc = 0;

    for (int i = 0; i < n->items.n && rc == 0; i++) {
        rc = run_eval(r, n->items.at[i], &v);
        if (rc == 0)
            rc = write_value(r, &v);
    }
    return rc;
}

static int exec_if(struct run *r, const struct node *n)
{
    struct value v;
    int rc = run_eval(r, n->a, &v);

    if (rc < 0)
        return rc;
    if (is_true(&v))
        return run_body(r, &n->body);
    for (int i = 0; i < n->elifs.n; i++) {
        rc = run_eval(r, n->elifs.at[i]->a, &v);
        if (rc < 0)
            return rc;
        if (is_true(&v))
            return run_body(r, &n->elifs.at[i]->body);
    }
    return run_body(r, &n->other);
}

static int exec_set(struct run *r, const struct node *n)
{
    struct value v;
    int rc = check_namespaces(r, n->a);

    if (rc == 0)
        rc = run_eval(r, n->b, &v);
    return rc < 0 ? rc : run_assign(r, n->a, &v);
}

/* Filters of a block: the innermost one is applied to what the block wrote. */
static int filter_text(struct run *r, const struct node *n, struct value *v)
{
    struct args args;
    int rc = n->a ? filter_text(r, n->a, v) : 0;

    if (rc == 0)
        rc = run_args(r, &n->args, v, &args);
    r->at = n;
    if (rc < 0)
        return rc;
    if (!n->known)
        return run_unsupported(r, "the filter \"%.*s\" is not supported",
                               (int)(n->name.len < 100 ? n->name.len : 100), n->name.at);
    return call_filter(r, n->known, &args, v);
}

/* The text of the body, filtered. An enum flow or negative: *v is set on FLOW_NEXT. */
static int captured_body(struct run *r, const struct node *n, const struct node *filter,
                         struct value *v)
{
    size_t begin;
    int flow, rc;

    run_enter_scope(r, &n->loads);
    begin = run_begin_capture(r);
    flow = run_body(r, &n->body);
    rc = run_end_capture(r, begin, flow == FLOW_NEXT ? v : NULL);
    if (flow != FLOW_NEXT)
        return flow;
    if (rc == 0 && filter)
        rc = filter_text(r, filter, v);
    run_leave_scope(r, &n->loads);
    return rc;
}

static int exec_set_block(struct run *r, const struct node *n)
{
    struct value v;
    int rc = captured_body(r, n, n->b, &v);

    return rc != FLOW_NEXT ? rc : run_assign(r, n->a, &v);
}

/* What is written without becoming a text must be one. */
static int write_text(struct run *r, const struct value *v)
{
    if (v->kind != V_STRING)
        return run_fail(r, "a block must give a text, not a %s", kind_name(v));
    return run_write(r, v->text, v->len);
}

static int exec_filter_block(struct run *r, const struct node *n)
{
    struct value v;
    int rc = captured_body(r, n, n->a, &v);

    return rc != FLOW_NEXT ? rc : write_text(r, &v);
}

static int exec_with(struct run *r, const struct node *n)
{
    struct value v;
    int rc = 0;

    run_enter_scope(r, &n->loads);
    for (int i = 0; i < n->items.n && rc == 0; i += 2) {
        rc = run_eval(r, n->items.at[i + 1], &v);
        if (rc == 0)
            rc = run_assign(r, n->items.at[i], &v);
    }
    if (rc == 0)
        rc = run_body(r, &n->body);
    if (rc == FLOW_NEXT)
        run_leave_scope(r, &n->loads);
    return rc;
}

static int new_macro(struct run *r, const struct node *n, struct value *ret)
{
    struct macro *m = run_alloc(r, 1, sizeof(*m));

    if (!m)
        return run_code(r);
    *m = (struct macro){n, r->frame};
    *ret = (struct value){.kind = V_MACRO, .macro = m};
    return 0;
}

static int exec_macro(struct run *r, const struct node *n)
{
    struct value v;
    int rc = new_macro(r, n, &v);

    if (rc == 0)
        r->frame->slots[n->slot] = v;
    return rc;
}

static int exec_call_block(struct run *r, const struct node *n)
{
    struct value callee, caller, *named;
    struct str *names;
    struct args args = {0};
    int rc = new_macro(r, n, &caller);

    if (rc == 0)
        rc = run_eval(r, n->a->a, &callee);
    if (rc == 0)
        rc = run_args(r, &n->a->args, NULL, &args);
    if (rc < 0)
        return rc;
    r->at = n;
    named = run_alloc(r, (size_t)args.n_named + 1, sizeof(*named));
    names = run_alloc(r, (size_t)args.n_named + 1, sizeof(*names));
    if (!named || !names)
        return run_code(r);
    for (int i = 0; i < args.n_named; i++) {
        named[i] = args.named[i];
        names[i] = args.names[i];
        if (str_equal(names[i], STR("caller")))
            return run_fail(r, "a call block must not pass \"caller\"");
    }
    named[args.n_named] = caller;
    names[args.n_named++] = STR("caller");
    args.named = named;
    args.names = names;
    rc = call_value(r, &callee, &args, &caller);
    return rc < 0 ? rc : write_text(r, &caller);
}

static int push_span(struct run *r, size_t begin, size_t end)
{
    struct jinja_output *out = r->out;

    if (out->n_spans == out->cap_spans) {
        int cap = out->cap_spans ? 2 * out->cap_spans : 16;
        struct jinja_span *more = realloc(out->spans, (size_t)cap * sizeof(*more));
        if (!more)
            return err_nomem(r->err, (size_t)cap * sizeof(*more));
        out->spans = more;
        out->cap_spans = cap;
    }
    out->spans[out->n_spans++] = (struct jinja_span){begin, end};
    return 0;
}

/* As transformers does: a span begins behind what the template has written so far outside of all
 * blocks that become values, and is as many characters long as the block. `begin` is in bytes,
 * `end` the number of characters behind it, until the end of the render. */
static int exec_generation(struct run *r, const struct node *n)
{
    struct macro m = {n, r->frame};
    struct value text;
    struct args none = {.items = &text};
    size_t begin;
    int rc = call_macro(r, &m, &none, &text);

    if (rc < 0)
        return rc;
    begin = r->captures ? r->capture_from : r->out->text.len;
    rc = push_span(r, begin, text_count(str_of(&text)));
    return rc < 0 ? rc : run_write(r, text.text, text.len);
}

static int exec_within(struct run *r, const struct node *n)
{
    switch ((enum node_kind)n->kind) {
    case N_OUTPUT:
        return exec_output(r, n);
    case N_IF:
        return exec_if(r, n);
    case N_FOR:
        return run_for(r, n);
    case N_SET:
        return exec_set(r, n);
    case N_SET_BLOCK:
        return exec_set_block(r, n);
    case N_MACRO:
        return exec_macro(r, n);
    case N_CALL_BLOCK:
        return exec_call_block(r, n);
    case N_FILTER_BLOCK:
        return exec_filter_block(r, n);
    case N_WITH:
        return exec_with(r, n);
    case N_GENERATION:
        return exec_generation(r, n);
    case N_BREAK:
        return FLOW_BREAK;
    default:
        return FLOW_CONTINUE;
    }
}

int run_body(struct run *r, const struct nodes *body)
{
    int rc = run_enter(r);

    for (int i = 0; i < body->n && rc == FLOW_NEXT; i++) {
        r->at = body->at[i];
        rc = run_steps(r, 1);
        if (rc == 0)
            rc = exec_within(r, body->at[i]);
    }
    r->depth--;
    return rc;
}
