/* core/text/jinja/filters_text.c - filters of texts, numbers and single values. */
#include "core/text/jinja/attributes.h"
#include "core/text/jinja/filters.h"
#include "core/text/jinja/methods.h"
#include "core/text/jinja/python_text.h"
#include "core/text/jinja/text_case.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* As it is where it is a text, Markup included; else str(). */
static int soft_text(struct run *r, struct value *v)
{
    return v->kind == V_STRING ? 0 : str_value(r, v, v);
}

static int to_case(struct run *r, struct value *in, enum text_case wanted, struct value *ret)
{
    struct builder b = {0};
    int rc = soft_text(r, in);

    if (rc == 0)
        rc = text_to_case(r, str_of(in), wanted, &b);
    *ret = builder_value(&b);
    ret->flags |= in->flags & MARKUP;
    return rc;
}

int filter_upper(struct run *r, struct value *in, struct value *ret)
{
    return to_case(r, in, TEXT_UPPER, ret);
}

int filter_lower(struct run *r, struct value *in, struct value *ret)
{
    return to_case(r, in, TEXT_LOWER, ret);
}

int filter_capitalize(struct run *r, struct value *in, struct value *ret)
{
    return to_case(r, in, TEXT_CAPITALIZE, ret);
}

static bool parts_words(struct str s, size_t at)
{
    return strchr("-({[<", s.at[at]) ? s.at[at] != '\0' : text_space_at(s, at) > 0;
}

/* Words begin behind white space and some signs; their first character is upper case, not title. */
int filter_title(struct run *r, struct value *in, struct value *ret)
{
    struct builder b = {0};
    struct str s;
    size_t begin, at = 0, len;
    int rc = soft_text(r, in);

    if (rc < 0)
        return rc;
    s = str_of(in);
    while (at < s.len && rc == 0) {
        bool parting = parts_words(s, at);
        char_at(s.at + at, &len);
        begin = at;
        at += len;
        rc = text_to_case(r, (struct str){s.at + begin, len}, TEXT_UPPER, &b);
        for (begin = at; at < s.len && parts_words(s, at) == parting; at += len)
            char_at(s.at + at, &len);
        if (rc == 0)
            rc = text_to_case(r, (struct str){s.at + begin, at - begin}, TEXT_LOWER, &b);
    }
    *ret = builder_value(&b);
    return rc;
}

int filter_string(struct run *r, struct value *in, struct value *ret)
{
    int rc = soft_text(r, in);

    *ret = *in;
    return rc;
}

int filter_trim(struct run *r, struct value *in, struct value *ret)
{
    int rc = soft_text(r, in);

    return rc < 0 ? rc : strip_text(r, in, &in[1], true, true, ret);
}

int filter_center(struct run *r, struct value *in, struct value *ret)
{
    int rc = soft_text(r, in);

    if (rc == 0 && in[1].kind != V_MISSING)
        rc = need_int(r, "center", &in[1]);
    return rc < 0 ? rc
                  : justify_text(r, in, in[1].kind == V_MISSING ? 80 : in[1].integer, STR(" "), 0,
                                 ret);
}

int filter_replace(struct run *r, struct value *in, struct value *ret)
{
    int64_t most = -1;
    int rc = 0;

    for (int i = 0; i < 3 && rc == 0; i++)
        rc = str_value(r, &in[i], &in[i]);
    if (rc == 0 && in[3].kind != V_MISSING && in[3].kind != V_NONE) {
        rc = need_int(r, "replace", &in[3]);
        most = in[3].integer;
    }
    return rc < 0 ? rc : replace_text(r, str_of(in), str_of(&in[1]), str_of(&in[2]), most, ret);
}

int filter_safe(struct run *r, struct value *in, struct value *ret)
{
    int rc = str_value(r, in, ret);

    ret->flags |= MARKUP;
    return rc;
}

int filter_escape(struct run *r, struct value *in, struct value *ret)
{
    return escape_value(r, in, ret);
}

int filter_forceescape(struct run *r, struct value *in, struct value *ret)
{
    int rc = str_value(r, in, in);

    return rc < 0 ? rc : escape_value(r, in, ret);
}

int filter_default(struct run *r, struct value *in, struct value *ret)
{
    bool absent = in->kind == V_UNDEFINED || (is_true(&in[2]) && !is_true(in));

    (void)r;
    *ret = !absent ? *in : in[1].kind == V_MISSING ? value_text("", 0) : in[1];
    return 0;
}

