/* core/text/jinja/access.c - see data.h: what a.name, a[b] and a[b:c] are. Both of the first look
 * in two places: a.name for an attribute of Python's, then for an item; a[b] the other way round.
 * What neither has is undefined, and so is what the sandbox hides. */
#include "core/text/jinja/attributes.h"
#include "core/text/jinja/data.h"
#include "core/text/jinja/loop.h"
#include "core/text/jinja/python_text.h"
#include "core/text/jinja/text.h"

int fail_undefined(struct run *r, const struct value *v)
{
    int len = v->len < 200 ? (int)v->len : 200;
    struct value of = {.kind = v->flags};

    switch ((enum undefined_why)v->extra) {
    case UNDEFINED_NAME:
        return run_fail(r, "\"%.*s\" is undefined", len, v->text);
    case UNDEFINED_ATTRIBUTE:
        return run_fail(r, "a %s has no attribute \"%.*s\"", kind_name(&of), len, v->text);
    case UNDEFINED_ELEMENT:
        return run_fail(r, "a %s has no such element", kind_name(&of));
    case UNDEFINED_UNSAFE:
        return run_fail(r, "the attribute \"%.*s\" of a %s may not be used in a template", len,
                        v->text, kind_name(&of));
    default:
        return run_fail(r, "%.*s", len, v->text);
    }
}

static struct value undefined_of(const struct value *v, struct str name, enum undefined_why why)
{
    return (struct value){.kind = V_UNDEFINED,
                          .flags = v->kind,
                          .extra = (uint16_t)why,
                          .len = (uint32_t)name.len,
                          .text = name.at};
}

static int method_of(struct run *r, const struct value *v, enum attribute a, struct value *ret)
{
    struct method *m = run_alloc(r, 1, sizeof(*m));

    if (!m)
        return run_code(r);
    *m = (struct method){*v, (int)a};
    *ret = (struct value){.kind = V_METHOD, .method = m};
    return 0;
}

static int macro_attribute(struct run *r, const struct macro *m, enum attribute a,
                           struct value *ret)
{
    const struct parameters *p = m->node->params;
    struct vector names = {0};
    int rc = 0;

    switch (a) {
    case A_NAME:
        *ret = m->node->kind == N_MACRO ? value_str(m->node->name) : value_none();
        return 0;
    case A_ARGUMENTS:
        for (int i = 0; i < p->n && rc == 0; i++) {
            struct value name = value_str(p->names[i]);
            rc = vector_push(r, &names, &name);
        }
        *ret = vector_list(&names, V_TUPLE);
        return rc;
    case A_CATCH_KWARGS:
        *ret = value_bool(p->kwargs >= 0);
        return 0;
    case A_CATCH_VARARGS:
        *ret = value_bool(p->varargs >= 0);
        return 0;
    default:
        *ret = value_bool(p->caller >= 0);
        return 0;
    }
}

static int data_attribute(struct run *r, const struct value *v, enum attribute a, struct value *ret)
{
    switch ((enum value_kind)v->kind) {
    case V_RANGE:
        *ret = value_int(a == A_START  ? v->range->start
                         : a == A_STOP ? v->range->stop
                                       : v->range->step);
        return 0;
    case V_TUPLE:
        *ret = v->items[a == A_GROUPER ? 0 : 1];
        return 0;
    case V_MACRO:
        return macro_attribute(r, v->macro, a, ret);
    case V_JOINER:
        *ret = a == A_SEP ? v->joiner->sep : value_bool(v->joiner->used);
        return 0;
    case V_CYCLER:
        *ret = a == A_ITEMS ? v->cycler->items
               : a == A_POS ? value_int((int64_t)v->cycler->at)
                            : v->cycler->items.items[v->cycler->at];
        return 0;
    default:
        return loop_attribute(r, v->loop, (int)a, ret);
    }
}

/* 1: *ret is what Python's getattr() and the sandbox give; 0: there is no such attribute. */
static int python_attribute(struct run *r, const struct value *v, struct str name, int known,
                            struct value *ret)
{
    enum attribute a = A_NONE;
    enum access access = known ? attribute_access(v, known, &a) : ACCESS_NONE;
    int rc;

