/* daemon/service/chats.c - see chats.h.
 *
 * A process is STARTING until it says that it is ready, then IDLE or BUSY, and ENDING once its
 * input has been closed, or it has died, until its exit has been reported. Whatever changes calls
 * advance(), which gives idle processes the next question, and starts or ends processes.
 */
#include "daemon/service/chats.h"
#include "core/buf.h"
#include "core/log.h"
#include "core/utf8.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    LINE_MAX_BYTES = 4 << 20,
    WORDS_MAX = 600,
    IDLE_MS = 10 * 60 * 1000,
    TICK_MS = 1000,
    ENDING_MS = 10000, /* for a process that was asked to end */
    NICE = 5           /* training goes first */
};

enum chat_state { CHAT_STARTING, CHAT_IDLE, CHAT_BUSY, CHAT_ENDING };

struct chat_question {
    struct chats *chats;
    struct chat_question *next;
    char *model, *adapter; /* adapter "": none */
    json_t *request;
    json_int_t id;
    const struct chat_listener *listener; /* NULL: dropped */
    void *arg;
    bool begun; /* a part of its answer has come */
    bool again; /* its first process died before that */
};

struct chat_process {
    struct chats *chats;
    struct chat_process *next;
    char *model, *adapter;
    enum chat_state state;
    struct chat_question *question; /* that it answers; of one that starts, NULL */
    uint64_t used_ms;               /* loop time of the last line from or to it */
    uv_process_t process;
    uv_pipe_t in, out, errors;
    struct buf line;
    char words[WORDS_MAX]; /* the end of what it wrote on standard error */
    int open_handles;
};

struct chats {
    uv_loop_t *loop;
    char *program;
    int max;
    uint64_t silence_ms;
    struct chat_process *processes;
    struct chat_question *first; /* that wait, oldest first */
    int n_waiting;
    json_int_t last_id;
    uv_timer_t tick, soon;
    int open_handles;
    bool stopping;
};

static void advance(struct chats *c);

static void on_soon(uv_timer_t *timer)
{
    advance(timer->data);
}

static void advance_soon(struct chats *c)
{
    if (!c->stopping)
        uv_timer_start(&c->soon, on_soon, 0, 0);
}

/* ---- questions ---- */

static void free_question(struct chat_question *q)
{
    json_decref(q->request);
    free(q->model);
    free(q->adapter);
    free(q);
}

static void fail_question(struct chat_question *q, enum rpc_status status, const char *text)
{
    if (q->listener)
        q->listener->fail(q->arg, status, text);
    free_question(q);
}

static void remove_waiting(struct chats *c, struct chat_question *q)
{
    struct chat_question **link = &c->first;

    while (*link != q)
        link = &(*link)->next;
    *link = q->next;
    c->n_waiting--;
}

int chats_ask(struct chats *c, const char *model, const char *adapter, json_t *request,
              const struct chat_listener *listener, void *arg, struct chat_question **ret,
              struct err *err)
{
    struct chat_question *q, **link = &c->first;

    if (c->n_waiting >= CHATS_WAITING_MAX) {
        json_decref(request);
        return err_set(err, ERR_NOMEM, "%d questions wait for an answer: try again later",
                       c->n_waiting);
    }
    q = calloc(1, sizeof(*q));
    if (!q) {
        json_decref(request);
        return err_nomem(err, sizeof(*q));
    }
    *q = (struct chat_question){.chats = c,
                                .model = strdup(model),
                                .adapter = strdup(adapter ? adapter : ""),
                                .request = request,
                                .id = ++c->last_id,
                                .listener = listener,
                                .arg = arg};
    if (!q->model || !q->adapter || json_object_set_new(request, "id", json_integer(q->id)) < 0) {
        free_question(q);
        return err_nomem(err, sizeof(*q));
    }
    while (*link)
        link = &(*link)->next;
    *link = q;
    c->n_waiting++;
    *ret = q;
    advance_soon(c);
    return 0;
}

/* ---- lines to a process ---- */

struct sent {
    uv_write_t write;
    char *text;
};

static void on_sent(uv_write_t *write, int status)
{
    struct sent *s = write->data;

    (void)status; /* one that reads no more ends, which is reported */
    free(s->text);
    free(s);
}

