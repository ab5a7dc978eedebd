/* core/text/jinja/lexer_strings.c - see lexer_strings.h. Digits may be parted by single
 * underscores. A number is a float if a fraction or an exponent follows its digits. */
#include "core/text/jinja/lexer_strings.h"
#include "core/text/jinja/python_text.h"
#include "core/utf8.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

static char at_or_nul(struct str s, size_t at)
{
    return at < s.len ? s.at[at] : 0;
}

/* Where digits with single underscores between them end; `at` where there is no digit. */
static size_t digits_end(struct str s, size_t at, int base)
{
    if (digit_of(at_or_nul(s, at)) >= base)
        return at;
    for (at++;; at++) {
        if (at_or_nul(s, at) == '_' && digit_of(at_or_nul(s, at + 1)) < base)
            continue;
        if (digit_of(at_or_nul(s, at)) >= base)
            return at;
    }
}

/* Where the fraction and exponent behind the digits end; `at`: there is neither. */
static size_t float_end(struct str s, size_t at)
{
    size_t end = at, exponent;

    if (at_or_nul(s, at) == '.')
        end = digits_end(s, at + 1, 10);
    if (end == at + 1)
        end = at;
    if ((at_or_nul(s, end) | 32) != 'e')
        return end;
    exponent = end + 1;
    if (at_or_nul(s, exponent) == '+' || at_or_nul(s, exponent) == '-')
        exponent++;
    return digits_end(s, exponent, 10) > exponent ? digits_end(s, exponent, 10) : end;
}

static double read_real(struct str s, const char **why)
{
    char text[400];
    size_t n = 0;
    double x;

    for (size_t i = 0; i < s.len && n + 1 < sizeof(text); i++)
        if (s.at[i] != '_')
            text[n++] = s.at[i];
    text[n] = '\0';
    x = strtod(text, NULL);
    if (!isfinite(x) || s.len >= sizeof(text))
        *why = "the number is too large or too long";
    return x;
}

/* Base and first digit of an integer. */
static int base_at(struct str s, size_t at, size_t *digits)
{
    char c = (char)(at_or_nul(s, at + 1) | 32);
    int base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;

    *digits = at;
    if (base == 10 || s.at[at] != '0')
        return 10;
    *digits = at_or_nul(s, at + 2) == '_' ? at + 3 : at + 2;
    if (digit_of(at_or_nul(s, *digits)) < base)
        return base;
    *digits = at;
    return 10;
}

static size_t zeros_end(struct str s, size_t at)
{
    size_t end = at + 1;

    while (at_or_nul(s, end) == '0' || (at_or_nul(s, end) == '_' && at_or_nul(s, end + 1) == '0'))
        end++;
    return end;
}

size_t jinja_read_number(struct str s, size_t at, bool *ret_real, int64_t *integer, double *real,
                         const char **why)
{
    size_t end = digits_end(s, at, 10), first;
    bool after_dot = at > 0 && s.at[at - 1] == '.';
    int64_t x = 0;
    int base;

    *ret_real = !after_dot && float_end(s, end) > end;
    if (*ret_real) {
        end = float_end(s, end);
        *real = read_real((struct str){s.at + at, end - at}, why);
        return end - at;
    }
    base = base_at(s, at, &first);
    end = base == 10 && s.at[at] == '0' ? zeros_end(s, at) : digits_end(s, first, base);
    for (size_t i = first; i < end; i++)
        if (s.at[i] != '_' && (__builtin_mul_overflow(x, base, &x) ||
                               __builtin_add_overflow(x, digit_of(s.at[i]), &x)))
            *why = "integers beyond 64 bits are not supported";
    *integer = x;
    return end - at;
}

/* Hexadecimal digits of \x, \u and \U. */
static size_t read_hex(struct str s, size_t at, size_t digits, uint32_t *code)
{
    *code = 0;
    for (size_t i = 0; i < digits; i++) {
        int d = digit_of(at_or_nul(s, at + i));
        if (d >= 16)
            return 0;
        *code = *code << 4 | (uint32_t)d;
    }
    return digits;
}

static size_t read_octal(struct str s, size_t at, uint32_t *code)
{
    size_t n = 0;

    for (*code = 0; n < 3 && digit_of(at_or_nul(s, at + n)) < 8; n++)
        *code = *code << 3 | (uint32_t)digit_of(s.at[at + n]);
    return n;
}

/* The character of an escape whose letter is at `at`; returns its bytes, 0: it is none. */
static size_t read_code(struct str s, size_t at, uint32_t *code, const char **why)
{
    char c = s.at[at];
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0, n;

    if (digits == 0)
        return read_octal(s, at, code);
    n = read_hex(s, at + 1, digits, code);
    if (n == 0)
        *why = "an escape lacks hexadecimal digits";
    else if (*code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
        *why = "an escape is not a character";
    return n + 1;
}

/* A character behind a backslash that Python escapes before it resolves escapes. */
static size_t put_foreign(struct str s, size_t at, char *out, size_t *n)
{
    size_t len;
    uint32_t code = char_at(s.at + at, &len);

    *n += (size_t)sprintf(out + *n,
                          code < 0x100     ? "\\x%02x"
                          : code < 0x10000 ? "\\u%04x"
                                           : "\\U%08x",
                          code);
    return len;
}

/* The escape whose letter is at `at`: returns the bytes that it takes behind the backslash. */
static size_t unescape_one(struct str s, size_t at, char *out, size_t *n, const char **why)
{
    static const char letters[] = "abfnrtv\\'\"", meant[] = "\a\b\f\n\r\t\v\\'\"";
    const char *letter = s.at[at] ? strchr(letters, s.at[at]) : NULL;
    uint32_t code;
    size_t len;

    if (letter) {
        out[(*n)++] = meant[letter - letters];
        return 1;
    }
    if (s.at[at] == '\n')
        return 1;
    if (s.at[at] == 'N')
        *why = "the escape \\N is not supported";
    len = read_code(s, at, &code, why);
    if (len > 0) {
        *n += *why ? 0 : utf8_put(code, out + *n);
        return len;
    }
    if ((uint8_t)s.at[at] >= 0x80)
        return put_foreign(s, at, out, n);
    out[(*n)++] = '\\';
    out[(*n)++] = s.at[at];
    return 1;
}

size_t jinja_unescape(struct str s, char *out, const char **why)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len && !*why;) {
        if (s.at[i] == '\\') /* a string does not end with one */
            i += 1 + unescape_one(s, i + 1, out, &n, why);
        else
            out[n++] = s.at[i++];
    }
    return n;
}
