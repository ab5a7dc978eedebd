/* report/job_result.c - see job_result.h. An output folder may be one that others can write: links
 * are not followed. */
#include "report/job_result.h"
#include "core/file.h"
#include "core/job/job_read.h"
#include "core/json_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 256 << 20 };

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* *ret_text is NULL where the file is not there. */
static int read_text(const char *folder, const char *name, char **ret_text, size_t *ret_len,
                     struct err *err)
{
    char *path = file_join(folder, name);
    int rc;

    *ret_text = NULL;
    *ret_len = 0;
    if (!path)
        return err_nomem(err, strlen(folder));
    rc = is_there(path) ? file_read_no_link(path, FILE_MAX, ret_text, ret_len, err) : 0;
    free(path);
    return rc;
}

static int add_row(struct job_result *r, int *cap, const struct step_row *row, struct err *err)
{
    if (r->n_rows == *cap) {
        int more = *cap ? 2 * *cap : 1024;
        struct step_row *rows = realloc(r->rows, (size_t)more * sizeof(*rows));
        if (!rows)
            return err_nomem(err, (size_t)more * sizeof(*rows));
        r->rows = rows;
        *cap = more;
    }
    r->rows[r->n_rows++] = *row;
    return 0;
}

/* A last line without an end is being written, and is left out. */
static int take_rows(FILE *file, const char *path, struct job_result *r, struct err *err)
{
    struct step_row row;
    size_t size = 0;
    char *line = NULL;
    int cap = 0, rc = 0;
    ssize_t len;

    while (rc == 0 && (len = getline(&line, &size, file)) > 0 && line[len - 1] == '\n')
        if (step_row_parse(line, (size_t)len - 1, &row))
            rc = add_row(r, &cap, &row, err);
        else
            rc = err_set(err, ERR_INVALID, "%s:%d is not the row of a step", path, r->n_rows + 1);
    if (rc == 0 && ferror(file))
        rc = err_errno(err, "%s cannot be read", path);
    free(line);
    return rc;
}

/* A line at a time: a job of a million steps has a file of hundreds of megabytes. */
static int read_rows_of(const char *path, struct job_result *r, struct err *err)
{
    struct stat st;
    int64_t size;
    FILE *file;
    int fd, rc;

    if (!is_there(path))
        return 0;
    rc = file_open_no_link(path, &fd, &size, err);
    if (rc < 0)
        return rc;
    if (r->last_ms == 0 && fstat(fd, &st) == 0)
        r->last_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    file = fdopen(fd, "r");
    if (!file) {
        close(fd);
        return err_nomem(err, 1);
    }
    rc = take_rows(file, path, r, err);
    fclose(file);
    return rc;
}

static int read_rows(const char *folder, struct job_result *r, struct err *err)
{
    char *path = file_join(folder, "metrics.jsonl");
    int rc = path ? read_rows_of(path, r, err) : err_nomem(err, strlen(folder));

    free(path);
    return rc;
}

static int read_json(const char *folder, const char *name, json_t **ret, struct err *err)
{
    char *path = file_join(folder, name);
    int rc;

    if (!path)
        return err_nomem(err, strlen(folder));
    rc = is_there(path) ? json_file_read_no_link(path, FILE_MAX, ret, err) : 0;
    free(path);
    return rc;
}

/* A file of JSON lines: which of them are taken. */
enum line_use { LINE_TAKEN, LINE_LEFT_OUT, LINE_WRONG };
struct lines_file {
    const char *name, *what;
    enum line_use (*use)(const json_t *line);
};

static enum line_use use_coefficients(const json_t *line)
{
    return json_is_integer(json_object_get(line, "step")) &&
                   json_is_array(json_object_get(line, "c"))
               ? LINE_TAKEN
               : LINE_WRONG;
}

