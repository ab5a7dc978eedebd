/* client/follow.c - see follow.h. One stream at a time; when it breaks, another is opened from the
 * next step on, with a growing pause, so that no step is shown twice. On a terminal the last line
 * is redrawn, below a plot of the loss where one is asked for; in a pipe each step is a line. */
#include "client/follow.h"
#include "core/clock.h"
#include "client/interrupt.h"
#include "client/json.h"
#include "client/plot.h"
#include "client/printable.h"
#include "client/progress.h"
#include "client/words.h"
#include "proto/phase.h"
#include "core/duration.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LOOK_MS = 200, BACKOFF_FIRST_MS = 200, BACKOFF_MAX_MS = 5000, COLUMNS = 80, LINES = 24 };
enum { PLOT_ROWS = 12, PLOT_ROWS_LEAST = 4 };
static const double PLOT_S = 0.1; /* between two plots, while steps of the past arrive */

struct view {
    const struct follow *f;
    bool terminal, utf8;
    char *id; /* the job's own, once known: a name may become ambiguous */
    int next_step;
    Dash__V1__Job *job; /* as last received, kept up to date by the steps */
    double heard_at;
    size_t notices_shown;
    bool line_drawn;
    bool ever_connected, reported_away, expired;
    double *losses; /* of the steps so far, where they are drawn */
    int n_losses, losses_cap;
    int boundary;   /* the first of them with directions; 0: none */
    int plot_lines; /* above the line that is drawn */
    double plotted_at;
};

/* To the beginning of what is drawn. */
static void go_back(struct view *v)
{
    if (v->plot_lines)
        printf("\033[%dA", v->plot_lines);
    putchar('\r');
    v->plot_lines = 0;
}

static void clear_line(struct view *v)
{
    if (v->line_drawn) {
        go_back(v);
        printf("\033[J");
    }
    v->line_drawn = false;
}

static struct winsize terminal_size(void)
{
    struct winsize size = {0};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col)
        size.ws_col = COLUMNS;
    if (!size.ws_row)
        size.ws_row = LINES;
    return size;
}

/* For lack of memory the curve has fewer steps: the job is followed all the same. */
static void add_loss(struct view *v, const Dash__V1__Step *step)
{
    double *more;
    int cap = v->losses_cap ? 2 * v->losses_cap : 1024;

    if (v->n_losses == v->losses_cap) {
        more = realloc(v->losses, (size_t)cap * sizeof(*more));
        if (!more)
            return;
        v->losses = more;
        v->losses_cap = cap;
    }
    if (step->phase == DASH__V1__PHASE__DASH && !v->boundary)
        v->boundary = v->n_losses;
    v->losses[v->n_losses++] = step->loss;
}

static void draw_plot(struct view *v, struct winsize size)
{
    int rows = size.ws_row - 2 < PLOT_ROWS ? size.ws_row - 2 : PLOT_ROWS;
    struct plot plot = {.y = v->losses,
                        .n = v->n_losses,
                        .mark = v->boundary,
                        .columns = size.ws_col - 1,
                        .rows = rows,
                        .utf8 = v->utf8};
    struct buf lines = {0};

    if (v->n_losses < 2 || rows < PLOT_ROWS_LEAST)
        return;
    plot_draw(&plot, &lines);
    if (lines.len && !lines.failed) {
        printf("\033[J%s", lines.data);
        v->plot_lines = rows;
    }
    v->plotted_at = clock_s();
    buf_free(&lines);
}

static void redraw(struct view *v)
{
    struct winsize size = terminal_size();
    char line[1024];

    if (!v->terminal || !v->job)
        return;
    if (v->line_drawn)
        go_back(v);
    if (v->f->plot)
        draw_plot(v, size);
    progress_line(v->job, size.ws_col - 1, v->utf8, clock_s() - v->heard_at, line, sizeof(line));
    printf("\r%s\033[K", line);
    fflush(stdout);
    v->line_drawn = true;
}

static void show_notices(struct view *v)
{
    for (; v->notices_shown < v->job->n_notices; v->notices_shown++) {
        clear_line(v);
        printf("note: %s\n", v->job->notices[v->notices_shown]);
    }
}

