/* daemon/service/health.h - grpc.health.v1.Health: dashd serves as long as it answers at all. */
#pragma once
#include "daemon/service/rpc.h"

int health_register(struct rpc_server *server, struct err *err);
