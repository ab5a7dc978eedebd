/* daemon/coordinator/launches.c - see launches.h. The file only grows; what a launch that was
 * killed has left of a line is cut off by the next. */
#include "daemon/coordinator/launches.h"
#include "core/clock.h"
#include "core/file.h"
#include "daemon/coordinator/outputs.h"
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LAUNCHES_BYTES_MAX = FILE_SMALL_MAX };

/* What is there so far. */
struct past {
    size_t len;   /* of the whole lines */
    int launches; /* the number of the last */
    char *reason; /* in its second line, owned; NULL: it has none */
};

static const char unknown[] = "the launch before it was killed, or its machine failed";

static char *reason_of(const json_t *line)
{
    const char *reason = json_string_value(json_object_get(line, "reason"));

    return reason ? strdup(reason) : NULL;
}

static struct past look_back(const char *text, size_t len)
{
    struct past p = {0};
    const char *end;

    while ((end = memchr(text + p.len, '\n', len - p.len))) {
        size_t line = (size_t)(end - text) - p.len;
        json_t *o = json_loadb(text + p.len, line, 0, NULL);
        json_int_t launch = json_integer_value(json_object_get(o, "launch"));
        p.launches = launch > p.launches && launch < INT_MAX ? (int)launch : p.launches;
        free(p.reason);
        p.reason = reason_of(o);
        json_decref(o);
        p.len += line + 1;
    }
    return p;
}

/* Takes over json. */
static int add_line(int fd, const char *path, json_t *json, struct err *err)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    struct buf line = {0};
    int rc;

    json_decref(json);
    if (text)
        buf_printf(&line, "%s\n", text);
    rc = text && !line.failed ? row_append(fd, path, &line, err) : err_nomem(err, 100);
    free(text);
    buf_free(&line);
    return rc;
}

/* Of a launch that continues from a later step than that at which dashd's was killed, another was
 * before it, of which dashd has said nothing: Slurm and the batch script launch again, too. */
static json_t *beginning(const struct past *past, int after_step, const char *died, int died_at)
{
    const char *said = died && after_step <= died_at ? died : unknown;
    const char *why = past->reason ? past->reason : said;

    return json_pack("{s:i, s:i, s:I, s:s*}", "launch", past->launches + 1, "after_step",
                     after_step, "time_ms", (json_int_t)clock_unix_ms(), "why",
                     past->launches ? why : NULL);
}

static int begin(int fd, const char *path, int after_step, const char *died, int died_at,
                 int *ret_launch, struct err *err)
{
    size_t len = 0;
    char *text = NULL;
    struct past past;
    int rc = file_read_at(fd, 0, path, LAUNCHES_BYTES_MAX, &text, &len, err);

    if (rc < 0)
        return rc;
    *ret_launch = 0;
    if (len == LAUNCHES_BYTES_MAX) {
        free(text);
        return 0;
    }
    past = look_back(text, len);
    free(text);
    if (past.launches == 0 && after_step > 0)
        past.launches = 1; /* of a dash that did not write this file */
    if (ftruncate(fd, (off_t)past.len) < 0)
        rc = err_errno(err, "%s cannot be written", path);
    else
        rc = add_line(fd, path, beginning(&past, after_step, died, died_at), err);
    free(past.reason);
    if (rc == 0)
        *ret_launch = past.launches + 1;
    return rc;
}

static int open_file(const char *output, char **ret_path, int *ret_fd, struct err *err)
{
    char *path = file_join(output, "launches.jsonl");
    int rc = path ? file_open_append(path, 0666, ret_fd, err) : err_nomem(err, strlen(output));

    if (rc < 0)
        free(path);
    else
        *ret_path = path;
    return rc;
}

int launches_begin(const char *output, int after_step, const char *died, int died_at,
                   int *ret_launch, struct err *err)
{
    char *path;
    int fd, rc = open_file(output, &path, &fd, err);

    if (rc < 0)
        return rc;
    rc = begin(fd, path, after_step, died, died_at, ret_launch, err);
    close(fd);
    free(path);
    return rc;
}

int launches_end(const char *output, int launch, const char *ended, const char *reason,
                 struct err *err)
{
    char *path;
    int fd, rc;

    if (launch == 0)
        return 0;
    rc = open_file(output, &path, &fd, err);
    if (rc < 0)
        return rc;
    rc = add_line(fd, path,
                  json_pack("{s:i, s:s, s:s}", "launch", launch, "ended", ended, "reason", reason),
                  err);
    close(fd);
    free(path);
    return rc;
}
