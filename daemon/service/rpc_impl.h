/* daemon/service/rpc_impl.h - what rpc.c (the server), rpc_call.c (the life of a call that came by
 * gRPC), rpc_local.c (of one that did not) and rpc_answer.c (what handlers say to both) share.
 *
 * Every operation given to gRPC has a struct op as its tag. The queue's thread appends completed
 * ops to a list and wakes the loop, which calls op->done. An op is part of its call (or of the
 * server): nothing is allocated. It is the loop's until it is given to gRPC, and again once it has
 * left the list. The lock is held at both ends, so that tools which cannot see into gRPC
 * (ThreadSanitizer) see the order too.
 */
#pragma once
#include "daemon/service/rpc.h"
#include <grpc/grpc.h>
#include <pthread.h>

struct op {
    void (*done)(struct op *op);
    void *owner;
    bool ok;
    struct op *next;
};

struct method_slot {
    const struct rpc_method *method;
    void *service;
};

struct rpc_server {
    uv_loop_t *loop;
    grpc_server *server;
    grpc_server_credentials *credentials;
    struct rpc_limits limits;
    struct rpc_guard guard;
    uint64_t refusal_logged_at_ms; /* loop time; 0: never */
    struct listener *listener;
    grpc_completion_queue *queue;
    struct method_slot *methods;
    int n_methods;

    uv_thread_t thread;
    bool started;
    uv_async_t *arrived;  /* freed when closed */
    pthread_mutex_t lock; /* of the list, filled by the thread */
    struct op *first, **last;

    struct rpc_call *calls; /* open */
    bool stopping;
    struct op stopped;
    uv_timer_t *linger, *late; /* late: looks for calls that say nothing */
    int lingers;
    void (*on_stopped)(void *arg);
    void *on_stopped_arg;
};

struct outgoing {
    grpc_byte_buffer *bytes;
    struct outgoing *next;
};

/* How a call's answers travel. */
struct rpc_transport {
    /* Takes the message, which flush() or end() sends. False for lack of memory. */
    bool (*queue)(struct rpc_call *c, const ProtobufCMessage *m);
    void (*flush)(struct rpc_call *c);
    bool (*is_idle)(const struct rpc_call *c); /* nothing waits to be sent */
    /* To be sent beside the text of a status that refuses. */
    void (*note)(struct rpc_call *c, const char *text, const struct rpc_violation *v, int n);
    void (*end)(struct rpc_call *c); /* status and text are set; may free c */
};

struct rpc_call {
    const struct rpc_transport *transport;
    struct rpc_server *server;
    struct method_slot slot;
    void *data;
    struct rpc_call *next, **prev;

    const struct rpc_sink *sink; /* of one that is local, with sink_arg; the rest is gRPC's */
    void *sink_arg;
    grpc_call *call;
    struct connection *connection; /* that it came on, or NULL */
    uint64_t arrived_ms;           /* loop time */
    bool proved;
    struct peer peer;
    struct caller caller;
    long job;        /* rpc_set_job(); 0: none */
    bool is_refused; /* before its handler saw it, or since its caller is known no more */
    bool is_revoked; /* the latter */
    grpc_call_details details;
    grpc_metadata_array metadata;
    int cancelled;
    ProtobufCMessage *request; /* unary: lives as long as the call */
    grpc_byte_buffer *incoming;

    struct op arrived, closed, read, sent, status_sent;
    bool headers_sent, reading, sending;
    bool read_later; /* a client that streams is read when all answers to it have gone out */
    struct outgoing *first_out, **last_out;
    bool seen;     /* by the handler, who must end it */
    bool gone;     /* reported to the handler, or there is none */
    bool finished; /* by the handler */
    bool status_started;
    bool is_closed;
    int busy; /* callbacks under way: not to be freed */
    enum rpc_status status;
    char *text;
    struct rpc_details *status_details; /* of the status, or NULL */
};

/* A packed google.rpc.Status as a trailer. It must live until the status was sent. */
struct rpc_details {
    grpc_metadata trailer;
};
/* At most room bytes on the wire; NULL where nothing fits. */
struct rpc_details *rpc_details_make(const struct rpc_violation *violations, int n, size_t room);
void rpc_details_free(struct rpc_details *d); /* NULL-safe */
/* Makes it one of its server's open calls. */
void rpc_link(struct rpc_call *c);
/* Takes it from them, and frees what every call has, and the call. */
void rpc_free(struct rpc_call *c);
bool rpc_find_method(struct rpc_call *c, const char *path, size_t len);
/* Bytes of the text on gRPC's wire. */
size_t rpc_text_cost(const char *text);
/* To be called before an op is given to gRPC. */
void rpc_give_away(struct rpc_server *s);
/* Has gRPC hand over the next call that comes; each that has come asks for the next. */
int rpc_ask_for_call(struct rpc_server *s, struct err *err);
/* The same, again and again while memory is short: a server that asks for no call is deaf. */
void rpc_keep_asking(struct rpc_server *s);
/* Reports to the handler, once, that the client has gone. May free the call. */
void rpc_notify_gone(struct rpc_call *c);
/* Ends the calls whose request, or whose proof, is overdue. */
void rpc_end_late(struct rpc_server *s);

/* rpc_access.c */

/* Finds out who calls, and ends the call where that may not be. */
bool rpc_is_allowed(struct rpc_call *c);
/* Likewise, of a call whose caller is known. */
bool rpc_has_role(struct rpc_call *c);
/* Ends the calls whose caller is known no more. */
void rpc_end_revoked(struct rpc_server *s);
/* Of such a call, whatever its handler says. */
void rpc_override_end(const struct rpc_call *c, enum rpc_status *status, const char **text);
/* To be called once, when status and text are set. */
void rpc_write_audit(const struct rpc_call *c);
