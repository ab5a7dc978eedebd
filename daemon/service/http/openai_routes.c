/* daemon/service/http/openai_routes.c - the table of what is served of OpenAI's API. */
#include "daemon/service/http/openai_routes.h"
#include "daemon/service/http/openai_upload.h"

enum { BODY_BYTES = RPC_MESSAGE_BYTES }; /* it is read on the loop */

static void on_other(struct http_request *r)
{
    openai_fail(r, RPC_NOT_FOUND,
                "this server offers of OpenAI's API: files, fine_tuning/jobs, models and "
                "chat/completions");
}

int openai_register(struct http_server *server, struct openai *o, struct err *err)
{
    static const struct http_route routes[] = {
        {.method = HTTP_POST,
         .path = "/v1/files",
         .role = ROLE_SUBMIT,
         .audited = true,
         .body_max = OPENAI_UPLOAD_MAX + 65536,
         .in_pieces = true,
         .begin = openai_upload_begin,
         .body = openai_upload_body,
         .done = openai_upload_done,
         .gone = openai_upload_gone,
         .fail = openai_fail},
        {.method = HTTP_GET, .path = "/v1/files", .done = openai_on_files, .fail = openai_fail},
        {.method = HTTP_GET,
         .path = "/v1/files/",
         .done = openai_on_file,
         .writable = openai_file_writable,
         .gone = openai_file_gone,
         .fail = openai_fail},
        {.method = HTTP_DELETE,
         .path = "/v1/files/",
         .role = ROLE_SUBMIT,
         .audited = true,
         .done = openai_on_delete_file,
         .fail = openai_fail},
        {.method = HTTP_POST,
         .path = "/v1/fine_tuning/jobs",
         .body_max = BODY_BYTES,
         .done = openai_on_create_job,
         .gone = http_call_gone,
         .fail = openai_fail},
        {.method = HTTP_GET,
         .path = "/v1/fine_tuning/jobs",
         .done = openai_on_jobs,
         .fail = openai_fail},
        {.method = HTTP_GET,
         .path = "/v1/fine_tuning/jobs/",
         .done = openai_on_job,
         .gone = http_call_gone,
         .fail = openai_fail},
        {.method = HTTP_POST,
         .path = "/v1/fine_tuning/jobs/",
         .body_max = BODY_BYTES,
         .done = openai_on_job_verb,
         .gone = http_call_gone,
         .fail = openai_fail},
        {.method = HTTP_GET, .path = "/v1/models", .done = openai_on_models, .fail = openai_fail},
        {.method = HTTP_GET, .path = "/v1/models/", .done = openai_on_model, .fail = openai_fail},
        {.method = HTTP_POST,
         .path = "/v1/chat/completions",
         .role = ROLE_SUBMIT,
         .body_max = BODY_BYTES,
         .done = openai_on_chat,
         .gone = openai_on_chat_gone,
         .fail = openai_fail},
        {.method = HTTP_GET,
         .path = "/v1/",
         .body_max = BODY_BYTES,
         .done = on_other,
         .fail = openai_fail},
        {.method = HTTP_POST,
         .path = "/v1/",
         .body_max = BODY_BYTES,
         .done = on_other,
         .fail = openai_fail},
        {.method = HTTP_DELETE,
         .path = "/v1/",
         .body_max = BODY_BYTES,
         .done = on_other,
         .fail = openai_fail},
    };

    return http_add_routes(server, routes, sizeof(routes) / sizeof(routes[0]), o, err);
}
