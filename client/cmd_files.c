/* client/cmd_files.c - dashctl files ID and dashctl checkpoints ID: what a job has left in its
 * output folder. */
#include "client/client.h"
#include "client/json.h"
#include "client/words.h"
#include <stdio.h>

int cmd_files(struct client *c, int argc, char **argv)
{
    Dash__V1__ListFilesRequest request = DASH__V1__LIST_FILES_REQUEST__INIT;
    Dash__V1__ListFilesResponse *response = NULL;
    char time[32];
    size_t i;
    int status;

    request.id = client_parse_job(c, argc, argv,
                                  "Lists the files of a job: bytes, time of the last change, and "
                                  "path as `dashctl download` takes it.");
    status = client_call(c, "ListFiles", &request.base, &dash__v1__list_files_response__descriptor,
                         CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    if (c->json)
        json_print(&response->base, true);
    for (i = 0; !c->json && i < response->n_files; i++) {
        words_time(response->files[i]->time_ms, time, sizeof(time));
        printf("%12llu  %s  %s\n", (unsigned long long)response->files[i]->bytes, time,
               response->files[i]->path);
    }
    if (!c->json && !response->n_files)
        printf("the job has no files yet\n");
    dash__v1__list_files_response__free_unpacked(response, NULL);
    return EXIT_OK;
}

int cmd_checkpoints(struct client *c, int argc, char **argv)
{
    Dash__V1__ListCheckpointsRequest request = DASH__V1__LIST_CHECKPOINTS_REQUEST__INIT;
    Dash__V1__ListCheckpointsResponse *response = NULL;
    char time[32];
    size_t i;
    int status;

    request.id = client_parse_job(c, argc, argv,
                                  "Lists the checkpoints of a job, newest first. `dashctl resume "
                                  "--from-step` continues from one of them.");
    status =
        client_call(c, "ListCheckpoints", &request.base,
                    &dash__v1__list_checkpoints_response__descriptor, CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    if (c->json)
        json_print(&response->base, true);
    for (i = 0; !c->json && i < response->n_checkpoints; i++) {
        words_time(response->checkpoints[i]->time_ms, time, sizeof(time));
        printf("step %8u  %12llu bytes  %s\n", response->checkpoints[i]->step,
               (unsigned long long)response->checkpoints[i]->bytes, time);
    }
    if (!c->json && !response->n_checkpoints)
        printf("the job has no checkpoint\n");
    dash__v1__list_checkpoints_response__free_unpacked(response, NULL);
    return EXIT_OK;
}
