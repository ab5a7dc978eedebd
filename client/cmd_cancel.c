/* client/cmd_cancel.c - dashctl cancel ID: stops a job, after a checkpoint. */
#include "client/client.h"
#include "client/json.h"
#include "client/words.h"
#include <stdio.h>

int cmd_cancel(struct client *c, int argc, char **argv)
{
    Dash__V1__CancelJobRequest request = DASH__V1__CANCEL_JOB_REQUEST__INIT;
    Dash__V1__CancelJobResponse *response = NULL;
    int status;

    request.id = client_parse_job(
        c, argc, argv,
        "Cancels a job. One that runs finishes its step and writes a checkpoint, from which "
        "`dashctl resume` continues.");
    status = client_call(c, "CancelJob", &request.base, &dash__v1__cancel_job_response__descriptor,
                         CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    if (c->json)
        json_print(&response->job->base, true);
    else if (words_is_final(response->job->state))
        printf("job %s is cancelled\n", response->job->id);
    else
        printf("job %s finishes its step, writes a checkpoint and ends; "
               "`dashctl resume %s` continues from there\n",
               response->job->id, response->job->id);
    dash__v1__cancel_job_response__free_unpacked(response, NULL);
    return EXIT_OK;
}
