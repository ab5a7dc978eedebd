/* core/model/module_pattern.c - see module_pattern.h.
 *
 * A scanner lets through only what Python's re and PCRE2 read in the same way on names, which are
 * ASCII; PCRE2 then compiles the very same text within a group that anchors it.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/model/module_pattern.h"
#include <ctype.h>
#include <pcre2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_BYTES_MAX = 256 << 10, /* all modules of a large model, each by its name */
    MATCH_STEPS_MAX = 1000000,
    MATCH_DEPTH_MAX = 10000,
    MATCH_KIB_MAX = 32 << 10,
};

struct module_pattern {
    char *text;
    pcre2_code *code;
    pcre2_match_context *limits;
};

static int refuse(const char *text, const char *at, size_t len, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "the pattern \"%.200s\" has \"%.*s\", which is not supported", text, (int)len,
                   at);
}

/* What may stand behind "(?". */
static bool is_known_group(const char *at)
{
    static const char *const known[] = {":", "=", "!", "<=", "<!"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strncmp(at, known[i], strlen(known[i])) == 0)
            return true;
    return false;
}

/* Whether the escaped character c means the same to both. */
static bool is_known_escape(char c)
{
    return c && (strchr("dDsSwWbB", c) || (ispunct((unsigned char)c) && (signed char)c > 0));
}

/* The end of a class that begins at text, or NULL where it has none. A "[" within would begin a
 * POSIX class in PCRE2. */
static const char *class_end(const char *text)
{
    const char *at = text + 1;

    at += *at == '^';
    for (at += *at == ']'; *at && *at != ']' && *at != '['; at++)
        if (*at == '\\' && !is_known_escape(*++at))
            return NULL;
    return *at == ']' ? at : NULL;
}

/* "{3}", "{3,}" or "{3,5}"; NULL for what either engine would take as text. */
static const char *counts_end(const char *at)
{
    const char *start = ++at;

    while (isdigit((unsigned char)*at))
        at++;
    if (at == start || at - start > 4)
        return NULL;
    if (*at == ',')
        for (start = ++at; isdigit((unsigned char)*at); at++)
            ;
    return *at == '}' && at - start <= 4 ? at : NULL;
}

/* The last byte of the item at `at`; NULL, with *ret_bad bytes of it to report, where it is not
 * supported. */
static const char *item_end(const char *at, size_t *ret_bad)
{
    *ret_bad = 2;
    switch (*at) {
    case '\\':
        return is_known_escape(at[1]) ? at + 1 : NULL;
    case '[':
        return class_end(at);
    case '{':
        return counts_end(at);
    case '(':
        if (at[1] == '?' && !is_known_group(at + 2)) {
            *ret_bad = 3;
            return NULL;
        }
        return at[1] == '*' ? NULL : at + (at[1] == '?');
    default:
        return at;
    }
}

static int check(const char *text, struct err *err)
{
    const char *at, *end;
    size_t bad;

    for (at = text; *at; at = end + 1) {
        if (*at & 0x80 || iscntrl((unsigned char)*at))
            return err_set(err, ERR_UNSUPPORTED,
                           "a pattern of modules must be printable ASCII, as their names are");
        end = item_end(at, &bad);
        if (!end)
            return refuse(text, at, bad, err);
    }
    return 0;
}

static int compile(struct module_pattern *p, enum module_pattern_form form, struct err *err)
{
    size_t size = strlen(p->text) + 32, where;
    char *whole = malloc(size), why[120];
    int code;

    if (!whole)
        return err_nomem(err, size);
    snprintf(whole, size, "%s(?:%s)$", form == PATTERN_TAIL ? "(?:.*\\.)?" : "", p->text);
    p->code =
        pcre2_compile((PCRE2_SPTR)whole, PCRE2_ZERO_TERMINATED,
                      PCRE2_ANCHORED | PCRE2_NEVER_UTF | PCRE2_DOLLAR_ENDONLY, &code, &where, NULL);
    free(whole);
    if (p->code)
        return 0;
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
    return err_set(err, ERR_INVALID, "\"%.200s\" is not a regular expression: %s", p->text, why);
}

int module_pattern_open(const char *text, enum module_pattern_form form,
                        struct module_pattern **ret, struct err *err)
{
    struct module_pattern *p;
    int rc;

    if (strlen(text) > TEXT_BYTES_MAX)
        return err_set(err, ERR_UNSUPPORTED, "a pattern of %zu bytes is longer than %d",
                       strlen(text), TEXT_BYTES_MAX);
    rc = check(text, err);
    if (rc < 0)
        return rc;
    p = calloc(1, sizeof(*p));
    if (p) {
        p->text = strdup(text);
        p->limits = pcre2_match_context_create(NULL);
    }
    rc = p && p->text && p->limits ? compile(p, form, err) : err_nomem(err, strlen(text));
    if (rc < 0) {
        module_pattern_free(p);
        return rc;
    }
    pcre2_set_match_limit(p->limits, MATCH_STEPS_MAX);
    pcre2_set_depth_limit(p->limits, MATCH_DEPTH_MAX);
    pcre2_set_heap_limit(p->limits, MATCH_KIB_MAX);
    *ret = p;
    return 0;
}

void module_pattern_free(struct module_pattern *p)
{
    if (!p)
        return;
    pcre2_code_free(p->code);
    pcre2_match_context_free(p->limits);
    free(p->text);
    free(p);
}

int module_pattern_matches(const struct module_pattern *p, const char *name, struct err *err)
{
    pcre2_match_data *found = pcre2_match_data_create_from_pattern(p->code, NULL);
    int rc;

    if (!found)
        return err_nomem(err, sizeof(void *));
    rc = pcre2_match(p->code, (PCRE2_SPTR)name, strlen(name), 0, 0, found, p->limits);
    pcre2_match_data_free(found);
    if (rc >= 0)
        return 1;
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "the pattern \"%.200s\" takes too long on \"%s\"", p->text,
                   name);
}
