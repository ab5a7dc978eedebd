/* client/doctor/findings.c - the list of findings and its two forms. All that doctor prints is
 * printed here. */
#include "client/doctor/findings.h"
#include "client/printable.h"
#include "core/utf8.h"
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 2000 };

static const char *const verdicts[] = {
    [VERDICT_OK] = "ok", [VERDICT_WARNING] = "warning", [VERDICT_PROBLEM] = "PROBLEM"};

static void print_line(FILE *out, const struct finding *finding)
{
    fprintf(out, "%-8s %s: ", verdicts[finding->verdict], finding->check);
    printable_print(out, finding->words);
    fputc('\n', out);
    if (finding->remedy)
        fprintf(out, "         %s\n", finding->remedy);
    fflush(out);
}

static void keep(struct findings *f, const struct finding *finding)
{
    char *words = strdup(finding->words);
    struct finding *list = words ? realloc(f->list, (f->n + 1) * sizeof(*list)) : NULL;

    if (!list) {
        free(words);
        f->failed = true;
        return;
    }
    utf8_make_valid(words, strlen(words));
    f->list = list;
    f->list[f->n] = *finding;
    f->list[f->n++].words = words;
}

void report_finding(struct findings *f, const char *check, enum verdict verdict, const char *remedy,
                    const char *fmt, ...)
{
    char words[WORDS_MAX], *at;
    struct finding finding = {check, verdict, words, remedy};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(words, sizeof(words), fmt, ap);
    va_end(ap);
    for (at = words; (at = strpbrk(at, "\r\n")); at++)
        *at = ' ';
    if (!f->json)
        print_line(f->out, &finding);
    keep(f, &finding);
}

void report_progress(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

bool findings_have_problem(const struct findings *f)
{
    size_t i;

    for (i = 0; i < f->n; i++)
        if (f->list[i].verdict == VERDICT_PROBLEM)
            return true;
    return false;
}

static json_t *as_json(const struct finding *finding)
{
    return json_pack("{s:s, s:s, s:s, s:s?}", "check", finding->check, "verdict",
                     verdicts[finding->verdict], "words", finding->words, "remedy",
                     finding->remedy);
}

void findings_finish(struct findings *f)
{
    json_t *list;
    size_t i;

    if (!f->json)
        return;
    list = json_array();
    for (i = 0; i < f->n; i++)
        if (json_array_append_new(list, as_json(&f->list[i])) < 0)
            f->failed = true;
    json_dumpf(list, f->out, JSON_INDENT(1));
    fputc('\n', f->out);
    json_decref(list);
}

void findings_free(struct findings *f)
{
    size_t i;

    for (i = 0; i < f->n; i++)
        free(f->list[i].words);
    free(f->list);
    f->list = NULL;
    f->n = 0;
}
