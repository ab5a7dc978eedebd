/* core/text/jinja/format_braces.c - "{} {name:>5}".format(...), as Python's str has it, with plain
 * fields: a number or a name, attributes and items behind it, !r or !s, and a form without braces.
 */
#include "core/text/jinja/attributes.h"
#include "core/text/jinja/data.h"
#include "core/text/jinja/format_number.h"
#include "core/text/jinja/python_text.h"

struct braces {
    struct run *r;
    struct builder out;
    const struct args *args;
    int64_t next; /* automatic number; -1: numbers were given */
};

static bool is_digits(struct str s)
{
    return s.len > 0 && strspn(s.at, "0123456789") >= s.len;
}

static int field_start(struct braces *b, struct str name, struct value *ret)
{
    size_t at = 0;
    int64_t i = 0;

    if (name.len == 0 || is_digits(name)) {
        if (name.len == 0 ? b->next < 0 : b->next > 0)
            return run_fail(b->r, "numbers of fields are either all given or none");
        if (name.len == 0)
            i = b->next++;
        else if (!read_digits(name, &at, &i))
            return run_fail(b->r, "the number of a field is too large");
        else
            b->next = -1;
        if (i >= b->args->n)
            return run_fail(b->r, "there is no argument %jd for the format", (intmax_t)i);
        *ret = b->args->items[i];
        return 0;
    }
    for (int k = 0; k < b->args->n_named; k++)
        if (str_equal(b->args->names[k], name)) {
            *ret = b->args->named[k];
            return 0;
        }
    return run_fail(b->r, "there is no argument of this name for the format");
}

/* ".name" or "[item]" at s.at + *at. */
static int field_step(struct braces *b, struct str s, size_t *at, struct value *v)
{
    bool item = s.at[*at] == '[';
    size_t begin = ++*at, zero = 0;
    struct str name;
    struct value index;
    int64_t i = 0;

    while (*at < s.len && (item ? s.at[*at] != ']' : s.at[*at] != '.' && s.at[*at] != '['))
        ++*at;
    name = (struct str){s.at + begin, *at - begin};
    if (name.len == 0 || (item && *at == s.len))
        return run_fail(b->r, "the name of a field is incomplete");
    *at += item;
    if (!item)
        return get_attribute(b->r, v, name, attribute_find(name), v);
    index = value_str(name);
    if (is_digits(name)) {
        if (!read_digits(name, &zero, &i))
            return run_fail(b->r, "the number of an item is too large");
        index = value_int(i);
    }
    return get_item(b->r, v, &index, v);
}

static int field_value(struct braces *b, struct str s, struct value *ret)
{
    size_t at = 0;
    int rc;

    while (at < s.len && s.at[at] != '.' && s.at[at] != '[')
        at++;
    rc = field_start(b, (struct str){s.at, at}, ret);
    while (rc == 0 && at < s.len) {
        if (s.at[at] != '.' && s.at[at] != '[')
            return run_fail(b->r, "the name of a field is wrong");
        rc = field_step(b, s, &at, ret);
    }
    return rc;
}

static char take_any(struct str s, size_t *at, const char *any)
{
    char c = *at < s.len ? s.at[*at] : 0;

    if (!c || !strchr(any, c))
        return 0;
    ++*at;
    return c;
}

/* [[fill]align][sign][#][0][width][,][.precision][type] */
static int read_form(struct braces *b, struct str s, struct number_form *form)
{
    size_t at = 0, len = 0;

    *form = (struct number_form){.precision = -1};
    if (s.len > 0)
        char_at(s.at, &len);
    if (len < s.len && strchr("<>=^", s.at[len]) && s.at[len]) {
        form->fill = (struct str){s.at, len};
        form->align = s.at[len];
        at = len + 1;
    } else {
        form->align = take_any(s, &at, "<>=^");
    }
    form->sign = take_any(s, &at, "+- ");
    form->alternate = take_any(s, &at, "#");
    if (take_any(s, &at, "0") && !form->fill.len) {
        form->fill = STR("0");
        form->align = form->align ? form->align : '=';
    }
    if (!read_digits(s, &at, &form->width))
        return run_fail(b->r, "a width in the format is too large");
    form->group = take_any(s, &at, ",_");
    if (take_any(s, &at, ".")) {
        size_t begin = at;
        if (!read_digits(s, &at, &form->precision) || at == begin)
            return run_fail(b->r, "a precision in the format is wrong");
    }
    form->type = at < s.len ? s.at[at++] : 0;
    return at < s.len ? run_fail(b->r, "the form of a field is wrong") : 0;
}