    if (v->kind == V_NAMESPACE) {
        struct value dict = dict_value(v->dict);
        return dict_get_text(r, &dict, name, ret);
    }
    switch (access) {
    case ACCESS_NONE:
        return 0;
    case ACCESS_UNSAFE:
        *ret = undefined_of(v, name, UNDEFINED_UNSAFE);
        return 1;
    case ACCESS_UNSUPPORTED:
        return run_unsupported(r, "the attribute \"%.*s\" of a %s is not supported", (int)name.len,
                               name.at, kind_name(v));
    case ACCESS_METHOD:
        rc = method_of(r, v, a, ret);
        return rc < 0 ? rc : 1;
    default:
        rc = data_attribute(r, v, a, ret);
        return rc < 0 ? rc : 1;
    }
}

/* Names such as __class__, which most objects of Python have and the sandbox hides. */
static bool is_dunder(struct str name)
{
    return name.len > 4 && memcmp(name.at, "__", 2) == 0 &&
           memcmp(name.at + name.len - 2, "__", 2) == 0;
}

/* Those that an undefined value has, too, so that it hides them instead of failing. */
static bool every_object_has(struct str name)
{
    static const char *const names[] = {"__class__", "__doc__", "__module__",
                                        "__init__",  "__str__", "__repr__",
                                        "__hash__",  "__eq__",  "__len__"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_equal(name, (struct str){names[i], strlen(names[i])}))
            return true;
    return false;
}

int get_attribute(struct run *r, const struct value *v, struct str name, int known,
                  struct value *ret)
{
    int rc;

    if (v->kind == V_UNDEFINED && every_object_has(name)) {
        *ret = undefined_of(v, name, UNDEFINED_UNSAFE);
        return 0;
    }
    if (v->kind == V_UNDEFINED)
        return fail_undefined(r, v);
    rc = python_attribute(r, v, name, known, ret);
    if (rc == 0 && v->kind == V_DICT) {
        rc = dict_get_text(r, v, name, ret);
        if (rc > 0 && is_dunder(name))
            return run_unsupported(r, "the key \"%.*s\" of a dict is not supported",
                                   (int)(name.len < 100 ? name.len : 100), name.at);
    }
    if (rc == 0)
        *ret = undefined_of(v, name, UNDEFINED_ATTRIBUTE);
    return rc < 0 ? rc : 0;
}

/* A place within n items, from the end where it is negative. */
static bool place_of(const struct value *index, int64_t n, int64_t *ret)
{
    if (!is_integral(index))
        return false;
    *ret = index->integer < 0 ? index->integer + n : index->integer;
    return *ret >= 0 && *ret < n;
}

/* 1, 0 or negative as dict_get(). */
static int subscript(struct run *r, const struct value *v, const struct value *index,
                     struct value *ret)
{
    int64_t n, i;
    size_t at, len;
    int rc;

    if (v->kind == V_DICT) {
        struct value plain = *index;
        if (plain.kind == V_LIST || plain.kind == V_DICT)
            return 0; /* Python's TypeError, which makes it undefined */
        return dict_get(r, v, &plain, ret);
    }
    if (!is_sequence(v) && v->kind != V_STRING && v->kind != V_RANGE)
        return 0;
    rc = value_length(r, v, &n);
    if (rc < 0 || !place_of(index, n, &i))
        return rc;
    if (v->kind == V_RANGE) {
        *ret = value_int(v->range->start + i * v->range->step);
    } else if (v->kind == V_STRING) {
        at = text_offset(str_of(v), (size_t)i);
        char_at(v->text + at, &len);
        *ret = value_text(v->text + at, len);
        ret->flags = v->flags;
    } else {
        rc = list_at(r, v, (size_t)i, ret);
    }
    return rc < 0 ? rc : 1;
}

int get_item(struct run *r, const struct value *v, const struct value *index, struct value *ret)
{
    int rc;

    if (v->kind == V_UNDEFINED)
        return fail_undefined(r, v);
    rc = subscript(r, v, index, ret);
    if (rc == 0 && index->kind == V_STRING)
        rc = python_attribute(r, v, str_of(index), attribute_find(str_of(index)), ret);
    if (rc == 0)
        *ret = index->kind == V_STRING ? undefined_of(v, str_of(index), UNDEFINED_ATTRIBUTE)
                                       : undefined_of(v, STR(""), UNDEFINED_ELEMENT);
    return rc < 0 ? rc : 0;
}

struct slice { /* resolved: n items from start */
    int64_t start, stop, step, n;
};

static int64_t clamp(int64_t i, int64_t n, bool back)
{
    if (i < 0)
        i += n;
    if (i < 0)
        return back ? -1 : 0;
    return i >= n ? (back ? n - 1 : n) : i;
}

