/* core/text/jinja/loop.c - for loops. A loop that reads `loop` has a struct loop, which looks one
 * item ahead only where it is asked whether there is one; a condition makes an iterator of the
 * items that meet it, in an activation of its own. */
#include "core/text/jinja/loop.h"
#include "core/text/jinja/attributes.h"

struct condition {
    struct iterator it;
    const struct node *node;
    struct activation *frame;
    struct cursor cursor;
    bool entered;
};

/* Sets the targets in the activation of the condition. */
static int assign_test(struct run *r, const struct node *target, const struct value *v)
{
    struct vector items = {0};
    int rc;

    if (target->kind == N_NAME) {
        r->frame->slots[target->known] = *v;
        return 0;
    }
    rc = vector_of(r, v, &items);
    if (rc < 0)
        return rc;
    if (items.n != (size_t)target->items.n)
        return run_fail(r, "there are %zu values for %d names", items.n, target->items.n);
    for (int i = 0; i < target->items.n && rc == 0; i++)
        rc = assign_test(r, target->items.at[i], &items.items[i]);
    return rc;
}

/* The targets as a value again. */
static int read_test(struct run *r, const struct node *target, struct value *ret)
{
    struct vector items = {0};
    struct value item;
    int rc = 0;

    if (target->kind == N_NAME) {
        *ret = r->frame->slots[target->known];
        return 0;
    }
    for (int i = 0; i < target->items.n && rc == 0; i++) {
        rc = read_test(r, target->items.at[i], &item);
        if (rc == 0)
            rc = vector_push(r, &items, &item);
    }
    *ret = vector_list(&items, V_TUPLE);
    return rc;
}

static int next_that_meets(struct run *r, struct condition *c, struct value *ret)
{
    struct value item, met;
    int rc;

    if (!c->entered)
        run_enter_scope(r, &c->node->test_loads);
    c->entered = true;
    while ((rc = cursor_next(r, &c->cursor, &item)) > 0) {
        rc = assign_test(r, c->node->a, &item);
        if (rc == 0)
            rc = run_eval(r, c->node->c, &met);
        if (rc < 0)
            return rc;
        if (!is_true(&met))
            continue;
        rc = read_test(r, c->node->a, ret);
        return rc < 0 ? rc : 1;
    }
    return rc;
}

static int condition_next(struct run *r, struct iterator *it, struct value *ret)
{
    struct condition *c = (struct condition *)it;
    struct activation *frame = r->frame;
    int rc;

    r->frame = c->frame;
    rc = next_that_meets(r, c, ret);
    r->frame = frame;
    return rc;
}

/* The items of v that meet the condition of a loop, if it has one. */
static int filter_items(struct run *r, const struct node *n, struct activation *outer,
                        struct value *v)
{
    struct condition *c;
    int rc;

    if (!n->c)
        return 0;
    c = run_alloc(r, 1, sizeof(*c));
    if (!c)
        return run_code(r);
    *c = (struct condition){.it = {condition_next}, .node = n};
    c->frame = run_activation(r, outer, n->n_test_slots);
    rc = c->frame ? cursor_open(r, v, &c->cursor) : run_code(r);
    *v = iterator_value(&c->it);
    return rc;
}

static int loop_next(struct run *r, struct loop *l, struct value *ret)
{
    int rc = 1;

    if (l->after.kind != V_MISSING)
        *ret = l->after;
    else
        rc = cursor_next(r, &l->cursor, ret);
    if (rc <= 0)
        return rc;
    l->after.kind = V_MISSING;
    l->index0++;
    l->before = l->current;
    l->current = *ret;
    return 1;
}

static int loop_new(struct run *r, const struct node *n, struct activation *outer,
                    const struct value *items, int64_t depth0, struct loop **ret)
{
    struct loop *l = run_alloc(r, 1, sizeof(*l));

    if (!l)
        return run_code(r);
    *l = (struct loop){.node = n,
                       .outer = outer,
                       .iterable = *items,
                       .index0 = -1,
                       .length = -1,
                       .depth0 = depth0};
    *ret = l;
    return cursor_open(r, items, &l->cursor);
}

/* The body for each item: an enum flow, or negative. *any: there was an item whose body ended. */
static int run_items(struct run *r, const struct node *n, struct loop *l, struct cursor *c,
                     bool *any)
{
    struct value item;
    int rc, flow;

    while ((rc = l ? loop_next(r, l, &item) : cursor_next(r, c, &item)) > 0) {
        rc = run_assign(r, n->a, &item);
        if (rc < 0)
            return rc;
        if (l && n->extended)
            r->frame->slots[n->slot] = (struct value){.kind = V_LOOP, .loop = l};
        run_enter_scope(r, &n->loads);
        flow = run_body(r, &n->body);
        if (flow < 0)
            return flow;
        if (flow == FLOW_BREAK)
            break;
        *any = *any || flow == FLOW_NEXT;
    }
    return rc < 0 ? rc : FLOW_NEXT;
}

static int run_loop(struct run *r, const struct node *n, struct activation *outer,
                    struct value *items, int64_t depth0)
{
    struct loop *l = NULL;
    struct cursor c;
    bool any = false;
    int rc = filter_items(r, n, outer, items);