static enum line_use use_launch(const json_t *line)
{
    if (!json_is_integer(json_object_get(line, "launch")))
        return LINE_WRONG;
    return json_is_integer(json_object_get(line, "after_step")) ? LINE_TAKEN : LINE_LEFT_OUT;
}

/* *ret is an array of the lines that are taken; unchanged where the file is not there. */
static int read_lines(const char *folder, const struct lines_file *file, json_t **ret,
                      struct err *err)
{
    char *text, *at, *end;
    json_t *lines = NULL;
    size_t len;
    int rc = read_text(folder, file->name, &text, &len, err), number = 1;

    if (rc < 0 || !text)
        return rc;
    lines = json_array();
    for (at = text; rc == 0 && (end = strchr(at, '\n')); at = end + 1, number++) {
        json_t *line = json_loadb(at, (size_t)(end - at), 0, NULL);
        enum line_use use = file->use(line);
        if (use == LINE_WRONG)
            rc = err_set(err, ERR_INVALID, "%s/%s:%d is not %s", folder, file->name, number,
                         file->what);
        else if (use == LINE_TAKEN && json_array_append(lines, line) < 0)
            rc = err_nomem(err, len);
        json_decref(line);
    }
    free(text);
    if (rc == 0)
        *ret = lines;
    else
        json_decref(lines);
    return rc;
}

/* How a job without a dashd has ended. */
static int read_state(const char *folder, char **ret, struct err *err)
{
    static const char *const words[][2] = {
        {"adapter_written", "SUCCEEDED"}, {"stopped", "CANCELLED"}, {"failed", "FAILED"}};
    json_t *outcome = NULL;
    const char *how, *state = "";
    int rc = read_json(folder, "outcome.json", &outcome, err);
    size_t i;

    if (rc < 0)
        return rc;
    how = json_string_value(json_object_get(outcome, "how"));
    for (i = 0; how && i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(how, words[i][0]) == 0)
            state = words[i][1];
    json_decref(outcome);
    *ret = strdup(state);
    return *ret ? 0 : err_nomem(err, 1);
}

static int read_name(struct job_result *r, struct err *err)
{
    struct job *job = NULL;
    int rc = job_from_yaml(r->yaml, &job, err);

    if (rc < 0)
        return rc;
    r->name = strdup(job->name);
    job_free(job);
    return r->name ? 0 : err_nomem(err, 1);
}

int job_result_read(const char *folder, bool with_directions, struct job_result *r, struct err *err)
{
    static const struct lines_file coefficients = {"coefficients.jsonl", "a row of coefficients",
                                                   use_coefficients};
    static const struct lines_file launches = {"launches.jsonl", "a line of a launch", use_launch};
    size_t len;
    int rc = r->yaml ? 0 : read_text(folder, "job.yaml", &r->yaml, &len, err);

    if (rc == 0 && !r->yaml)
        rc = err_set(err, ERR_NOT_FOUND, "%s has no job.yaml: it is not the output folder of a job",
                     folder);
    if (rc == 0)
        rc = read_name(r, err);
    if (rc == 0)
        rc = read_rows(folder, r, err);
    if (rc == 0 && !r->state)
        rc = read_state(folder, &r->state, err);
    if (rc == 0 && with_directions)
        rc = read_json(folder, "directions.json", &r->directions, err);
    if (rc == 0 && with_directions)
        rc = read_json(folder, "spectra.json", &r->spectra, err);
    if (rc == 0 && with_directions)
        rc = read_lines(folder, &coefficients, &r->coefficients, err);
    if (rc == 0 && with_directions)
        rc = read_lines(folder, &launches, &r->launches, err);
    return rc;
}

void job_result_free(struct job_result *r)
{
    free(r->id);
    free(r->name);
    free(r->state);
    free(r->yaml);
    free(r->output);
    free(r->rows);
    json_decref(r->directions);
    json_decref(r->spectra);
    json_decref(r->coefficients);
    json_decref(r->launches);
    *r = (struct job_result){0};
}
