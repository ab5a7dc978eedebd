/* client/cmd_download.c - dashctl download ID [PATH ...]: a job's results come here. */
#include "client/client.h"
#include "client/download.h"
#include "client/interrupt.h"
#include "core/file.h"
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATHS_MAX = 256 };

struct download {
    struct client *client;
    char *id, *to;
    char *paths[PATHS_MAX];
    int n_paths;
    bool force;
};

static const struct argp_option options[] = {
    {"to", 't', "FOLDER", 0, "Where to (default: a folder of the job's name)", 0},
    {"force", 'f', NULL, 0, "Replace files that are there", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct download *d = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = d->client;
        return 0;
    case 't':
        d->to = arg;
        return 0;
    case 'f':
        d->force = true;
        return 0;
    case ARGP_KEY_ARG:
        if (!d->id)
            d->id = arg;
        else if (d->n_paths < PATHS_MAX)
            d->paths[d->n_paths++] = arg;
        else
            argp_error(state, "at most %d paths", PATHS_MAX);
        return 0;
    case ARGP_KEY_END:
        if (!d->id)
            argp_error(state, "the ID of a job is missing: `dashctl list` shows them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A path, or one in a folder that is named. Without paths all but checkpoints and logs. */
static bool is_wanted(const struct download *d, const char *path)
{
    int i;

    for (i = 0; i < d->n_paths; i++) {
        size_t len = strlen(d->paths[i]);
        while (len > 1 && d->paths[i][len - 1] == '/')
            len--;
        if (strncmp(path, d->paths[i], len) == 0 && (!path[len] || path[len] == '/'))
            return true;
    }
    return !d->n_paths && strncmp(path, "checkpoint/", 11) != 0 && strncmp(path, "logs/", 5) != 0;
}

/* A server that is not to be trusted must not write elsewhere. */
static bool is_safe(const char *path)
{
    const char *part = path;

    for (;;) {
        size_t len = strcspn(part, "/");
        if (len == 0 || (len <= 2 && strncmp(part, "..", len) == 0))
            return false;
        if (!part[len])
            return true;
        part += len + 1;
    }
}

static int fetch(const struct download *d, const Dash__V1__File *file, uint64_t *done, uint64_t all)
{
    char *to = file_join(d->to, file->path), *folder = to ? strdup(to) : NULL;
    struct err err;
    int status = EXIT_OK;

    if (!folder)
        status = client_fail_with("out of memory");
    else if (!is_safe(file->path))
        status = client_fail_with("dashd named a path that leads out of the folder");
    else if (!d->force && access(to, F_OK) == 0)
        status = (err_set(&err, ERR_STATE, "%s is there already: --force replaces it", to),
                  client_fail(&err));
    else if (file_make_folders(dirname(folder), &err) < 0)
        status = client_fail(&err);
    if (status == EXIT_OK)
        status = download_file(d->client, d->id, file->path, to, done, all);
    if (status == EXIT_OK && !d->client->json)
        printf("%s\n", to);
    free(folder);
    free(to);
    return status;
}

static int fetch_all(const struct download *d, const Dash__V1__ListFilesResponse *list)
{
    uint64_t done = 0, all = 0;
    int status = EXIT_OK, n = 0;
    size_t i;

    for (i = 0; i < list->n_files; i++)
        if (is_wanted(d, list->files[i]->path)) {
            all += list->files[i]->bytes;
            n++;
        }
    if (!n)
        return client_fail_with("the job has no such files: `dashctl files` lists them");
    for (i = 0; status == EXIT_OK && i < list->n_files; i++)
        if (is_wanted(d, list->files[i]->path))
            status = fetch(d, list->files[i], &done, all);
    return status;
}

/* Who has created the job has chosen its name, too: as a folder it must not be one elsewhere. */
static bool is_folder_name(const char *name)
{
    return is_safe(name) && !strchr(name, '/') && name[0] != '.';
}

/* The job; the caller frees it. */
static int get_job(const struct download *d, Dash__V1__GetJobResponse **ret)
{
    Dash__V1__GetJobRequest request = DASH__V1__GET_JOB_REQUEST__INIT;

    request.id = d->id;
    return client_call(d->client, "GetJob", &request.base, &dash__v1__get_job_response__descriptor,
                       CALL_TIMEOUT_MS, ret);
}

static int list_and_fetch(const struct download *d)
{
    Dash__V1__ListFilesRequest request = DASH__V1__LIST_FILES_REQUEST__INIT;
    Dash__V1__ListFilesResponse *list = NULL;
    int status;

    request.id = d->id;
    status = client_call(d->client, "ListFiles", &request.base,
                         &dash__v1__list_files_response__descriptor, CALL_TIMEOUT_MS, &list);
    if (status != 0)
        return status;
    interrupt_catch();
    status = fetch_all(d, list);
    dash__v1__list_files_response__free_unpacked(list, NULL);
    return status;
}

int cmd_download(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .options = options,
        .parser = parse,
        .args_doc = "ID [PATH...]",
        .doc = "Downloads files of a job, each with its checksum compared. PATH is a file or a "
               "folder, as `dashctl files` lists them; without one, all but checkpoints and logs.",
        .children = children};
    Dash__V1__GetJobResponse *response = NULL;
    struct download d = {.client = c};
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &d);
    status = get_job(&d, &response);
    if (status != 0)
        return status;
    d.id = response->job->id;
    if (!d.to && is_folder_name(response->job->name))
        d.to = response->job->name;
    status = d.to ? list_and_fetch(&d)
                  : client_fail_with("the name of the job cannot be that of a folder here: choose "
                                     "one with --to FOLDER");
    dash__v1__get_job_response__free_unpacked(response, NULL);
    return status;
}
