/* daemon/service/run_evaluation.c - see run_evaluation.h. */
#include "daemon/service/run_evaluation.h"
#include "core/file.h"
#include "core/job/evaluation_request.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int run_evaluation_prepare(const struct run *run, struct err *err)
{
    static const char *const old[] = {"outcome.json", EVALUATION_PROGRESS, EVALUATION_RESULT,
                                      EVALUATION_DETAILS};
    const char *output = run->row.output, *text = run->row.job_yaml;
    char *logs = file_join(output, "logs");
    int rc = logs ? file_make_private_folder(logs, err) : err_nomem(err, strlen(output));

    free(logs);
    for (size_t i = 0; rc == 0 && i < sizeof(old) / sizeof(old[0]); i++)
        rc = file_remove_in(output, old[i], err);
    return rc == 0 ? file_write_in(output, EVALUATION_FILE, text, strlen(text), err) : rc;
}

int run_evaluation_check_roots(const struct run *run, struct err *err)
{
    const struct job_roots *roots = run->runs->options.check.roots;
    struct evaluation_request request = {0};
    struct problems problems = {0};
    int rc = 0;

    if (!roots || !roots->n)
        return 0;
    rc = evaluation_request_parse(run->row.job_yaml, &request, err);
    if (rc == 0)
        rc = evaluation_request_check_roots(&request, roots, &problems, err);
    if (rc == 0 && problems.n)
        rc = err_set(err, ERR_INVALID, "%s", problems.items[0].text);
    problems_free(&problems);
    evaluation_request_free(&request);
    return rc;
}

/* False where there is no line, or one that is none. */
static bool read_progress(const char *output, long *ret_done, long *ret_total)
{
    char *path = file_join(output, EVALUATION_PROGRESS), *text = NULL;
    int64_t size = 0;
    size_t len = 0;
    int fd = -1;
    bool found = false;

    if (path && file_open_no_link(path, &fd, &size, NULL) == 0 &&
        file_read_at(fd, 0, path, EVALUATION_PROGRESS_BYTES, &text, &len, NULL) == 0)
        found = sscanf(text, "%ld %ld", ret_done, ret_total) == 2 && *ret_done >= 0 &&
                *ret_done <= *ret_total && *ret_total <= INT_MAX;
    if (fd >= 0)
        close(fd);
    free(text);
    free(path);
    return found;
}

int run_evaluation_look(struct run *run, struct err *err)
{
    struct run_row next = run->row;
    long done, total;
    int rc = 0;

    if (run->row.state == RUN_QUEUED || !read_progress(run->row.output, &done, &total))
        return 0;
    if (done != run->steps.done) {
        run->steps.done = (int)done;
        run_changed(run);
    }
    next.steps_total = (int)total;
    if (run->row.state == RUN_STARTING)
        rc = run_transit(run, &next, RUN_FIRST_REPORT, run->row.stop ? NULL : "", err);
    else if (next.steps_total != run->row.steps_total)
        rc = run_save(run, &next, err);
    return rc;
}