int filter_length(struct run *r, struct value *in, struct value *ret)
{
    int64_t n = 0;
    int rc = value_length(r, in, &n);

    *ret = value_int(n);
    return rc;
}

int filter_attr(struct run *r, struct value *in, struct value *ret)
{
    int rc = need_text(r, "attr", &in[1]);

    if (rc == 0 && in->kind == V_UNDEFINED)
        return fail_undefined(r, in);
    if (rc == 0 && in->kind == V_DICT && !attribute_find(str_of(&in[1]))) {
        *ret = value_hint("a dict has no such attribute");
        return 0;
    }
    return rc < 0 ? rc : get_attribute(r, in, str_of(&in[1]), attribute_find(str_of(&in[1])), ret);
}

int filter_abs(struct run *r, struct value *in, struct value *ret)
{
    if (!is_number(in))
        return in->kind == V_UNDEFINED ? fail_undefined(r, in)
                                       : run_fail(r, "a %s has no sign", kind_name(in));
    return negate(r, in, in->kind == V_FLOAT ? signbit(in->real) : in->integer < 0, ret);
}

static int real_value(struct run *r, const struct value *v, double *ret)
{
    if (v->kind == V_UNDEFINED)
        return fail_undefined(r, v);
    if (v->kind == V_STRING)
        return parse_real(r, str_of(v), ret);
    if (!is_number(v))
        return 0;
    *ret = v->kind == V_FLOAT ? v->real : (double)v->integer;
    return 1;
}

static int int_of_real(struct run *r, double x, const struct value *fallback, struct value *ret)
{
    if (!isfinite(x))
        *ret = *fallback;
    else if (fabs(x) >= 0x1p63)
        return run_unsupported(r, "integers beyond 64 bits are not supported");
    else
        *ret = value_int((int64_t)x);
    return 0;
}

int filter_int(struct run *r, struct value *in, struct value *ret)
{
    struct value fallback = in[1].kind == V_MISSING ? value_int(0) : in[1];
    int64_t base = in[2].kind == V_MISSING ? 10 : in[2].integer, i = 0;
    double x = 0;
    int rc = in[2].kind == V_MISSING || in->kind != V_STRING ? 0 : need_int(r, "int", &in[2]);

    if (rc < 0)
        return rc;
    if (in->kind == V_STRING)
        rc = parse_int(r, str_of(in), base, &i);
    else if (is_integral(in))
        rc = (i = in->integer, 1);
    else if (in->kind == V_FLOAT && isinf(in->real))
        return run_fail(r, "infinity is not an integer");
    if (rc != 0) {
        *ret = value_int(i);
        return rc < 0 ? rc : 0;
    }
    rc = real_value(r, in, &x);
    *ret = fallback;
    return rc <= 0 ? rc : int_of_real(r, x, &fallback, ret);
}

int filter_float(struct run *r, struct value *in, struct value *ret)
{
    double x = 0;
    int rc = real_value(r, in, &x);

    *ret = rc > 0 ? value_real(x) : in[1].kind == V_MISSING ? value_real(0) : in[1];
    return rc < 0 ? rc : 0;
}

/* Python's round() to decimals, which rounds what the digits of the float are exactly. */
static int round_real(struct run *r, double x, int64_t precision, struct value *ret)
{
    char text[400];

    if (!isfinite(x) || precision > 300) {
        *ret = value_real(x);
        return 0;
    }
    if (precision < 0)
        return run_unsupported(r, "rounding a float to tens is not supported");
    snprintf(text, sizeof(text), "%.*f", (int)(precision < 60 ? precision : 60), x);
    if (precision >= 60)
        return run_unsupported(r, "rounding to %d digits is not supported", (int)precision);
    *ret = value_real(strtod(text, NULL));
    return 0;
}

static int round_int(struct run *r, int64_t i, int64_t precision, struct value *ret)
{
    int64_t unit = 1, rest;

    for (int64_t k = precision; k < 0; k++)
        if (__builtin_mul_overflow(unit, 10, &unit))
            return run_unsupported(r, "rounding to this precision is not supported");
    rest = i % unit;
    if (rest < 0)
        rest += unit;
    i -= rest;
    if (rest > unit - rest || (rest == unit - rest && unit > 1 && (i / unit) % 2 != 0))
        if (__builtin_add_overflow(i, unit, &i))
            return run_unsupported(r, "integers beyond 64 bits are not supported");
    *ret = value_int(i);
    return 0;
}