/* Takes over line. */
static void send_line(struct chat_process *p, json_t *line)
{
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    size_t len = text ? strlen(text) : 0;
    struct sent *s = calloc(1, sizeof(*s));
    uv_buf_t buf;

    json_decref(line);
    if (!text || !s) {
        free(text);
        free(s);
        return;
    }
    text[len] = '\n'; /* in place of the NUL */
    s->text = text;
    s->write.data = s;
    buf = uv_buf_init(text, (unsigned)len + 1);
    if (uv_write(&s->write, (uv_stream_t *)&p->in, &buf, 1, on_sent) < 0)
        on_sent(&s->write, 0);
}

void chats_drop(struct chat_question *q)
{
    struct chats *c = q->chats;
    struct chat_process *p;

    for (p = c->processes; p; p = p->next)
        if (p->question == q) {
            q->listener = NULL; /* its end is still to come */
            send_line(p, json_pack("{s:I}", "cancel", q->id));
            return;
        }
    remove_waiting(c, q);
    free_question(q);
}

/* ---- lines from a process ---- */

static void end_question(struct chat_process *p, const json_t *line, const char *how)
{
    struct chat_question *q = p->question;

    p->question = NULL;
    p->state = CHAT_IDLE;
    if (q->listener)
        q->listener->end(q->arg, how,
                         (int)json_integer_value(json_object_get(line, "prompt_tokens")),
                         (int)json_integer_value(json_object_get(line, "tokens")));
    free_question(q);
}

static void take_question_line(struct chat_process *p, const json_t *line)
{
    struct chat_question *q = p->question;
    const char *text = json_string_value(json_object_get(line, "text"));
    const char *how = json_string_value(json_object_get(line, "end"));
    const char *error = json_string_value(json_object_get(line, "error"));

    q->begun = q->begun || text;
    if (text && q->listener)
        q->listener->text(q->arg, text, json_object_get(line, "logprobs"));
    if (how) {
        end_question(p, line, how);
    } else if (error) {
        p->question = NULL;
        p->state = CHAT_IDLE;
        fail_question(q, RPC_INVALID_ARGUMENT, error);
    }
}

/* All questions that wait for this model cannot be answered. */
static void fail_waiting(struct chat_process *p, const char *text)
{
    struct chats *c = p->chats;
    struct chat_question *q, *next;

    for (q = c->first; q; q = next) {
        next = q->next;
        if (strcmp(q->model, p->model) != 0 || strcmp(q->adapter, p->adapter) != 0)
            continue;
        remove_waiting(c, q);
        fail_question(q, RPC_FAILED_PRECONDITION, text);
    }
}

static void take_line(struct chat_process *p, const char *text, size_t len)
{
    json_t *line = json_loadb(text, len, 0, NULL);
    const char *error = json_string_value(json_object_get(line, "error"));

    if (p->state == CHAT_STARTING && json_is_true(json_object_get(line, "ready")))
        p->state = CHAT_IDLE;
    else if (p->state == CHAT_STARTING && error)
        fail_waiting(p, error);
    else if (p->state == CHAT_BUSY && p->question)
        take_question_line(p, line);
    p->used_ms = uv_now(p->chats->loop);
    json_decref(line);
}

static void take_lines(struct chat_process *p)
{
    char *end;

    while (p->line.len && (end = memchr(p->line.data, '\n', p->line.len))) {
        size_t len = (size_t)(end - p->line.data);
        take_line(p, p->line.data, len);
        memmove(p->line.data, end + 1, p->line.len - len - 1);
        p->line.len -= len + 1;
    }
}

static void provide(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    (void)handle;
    buf->base = malloc(wanted);
    buf->len = buf->base ? wanted : 0;
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct chat_process *p = stream->data;

    if (n > 0)
        buf_append(&p->line, buf->base, (size_t)n);
    free(buf->base);
    if (n < 0)
        uv_read_stop(stream);
    take_lines(p);
    if (p->line.failed || p->line.len > LINE_MAX_BYTES)
        uv_process_kill(&p->process, SIGKILL);
    advance_soon(p->chats);
}

static void on_errors(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct chat_process *p = stream->data;
    size_t had = strlen(p->words), len = n > 0 ? (size_t)n : 0;

    if (len > WORDS_MAX / 2)
        len = WORDS_MAX / 2;
    if (had + len >= WORDS_MAX) {
        memmove(p->words, p->words + had - WORDS_MAX / 3, WORDS_MAX / 3 + 1);
        had = WORDS_MAX / 3;
    }
    if (n > 0) {
        memcpy(p->words + had, buf->base + n - (ssize_t)len, len);
        p->words[had + len] = '\0';
        utf8_make_valid(p->words, had + len);
    }
    free(buf->base);
    if (n < 0)
        uv_read_stop(stream);
}

