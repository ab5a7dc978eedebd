/* core/text/normalizer.c - see normalizer.h. Each step reads one buffer and writes another. */
#include "core/text/normalizer.h"
#include "core/text/characters.h"
#include "core/text/pattern_code.h"
#include "core/text/token_text.h"
#include "core/utf8.h"
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 64 };
enum { GROWTH_MAX = 32, GROWTH_FREE = 1 << 20 }; /* of a text, to this many times its bytes */

enum step_kind {
    STEP_PREPEND,
    STEP_REPLACE,
    STEP_REPLACE_PATTERN,
    STEP_LOWER,
    STEP_STRIP,
    STEP_FORM,
    STEP_CHARSMAP,
    STEP_COLLAPSE,
    STEP_TRIM_END,
};

struct normalizer_step {
    enum step_kind kind;
    char *what, *by; /* STEP_PREPEND has only `by` */
    size_t what_len, by_len;
    struct pattern_code pattern; /* STEP_REPLACE_PATTERN */
    bool left, right;            /* STEP_STRIP */
    enum unicode_form form;
    struct charsmap charsmap;
    const struct added_tokens *keep; /* STEP_CHARSMAP */
};

void normalizer_free(struct normalizer *n)
{
    for (int i = 0; i < n->n; i++) {
        free(n->steps[i].what);
        free(n->steps[i].by);
        pattern_code_free(&n->steps[i].pattern);
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

int normalizer_add_replace_pattern(struct normalizer *n, const char *pattern, const char *by,
                                   struct err *err)
{
    struct normalizer_step *step = NULL;
    int rc = add(n, STEP_REPLACE_PATTERN, &step, err);

    if (rc == 0)
        rc = pattern_code_compile(pattern, false, &step->pattern, err);
    return rc < 0 ? rc : copy(by, &step->by, &step->by_len, err);
}

int normalizer_add_lower(struct normalizer *n, struct err *err)
{
    struct normalizer_step *step;

    return add(n, STEP_LOWER, &step, err);
}

int normalizer_add_strip(struct normalizer *n, bool left, bool right, struct err *err)
{
    struct normalizer_step *step = NULL;
    int rc = add(n, STEP_STRIP, &step, err);

    if (rc == 0) {
        step->left = left;
        step->right = right;
    }
    return rc;
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
        rc = normalizer_add_replace(n, " ", token_blank, err);
    if (rc == 0 && collapse)
        rc = normalizer_add_trim_end(n, err);
    return rc;
}

static bool is_prefix(const struct normalizer_step *step)
{
    return step->kind == STEP_PREPEND &&
           (strcmp(step->by, " ") == 0 || strcmp(step->by, token_blank) == 0);
}

bool normalizer_is_blanks(const struct normalizer *n, bool *ret_prefix, bool *ret_collapse)
{
    const struct normalizer_step *at = n->steps, *end = n->steps + n->n;
    bool collapse = at < end && at->kind == STEP_COLLAPSE, prefix;

    at += collapse;
    prefix = at < end && is_prefix(at);
    at += prefix;
    if (at == end || at->kind != STEP_REPLACE || strcmp(at->what, " ") != 0 ||
        strcmp(at->by, token_blank) != 0)
        return false;
    at++;
    if (collapse && (at == end || at++->kind != STEP_TRIM_END))
        return false;
    *ret_prefix = prefix;
    *ret_collapse = collapse;
    return at == end;
}

bool normalizer_is_form(const struct normalizer *n, enum unicode_form form)
{
    return n->n == 1 && n->steps[0].kind == STEP_FORM && n->steps[0].form == form;
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

/* The matches that Oniguruma finds one after another: an empty one counts unless it lies where the
 * last match ended; then the search continues behind the next character. */
static int replace_matches(const struct normalizer_step *step, struct pattern_scratch *s,
                           const char *text, size_t len, struct buf *out, size_t most,
                           struct err *err)
{
    size_t at = 0, done = 0, begin, end = 0;
    bool before = false; /* a match has ended at `done` */
    int rc = 0;

    while (at <= len && out->len <= most) {
        begin = at;
        rc = pattern_code_find_any(&step->pattern, s, 0, text, len, &begin, &end, err);
        if (rc <= 0)
            break;
        if (before && end == begin && end == done) {
            size_t next = at < len ? utf8_len((const uint8_t *)text + at, len - at) : 1;
            at += next ? next : 1;
            continue;
        }
        buf_append(out, text + done, begin - done);
        buf_append(out, step->by, step->by_len);
        at = done = end;
        before = true;
    }
    buf_append(out, text + done, len - done);
    return rc < 0 ? rc : 0;
}

static int replace_pattern(const struct normalizer_step *step, struct watch *watch,
                           const char *text, size_t len, struct buf *out, size_t most,
                           struct err *err)
{
    const struct pattern_code *code = &step->pattern;
    struct pattern_scratch s;
    int rc;

    if (len == 0) /* nothing is looked for there */
        return 0;
    rc = pattern_scratch_init(&s, &code, 1, len, watch, err);
    if (rc == 0)
        rc = replace_matches(step, &s, text, len, out, most, err);
    pattern_scratch_free(&s);
    return rc;
}

static void strip(const struct normalizer_step *step, const char *text, size_t len, struct buf *out)
{
    size_t begin = step->left ? characters_space_behind(text, 0, len) : 0;
    size_t end = step->right ? characters_space_before(text, len, begin) : len;

    buf_append(out, text + begin, end - begin);
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
        else if (len >= 3 && memcmp(text + len - 3, token_blank, 3) == 0)
            len -= 3;
        else
            return len;
    }
}

static int too_slow(size_t len, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "the tokenizer's normalizer takes too long for a text of %zu bytes", len);
}

static int run_step(const struct normalizer_step *step, const char *text, size_t len,
                    struct buf *out, size_t most, struct watch *watch, struct err *err)
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
    case STEP_REPLACE_PATTERN:
        return replace_pattern(step, watch, text, len, out, most, err);
    case STEP_LOWER:
        unicode_lower_append(text, len, out);
        break;
    case STEP_STRIP:
        strip(step, text, len, out);
        break;
    case STEP_FORM:
        unicode_form_append(step->form, text, len, out);
        break;
    case STEP_CHARSMAP:
        return charsmap_append(&step->charsmap, step->keep, text, len, out, most, watch)
                   ? 0
                   : too_slow(len, err);
    case STEP_COLLAPSE:
        collapse(text, len, out);
        break;
    case STEP_TRIM_END:
        buf_append(out, text, trimmed(text, len));
        break;
    }
    return 0;
}

int normalizer_run(const struct normalizer *n, struct normalizer_scratch *s, const char *text,
                   size_t len, const char **ret_text, size_t *ret_len, struct err *err)
{
    size_t most = len * GROWTH_MAX + GROWTH_FREE, before = len;
    int rc;

    for (int i = 0; i < n->n; i++) {
        struct buf *out = &s->bufs[i % 2];
        if (n->steps[i].kind == STEP_FORM && unicode_form_is_plain(n->steps[i].form, text, len))
            continue;
        out = text == out->data ? &s->bufs[(i + 1) % 2] : out;
        out->len = 0;
        rc = run_step(&n->steps[i], text, len, out, most, s->watch, err);
        if (rc < 0)
            return rc;
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
