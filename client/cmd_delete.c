/* client/cmd_delete.c - dashctl delete ID: dashd forgets a job. */
#include "client/client.h"
#include "client/json.h"
#include <stdio.h>

int cmd_delete(struct client *c, int argc, char **argv)
{
    Dash__V1__DeleteJobRequest request = DASH__V1__DELETE_JOB_REQUEST__INIT;
    Dash__V1__DeleteJobResponse *response = NULL;
    int status;

    request.id = client_parse_job(
        c, argc, argv,
        "Deletes a job that has ended or is paused from dashd's records: its steps, events and "
        "notes. The output folder, with the adapter and the checkpoints, is left as it is.");
    status = client_call(c, "DeleteJob", &request.base, &dash__v1__delete_job_response__descriptor,
                         CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    if (c->json)
        json_print(&response->base, true);
    else
        printf("job %s is deleted; its output folder is left as it is\n", request.id);
    dash__v1__delete_job_response__free_unpacked(response, NULL);
    return EXIT_OK;
}