/* ---- processes ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct chat_process *p = handle->data;

    if (--p->open_handles > 0)
        return;
    free(p->model);
    free(p->adapter);
    buf_free(&p->line);
    free(p);
}

static void close_handles(struct chat_process *p)
{
    uv_close((uv_handle_t *)&p->process, on_handle_closed);
    uv_close((uv_handle_t *)&p->in, on_handle_closed);
    uv_close((uv_handle_t *)&p->out, on_handle_closed);
    uv_close((uv_handle_t *)&p->errors, on_handle_closed);
}

static void unlink_process(struct chat_process *p)
{
    struct chat_process **link = &p->chats->processes;

    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
}

/* A process that died before it said anything may have been dead when it was asked. */
static bool ask_again(struct chats *c, struct chat_question *q)
{
    if (q->begun || q->again || !q->listener || c->stopping)
        return false;
    q->again = true;
    q->next = c->first;
    c->first = q;
    c->n_waiting++;
    return true;
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal)
{
    struct chat_process *p = process->data;
    struct chat_question *q = p->question;
    struct err err;

    p->question = NULL;
    if (q && ask_again(p->chats, q))
        q = NULL;
    err_set(&err, ERR_PEER, "the model's process ended (%s %d)%s%.500s",
            signal ? "signal" : "status", signal ? signal : (int)status, p->words[0] ? ": " : "",
            p->words);
    if (q)
        fail_question(q, RPC_INTERNAL, err.text);
    if (p->state == CHAT_STARTING)
        fail_waiting(p, err.text);
    if ((status || signal) && p->state != CHAT_ENDING)
        log_warn("chat with %s: %s", p->model, err.text);
    unlink_process(p);
    close_handles(p);
    advance_soon(p->chats);
}

/* Its input ends, so it does. */
static void end_process(struct chat_process *p)
{
    p->state = CHAT_ENDING;
    p->used_ms = uv_now(p->chats->loop);
    uv_process_kill(&p->process, SIGTERM);
}

static struct chat_process *make_process(struct chats *c, const struct chat_question *q)
{
    struct chat_process *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->chats = c;
    p->model = strdup(q->model);
    p->adapter = strdup(q->adapter);
    p->used_ms = uv_now(c->loop);
    if (!p->model || !p->adapter) {
        free(p->model);
        free(p->adapter);
        free(p);
        return NULL;
    }
    uv_pipe_init(c->loop, &p->in, 0);
    uv_pipe_init(c->loop, &p->out, 0);
    uv_pipe_init(c->loop, &p->errors, 0);
    p->process.data = p->in.data = p->out.data = p->errors.data = p;
    p->open_handles = 4;
    return p;
}

static int spawn(struct chats *c, struct chat_process *p)
{
    char *args[] = {c->program, (char *)"chat",      (char *)"--model",
                    p->model,   (char *)"--adapter", p->adapter,
                    NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&p->in},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&p->out},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&p->errors}};
    uv_process_options_t options = {
        .file = c->program, .args = args, .stdio = stdio, .stdio_count = 3, .exit_cb = on_exit_of};
    int rc;

    if (!p->adapter[0])
        args[4] = NULL;
    rc = uv_spawn(c->loop, &p->process, &options);
    if (rc < 0)
        return rc;
    setpriority(PRIO_PROCESS, (id_t)p->process.pid, NICE);
    uv_read_start((uv_stream_t *)&p->out, provide, on_output);
    uv_read_start((uv_stream_t *)&p->errors, provide, on_errors);
    return 0;
}

static void start_process(struct chats *c, struct chat_question *q)
{
    struct chat_process *p = make_process(c, q);
    int rc = p ? spawn(c, p) : UV_ENOMEM;

    if (rc == 0) {
        p->next = c->processes;
        c->processes = p;
        return;
    }
    if (p)
        close_handles(p);
    remove_waiting(c, q);
    fail_question(q, RPC_INTERNAL, uv_strerror(rc));
}

/* ---- which question next ---- */

static struct chat_process *process_for(const struct chats *c, const struct chat_question *q)
{
    struct chat_process *p;

    for (p = c->processes; p; p = p->next)
        if (p->state != CHAT_ENDING && strcmp(p->model, q->model) == 0 &&
            strcmp(p->adapter, q->adapter) == 0)
            return p;
    return NULL;
}

