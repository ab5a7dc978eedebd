/* worker/stream.c - see stream.h. The whole answer is decoded at each token: how a token reads can
 * depend on the one before, and answers are short beside what computes them. */
#include "worker/stream.h"
#include "core/utf8.h"
#include <string.h>

void stream_free(struct stream *s)
{
    token_list_free(&s->ids);
    buf_free(&s->text);
}

static void find_stop(struct stream *s)
{
    for (int i = 0; i < s->stops.n; i++) {
        char *at = strstr(s->text.data, s->stops.texts[i]);
        if (!at)
            continue;
        *at = '\0';
        s->text.len = (size_t)(at - s->text.data);
        s->ended = true;
    }
}

int stream_add(struct stream *s, int32_t id, struct err *err)
{
    int rc = token_list_push(&s->ids, id, 0, err);

    s->text.len = 0;
    if (rc == 0)
        rc = tokenizer_decode(s->tokenizer, s->ids.ids, s->ids.n, true, &s->text, err);
    buf_puts(&s->text, "");
    if (rc == 0 && s->text.failed)
        rc = err_nomem(err, s->text.cap);
    if (rc == 0)
        find_stop(s);
    return rc;
}

/* Bytes at the end of the text with which a stop text begins. */
static size_t begun(const struct stream *s)
{
    size_t most = 0;

    for (int i = 0; i < s->stops.n; i++) {
        size_t len = strlen(s->stops.texts[i]) - 1;
        len = len < s->text.len ? len : s->text.len;
        while (len > most && memcmp(s->text.data + s->text.len - len, s->stops.texts[i], len) != 0)
            len--;
        most = len > most ? len : most;
    }
    return most;
}

const char *stream_take(struct stream *s, bool last, size_t *ret_len)
{
    size_t end = s->text.len, from = s->given;

    if (!last && !s->ended) {
        size_t stop = begun(s), cut = utf8_cut_bytes(s->text.data ? s->text.data : "", end);
        end -= stop > cut ? stop : cut;
    }
    *ret_len = end > from ? end - from : 0;
    s->given += *ret_len;
    return s->text.data ? s->text.data + from : "";
}
