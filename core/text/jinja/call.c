/* core/text/jinja/call.c - calls: arguments, macros, and what the environment of transformers
 * offers to templates: range, dict, namespace, joiner, cycler, raise_exception, strftime_now. */
#include "core/text/jinja/functions.h"
#include "core/text/jinja/loop.h"
#include "core/text/jinja/text.h"
#include "core/utf8.h"

static int add_named(struct run *r, struct args *args, int cap, struct str name,
                     const struct value *v)
{
    for (int i = 0; i < args->n_named; i++)
        if (str_equal(args->names[i], name))
            return run_fail(r, "the argument \"%.*s\" is given twice",
                            (int)(name.len < 100 ? name.len : 100), name.at);
    if (args->n_named == cap)
        return run_fail(r, "there are too many arguments");
    args->names[args->n_named] = name;
    args->named[args->n_named++] = *v;
    return 0;
}

/* The pairs of **dict. */
static int add_dict(struct run *r, struct args *args, int cap, const struct value *dict)
{
    struct value key, item;
    void *at = NULL;
    int rc = 0;

    while (rc == 0 && (rc = dict_next(r, dict, &at, &key, &item)) > 0)
        rc = key.kind == V_STRING ? add_named(r, args, cap, str_of(&key), &item)
                                  : run_fail(r, "the names of arguments must be texts");
    return rc;
}

static int named_args(struct run *r, const struct call_args *from, struct args *ret)
{
    struct value dict = {0}, v;
    int cap = from->named.n, rc = 0;

    ret->names = NULL;
    ret->n_named = 0;
    if (from->star_star) {
        rc = run_eval(r, from->star_star, &dict);
        if (rc == 0 && dict.kind != V_DICT)
            rc = run_fail(r, "what follows \"**\" must be a dict, not a %s", kind_name(&dict));
        if (rc < 0)
            return rc;
        if (dict_count(&dict) > 10000)
            return run_unsupported(r, "more than 10000 arguments are not supported");
        cap += (int)dict_count(&dict);
    }
    if (cap == 0)
        return 0;
    ret->names = run_alloc(r, (size_t)cap, sizeof(*ret->names));
    ret->named = run_alloc(r, (size_t)cap, sizeof(*ret->named));
    if (!ret->names || !ret->named)
        return run_code(r);
    for (int i = 0; i < from->named.n && rc == 0; i++) {
        rc = run_eval(r, from->named.at[i], &v);
        if (rc == 0)
            rc = add_named(r, ret, cap, from->names[i], &v);
    }
    return rc == 0 && from->star_star ? add_dict(r, ret, cap, &dict) : rc;
}

int run_args(struct run *r, const struct call_args *from, const struct value *first,
             struct args *ret)
{
    struct vector star = {0};
    struct value v;
    int n = 0, rc = 0;

    if (from->star) {
        rc = run_eval(r, from->star, &v);
        if (rc == 0)
            rc = vector_of(r, &v, &star);
        if (rc == 0 && star.n > 100000)
            rc = run_unsupported(r, "more than 100000 arguments are not supported");
        if (rc < 0)
            return rc;
    }
    *ret = (struct args){0};
    ret->items = run_alloc(r, 1 + (size_t)from->items.n + star.n, sizeof(*ret->items));
    if (!ret->items)
        return run_code(r);
    if (first)
        ret->items[n++] = *first;
    for (int i = 0; i < from->items.n && rc == 0; i++)
        rc = run_eval(r, from->items.at[i], &ret->items[n++]);
    for (size_t i = 0; i < star.n; i++)
        ret->items[n++] = star.items[i];
    ret->n = n;
    if (rc == 0 && (from->named.n > 0 || from->star_star))
        rc = named_args(r, from, ret);
    return rc;
}

int bind_positional(struct run *r, const char *what, const struct args *args, int least, int most)
{
    if (args->n_named > 0)
        return run_fail(r, "%s takes no argument \"%.*s\"", what,
                        (int)(args->names[0].len < 100 ? args->names[0].len : 100),
                        args->names[0].at);
    if (args->n < least || args->n > most)
        return run_fail(r, "%s cannot be called with %d arguments", what, args->n);
    return 0;
}

