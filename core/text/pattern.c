/* core/text/pattern.c - see pattern.h.
 *
 * One pass over the pattern, item by item. What is written out is so plain that this scanner and
 * PCRE2 cannot disagree on where a class, a group or an escape ends: nothing that is only copied
 * can become something that would have been refused.
 */
#include "core/text/pattern.h"
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* White space as Unicode and Oniguruma have it; PCRE2's own \s also takes U+180E. */
#define WHITE_SPACE                                                                                \
    "\\t-\\r "                                                                                     \
    "\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"

/* Characters of words as Oniguruma has them: those that are Alphabetic, marks, digits, connectors,
 * and outside of classes the numbers of Latin-1. PCRE2's own are fewer, and differ among its
 * versions. */
#define WORD_IN_CLASS                                                                              \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}"                    \
    "\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"
#define WORD WORD_IN_CLASS "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"

enum { EXCERPT_BYTES = 24 };

struct scanner {
    const char *pattern, *at;
    struct buf *out;
    size_t sizes[PATTERN_DEPTH_MAX + 1]; /* of what stands in each open group so far */
    size_t last;                         /* of the item that a repetition would repeat */
    int depth;
    bool begins; /* nothing stands yet in the group or pattern that is open */
    struct err *err;
};

static int refuse(const struct scanner *s, const char *what)
{
    return err_set(s->err, ERR_UNSUPPORTED,
                   "the tokenizer's pattern '%.200s' has %s, which is not supported", s->pattern,
                   what);
}

/* Refuses what begins at s->at and has `len` bytes, in quotes, behind the words for its kind. */
static int refuse_here(const struct scanner *s, const char *kind, size_t len)
{
    int n = (int)(len < EXCERPT_BYTES ? len : EXCERPT_BYTES);

    return err_set(s->err, ERR_UNSUPPORTED,
                   "the tokenizer's pattern '%.200s' has %s '%.*s', which is not supported",
                   s->pattern, kind, n, s->at);
}

static int refuse_group(const struct scanner *s, const char *kind)
{
    return refuse_here(s, kind, strcspn(s->at, ")") + 1);
}

static int add_size(struct scanner *s, size_t size)
{
    s->last = size;
    s->begins = false;
    s->sizes[s->depth] += size; /* both are at most PATTERN_SIZE_MAX times a count */
    if (s->sizes[s->depth] <= PATTERN_SIZE_MAX)
        return 0;
    return err_set(s->err, ERR_UNSUPPORTED,
                   "the tokenizer's pattern '%.200s' is too large: its repetitions come to "
                   "more than %d items",
                   s->pattern, PATTERN_SIZE_MAX);
}

/* Copies n bytes of the pattern as one item. */
static int copy(struct scanner *s, size_t n)
{
    buf_append(s->out, s->at, n);
    s->at += n;
    return add_size(s, 1);
}

/* Bytes of "{...}" at `at` where it holds nothing but these characters; 0: it is something else. */
static size_t braces(const char *at, const char *allowed)
{
    size_t n = at[0] == '{' ? strspn(at + 1, allowed) : 0;

    return n > 0 && at[n + 1] == '}' ? n + 2 : 0;
}

