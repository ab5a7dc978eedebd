/* core/text/jinja/operators.c - see data.h: + - * / // % ** and signs. Integers are exact in 64
 * bits, where Python has no limit: what leaves them is refused. */
#include "core/text/jinja/data.h"
#include "core/text/jinja/text.h"
#include <math.h>

static int beyond(struct run *r)
{
    return run_unsupported(r, "integers beyond 64 bits are not supported");
}

static int no_operator(struct run *r, const char *op, const struct value *a, const struct value *b)
{
    return run_fail(r, "\"%s\" does not work on a %s and a %s", op, kind_name(a), kind_name(b));
}

static double real_of(const struct value *v)
{
    return v->kind == V_FLOAT ? v->real : (double)v->integer;
}

static bool integral(const struct value *a, const struct value *b)
{
    return is_integral(a) && is_integral(b);
}

static int join_lists(struct run *r, const struct value *a, const struct value *b,
                      struct value *ret)
{
    struct vector v = {0};
    int rc = vector_of(r, a, &v);

    if (rc == 0)
        rc = vector_of(r, b, &v);
    if (rc == 0)
        *ret = vector_list(&v, a->kind);
    return rc;
}

static int add(struct run *r, const struct value *a, const struct value *b, struct value *ret)
{
    int64_t sum;

    if (a->kind == V_STRING && b->kind == V_STRING)
        return concat(r, a, b, ret);
    if (is_sequence(a) && a->kind == b->kind)
        return join_lists(r, a, b, ret);
    if (!is_number(a) || !is_number(b))
        return no_operator(r, "+", a, b);
    if (!integral(a, b))
        *ret = value_real(real_of(a) + real_of(b));
    else if (__builtin_add_overflow(a->integer, b->integer, &sum))
        return beyond(r);
    else
        *ret = value_int(sum);
    return 0;
}

static int subtract(struct run *r, const struct value *a, const struct value *b, struct value *ret)
{
    int64_t difference;

    if (a->kind == V_VIEW || b->kind == V_VIEW)
        return run_unsupported(r, "sets are not supported");
    if (!is_number(a) || !is_number(b))
        return no_operator(r, "-", a, b);
    if (!integral(a, b))
        *ret = value_real(real_of(a) - real_of(b));
    else if (__builtin_sub_overflow(a->integer, b->integer, &difference))
        return beyond(r);
    else
        *ret = value_int(difference);
    return 0;
}

static int repeat(struct run *r, const struct value *what, const struct value *times,
                  struct value *ret)
{
    struct builder b = {0};
    struct vector v = {0};
    int rc = 0;

    if (what->kind == V_STRING) {
        rc = builder_repeat(r, &b, str_of(what), times->integer);
        if (rc < 0)
            return rc;
        *ret = builder_value(&b);
        ret->flags = what->flags;
        return 0;
    }
    for (int64_t i = 0; i < times->integer && what->len > 0 && rc == 0; i++)
        rc = vector_of(r, what, &v);
    if (rc == 0)
        *ret = vector_list(&v, what->kind);
    return rc;
}

static int multiply(struct run *r, const struct value *a, const struct value *b, struct value *ret)
{
    int64_t product;

    if ((is_sequence(a) || a->kind == V_STRING) && is_integral(b))
        return repeat(r, a, b, ret);
    if ((is_sequence(b) || b->kind == V_STRING) && is_integral(a))
        return repeat(r, b, a, ret);
    if (!is_number(a) || !is_number(b))
        return no_operator(r, "*", a, b);
    if (!integral(a, b))
        *ret = value_real(real_of(a) * real_of(b));
    else if (__builtin_mul_overflow(a->integer, b->integer, &product))
        return beyond(r);
    else
        *ret = value_int(product);
    return 0;
}

static int check_divisor(struct run *r, const char *op, const struct value *a,
                         const struct value *b)
{
    if (!is_number(a) || !is_number(b))
        return no_operator(r, op, a, b);
    return real_of(b) == 0 ? run_fail(r, "division by zero") : 0;
}

static int divide(struct run *r, const struct value *a, const struct value *b, struct value *ret)
{
    static const int64_t exact = (int64_t)1 << 53;
    int rc = check_divisor(r, "/", a, b);

    if (rc < 0)
        return rc;
    if (integral(a, b) &&
        (a->integer > exact || a->integer < -exact || b->integer > exact || b->integer < -exact))
        return run_unsupported(r, "dividing integers beyond 53 bits is not supported");
    *ret = value_real(real_of(a) / real_of(b));
    return 0;
}

