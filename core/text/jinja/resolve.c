/* core/text/jinja/resolve.c - gives each name of a template its slot (scope.h): a scope is searched
 * as its node is entered, and then the names in it are looked up. */
#include "core/text/jinja/scope.h"
#include <stdio.h>
#include <stdlib.h>

static void resolve_body(struct resolver *r, struct scope *s, const struct nodes *body);
static void resolve_in(struct resolver *r, struct scope *s, struct node *n);

static void fail_at(struct resolver *r, const struct node *n, int code, const char *why)
{
    if (!r->failed)
        err_set(r->err, code, "%s, line %u, column %u: %s", r->t->name, n->line, n->column, why);
    r->failed = true;
}

static void resolve_name(struct resolver *r, struct scope *s, struct node *n)
{
    struct ref ref = scope_find(s, n->name_id);

    if (!ref.home) {
        fail_at(r, n, ERR_UNSUPPORTED, "a variable cannot be used in the filter of a set block");
        return;
    }
    n->up = scope_activations_up(r->home, ref.home);
    n->slot = ref.slot;
    n->parameter = !r->in_default && scope_is_parameter(s, n->name_id, ref);
}

static void resolve_list(struct resolver *r, struct scope *s, const struct nodes *list)
{
    for (int i = 0; i < list->n && !r->failed; i++)
        resolve_in(r, s, list->at[i]);
}

static void begin_activation(struct resolver *r, struct activation_shape *shape)
{
    *shape = (struct activation_shape){.outer = r->home};
    r->home = shape;
}

static void end_activation(struct resolver *r, struct activation_shape *shape, int *n_slots)
{
    *n_slots = shape->n;
    free(shape->slots);
    r->home = shape->outer;
}

enum searched { SEARCH_CALLER, SEARCH_KWARGS, SEARCH_VARARGS, SEARCH_LOOP, SEARCHED };

struct search { /* for special names that a body reads before it sets them */
    int ids[SEARCHED];
    bool found[SEARCHED], over[SEARCHED];
};

static void search_list(struct search *s, const struct nodes *list);
static void search_node(struct search *s, const struct node *n, bool target);

static void note_name(struct search *s, int name_id, bool target)
{
    for (int i = 0; i < SEARCHED; i++) {
        if (name_id != s->ids[i])
            continue;
        s->over[i] = s->over[i] || target;
        s->found[i] = s->found[i] || !s->over[i];
    }
}

static void search_params(struct search *s, const struct parameters *params)
{
    for (int i = 0; i < params->n; i++)
        note_name(s, params->name_ids[i], true);
    for (int i = 0; i < params->n; i++)
        search_node(s, params->defaults[i], false);
}

static void search_items(struct search *s, const struct node *n, bool target)
{
    if (n->kind == N_CONST || n->kind == N_TEXT)
        return;
    for (int i = 0; i < n->items.n; i++)
        search_node(s, n->items.at[i], target || (n->kind == N_WITH && i % 2 == 0));
    if (n->kind == N_CALL || n->kind == N_FILTER || n->kind == N_TEST) {
        search_list(s, &n->args.named);
        search_node(s, n->args.star, false);
        search_node(s, n->args.star_star, false);
    }
}

static void search_node(struct search *s, const struct node *n, bool target)
{
    if (!n)
        return;
    if (n->kind == N_NAME)
        note_name(s, n->name_id, target);
    search_node(s, n->a, n->kind == N_SET || n->kind == N_SET_BLOCK || n->kind == N_FOR);
    search_node(s, n->b, false);
    search_node(s, n->c, false);
    search_node(s, n->d, false);
    search_items(s, n, target && n->kind == N_TUPLE);
    if (n->params)
        search_params(s, n->params);
    search_list(s, &n->body);
    search_list(s, &n->elifs);
    search_list(s, &n->other);
}

static void search_list(struct search *s, const struct nodes *list)
{
    for (int i = 0; i < list->n; i++)
        search_node(s, list->at[i], false);
}

static int id_of(const struct jinja *t, const char *name)
{
    for (int i = 0; i < t->n_names; i++)
        if (str_equal(t->names[i], (struct str){name, strlen(name)}))
            return i;
    return -1;
}

static struct search search_body(const struct jinja *t, const struct nodes *body)
{
    struct search s = {
        {id_of(t, "caller"), id_of(t, "kwargs"), id_of(t, "varargs"), id_of(t, "loop")}, {0}, {0}};

    for (int i = 0; i < SEARCHED; i++)
        if (s.ids[i] < 0)
            s.ids[i] = -2; /* of no name */
    search_list(&s, body);
    return s;
}

