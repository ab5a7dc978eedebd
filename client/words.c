/* client/words.c - see words.h. Widths are counted in columns of a terminal, not in bytes: names
 * may be in any script. */
#include "client/words.h"
#include "core/duration.h"
#include <langinfo.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

void words_decomposition(const Dash__V1__Decomposition *d, char *out, size_t size)
{
    char time[32];

    duration_words(d->seconds_left, time, sizeof(time));
    if (d->seconds_left > 0)
        snprintf(out, size, "%u of %u matrices decomposed, %s left", d->done, d->matrices, time);
    else
        snprintf(out, size, "%u of %u matrices decomposed", d->done, d->matrices);
}

void words_time(int64_t unix_ms, char *out, size_t size)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;

    localtime_r(&seconds, &tm);
    strftime(out, size, "%Y-%m-%d %H:%M:%S", &tm);
}

const char *words_state(Dash__V1__JobState state)
{
    const ProtobufCEnumValue *v =
        protobuf_c_enum_descriptor_get_value(&dash__v1__job_state__descriptor, (int)state);

    return v ? v->name : "UNKNOWN";
}

bool words_is_final(Dash__V1__JobState state)
{
    return state == DASH__V1__JOB_STATE__SUCCEEDED || state == DASH__V1__JOB_STATE__FAILED ||
           state == DASH__V1__JOB_STATE__CANCELLED;
}

bool words_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* Bytes of the next character and the columns it takes; a byte that begins none counts as one
 * column. */
static size_t next_character(const char *text, int *ret_columns)
{
    mbstate_t state = {0};
    wchar_t c;
    size_t n = mbrtowc(&c, text, MB_LEN_MAX, &state);

    if (n == 0 || n > MB_LEN_MAX) {
        *ret_columns = 1;
        return 1;
    }
    *ret_columns = wcwidth(c) > 0 ? wcwidth(c) : 0;
    return n;
}

size_t words_cut(const char *text, int columns)
{
    size_t at = 0, n;
    int width;

    while (text[at]) {
        n = next_character(text + at, &width);
        if (width > columns)
            break;
        columns -= width;
        at += n;
    }
    return at;
}

int words_columns(const char *text)
{
    int columns = 0, width;

    while (*text) {
        text += next_character(text, &width);
        columns += width;
    }
    return columns;
}
