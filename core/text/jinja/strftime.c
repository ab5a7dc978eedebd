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

int strftime_text(struct run *r, struct str format, struct value *ret)
{
    struct builder b = {0};
    time_t seconds = (time_t)(r->options->now + r->options->utc_offset);
    struct tm tm;
    int rc = 0;

    if (r->options->now == JINJA_NO_DATE)
        return run_unsupported(r, "strftime_now() needs a date, and none is set");
    if (!gmtime_r(&seconds, &tm))
        return run_fail(r, "the date of strftime_now() is out of range");
    for (size_t i = 0; i < format.len && rc == 0; i++) {
        char one[4] = "%", *c = one + 1;
        if (format.at[i] != '%' || i + 1 == format.len) {
            rc = format.at[i] == '%' ? run_unsupported(r, "\"%%\" ends the format of strftime_now()")
                                     : builder_add(r, &b, format.at + i, 1);
            continue;
        }
        i++;
        if ((format.at[i] == '-' || format.at[i] == '_') && i + 1 < format.len)
            *c++ = format.at[i++];
        *c = format.at[i];
        if (*c == 'f')
            rc = builder_puts(r, &b, "000000");
        else if (*c == '%')
            rc = builder_puts(r, &b, "%");
        else if (*c && strchr("aAbBcCdDeFgGhHIjklmMnprRsStTuUVwWxXyY", *c))
            rc = put_directive(r, &b, &tm, one);
        else if (*c != 'z' && *c != 'Z')
            rc = run_unsupported(r, "a directive of strftime_now() is not supported");
    }
    *ret = builder_value(&b);
    return rc;
}
