/* core/text/pretokenizer.c - see pretokenizer.h. What is a letter or a number is as new as PCRE2's
 * Unicode (14 in Debian 12): characters assigned since are cut otherwise than by a newer library.
 *
 * A pattern that comes with a model may take time that grows with the square of a text's length, or
 * exponentially. PCRE2's own limit does not bound time: it counts anew from every place where a
 * match may begin, and its JIT looks at it rarely. So every pattern but the well-known ones is
 * compiled with a callout before each of its items, and the callout looks at the clock.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/text/pretokenizer.h"
#include "core/clock.h"
#include "core/text/pattern.h"
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The time limit of a text, which grows with its length; ordinary patterns take a fiftieth of a
 * microsecond for a byte. Time of the CPU: neither a busy machine nor a suspended one counts. */
enum { TEXT_NS = 2000000000, BYTE_NS = 1000 };
enum { CHECK_AFTER = 4096 };      /* units of work between looks at the clock */
enum { BYTES_SHIFT = 4 };         /* that many bits: bytes gone over for one unit of work */
enum { HEAP_KIB_MAX = 64 << 10 }; /* of a match without JIT */
enum { STEPS_MAX = 64 };          /* steps call each other */

enum step_kind { STEP_SPLIT, STEP_BLANK };

struct split_step {
    enum step_kind kind;
    pcre2_code *code; /* STEP_SPLIT */
    char *pattern;    /* STEP_SPLIT: as it was given */
    enum split_behaviour behaviour;
    bool invert;
};

/* Bounds the time that one text takes. */
struct watch {
    int64_t until_ns; /* of the thread's CPU time */
    size_t place;     /* where the last callout was */
    size_t work;      /* since the last look at the clock */
};

/* Owned by a call, one match block a step: steps are nested. */
struct pretokenizer_scratch {
    struct watch watch;
    size_t text_len;
    pcre2_match_data **matches;
    int n;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

struct split { /* what stays the same down the steps */
    const struct pretokenizer *p;
    struct pretokenizer_scratch *s;
    piece_fn fn;
    void *context;
    struct err *err;
};

const char pretokenizer_gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
                                 "|\\s+(?!\\S)|\\s+";
const char pretokenizer_llama3[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char pretokenizer_qwen2[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* Patterns of well-known models, for which no text takes longer than its length accounts for. */
static const char *const known[] = {
    pretokenizer_gpt2, pretokenizer_llama3, pretokenizer_qwen2, "\\p{N}",
    "\\p{N}+",         "\\p{N}{1,3}",       "[\\r\\n]",         " ",
};

static bool is_known(const char *pattern)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i], pattern) == 0)
            return true;
    return false;
}

static pcre2_compile_context *new_compile_context(void)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);

    if (!context)
        return NULL;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, PATTERN_DEPTH_MAX);
    pcre2_set_max_pattern_length(context,
                                 (size_t)16 * PATTERN_BYTES_MAX); /* \s becomes much longer */
    return context;
}

static int compile_translated(const char *pattern, const struct buf *translated, uint32_t options,
                              pcre2_code **ret, struct err *err)
{
    pcre2_compile_context *context = new_compile_context();
    char words[128];
    PCRE2_SIZE where;
    int why;

    if (!context)
        return err_nomem(err, translated->len);
    *ret = pcre2_compile((PCRE2_SPTR)(translated->data ? translated->data : ""), translated->len,
                         options, &why, &where, context);
    pcre2_compile_context_free(context);
    if (*ret) {
        pcre2_jit_compile(*ret, PCRE2_JIT_COMPLETE); /* without JIT it is only slower */
        return 0;
    }
    pcre2_get_error_message(why, (PCRE2_UCHAR *)words, sizeof(words));
    return err_set(err, ERR_UNSUPPORTED, "the pre-tokenizer's pattern '%.200s' cannot be used: %s",
                   pattern, words);
}

static int compile(const char *pattern, bool literal, pcre2_code **ret, struct err *err)
{
    /* ^ and $ are of lines in Ruby's syntax. */
    uint32_t options =
        PCRE2_UTF |
        (literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C);
    struct buf translated = {0};
    int rc = 0;

    if (literal && strnlen(pattern, PATTERN_BYTES_MAX + 1) > PATTERN_BYTES_MAX)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "the pre-tokenizer's text '%.200s' has more than %d bytes", pattern,
                     PATTERN_BYTES_MAX);
    else if (literal)
        buf_puts(&translated, pattern);
    else
        rc = pattern_translate(pattern, &translated, err);
    if (rc == 0 && translated.failed)
        rc = err_nomem(err, translated.len);
    if (rc == 0 && !is_known(pattern))
        options |= PCRE2_AUTO_CALLOUT;
    if (rc == 0)
        rc = compile_translated(pattern, &translated, options, ret, err);
    buf_free(&translated);
    return rc;
}