static int round_to(struct run *r, const struct value *v, int64_t precision, bool up,
                    struct value *ret)
{
    struct value power, scaled = {0}, rounded, ten = value_int(10), exponent = value_int(precision);
    double x;
    int rc = operate(r, T_POW, &ten, &exponent, &power);

    if (rc == 0)
        rc = operate(r, T_MUL, v, &power, &scaled);
    if (rc < 0)
        return rc;
    if (scaled.kind == V_FLOAT) {
        x = up ? ceil(scaled.real) : floor(scaled.real);
        if (!isfinite(x))
            return run_fail(r, "this number cannot be rounded");
        rounded = fabs(x) < 0x1p53 ? value_int((int64_t)x) : value_real(x);
    } else {
        rounded = scaled;
    }
    return operate(r, T_DIV, &rounded, &power, ret);
}

int filter_round(struct run *r, struct value *in, struct value *ret)
{
    struct str method = in[2].kind == V_STRING ? str_of(&in[2]) : STR("common");
    int64_t precision = 0;
    int rc = in->kind == V_UNDEFINED ? fail_undefined(r, in) : 0;

    if (rc == 0 && !is_number(in))
        rc = run_fail(r, "a %s cannot be rounded", kind_name(in));
    if (rc == 0 && in[2].kind != V_MISSING)
        rc = need_text(r, "round", &in[2]);
    if (rc == 0 && in[1].kind != V_MISSING) {
        rc = need_int(r, "round", &in[1]);
        precision = in[1].integer;
    }
    if (rc < 0)
        return rc;
    if (str_equal(method, STR("ceil")) || str_equal(method, STR("floor")))
        return round_to(r, in, precision, method.at[0] == 'c', ret);
    if (!str_equal(method, STR("common")))
        return run_fail(r, "the method of round must be common, ceil or floor");
    return in->kind == V_FLOAT ? round_real(r, in->real, precision, ret)
                               : round_int(r, in->integer, precision, ret);
}

/* Lines behind the first are indented, unless they are empty; with blank, these too. */
static int indent_lines(struct run *r, const struct value *lines, struct str indent, bool first,
                        bool blank, struct builder *b)
{
    int rc = first ? builder_str(r, b, indent) : 0;

    for (size_t i = 0; i < lines->len && rc == 0; i++) {
        struct str line = str_of(&lines->items[i]);
        rc = i > 0 ? builder_puts(r, b, "\n") : 0;
        if (rc == 0 && i > 0 && (blank || line.len > 0))
            rc = builder_str(r, b, indent);
        if (rc == 0)
            rc = builder_str(r, b, line);
    }
    return rc;
}

int filter_indent(struct run *r, struct value *in, struct value *ret)
{
    struct value lines, newline = value_text("\n", 1);
    struct builder indent = {0}, b = {0};
    int rc = in->kind == V_UNDEFINED ? fail_undefined(r, in) : need_text(r, "indent", in);

    if (rc == 0 && in->flags & MARKUP)
        return run_unsupported(r, "indent of a text that was escaped is not supported");
    if (rc == 0 && in[1].kind == V_STRING)
        rc = builder_str(r, &indent, str_of(&in[1]));
    else if (rc == 0 && in[1].kind != V_MISSING && !is_integral(&in[1]))
        rc = need_int(r, "indent", &in[1]);
    else if (rc == 0)
        rc = builder_repeat(r, &indent, STR(" "), in[1].kind == V_MISSING ? 4 : in[1].integer);
    if (rc == 0)
        rc = concat(r, in, &newline, in);
    if (rc == 0)
        rc = split_lines(r, in, false, &lines);
    if (rc == 0)
        rc = indent_lines(r, &lines, (struct str){indent.at, indent.len}, is_true(&in[2]),
                          is_true(&in[3]), &b);
    *ret = builder_value(&b);
    return rc;
}

