/* core/text/jinja/scope.c - see scope.h: what a scope reads and sets. A branch of an if is visited
 * in a copy of the scope, and what it did is merged. */
#include "core/text/jinja/scope.h"
#include <stdlib.h>

void resolver_no_memory(struct resolver *r, size_t bytes)
{
    if (!r->failed)
        err_nomem(r->err, bytes);
    r->failed = true;
}

void scope_free(struct scope *s)
{
    free(s->refs);
    free(s->stores);
    free(s->loads);
    free(s->has_load);
    *s = (struct scope){0};
}

struct scope scope_new(struct resolver *r, struct scope *parent)
{
    struct scope s = {.parent = parent, .home = r->home, .level = parent ? parent->level + 1 : 0};
    size_t n = (size_t)r->t->n_names + 1;

    s.refs = calloc(n, sizeof(*s.refs));
    s.stores = calloc(n, sizeof(*s.stores));
    s.loads = calloc(n, sizeof(*s.loads));
    s.has_load = calloc(n, sizeof(*s.has_load));
    if (!s.refs || !s.stores || !s.loads || !s.has_load)
        resolver_no_memory(r, n * sizeof(*s.loads));
    return s;
}

/* A copy for a branch. */
static struct scope scope_copy(struct resolver *r, const struct scope *from)
{
    struct scope s = scope_new(r, from->parent);
    size_t n = (size_t)r->t->n_names;

    s.level = from->level;
    s.home = from->home;
    if (r->failed || n == 0)
        return s;
    memcpy(s.refs, from->refs, n * sizeof(*s.refs));
    memcpy(s.stores, from->stores, n * sizeof(*s.stores));
    memcpy(s.loads, from->loads, n * sizeof(*s.loads));
    memcpy(s.has_load, from->has_load, n * sizeof(*s.has_load));
    return s;
}

static int slot_of(struct resolver *r, struct activation_shape *home, int level, int name_id)
{
    for (int i = 0; i < home->n; i++)
        if (home->slots[i].level == level && home->slots[i].name_id == name_id)
            return i;
    if (home->n == home->cap) {
        int cap = home->cap ? 2 * home->cap : 16;
        void *more = realloc(home->slots, (size_t)cap * sizeof(*home->slots));
        if (!more) {
            resolver_no_memory(r, (size_t)cap * sizeof(*home->slots));
            return 0;
        }
        home->slots = more;
        home->cap = cap;
    }
    home->slots[home->n].level = level;
    home->slots[home->n].name_id = name_id;
    return home->n++;
}

struct ref scope_find(const struct scope *s, int name_id)
{
    for (; s; s = s->parent)
        if (s->refs[name_id].home)
            return s->refs[name_id];
    return (struct ref){0};
}

int scope_activations_up(const struct activation_shape *from, const struct activation_shape *to)
{
    int up = 0;

    for (; from != to; from = from->outer)
        up++;
    return up;
}

static void set_load(struct scope *s, int name_id, struct load load)
{
    s->loads[name_id] = load;
    s->has_load[name_id] = true;
}

static int define(struct resolver *r, struct scope *s, int name_id, struct load load)
{
    load.slot = slot_of(r, s->home, s->level, name_id);
    s->refs[name_id] = (struct ref){s->home, load.slot};
    set_load(s, name_id, load);
    return load.slot;
}

int scope_parameter(struct resolver *r, struct scope *s, int name_id)
{
    s->stores[name_id] = true;
    return define(r, s, name_id, (struct load){.how = LOAD_PARAMETER});
}

static struct load alias_of(const struct scope *s, struct ref outer, int slot)
{
    return (struct load){.how = LOAD_ALIAS,
                         .slot = slot,
                         .up = scope_activations_up(s->home, outer.home),
                         .from = outer.slot};
}

static void store(struct resolver *r, struct scope *s, int name_id)
{
    struct ref outer;

    s->stores[name_id] = true;
    if (s->refs[name_id].home)
        return;
    outer = scope_find(s->parent, name_id);
    define(r, s, name_id,
           outer.home ? alias_of(s, outer, 0) : (struct load){.how = LOAD_UNDEFINED});
}

static void read_name(struct resolver *r, struct scope *s, int name_id)
{
    if (!scope_find(s, name_id).home)
        define(r, s, name_id, (struct load){.how = LOAD_CONTEXT, .from = name_id});
}

/* What the branches of an if did to a scope. */
static void merge(const struct resolver *r, struct scope *s, const struct scope branches[3])
{
    for (int b = 0; b < 3; b++)
        for (int i = 0; i < r->t->n_names; i++) {
            if (branches[b].refs[i].home)
                s->refs[i] = branches[b].refs[i];
            if (branches[b].has_load[i])
                set_load(s, i, branches[b].loads[i]);
            s->stores[i] = s->stores[i] || branches[b].stores[i];
        }
}

void scope_visit_list(struct resolver *r, struct scope *s, const struct nodes *list)
{
    for (int i = 0; i < list->n && !r->failed; i++)
        scope_visit(r, s, list->at[i]);
}

