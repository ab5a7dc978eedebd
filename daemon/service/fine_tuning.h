/* daemon/service/fine_tuning.h - FineTuning of dash.proto: what people and their programs ask of
 * dashd. */
#pragma once
#include "daemon/service/rpc.h"
#include "daemon/service/runs.h"

int fine_tuning_register(struct rpc_server *server, struct runs *runs, struct err *err);