/* \p{...} and \x{...}: at[0] is the backslash. 0: not well formed. */
static size_t braced_escape(const char *at)
{
    static const char names[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_^& ";
    size_t n = braces(at + 2, at[1] == 'x' ? "0123456789abcdefABCDEF" : names);

    if (n > 0)
        return n + 2;
    if (at[1] == 'x' && isxdigit((unsigned char)at[2]))
        return isxdigit((unsigned char)at[3]) ? 4 : 3;
    return 0;
}

/* Bytes of an escape that both libraries read in the same way, in and outside of classes; 0: it is
 * none of these. */
static size_t common_escape(const char *at)
{
    if (at[1] == 'p' || at[1] == 'P' || at[1] == 'x')
        return braced_escape(at);
    if (isdigit((unsigned char)at[1]))
        return 1 + strspn(at + 1, "0123456789");
    if (at[1] && strchr("dDrntfae", at[1]))
        return 2;
    return at[1] && !isalpha((unsigned char)at[1]) ? 2 : 0;
}

/* \k<name>. 0: something else, such as a level of recursion behind the name. */
static size_t named_reference(const char *at)
{
    size_t n = 3;

    if (at[1] != 'k' || at[2] != '<' || isdigit((unsigned char)at[3]))
        return 0;
    while (isalnum((unsigned char)at[n]) || at[n] == '_')
        n++;
    return n > 3 && at[n] == '>' ? n + 1 : 0;
}

/* What an escape that PCRE2 reads otherwise becomes outside of classes; NULL: it is none. */
static const char *rewritten(char escape)
{
    switch (escape) {
    case 's':
        return "[" WHITE_SPACE "]";
    case 'S':
        return "[^" WHITE_SPACE "]";
    case 'v':
        return "\\x{b}";
    case 'w':
        return "[" WORD "]";
    case 'W':
        return "[^" WORD "]";
    case 'b':
        return "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))";
    case 'B':
        return "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))";
    default:
        return NULL;
    }
}

static int parse_escape(struct scanner *s)
{
    const char *by;
    size_t n = common_escape(s->at);

    if (n == 0 && s->at[1] && strchr("AzZRX", s->at[1]))
        n = 2;
    if (n == 0)
        n = named_reference(s->at);
    if (n > 0)
        return copy(s, n);
    if (s->at[1] == '\0')
        return refuse(s, "a backslash at its end");
    by = rewritten(s->at[1]);
    if (!by)
        return refuse_here(s, "the escape", 2);
    buf_puts(s->out, by);
    s->at += 2;
    return add_size(s, 1);
}

static int parse_class_escape(struct scanner *s)
{
    size_t n = s->at[1] == 'b' ? 2 : common_escape(s->at); /* in a class, \b is a backspace */

    if (n > 0) {
        buf_append(s->out, s->at, n);
        s->at += n;
        return 0;
    }
    if (s->at[1] == '\0')
        return refuse(s, "a backslash at its end");
    if (strchr("hHSWcCMuopPx", s->at[1]))
        return refuse_here(s, "in a class the escape", 2);
    if (s->at[1] == 's')
        buf_puts(s->out, WHITE_SPACE);
    else if (s->at[1] == 'w')
        buf_puts(s->out, WORD_IN_CLASS);
    else if (s->at[1] == 'v')
        buf_puts(s->out, "\\x{b}");
    else
        buf_append(s->out, s->at + 1, 1); /* in a class, a letter stands for itself */
    s->at += 2;
    return 0;
}

static int parse_class(struct scanner *s)
{
    size_t head = s->at[1] == '^' ? 2 : 1;
    int rc = 0;

    buf_append(s->out, s->at, head);
    s->at += head;
    if (*s->at == ']') { /* it is a member */
        buf_puts(s->out, "\\]");
        s->at++;
    }
    while (rc == 0 && *s->at && *s->at != ']') {
        if (*s->at == '\\') {
            rc = parse_class_escape(s);
        } else if (*s->at == '[') {
            rc = refuse(s, "a class in a class");
        } else if (s->at[0] == '&' && s->at[1] == '&') {
            rc = refuse(s, "an intersection of classes");
        } else {
            buf_append(s->out, s->at++, 1);
        }
    }
    if (rc < 0)
        return rc;
    if (*s->at == '\0')
        return refuse(s, "a class without its end");
    return copy(s, 1);
}

/* Opens a group, of whose head n bytes are copied. */
static int open_group(struct scanner *s, size_t n)
{
    if (s->depth == PATTERN_DEPTH_MAX)
        return err_set(s->err, ERR_UNSUPPORTED,
                       "the tokenizer's pattern '%.200s' has groups within groups, more than "
                       "%d deep",
                       s->pattern, PATTERN_DEPTH_MAX);
    buf_append(s->out, s->at, n);
    s->at += n;
    s->sizes[++s->depth] = 1;
    s->last = 0;
    s->begins = true;
    return 0;
}

static int close_group(struct scanner *s)
{
    size_t size;

    if (s->depth == 0)
        return refuse(s, "a ')' without its '('");
    size = s->sizes[s->depth--];
    return copy(s, 1) < 0 ? ERR_UNSUPPORTED : add_size(s, size);
}

/* (?#...): what it says is left out, but not the comment, which keeps apart what is around it. */
static int parse_comment(struct scanner *s)
{
    const char *at = s->at + 3;

    while (*at && *at != ')')
        at += at[0] == '\\' && at[1] ? 2 : 1;
    if (*at == '\0')
        return refuse(s, "a comment without its end");
    buf_puts(s->out, "(?#)");
    s->at = at + 1;
    return 0;
}

/* (?i), (?-i), (?i:...) and (?-i:...). Ruby takes the rest of the group behind an option by itself
 * for a group of its own, so that one in its midst would mean something else. */
static int parse_options(struct scanner *s)
{
    size_t n = 2 + strspn(s->at + 2, "-imsxnaduUJ^");
    bool plain = (n == 3 && s->at[2] == 'i') || (n == 4 && strncmp(s->at + 2, "-i", 2) == 0);

    if (n == 2 || (s->at[n] != ')' && s->at[n] != ':'))
        return refuse_here(s, "a group of the kind", 3);
    if (!plain)
        return refuse_here(s, "the options", n + 1);
    if (s->at[n] == ':')
        return open_group(s, n + 1);
    if (!s->begins)
        return refuse_here(s, "other than at the beginning of a group the option", n + 1);
    buf_append(s->out, s->at, n + 1);
    s->at += n + 1;
    return 0;
}

static int parse_named_group(struct scanner *s)
{
    size_t n = 3;

    while (isalnum((unsigned char)s->at[n]) || s->at[n] == '_')
        n++;
    if (n == 3 || isdigit((unsigned char)s->at[3]) || s->at[n] != '>')
        return refuse_here(s, "a group of the kind", n);
    return open_group(s, n + 1);
}

static bool is_call(const char *at)
{
    size_t signs = strspn(at, "+-");

    return at[0] == 'R' || at[0] == '&' || isdigit((unsigned char)at[signs]) ||
           (at[0] == 'P' && (at[1] == '>' || at[1] == '='));
}

static int parse_group(struct scanner *s)
{
    const char *at = s->at;

    if (at[1] == '*')
        return refuse_group(s, "the verb");
    if (at[1] != '?')
        return open_group(s, 1);
    if (at[2] == '#')
        return parse_comment(s);
    if (at[2] && strchr(":=!>", at[2]))
        return open_group(s, 3);
    if (at[2] == '<')
        return at[3] == '=' || at[3] == '!' ? open_group(s, 4) : parse_named_group(s);
    if (is_call(at + 2))
        return refuse_group(s, "the recursion or call of a group");
    if (at[2] == 'C')
        return refuse_group(s, "the callout");
    if (at[2] == '(')
        return refuse_group(s, "the condition");
    return parse_options(s);
}

/* The counts of an interval {n}, {n,}, {n,m} or {,m}. Returns its bytes, 0 where it is none. */
static size_t interval(const char *at, const char **ret_low, const char **ret_high)
{
    size_t n = braces(at, "0123456789,");
    const char *comma = n ? memchr(at, ',', n) : NULL;

    if (n == 0 || (comma && (n == 3 || memchr(comma + 1, ',', n - (size_t)(comma + 1 - at)))))
        return 0;
    *ret_low = at + 1;
    *ret_high = comma ? comma + 1 : at + 1;
    return n;
}

static int parse_interval(struct scanner *s)
{
    const char *low = NULL, *high = NULL;
    size_t n = interval(s->at, &low, &high), size = s->last;
    unsigned long from, to;

    if (n == 0) { /* a brace */
        buf_puts(s->out, "\\");
        return copy(s, 1);
    }
    from = strtoul(low, NULL, 10); /* ULONG_MAX where it does not fit */
    to = strtoul(high, NULL, 10);
    to = to > from ? to : from;
    if (to > PATTERN_SIZE_MAX)
        return refuse_here(s, "the count", n);
    if (s->at[n] == '+' || (s->at[n] == '?' && low == high))
        return refuse_here(s, "behind a count a sign that has another meaning there,", n + 1);
    buf_puts(s->out, low[0] == ',' ? "{0" : "{");
    buf_append(s->out, low, n - 1);
    s->at += n;
    if (to > 1 && add_size(s, size * (to - 1)) < 0) /* on top of the one that was counted */
        return ERR_UNSUPPORTED;
    s->last = to > 1 ? size * to : size;
    return 0;
}

static int parse_item(struct scanner *s)
{
    switch (*s->at) {
    case '\\':
        return parse_escape(s);
    case '[':
        return parse_class(s);
    case '(':
        return parse_group(s);
    case ')':
        return close_group(s);
    case '{':
        return parse_interval(s);
    case ']':
    case '}':
        buf_puts(s->out, "\\");
        return copy(s, 1);
    case '*':
    case '+':
    case '?': /* repeats what is before, or a sign behind such a one */
        buf_append(s->out, s->at++, 1);
        return 0;
    default:
        return copy(s, 1);
    }
}

int pattern_translate(const char *pattern, struct buf *out, struct err *err)
{
    struct scanner s = {.pattern = pattern, .at = pattern, .out = out, .begins = true, .err = err};
    int rc = 0;

    if (strnlen(pattern, PATTERN_BYTES_MAX + 1) > PATTERN_BYTES_MAX)
        return err_set(err, ERR_UNSUPPORTED,
                       "the tokenizer's pattern '%.200s' has more than %d bytes", pattern,
                       PATTERN_BYTES_MAX);
    while (rc == 0 && *s.at)
        rc = parse_item(&s);
    if (rc == 0 && s.depth > 0)
        rc = refuse(&s, "a '(' without its ')'");
    return rc;
}
