/* core/text/jinja/scope.h - which variable a name means. Within this folder only.
 *
 * Jinja compiles a template to Python, and its scopes are what results from that. Each scope (the
 * template, a loop's body, a macro, ...) is first searched for the names that it reads and sets,
 * without the scopes within it. A name that it sets is a variable of its own, which begins with the
 * value that the name has outside: an alias, or what the caller passed where the name is set in a
 * branch only. A name that it only reads is the variable of the nearest scope around, or what the
 * caller passed. Scopes of one level in one activation share the slots of equal names, as their
 * variables would be one in Python.
 */
#pragma once
#include "core/text/jinja/node.h"

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
    bool failed;     /* err says why; then nothing more is done */
    bool in_default; /* of a parameter: those behind it may have no value */
    bool soft;       /* within an if */
};

void resolver_no_memory(struct resolver *r, size_t bytes);

/* After a failure a scope must be freed, too. */
struct scope scope_new(struct resolver *r, struct scope *parent);
void scope_free(struct scope *s);
/* Notes what a node of the scope reads and sets; bodies of scopes within are not visited. */
void scope_visit(struct resolver *r, struct scope *s, const struct node *n);
void scope_visit_list(struct resolver *r, struct scope *s, const struct nodes *list);
/* Targets: names become variables of the scope. */
void scope_visit_target(struct resolver *r, struct scope *s, const struct node *n, bool parameter);
int scope_parameter(struct resolver *r, struct scope *s, int name_id); /* its slot */
/* What the name means here: the nearest scope around that knows it. */
struct ref scope_find(const struct scope *s, int name_id);
bool scope_is_parameter(const struct scope *s, int name_id, struct ref ref);
int scope_activations_up(const struct activation_shape *from, const struct activation_shape *to);
/* Copies how the variables of a finished scope begin into the template. */
void scope_keep(struct resolver *r, const struct scope *s, struct loads *ret);
