/* daemon/service/coordination.c - see coordination.h. A call's data is its run, once it has said
 * Hello. */
#include "daemon/service/coordination.h"
#include "daemon/service/run_end.h"
#include "daemon/service/run_launch.h"
#include "daemon/service/run_report.h"
#include "core/utf8.h"
#include "proto/dash.pb-c.h"
#include <limits.h>
#include <math.h>
#include <string.h>

enum { REASON_BYTES_MAX = 4096 };

static const char out_of_memory[] = "dashd is out of memory";

/* Ends the stream; its coordinator dials again unless the status says that it is of no use. */
static void drop(struct rpc_call *call, enum rpc_status status, const char *text)
{
    struct run *run = rpc_data(call);

    if (run)
        run_report_gone(run);
    rpc_set_data(call, NULL);
    rpc_finish(call, status, text);
}

static bool send_welcome(struct rpc_call *call, int last_step)
{
    Dash__V1__CoordinatorCommand command = DASH__V1__COORDINATOR_COMMAND__INIT;
    Dash__V1__Welcome welcome = DASH__V1__WELCOME__INIT;

    welcome.last_step = (uint32_t)last_step;
    command.command_case = DASH__V1__COORDINATOR_COMMAND__COMMAND_WELCOME;
    command.welcome = &welcome;
    return rpc_send(call, &command.base);
}

static bool send_goodbye(struct rpc_call *call)
{
    Dash__V1__CoordinatorCommand command = DASH__V1__COORDINATOR_COMMAND__INIT;
    Dash__V1__Goodbye goodbye = DASH__V1__GOODBYE__INIT;

    command.command_case = DASH__V1__COORDINATOR_COMMAND__COMMAND_GOODBYE;
    command.goodbye = &goodbye;
    return rpc_send(call, &command.base);
}

static void handle_hello(struct rpc_call *call, const Dash__V1__Hello *hello)
{
    struct run *run = NULL;
    struct err err;
    int rc;

    rc = run_hello(rpc_service(call), hello->job_id, hello->token, (int)hello->resumed_from_step,
                   (int)hello->steps_total, call, &run, &err);
    if (rc == ERR_INVALID) {
        rpc_finish(call, RPC_PERMISSION_DENIED, err.text);
        return;
    }
    if (rc < 0) {
        rpc_fail(call, &err);
        return;
    }
    rpc_set_data(call, run);
    rpc_prove(call);
    if (!send_welcome(call, run->steps.done)) {
        drop(call, RPC_UNAVAILABLE, out_of_memory);
        return;
    }
    if (run->row.stop || run->interrupting)
        run_ask_to_stop(run);
}

static int handle_step(struct run *run, const Dash__V1__Step *m, struct err *err)
{
    struct step_row row;

    if (!step_row_from_message(m, &row))
        return err_set(err, ERR_INVALID, "step %u has an impossible number", m->step);
    return run_step(run, &row, err);
}

static int handle_ended(struct rpc_call *call, struct run *run, const Dash__V1__Ended *m,
                        struct err *err)
{
    enum run_event event;
    int rc;

    switch (m->how) {
    case DASH__V1__ENDED__HOW__ADAPTER_WRITTEN:
        event = RUN_ADAPTER_WRITTEN;
        break;
    case DASH__V1__ENDED__HOW__STOPPED:
        event = RUN_STOPPED;
        break;
    case DASH__V1__ENDED__HOW__FAILED:
        event = RUN_BROKE;
        break;
    case DASH__V1__ENDED__HOW__LOST:
        event = RUN_RANK_DIED;
        break;
    default:
        return err_set(err, ERR_INVALID, "Ended.how is required");
    }
    utf8_make_valid(m->reason, strlen(m->reason));
    if (strlen(m->reason) > REASON_BYTES_MAX)
        m->reason[utf8_fit(m->reason, REASON_BYTES_MAX)] = '\0';
    rc = run_ended(run, event, m->reason, err);
    if (rc == 0 && !send_goodbye(call))
        rc = err_set(err, ERR_NOMEM, "%s", out_of_memory);
    return rc;
}

static int handle_decomposition(struct run *run, const Dash__V1__Decomposition *m, struct err *err)
{
    const struct run_decomposition d = {(int)m->done, (int)m->matrices, m->seconds_left};

    if (m->matrices > INT_MAX || m->done > m->matrices || !isfinite(m->seconds_left) ||
        m->seconds_left < 0)
        return err_set(err, ERR_INVALID, "%u of %u matrices are decomposed, %g s left", m->done,
                       m->matrices, m->seconds_left);
    run_decomposed(run, &d);
    return 0;
}

/* Behind the steps that came before it. */
static int handle_notice(struct run *run, const Dash__V1__Notice *m, struct err *err)
{
    int rc = run_flush(run, err);

    utf8_make_valid(m->text, strlen(m->text));
    return rc == 0 ? run_add_notice(run, m->text, err) : rc;
}

static int handle_report(struct rpc_call *call, struct run *run,
                         const Dash__V1__CoordinatorReport *m, struct err *err)
{
    switch (m->report_case) {
    case DASH__V1__COORDINATOR_REPORT__REPORT_STEP:
        return handle_step(run, m->step, err);
    case DASH__V1__COORDINATOR_REPORT__REPORT_PHASE:
        if (!phase_name((int)m->phase->phase)[0])
            return err_set(err, ERR_INVALID, "there is no such phase");
        return run_phase(run, (int)m->phase->phase, err);
    case DASH__V1__COORDINATOR_REPORT__REPORT_NOTICE:
        return handle_notice(run, m->notice, err);
    case DASH__V1__COORDINATOR_REPORT__REPORT_DECOMPOSITION:
        return handle_decomposition(run, m->decomposition, err);
    case DASH__V1__COORDINATOR_REPORT__REPORT_ENDED:
        return handle_ended(call, run, m->ended, err);
    case DASH__V1__COORDINATOR_REPORT__REPORT_HELLO:
        return err_set(err, ERR_INVALID, "Hello must be sent once");
    default: /* of a newer coordinator */
        return 0;
    }
}

static void on_report(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__CoordinatorReport *m = (const Dash__V1__CoordinatorReport *)message;
    struct run *run = rpc_data(call);
    struct err err;
    int rc;

    if (!run && m->report_case == DASH__V1__COORDINATOR_REPORT__REPORT_HELLO) {
        handle_hello(call, m->hello);
        return;
    }
    if (!run) {
        rpc_finish(call, RPC_FAILED_PRECONDITION, "Hello must be sent first");
        return;
    }
    rc = handle_report(call, run, m, &err);
    if (rc == ERR_INVALID || rc == ERR_STATE)
        drop(call, RPC_INVALID_ARGUMENT, err.text);
    else if (rc < 0)
        drop(call, RPC_UNAVAILABLE, err.text);
}

static void on_client_done(struct rpc_call *call)
{
    drop(call, RPC_OK, NULL);
}

static void on_gone(struct rpc_call *call)
{
    drop(call, RPC_UNAVAILABLE, "dashd is shutting down");
}

int coordination_register(struct rpc_server *server, struct runs *runs, struct err *err)
{
    static const struct rpc_method methods[] = {
        {.path = "/dash.v1.Coordination/Report",
         .is_open = true, /* the token of a launch is asked for in Hello */
         .request_type = &dash__v1__coordinator_report__descriptor,
         .client_streams = true,
         .on_message = on_report,
         .on_client_done = on_client_done,
         .on_gone = on_gone},
    };

    return rpc_add_methods(server, methods, 1, runs, err);
}
