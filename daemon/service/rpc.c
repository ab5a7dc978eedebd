/* daemon/service/rpc.c - see rpc.h: the server, its thread, its start and its end. listener.c
 * accepts; gRPC gets connected sockets. */
#include "daemon/service/rpc_impl.h"
#include "proto/wire.h"
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEEPALIVE_MS = 60000,
    LINGER_MS = 50,
    ASK_AGAIN_MS = 100,
    LINGERS_MAX = 40,
    LATE_EVERY_MS = 1000
};

static void drain_thread(void *arg)
{
    struct rpc_server *s = arg;
    grpc_event event;
    struct op *op;

    for (;;) {
        event = grpc_completion_queue_next(s->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return;
        op = event.tag;
        pthread_mutex_lock(&s->lock);
        op->ok = event.success;
        op->next = NULL;
        *s->last = op;
        s->last = &op->next;
        pthread_mutex_unlock(&s->lock);
        uv_async_send(s->arrived);
    }
}

static void run_arrived(uv_async_t *handle)
{
    struct rpc_server *s = handle->data;
    struct op *op, *next;

    pthread_mutex_lock(&s->lock);
    op = s->first;
    s->first = NULL;
    s->last = &s->first;
    pthread_mutex_unlock(&s->lock);
    for (; op; op = next) {
        next = op->next;
        op->done(op); /* may free op */
    }
}
void rpc_give_away(struct rpc_server *s)
{
    pthread_mutex_lock(&s->lock);
    pthread_mutex_unlock(&s->lock);
}
static grpc_arg int_arg(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

static grpc_server *create(const struct rpc_limits *limits)
{
    grpc_resource_quota *quota = grpc_resource_quota_create(NULL);
    grpc_arg args[] = {
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, limits->message_bytes),
        int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits->calls_of_connection),
        int_arg(GRPC_ARG_MAX_CONNECTION_IDLE_MS, limits->idle_ms),
        int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS), /* finds clients whose machine is gone */
        int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        int_arg(GRPC_ARG_HTTP2_BDP_PROBE, 0), /* windows stay small */
        {.type = GRPC_ARG_POINTER,
         .key = (char *)GRPC_ARG_RESOURCE_QUOTA,
         .value.pointer = {quota, grpc_resource_quota_arg_vtable()}},
    };
    grpc_channel_args all = {sizeof(args) / sizeof(args[0]), args};
    grpc_server *server;

    grpc_resource_quota_resize(quota, (size_t)limits->memory_bytes);
    server = grpc_server_create(&all, NULL);
    grpc_resource_quota_unref(quota);
    return server;
}

static void hand_over(void *arg, int fd)
{
    struct rpc_server *s = arg;

    grpc_server_add_channel_from_fd(s->server, fd, s->credentials);
}

int rpc_open(uv_loop_t *loop, const struct rpc_limits *limits, const struct rpc_guard *guard,
             struct rpc_server **ret_server, struct err *err)
{
    struct rpc_server *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return err_nomem(err, sizeof(*s));
    rc = listener_open(loop, &limits->connections, hand_over, s, &s->listener, err);
    if (rc < 0) {
        free(s);
        return rc;
    }
    s->loop = loop;
    s->limits = *limits;
    s->guard = *guard;
    s->last = &s->first;
    pthread_mutex_init(&s->lock, NULL);
    wire_quiet();
    grpc_init();
    s->server = create(limits);
    s->credentials = grpc_insecure_server_credentials_create();
    s->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(s->server, s->queue, NULL);
    *ret_server = s;
    return 0;
}

int rpc_add_methods(struct rpc_server *s, const struct rpc_method *methods, int n, void *service,
                    struct err *err)
{
    struct method_slot *slots;
    int i;

    slots = realloc(s->methods, (size_t)(s->n_methods + n) * sizeof(*slots));
    if (!slots)
        return err_nomem(err, (size_t)(s->n_methods + n) * sizeof(*slots));
    s->methods = slots;
    for (i = 0; i < n; i++)
        s->methods[s->n_methods++] = (struct method_slot){&methods[i], service};
    return 0;
}

int rpc_listen(struct rpc_server *s, const char *address, int *ret_port, struct err *err)
{
    return listener_add(s->listener, address, ret_port, err);
}

static void on_late(uv_timer_t *timer)
{
    rpc_end_late(timer->data);
    rpc_end_revoked(timer->data);
}