static int count(const struct chats *c)
{
    const struct chat_process *p;
    int n = 0;

    for (p = c->processes; p; p = p->next)
        n++;
    return n;
}

/* Of those that nobody waits for, the one used longest ago. */
static struct chat_process *least_used(const struct chats *c)
{
    struct chat_process *p, *found = NULL;

    for (p = c->processes; p; p = p->next)
        if (p->state == CHAT_IDLE && (!found || p->used_ms < found->used_ms))
            found = p;
    return found;
}

static void give(struct chat_process *p, struct chat_question *q)
{
    remove_waiting(p->chats, q);
    p->state = CHAT_BUSY;
    p->question = q;
    p->used_ms = uv_now(p->chats->loop);
    send_line(p, json_incref(q->request));
}

static void advance(struct chats *c)
{
    struct chat_question *q, *next;
    struct chat_process *p, *idle;

    for (q = c->first; q && !c->stopping; q = next) {
        next = q->next;
        p = process_for(c, q);
        if (p && p->state == CHAT_IDLE)
            give(p, q);
        if (p)
            continue;
        if (count(c) < c->max)
            start_process(c, q);
        else if ((idle = least_used(c)))
            end_process(idle);
    }
}

/* It hangs: a stopped process, or a disk that does not answer. Its question is not asked again. */
static void end_silent(struct chat_process *p)
{
    snprintf(p->words, sizeof(p->words), "it has said nothing for %.0f s",
             (double)p->chats->silence_ms / 1000);
    if (p->question)
        p->question->again = true;
    uv_process_kill(&p->process, SIGKILL);
}

static void on_tick(uv_timer_t *timer)
{
    struct chats *c = timer->data;
    struct chat_process *p;

    for (p = c->processes; p; p = p->next) {
        uint64_t silence = uv_now(c->loop) - p->used_ms;
        if (p->state == CHAT_IDLE && silence > IDLE_MS)
            end_process(p);
        else if (p->state == CHAT_ENDING && silence > ENDING_MS)
            uv_process_kill(&p->process, SIGKILL);
        else if (p->state != CHAT_IDLE && p->state != CHAT_ENDING && silence > c->silence_ms)
            end_silent(p);
    }
}

int chats_open(uv_loop_t *loop, const char *programs, int processes, int silence_s,
               struct chats **ret_chats, struct err *err)
{
    struct chats *c = calloc(1, sizeof(*c));

    if (!c || asprintf(&c->program, "%s/dash-worker", programs) < 0) {
        free(c);
        return err_nomem(err, sizeof(*c));
    }
    c->loop = loop;
    c->max = processes;
    c->silence_ms = (uint64_t)silence_s * 1000;
    uv_timer_init(loop, &c->tick);
    uv_timer_init(loop, &c->soon);
    c->tick.data = c->soon.data = c;
    c->open_handles = 2;
    uv_timer_start(&c->tick, on_tick, TICK_MS, TICK_MS);
    uv_unref((uv_handle_t *)&c->tick);
    *ret_chats = c;
    return 0;
}

void chats_stop(struct chats *c)
{
    struct chat_process *p;
    struct chat_question *q;

    if (!c || c->stopping)
        return;
    c->stopping = true;
    uv_timer_stop(&c->tick);
    uv_timer_stop(&c->soon);
    while ((q = c->first)) {
        remove_waiting(c, q);
        fail_question(q, RPC_UNAVAILABLE, "dashd is shutting down");
    }
    for (p = c->processes; p; p = p->next)
        end_process(p);
}

static void on_closed(uv_handle_t *handle)
{
    struct chats *c = handle->data;

    if (--c->open_handles > 0)
        return;
    free(c->program);
    free(c);
}

/* Processes that have not ended yet are killed; the kernel reaps them when dashd ends. */
void chats_close(struct chats *c)
{
    struct chat_process *p;

    if (!c)
        return;
    chats_stop(c);
    while ((p = c->processes)) {
        if (p->question)
            fail_question(p->question, RPC_UNAVAILABLE, "dashd is shutting down");
        p->question = NULL;
        c->processes = p->next;
        uv_process_kill(&p->process, SIGKILL);
        close_handles(p);
    }
    uv_close((uv_handle_t *)&c->tick, on_closed);
    uv_close((uv_handle_t *)&c->soon, on_closed);
}
