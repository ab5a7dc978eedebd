/* core/pretokenizer.c - see pretokenizer.h. What is a letter or a number is as new as PCRE2's
 * Unicode (14 in Debian 12): characters assigned since are cut otherwise than by a newer library. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/pretokenizer.h"
#include "core/buf.h"
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

enum step_kind { STEP_SPLIT, STEP_BLANK };

struct split_step {
    enum step_kind kind;
    pcre2_code *code; /* STEP_SPLIT */
    enum split_behaviour behaviour;
    bool invert;
};

/* Owned by a call, one match block a step: steps are nested. */
struct pretokenizer_scratch {
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

/* White space as Unicode and Oniguruma have it; PCRE2's own \s also takes U+180E. */
#define WHITE_SPACE                                                                                \
    "\\t-\\r "                                                                                     \
    "\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"

static int untranslatable(const char *pattern, const char *what, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "the pre-tokenizer's pattern '%.200s' has %s, which is not supported", pattern,
                   what);
}

/* An escape, at[0] being the backslash. Returns how many bytes of the pattern it takes, or a
 * negative code. */
static int translate_escape(const char *pattern, const char *at, bool in_class, struct buf *out,
                            struct err *err)
{
    const char *end = at[1] && at[2] == '{' ? strchr(at, '}') : NULL;
    int len = end ? (int)(end + 1 - at) : 2; /* \p{L} and the like are taken whole */

    if (at[1] == 's')
        buf_puts(out, in_class ? WHITE_SPACE : "[" WHITE_SPACE "]");
    else if (at[1] == 'S' && !in_class)
        buf_puts(out, "[^" WHITE_SPACE "]");
    else if (at[1] == 'h' || at[1] == 'H' || at[1] == 'S' || at[1] == '\0')
        return untranslatable(pattern, "\\h, \\H, \\S in a class or a backslash at its end", err);
    else
        buf_append(out, at, (size_t)len);
    return at[1] == 's' || at[1] == 'S' ? 2 : len;
}

/* Rewrites what PCRE2 and Oniguruma take differently; refuses what cannot be rewritten. */
static int translate(const char *pattern, struct buf *out, struct err *err)
{
    bool in_class = false;
    int rc = 0;

    for (const char *at = pattern; *at && rc >= 0; at++) {
        if (*at == '\\') {
            rc = translate_escape(pattern, at, in_class, out, err);
            at += rc > 0 ? rc - 1 : 0;
            continue;
        }
        if (in_class && *at == '[')
            rc = untranslatable(pattern, "a class in a class", err);
        else if (in_class && at[0] == '&' && at[1] == '&')
            rc = untranslatable(pattern, "an intersection of classes", err);
        else if (!in_class && at[0] == '}' && at[1] == '+')
            rc = untranslatable(pattern, "'}+'", err);
        if (*at == '[')
            in_class = true;
        else if (*at == ']')
            in_class = false;
        buf_append(out, at, 1);
    }
    return rc < 0 ? rc : 0;
}

static int compile(const char *pattern, bool literal, pcre2_code **ret, struct err *err)
{
    /* \C could cut a character in two; ^ and $ are of lines in Ruby's syntax. */
    uint32_t options = literal ? PCRE2_UTF | PCRE2_LITERAL
                               : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    struct buf translated = {0};
    int rc = 0, why;
    PCRE2_SIZE where;
    char words[128];

    if (literal)
        buf_puts(&translated, pattern);
    else
        rc = translate(pattern, &translated, err);
    if (rc == 0 && (translated.failed || !context))
        rc = err_nomem(err, translated.len);
    if (rc < 0)
        goto done;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    *ret = pcre2_compile((PCRE2_SPTR)(translated.data ? translated.data : ""), translated.len,
                         options, &why, &where, context);
    if (*ret) {
        pcre2_jit_compile(*ret, PCRE2_JIT_COMPLETE); /* without JIT it is only slower */
    } else {
        pcre2_get_error_message(why, (PCRE2_UCHAR *)words, sizeof(words));
        rc = err_set(err, ERR_UNSUPPORTED,
                     "the pre-tokenizer's pattern '%.200s' cannot be used: %s", pattern, words);
    }
done:
    pcre2_compile_context_free(context);
    buf_free(&translated);
    return rc;
}

static struct split_step *add_step(struct pretokenizer *p, enum step_kind kind, struct err *err)
{
    struct split_step *steps = realloc(p->steps, ((size_t)p->n + 1) * sizeof(*steps));

    if (!steps) {
        err_nomem(err, sizeof(*steps));
        return NULL;
    }
    p->steps = steps;
    steps[p->n] = (struct split_step){.kind = kind};
    return &steps[p->n++];
}

int pretokenizer_add(struct pretokenizer *p, const char *pattern, bool literal,
                     enum split_behaviour behaviour, bool invert, struct err *err)
{
    struct split_step *step = add_step(p, STEP_SPLIT, err);

    if (!step)
        return ERR_NOMEM;
    step->behaviour = behaviour;
    step->invert = invert;
    return compile(pattern, literal, &step->code, err);
}

int pretokenizer_add_blank(struct pretokenizer *p, struct err *err)
{
    return add_step(p, STEP_BLANK, err) ? 0 : ERR_NOMEM;
}

void pretokenizer_free(struct pretokenizer *p)
{
    for (int i = 0; i < p->n; i++)
        pcre2_code_free(p->steps[i].code);
    free(p->steps);
    *p = (struct pretokenizer){0};
}

int pretokenizer_scratch_new(const struct pretokenizer *p, struct pretokenizer_scratch **ret,
                             struct err *err)
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

static int match_failed(const struct split *x, int code)
{
    char words[128];

    pcre2_get_error_message(code, (PCRE2_UCHAR *)words, sizeof(words));
    return err_set(x->err, ERR_INTERNAL, "the pre-tokenizer could not cut a text: %s", words);
}

static int split_step(const struct split *x, int i, const char *text, size_t len)
{
    pcre2_match_data *match = x->s->matches[i];
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(match);
    size_t done = 0;
    int rc, n;

    while (done < len) {
        n = pcre2_match(x->p->steps[i].code, (PCRE2_SPTR)text, len, done,
                        PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match, x->s->context);
        if (n == PCRE2_ERROR_NOMATCH)
            break;
        if (n < 0)
            return match_failed(x, n);
        rc = part(x, i, text + done, found[0] - done, false);
        if (rc == 0)
            rc = part(x, i, text + found[0], found[1] - found[0], true);
        if (rc < 0)
            return rc;
        done = found[1];
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
