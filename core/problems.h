/* core/problems.h - everything wrong with an input, gathered so that all of it is reported at once.
 *
 * A check adds a sentence for each problem and continues; its caller refuses the input if any was
 * added. Lines count from 1; 0 means that no line can be named; file may be NULL.
 */
#pragma once
#include "core/err.h"
#include <stdarg.h>

struct problem {
    char *file; /* owned, or NULL */
    int line;
    char *text; /* owned: what is wrong, and what to do */
};

struct problems {
    struct problem *items;
    int n, cap;
    int dropped; /* past PROBLEMS_MAX, or for lack of memory: counted, not kept */
};

enum { PROBLEMS_MAX = 100 };

void problems_add(struct problems *p, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* "beginning: " and the rest, which is cut beyond PROBLEM_REST_MAX bytes. */
enum { PROBLEM_REST_MAX = 1200 };
void problems_add_rest(struct problems *p, const char *file, const char *beginning, const char *fmt,
                       va_list ap) __attribute__((format(printf, 4, 0)));
/* All of them, kept or not. */
int problems_count(const struct problems *p);
/* "file:line: text" lines, one a problem, and a last line that counts the dropped. Caller frees;
 * NULL for lack of memory. */
char *problems_text(const struct problems *p);
void problems_free(struct problems *p);
