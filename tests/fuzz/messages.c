/* tests/fuzz/messages.c - any bytes as a message of dash.proto, of either port, as dashd unpacks
 * them: the first byte says which one. */
#include "proto/dash.pb-c.h"
#include "proto/step_row.h"
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"
#include <grpc/grpc.h>

enum { MEMORY_MAX = 1 << 20 };

static const ProtobufCMessageDescriptor *const types[] = {
    &dash__v1__create_job_request__descriptor,     &dash__v1__plan_job_request__descriptor,
    &dash__v1__list_jobs_request__descriptor,      &dash__v1__watch_job_request__descriptor,
    &dash__v1__update_job_request__descriptor,     &dash__v1__resume_job_request__descriptor,
    &dash__v1__list_events_request__descriptor,    &dash__v1__download_file_request__descriptor,
    &dash__v1__follow_logs_request__descriptor,    &dash__v1__coordinator_report__descriptor,
    &dash__v1__coordinator_command__descriptor,    &dash__v1__watch_job_response__descriptor,
    &dash__v1__list_jobs_response__descriptor,     &dash__v1__plan_job_response__descriptor,
    &dash__v1__download_file_response__descriptor,
};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ProtobufCMessage *m = NULL;
    grpc_byte_buffer *buffer;
    struct step_row row;
    grpc_slice slice;
    struct err err = {0};

    if (size == 0)
        return 0;
    slice = grpc_slice_from_copied_buffer((const char *)data + 1, size - 1);
    buffer = grpc_raw_byte_buffer_create(&slice, 1);
    if (fuzz_check(wire_unpack(buffer, types[data[0] % TYPES], MEMORY_MAX, &m, &err), &err) == 0) {
        Dash__V1__CoordinatorReport *report = (Dash__V1__CoordinatorReport *)m;
        if (m->descriptor == &dash__v1__coordinator_report__descriptor &&
            report->report_case == DASH__V1__COORDINATOR_REPORT__REPORT_STEP)
            step_row_from_message(report->step, &row);
        protobuf_c_message_free_unpacked(m, NULL);
    }
    grpc_byte_buffer_destroy(buffer);
    grpc_slice_unref(slice);
    return 0;
}
