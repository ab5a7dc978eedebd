/* daemon/service/outcome.c - see outcome.h. */
#include "daemon/service/outcome.h"
#include "core/file.h"
#include "daemon/service/text.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TAIL_BYTES = 4096, TAIL_LINES = 20, TELLING_BYTES = 64 * 1024 };

static int event_of(const char *how, enum run_event *ret_event)
{
    static const struct {
        const char *how;
        enum run_event event;
    } hows[] = {{"adapter_written", RUN_ADAPTER_WRITTEN},
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

int outcome_read(const char *output, enum run_event *ret_event, char **ret_reason, struct err *err)
{
    char *path = file_join(output, "outcome.json"), *reason;
    DIR *folder = opendir(output); /* NFS then asks the server anew whether the file is there */
    json_t *doc = NULL;
    const char *how, *why;
    json_error_t why_not;
    int rc = 0;

    if (folder)
        closedir(folder);
    if (!path)
        return err_nomem(err, strlen(output));
    if (access(path, F_OK) < 0) {
        rc = err_set(err, ERR_NOT_FOUND, "%s: there is none", path);
        goto out;
    }
    doc = json_load_file(path, 0, &why_not);
    how = json_string_value(json_object_get(doc, "how"));
    why = json_string_value(json_object_get(doc, "reason"));
    if (event_of(how, ret_event) < 0) {
        rc = err_set(err, ERR_INVALID, "%s tells no outcome", path);
        goto out;
    }
    reason = strdup(why ? why : "");
    if (reason)
        *ret_reason = reason;
    else
        rc = err_nomem(err, 1);
out:
    json_decref(doc);
    free(path);
    return rc;
}

static int open_log(const char *output, int64_t *ret_size)
{
    char *path = file_join(output, "logs/job.log");
    struct stat st;
    int fd;

    if (!path)
        return -1;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    free(path);
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
        close(fd);
        return -1;
    }
    if (fd >= 0)
        *ret_size = st.st_size;
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

static ssize_t read_at(int fd, char *to, size_t len, int64_t from)
{
    size_t got = 0;
    ssize_t n;

    while (got < len && (n = pread(fd, to + got, len - got, (off_t)from + (off_t)got)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

int outcome_read_log(const char *output, int64_t from, size_t most, struct buf *out,
                     int64_t *ret_next, struct err *err)
{
    int64_t size = 0, begin = from;
    char *bytes, *line;
    ssize_t got;
    size_t skip = 0, cut;
    int fd = open_log(output, &size);

    *ret_next = from < 0 ? 0 : from;
    if (fd < 0)
        return 0;
    if (from < 0)
        begin = size > (int64_t)most ? size - (int64_t)most : 0;
    bytes = malloc(most + 1);
    if (!bytes) {
        close(fd);
        return err_nomem(err, most);
    }
    got = read_at(fd, bytes, most, begin);
    close(fd);
    if (got < 0) {
        free(bytes);
        return err_errno(err, "the log of %s cannot be read", output);
    }
    bytes[got] = '\0';
    if (from < 0 && begin > 0 && (line = memchr(bytes, '\n', (size_t)got)))
        skip = (size_t)(line + 1 - bytes);
    cut = text_cut_bytes(bytes, (size_t)got);
    text_make_utf8(bytes, (size_t)got - cut);
    buf_append(out, bytes + skip, (size_t)got - cut - skip);
    *ret_next = begin + got - (int64_t)cut;
    free(bytes);
    return 0;
}

/* mpirun frames what it has to say in lines of dashes. */
static bool is_frame(const char *line)
{
    size_t dashes = strspn(line, "-");

    return dashes > 20 && !line[dashes];
}

/* How much a line tells: a rank that was killed, then what our programs call errors, then mpirun's
 * own troubles, then anything that is not mpirun's. */
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
