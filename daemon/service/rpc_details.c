/* daemon/service/rpc_details.c - the details of an INVALID_ARGUMENT. Clients allow a status 8 KiB
 * in all, and base64 makes four bytes of three: violations are added until the next would not fit.
 * The message of the status is not repeated. */
#include "daemon/service/rpc_impl.h"
#include "proto/status.pb-c.h"
#include <stdlib.h>

enum { VIOLATIONS_MAX = 100 };

static grpc_slice pack(const ProtobufCMessage *m)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(m));

    protobuf_c_message_pack(m, GRPC_SLICE_START_PTR(slice));
    return slice;
}

static grpc_slice pack_status(const Google__Rpc__BadRequest *bad)
{
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    Google__Rpc__Any any = GOOGLE__RPC__ANY__INIT, *list[] = {&any};
    grpc_slice inner = pack(&bad->base), outer;

    any.type_url = (char *)"type.googleapis.com/google.rpc.BadRequest";
    any.value = (ProtobufCBinaryData){GRPC_SLICE_LENGTH(inner), GRPC_SLICE_START_PTR(inner)};
    status.code = RPC_INVALID_ARGUMENT;
    status.details = list;
    status.n_details = 1;
    outer = pack(&status.base);
    grpc_slice_unref(inner);
    return outer;
}

struct rpc_details *rpc_details_make(const struct rpc_violation *violations, int n, size_t room)
{
    Google__Rpc__FieldViolation items[VIOLATIONS_MAX], *list[VIOLATIONS_MAX];
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    struct rpc_details *d = calloc(1, sizeof(*d));

    bad.field_violations = list;
    while (d && (int)bad.n_field_violations < n && bad.n_field_violations < VIOLATIONS_MAX) {
        size_t i = bad.n_field_violations++;
        google__rpc__field_violation__init(&items[i]);
        items[i].field = (char *)violations[i].field;
        items[i].description = (char *)violations[i].text;
        list[i] = &items[i];
        if (4 * (protobuf_c_message_get_packed_size(&bad.base) + 80) / 3 > room) {
            bad.n_field_violations--;
            break;
        }
    }
    if (!d || !bad.n_field_violations) {
        free(d);
        return NULL;
    }
    d->trailer.key = grpc_slice_from_static_string("grpc-status-details-bin");
    d->trailer.value = pack_status(&bad);
    return d;
}

void rpc_details_free(struct rpc_details *d)
{
    if (!d)
        return;
    grpc_slice_unref(d->trailer.value);
    free(d);
}
