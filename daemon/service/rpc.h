/* daemon/service/rpc.h - the gRPC server, with no gRPC in it for those who use it.
 *
 * One thread drains gRPC's completion queue and hands every event to the loop; all functions here
 * and all callbacks run on the loop's thread.
 *
 * A call, from its handler's side: on_message() is called with the request (several times where the
 * client streams); the handler answers, at once or later, and must end each call that it has seen
 * exactly once, by rpc_reply(), rpc_fail() or rpc_finish(); after that the call is no longer its
 * own. When the client goes away first, on_gone() reports it, and the handler ends the call there
 * (nothing is sent then). A handler without on_gone() just answers some time; answers to a client
 * that has gone are dropped.
 *
 * What strangers can cost is bounded: connections (listener.h), calls a connection, bytes a
 * message, the time until a request has arrived whole, and the memory of all of it.
 *
 * Messages go out one at a time. A handler that has more to say than fits a few messages sends a
 * batch and continues in on_writable(): so a client that reads slowly delays no other and costs no
 * memory.
 */
#pragma once
#include "core/err.h"
#include "daemon/service/audit.h"
#include "daemon/service/auth.h"
#include "daemon/service/listener.h"
#include "daemon/service/rpc_stats.h"
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <uv.h>

struct rpc_server;
struct rpc_call;

enum rpc_status { /* gRPC's numbers */
                  RPC_OK = 0,
                  RPC_INVALID_ARGUMENT = 3,
                  RPC_DEADLINE_EXCEEDED = 4,
                  RPC_NOT_FOUND = 5,
                  RPC_ALREADY_EXISTS = 6,
                  RPC_PERMISSION_DENIED = 7,
                  RPC_RESOURCE_EXHAUSTED = 8,
                  RPC_FAILED_PRECONDITION = 9,
                  RPC_ABORTED = 10,
                  RPC_UNIMPLEMENTED = 12,
                  RPC_INTERNAL = 13,
                  RPC_UNAVAILABLE = 14,
                  RPC_UNAUTHENTICATED = 16,
};

struct rpc_method {
    const char *path; /* "/dash.v1.FineTuning/GetJob" */
    const ProtobufCMessageDescriptor *request_type;
    enum role role; /* that a caller needs; ROLE_NOBODY, which is what a row has that says nothing:
                       admin */
    bool is_open;   /* needs none, and nobody is asked */
    bool client_streams;
    int max_bytes; /* of a message; 0: RPC_MESSAGE_BYTES */
    /* m lives as long as the call, or until the callback returns where the client streams. */
    void (*on_message)(struct rpc_call *call, const ProtobufCMessage *m);
    void (*on_client_done)(
        struct rpc_call *call); /* the client has sent its last message; may be NULL */
    void (*on_writable)(struct rpc_call *call); /* all was sent; may be NULL */
    void (*on_gone)(struct rpc_call *call);     /* may be NULL */
};

enum { RPC_MESSAGE_BYTES = 1 << 20 };

struct rpc_limits {
    struct listener_limits connections; /* with TLS, calls must be proved (rpc_prove()) */
    int calls_of_connection;
    int message_bytes; /* of any method */
    int memory_bytes;  /* for what is on its way in */
    int idle_ms;       /* a connection without a call is closed after it */
};

struct rpc_guard {           /* must outlive the server */
    struct auth *auth;       /* NULL: nobody is known, so only open methods can be called */
    struct audit *audit;     /* NULL: nothing is written down */
    struct rpc_stats *stats; /* NULL: calls are not counted */
};

int rpc_open(uv_loop_t *loop, const struct rpc_limits *limits, const struct rpc_guard *guard,
             struct rpc_server **ret_server, struct err *err);
/* Methods must outlive the server; service is what rpc_service() gives their handlers. */
int rpc_add_methods(struct rpc_server *s, const struct rpc_method *methods, int n, void *service,
                    struct err *err);
/* Before rpc_start(). *ret_port is the port of a TCP address (where 0 was asked for, the one
 * given), else 0. */
int rpc_listen(struct rpc_server *s, const char *address, int *ret_port, struct err *err);
int rpc_start(struct rpc_server *s, struct err *err);
/* The call has proved whose it is: neither it nor its connection is ended to make room, or for
 * lateness. Of a caller that auth.h knows that is done before its handler sees the call. */
void rpc_prove(struct rpc_call *call);
bool rpc_is_started(const struct rpc_server *s); /* NULL: no */
/* Takes no more calls, ends those that are open (UNAVAILABLE, by on_gone()) and then calls done. */
void rpc_stop(struct rpc_server *s, void (*done)(void *arg), void *arg);
void rpc_close(struct rpc_server *s); /* NULL-safe; after done, or before rpc_start() */

/* Who calls; of an open method it may be nobody (name ""). */
const struct caller *rpc_caller(const struct rpc_call *call);
/* The method needs more than the role `read`. */
bool rpc_changes(const struct rpc_call *call);
/* The call is about this job: for the audit log. */
void rpc_set_job(struct rpc_call *call, long id);

void *rpc_service(const struct rpc_call *call);
void *rpc_data(const struct rpc_call *call);
void rpc_set_data(struct rpc_call *call, void *data);

/* False for lack of memory: the message is missing, so the call had better be finished. */
bool rpc_send(struct rpc_call *call, const ProtobufCMessage *m);
bool rpc_idle(const struct rpc_call *call); /* nothing waits to be sent */
void rpc_finish(struct rpc_call *call, enum rpc_status status, const char *text);
void rpc_reply(struct rpc_call *call, const ProtobufCMessage *m); /* send, and finish with OK */
void rpc_fail(struct rpc_call *call, const struct err *err);      /* by err's code */
enum rpc_status rpc_status_of(const struct err *err);
const char *rpc_status_name(enum rpc_status status); /* "INVALID_ARGUMENT" */

/* UNAUTHENTICATED with text, of an open method whose caller is not the one that it must be. It
 * counts as a refusal (listener_refused()); the log has why. */
void rpc_refuse_caller(struct rpc_call *call, const char *text, const char *why);

/* One thing that is wrong with a request: google.rpc.BadRequest.FieldViolation. */
struct rpc_violation {
    const char *field; /* "" where none can be named */
    const char *text;
};
/* INVALID_ARGUMENT with text, and with as many of the violations as fit beside it. */
void rpc_refuse(struct rpc_call *call, const char *text, const struct rpc_violation *violations,
                int n);