int bind_args(struct run *r, const char *what, const struct args *args, const char *const *names,
              int n, int required, struct value *out)
{
    if (args->n > n)
        return run_fail(r, "%s takes at most %d arguments, not %d", what, n, args->n);
    for (int i = 0; i < n; i++)
        out[i] = i < args->n ? args->items[i] : (struct value){0};
    for (int k = 0; k < args->n_named; k++) {
        int i = 0;
        while (i < n && !str_equal(args->names[k], (struct str){names[i], strlen(names[i])}))
            i++;
        if (i == n || out[i].kind != V_MISSING)
            return run_fail(r, "%s does not take the argument \"%.*s\" here", what,
                            (int)(args->names[k].len < 100 ? args->names[k].len : 100),
                            args->names[k].at);
        out[i] = args->named[k];
    }
    for (int i = 0; i < required; i++)
        if (out[i].kind == V_MISSING)
            return run_fail(r, "%s needs the argument \"%s\"", what, names[i]);
    return 0;
}

/* Takes a named argument out of the list. */
static bool take_named(struct args *args, struct str name, struct value *ret)
{
    for (int i = 0; i < args->n_named; i++) {
        if (!str_equal(args->names[i], name))
            continue;
        *ret = args->named[i];
        for (int k = i + 1; k < args->n_named; k++) {
            args->names[k - 1] = args->names[k];
            args->named[k - 1] = args->named[k];
        }
        args->n_named--;
        return true;
    }
    return false;
}

static int rest_of_named(struct run *r, const struct args *args, struct value *ret)
{
    struct dict *d = dict_new(r);
    int rc = d ? 0 : run_code(r);

    for (int i = 0; i < args->n_named && rc == 0; i++) {
        struct value name = value_str(args->names[i]);
        rc = dict_set(r, d, &name, &args->named[i]);
    }
    *ret = dict_value(d);
    return rc;
}

/* What is left when the parameters have taken theirs. */
static int special_parameters(struct run *r, const struct macro *m, struct args *args,
                              struct value *slots)
{
    const struct parameters *p = m->node->params;
    int n = p->n < args->n ? p->n : args->n;

    if (p->caller >= 0 &&
        (!take_named(args, STR("caller"), &slots[p->caller]) || slots[p->caller].kind == V_NONE))
        slots[p->caller] = value_hint("no caller is defined");
    if (p->varargs >= 0)
        slots[p->varargs] = (struct value){
            .kind = V_TUPLE, .len = (uint32_t)(args->n - n), .items = args->items + n};
    else if (args->n > p->n)
        return run_fail(r, "the macro takes at most %d arguments, not %d", p->n, args->n);
    if (p->kwargs >= 0)
        return rest_of_named(r, args, &slots[p->kwargs]);
    return args->n_named > 0 ? bind_positional(r, "the macro", args, 0, 0) : 0;
}

static int default_values(struct run *r, const struct parameters *p)
{
    int rc = 0;

    for (int i = 0; i < p->n && rc == 0; i++) {
        if (r->frame->slots[i].kind != V_MISSING)
            continue;
        if (p->defaults[i])
            rc = run_eval(r, p->defaults[i], &r->frame->slots[i]);
        else
            r->frame->slots[i] = (struct value){.kind = V_UNDEFINED,
                                                .extra = UNDEFINED_NAME,
                                                .len = (uint32_t)p->names[i].len,
                                                .text = p->names[i].at};
    }
    return rc;
}

static int copy_named(struct run *r, struct args *args)
{
    size_t n = (size_t)args->n_named;
    struct str *names = run_alloc(r, n, sizeof(*names));
    struct value *named = run_alloc(r, n, sizeof(*named));

    if (!names || !named)
        return run_code(r);
    memcpy(names, args->names, n * sizeof(*names));
    memcpy(named, args->named, n * sizeof(*named));
    args->names = names;
    args->named = named;
    return 0;
}

static int bind_macro(struct run *r, const struct macro *m, const struct args *given,
                      struct value *slots)
{
    const struct parameters *p = m->node->params;
    struct args args = *given;
    int rc = args.n_named > 0 ? copy_named(r, &args) : 0;

    if (rc < 0)
        return rc;
    for (int i = 0; i < p->n; i++) {
        if (i < args.n)
            slots[i] = args.items[i];
        else
            take_named(&args, p->names[i], &slots[i]);
    }
    return special_parameters(r, m, &args, slots);
}

