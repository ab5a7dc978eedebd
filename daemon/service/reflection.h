/* daemon/service/reflection.h - grpc.reflection.v1alpha.ServerReflection: dashd's own .proto files,
 * asked for by file name or by what is in them. */
#pragma once
#include "daemon/service/rpc.h"

int reflection_register(struct rpc_server *server, struct err *err);
