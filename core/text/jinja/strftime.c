/* core/text/jinja/strftime.c - strftime_now(): the date that the caller set, in the words of the C
 * locale. As Python's, it has no name of a time zone, and fractions of a second are 0. */
#include "core/text/jinja/text.h"
#include <time.h>

static int put_directive(struct run *r, struct builder *b, const struct tm *tm, const char *format)
{
    char text[200];
    size_t n = strftime(text, sizeof(text) - 1, format, tm);

    return builder_add(r, b, text, n);
}

/* The directive behind a "%" at `at`; returns its bytes, or negative. */
static int directive(struct run *r, struct builder *b, const struct tm *tm, struct str format,
                     size_t at)
{
    bool flag = at + 1 < format.len && (format.at[at] == '-' || format.at[at] == '_');
    char one[4] = {'%', format.at[at], flag ? format.at[at + 1] : '\0', '\0'};
    char letter = format.at[at + flag];
    int rc = 0;

    if (letter == 'f')
        rc = builder_puts(r, b, "000000");
    else if (letter == '%')
        rc = builder_puts(r, b, "%");
    else if (letter && strchr("aAbBcCdDeFgGhHIjklmMnprRsStTuUVwWxXyY", letter))
        rc = put_directive(r, b, tm, one);
    else if (letter != 'z' && letter != 'Z')
        rc = run_unsupported(r, "a directive of strftime_now() is not supported");
    return rc < 0 ? rc : 1 + flag;
}

int strftime_text(struct run *r, struct str format, struct value *ret)
{
    struct builder b = {0};
    time_t seconds = (time_t)(r->options->now + r->options->utc_offset);
    struct tm tm;
    int n;

    if (r->options->now == JINJA_NO_DATE)
        return run_unsupported(r, "strftime_now() needs a date, and none is set");
    if (!gmtime_r(&seconds, &tm))
        return run_fail(r, "the date of strftime_now() is out of range");
    for (size_t i = 0; i < format.len; i += (size_t)n) {
        if (format.at[i] != '%')
            n = builder_add(r, &b, format.at + i, 1) < 0 ? run_code(r) : 1;
        else if (i + 1 == format.len)
            n = run_unsupported(r, "\"%%\" ends the format of strftime_now()");
        else
            n = directive(r, &b, &tm, format, i + 1);
        if (n < 0)
            return n;
        n += format.at[i] == '%';
    }
    *ret = builder_value(&b);
    return 0;
}