int call_macro(struct run *r, const struct macro *m, const struct args *args, struct value *ret)
{
    struct activation *frame = r->frame, *own = run_activation(r, m->defined, m->node->n_slots);
    size_t begin;
    int rc = run_enter(r), end;

    if (!own)
        rc = run_code(r);
    if (rc == 0)
        rc = bind_macro(r, m, args, own->slots);
    if (rc < 0) {
        r->depth--;
        return rc;
    }
    r->frame = own;
    run_enter_scope(r, &m->node->loads);
    begin = run_begin_capture(r);
    rc = default_values(r, m->node->params);
    if (rc == 0)
        rc = run_body(r, &m->node->body);
    end = run_end_capture(r, begin, rc == 0 ? ret : NULL);
    r->frame = frame;
    r->depth--;
    return rc < 0 ? rc : end;
}

/* How many items a range has. */
static uint64_t range_count(int64_t start, int64_t stop, int64_t step)
{
    uint64_t span = step > 0 ? (uint64_t)stop - (uint64_t)start : (uint64_t)start - (uint64_t)stop;
    uint64_t by = step > 0 ? (uint64_t)step : -(uint64_t)step;

    if (by == 0 || (step > 0 ? start >= stop : start <= stop))
        return 0;
    return (span - 1) / by + 1;
}

static int call_range(struct run *r, const struct args *args, struct value *ret)
{
    static const uint64_t most = 100000; /* of the sandbox */
    struct range *range = run_alloc(r, 1, sizeof(*range));
    int64_t v[3] = {0, 0, 1};
    int rc = bind_positional(r, "range()", args, 1, 3);

    if (rc < 0 || !range)
        return rc < 0 ? rc : run_code(r);
    for (int i = 0; i < args->n; i++) {
        if (args->items[i].kind == V_UNDEFINED)
            return fail_undefined(r, &args->items[i]);
        if (!is_integral(&args->items[i]))
            return run_fail(r, "range() needs integers, not a %s", kind_name(&args->items[i]));
        v[args->n == 1 ? 1 : i] = args->items[i].integer;
    }
    if (v[2] == 0)
        return run_fail(r, "the step of range() must not be 0");
    if (range_count(v[0], v[1], v[2]) > most)
        return run_fail(r, "range() has more than %ju items", (uintmax_t)most);
    *range = (struct range){v[0], v[1], v[2], (int64_t)range_count(v[0], v[1], v[2])};
    *ret = (struct value){.kind = V_RANGE, .range = range};
    return 0;
}

/* dict(): a dict or pairs, then named values. */
static int build_dict(struct run *r, const char *what, const struct args *args, struct dict **ret)
{
    struct dict *d = dict_new(r);
    int rc = d ? 0 : run_code(r);

    if (rc == 0 && args->n > 1)
        return run_fail(r, "%s takes at most one argument without a name", what);
    if (rc == 0 && args->n == 1)
        rc = dict_update(r, d, &args->items[0]);
    for (int i = 0; i < args->n_named && rc == 0; i++) {
        struct value name = value_str(args->names[i]);
        rc = dict_set(r, d, &name, &args->named[i]);
    }
    *ret = d;
    return rc;
}

static int call_namespace(struct run *r, const struct args *args, struct value *ret)
{
    struct dict *d;
    int rc = build_dict(r, "namespace()", args, &d);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < d->n; i++)
        if (d->pairs[i].key.kind == V_STRING && d->pairs[i].key.len > 0 &&
            d->pairs[i].key.text[0] == '_')
            return run_fail(r, "an attribute of a namespace must not begin with \"_\"");
    *ret = (struct value){.kind = V_NAMESPACE, .dict = d};
    return 0;
}

static int call_joiner(struct run *r, const struct args *args, struct value *ret)
{
    static const char *const names[] = {"sep"};
    struct joiner *j = run_alloc(r, 1, sizeof(*j));
    struct value sep;
    int rc = bind_args(r, "joiner()", args, names, 1, 0, &sep);

    if (rc < 0 || !j)
        return rc < 0 ? rc : run_code(r);
    *j = (struct joiner){.sep = sep.kind == V_MISSING ? value_text(", ", 2) : sep};
    *ret = (struct value){.kind = V_JOINER, .joiner = j};
    return 0;
}

