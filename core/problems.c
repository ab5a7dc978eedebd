/* core/problems.c - see problems.h. Beyond PROBLEMS_MAX problems are counted, not kept, and so is
 * one for which there is no memory: none is lost without a trace. */
#include "core/problems.h"
#include "core/buf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct problem *next_slot(struct problems *p)
{
    int cap = p->cap ? 2 * p->cap : 8;
    struct problem *items;

    if (p->n >= PROBLEMS_MAX)
        return NULL;
    if (p->n < p->cap)
        return &p->items[p->n];
    items = realloc(p->items, (size_t)cap * sizeof(*items));
    if (!items)
        return NULL;
    p->items = items;
    p->cap = cap;
    return &p->items[p->n];
}

void problems_add(struct problems *p, const char *file, int line, const char *fmt, ...)
{
    struct problem *slot = next_slot(p);
    char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (!slot || vasprintf(&text, fmt, ap) < 0) {
        p->dropped++;
    } else {
        *slot = (struct problem){.file = file ? strdup(file) : NULL, .line = line, .text = text};
        p->n++;
    }
    va_end(ap);
}

void problems_add_rest(struct problems *p, const char *file, const char *beginning, const char *fmt,
                       va_list ap)
{
    char rest[PROBLEM_REST_MAX];

    vsnprintf(rest, sizeof(rest), fmt, ap);
    problems_add(p, file, 0, "%s: %s", beginning, rest);
}

int problems_count(const struct problems *p)
{
    return p->n + p->dropped;
}

char *problems_text(const struct problems *p)
{
    struct buf b = {0};
    int i;

    for (i = 0; i < p->n; i++) {
        const struct problem *x = &p->items[i];
        if (x->file && x->line > 0)
            buf_printf(&b, "%s:%d: ", x->file, x->line);
        else if (x->file)
            buf_printf(&b, "%s: ", x->file);
        buf_printf(&b, "%s\n", x->text);
    }
    if (p->dropped)
        buf_printf(&b, "and %d more\n", p->dropped);
    return buf_take(&b);
}

void problems_free(struct problems *p)
{
    int i;

    for (i = 0; i < p->n; i++) {
        free(p->items[i].file);
        free(p->items[i].text);
    }
    free(p->items);
    *p = (struct problems){0};
}
