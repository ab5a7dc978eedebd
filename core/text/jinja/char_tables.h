/* core/text/jinja/char_tables.h - properties and cases of characters. See python_text.h. */
#pragma once
#include <stdint.h>

struct char_run { /* characters of equal properties; sorted */
    uint32_t first, last;
    uint16_t properties; /* a set of enum char_property; never 0 */
};
struct case_run { /* every stride-th character becomes itself + delta; sorted */
    uint32_t first, last;
    int stride, delta;
};
struct case_long { /* becomes 2 or 3 characters; sorted */
    uint32_t code, to[3];
};
struct case_map {
    const struct case_run *runs;
    const struct case_long *longs;
    int n_runs, n_longs;
};

extern const struct char_run char_runs[];
extern const int n_char_runs;
extern const struct case_map case_maps[3]; /* by enum char_case */