static int call_cycler(struct run *r, const struct args *args, struct value *ret)
{
    struct cycler *c = run_alloc(r, 1, sizeof(*c));
    int rc = bind_positional(r, "cycler()", args, 1, INT32_MAX);

    if (rc < 0 || !c)
        return rc < 0 ? rc : run_code(r);
    *c =
        (struct cycler){.items = {.kind = V_TUPLE, .len = (uint32_t)args->n, .items = args->items}};
    *ret = (struct value){.kind = V_CYCLER, .cycler = c};
    return 0;
}

static int call_raise(struct run *r, const struct args *args)
{
    static const char *const names[] = {"message"};
    struct value message;
    int rc = bind_args(r, "raise_exception()", args, names, 1, 1, &message);

    if (rc == 0)
        rc = str_value(r, &message, &message);
    if (rc < 0)
        return rc;
    r->out->raised = true;
    err_set(r->err, ERR_INVALID, "%.*s", (int)message.len, message.text);
    r->err->text[utf8_fit(r->err->text, sizeof(r->err->text))] = '\0';
    return ERR_INVALID;
}

static int call_strftime(struct run *r, const struct args *args, struct value *ret)
{
    static const char *const names[] = {"format"};
    struct value format;
    int rc = bind_args(r, "strftime_now()", args, names, 1, 1, &format);

    if (rc < 0)
        return rc;
    if (format.kind != V_STRING)
        return run_fail(r, "strftime_now() needs a text, not a %s", kind_name(&format));
    return strftime_text(r, str_of(&format), ret);
}

static int call_function(struct run *r, enum function f, const struct args *args, struct value *ret)
{
    struct dict *d;
    int rc;

    switch (f) {
    case FUNCTION_RANGE:
        return call_range(r, args, ret);
    case FUNCTION_DICT:
        rc = build_dict(r, "dict()", args, &d);
        if (rc == 0)
            *ret = dict_value(d);
        return rc;
    case FUNCTION_NAMESPACE:
        return call_namespace(r, args, ret);
    case FUNCTION_JOINER:
        return call_joiner(r, args, ret);
    case FUNCTION_CYCLER:
        return call_cycler(r, args, ret);
    case FUNCTION_RAISE:
        return call_raise(r, args);
    case FUNCTION_STRFTIME:
        return call_strftime(r, args, ret);
    default:
        return run_unsupported(r, "lipsum() is not supported");
    }
}

static int call_joined(struct run *r, struct joiner *j, const struct args *args, struct value *ret)
{
    int rc = bind_positional(r, "a joiner", args, 0, 0);

    if (rc == 0)
        *ret = j->used ? j->sep : value_text("", 0);
    j->used = true;
    return rc;
}

int call_value(struct run *r, const struct value *callee, const struct args *args,
               struct value *ret)
{
    switch ((enum value_kind)callee->kind) {
    case V_UNDEFINED:
        return fail_undefined(r, callee);
    case V_MACRO:
        return call_macro(r, callee->macro, args, ret);
    case V_FUNCTION:
        return call_function(r, (enum function)callee->integer, args, ret);
    case V_METHOD:
        return call_method(r, &callee->method->self, callee->method->attribute, args, ret);
    case V_LOOP:
        return loop_call(r, callee->loop, args, ret);
    case V_JOINER:
        return call_joined(r, callee->joiner, args, ret);
    default:
        return run_fail(r, "a %s cannot be called", kind_name(callee));
    }
}

int function_find(struct str name)
{
    static const char *const names[] = {
        [FUNCTION_RANGE] = "range",           [FUNCTION_DICT] = "dict",
        [FUNCTION_NAMESPACE] = "namespace",   [FUNCTION_JOINER] = "joiner",
        [FUNCTION_CYCLER] = "cycler",         [FUNCTION_RAISE] = "raise_exception",
        [FUNCTION_STRFTIME] = "strftime_now", [FUNCTION_LIPSUM] = "lipsum"};

    for (int i = FUNCTION_RANGE; i <= FUNCTION_LIPSUM; i++)
        if (str_equal(name, (struct str){names[i], strlen(names[i])}))
            return i;
    return FUNCTION_NONE;
}
