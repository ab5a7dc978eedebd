/* core/text/jinja/format_number.c - see format_number.h. The digits are those of the C library, and
 * sign, prefix and fill are put around them. */
#include "core/text/jinja/format_number.h"
#include "core/text/jinja/data.h"
#include "core/text/jinja/python_text.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>

enum { DIGITS_MOST = 500, PRECISION_MOST = 100 };

bool read_digits(struct str s, size_t *at, int64_t *ret)
{
    *ret = 0;
    for (; *at < s.len && s.at[*at] >= '0' && s.at[*at] <= '9'; (*at)++) {
        *ret = *ret * 10 + (s.at[*at] - '0');
        if (*ret > INT32_MAX)
            return false;
    }
    return true;
}

/* Fills to the width: before the sign, between sign and digits ('='), behind, or around. */
static int put_filled(struct run *r, struct builder *b, const struct number_form *form,
                      struct str head, struct str body, char align)
{
    struct str fill = form->fill.len ? form->fill : STR(" ");
    int64_t pad = form->width - (int64_t)(text_count(head) + text_count(body));
    int64_t left = align == '>' ? pad : align == '^' ? pad / 2 : 0;
    int rc = builder_repeat(r, b, fill, left);

    if (rc == 0)
        rc = builder_str(r, b, head);
    if (rc == 0 && align == '=')
        rc = builder_repeat(r, b, fill, pad);
    if (rc == 0)
        rc = builder_str(r, b, body);
    if (rc == 0 && (align == '<' || align == '^'))
        rc = builder_repeat(r, b, fill, pad - left);
    return rc;
}

int format_text(struct run *r, struct builder *b, struct str s, const struct number_form *form,
                char align)
{
    if (form->precision >= 0)
        s.len = text_offset(s, (size_t)form->precision);
    return put_filled(r, b, form, STR(""), s, form->align ? form->align : align);
}

static int int_digits(struct run *r, const struct value *v, const struct number_form *form,
                      char *out)
{
    uint64_t u = v->integer < 0 ? -(uint64_t)v->integer : (uint64_t)v->integer;
    int least = form->precision < 0 ? 0 : (int)form->precision, n = 0;

    if (form->type == 'b') {
        int top = 63;
        while (top > 0 && !(u >> top & 1))
            top--;
        for (; top >= 0; top--)
            out[n++] = (char)('0' + (u >> top & 1));
        return n;
    }
    if (least > PRECISION_MOST)
        return run_unsupported(r, "a precision above %d is not supported", PRECISION_MOST);
    switch (form->type) {
    case 'x':
        return snprintf(out, DIGITS_MOST, "%.*jx", least, (uintmax_t)u);
    case 'X':
        return snprintf(out, DIGITS_MOST, "%.*jX", least, (uintmax_t)u);
    case 'o':
        return snprintf(out, DIGITS_MOST, "%.*jo", least, (uintmax_t)u);
    default:
        n = snprintf(out, DIGITS_MOST, "%.*ju", least, (uintmax_t)u);
        return u == 0 && least == 0 ? snprintf(out, DIGITS_MOST, "0") : n;
    }
}

static int real_digits(struct run *r, double x, const struct number_form *form, char *out)
{
    char pattern[] = "%.*f";
    int precision = form->precision < 0 ? 6 : (int)form->precision;

    if (form->precision > PRECISION_MOST)
        return run_unsupported(r, "a precision above %d is not supported", PRECISION_MOST);
    if (form->alternate)
        return run_unsupported(r, "the flag # of a float is not supported");
    if (!isfinite(x) && isupper((unsigned char)form->type))
        return snprintf(out, DIGITS_MOST, isnan(x) ? "NAN" : "INF");
    if (!isfinite(x))
        return snprintf(out, DIGITS_MOST, isnan(x) ? "nan" : "inf");
    pattern[3] = form->type == '%' ? 'f' : form->type;
    return snprintf(out, DIGITS_MOST, pattern, precision, form->type == '%' ? x * 100 : x);
}

/* Thousands, or fours of hexadecimal and the like. */
static int put_groups(struct run *r, const struct number_form *form, char *digits, int n)
{
    int whole = (int)strspn(digits, "0123456789"), commas = (whole - 1) / 3;

    if (!form->group || whole == 0)
        return n;
    if (strchr("xXob", form->type) && form->type)
        return run_unsupported(r, "digits in groups are not supported here");
    if (form->fill.len == 1 && form->fill.at[0] == '0' && form->width > 0)
        return run_unsupported(r, "digits in groups behind zeros are not supported");
    memmove(digits + whole + commas, digits + whole, (size_t)(n - whole) + 1);
    for (int i = whole - 1, to = whole + commas - 1, k = 1; i >= 0 && to > i; i--, k++) {
        digits[to--] = digits[i];
        if (k % 3 == 0)
            digits[to--] = form->group;
    }
    return n + commas;
}

int format_number(struct run *r, struct builder *b, const struct value *v,
                  const struct number_form *form)
{
    bool real = v->kind == V_FLOAT;
    bool negative = real ? signbit(v->real) && !isnan(v->real) : v->integer < 0;
    char digits[DIGITS_MOST + 200], head[4] = "";
    int n = real ? real_digits(r, fabs(v->real), form, digits) : int_digits(r, v, form, digits);
    int len = 0;

    if (n >= 0 && n < DIGITS_MOST)
        n = put_groups(r, form, digits, n);
    if (n < 0 || n >= DIGITS_MOST + 199)
        return n < 0 ? n : run_unsupported(r, "a number with that many digits is not supported");
    if (negative)
        head[len++] = '-';
    else if (form->sign == '+' || form->sign == ' ')
        head[len++] = form->sign;
    if (form->alternate && !real && strchr("xXob", form->type) && form->type) {
        head[len++] = '0';
        head[len++] = form->type;
    }
    if (form->type == '%')
        digits[n++] = '%';
    return put_filled(r, b, form, (struct str){head, (size_t)len}, (struct str){digits, (size_t)n},
                      form->align ? form->align : '>');
}
