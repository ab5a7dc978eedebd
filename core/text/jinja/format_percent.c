/* core/text/jinja/format_percent.c - "%s %5d" % values, as Python's str has it: values come from a
 * tuple in turn, from a dict by "%(name)s", or are one value. */
#include "core/text/jinja/data.h"
#include "core/text/jinja/format_number.h"
#include "core/text/jinja/python_text.h"
#include <math.h>

struct percent {
    struct run *r;
    struct builder out;
    struct str format;
    size_t at;
    const struct value *values;
    size_t used;  /* of a tuple */
    bool by_name; /* a name was used */
};

static int next_value(struct percent *p, struct value *ret)
{
    bool tuple = p->values->kind == V_TUPLE;

    if (p->used >= (tuple ? p->values->len : 1))
        return run_fail(p->r, "there are not enough values for the format");
    *ret = tuple ? p->values->items[p->used] : *p->values;
    p->used++;
    return 0;
}

/* "(name)" at hand: the value of a dict. */
static int named_value(struct percent *p, struct value *ret)
{
    size_t begin = ++p->at;
    int open = 1, rc;

    for (; p->at < p->format.len && open > 0; p->at++)
        open += p->format.at[p->at] == '(' ? 1 : p->format.at[p->at] == ')' ? -1 : 0;
    if (open > 0)
        return run_fail(p->r, "the name in the format has no end");
    if (p->values->kind != V_DICT)
        return run_fail(p->r, "the format needs a dict, not a %s", kind_name(p->values));
    p->by_name = true;
    rc = dict_get_text(p->r, p->values, (struct str){p->format.at + begin, p->at - 1 - begin}, ret);
    if (rc == 0)
        return run_fail(p->r, "the dict lacks a name of the format");
    return rc < 0 ? rc : 0;
}

/* Flags, width, precision; 1: an asterisk, whose value is taken. */
static int read_form(struct percent *p, struct number_form *form)
{
    struct str s = p->format;
    int64_t *parts[] = {&form->width, &form->precision};

    *form = (struct number_form){.precision = -1};
    for (; p->at < s.len && s.at[p->at] && strchr("-+ #0", s.at[p->at]); p->at++) {
        char c = s.at[p->at];
        if (c == '-')
            form->align = '<';
        else if (c == '+' || (c == ' ' && form->sign != '+'))
            form->sign = c;
        else if (c == '#')
            form->alternate = true;
        else if (c == '0')
            form->fill = STR("0");
    }
    for (int i = 0; i < 2; i++) {
        if (i == 1 && !(p->at < s.len && s.at[p->at] == '.'))
            break;
        p->at += i;
        if (p->at < s.len && s.at[p->at] == '*')
            return run_unsupported(p->r, "\"*\" in a format is not supported");
        if (!read_digits(s, &p->at, parts[i]))
            return run_fail(p->r, "a width in the format is too large");
    }
    while (p->at < s.len && s.at[p->at] && strchr("hlL", s.at[p->at]))
        p->at++;
    return 0;
}

static int put_char(struct percent *p, const struct value *v, const struct number_form *form)
{
    struct builder one = {0};
    struct number_form plain = *form;
    int rc = 0;

    plain.precision = -1;
    plain.fill.len = 0;
    if (v->kind == V_STRING && text_count(str_of(v)) == 1)
        return format_text(p->r, &p->out, str_of(v), &plain, '>');
    if (!is_integral(v))
        return run_fail(p->r, "%%c needs an integer or one character");
    if (v->integer < 0 || v->integer > 0x10ffff)
        return run_fail(p->r, "%jd is not a character", (intmax_t)v->integer);
    if (v->integer >= 0xd800 && v->integer < 0xe000)
        return run_unsupported(p->r, "surrogates are not supported");
    rc = builder_char(p->r, &one, (uint32_t)v->integer);
    return rc < 0 ? rc : format_text(p->r, &p->out, (struct str){one.at, one.len}, &plain, '>');
}