static int make_handles(struct rpc_server *s, struct err *err)
{
    s->arrived = calloc(1, sizeof(*s->arrived));
    s->linger = calloc(1, sizeof(*s->linger));
    s->late = calloc(1, sizeof(*s->late));
    if (!s->arrived || !s->linger || !s->late)
        return err_nomem(err, sizeof(*s->arrived) + 2 * sizeof(*s->linger));
    uv_async_init(s->loop, s->arrived, run_arrived);
    uv_timer_init(s->loop, s->linger);
    uv_timer_init(s->loop, s->late);
    s->arrived->data = s->linger->data = s->late->data = s;
    return 0;
}

int rpc_start(struct rpc_server *s, struct err *err)
{
    int rc = make_handles(s, err);

    if (rc < 0)
        return rc;
    grpc_server_start(s->server);
    rc = rpc_ask_for_call(s, err);
    if (rc < 0)
        return rc;
    rc = uv_thread_create(&s->thread, drain_thread, s);
    if (rc < 0)
        return err_set(err, ERR_IO, "cannot start a thread: %s", uv_strerror(rc));
    s->started = true;
    uv_timer_start(s->late, on_late, LATE_EVERY_MS, LATE_EVERY_MS);
    listener_start(s->listener);
    return 0;
}

bool rpc_is_started(const struct rpc_server *s)
{
    return s && s->started;
}

static void ask_again(uv_timer_t *timer)
{
    rpc_keep_asking(timer->data);
}

void rpc_keep_asking(struct rpc_server *s)
{
    if (!s->stopping && rpc_ask_for_call(s, NULL) < 0)
        uv_timer_start(s->linger, ask_again, ASK_AGAIN_MS, 0);
}

static void on_server_stopped(struct op *op)
{
    struct rpc_server *s = op->owner;

    uv_timer_stop(s->linger);
    s->on_stopped(s->on_stopped_arg);
}

/* A connection may stay open with no call on it: gRPC waits for its client unless asked not to. */
static void cut_off(uv_timer_t *timer)
{
    struct rpc_server *s = timer->data;

    if (!s->calls || ++s->lingers > LINGERS_MAX)
        grpc_server_cancel_all_calls(s->server);
}

static struct rpc_call *next_to_notify(const struct rpc_server *s)
{
    struct rpc_call *c;

    for (c = s->calls; c; c = c->next)
        if (!c->gone && !c->finished && (!c->seen || c->slot.method->on_gone))
            return c;
    return NULL;
}

void rpc_stop(struct rpc_server *s, void (*done)(void *arg), void *arg)
{
    struct rpc_call *c;

    s->stopping = true;
    listener_stop(s->listener);
    uv_timer_stop(s->late);
    s->on_stopped = done;
    s->on_stopped_arg = arg;
    s->stopped = (struct op){.done = on_server_stopped, .owner = s};
    rpc_give_away(s);
    grpc_server_shutdown_and_notify(s->server, s->queue, &s->stopped);
    while ((c = next_to_notify(s)))
        rpc_notify_gone(c); /* which may end other calls too */
    uv_timer_start(s->linger, cut_off, LINGER_MS, LINGER_MS);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void close_or_free(uv_handle_t *handle)
{
    if (handle && handle->data)
        uv_close(handle, free_handle);
    else
        free(handle);
}

static void on_nothing(struct op *op)
{
    (void)op;
}

/* Of a server without its thread: gRPC asks for its shutdown even so. */
static void drain_here(struct rpc_server *s)
{
    struct op none = {.done = on_nothing};
    struct op *op;
    grpc_event event;

    s->stopping = true;
    grpc_server_shutdown_and_notify(s->server, s->queue, &none);
    do {
        event = grpc_completion_queue_next(s->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        op = event.tag;
        op->ok = false;
        op->done(op);
    } while (op != &none);
}

void rpc_close(struct rpc_server *s)
{
    if (!s)
        return;
    if (!s->started)
        drain_here(s);
    grpc_server_destroy(s->server);
    grpc_completion_queue_shutdown(s->queue);
    if (s->started) {
        uv_thread_join(&s->thread);
        run_arrived(s->arrived); /* what gRPC gave back at the end */
    } else {
        while (
            grpc_completion_queue_next(s->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
            GRPC_QUEUE_SHUTDOWN)
            ;
    }
    close_or_free((uv_handle_t *)s->arrived);
    close_or_free((uv_handle_t *)s->linger);
    close_or_free((uv_handle_t *)s->late);
    listener_close(s->listener);
    grpc_server_credentials_release(s->credentials);
    grpc_completion_queue_destroy(s->queue);
    grpc_shutdown();
    pthread_mutex_destroy(&s->lock);
    free(s->methods);
    free(s);
}