static void show_job(struct view *v, Dash__V1__Job *job)
{
    bool changed = !v->job || v->job->state != job->state ||
                   (job->reason[0] && strcmp(v->job->reason, job->reason) != 0);

    if (v->job)
        dash__v1__job__free_unpacked(v->job, NULL);
    v->job = job;
    v->heard_at = clock_s();
    if (v->f->client->json)
        return;
    show_notices(v);
    if (!v->terminal && changed && !words_is_final(job->state)) {
        printf("job %s %s%s%s\n", job->id, words_state(job->state), job->reason[0] ? ": " : "",
               job->reason);
        fflush(stdout);
    }
    redraw(v);
}

static double speed_of(const Dash__V1__Step *step)
{
    return step->seconds > 0 ? (double)step->tokens / step->seconds : 0;
}

static void print_step(const struct view *v, const Dash__V1__Step *step)
{
    printf("step %u/%u %s loss %.6g grad_norm %.4g lr %.4g %.0f tokens/s", step->step,
           v->job ? v->job->steps_total : 0, phase_name((int)step->phase), step->loss,
           step->grad_norm, step->learning_rate, speed_of(step));
    if (step->eval_loss > 0)
        printf(" eval_loss %.6g", step->eval_loss);
    putchar('\n');
    fflush(stdout);
}

/* The Job that came first holds the past; each step updates it between its changes. */
static void apply_step(struct view *v, const Dash__V1__Step *step)
{
    Dash__V1__Job *job = v->job;
    const ProtobufCMessageDescriptor *type = &dash__v1__step__descriptor;
    uint32_t left;
    double was;

    if (!job || step->step < job->steps_done)
        return;
    if (!job->last_step)
        job->last_step = (Dash__V1__Step *)protobuf_c_message_unpack(type, NULL, 0, NULL);
    if (job->last_step)
        memcpy(job->last_step, step, sizeof(*step)); /* numbers only */
    job->steps_done = step->step;
    job->phase = step->phase;
    was = job->tokens_per_second;
    job->tokens_per_second = was > 0 ? was + 0.1 * (speed_of(step) - was) : speed_of(step);
    left = job->steps_total > step->step ? job->steps_total - step->step : 0;
    if (job->tokens_per_second > 0)
        job->eta_seconds = left * (double)step->tokens / job->tokens_per_second;
    v->heard_at = clock_s();
}

static void show_step(struct view *v, const Dash__V1__Step *step)
{
    v->next_step = (int)step->step + 1;
    apply_step(v, step);
    if (v->terminal && v->f->plot)
        add_loss(v, step);
    if (v->terminal && (!v->f->plot || clock_s() - v->plotted_at > PLOT_S))
        redraw(v);
    else if (!v->terminal && !v->f->client->json)
        print_step(v, step);
}

/* Takes over the message. */
static void show_event(struct view *v, Dash__V1__WatchJobResponse *m)
{
    bool is_step = m->event_case == DASH__V1__WATCH_JOB_RESPONSE__EVENT_STEP;
    bool is_job = m->event_case == DASH__V1__WATCH_JOB_RESPONSE__EVENT_JOB;
    bool is_new = is_job || (is_step && (int)m->step->step >= v->next_step);

    if (!v->f->client->json)
        printable_message(&m->base);
    v->ever_connected = true;
    v->reported_away = false;
    if (is_new && v->f->client->json)
        json_print(&m->base, false);
    if (is_job) {
        if (!v->id)
            v->id = strdup(m->job->id);
        show_job(v, m->job);
        m->job = NULL;
        m->event_case = DASH__V1__WATCH_JOB_RESPONSE__EVENT__NOT_SET;
    } else if (is_step && is_new) {
        show_step(v, m->step);
    }
    dash__v1__watch_job_response__free_unpacked(m, NULL);
}

/* Reads until the stream ends (0), breaks (err's code) or an interrupt comes (0; the caller looks).
 */
static int read_events(struct view *v, struct stream *s, struct err *err)
{
    ProtobufCMessage *m = NULL;
    int rc;

    while (interrupt_count() < v->f->interrupts) {
        rc = stream_read(s, LOOK_MS, &m, err);
        if (rc < 0)
            return rc;
        if (rc == STREAM_END)
            return 0;
        if (rc == STREAM_MESSAGE)
            show_event(v, (Dash__V1__WatchJobResponse *)m);
        else
            redraw(v);
    }
    return 0;
}

