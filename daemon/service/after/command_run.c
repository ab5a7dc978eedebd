/* daemon/service/after/command_run.c - see command_run.h. */
#include "daemon/service/after/command_run.h"
#include "core/file.h"
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

struct command_run {
    uv_process_t process;
    uv_pipe_t in;
    uv_timer_t timer;
    uv_write_t write;
    char *input;
    command_run_fn *ended;
    void *arg;
    int open_handles;
    bool late;
};

static void on_closed(uv_handle_t *handle)
{
    struct command_run *c = handle->data;

    if (--c->open_handles > 0)
        return;
    free(c->input);
    free(c);
}

static void close_all(struct command_run *c)
{
    uv_close((uv_handle_t *)&c->process, on_closed);
    if (!uv_is_closing((uv_handle_t *)&c->in))
        uv_close((uv_handle_t *)&c->in, on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal)
{
    struct command_run *c = process->data;
    char words[100];

    if (c->late)
        snprintf(words, sizeof(words), "it was killed after %d s", COMMAND_MAX_S);
    else if (signal)
        snprintf(words, sizeof(words), "it ended by signal %d", signal);
    else
        snprintf(words, sizeof(words), "it ended with status %d", (int)status);
    if (c->ended)
        c->ended(c->arg, status || signal ? words : NULL);
    close_all(c);
}

/* It leads a group of its own: what it has started ends with it. */
static void kill_group(const struct command_run *c)
{
    kill(-c->process.pid, SIGKILL);
}

static void on_late(uv_timer_t *timer)
{
    struct command_run *c = timer->data;

    c->late = true;
    kill_group(c);
}

/* A command that reads nothing is none the worse for it. */
static void on_written(uv_write_t *write, int status)
{
    struct command_run *c = write->data;

    (void)status;
    if (!uv_is_closing((uv_handle_t *)&c->in))
        uv_close((uv_handle_t *)&c->in, on_closed);
}

/* Caller frees the list alone. */
static char **environment_of(char *const *variables)
{
    size_t n = 0, m = 0, i;
    char **all;

    while (environ[n])
        n++;
    while (variables[m])
        m++;
    all = calloc(n + m + 1, sizeof(*all));
    for (i = 0; all && i < n + m; i++)
        all[i] = i < m ? variables[i] : environ[i - m];
    return all;
}

static int spawn(uv_loop_t *loop, struct command_run *c, const struct command_spec *spec, int log)
{
    char **environment = environment_of(spec->variables);
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&c->in},
        {.flags = UV_INHERIT_FD, .data.fd = log},
        {.flags = UV_INHERIT_FD, .data.fd = log}};
    uv_process_options_t options = {.file = spec->command[0],
                                    .args = (char **)spec->command,
                                    .env = environment,
                                    .cwd = spec->folder,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio = stdio,
                                    .stdio_count = 3,
                                    .exit_cb = on_exit_of};
    int rc = environment ? uv_spawn(loop, &c->process, &options) : UV_ENOMEM;

    free(environment);
    return rc;
}

int command_run_start(uv_loop_t *loop, const struct command_spec *spec, command_run_fn *ended,
                      void *arg, struct command_run **ret, struct err *err)
{
    struct command_run *c = calloc(1, sizeof(*c));
    uv_buf_t buf;
    int log = -1, rc;

    if (!c || !(c->input = strdup(spec->input))) {
        free(c);
        return err_nomem(err, strlen(spec->input));
    }
    rc = file_open_append(spec->log, 0600, &log, err);
    if (rc < 0) {
        free(c->input);
        free(c);
        return rc;
    }
    c->ended = ended;
    c->arg = arg;
    uv_pipe_init(loop, &c->in, 0);
    uv_timer_init(loop, &c->timer);
    c->process.data = c->in.data = c->timer.data = c->write.data = c;
    c->open_handles = 3;
    rc = spawn(loop, c, spec, log);
    close(log);
    if (rc < 0) {
        close_all(c);
        return err_set(err, ERR_IO, "%s cannot be started: %s", spec->command[0], uv_strerror(rc));
    }
    uv_timer_start(&c->timer, on_late, (uint64_t)COMMAND_MAX_S * 1000, 0);
    buf = uv_buf_init(c->input, (unsigned)strlen(c->input));
    uv_write(&c->write, (uv_stream_t *)&c->in, &buf, 1, on_written);
    *ret = c;
    return 0;
}

void command_run_kill(struct command_run *c)
{
    c->ended = NULL;
    kill_group(c);
    close_all(c);
}