static int add_step(struct pretokenizer *p, enum step_kind kind, struct split_step **ret,
                    struct err *err)
{
    struct split_step *steps;

    if (p->n == STEPS_MAX)
        return err_set(err, ERR_UNSUPPORTED, "the pre-tokenizer has more than %d steps", STEPS_MAX);
    steps = realloc(p->steps, ((size_t)p->n + 1) * sizeof(*steps));
    if (!steps)
        return err_nomem(err, sizeof(*steps));
    p->steps = steps;
    steps[p->n] = (struct split_step){.kind = kind};
    *ret = &steps[p->n++];
    return 0;
}

int pretokenizer_add(struct pretokenizer *p, const char *pattern, bool literal,
                     enum split_behaviour behaviour, bool invert, struct err *err)
{
    struct split_step *step = NULL;
    int rc = add_step(p, STEP_SPLIT, &step, err);

    if (rc < 0)
        return rc;
    step->behaviour = behaviour;
    step->invert = invert;
    rc = compile(pattern, literal, &step->code, err);
    if (rc == 0 && !(step->pattern = strdup(pattern)))
        rc = err_nomem(err, strlen(pattern));
    return rc;
}

int pretokenizer_add_blank(struct pretokenizer *p, struct err *err)
{
    struct split_step *step;

    return add_step(p, STEP_BLANK, &step, err);
}

void pretokenizer_free(struct pretokenizer *p)
{
    for (int i = 0; i < p->n; i++) {
        pcre2_code_free(p->steps[i].code);
        free(p->steps[i].pattern);
    }
    free(p->steps);
    *p = (struct pretokenizer){0};
}

static bool is_late(struct watch *w, size_t work)
{
    w->work += work;
    if (w->work < CHECK_AFTER)
        return false;
    w->work = 0;
    return clock_thread_ns() > w->until_ns;
}

/* Called by PCRE2 before each item of a pattern. What was gone over since the last call counts, as
 * a run of one character is a single item; so does the text where a back reference may be compared
 * with it. */
static int on_item(pcre2_callout_block *block, void *data)
{
    struct watch *w = data;
    size_t from = w->place, to = block->current_position, far = to > from ? to - from : from - to;

    w->place = to;
    return is_late(w, 1 + (far >> BYTES_SHIFT)) ? PCRE2_ERROR_CALLOUT : 0;
}

static int on_item_or_reference(pcre2_callout_block *block, void *data)
{
    struct watch *w = data;

    return is_late(w, 1 + (block->subject_length >> BYTES_SHIFT)) ? PCRE2_ERROR_CALLOUT : 0;
}

static bool has_references(const struct pretokenizer *p)
{
    uint32_t most = 0;

    for (int i = 0; i < p->n && most == 0; i++)
        if (p->steps[i].code)
            pcre2_pattern_info(p->steps[i].code, PCRE2_INFO_BACKREFMAX, &most);
    return most > 0;
}

bool pretokenizer_is_late(struct pretokenizer_scratch *s, size_t work)
{
    return is_late(&s->watch, work);
}

int pretokenizer_scratch_new(const struct pretokenizer *p, size_t text_len,
                             struct pretokenizer_scratch **ret, struct err *err)
{
    struct pretokenizer_scratch *s = calloc(1, sizeof(*s));

    if (!s)
        goto fail;
    s->n = p->n;
    s->matches = calloc((size_t)p->n + 1, sizeof(*s->matches));
    s->context = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create(32 << 10, 16 << 20, NULL);
    if (!s->matches || !s->context)
        goto fail;
    for (int i = 0; i < s->n; i++)
        if (p->steps[i].code &&
            !(s->matches[i] = pcre2_match_data_create_from_pattern(p->steps[i].code, NULL)))
            goto fail;
    if (s->stack) /* none where PCRE2 has no JIT */
        pcre2_jit_stack_assign(s->context, NULL, s->stack);
    pcre2_set_heap_limit(s->context, HEAP_KIB_MAX);
    pcre2_set_callout(s->context, has_references(p) ? on_item_or_reference : on_item, &s->watch);
    s->watch.until_ns = clock_thread_ns() + TEXT_NS + (int64_t)text_len * BYTE_NS;
    s->text_len = text_len;
    *ret = s;
    return 0;
fail:
    pretokenizer_scratch_free(s);
    return err_nomem(err, sizeof(*s));
}