    if (rc == 0)
        rc = n->extended ? loop_new(r, n, outer, items, depth0, &l) : cursor_open(r, items, &c);
    if (rc == 0)
        rc = run_items(r, n, l, &c, &any);
    if (rc < 0)
        return rc;
    run_leave_scope(r, &n->loads);
    if (any || n->other.n == 0)
        return FLOW_NEXT;
    run_enter_scope(r, &n->other_loads);
    rc = run_body(r, &n->other);
    if (rc == FLOW_NEXT)
        run_leave_scope(r, &n->other_loads);
    return rc;
}

/* A loop that may call itself is a function: it has an activation, and gives a text. */
static int run_recursive(struct run *r, const struct node *n, struct activation *outer,
                         struct value *items, int64_t depth0, struct value *ret)
{
    struct activation *frame = r->frame, *own = run_activation(r, outer, n->n_slots);
    size_t begin;
    int rc, end;

    if (!own)
        return run_code(r);
    begin = run_begin_capture(r);
    r->frame = own;
    rc = run_loop(r, n, outer, items, depth0);
    r->frame = frame;
    end = run_end_capture(r, begin, rc == 0 ? ret : NULL);
    return rc < 0 ? rc : end;
}

int run_for(struct run *r, const struct node *n)
{
    struct value items, text = {0};
    int rc = run_eval(r, n->b, &items);

    if (rc < 0)
        return rc;
    r->at = n;
    if (!n->recursive)
        return run_loop(r, n, r->frame, &items, 0);
    rc = run_recursive(r, n, r->frame, &items, 0, &text);
    return rc < 0 ? rc : run_write(r, text.text, text.len);
}

int loop_call(struct run *r, struct loop *l, const struct args *args, struct value *ret)
{
    struct value items;
    int rc = bind_positional(r, "loop()", args, 1, 1);

    if (rc < 0)
        return rc;
    if (!l->node->recursive)
        return run_fail(r, "only a loop with \"recursive\" can be called");
    rc = run_enter(r);
    items = args->items[0];
    if (rc == 0)
        rc = run_recursive(r, l->node, l->outer, &items, l->depth0 + 1, ret);
    r->depth--;
    return rc;
}

int loop_length(struct run *r, struct loop *l, int64_t *ret)
{
    struct vector rest = {0};
    struct value item;
    int rc = 0;

    if (l->length >= 0) {
        *ret = l->length;
        return 0;
    }
    if (has_length(&l->iterable)) {
        rc = value_length(r, &l->iterable, &l->length);
    } else { /* what is left becomes a list */
        while ((rc = cursor_next(r, &l->cursor, &item)) > 0)
            if ((rc = vector_push(r, &rest, &item)) < 0)
                return rc;
        item = vector_list(&rest, V_LIST);
        if (rc == 0)
            rc = cursor_open(r, &item, &l->cursor);
        l->length = (int64_t)rest.n + l->index0 + 1 + (l->after.kind != V_MISSING);
    }
    *ret = l->length;
    return rc;
}

static int peek(struct run *r, struct loop *l)
{
    int rc;

    if (l->after.kind != V_MISSING)
        return 0;
    rc = cursor_next(r, &l->cursor, &l->after);
    if (rc <= 0)
        l->after.kind = V_MISSING;
    return rc < 0 ? rc : 0;
}

static int neighbour(struct run *r, struct loop *l, enum attribute a, struct value *ret)
{
    int rc = a == A_PREVITEM ? 0 : peek(r, l);

    if (a == A_LAST)
        *ret = value_bool(l->after.kind == V_MISSING);
    else if (a == A_PREVITEM)
        *ret = l->index0 == 0 ? value_hint("there is no previous item") : l->before;
    else
        *ret = l->after.kind == V_MISSING ? value_hint("there is no next item") : l->after;
    return rc;
}

int loop_attribute(struct run *r, struct loop *l, int attribute, struct value *ret)
{
    int64_t length = 0;
    int rc = 0;

    switch ((enum attribute)attribute) {
    case A_INDEX:
        *ret = value_int(l->index0 + 1);
        return 0;
    case A_INDEX0:
        *ret = value_int(l->index0);
        return 0;
    case A_FIRST:
        *ret = value_bool(l->index0 == 0);
        return 0;
    case A_DEPTH:
        *ret = value_int(l->depth0 + 1);
        return 0;
    case A_DEPTH0:
        *ret = value_int(l->depth0);
        return 0;
    case A_LENGTH:
        rc = loop_length(r, l, &length);
        *ret = value_int(length);
        return rc;
    case A_REVINDEX:
    case A_REVINDEX0:
        rc = loop_length(r, l, &length);
        *ret = value_int(length - l->index0 - (attribute == A_REVINDEX0));
        return rc;
    default:
        return neighbour(r, l, (enum attribute)attribute, ret);
    }
}

int loop_cycle(struct run *r, struct loop *l, const struct args *args, struct value *ret)
{
    int rc = bind_positional(r, "loop.cycle()", args, 1, INT32_MAX);

    if (rc == 0)
        *ret = args->items[l->index0 % args->n];
    return rc;
}

int loop_changed(struct run *r, struct loop *l, const struct args *args, struct value *ret)
{
    struct value now = {.kind = V_TUPLE, .len = (uint32_t)args->n, .items = args->items};
    bool same = false;
    int rc = bind_positional(r, "loop.changed()", args, 0, INT32_MAX);

    if (rc == 0 && l->changed.kind != V_MISSING)
        rc = value_equal(r, &l->changed, &now, &same);
    if (!same)
        l->changed = now;
    *ret = value_bool(!same);
    return rc;
}
