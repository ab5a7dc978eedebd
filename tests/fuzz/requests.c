/* tests/fuzz/requests.c - any bytes as the body of a request to the HTTP port, as the message that
 * the first byte names; what is understood comes back the same from JSON. */
#include "core/json_file.h"
#include "proto/dash.pb-c.h"
#include "proto/message_json.h"
#include "tests/fuzz/fuzz.h"

static const ProtobufCMessageDescriptor *const types[] = {
    &dash__v1__create_job_request__descriptor, &dash__v1__plan_job_request__descriptor,
    &dash__v1__list_jobs_request__descriptor,  &dash__v1__watch_job_request__descriptor,
    &dash__v1__update_job_request__descriptor, &dash__v1__download_file_request__descriptor,
    &dash__v1__watch_job_response__descriptor, &dash__v1__list_jobs_response__descriptor,
};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

static void check_same(const ProtobufCMessage *m)
{
    json_t *json = message_to_json(m, MESSAGE_JSON_PROTO3);
    json_t *fields = message_to_json(m, MESSAGE_JSON_FIELDS), *again;
    ProtobufCMessage *second = NULL;
    struct err err = {0};

    fuzz_check(message_from_json(json, m->descriptor, &second, &err), &err);
    assert(second && fields);
    again = message_to_json(second, MESSAGE_JSON_PROTO3);
    assert(json_equal(json, again));
    protobuf_c_message_free_unpacked(second, NULL);
    json_decref(json);
    json_decref(fields);
    json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ProtobufCMessage *m = NULL;
    json_t *json = NULL;
    struct err err = {0};

    if (size == 0 ||
        fuzz_check(json_file_parse((const char *)data + 1, size - 1, "the request", &json, &err),
                   &err) < 0)
        return 0;
    if (fuzz_check(message_from_json(json, types[data[0] % TYPES], &m, &err), &err) == 0) {
        check_same(m);
        protobuf_c_message_free_unpacked(m, NULL);
    }
    json_decref(json);
    return 0;
}