static int connect_once(struct view *v, struct err *err)
{
    Dash__V1__WatchJobRequest request = DASH__V1__WATCH_JOB_REQUEST__INIT;
    struct channel *channel = NULL;
    struct stream *stream = NULL;
    int rc;

    request.id = v->id ? v->id : (char *)v->f->id;
    request.from_step = (uint32_t)v->next_step;
    v->expired = false;
    rc = client_open_channel(v->f->client, &channel, err);
    if (rc < 0)
        return rc;
    rc = stream_open(channel, "/dash.v1.FineTuning/WatchJob", &request.base,
                     &dash__v1__watch_job_response__descriptor, &stream, err);
    if (rc == 0)
        rc = read_events(v, stream, err);
    v->expired = rc < 0 && client_has_expired(v->f->client, channel);
    stream_close(stream);
    channel_close(channel);
    return rc;
}

static void report_away(struct view *v)
{
    if (v->reported_away)
        return;
    clear_line(v);
    fflush(stdout);
    fprintf(stderr, "dashd at %s is away: trying again\n", v->f->client->server);
    v->reported_away = true;
}

static enum follow_end watch(struct view *v)
{
    int backoff_ms = BACKOFF_FIRST_MS, rc;
    struct err err;

    for (;;) {
        rc = connect_once(v, &err);
        if (interrupt_count() >= v->f->interrupts)
            return FOLLOW_INTERRUPTED;
        if (rc == 0 && v->job && words_is_final(v->job->state))
            return FOLLOW_FINAL;
        if (v->expired && v->f->reconnect)
            continue;
        if (rc < 0 && (rc != ERR_PEER || !v->ever_connected || !v->f->reconnect)) {
            clear_line(v);
            fflush(stdout);
            client_fail(&err);
            return FOLLOW_FAILED;
        }
        if (!v->reported_away)
            backoff_ms = BACKOFF_FIRST_MS;
        report_away(v);
        interrupt_sleep_ms(backoff_ms);
        backoff_ms = 2 * backoff_ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : 2 * backoff_ms;
    }
}

/* A plot stays on the terminal. */
static void end_drawing(struct view *v)
{
    if (v->terminal && v->f->plot && v->line_drawn) {
        redraw(v);
        printf("\r\033[K");
        v->line_drawn = false;
    }
    clear_line(v);
    fflush(stdout);
}

enum follow_end follow_job(const struct follow *f, Dash__V1__Job **ret_job)
{
    struct view v = {
        .f = f,
        .terminal = !f->client->json && isatty(STDOUT_FILENO),
        .utf8 = words_utf8(),
        .next_step = f->from_step > 1 ? f->from_step : 1,
    };
    enum follow_end end = watch(&v);

    end_drawing(&v);
    free(v.id);
    free(v.losses);
    if (end == FOLLOW_FAILED) {
        if (v.job)
            dash__v1__job__free_unpacked(v.job, NULL);
        v.job = NULL;
    }
    *ret_job = v.job;
    return end;
}

int follow_print_end(const struct client *c, const Dash__V1__Job *job)
{
    bool ok = job->state == DASH__V1__JOB_STATE__SUCCEEDED;
    char time[32];

    if (c->json)
        return ok ? EXIT_OK : EXIT_FAILED;
    duration_words((double)(job->finished_ms - job->started_ms) / 1000, time, sizeof(time));
    if (ok && job->kind == DASH__V1__JOB_KIND__EVALUATION)
        printf("job %s (%s) SUCCEEDED after %u examples in %s: the figures are in "
               "%s/result.json\n",
               job->id, job->name, job->steps_done, time, job->output);
    else if (ok)
        printf("job %s (%s) SUCCEEDED after %u steps in %s: the adapter is in %s/adapter\n",
               job->id, job->name, job->steps_done, time, job->output);
    else
        printf("job %s (%s) %s: %s\n", job->id, job->name, words_state(job->state), job->reason);
    if (job->state == DASH__V1__JOB_STATE__FAILED)
        printf("its log is in %s/logs/job.log\n", job->output);
    fflush(stdout);
    return ok ? EXIT_OK : EXIT_FAILED;
}

int follow_to_end(struct client *c, const char *id, int from_step, bool plot)
{
    struct follow f = {.client = c,
                       .id = id,
                       .from_step = from_step,
                       .reconnect = true,
                       .plot = plot,
                       .interrupts = 1};
    Dash__V1__Job *job = NULL;
    int status = EXIT_FAILED;
    enum follow_end end;

    interrupt_catch();
    end = follow_job(&f, &job);
    if (end == FOLLOW_FINAL)
        status = follow_print_end(c, job);
    else if (end == FOLLOW_INTERRUPTED)
        fprintf(stderr, "job %s continues; `dashctl watch %s` shows it again\n", id, id);
    if (job)
        dash__v1__job__free_unpacked(job, NULL);
    return status;
}