static void visit_macro(struct resolver *r, struct scope *s, const struct node *n)
{
    for (int i = 0; i < n->params->n; i++)
        scope_parameter(r, s, n->params->name_ids[i]);
    for (int i = 0; i < n->params->n; i++)
        scope_visit(r, s, n->params->defaults[i]);
    scope_visit_list(r, s, &n->body);
}

/* A macro, call block or generation block: its body has an activation. */
static void resolve_macro(struct resolver *r, struct scope *outer, struct node *n)
{
    struct activation_shape shape;
    struct scope s;
    struct search found = search_body(r->t, &n->body);

    begin_activation(r, &shape);
    s = scope_new(r, outer);
    if (!r->failed)
        visit_macro(r, &s, n);
    if (!r->failed) {
        int *slots[] = {&n->params->caller, &n->params->kwargs, &n->params->varargs};
        for (int i = 0; i < 3; i++)
            if (found.found[i])
                *slots[i] = scope_parameter(r, &s, found.ids[i]);
    }
    if (!r->failed)
        visit_macro(r, &s, n);
    scope_keep(r, &s, &n->loads);
    r->in_default = true;
    for (int i = 0; i < n->params->n && !r->failed; i++)
        if (n->params->defaults[i])
            resolve_in(r, &s, n->params->defaults[i]);
    r->in_default = false;
    resolve_body(r, &s, &n->body);
    scope_free(&s);
    end_activation(r, &shape, &n->n_slots);
}

static void find_test_slots(const struct scope *s, struct node *target)
{
    if (target->kind == N_NAME)
        target->known = scope_find(s, target->name_id).slot;
    for (int i = 0; target->kind == N_TUPLE && i < target->items.n; i++)
        find_test_slots(s, target->items.at[i]);
}

/* The condition of a loop has an activation, in which the targets are set. */
static void resolve_condition(struct resolver *r, struct scope *outer, struct node *n)
{
    struct activation_shape shape;
    struct scope s;

    begin_activation(r, &shape);
    s = scope_new(r, outer);
    if (!r->failed) {
        scope_visit_target(r, &s, n->a, true);
        scope_visit(r, &s, n->c);
    }
    scope_keep(r, &s, &n->test_loads);
    if (!r->failed) {
        find_test_slots(&s, n->a);
        resolve_in(r, &s, n->c);
    }
    scope_free(&s);
    end_activation(r, &shape, &n->n_test_slots);
}

static void resolve_for_body(struct resolver *r, struct scope *outer, struct node *n, bool loop)
{
    struct scope s = scope_new(r, outer);

    if (!r->failed && loop) {
        n->extended = true;
        n->slot = scope_parameter(r, &s, id_of(r->t, "loop"));
    }
    if (!r->failed) {
        scope_visit_target(r, &s, n->a, true);
        scope_visit_list(r, &s, &n->body);
    }
    scope_keep(r, &s, &n->loads);
    if (!r->failed)
        resolve_in(r, &s, n->a);
    r->home->loops++;
    if (r->home->loops > 20)
        fail_at(r, n, ERR_INVALID, "more than 20 loops are nested");
    resolve_body(r, &s, &n->body);
    r->home->loops--;
    scope_free(&s);
    if (n->other.n == 0 || r->failed)
        return;
    s = scope_new(r, outer);
    if (!r->failed)
        scope_visit_list(r, &s, &n->other);
    scope_keep(r, &s, &n->other_loads);
    resolve_body(r, &s, &n->other);
    scope_free(&s);
}

static void resolve_for(struct resolver *r, struct scope *s, struct node *n)
{
    struct search found = search_body(r->t, &n->body);
    struct activation_shape shape;
    bool soft = r->soft;

    resolve_in(r, s, n->b);
    r->soft = false;
    if (n->c && !r->failed)
        resolve_condition(r, s, n);
    if (n->recursive && !r->failed) {
        begin_activation(r, &shape);
        resolve_for_body(r, s, n, id_of(r->t, "loop") >= 0);
        end_activation(r, &shape, &n->n_slots);
    } else if (!r->failed) {
        resolve_for_body(r, s, n, found.found[SEARCH_LOOP]);
    }
    r->soft = soft;
}