static int resolve_slice(struct run *r, const struct value bounds[3], int64_t n, struct slice *s)
{
    bool back;

    for (int i = 0; i < 3; i++)
        if (bounds[i].kind != V_NONE && !is_integral(&bounds[i]))
            return run_fail(r, "a slice needs integers, not a %s", kind_name(&bounds[i]));
    s->step = bounds[2].kind == V_NONE ? 1 : bounds[2].integer;
    if (s->step == 0)
        return run_fail(r, "the step of a slice must not be 0");
    if (s->step == INT64_MIN)
        s->step = -INT64_MAX;
    back = s->step < 0;
    s->start = bounds[0].kind == V_NONE ? (back ? n - 1 : 0) : clamp(bounds[0].integer, n, back);
    s->stop = bounds[1].kind == V_NONE ? (back ? -1 : n) : clamp(bounds[1].integer, n, back);
    if (back)
        s->n = s->stop < s->start ? (s->start - s->stop - 1) / -s->step + 1 : 0;
    else
        s->n = s->start < s->stop ? (s->stop - s->start - 1) / s->step + 1 : 0;
    return 0;
}

/* Where each character begins. NULL: err is set. */
static uint32_t *char_places(struct run *r, struct str s, size_t n)
{
    uint32_t *places = run_alloc(r, n + 1, sizeof(*places));
    size_t at = 0, len;

    for (size_t i = 0; places && i < n; i++, at += len) {
        places[i] = (uint32_t)at;
        char_at(s.at + at, &len);
    }
    return places;
}

static int slice_steps(struct run *r, struct str text, const struct slice *s, struct builder *b)
{
    size_t n = text_count(text), len;
    uint32_t *places = n == text.len ? NULL : char_places(r, text, n);
    int rc = n == text.len || places ? 0 : run_code(r);

    for (int64_t i = 0; i < s->n && rc == 0; i++) {
        size_t at = (size_t)(s->start + i * s->step);
        at = places ? places[at] : at;
        char_at(text.at + at, &len);
        rc = builder_add(r, b, text.at + at, len);
    }
    return rc;
}

static int slice_text(struct run *r, const struct value *v, const struct slice *s,
                      struct value *ret)
{
    struct str text = str_of(v);
    struct builder b = {0};
    size_t at, len;
    int rc = run_steps(r, text.len / 16);

    if (rc < 0)
        return rc;
    if (s->step == 1) {
        at = text_offset(text, (size_t)s->start);
        len = text_offset((struct str){text.at + at, text.len - at}, (size_t)s->n);
        *ret = value_text(text.at + at, len);
    } else {
        rc = slice_steps(r, text, s, &b);
        *ret = builder_value(&b);
    }
    ret->flags = v->flags;
    return rc;
}

static int slice_list(struct run *r, const struct value *v, const struct slice *s,
                      struct value *ret)
{
    struct vector items = {0};
    struct value item;
    int rc = run_steps(r, (uint64_t)s->n);

    for (int64_t i = 0; i < s->n && rc == 0; i++) {
        rc = list_at(r, v, (size_t)(s->start + i * s->step), &item);
        if (rc == 0)
            rc = vector_push(r, &items, &item);
    }
    *ret = vector_list(&items, v->kind);
    return rc;
}

static int slice_range(struct run *r, const struct value *v, const struct slice *s,
                       struct value *ret)
{
    struct range *range = run_alloc(r, 1, sizeof(*range));

    if (!range)
        return run_code(r);
    range->start = v->range->start + s->start * v->range->step;
    range->stop = v->range->start + s->stop * v->range->step;
    range->n = s->n;
    if (__builtin_mul_overflow(v->range->step, s->step, &range->step))
        return run_unsupported(r, "this slice of a range is not supported");
    *ret = (struct value){.kind = V_RANGE, .range = range};
    return 0;
}

int get_slice(struct run *r, const struct value *v, const struct value bounds[3], struct value *ret)
{
    struct slice s = {0};
    int64_t n;
    int rc;

    if (v->kind == V_UNDEFINED)
        return fail_undefined(r, v);
    if (!is_sequence(v) && v->kind != V_STRING && v->kind != V_RANGE)
        return run_fail(r, "a %s cannot be sliced", kind_name(v));
    rc = value_length(r, v, &n);
    if (rc == 0)
        rc = resolve_slice(r, bounds, n, &s);
    if (rc < 0)
        return rc;
    if (v->kind == V_RANGE)
        return slice_range(r, v, &s, ret);
    return v->kind == V_STRING ? slice_text(r, v, &s, ret) : slice_list(r, v, &s, ret);
}
