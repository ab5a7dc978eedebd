/* daemon/service/command.c - see command.h. A command is over when its process has ended and both
 * of its pipes are at their end, whichever comes last. It leads a process group, which is killed as
 * a whole when it took too long; a pipe that another process holds open even then is given up a
 * second later. */
#include "daemon/service/command.h"
#include "core/buf.h"
#include "daemon/service/descriptors.h"
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SAID_MAX = 4 << 20, CHUNK = 65536, GIVE_UP_MS = 1000 };

struct command {
    struct command *next, **prev; /* in its group */
    uv_process_t process;
    uv_pipe_t in, out, err;
    uv_timer_t timer;
    uv_write_t write;
    uv_shutdown_t end;  /* of the input */
    struct buf said[2]; /* out, err */
    char *input;
    pid_t pid;
    char chunk[CHUNK];
    command_fn *done;
    void *arg;
    int status, signal;
    bool ended, out_ended, err_ended, told;
    bool too_long, too_much;
    int open_handles;
};

static void on_closed(uv_handle_t *handle)
{
    struct command *c = handle->data;

    if (--c->open_handles > 0)
        return;
    buf_free(&c->said[0]);
    buf_free(&c->said[1]);
    free(c->input);
    free(c);
}

static void close_handle(struct command *c, uv_handle_t *handle)
{
    handle->data = c;
    c->open_handles++;
    uv_close(handle, on_closed);
}

static void leave_group(struct command *c)
{
    if (c->prev)
        *c->prev = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->next = NULL;
    c->prev = NULL;
}

static void close_all(struct command *c)
{
    leave_group(c);
    c->open_handles = 1; /* so that none of them frees c before all are closing */
    close_handle(c, (uv_handle_t *)&c->process);
    if (!uv_is_closing((uv_handle_t *)&c->in))
        close_handle(c, (uv_handle_t *)&c->in);
    close_handle(c, (uv_handle_t *)&c->out);
    close_handle(c, (uv_handle_t *)&c->err);
    close_handle(c, (uv_handle_t *)&c->timer);
    c->open_handles--;
}

static void finish_if_over(struct command *c)
{
    struct command_result result = {.status = c->status,
                                    .signal = c->signal,
                                    .too_long = c->too_long,
                                    .no_memory = c->said[0].failed || c->said[1].failed};

    if (c->told || !c->ended || !c->out_ended || !c->err_ended)
        return;
    c->told = true;
    result.out = c->said[0].data ? c->said[0].data : "";
    result.err = c->said[1].data ? c->said[1].data : "";
    if (c->too_long || c->too_much || result.no_memory) {
        result.status = COMMAND_KILLED;
        result.err = c->too_long        ? "it took too long"
                     : result.no_memory ? "not enough memory for its output"
                                        : "it printed too much";
    }
    leave_group(c); /* done() may free it */
    c->done(c->arg, &result);
    close_all(c);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal)
{
    struct command *c = process->data;

    c->status = signal ? COMMAND_KILLED : (int)status;
    c->signal = signal;
    c->ended = true;
    finish_if_over(c);
}

static void on_given_up(uv_timer_t *timer)
{
    struct command *c = timer->data;

    c->out_ended = c->err_ended = true;
    finish_if_over(c);
}

static void on_timeout(uv_timer_t *timer)
{
    struct command *c = timer->data;

    c->too_long = true;
    kill(
        -c->pid,
        SIGKILL); /* the group may have others than its leader, and keeps its number while it has */
    uv_timer_start(&c->timer, on_given_up, GIVE_UP_MS, 0);
}

static void provide_chunk(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    struct command *c = handle->data;

    (void)wanted;
    *buf = uv_buf_init(c->chunk, CHUNK);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct command *c = stream->data;
    struct buf *said = &c->said[stream == (uv_stream_t *)&c->err];

    if (n < 0) {
        uv_read_stop(stream);
        *(stream == (uv_stream_t *)&c->out ? &c->out_ended : &c->err_ended) = true;
        finish_if_over(c);
    } else if (said->len + (size_t)n <= SAID_MAX) {
        buf_append(said, buf->base, (size_t)n);
    } else {
        c->too_much = true; /* a part would be taken for the whole */
    }
}

static void on_written(uv_write_t *write, int status)
{
    (void)status; /* one that does not read fails by itself */
    (void)write;
}

/* The pipe's end goes with its handle: what was written before is still read. */
static void on_in_shut(uv_shutdown_t *shutdown, int status)
{
    (void)status;
    (void)shutdown;
}

static void feed(struct command *c)
{
    uv_buf_t buf = uv_buf_init(c->input, (unsigned int)strlen(c->input));

    uv_write(&c->write, (uv_stream_t *)&c->in, &buf, 1, on_written);
    if (uv_shutdown(&c->end, (uv_stream_t *)&c->in, on_in_shut) < 0)
        kill(-c->pid, SIGKILL);
}

static int spawn(struct command *c, uv_loop_t *loop, char *const *argv, char **env, struct err *err)
{
    uv_stdio_container_t stdio[3] = {
        {.flags = c->input ? UV_CREATE_PIPE | UV_READABLE_PIPE : UV_IGNORE,
         .data.stream = (uv_stream_t *)&c->in},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&c->out},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&c->err},
    };
    uv_process_options_t options = {.exit_cb = on_exit_of,
                                    .flags = UV_PROCESS_DETACHED,
                                    .file = argv[0],
                                    .args = (char **)argv,
                                    .env = env,
                                    .stdio_count = 3,
                                    .stdio = stdio};
    int rc;

    uv_pipe_init(loop, &c->in, 0);
    uv_pipe_init(loop, &c->out, 0);
    uv_pipe_init(loop, &c->err, 0);
    uv_timer_init(loop, &c->timer);
    c->process.data = c->in.data = c->out.data = c->err.data = c->timer.data = c;
    rc = descriptors_spawn(loop, &c->process, &options);
    c->pid = uv_process_get_pid(&c->process);
    return rc == 0 ? 0 : err_set(err, ERR_IO, "%s cannot be started: %s", argv[0], uv_strerror(rc));
}

static void forget_all(struct command_group *group, bool with_input)
{
    struct command *c, *next;

    for (c = group->first; c; c = next) {
        next = c->next;
        c->told = true;
        if (!c->input || with_input)
            kill(-c->pid, SIGKILL);
        close_all(c);
    }
}

void command_abandon(struct command_group *group)
{
    forget_all(group, false);
}

void command_kill(struct command_group *group)
{
    forget_all(group, true);
}

int command_start(struct command_group *group, char *const *argv, char **env, const char *input,
                  int timeout_ms, command_fn *done, void *arg, struct err *err)
{
    struct command *c = calloc(1, sizeof(*c));
    int rc;

    if (!c || (input && !(c->input = strdup(input)))) {
        free(c);
        return err_nomem(err, sizeof(*c));
    }
    c->done = done;
    c->arg = arg;
    rc = spawn(c, group->loop, argv, env, err);
    if (rc < 0) {
        close_all(c);
        return rc;
    }
    c->next = group->first;
    c->prev = &group->first;
    if (c->next)
        c->next->prev = &c->next;
    group->first = c;
    uv_timer_start(&c->timer, on_timeout, (uint64_t)timeout_ms, 0);
    uv_read_start((uv_stream_t *)&c->out, provide_chunk, on_read);
    uv_read_start((uv_stream_t *)&c->err, provide_chunk, on_read);
    if (c->input)
        feed(c);
    return 0;
}
