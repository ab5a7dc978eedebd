/* client/subprocess.h - a program is run to its end, and what it says is kept. No shell is
 * involved. */
#pragma once
#include "core/err.h"
#include <stdbool.h>

/* What became of it, beside exit statuses. */
enum { SUBPROCESS_LATE = 1000, SUBPROCESS_INTERRUPTED, SUBPROCESS_SIGNAL = 2000 };

struct subprocess {
    const char *const *argv; /* argv[0] is looked for in PATH; ends with NULL */
    char *const *env;        /* NULL: ours */
    int timeout_ms;          /* then it and all it has started are killed */
    bool until_interrupt;    /* killed at Ctrl-C too; else it gets no signal */
};

struct subprocess_said {
    int status; /* exit status, or SUBPROCESS_LATE, _INTERRUPTED, or SUBPROCESS_SIGNAL + the signal
                   that ended it */
    char *out, *err;
};

/* On success the caller frees *ret_said with subprocess_free(). Fails where the program cannot be
 * started. */
int subprocess_run(const struct subprocess *p, struct subprocess_said *ret_said, struct err *err);
void subprocess_free(struct subprocess_said *said);
