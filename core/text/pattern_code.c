/* core/text/pattern_code.c - see pattern_code.h. What is a letter or a number is as new as PCRE2's
 * Unicode (14 in Debian 12): characters assigned since are cut otherwise than by a newer library.
 *
 * A pattern that comes with a model may take time that grows with the square of a text's length, or
 * exponentially. PCRE2's own limit does not bound time: it counts anew from every place where a
 * match may begin, and its JIT looks at it rarely. So every pattern but the well-known ones is
 * compiled with a callout before each of its items, and the callout looks at the clock.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/text/pattern_code.h"
#include "core/text/known_patterns.h"
#include "core/text/pattern.h"
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_SHIFT = 4 };         /* that many bits: bytes gone over for one unit of work */
enum { HEAP_KIB_MAX = 64 << 10 }; /* of a match without JIT */

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
    return err_set(err, ERR_UNSUPPORTED, "the tokenizer's pattern '%.200s' cannot be used: %s",
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
        rc = err_set(err, ERR_UNSUPPORTED, "the tokenizer's text '%.200s' has more than %d bytes",
                     pattern, PATTERN_BYTES_MAX);
    else if (literal)
        buf_puts(&translated, pattern);
    else
        rc = pattern_translate(pattern, &translated, err);
    if (rc == 0 && translated.failed)
        rc = err_nomem(err, translated.len);
    if (rc == 0 && !known_patterns_have(pattern))
        options |= PCRE2_AUTO_CALLOUT;
    if (rc == 0)
        rc = compile_translated(pattern, &translated, options, ret, err);
    buf_free(&translated);
    return rc;
}

int pattern_code_compile(const char *pattern, bool literal, struct pattern_code *ret,
                         struct err *err)
{
    int rc;

    *ret = (struct pattern_code){0};
    rc = compile(pattern, literal, &ret->code, err);
    if (rc == 0 && !(ret->pattern = strdup(pattern)))
        rc = err_nomem(err, strlen(pattern));
    return rc;
}

void pattern_code_free(struct pattern_code *c)
{
    pcre2_code_free(c->code);
    free(c->pattern);
    *c = (struct pattern_code){0};
}

/* Called by PCRE2 before each item of a pattern. What was gone over since the last call counts, as
 * a run of one character is a single item; so does the text where a back reference may be compared
 * with it. */
static int on_item(pcre2_callout_block *block, void *data)
{
    struct pattern_scratch *s = data;
    size_t from = s->place, to = block->current_position, far = to > from ? to - from : from - to;

    s->place = to;
    return watch_is_late(s->watch, 1 + (far >> BYTES_SHIFT)) ? PCRE2_ERROR_CALLOUT : 0;
}

static int on_item_or_reference(pcre2_callout_block *block, void *data)
{
    struct pattern_scratch *s = data;
    size_t work = 1 + (block->subject_length >> BYTES_SHIFT);

    return watch_is_late(s->watch, work) ? PCRE2_ERROR_CALLOUT : 0;
}

static bool has_references(const struct pattern_code *const *codes, int n)
{
    uint32_t most = 0;

    for (int i = 0; i < n && most == 0; i++)
        if (codes[i])
            pcre2_pattern_info(codes[i]->code, PCRE2_INFO_BACKREFMAX, &most);
    return most > 0;
}

int pattern_scratch_init(struct pattern_scratch *s, const struct pattern_code *const *codes, int n,
                         size_t text_len, struct watch *watch, struct err *err)
{
    *s = (struct pattern_scratch){.n = n, .text_len = text_len, .watch = watch};
    if (n == 0)
        return 0;
    s->matches = calloc((size_t)n, sizeof(*s->matches));
    s->context = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create(32 << 10, 16 << 20, NULL);
    if (!s->matches || !s->context)
        return err_nomem(err, sizeof(*s));
    for (int i = 0; i < n; i++)
        if (codes[i] &&
            !(s->matches[i] = pcre2_match_data_create_from_pattern(codes[i]->code, NULL)))
            return err_nomem(err, sizeof(*s));
    if (s->stack) /* none where PCRE2 has no JIT */
        pcre2_jit_stack_assign(s->context, NULL, s->stack);
    pcre2_set_heap_limit(s->context, HEAP_KIB_MAX);
    pcre2_set_callout(s->context, has_references(codes, n) ? on_item_or_reference : on_item, s);
    return 0;
}

void pattern_scratch_free(struct pattern_scratch *s)
{
    for (int i = 0; s->matches && i < s->n; i++)
        pcre2_match_data_free(s->matches[i]);
    free(s->matches);
    pcre2_match_context_free(s->context);
    if (s->stack)
        pcre2_jit_stack_free(s->stack);
    *s = (struct pattern_scratch){0};
}

static int match_failed(const struct pattern_code *c, const struct pattern_scratch *s, size_t len,
                        int code, struct err *err)
{
    char words[128];

    if (code == PCRE2_ERROR_CALLOUT)
        return err_set(err, ERR_UNSUPPORTED,
                       "the tokenizer's pattern '%.200s' takes too long: after %.1f seconds it "
                       "was not done with a text of %zu bytes",
                       c->pattern, watch_seconds(s->text_len), s->text_len);
    pcre2_get_error_message(code, (PCRE2_UCHAR *)words, sizeof(words));
    return err_set(err, ERR_UNSUPPORTED,
                   "the tokenizer's pattern '%.200s' cannot be used on a text of %zu bytes: %s",
                   c->pattern, len, words);
}

static int find(const struct pattern_code *c, struct pattern_scratch *s, int i, uint32_t options,
                const char *text, size_t len, size_t *from, size_t *ret_end, struct err *err)
{
    pcre2_match_data *match = s->matches[i];
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(match);
    int n = pcre2_match(c->code, (PCRE2_SPTR)text, len, *from, PCRE2_NO_UTF_CHECK | options, match,
                        s->context);

    if (n == PCRE2_ERROR_NOMATCH)
        return 0;
    if (n < 0)
        return match_failed(c, s, len, n, err);
    if (found[0] < *from || found[1] < found[0] || found[1] > len)
        return err_set(err, ERR_UNSUPPORTED,
                       "the tokenizer's pattern '%.200s' found a match from byte %zu to byte %zu, "
                       "looking from byte %zu on in a text of %zu bytes",
                       c->pattern, found[0], found[1], *from, len);
    *from = found[0];
    *ret_end = found[1];
    return 1;
}

int pattern_code_find(const struct pattern_code *c, struct pattern_scratch *s, int i,
                      const char *text, size_t len, size_t *from, size_t *ret_end, struct err *err)
{
    return find(c, s, i, PCRE2_NOTEMPTY, text, len, from, ret_end, err);
}

int pattern_code_find_any(const struct pattern_code *c, struct pattern_scratch *s, int i,
                          const char *text, size_t len, size_t *from, size_t *ret_end,
                          struct err *err)
{
    return find(c, s, i, 0, text, len, from, ret_end, err);
}
