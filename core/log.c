/* core/log.c - see log.h. A line is composed in one buffer and written by one write(2), so that
 * lines of several processes on one file do not mix. Text from outside may be quoted in it, so all
 * that would act on a terminal is escaped. */
#include "core/log.h"
#include "core/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_TEXT_MAX = 2048 };

static const char *log_program = "dash";
static enum log_level log_lowest = LOG_INFO;

void log_init(const char *program, enum log_level lowest)
{
    log_program = program;
    log_lowest = lowest;
}

/* A newline is followed by blanks: what a line quotes cannot pass for a line of its own. */
static void append_text(struct buf *line, const char *text)
{
    const char *end;

    for (; (end = strchr(text, '\n')) && end[1]; text = end + 1)
        buf_printf(line, "%.*s\n    ", (int)(end - text), text);
    buf_printf(line, "%.*s", (int)strcspn(text, "\n"), text);
}

static void append_time(struct buf *line)
{
    struct timespec now;
    char text[32];
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(line, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    struct buf line = {0}, safe = {0};
    char text[LOG_TEXT_MAX];
    va_list ap;

    if (level < log_lowest)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    utf8_escape(text, UTF8_KEEP_LINES, &safe);
    append_time(&line);
    buf_printf(&line, " %s %s: ", names[level], log_program);
    append_text(&line, safe.data ? safe.data : "");
    buf_puts(&line, "\n");
    if (!line.failed && !safe.failed && write(STDERR_FILENO, line.data, line.len) < 0)
        line.failed = true; /* nowhere is left to report it */
    buf_free(&safe);
    buf_free(&line);
}
