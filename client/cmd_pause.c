/* client/cmd_pause.c - dashctl pause ID: a job stops after a checkpoint and waits to be resumed. */
#include "client/client.h"
#include "client/json.h"
#include <stdio.h>

int cmd_pause(struct client *c, int argc, char **argv)
{
    Dash__V1__PauseJobRequest request = DASH__V1__PAUSE_JOB_REQUEST__INIT;
    Dash__V1__PauseJobResponse *response = NULL;
    int status;

    request.id = client_parse_job(
        c, argc, argv,
        "Pauses a job. One that runs finishes its step, writes a checkpoint and gives its cores or "
        "nodes back; `dashctl resume` queues it again.");
    status = client_call(c, "PauseJob", &request.base, &dash__v1__pause_job_response__descriptor,
                         CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    if (c->json)
        json_print(&response->job->base, true);
    else if (response->job->state == DASH__V1__JOB_STATE__PAUSED)
        printf("job %s is paused; `dashctl resume %s` queues it again\n", response->job->id,
               response->job->id);
    else
        printf("job %s finishes its step, writes a checkpoint and is paused; "
               "`dashctl resume %s` continues from there\n",
               response->job->id, response->job->id);
    dash__v1__pause_job_response__free_unpacked(response, NULL);
    return EXIT_OK;
}
