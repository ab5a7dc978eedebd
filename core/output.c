/* core/output.c - see output.h. Text waits in memory until it is flushed, and a network's file
 * system may report only at close() that it is full: the last chance to notice is the end of the
 * program, and one place serves all that is printed. */
#include "core/output.h"
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check(void)
{
    bool failed = ferror(stdout), pending = __fpending(stdout) > 0;
    int reason = 0;

    /* a program that was started without a standard output, and printed nothing, is well */
    if (fclose(stdout) != 0 && (pending || errno != EBADF))
        reason = errno;
    if (!failed && !reason)
        return;
    fprintf(stderr, "%s: standard output cannot be written%s%s\n", program_invocation_short_name,
            reason ? ": " : "", reason ? strerror(reason) : "");
    _exit(EXIT_FAILURE);
}

void output_check_at_exit(void)
{
    atexit(check);
}