int filter_truncate(struct run *r, struct value *in, struct value *ret)
{
    struct value end = in[3].kind == V_MISSING ? value_text("...", 3) : in[3], cut;
    int64_t length = in[1].kind == V_MISSING ? 255 : in[1].integer, leeway = 5, n = 0;
    struct str s = str_of(in);
    size_t keep, space;
    int rc = in->kind == V_STRING && end.kind == V_STRING &&
                     (in[1].kind == V_MISSING || is_integral(&in[1]))
                 ? 0
                 : run_unsupported(r, "truncate needs a text, an integer and a text");

    if (rc == 0 && (in->flags | end.flags) & MARKUP)
        return run_unsupported(r, "truncate of a text that was escaped is not supported");
    if (rc == 0 && in[4].kind != V_MISSING && in[4].kind != V_NONE) {
        rc = need_int(r, "truncate", &in[4]);
        leeway = in[4].integer;
    }
    if (rc < 0)
        return rc;
    n = (int64_t)text_count(str_of(&end));
    if (length < n || leeway < 0)
        return run_fail(r, "truncate needs a length of %jd or more and a leeway of 0 or more",
                        (intmax_t)n);
    *ret = *in;
    if ((int64_t)text_count(s) - length <= leeway)
        return run_steps(r, s.len / 64);
    keep = text_offset(s, (size_t)(length - n));
    space = is_true(&in[2]) ? SIZE_MAX : text_rfind(s, STR(" "), 0, keep);
    cut = value_text(s.at, space == SIZE_MAX ? keep : space);
    return concat(r, &cut, &end, ret);
}

int filter_wordcount(struct run *r, struct value *in, struct value *ret)
{
    static const unsigned word = CHAR_ALPHA | CHAR_DECIMAL | CHAR_DIGIT | CHAR_NUMERIC;
    struct str s;
    bool within = false;
    int64_t n = 0;
    size_t len;
    int rc = soft_text(r, in);

    s = str_of(in);
    for (size_t i = 0; rc == 0 && i < s.len; i += len) {
        uint32_t c = char_at(s.at + i, &len);
        bool is = c == '_' || char_properties(c) & word;
        n += is && !within;
        within = is;
    }
    *ret = value_int(n);
    return rc < 0 ? rc : run_steps(r, s.len / 16);
}

static int url_quote(struct run *r, struct builder *b, struct str s, bool query)
{
    int rc = 0;

    for (size_t i = 0; i < s.len && rc == 0; i++) {
        uint8_t c = (uint8_t)s.at[i];
        char code[8];
        bool safe = c < 0x80 && ((char_properties(c) & (CHAR_ALPHA | CHAR_DIGIT)) ||
                                 (c && strchr(query ? "_.-~" : "_.-~/", c)));
        snprintf(code, sizeof(code), "%%%02X", c);
        rc = safe ? builder_add(r, b, s.at + i, 1)
                  : builder_puts(r, b, query && c == ' ' ? "+" : code);
    }
    return rc;
}

static int url_pairs(struct run *r, const struct value *dict, struct builder *b)
{
    struct value key, item;
    void *at = NULL;
    int rc = 0;

    while (rc == 0 && (rc = dict_next(r, dict, &at, &key, &item)) > 0) {
        rc = b->len ? builder_puts(r, b, "&") : 0;
        if (rc == 0)
            rc = str_value(r, &key, &key);
        if (rc == 0)
            rc = url_quote(r, b, str_of(&key), true);
        if (rc == 0)
            rc = builder_puts(r, b, "=");
        if (rc == 0)
            rc = str_value(r, &item, &item);
        if (rc == 0)
            rc = url_quote(r, b, str_of(&item), true);
    }
    return rc;
}

int filter_urlencode(struct run *r, struct value *in, struct value *ret)
{
    struct builder b = {0};
    int rc;

    if (in->kind == V_DICT) {
        rc = url_pairs(r, in, &b);
    } else if (in->kind != V_STRING && is_iterable(in)) {
        return run_unsupported(r, "urlencode of a %s is not supported", kind_name(in));
    } else {
        rc = str_value(r, in, in);
        if (rc == 0)
            rc = url_quote(r, &b, str_of(in), false);
    }
    *ret = builder_value(&b);
    return rc;
}

int filter_format(struct run *r, struct args *args, struct value *ret)
{
    struct value values = {
        .kind = V_TUPLE, .len = (uint32_t)(args->n - 1), .items = args->items + 1};
    struct dict *d;
    int rc = soft_text(r, &args->items[0]);

    if (rc == 0 && args->n > 1 && args->n_named > 0)
        return run_fail(r, "format takes arguments either all with names or all without");
    if (rc == 0 && args->items[0].flags & MARKUP)
        return run_unsupported(r, "format of a text that was escaped is not supported");
    if (rc == 0 && args->n_named > 0) {
        d = dict_new(r);
        rc = d ? 0 : run_code(r);
        for (int i = 0; i < args->n_named && rc == 0; i++) {
            struct value name = value_str(args->names[i]);
            rc = dict_set(r, d, &name, &args->named[i]);
        }
        values = dict_value(d);
    }
    return rc < 0 ? rc : format_percent(r, str_of(&args->items[0]), &values, ret);
}