static int put_number(struct braces *b, const struct value *v, struct number_form *form)
{
    struct value x = *v;
    bool real = form->type && strchr("eEfFgG%", form->type);

    if (v->kind == V_FLOAT && !form->type && form->precision < 0) { /* as repr(), filled */
        struct builder text = {0};
        int rc = form->sign || form->alternate || form->group || form->align == '='
                     ? run_unsupported(b->r, "this form of a float is not supported")
                     : repr_of(b->r, &text, v);
        return rc < 0 ? rc : format_text(b->r, &b->out, (struct str){text.at, text.len}, form, '>');
    }
    if (v->kind == V_FLOAT && !real)
        return form->type ? run_fail(b->r, "a float has no such form")
                          : run_unsupported(b->r, "this form of a float is not supported");
    if (!real && form->type && !strchr("dxXob", form->type))
        return strchr("cn", form->type)
                   ? run_unsupported(b->r, "this form of an integer is not supported")
                   : run_fail(b->r, "an integer has no such form");
    if (!real && form->precision >= 0)
        return run_fail(b->r, "an integer has no precision");
    if (real && v->kind != V_FLOAT)
        x = value_real((double)v->integer);
    form->type = form->type ? form->type : 'd';
    return format_number(b->r, &b->out, &x, form);
}

static int put_value(struct braces *b, const struct value *v, struct str spec)
{
    struct number_form form;
    int rc;

    if (spec.len == 0 && !(v->kind == V_STRING && v->flags & MARKUP))
        return text_of(b->r, &b->out, v);
    if (v->kind == V_BOOL || (v->kind != V_STRING && !is_number(v)) || v->flags & MARKUP)
        return run_unsupported(b->r, "the form of a %s is not supported", kind_name(v));
    rc = read_form(b, spec, &form);
    if (rc < 0)
        return rc;
    if (v->kind != V_STRING)
        return put_number(b, v, &form);
    if ((form.type && form.type != 's') || form.sign || form.alternate || form.group ||
        form.align == '=')
        return form.fill.len == 1 && form.fill.at[0] == '0' && form.align == '='
                   ? run_unsupported(b->r, "filling a text with zeros is not supported")
                   : run_fail(b->r, "a text has no such form");
    return format_text(b->r, &b->out, str_of(v), &form, '<');
}

/* Where the name of a field ends: at "!" or ":" outside of brackets. */
static size_t name_end(struct str field)
{
    bool bracket = false;
    size_t at;

    for (at = 0; at < field.len; at++) {
        char c = field.at[at];
        bracket = c == '[' || (bracket && c != ']');
        if (!bracket && (c == ':' || c == '!'))
            break;
    }
    return at;
}

/* What stands between braces: a name, "!" and a conversion, ":" and a form. */
static int put_field(struct braces *b, struct str field)
{
    size_t name = name_end(field), at = name;
    struct builder text = {0};
    struct value v;
    char conversion = 0;
    int rc;

    if (at < field.len && field.at[at] == '!') {
        conversion = at + 1 < field.len ? field.at[at + 1] : 0;
        at += 2;
        if ((conversion != 'r' && conversion != 's') || (at < field.len && field.at[at] != ':'))
            return run_unsupported(b->r, "this conversion of a field is not supported");
    }
    rc = field_value(b, (struct str){field.at, name}, &v);
    if (rc == 0 && conversion) {
        rc = conversion == 'r' ? repr_of(b->r, &text, &v) : text_of(b->r, &text, &v);
        v = builder_value(&text);
    }
    if (rc < 0)
        return rc;
    at = at < field.len ? at + 1 : field.len;
    return put_value(b, &v, (struct str){field.at + at, field.len - at});
}

int format_braces(struct run *r, struct str format, const struct args *args, struct value *ret)
{
    struct braces b = {.r = r, .args = args};
    int rc = 0;

    for (size_t at = 0; at < format.len && rc == 0; at++) {
        char c = format.at[at];
        size_t end;
        if (c != '{' && c != '}') {
            rc = builder_add(r, &b.out, &c, 1);
            continue;
        }
        if (at + 1 < format.len && format.at[at + 1] == c) {
            rc = builder_add(r, &b.out, &c, 1);
            at++;
            continue;
        }
        end = text_find(format, STR("}"), at + 1, format.len);
        if (c == '}' || end == SIZE_MAX)
            return run_fail(r, "a brace in the format has no counterpart");
        if (text_find(format, STR("{"), at + 1, end) != SIZE_MAX)
            return run_unsupported(r, "braces within braces are not supported");
        rc = put_field(&b, (struct str){format.at + at + 1, end - at - 1});
        at = end;
    }
    *ret = builder_value(&b.out);
    return rc;
}
