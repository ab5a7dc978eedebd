/* daemon/service/health.c - see health.h. A Watch has one answer, and stays open until dashd stops:
 * then its end is the news. */
#include "daemon/service/health.h"
#include "proto/health.pb-c.h"
#include <string.h>

static bool is_known(const char *service)
{
    static const char *const names[] = {"", "dash.v1.FineTuning", "dash.v1.Coordination",
                                        "grpc.health.v1.Health",
                                        "grpc.reflection.v1alpha.ServerReflection"};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(service, names[i]) == 0)
            return true;
    return false;
}

static void on_check(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Grpc__Health__V1__HealthCheckRequest *m =
        (const Grpc__Health__V1__HealthCheckRequest *)message;
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    if (!is_known(m->service)) {
        rpc_finish(call, RPC_NOT_FOUND, "dashd does not offer this service");
        return;
    }
    response.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    rpc_reply(call, &response.base);
}

static void on_watch(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Grpc__Health__V1__HealthCheckRequest *m =
        (const Grpc__Health__V1__HealthCheckRequest *)message;
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    response.status =
        is_known(m->service)
            ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
            : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    if (!rpc_send(call, &response.base))
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
}

static void on_gone(struct rpc_call *call)
{
    rpc_finish(call, RPC_UNAVAILABLE, "dashd is shutting down");
}

int health_register(struct rpc_server *server, struct err *err)
{
    static const struct rpc_method methods[] = {
        {.path = "/grpc.health.v1.Health/Check",
         .is_open = true,
         .request_type = &grpc__health__v1__health_check_request__descriptor,
         .on_message = on_check},
        {.path = "/grpc.health.v1.Health/Watch",
         .is_open = true,
         .request_type = &grpc__health__v1__health_check_request__descriptor,
         .on_message = on_watch,
         .on_gone = on_gone},
    };

    return rpc_add_methods(server, methods, 2, NULL, err);
}
