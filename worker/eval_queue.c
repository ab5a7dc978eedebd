/* worker/eval_queue.c - see eval.h. The line of progress has one length and is written over; the
 * results are written whole, before the outcome that says that they are there. */
#include "core/clock.h"
#include "core/file.h"
#include "core/job/outcome_file.h"
#include "core/log.h"
#include "worker/eval.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_request(const char *output, struct evaluation_request *ret, struct err *err)
{
    char *path = file_join(output, EVALUATION_FILE), *text = NULL;
    size_t len;
    int rc = path ? file_read_no_link(path, FILE_SMALL_MAX, &text, &len, err)
                  : err_nomem(err, strlen(output));

    if (rc == 0)
        rc = evaluation_request_parse(text, ret, err);
    free(text);
    free(path);
    return rc;
}

static int open_progress(const char *output, int *ret_fd, struct err *err)
{
    char *path = file_join(output, EVALUATION_PROGRESS);
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    int rc = fd < 0 ? err_errno(err, "%s/%s cannot be written", output, EVALUATION_PROGRESS) : 0;

    free(path);
    *ret_fd = fd;
    return rc;
}

int eval_queue_open(const char *output, struct eval_queue *ret, struct err *err)
{
    int rc;

    *ret = (struct eval_queue){.output = output, .progress = -1};
    rc = open_progress(output, &ret->progress, err);
    if (rc == 0) /* it runs; of how many examples will be known later */
        rc = eval_queue_progress(ret, 0, 0, err);
    return rc == 0 ? read_request(output, &ret->request, err) : rc;
}

int eval_queue_progress(struct eval_queue *q, long done, long total, struct err *err)
{
    static const double pause_s = 0.2;
    char line[64];
    double now = clock_s();

    if (done < total && q->said_s > 0 && now - q->said_s < pause_s)
        return 0;
    q->said_s = now;
    snprintf(line, sizeof(line), EVALUATION_PROGRESS_LINE, done, total);
    if (pwrite(q->progress, line, strlen(line), 0) < 0)
        return err_errno(err, "%s/%s cannot be written", q->output, EVALUATION_PROGRESS);
    return 0;
}

int eval_queue_results(const struct eval_queue *q, const json_t *figures, const struct buf *details,
                       struct err *err)
{
    char *text = json_dumps(figures, JSON_REAL_PRECISION(10) | JSON_INDENT(1));
    int rc = text ? file_write_in(q->output, EVALUATION_DETAILS, details->data ? details->data : "",
                                  details->len, err)
                  : err_nomem(err, sizeof(json_t));

    if (rc == 0)
        rc = file_write_in(q->output, EVALUATION_RESULT, text, strlen(text), err);
    free(text);
    return rc;
}

/* A stop that was asked for is ERR_STATE (eval_progress()). */
static const char *how_of(int rc)
{
    if (rc == 0)
        return "measured";
    if (rc == ERR_STATE)
        return "stopped";
    return rc == ERR_IO || rc == ERR_NOMEM ? "lost" : "failed";
}

void eval_queue_end(const struct eval_queue *q, int rc, const char *reason)
{
    struct err err;

    if (outcome_write(q->output, how_of(rc), rc == ERR_STATE, reason, &err) < 0)
        log_error("%s", err.text);
}

void eval_queue_close(struct eval_queue *q)
{
    if (q->progress >= 0)
        close(q->progress);
    q->progress = -1;
    evaluation_request_free(&q->request);
}
