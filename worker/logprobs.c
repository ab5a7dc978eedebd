/* worker/logprobs.c - see logprobs.h. */
#include "worker/logprobs.h"
#include "core/utf8.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct logprobs {
    int V;
    double log_sum; /* of exp(logits) */
    float logits[];
};

int logprobs_open(int V, struct logprobs **ret, struct err *err)
{
    struct logprobs *l = malloc(sizeof(*l) + (size_t)V * sizeof(float));

    if (!l)
        return err_nomem(err, (size_t)V * sizeof(float));
    l->V = V;
    *ret = l;
    return 0;
}

void logprobs_close(struct logprobs *l)
{
    free(l);
}

void logprobs_keep(struct logprobs *l, const float *logits)
{
    double others = 0; /* than one that is the largest */
    int i, top = 0;

    memcpy(l->logits, logits, (size_t)l->V * sizeof(float));
    for (i = 1; i < l->V; i++)
        top = logits[i] > logits[top] ? i : top;
    for (i = 0; i < l->V; i++)
        others += i == top ? 0 : exp((double)logits[i] - (double)logits[top]);
    l->log_sum = (double)logits[top] + log1p(others);
}

/* The n largest, in order, ties to the lower id. */
static void find_top(const struct logprobs *l, int32_t *top, int n)
{
    int found = 0, at;
    int32_t i;

    for (i = 0; i < l->V && n > 0; i++) {
        if (found == n && !(l->logits[i] > l->logits[top[n - 1]]))
            continue;
        for (at = found < n ? found++ : n - 1; at > 0 && l->logits[i] > l->logits[top[at - 1]];
             at--)
            top[at] = top[at - 1];
        top[at] = i;
    }
}

static json_t *one(const struct logprobs *l, const struct tokenizer *t, int32_t id)
{
    struct buf text = {0};
    json_t *bytes = json_array(), *made = NULL;
    size_t i;

    buf_puts(&text, "");
    if (tokenizer_decode(t, &id, 1, false, &text, NULL) == 0 && !text.failed) {
        for (i = 0; i < text.len; i++)
            json_array_append_new(bytes, json_integer((unsigned char)text.data[i]));
        utf8_make_valid(text.data, text.len);
        made = json_pack("{s:s, s:f, s:O}", "token", text.data, "logprob",
                         (double)l->logits[id] - l->log_sum, "bytes", bytes);
    }
    json_decref(bytes);
    buf_free(&text);
    return made;
}

json_t *logprobs_of(const struct logprobs *l, const struct tokenizer *t, int32_t id, int n_top)
{
    int32_t top[LOGPROBS_TOP_MAX];
    json_t *made = one(l, t, id), *list = json_array();
    int n = n_top < LOGPROBS_TOP_MAX ? n_top : LOGPROBS_TOP_MAX, i;

    n = n < l->V ? n : l->V;
    find_top(l, top, n);
    for (i = 0; i < n; i++)
        json_array_append_new(list, one(l, t, top[i]));
    json_object_set_new(made, "top_logprobs", list);
    return made;
}
