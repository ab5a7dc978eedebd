/* core/text/jinja/scope.c - which variable a name means.
 *
 * Jinja compiles a template to Python, and its scopes are what results from that. Each scope (the
 * template, a loop's body, a macro, ...) is first searched for the names that it reads and sets,
 * without the scopes within it. A name that it sets is a variable of its own, which begins with the
 * value that the name has outside: an alias, or what the caller passed where the name is set in a
 * branch only. A name that it only reads is the variable of the nearest scope around, or what the
 * caller passed. Scopes of one level in one activation share the slots of equal names, as their
 * variables would be one in Python.
 */
#include "core/text/jinja/node.h"
#include <stdio.h>
#include <stdlib.h>

struct activation_shape { /* of a function in Python */
    struct activation_shape *outer;
    struct {
        int level, name_id;
    } * slots;
    int n, cap, loops; /* loops around, within this activation */
};

struct ref {
    struct activation_shape *home; /* NULL: the scope does not know the name */
    int slot;
};

struct scope {
    struct scope *parent;
    struct activation_shape *home;
    int level;
    struct ref *refs; /* by name, as those below */
    bool *stores;
    struct load *loads; /* of names that are variables of this scope */
    bool *has_load;
};

struct resolver {
    struct jinja *t;
    struct activation_shape *home;
    struct err *err;
    bool failed;     /* err says why */
    bool in_default; /* of a parameter: those behind it may have no value */
    bool soft;       /* within an if */
};

static void visit(struct resolver *r, struct scope *s, const struct node *n);
static void resolve_body(struct resolver *r, struct scope *s, const struct nodes *body);
static void resolve_in(struct resolver *r, struct scope *s, struct node *n);

static void no_memory(struct resolver *r, size_t bytes)
{
    if (!r->failed)
        err_nomem(r->err, bytes);
    r->failed = true;
}

static void fail_at(struct resolver *r, const struct node *n, int code, const char *why)
{
    if (!r->failed)
        err_set(r->err, code, "%s, line %u, column %u: %s", r->t->name, n->line, n->column, why);
    r->failed = true;
}

static void scope_free(struct scope *s)
{
    free(s->refs);
    free(s->stores);
    free(s->loads);
    free(s->has_load);
    *s = (struct scope){0};
}

static struct scope scope_new(struct resolver *r, struct scope *parent)
{
    struct scope s = {.parent = parent, .home = r->home, .level = parent ? parent->level + 1 : 0};
    size_t n = (size_t)r->t->n_names + 1;

    s.refs = calloc(n, sizeof(*s.refs));
    s.stores = calloc(n, sizeof(*s.stores));
    s.loads = calloc(n, sizeof(*s.loads));
    s.has_load = calloc(n, sizeof(*s.has_load));
    if (!s.refs || !s.stores || !s.loads || !s.has_load)
        no_memory(r, n * sizeof(*s.loads));
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
            no_memory(r, (size_t)cap * sizeof(*home->slots));
            return 0;
        }
        home->slots = more;
        home->cap = cap;
    }
    home->slots[home->n].level = level;
    home->slots[home->n].name_id = name_id;
    return home->n++;
}

static struct ref find_ref(const struct scope *s, int name_id)
{
    for (; s; s = s->parent)
        if (s->refs[name_id].home)
            return s->refs[name_id];
    return (struct ref){0};
}

static int activations_up(const struct activation_shape *from, const struct activation_shape *to)
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

static int declare_parameter(struct resolver *r, struct scope *s, int name_id)
{
    s->stores[name_id] = true;
    return define(r, s, name_id, (struct load){.how = LOAD_PARAMETER});
}

static struct load alias_of(const struct scope *s, struct ref outer, int slot)
{
    return (struct load){.how = LOAD_ALIAS,
                         .slot = slot,
                         .up = activations_up(s->home, outer.home),
                         .from = outer.slot};
}

static void store(struct resolver *r, struct scope *s, int name_id)
{
    struct ref outer;

    s->stores[name_id] = true;
    if (s->refs[name_id].home)
        return;
    outer = find_ref(s->parent, name_id);
    define(r, s, name_id,
           outer.home ? alias_of(s, outer, 0) : (struct load){.how = LOAD_UNDEFINED});
}