static void visit_if(struct resolver *r, struct scope *s, const struct node *n)
{
    struct scope branches[3] = {{0}};
    const struct nodes *bodies[3] = {&n->body, &n->elifs, &n->other};
    bool *before = malloc((size_t)r->t->n_names + 1);

    scope_visit(r, s, n->a);
    if (!before)
        resolver_no_memory(r, (size_t)r->t->n_names);
    else
        memcpy(before, s->stores, (size_t)r->t->n_names);
    for (int b = 0; b < 3 && !r->failed; b++) {
        branches[b] = scope_copy(r, s);
        if (!r->failed)
            scope_visit_list(r, &branches[b], bodies[b]);
    }
    if (!r->failed)
        merge(r, s, branches);
    for (int i = 0; i < r->t->n_names && !r->failed; i++) {
        struct ref outer;
        if (!s->stores[i] || before[i])
            continue;
        outer = scope_find(s->parent, i);
        set_load(s, i,
                 outer.home
                     ? alias_of(s, outer, s->refs[i].slot)
                     : (struct load){.how = LOAD_CONTEXT, .slot = s->refs[i].slot, .from = i});
    }
    for (int b = 0; b < 3; b++)
        scope_free(&branches[b]);
    free(before);
}

/* Targets: names become variables of the scope. */
void scope_visit_target(struct resolver *r, struct scope *s, const struct node *n, bool parameter)
{
    if (n->kind == N_TUPLE)
        for (int i = 0; i < n->items.n; i++)
            scope_visit_target(r, s, n->items.at[i], parameter);
    else if (n->kind == N_NSREF)
        read_name(r, s, n->name_id);
    else if (parameter)
        scope_parameter(r, s, n->name_id);
    else
        store(r, s, n->name_id);
}

static void visit_args(struct resolver *r, struct scope *s, const struct node *n)
{
    scope_visit(r, s, n->a);
    scope_visit_list(r, s, &n->args.items);
    scope_visit_list(r, s, &n->args.named);
    scope_visit(r, s, n->args.star);
    scope_visit(r, s, n->args.star_star);
}

/* Notes what a node of the scope reads and sets; bodies of scopes within are not visited. */
void scope_visit(struct resolver *r, struct scope *s, const struct node *n)
{
    if (!n || r->failed)
        return;
    switch ((enum node_kind)n->kind) {
    case N_NAME:
        read_name(r, s, n->name_id);
        break;
    case N_CALL:
    case N_FILTER:
    case N_TEST:
        visit_args(r, s, n);
        break;
    case N_IF:
        visit_if(r, s, n);
        break;
    case N_FOR:
        scope_visit(r, s, n->b);
        break;
    case N_SET:
        scope_visit(r, s, n->b);
        scope_visit_target(r, s, n->a, false);
        break;
    case N_SET_BLOCK:
        scope_visit_target(r, s, n->a, false);
        break;
    case N_MACRO:
        store(r, s, n->name_id);
        break;
    case N_WITH:
        for (int i = 1; i < n->items.n; i += 2)
            scope_visit(r, s, n->items.at[i]);
        break;
    case N_TUPLE:
    case N_LIST:
    case N_DICT:
    case N_CONCAT:
    case N_OUTPUT:
        scope_visit_list(r, s, &n->items);
        break;
    case N_CONST:
    case N_TEXT:
    case N_NSREF:
    case N_GENERATION:
    case N_BREAK:
    case N_CONTINUE:
        break;
    case N_COMPARE:
        scope_visit(r, s, n->a);
        scope_visit_list(r, s, &n->items);
        break;
    case N_CALL_BLOCK:
    case N_FILTER_BLOCK:
        scope_visit(r, s, n->a);
        break;
    default:
        scope_visit(r, s, n->a);
        scope_visit(r, s, n->b);
        scope_visit(r, s, n->c);
        scope_visit(r, s, n->d);
    }
}

/* Copies the loads of a finished scope into the template. */
void scope_keep(struct resolver *r, const struct scope *s, struct loads *ret)
{
    int n = 0;

    for (int i = 0; i < r->t->n_names && !r->failed; i++)
        n += s->has_load[i];
    if (r->failed || n == 0)
        return;
    ret->at = pool_alloc(&r->t->pool, (size_t)n * sizeof(*ret->at));
    if (!ret->at) {
        resolver_no_memory(r, (size_t)n * sizeof(*ret->at));
        return;
    }
    for (int i = 0; i < r->t->n_names; i++) {
        if (!s->has_load[i])
            continue;
        ret->at[ret->n++] = s->loads[i];
        if (s->loads[i].how == LOAD_CONTEXT)
            r->t->reads[s->loads[i].from] = true;
    }
}

bool scope_is_parameter(const struct scope *s, int name_id, struct ref ref)
{
    for (; s; s = s->parent)
        if (s->has_load[name_id] && s->home == ref.home && s->loads[name_id].slot == ref.slot)
            return s->loads[name_id].how == LOAD_PARAMETER;
    return false;
}
