/* daemon/service/audit.c - see audit.h. The file is opened for each line, which is rare, so that
 * nothing has to be known of who else writes it (`dashd token`) or has moved it away. */
#include "daemon/service/audit.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "core/utf8.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { REFUSED_A_MINUTE = 60, MINUTE_MS = 60000, REASON_BYTES = 300 };

struct audit {
    char *path;
    int lost;             /* lines, since the last that was written */
    int64_t logged_at_ms; /* that lines are lost */
    int64_t minute_at_ms;
    int refused[2]; /* in this minute: of callers that nobody knows, and of others */
    int besides;    /* left out since the last line */
};

int audit_open(const char *state, struct audit **ret_audit, struct err *err)
{
    struct audit *a = calloc(1, sizeof(*a));

    if (a)
        a->path = file_join(state, "audit.jsonl");
    if (!a || !a->path) {
        free(a);
        return err_nomem(err, sizeof(*a));
    }
    a->logged_at_ms = -MINUTE_MS;
    *ret_audit = a;
    return 0;
}

void audit_close(struct audit *a)
{
    if (!a)
        return;
    free(a->path);
    free(a);
}

static void rotate(const struct audit *a)
{
    char *from = NULL, *to = NULL;
    int i;

    for (i = AUDIT_FILES - 1; i > 0; i--) {
        if ((i > 1 ? asprintf(&from, "%s.%d", a->path, i - 1) : asprintf(&from, "%s", a->path)) < 0)
            return;
        if (asprintf(&to, "%s.%d", a->path, i) >= 0) {
            rename(from, to);
            free(to);
        }
        free(from);
    }
}

static char *text_of(const struct audit *a, const struct audit_line *line)
{
    char stamp[40];
    int64_t now_ms = clock_unix_ms();
    time_t now = (time_t)(now_ms / 1000);
    struct tm tm;
    json_t *doc;
    char *text;
    size_t len;

    len = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now, &tm));
    snprintf(stamp + len, sizeof(stamp) - len, ".%03dZ", (int)(now_ms % 1000));
    doc = json_pack("{s:s, s:s, s:s, s:s}", "time", stamp, "caller", line->caller, "peer",
                    line->peer, "method", line->method);
    if (!doc)
        return NULL;
    if (line->job)
        json_object_set_new(doc, "job", json_string(line->job));
    json_object_set_new(doc, "outcome", json_string(line->outcome));
    if (line->reason) {
        len = utf8_fit(line->reason, REASON_BYTES);
        json_object_set_new(doc, "reason", json_stringn(line->reason, len));
    }
    if (a->lost)
        json_object_set_new(doc, "lost", json_integer(a->lost));
    if (a->besides)
        json_object_set_new(doc, "refused_besides", json_integer(a->besides));
    text = json_dumps(doc, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(doc);
    return text;
}

/* Whole, or not at all: half a line is cut off again. */
static int append(int fd, const char *path, const char *text, bool sync, struct err *err)
{
    size_t len = strlen(text);
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return err_errno(err, "%s: cannot be examined", path);
    n = write(fd, text, len);
    if (n == (ssize_t)len && sync && fdatasync(fd) < 0)
        return err_errno(err, "%s: a line cannot be synced", path);
    if (n == (ssize_t)len)
        return 0;
    err_errno(err, "%s: cannot be written", path);
    if (n > 0 && ftruncate(fd, st.st_size) < 0)
        return err_errno(err, "%s: a line is cut short", path);
    return ERR_IO;
}

static int write_line(struct audit *a, const char *text, bool sync, struct err *err)
{
    struct stat st;
    int fd = -1, rc;

    if (stat(a->path, &st) == 0 && st.st_size >= AUDIT_BYTES)
        rotate(a);
    rc = file_open_append(a->path, 0600, &fd, err);
    if (rc == 0)
        rc = append(fd, a->path, text, sync, err);
    if (fd >= 0)
        close(fd);
    return rc;
}

static void report_loss(struct audit *a, const struct err *err)
{
    a->lost++;
    if (clock_ms() - a->logged_at_ms < MINUTE_MS)
        return;
    a->logged_at_ms = clock_ms();
    log_error("%s: calls are answered without a line there", err->text);
}

/* Whether one more call that changed nothing has room in this minute. Strangers do not take that of
 * callers who are known. */
static bool has_room(struct audit *a, bool is_known)
{
    if (clock_ms() - a->minute_at_ms >= MINUTE_MS) {
        a->minute_at_ms = clock_ms();
        memset(a->refused, 0, sizeof(a->refused));
    }
    if (a->refused[is_known] == REFUSED_A_MINUTE) {
        a->besides++;
        return false;
    }
    a->refused[is_known]++;
    return true;
}

void audit_write(struct audit *a, const struct audit_line *line)
{
    char *text, *whole = NULL;
    struct err err;
    int rc;

    if (line->reason && !has_room(a, line->caller[0]))
        return;
    text = text_of(a, line);
    if (text && asprintf(&whole, "%s\n", text) < 0)
        whole = NULL;
    rc = whole ? write_line(a, whole, !line->reason, &err) : err_nomem(&err, REASON_BYTES);
    if (rc < 0)
        report_loss(a, &err);
    else
        a->lost = a->besides = 0;
    free(whole);
    free(text);
}