static void read_name(struct resolver *r, struct scope *s, int name_id)
{
    if (!find_ref(s, name_id).home)
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

static void visit_list(struct resolver *r, struct scope *s, const struct nodes *list)
{
    for (int i = 0; i < list->n && !r->failed; i++)
        visit(r, s, list->at[i]);
}

static void visit_if(struct resolver *r, struct scope *s, const struct node *n)
{
    struct scope branches[3] = {{0}};
    const struct nodes *bodies[3] = {&n->body, &n->elifs, &n->other};
    bool *before = malloc((size_t)r->t->n_names + 1);

    visit(r, s, n->a);
    if (!before)
        no_memory(r, (size_t)r->t->n_names);
    else
        memcpy(before, s->stores, (size_t)r->t->n_names);
    for (int b = 0; b < 3 && !r->failed; b++) {
        branches[b] = scope_copy(r, s);
        if (!r->failed)
            visit_list(r, &branches[b], bodies[b]);
    }
    if (!r->failed)
        merge(r, s, branches);
    for (int i = 0; i < r->t->n_names && !r->failed; i++) {
        struct ref outer;
        if (!s->stores[i] || before[i])
            continue;
        outer = find_ref(s->parent, i);
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
static void visit_target(struct resolver *r, struct scope *s, const struct node *n, bool parameter)
{
    if (n->kind == N_TUPLE)
        for (int i = 0; i < n->items.n; i++)
            visit_target(r, s, n->items.at[i], parameter);
    else if (n->kind == N_NSREF)
        read_name(r, s, n->name_id);
    else if (parameter)
        declare_parameter(r, s, n->name_id);
    else
        store(r, s, n->name_id);
}

static void visit_args(struct resolver *r, struct scope *s, const struct node *n)
{
    visit(r, s, n->a);
    visit_list(r, s, &n->args.items);
    visit_list(r, s, &n->args.named);
    visit(r, s, n->args.star);
    visit(r, s, n->args.star_star);
}

/* Notes what a node of the scope reads and sets; bodies of scopes within are not visited. */
static void visit(struct resolver *r, struct scope *s, const struct node *n)
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
        visit(r, s, n->b);
        break;
    case N_SET:
        visit(r, s, n->b);
        visit_target(r, s, n->a, false);
        break;
    case N_SET_BLOCK:
        visit_target(r, s, n->a, false);
        break;
    case N_MACRO:
        store(r, s, n->name_id);
        break;
    case N_WITH:
        for (int i = 1; i < n->items.n; i += 2)
            visit(r, s, n->items.at[i]);
        break;
    case N_TUPLE:
    case N_LIST:
    case N_DICT:
    case N_CONCAT:
    case N_OUTPUT:
        visit_list(r, s, &n->items);
        break;
    case N_CONST:
    case N_TEXT:
    case N_NSREF:
    case N_GENERATION:
    case N_BREAK:
    case N_CONTINUE:
        break;
    case N_COMPARE:
        visit(r, s, n->a);
        visit_list(r, s, &n->items);
        break;
    case N_CALL_BLOCK:
    case N_FILTER_BLOCK:
        visit(r, s, n->a);
        break;
    default:
        visit(r, s, n->a);
        visit(r, s, n->b);
        visit(r, s, n->c);
        visit(r, s, n->d);
    }
}

/* Copies the loads of a finished scope into the template. */
static void keep_loads(struct resolver *r, const struct scope *s, struct loads *ret)
{
    int n = 0;

    for (int i = 0; i < r->t->n_names && !r->failed; i++)
        n += s->has_load[i];
    if (r->failed || n == 0)
        return;
    ret->at = pool_alloc(&r->t->pool, (size_t)n * sizeof(*ret->at));
    if (!ret->at) {
        no_memory(r, (size_t)n * sizeof(*ret->at));
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

static bool is_parameter(const struct scope *s, int name_id, struct ref ref)
{
    for (; s; s = s->parent)
        if (s->has_load[name_id] && s->home == ref.home && s->loads[name_id].slot == ref.slot)
            return s->loads[name_id].how == LOAD_PARAMETER;
    return false;
}

static void resolve_name(struct resolver *r, struct scope *s, struct node *n)
{
    struct ref ref = find_ref(s, n->name_id);

    if (!ref.home) {
        fail_at(r, n, ERR_UNSUPPORTED, "a variable cannot be used in the filter of a set block");
        return;
    }
    n->up = activations_up(r->home, ref.home);
    n->slot = ref.slot;
    n->parameter = !r->in_default && is_parameter(s, n->name_id, ref);
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
        declare_parameter(r, s, n->params->name_ids[i]);
    for (int i = 0; i < n->params->n; i++)
        visit(r, s, n->params->defaults[i]);
    visit_list(r, s, &n->body);
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
                *slots[i] = declare_parameter(r, &s, found.ids[i]);
    }
    if (!r->failed)
        visit_macro(r, &s, n);
    keep_loads(r, &s, &n->loads);
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
        target->known = find_ref(s, target->name_id).slot;
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
        visit_target(r, &s, n->a, true);
        visit(r, &s, n->c);
    }
    keep_loads(r, &s, &n->test_loads);
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
        n->slot = declare_parameter(r, &s, id_of(r->t, "loop"));
    }
    if (!r->failed) {
        visit_target(r, &s, n->a, true);
        visit_list(r, &s, &n->body);
    }
    keep_loads(r, &s, &n->loads);
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
        visit_list(r, &s, &n->other);
    keep_loads(r, &s, &n->other_loads);
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
            visit_target(r, &s, n->items.at[i], true);
        visit_list(r, &s, &n->body);
        if (n->kind == N_FILTER_BLOCK)
            visit(r, &s, n->a);
    }
    keep_loads(r, &s, &n->loads);
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
        n->slot = find_ref(s, n->name_id).slot;
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
        visit_list(&r, &s, &t->body);
    keep_loads(&r, &s, &t->loads);
    resolve_body(&r, &s, &t->body);
    scope_free(&s);
    end_activation(&r, &shape, &t->n_slots);
    return r.failed ? err->code : 0;
}