static int put_text(struct percent *p, const struct value *v, struct number_form *form)
{
    struct builder text = {0};
    int rc;

    if (form->type == 'a')
        return run_unsupported(p->r, "%%a is not supported");
    if (form->type == 's' && v->kind == V_STRING && v->flags & MARKUP)
        return run_unsupported(p->r, "a text that was escaped is not supported in a format");
    rc = form->type == 's' ? text_of(p->r, &text, v) : repr_of(p->r, &text, v);
    form->fill.len = 0;
    return rc < 0 ? rc
                  : format_text(p->r, &p->out, (struct str){text.at ? text.at : "", text.len}, form,
                                '>');
}

static int put_number(struct percent *p, const struct value *v, struct number_form *form)
{
    bool real = strchr("eEfFgG", form->type), decimal = strchr("diu", form->type);
    struct value x = *v;

    if (v->kind == V_UNDEFINED)
        return fail_undefined(p->r, v);
    if (!is_number(v) || (v->kind == V_FLOAT && !real && !decimal))
        return run_fail(p->r, "%%%c needs a number, not a %s", form->type, kind_name(v));
    if (real && v->kind != V_FLOAT)
        x = value_real((double)v->integer);
    if (decimal && v->kind == V_FLOAT) {
        if (!isfinite(v->real))
            return run_fail(p->r, "this float is not an integer");
        if (fabs(v->real) >= 0x1p63)
            return run_unsupported(p->r, "integers beyond 64 bits are not supported");
        x = value_int((int64_t)v->real);
    }
    if (form->alternate && form->type == 'o')
        form->alternate = true;
    if (decimal)
        form->type = 'd';
    if (form->align == '<')
        form->fill.len = 0;
    else if (form->fill.len)
        form->align = '=';
    return format_number(p->r, &p->out, &x, form);
}

static int conversion(struct percent *p)
{
    struct number_form form;
    struct value v = {0};
    bool named = p->at < p->format.len && p->format.at[p->at] == '(';
    int rc;

    if (p->at < p->format.len && p->format.at[p->at] == '%') {
        p->at++;
        return builder_puts(p->r, &p->out, "%");
    }
    rc = named ? named_value(p, &v) : 0;
    if (rc == 0)
        rc = read_form(p, &form);
    if (rc < 0)
        return rc;
    if (p->at == p->format.len)
        return run_fail(p->r, "the format is incomplete");
    form.type = p->format.at[p->at++];
    if (!form.type || !strchr("diuxXofFeEgGcrsa", form.type))
        return run_fail(p->r, "the format has a letter that is not known");
    if (!named)
        rc = next_value(p, &v);
    if (rc < 0)
        return rc;
    if (form.type == 'c')
        return put_char(p, &v, &form);
    if (strchr("rsa", form.type))
        return put_text(p, &v, &form);
    return put_number(p, &v, &form);
}

/* Values that Python takes for mappings need not be used. */
static bool is_mapping(const struct value *v)
{
    return v->kind == V_DICT || v->kind == V_LIST || v->kind == V_RANGE || v->kind == V_UNDEFINED;
}

int format_percent(struct run *r, struct str format, const struct value *values, struct value *ret)
{
    struct percent p = {.r = r, .format = format, .values = values};
    size_t left;
    int rc = 0;

    while (p.at < format.len && rc == 0) {
        size_t found = text_find(format, STR("%"), p.at, format.len);
        size_t end = found == SIZE_MAX ? format.len : found;
        rc = builder_add(r, &p.out, format.at + p.at, end - p.at);
        p.at = end + (found != SIZE_MAX);
        if (rc == 0 && found != SIZE_MAX)
            rc = conversion(&p);
    }
    left = (values->kind == V_TUPLE ? values->len : 1) - p.used;
    if (rc == 0 && left > 0 && !p.by_name && !is_mapping(values))
        return run_fail(r, "there are more values than the format takes");
    *ret = builder_value(&p.out);
    return rc;
}
