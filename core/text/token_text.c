/* core/text/token_text.c - see token_text.h. */
#include "core/text/token_text.h"
#include "core/utf8.h"
#include <stdio.h>
#include <string.h>

enum { SHOWN_BYTES = 40 };

const char token_blank[] = "\xe2\x96\x81";

size_t token_text_unspell(const char *text, size_t len, char *out)
{
    size_t blank_len = strlen(token_blank), n = 0, at = 0;

    while (at < len) {
        bool blank = len - at >= blank_len && memcmp(text + at, token_blank, blank_len) == 0;
        out[n++] = blank ? ' ' : text[at];
        at += blank ? blank_len : 1;
    }
    return n;
}

void token_text_append(const char *text, size_t len, struct buf *out)
{
    char *at = buf_grow(out, len);

    if (!at)
        return;
    out->len -= len - token_text_unspell(text, len, at);
    out->data[out->len] = '\0';
}

bool token_is_run(const char *text, size_t len)
{
    size_t step = utf8_len((const uint8_t *)text, len);

    return step > 0 && memcmp(text, text + step, len - step) == 0;
}

struct shown_text token_text_show(const char *text, size_t len)
{
    char begin[SHOWN_BYTES];
    struct shown_text s = {""};
    struct buf out = {0};

    snprintf(begin, sizeof(begin), "%.*s", len < sizeof(begin) ? (int)len : SHOWN_BYTES, text);
    begin[utf8_fit(begin, sizeof(begin) - 1)] = '\0';
    utf8_escape(begin, UTF8_ONE_LINE, &out);
    snprintf(s.text, sizeof(s.text), "%s", out.data ? out.data : "");
    buf_free(&out);
    return s;
}
