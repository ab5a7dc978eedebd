/* client/job_result.c - see job_result.h. What dashd has comes into a temporary folder first, so
 * that there is one reader, of folders. */
#include "client/job_result.h"
#include "client/download.h"
#include "client/interrupt.h"
#include "client/words.h"
#include "core/file.h"
#include "core/job/job_read.h"
#include "core/json_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 256 << 20 };

/* What is fetched from dashd; the first alone where directions are not asked for. */
static const char *const names[] = {"metrics.jsonl", "directions.json", "spectra.json",
                                    "coefficients.jsonl"};
enum { N_NAMES = sizeof(names) / sizeof(names[0]), N_PLAIN = 1 };

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
    rc = access(path, F_OK) == 0 ? file_read(path, FILE_MAX, ret_text, ret_len, err) : 0;
    free(path);
    return rc;
}

static int count_lines(const char *text)
{
    int n = 0;

    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}

/* A last line without an end is being written, and is left out. */
static int read_rows(const char *folder, struct job_result *r, struct err *err)
{
    char *text, *at, *end;
    size_t len;
    int rc = read_text(folder, "metrics.jsonl", &text, &len, err);

    if (rc < 0 || !text)
        return rc;
    r->rows = calloc((size_t)count_lines(text) + 1, sizeof(*r->rows));
    if (!r->rows)
        rc = err_nomem(err, len);
    for (at = text; rc == 0 && (end = strchr(at, '\n')); at = end + 1) {
        if (!step_row_parse(at, (size_t)(end - at), &r->rows[r->n_rows]))
            rc = err_set(err, ERR_INVALID, "%s/metrics.jsonl:%d is not the row of a step", folder,
                         r->n_rows + 1);
        else
            r->n_rows++;
    }
    free(text);
    return rc;
}

static int read_json(const char *folder, const char *name, json_t **ret, struct err *err)
{
    char *path = file_join(folder, name);
    int rc;

    if (!path)
        return err_nomem(err, strlen(folder));
    rc = access(path, F_OK) == 0 ? json_file_read(path, FILE_MAX, ret, err) : 0;
    free(path);
    return rc;
}

static int read_coefficients(const char *folder, json_t **ret, struct err *err)
{
    char *text, *at, *end;
    json_t *rows = NULL;
    size_t len;
    int rc = read_text(folder, "coefficients.jsonl", &text, &len, err), line = 1;

    if (rc < 0 || !text)
        return rc;
    rows = json_array();
    for (at = text; rc == 0 && (end = strchr(at, '\n')); at = end + 1, line++) {
        json_t *row = json_loadb(at, (size_t)(end - at), 0, NULL);
        if (!json_is_integer(json_object_get(row, "step")) ||
            !json_is_array(json_object_get(row, "c")))
            rc = err_set(err, ERR_INVALID, "%s/coefficients.jsonl:%d is not a row of coefficients",
                         folder, line);
        if (json_array_append_new(rows, row) < 0 && rc == 0)
            rc = err_nomem(err, len);
    }
    free(text);
    if (rc == 0)
        *ret = rows;
    else
        json_decref(rows);
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

static int read_folder(const char *folder, bool with_directions, struct job_result *r,
                       struct err *err)
{
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
        rc = read_coefficients(folder, &r->coefficients, err);
    return rc;
}

/* ---- from dashd ---- */

static bool is_needed(const char *path, bool with_directions)
{
    int i, n = with_directions ? N_NAMES : N_PLAIN;

    for (i = 0; i < n; i++)
        if (strcmp(path, names[i]) == 0)
            return true;
    return false;
}

static int fetch(struct client *c, const char *id, bool with_directions, const char *folder)
{
    Dash__V1__ListFilesRequest request = DASH__V1__LIST_FILES_REQUEST__INIT;
    Dash__V1__ListFilesResponse *list = NULL;
    uint64_t done = 0, all = 0;
    size_t i;
    int status;

    request.id = (char *)id;
    status = client_call(c, "ListFiles", &request.base, &dash__v1__list_files_response__descriptor,
                         CALL_TIMEOUT_MS, &list);
    for (i = 0; status == 0 && i < list->n_files; i++)
        if (is_needed(list->files[i]->path, with_directions))
            all += list->files[i]->bytes;
    for (i = 0; status == 0 && i < list->n_files; i++) {
        const char *path = list->files[i]->path;
        char *to = is_needed(path, with_directions) ? file_join(folder, path) : NULL;
        if (to)
            status = download_file(c, id, path, to, &done, all);
        free(to);
    }
    if (list)
        dash__v1__list_files_response__free_unpacked(list, NULL);
    return status;
}

static void remove_folder(const char *folder)
{
    int i;

    for (i = 0; i < N_NAMES; i++) {
        char *path = file_join(folder, names[i]);
        if (path)
            unlink(path);
        free(path);
    }
    rmdir(folder);
}

static int take_job(const struct client *c, const Dash__V1__Job *job, struct job_result *r)
{
    bool here = strncmp(c->server, "unix:", 5) == 0;

    r->id = strdup(job->id);
    r->state = strdup(words_state(job->state));
    r->yaml = strdup(job->job_yaml);
    r->output = here ? strdup(job->output) : NULL;
    return r->id && r->state && r->yaml && (!here || r->output) ? EXIT_OK
                                                                : client_fail_with("out of memory");
}

static int read_files(struct client *c, bool with_directions, struct job_result *r)
{
    char folder[] = "/tmp/dashctl-XXXXXX";
    struct err err;
    int status;

    if (!mkdtemp(folder)) {
        err_errno(&err, "%s: the folder cannot be created", folder);
        return client_fail(&err);
    }
    interrupt_catch();
    status = fetch(c, r->id, with_directions, folder);
    if (status == EXIT_OK && read_folder(folder, with_directions, r, &err) < 0)
        status = client_fail(&err);
    remove_folder(folder);
    return status;
}

static int read_served(struct client *c, const char *asked, bool with_directions,
                       struct job_result *r)
{
    Dash__V1__GetJobRequest request = DASH__V1__GET_JOB_REQUEST__INIT;
    Dash__V1__GetJobResponse *response = NULL;
    int status;

    request.id = (char *)asked;
    status = client_call(c, "GetJob", &request.base, &dash__v1__get_job_response__descriptor,
                         CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    status = take_job(c, response->job, r);
    dash__v1__get_job_response__free_unpacked(response, NULL);
    return status == EXIT_OK ? read_files(c, with_directions, r) : status;
}

static bool is_output_folder(const char *asked)
{
    char *path = file_join(asked, "job.yaml");
    bool yes = path && access(path, F_OK) == 0;

    free(path);
    return yes || strchr(asked, '/');
}

int job_result_read(struct client *c, const char *asked, bool with_directions,
                    struct job_result *ret)
{
    struct job_result r = {0};
    struct err err;
    int status = EXIT_OK;

    if (!is_output_folder(asked)) {
        status = read_served(c, asked, with_directions, &r);
    } else if (read_folder(asked, with_directions, &r, &err) < 0) {
        status = client_fail(&err);
    } else {
        r.output = strdup(asked);
        if (!r.output)
            status = client_fail_with("out of memory");
    }
    if (status == EXIT_OK)
        *ret = r;
    else
        job_result_free(&r);
    return status;
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
    *r = (struct job_result){0};
}