/* A scope within the activation, such as that of with. */
static void resolve_inner(struct resolver *r, struct scope *outer, struct node *n)
{
    struct scope s = scope_new(r, outer);
    bool soft = r->soft;

    r->soft = false;
    if (!r->failed) {
        for (int i = 0; n->kind == N_WITH && i < n->items.n; i += 2)
            scope_visit_target(r, &s, n->items.at[i], true);
        scope_visit_list(r, &s, &n->body);
        if (n->kind == N_FILTER_BLOCK)
            scope_visit(r, &s, n->a);
    }
    scope_keep(r, &s, &n->loads);
    for (int i = 0; n->kind == N_WITH && i < n->items.n && !r->failed; i++)
        resolve_in(r, i % 2 == 0 ? &s : outer, n->items.at[i]);
    resolve_body(r, &s, &n->body);
    if (n->kind == N_FILTER_BLOCK && !r->failed)
        resolve_in(r, &s, n->a);
    if (n->kind == N_SET_BLOCK && n->b && !r->failed)
        resolve_in(r, &s, n->b);
    scope_free(&s);
    r->soft = soft;
}

static void resolve_if(struct resolver *r, struct scope *s, struct node *n)
{
    bool soft = r->soft;

    r->soft = true;
    resolve_in(r, s, n->a);
    resolve_body(r, s, &n->body);
    resolve_list(r, s, &n->elifs);
    resolve_body(r, s, &n->other);
    r->soft = soft;
}

static void resolve_call(struct resolver *r, struct scope *s, struct node *n)
{
    char why[200];

    n->soft = r->soft;
    if (n->kind != N_CALL && n->known == 0 && !n->soft) {
        snprintf(why, sizeof(why), "the %s \"%.*s\" is not supported",
                 n->kind == N_FILTER ? "filter" : "test",
                 (int)(n->name.len < 100 ? n->name.len : 100), n->name.at);
        fail_at(r, n, ERR_UNSUPPORTED, why);
    }
    if (n->a)
        resolve_in(r, s, n->a);
    resolve_list(r, s, &n->args.items);
    resolve_list(r, s, &n->args.named);
    if (n->args.star)
        resolve_in(r, s, n->args.star);
    if (n->args.star_star)
        resolve_in(r, s, n->args.star_star);
}

static void resolve_parts(struct resolver *r, struct scope *s, struct node *n)
{
    struct node *parts[] = {n->a, n->b, n->c, n->d};
    bool soft = r->soft;

    r->soft = soft || n->kind == N_COND;
    for (int i = 0; i < 4 && !r->failed; i++)
        if (parts[i])
            resolve_in(r, s, parts[i]);
    if (n->kind != N_CONST && n->kind != N_TEXT)
        resolve_list(r, s, &n->items);
    r->soft = soft;
}

static void resolve_in(struct resolver *r, struct scope *s, struct node *n)
{
    bool soft = r->soft;

    if (r->failed)
        return;
    switch ((enum node_kind)n->kind) {
    case N_NAME:
    case N_NSREF:
        resolve_name(r, s, n);
        break;
    case N_CALL:
    case N_FILTER:
    case N_TEST:
        resolve_call(r, s, n);
        break;
    case N_IF:
        resolve_if(r, s, n);
        break;
    case N_FOR:
        resolve_for(r, s, n);
        break;
    case N_SET_BLOCK:
        resolve_in(r, s, n->a);
        resolve_inner(r, s, n);
        break;
    case N_FILTER_BLOCK:
    case N_WITH:
        resolve_inner(r, s, n);
        break;
    case N_MACRO:
        n->slot = scope_find(s, n->name_id).slot;
        r->soft = false;
        resolve_macro(r, s, n);
        break;
    case N_CALL_BLOCK:
        resolve_in(r, s, n->a);
        r->soft = false;
        resolve_macro(r, s, n);
        break;
    case N_GENERATION:
        r->soft = false;
        resolve_macro(r, s, n);
        break;
    case N_BREAK:
    case N_CONTINUE:
        if (r->home->loops == 0)
            fail_at(r, n, ERR_INVALID, "break and continue must be in a loop");
        break;
    default:
        resolve_parts(r, s, n);
    }
    r->soft = soft;
}

static void resolve_body(struct resolver *r, struct scope *s, const struct nodes *body)
{
    resolve_list(r, s, body);
}

int jinja_resolve(struct jinja *t, struct err *err)
{
    struct resolver r = {.t = t, .err = err};
    struct activation_shape shape;
    struct scope s;

    begin_activation(&r, &shape);
    s = scope_new(&r, NULL);
    if (!r.failed)
        scope_visit_list(&r, &s, &t->body);
    scope_keep(&r, &s, &t->loads);
    resolve_body(&r, &s, &t->body);
    scope_free(&s);
    end_activation(&r, &shape, &t->n_slots);
    return r.failed ? err->code : 0;
}
