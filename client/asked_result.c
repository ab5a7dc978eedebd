/* client/asked_result.c - see asked_result.h. What dashd has comes into a temporary folder first,
 * so that there is one reader, of folders. */
#include "client/asked_result.h"
#include "client/download.h"
#include "client/interrupt.h"
#include "client/words.h"
#include "core/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is fetched; the first alone where directions are not asked for. */
static const char *const names[] = {"metrics.jsonl", "directions.json", "spectra.json",
                                    "coefficients.jsonl", "launches.jsonl"};
enum { N_NAMES = sizeof(names) / sizeof(names[0]), N_PLAIN = 1 };

static bool is_needed(const char *path, bool with_directions)
{
    int i, n = with_directions ? N_NAMES : N_PLAIN;

    for (i = 0; i < n; i++)
        if (strcmp(path, names[i]) == 0)
            return true;
    return false;
}

static int fetch(struct client *c, bool with_directions, const char *folder, struct job_result *r)
{
    Dash__V1__ListFilesRequest request = DASH__V1__LIST_FILES_REQUEST__INIT;
    Dash__V1__ListFilesResponse *list = NULL;
    uint64_t done = 0, all = 0;
    size_t i;
    int status;

    request.id = r->id;
    status = client_call(c, "ListFiles", &request.base, &dash__v1__list_files_response__descriptor,
                         CALL_TIMEOUT_MS, &list);
    for (i = 0; status == 0 && i < list->n_files; i++)
        if (is_needed(list->files[i]->path, with_directions))
            all += list->files[i]->bytes;
    for (i = 0; status == 0 && i < list->n_files; i++) {
        const char *path = list->files[i]->path;
        char *to = is_needed(path, with_directions) ? file_join(folder, path) : NULL;
        if (to)
            status = download_file(c, r->id, path, to, &done, all);
        if (to && strcmp(path, names[0]) == 0)
            r->last_ms = list->files[i]->time_ms;
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
    status = fetch(c, with_directions, folder, r);
    if (status == EXIT_OK && job_result_read(folder, with_directions, r, &err) < 0)
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

/* A folder may have been meant. */
static void explain_name(const char *asked)
{
    bool there = access(asked, F_OK) == 0;

    if (asked[strspn(asked, "0123456789")])
        fprintf(stderr, "note: %s was taken for a job of dashd's: %s\n", asked,
                there ? "it has no job.yaml, and is not the output folder of a job"
                      : "there is no such folder here");
}

int asked_result_read(struct client *c, const char *asked, bool with_directions,
                      struct job_result *ret)
{
    struct job_result r = {0};
    struct err err;
    int status = EXIT_OK;

    if (!is_output_folder(asked)) {
        status = read_served(c, asked, with_directions, &r);
        if (status != EXIT_OK)
            explain_name(asked);
    } else if (job_result_read(asked, with_directions, &r, &err) < 0) {
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
