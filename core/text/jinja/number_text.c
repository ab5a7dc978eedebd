/* core/text/jinja/number_text.c - see text.h: numbers as Python writes and reads them. The shortest
 * digits of a float are the fewest that the C library rounds back to it; Python writes them with an
 * exponent below 1e-4 and from 1e16. */
#include "core/text/jinja/python_text.h"
#include "core/text/jinja/text.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

int int_text(int64_t i, char *out)
{
    char digits[24];
    int n = 0, len = 0;
    uint64_t u = i < 0 ? -(uint64_t)i : (uint64_t)i;

    do
        digits[n++] = (char)('0' + u % 10);
    while ((u /= 10) > 0);
    if (i < 0)
        out[len++] = '-';
    while (n > 0)
        out[len++] = digits[--n];
    return len;
}

/* Digits of |x| without a point, and its decimal exponent: 0.d1d2... * 10^exponent. */
static int shortest(double x, char *digits, int *exponent)
{
    char text[40] = "", *e;
    int n = 0;

    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision, x);
        if (strtod(text, NULL) == x)
            break;
    }
    e = strchr(text, 'e');
    for (char *p = text; p < e; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    *exponent = (int)strtol(e + 1, NULL, 10) + 1;
    return n;
}

static int with_exponent(char *out, const char *digits, int n, int exponent)
{
    int len = sprintf(out, "%c%s%.*s", digits[0], n > 1 ? "." : "", n - 1, digits + 1);

    return len + sprintf(out + len, "e%c%02d", exponent < 1 ? '-' : '+', abs(exponent - 1));
}

static int without_exponent(char *out, const char *digits, int n, int exponent)
{
    int len = 0;

    if (exponent <= 0)
        len = sprintf(out, "0.");
    for (int i = exponent; i < 0; i++)
        out[len++] = '0';
    for (int i = 0; i < n || i < exponent; i++) {
        if (i == exponent && i > 0)
            out[len++] = '.';
        out[len++] = i < n ? digits[i] : '0';
    }
    if (exponent >= n)
        len += sprintf(out + len, ".0");
    return len;
}

int real_text(double x, char *out)
{
    char digits[40] = "";
    int exponent, n, len = 0;

    if (isnan(x))
        return sprintf(out, "nan");
    if (signbit(x))
        out[len++] = '-';
    if (isinf(x))
        return len + sprintf(out + len, "inf");
    n = shortest(fabs(x), digits, &exponent);
    if (x != 0 && (exponent < -3 || exponent > 16))
        return len + with_exponent(out + len, digits, n, exponent);
    return len + without_exponent(out + len, digits, n, exponent);
}

/* Copies a number without the underscores between its digits. false: it is none. */
static bool clean_number(struct str s, char *out, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        bool digits = i > 0 && i + 1 < s.len && isxdigit((unsigned char)s.at[i - 1]) &&
                      isxdigit((unsigned char)s.at[i + 1]);
        if (s.at[i] == '_' && !digits)
            return false;
        if (s.at[i] != '_' && n + 1 == room)
            return false;
        if (s.at[i] != '_')
            out[n++] = s.at[i];
    }
    out[n] = '\0';
    return strlen(out) == n;
}

/* Whether a text has digits of another script, which Python reads. */
static bool foreign_digits(struct str s)
{
    size_t len;

    for (size_t i = 0; i < s.len; i += len)
        if (char_at(s.at + i, &len) >= 0x80 &&
            (char_properties(char_at(s.at + i, &len)) & CHAR_DECIMAL))
            return true;
    return false;
}

static bool is_real(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    size_t n = strspn(p, "0123456789"), fraction;

    if (strcasecmp(p, "inf") == 0 || strcasecmp(p, "infinity") == 0 || strcasecmp(p, "nan") == 0)
        return true;
    p += n;
    fraction = *p == '.' ? strspn(p + 1, "0123456789") : 0;
    p += *p == '.' ? 1 + fraction : 0;
    if (n + fraction == 0)
        return false;
    if ((*p | 32) == 'e') {
        p += p[1] == '+' || p[1] == '-' ? 2 : 1;
        n = strspn(p, "0123456789");
        if (n == 0)
            return false;
        p += n;
    }
    return *p == '\0';
}

enum { NUMBER_MOST = 400 };

/* 1: the text is short and ASCII where it matters; 0: it is not a number; negative: Python alone
 * knows. */
static int check_text(struct run *r, struct str s)
{
    size_t plain = 0;

    if (run_steps(r, s.len / 8) < 0)
        return run_code(r);
    if (foreign_digits(s))
        return run_unsupported(r, "digits that are not ASCII are not supported");
    if (s.len < NUMBER_MOST)
        return 1;
    while (plain < s.len && (isalnum((unsigned char)s.at[plain]) || s.at[plain] == '_' ||
                             s.at[plain] == '.' || s.at[plain] == '-' || s.at[plain] == '+'))
        plain++;
    return plain < s.len ? 0
                         : run_unsupported(r, "a number with that many digits is not supported");
}

int parse_real(struct run *r, struct str s, double *ret)
{
    char text[NUMBER_MOST] = "";
    int rc;

    s = text_strip(s, true, true);
    rc = check_text(r, s);
    if (rc <= 0)
        return rc;
    for (size_t i = 0; i < s.len; i++) /* underscores stand between decimal digits */
        if (s.at[i] == '_' && (i == 0 || i + 1 == s.len || s.at[i - 1] < '0' || s.at[i - 1] > '9' ||
                               s.at[i + 1] < '0' || s.at[i + 1] > '9'))
            return 0;
    if (!clean_number(s, text, sizeof(text)) || !is_real(text))
        return 0;
    *ret = strtod(text, NULL);
    return 1;
}

/* Skips "0x" and the like, where the base allows it; sets the base where it is 0. */
static const char *skip_prefix(const char *p, int64_t *base)
{
    int prefixed = p[0] != '0'          ? 0
                   : (p[1] | 32) == 'x' ? 16
                   : (p[1] | 32) == 'o' ? 8
                   : (p[1] | 32) == 'b' ? 2
                                        : 0;

    if (prefixed && (*base == 0 || *base == prefixed)) {
        *base = prefixed;
        return p + 2;
    }
    if (*base == 0)
        *base = p[0] == '0' && strspn(p, "0") != strlen(p) ? -1 : 10;
    return p;
}

int parse_int(struct run *r, struct str s, int64_t base, int64_t *ret)
{
    char text[NUMBER_MOST] = "", *end;
    const char *p;
    int rc;

    if (base != 0 && (base < 2 || base > 36))
        return 0;
    s = text_strip(s, true, true);
    rc = check_text(r, s);
    if (rc > 0 && base > 16 && memchr(s.at, '_', s.len))
        rc = run_unsupported(r, "underscores in a number of this base are not supported");
    if (rc <= 0)
        return rc;
    if (!clean_number(s, text, sizeof(text)))
        return 0;
    p = text + (*text == '-' || *text == '+');
    p = skip_prefix(p, &base);
    if (base < 0 || !isalnum((unsigned char)*p))
        return 0;
    if (base != 10 && (p[1] | 32) == 'x')
        return 0; /* strtoll() would read a prefix */
    errno = 0;
    *ret = strtoll(p, &end, (int)base);
    if (*end)
        return 0;
    if (errno == ERANGE)
        return run_unsupported(r, "integers beyond 64 bits are not supported");
    if (text[0] == '-')
        *ret = -*ret;
    return 1;
}
