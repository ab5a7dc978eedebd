/* daemon/service/outcome.c - see outcome.h. The folder may be one that others can write: nothing in
 * it is waited for, followed elsewhere or read without a limit. */
#include "daemon/service/outcome.h"
#include "core/file.h"
#include "core/json_file.h"
#include "core/utf8.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REASON_MAX = 4096, TAIL_BYTES = 4096, TAIL_LINES = 20, TELLING_BYTES = 64 * 1024 };

static int event_of(const char *how, enum run_event *ret_event)
{
    static const struct {
        const char *how;
        enum run_event event;
    } hows[] = {{"adapter_written", RUN_ADAPTER_WRITTEN},
                {"measured", RUN_ADAPTER_WRITTEN},
                {"stopped", RUN_STOPPED},
                {"failed", RUN_BROKE},
                {"lost", RUN_RANK_DIED}};
    size_t i;

    for (i = 0; how && i < sizeof(hows) / sizeof(hows[0]); i++)
        if (strcmp(how, hows[i].how) == 0) {
            *ret_event = hows[i].event;
            return 0;
        }
    return ERR_INVALID;
}

static int read_document(const char *path, enum run_event *ret_event, char **ret_reason,
                         struct err *err)
{
    const char *why;
    json_t *doc;
    int rc = json_file_read_no_link(path, FILE_SMALL_MAX, &doc, err);

    if (rc < 0)
        return rc;
    why = json_string_value(json_object_get(doc, "reason"));
    if (event_of(json_string_value(json_object_get(doc, "how")), ret_event) < 0)
        rc = err_set(err, ERR_INVALID, "%s does not report how the job ended", path);
    else if (!(*ret_reason = strndup(why ? why : "", utf8_fit(why ? why : "", REASON_MAX))))
        rc = err_nomem(err, REASON_MAX);
    json_decref(doc);
    return rc;
}

int outcome_read(const char *output, enum run_event *ret_event, char **ret_reason, struct err *err)
{
    char *path = file_join(output, "outcome.json");
    DIR *folder = opendir(output); /* NFS then asks the server anew whether the file is there */
    struct stat st;
    int rc;

    if (folder)
        closedir(folder);
    if (!path)
        return err_nomem(err, strlen(output));
    if (lstat(path, &st) < 0)
        rc = err_set(err, ERR_NOT_FOUND, "%s does not exist", path);
    else
        rc = read_document(path, ret_event, ret_reason, err);
    free(path);
    return rc;
}

/* -1: there is no log that can be read. */
static int open_log(const char *output, int64_t *ret_size)
{
    char *path = file_join(output, "logs/job.log");
    int fd = -1;

    if (path && file_open_no_link(path, &fd, ret_size, NULL) < 0)
        fd = -1;
    free(path);
    return fd;
}

int64_t outcome_log_size(const char *output)
{
    int64_t size = 0;
    int fd = open_log(output, &size);

    if (fd >= 0)
        close(fd);
    return size;
}

size_t outcome_log_bytes(uint32_t asked)
{
    enum { UNASKED = 64 << 10, MOST = (4 << 20) - 4096 };

    if (!asked)
        return UNASKED;
    return asked < MOST ? asked : MOST;
}

int outcome_read_log(const char *output, int64_t from, size_t most, struct buf *out,
                     int64_t *ret_next, struct err *err)
{
    int64_t size = 0, begin = from;
    char *bytes, *line;
    size_t got = 0, skip = 0, cut;
    int fd = open_log(output, &size), rc;

    *ret_next = from < 0 ? 0 : from;
    if (fd < 0)
        return 0;
    if (from < 0)
        begin = size > (int64_t)most ? size - (int64_t)most : 0;
    rc = file_read_at(fd, begin, "the job's log", most, &bytes, &got, err);
    close(fd);
    if (rc < 0)
        return rc;
    if (from < 0 && begin > 0 && (line = memchr(bytes, '\n', got)))
        skip = (size_t)(line + 1 - bytes);
    cut = utf8_cut_bytes(bytes, got);
    utf8_make_valid(bytes, got - cut);
    buf_append(out, bytes + skip, got - cut - skip);
    *ret_next = begin + (int64_t)got - (int64_t)cut;
    free(bytes);
    return 0;
}

/* mpirun frames what it has to say in lines of dashes. */
static bool is_frame(const char *line)
{
    size_t dashes = strspn(line, "-");

    return dashes > 20 && !line[dashes];
}

/* How much a line explains: a rank that was killed, then what our programs call errors, then
 * mpirun's own troubles, then anything that is not mpirun's. */
static int weight_of(const char *line, bool framed)
{
    if (strstr(line, " exited on signal "))
        return 4;
    if (strstr(line, "Z error "))
        return 3;
    if (strstr(line, "ERROR: AddressSanitizer") || strstr(line, "runtime error:") ||
        strstr(line, "error while loading shared libraries") || strstr(line, "cannot be started:"))
        return 3;
    if (strstr(line, "was unable to") || strstr(line, "MPI_ABORT was invoked"))
        return 2;
    return !framed && line[strspn(line, "- \t")] ? 1 : 0;
}

/* "2026-01-01T00:00:00.000Z error worker: text" -> "worker: text" */
static const char *without_time(const char *line)
{
    const char *error = strstr(line, "Z error ");

    return error ? error + strlen("Z error ") : line + strspn(line, " \t");
}

static int64_t tail_start(const char *output, int64_t from, size_t most)
{
    int64_t size = outcome_log_size(output);

    return size - from > (int64_t)most ? size - (int64_t)most : from;
}

char *outcome_telling_line(const char *output, int64_t from)
{
    struct buf log = {0};
    char *line, *rest, *best = NULL;
    int64_t next;
    int most = 0, weight;
    bool framed = false;

    if (outcome_read_log(output, tail_start(output, from, TELLING_BYTES), TELLING_BYTES, &log,
                         &next, NULL) < 0 ||
        !log.data)
        return NULL;
    for (line = strtok_r(log.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        framed ^= is_frame(line);
        weight = weight_of(line, framed);
        /* of a kind, the first error caused the others; of plain lines the last is the nearest */
        if (weight > most || (weight == most && weight == 1)) {
            most = weight;
            best = line;
        }
    }
    best = best ? strdup(without_time(best)) : NULL;
    buf_free(&log);
    return best;
}

char *outcome_log_tail(const char *output, int64_t from)
{
    struct buf log = {0};
    int64_t next;
    size_t at;
    int lines = 0;
    char *tail;

    if (outcome_read_log(output, tail_start(output, from, TAIL_BYTES), TAIL_BYTES, &log, &next,
                         NULL) < 0)
        return NULL;
    at = log.len;
    while (at > 0 && !(log.data[at - 1] == '\n' && at < log.len && ++lines == TAIL_LINES))
        at--;
    tail = strdup(log.data ? log.data + at : "");
    buf_free(&log);
    return tail;
}
