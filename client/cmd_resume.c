/* client/cmd_resume.c - dashctl resume ID: a job that failed or was cancelled goes on. */
#include "client/client.h"
#include "client/json.h"
#include <stdio.h>

int cmd_resume(struct client *c, int argc, char **argv)
{
    Dash__V1__ResumeJobRequest request = DASH__V1__RESUME_JOB_REQUEST__INIT;
    Dash__V1__ResumeJobResponse *response = NULL;
    const char *id = NULL;
    int status;

    client_parse_one(
        c, argc, argv, "ID",
        "Queues a job that failed or was cancelled again. It goes on from its last checkpoint.",
        &id);
    request.id = (char *)id;
    status = client_call(c, "ResumeJob", &request.base, &dash__v1__resume_job_response__descriptor,
                         CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    if (c->json)
        json_print(&response->job->base, true);
    else
        printf("job %s (%s) goes on after step %u; `dashctl watch %s` shows it\n",
               response->job->id, response->job->name, response->job->steps_done,
               response->job->id);
    dash__v1__resume_job_response__free_unpacked(response, NULL);
    return EXIT_OK;
}
