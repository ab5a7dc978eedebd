/* daemon/service/coordination.h - the service that a job's coordinator dials: Coordination of
 * dash.proto.
 *
 *   -> Hello{token}   <- Welcome{last_step}   -> Step, PhaseChange, Notice ...   <- Stop
 *   -> Ended          <- Goodbye, once the end is committed
 *
 * A stream that breaks ends nothing: the coordinator dials again. A report that cannot be saved
 * ends the stream, for the same reason.
 */
#pragma once
#include "daemon/service/rpc.h"
#include "daemon/service/run_table.h"

int coordination_register(struct rpc_server *server, struct runs *runs, struct err *err);