void pretokenizer_scratch_free(struct pretokenizer_scratch *s)
{
    if (!s)
        return;
    for (int i = 0; s->matches && i < s->n; i++)
        pcre2_match_data_free(s->matches[i]);
    free(s->matches);
    pcre2_match_context_free(s->context);
    if (s->stack)
        pcre2_jit_stack_free(s->stack);
    free(s);
}

static int run_step(const struct split *x, int i, const char *text, size_t len);

static int blank_step(const struct split *x, int i, const char *text, size_t len)
{
    char *longer;
    int rc;

    if (text[0] == ' ')
        return run_step(x, i + 1, text, len);
    longer = malloc(len + 1);
    if (!longer)
        return err_nomem(x->err, len + 1);
    longer[0] = ' ';
    memcpy(longer + 1, text, len);
    rc = run_step(x, i + 1, longer, len + 1);
    free(longer);
    return rc;
}

static int part(const struct split *x, int i, const char *text, size_t len, bool matched)
{
    const struct split_step *step = &x->p->steps[i];

    if (len == 0 || (step->behaviour == SPLIT_REMOVED && matched != step->invert))
        return 0;
    return run_step(x, i + 1, text, len);
}

static int match_failed(const struct split *x, const struct split_step *step, size_t len, int code)
{
    char words[128];

    if (code == PCRE2_ERROR_CALLOUT)
        return err_set(x->err, ERR_UNSUPPORTED,
                       "the pre-tokenizer's pattern '%.200s' takes too long: after %.1f seconds it "
                       "had not cut a text of %zu bytes",
                       step->pattern, TEXT_NS * 1e-9 + (double)x->s->text_len * BYTE_NS * 1e-9,
                       x->s->text_len);
    pcre2_get_error_message(code, (PCRE2_UCHAR *)words, sizeof(words));
    return err_set(x->err, ERR_UNSUPPORTED,
                   "the pre-tokenizer's pattern '%.200s' cannot cut a text of %zu bytes: %s",
                   step->pattern, len, words);
}

/* Finds the next match at or after *from. 1, with its place in *from and *ret_end; 0: there is
 * none; or a negative code. */
static int find(const struct split *x, int i, const char *text, size_t len, size_t *from,
                size_t *ret_end)
{
    const struct split_step *step = &x->p->steps[i];
    pcre2_match_data *match = x->s->matches[i];
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(match);
    int n = pcre2_match(step->code, (PCRE2_SPTR)text, len, *from,
                        PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match, x->s->context);

    if (n == PCRE2_ERROR_NOMATCH)
        return 0;
    if (n < 0)
        return match_failed(x, step, len, n);
    if (found[0] < *from || found[1] <= found[0] || found[1] > len)
        return err_set(x->err, ERR_UNSUPPORTED,
                       "the pre-tokenizer's pattern '%.200s' found a match from byte %zu to byte "
                       "%zu, looking from byte %zu on in a text of %zu bytes",
                       step->pattern, found[0], found[1], *from, len);
    *from = found[0];
    *ret_end = found[1];
    return 1;
}

static int split_step(const struct split *x, int i, const char *text, size_t len)
{
    size_t done = 0, start = 0, end = 0;
    int rc;

    while (done < len) {
        start = done;
        rc = find(x, i, text, len, &start, &end);
        if (rc == 0)
            break;
        if (rc > 0)
            rc = part(x, i, text + done, start - done, false);
        if (rc == 0)
            rc = part(x, i, text + start, end - start, true);
        if (rc < 0)
            return rc;
        done = end;
    }
    return part(x, i, text + done, len - done, false);
}

static int run_step(const struct split *x, int i, const char *text, size_t len)
{
    if (i == x->p->n)
        return x->fn(x->context, text, len, x->err);
    if (x->p->steps[i].kind == STEP_BLANK)
        return blank_step(x, i, text, len);
    return split_step(x, i, text, len);
}

int pretokenizer_split(const struct pretokenizer *p, struct pretokenizer_scratch *s,
                       const char *text, size_t len, piece_fn fn, void *context, struct err *err)
{
    const struct split x = {.p = p, .s = s, .fn = fn, .context = context, .err = err};

    return len ? run_step(&x, 0, text, len) : 0;
}
