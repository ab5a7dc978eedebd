/* core/text/normalizer.c - see normalizer.h. Each step reads one buffer and writes another. */
#include "core/text/normalizer.h"
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 64 };
enum { GROWTH_MAX = 32, GROWTH_FREE = 1 << 20 }; /* of a text, to this many times its bytes */

enum step_kind {
    STEP_PREPEND,
    STEP_REPLACE,
    STEP_FORM,
    STEP_CHARSMAP,
    STEP_COLLAPSE,
    STEP_TRIM_END,
};

struct normalizer_step {
    enum step_kind kind;
    char *what, *by; /* STEP_PREPEND has only `by` */
    size_t what_len, by_len;
    enum unicode_form form;
    struct charsmap charsmap;
    const struct added_tokens *keep; /* STEP_CHARSMAP */
};

static const char meta[] = "\xe2\x96\x81"; /* U+2581 */

void normalizer_free(struct normalizer *n)
{
    for (int i = 0; i < n->n; i++) {
        free(n->steps[i].what);
        free(n->steps[i].by);
        charsmap_free(&n->steps[i].charsmap);
    }
    free(n->steps);
    *n = (struct normalizer){0};
}

static int add(struct normalizer *n, enum step_kind kind, struct normalizer_step **ret,
               struct err *err)
{
    struct normalizer_step *steps;

    if (n->n == STEPS_MAX)
        return err_set(err, ERR_UNSUPPORTED, "the normalizer has more than %d steps", STEPS_MAX);
    steps = realloc(n->steps, ((size_t)n->n + 1) * sizeof(*steps));
    if (!steps)
        return err_nomem(err, sizeof(*steps));
    n->steps = steps;
    steps[n->n] = (struct normalizer_step){.kind = kind};
    *ret = &steps[n->n++];
    return 0;
}

static int copy(const char *text, char **ret, size_t *ret_len, struct err *err)
{
    *ret = strdup(text);
    *ret_len = strlen(text);
    return *ret ? 0 : err_nomem(err, *ret_len);
}

int normalizer_add_prepend(struct normalizer *n, const char *text, struct err *err)
{
    struct normalizer_step *step = NULL;
    int rc = add(n, STEP_PREPEND, &step, err);

    return rc < 0 ? rc : copy(text, &step->by, &step->by_len, err);
}

int normalizer_add_replace(struct normalizer *n, const char *what, const char *by, struct err *err)
{
    struct normalizer_step *step = NULL;
    int rc = add(n, STEP_REPLACE, &step, err);

    if (rc == 0 && !*what)
        rc = err_set(err, ERR_UNSUPPORTED, "a normalizer replaces the empty text");
    if (rc == 0)
        rc = copy(what, &step->what, &step->what_len, err);
    return rc < 0 ? rc : copy(by, &step->by, &step->by_len, err);
}

int normalizer_add_form(struct normalizer *n, enum unicode_form form, struct err *err)
{
    struct normalizer_step *step = NULL;
    int rc = add(n, STEP_FORM, &step, err);

    if (rc == 0)
        step->form = form;
    return rc;
}

int normalizer_add_charsmap(struct normalizer *n, const void *bytes, size_t len,
                            const struct added_tokens *keep, struct err *err)
{
    struct normalizer_step *step = NULL;
    int rc = add(n, STEP_CHARSMAP, &step, err);

    if (rc < 0)
        return rc;
    step->keep = keep;
    return charsmap_init(&step->charsmap, bytes, len, err);
}

int normalizer_add_collapse(struct normalizer *n, struct err *err)
{
    struct normalizer_step *step;

    return add(n, STEP_COLLAPSE, &step, err);
}

int normalizer_add_trim_end(struct normalizer *n, struct err *err)
{
    struct normalizer_step *step;

    return add(n, STEP_TRIM_END, &step, err);
}

int normalizer_add_blanks(struct normalizer *n, bool prefix, bool collapse, struct err *err)
{
    int rc = collapse ? normalizer_add_collapse(n, err) : 0;

    if (rc == 0 && prefix)
        rc = normalizer_add_prepend(n, " ", err);
    if (rc == 0)
        rc = normalizer_add_replace(n, " ", "\xe2\x96\x81", err);
    if (rc == 0 && collapse)
        rc = normalizer_add_trim_end(n, err);
    return rc;
}

static void replace(const struct normalizer_step *step, const char *text, size_t len,
                    struct buf *out, size_t most)
{
    const char *end = text + len, *found;

    while (text < end && out->len <= most &&
           (found = memmem(text, (size_t)(end - text), step->what, step->what_len))) {
        buf_append(out, text, (size_t)(found - text));
        buf_append(out, step->by, step->by_len);
        text = found + step->what_len;
    }
    buf_append(out, text, (size_t)(end - text));
}

static void collapse(const char *text, size_t len, struct buf *out)
{
    bool blank = true;

    for (size_t i = 0; i < len; i++) {
        if (text[i] != ' ' || !blank)
            buf_append(out, text + i, 1);
        blank = text[i] == ' ';
    }
}

static size_t trimmed(const char *text, size_t len)
{
    for (;;) {
        if (len > 0 && text[len - 1] == ' ')
            len--;
        else if (len >= 3 && memcmp(text + len - 3, meta, 3) == 0)
            len -= 3;
        else
            return len;
    }
}

static bool run_step(const struct normalizer_step *step, const char *text, size_t len,
                     struct buf *out, size_t most, struct watch *watch)
{
    switch (step->kind) {
    case STEP_PREPEND:
        if (len > 0)
            buf_append(out, step->by, step->by_len);
        buf_append(out, text, len);
        break;
    case STEP_REPLACE:
        replace(step, text, len, out, most);
        break;
    case STEP_FORM:
        unicode_form_append(step->form, text, len, out);
        break;
    case STEP_CHARSMAP:
        return charsmap_append(&step->charsmap, step->keep, text, len, out, most, watch);
    case STEP_COLLAPSE:
        collapse(text, len, out);
        break;
    case STEP_TRIM_END:
        buf_append(out, text, trimmed(text, len));
        break;
    }
    return true;
}

int normalizer_run(const struct normalizer *n, struct normalizer_scratch *s, const char *text,
                   size_t len, const char **ret_text, size_t *ret_len, struct err *err)
{
    size_t most = len * GROWTH_MAX + GROWTH_FREE, before = len;

    for (int i = 0; i < n->n; i++) {
        struct buf *out = &s->bufs[i % 2];
        if (n->steps[i].kind == STEP_FORM && unicode_form_is_plain(n->steps[i].form, text, len))
            continue;
        out = text == out->data ? &s->bufs[(i + 1) % 2] : out;
        out->len = 0;
        if (!run_step(&n->steps[i], text, len, out, most, s->watch))
            return err_set(err, ERR_UNSUPPORTED,
                           "the tokenizer's normalizer takes too long for a text of %zu bytes",
                           before);
        if (out->failed)
            return err_nomem(err, len);
        if (out->len > most)
            return err_set(err, ERR_UNSUPPORTED,
                           "the tokenizer's normalizer makes a text of %zu bytes longer than %zu "
                           "bytes",
                           before, most);
        text = out->data ? out->data : "";
        len = out->len;
    }
    *ret_text = text;
    *ret_len = len;
    return 0;
}