/* Python's divmod() of floats. */
static void divide_reals(double a, double b, double *quotient, double *rest)
{
    double mod = fmod(a, b), div = (a - mod) / b, floored;

    if (mod != 0) {
        if ((b < 0) != (mod < 0)) {
            mod += b;
            div -= 1;
        }
    } else {
        mod = copysign(0, b);
    }
    if (div == 0) {
        *quotient = copysign(0, a / b);
    } else {
        floored = floor(div);
        *quotient = div - floored > 0.5 ? floored + 1 : floored;
    }
    *rest = mod;
}

static int floor_divide(struct run *r, const struct value *a, const struct value *b,
                        struct value *ret)
{
    int rc = check_divisor(r, "//", a, b);
    double quotient, rest;

    if (rc < 0)
        return rc;
    if (!integral(a, b)) {
        divide_reals(real_of(a), real_of(b), &quotient, &rest);
        *ret = value_real(quotient);
    } else if (b->integer == -1) {
        return negate(r, a, true, ret);
    } else {
        int64_t q = a->integer / b->integer, m = a->integer % b->integer;
        *ret = value_int(m != 0 && (m < 0) != (b->integer < 0) ? q - 1 : q);
    }
    return 0;
}

static int modulo(struct run *r, const struct value *a, const struct value *b, struct value *ret)
{
    double quotient, rest;
    int rc;

    if (a->kind == V_STRING && a->flags & MARKUP)
        return run_unsupported(r, "\"%%\" on a text that was escaped is not supported");
    if (a->kind == V_STRING)
        return format_percent(r, str_of(a), b, ret);
    rc = check_divisor(r, "%", a, b);
    if (rc < 0)
        return rc;
    if (!integral(a, b)) {
        divide_reals(real_of(a), real_of(b), &quotient, &rest);
        *ret = value_real(rest);
    } else if (b->integer == -1) {
        *ret = value_int(0);
    } else {
        int64_t m = a->integer % b->integer;
        *ret = value_int(m != 0 && (m < 0) != (b->integer < 0) ? m + b->integer : m);
    }
    return 0;
}

static int power_of_ints(struct run *r, int64_t base, int64_t exponent, struct value *ret)
{
    int64_t x = 1;

    if (base == 0 || base == 1 || base == -1) {
        x = exponent == 0 ? 1 : base == -1 && exponent % 2 == 0 ? 1 : base;
        *ret = value_int(x);
        return 0;
    }
    for (int64_t i = 0; i < exponent; i++) /* 63 rounds at most */
        if (__builtin_mul_overflow(x, base, &x))
            return beyond(r);
    *ret = value_int(x);
    return 0;
}

static int power(struct run *r, const struct value *a, const struct value *b, struct value *ret)
{
    double x, base, exponent;

    if (!is_number(a) || !is_number(b))
        return no_operator(r, "**", a, b);
    if (integral(a, b) && b->integer >= 0)
        return power_of_ints(r, a->integer, b->integer, ret);
    base = real_of(a);
    exponent = real_of(b);
    if (base == 0 && exponent < 0)
        return run_fail(r, "0 has no negative power");
    if (base < 0 && isfinite(base) && isfinite(exponent) && floor(exponent) != exponent)
        return run_unsupported(r, "complex numbers are not supported");
    x = pow(base, exponent);
    if (isinf(x) && isfinite(base) && isfinite(exponent))
        return run_fail(r, "the result of \"**\" is too large");
    *ret = value_real(x);
    return 0;
}

int operate(struct run *r, int op, const struct value *a, const struct value *b, struct value *ret)
{
    bool format = op == T_MOD && a->kind == V_STRING;

    if (a->kind == V_UNDEFINED)
        return fail_undefined(r, a);
    if (b->kind == V_UNDEFINED && !format)
        return fail_undefined(r, b);
    switch (op) {
    case T_ADD:
        return add(r, a, b, ret);
    case T_SUB:
        return subtract(r, a, b, ret);
    case T_MUL:
        return multiply(r, a, b, ret);
    case T_DIV:
        return divide(r, a, b, ret);
    case T_FLOORDIV:
        return floor_divide(r, a, b, ret);
    case T_MOD:
        return modulo(r, a, b, ret);
    default:
        return power(r, a, b, ret);
    }
}

int negate(struct run *r, const struct value *v, bool minus, struct value *ret)
{
    if (v->kind == V_UNDEFINED)
        return fail_undefined(r, v);
    if (!is_number(v))
        return run_fail(r, "a %s has no sign", kind_name(v));
    if (v->kind == V_FLOAT)
        *ret = value_real(minus ? -v->real : v->real);
    else if (minus && v->integer == INT64_MIN)
        return beyond(r);
    else
        *ret = value_int(minus ? -v->integer : v->integer);
    return 0;
}
