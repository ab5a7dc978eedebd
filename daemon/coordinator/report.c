/* daemon/coordinator/report.c - see report.h.
 *
 * The callers leave what is to be reported in struct report, under its lock, and wake the thread.
 * The thread's protocol, from the dial on:
 *
 *   -> Hello   <- Welcome{last_step}   -> rows after it, notices, phase, as they come   <- Stop
 *   -> Ended   <- Goodbye
 *
 * Notices and the phase are sent again after each dial; dashd knows those that it has. A connection
 * that breaks at any point is dialled again, and everything unanswered is sent again, Ended too.
 * Before each round of dials the contact file is read again: a dashd that was restarted may be
 * elsewhere. Its addresses are tried in order, beginning with the one that answered last.
 */
#include "daemon/coordinator/report.h"
#include "proto/channel.h"
#include "proto/contact.h"
#include "proto/dash.pb-c.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 5000, BACKOFF_ENDED_MS = 250 };

struct report {
    char *path; /* of the contact file */
    int resumed_from, steps_total;
    pthread_t thread;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct stream *stream; /* open now, or NULL; only to wake or cancel it */
    struct step_row *rows;
    int n_rows, cap_rows;
    char **notices;
    int n_notices;
    int phase; /* 0: none said yet */
    struct decomposed {
        int done, n;
        double seconds_left;
    } decomposed; /* n 0: none said yet */
    bool stop_wanted;
    bool ended;
    enum report_how how;
    char *reason;
    bool goodbye;
    bool quit;

    /* The thread's own: who is dialled, and what this connection has sent. */
    struct contact contact;
    char *answered; /* the address that did last, or NULL */
    int row_next, notice_next, phase_sent;
    int decomposed_sent; /* its done */
    bool ended_sent;
};

static void wake(struct report *r)
{
    if (r->stream)
        stream_wake(r->stream);
    pthread_cond_broadcast(&r->changed);
}

static int write_report(struct stream *s, Dash__V1__CoordinatorReport__ReportCase which, void *part,
                        struct err *err)
{
    Dash__V1__CoordinatorReport m = DASH__V1__COORDINATOR_REPORT__INIT;

    m.report_case = which;
    m.hello = part; /* a member of the union, like all parts */
    return stream_write(s, &m.base, err);
}

static int send_hello(struct report *r, struct stream *s, struct err *err)
{
    Dash__V1__Hello hello = DASH__V1__HELLO__INIT;

    hello.job_id = r->contact.job;
    hello.token = r->contact.token;
    hello.resumed_from_step = (uint32_t)r->resumed_from;
    hello.steps_total = (uint32_t)r->steps_total;
    return write_report(s, DASH__V1__COORDINATOR_REPORT__REPORT_HELLO, &hello, err);
}

static int send_row(struct stream *s, const struct step_row *row, struct err *err)
{
    Dash__V1__Step step;

    step_row_to_message(row, &step);
    return write_report(s, DASH__V1__COORDINATOR_REPORT__REPORT_STEP, &step, err);
}

static int send_notice(struct stream *s, char *text, struct err *err)
{
    Dash__V1__Notice notice = DASH__V1__NOTICE__INIT;

    notice.text = text;
    return write_report(s, DASH__V1__COORDINATOR_REPORT__REPORT_NOTICE, &notice, err);
}

static int send_phase(struct stream *s, int phase, struct err *err)
{
    Dash__V1__PhaseChange change = DASH__V1__PHASE_CHANGE__INIT;

    change.phase = (Dash__V1__Phase)phase;
    return write_report(s, DASH__V1__COORDINATOR_REPORT__REPORT_PHASE, &change, err);
}

static int send_decomposed(struct stream *s, const struct decomposed *d, struct err *err)
{
    Dash__V1__Decomposition m = DASH__V1__DECOMPOSITION__INIT;

    m.done = (uint32_t)d->done;
    m.matrices = (uint32_t)d->n;
    m.seconds_left = d->seconds_left;
    return write_report(s, DASH__V1__COORDINATOR_REPORT__REPORT_DECOMPOSITION, &m, err);
}

static int send_ended(struct stream *s, enum report_how how, char *reason, struct err *err)
{
    Dash__V1__Ended ended = DASH__V1__ENDED__INIT;

    ended.how = (Dash__V1__Ended__How)how;
    ended.reason = reason;
    return write_report(s, DASH__V1__COORDINATOR_REPORT__REPORT_ENDED, &ended, err);
}

/* What is to be sent next. Called under the lock; what it points at lives as long as r. */
enum next { NEXT_NOTHING, NEXT_NOTICE, NEXT_ROW, NEXT_PHASE, NEXT_DECOMPOSED, NEXT_ENDED };

static enum next choose(struct report *r, struct step_row *ret_row,
                        struct decomposed *ret_decomposed, char **ret_text, int *ret_number)
{
    if (r->notice_next < r->n_notices) {
        *ret_text = r->notices[r->notice_next++];
        return NEXT_NOTICE;
    }
    if (r->row_next < r->n_rows) {
        *ret_row = r->rows[r->row_next++];
        return NEXT_ROW;
    }
    if (r->phase_sent != r->phase) {
        *ret_number = r->phase_sent = r->phase;
        return NEXT_PHASE;
    }
    if (r->decomposed.n && r->decomposed_sent != r->decomposed.done) {
        *ret_decomposed = r->decomposed;
        r->decomposed_sent = r->decomposed.done;
        return NEXT_DECOMPOSED;
    }
    if (r->ended && !r->ended_sent) {
        r->ended_sent = true;
        *ret_text = r->reason;
        *ret_number = (int)r->how;
        return NEXT_ENDED;
    }
    return NEXT_NOTHING;
}

static int send_all(struct report *r, struct stream *s, struct err *err)
{
    struct step_row row = {0};
    struct decomposed decomposed = {0};
    char *text = NULL;
    int number = 0, rc = 0;
    enum next next;

    do {
        pthread_mutex_lock(&r->lock);
        next = r->quit ? NEXT_NOTHING : choose(r, &row, &decomposed, &text, &number);
        pthread_mutex_unlock(&r->lock);
        if (next == NEXT_NOTICE)
            rc = send_notice(s, text, err);
        else if (next == NEXT_ROW)
            rc = send_row(s, &row, err);
        else if (next == NEXT_PHASE)
            rc = send_phase(s, number, err);
        else if (next == NEXT_DECOMPOSED)
            rc = send_decomposed(s, &decomposed, err);
        else if (next == NEXT_ENDED)
            rc = send_ended(s, (enum report_how)number, text, err);
    } while (next != NEXT_NOTHING && rc == 0);
    return rc;
}

static void handle_command(struct report *r, const Dash__V1__CoordinatorCommand *m,
                           bool *ret_welcomed)
{
    pthread_mutex_lock(&r->lock);
    switch (m->command_case) {
    case DASH__V1__COORDINATOR_COMMAND__COMMAND_WELCOME:
        *ret_welcomed = true;
        r->notice_next = r->row_next = r->phase_sent = 0;
        r->decomposed_sent = -1;
        r->ended_sent = false;
        while (r->row_next < r->n_rows && r->rows[r->row_next].step <= (int)m->welcome->last_step)
            r->row_next++;
        break;
    case DASH__V1__COORDINATOR_COMMAND__COMMAND_STOP:
        r->stop_wanted = true;
        break;
    case DASH__V1__COORDINATOR_COMMAND__COMMAND_GOODBYE:
        r->goodbye = true;
        pthread_cond_broadcast(&r->changed);
        break;
    default: /* of a newer dashd: unknown here, so ignored */
        break;
    }
    pthread_mutex_unlock(&r->lock);
}

static bool finished(struct report *r)
{
    bool yes;

    pthread_mutex_lock(&r->lock);
    yes = r->quit || r->goodbye;
    pthread_mutex_unlock(&r->lock);
    return yes;
}

/* One connection, until it breaks or all is sent. */
static int converse(struct report *r, struct stream *s, bool *ret_welcomed, struct err *err)
{
    ProtobufCMessage *m = NULL;
    int rc;

    rc = send_hello(r, s, err);
    while (rc >= 0 && !finished(r)) {
        if (*ret_welcomed) {
            rc = send_all(r, s, err);
            if (rc < 0)
                break;
        }
        rc = stream_read(s, -1, &m, err);
        if (rc == STREAM_END)
            break;
        if (rc == STREAM_MESSAGE) {
            handle_command(r, (Dash__V1__CoordinatorCommand *)m, ret_welcomed);
            protobuf_c_message_free_unpacked(m, NULL);
        }
    }
    return rc;
}

static void publish(struct report *r, struct stream *s)
{
    pthread_mutex_lock(&r->lock);
    r->stream = s;
    if (s && r->quit)
        stream_cancel(s);
    pthread_mutex_unlock(&r->lock);
}

/* Dials once. True if dashd answered, which resets the back-off. */
static bool dial(struct report *r, const char *address)
{
    const struct channel_tls tls = {.ca = r->contact.certificate, .name = CONTACT_SERVER_NAME};
    struct channel *c = NULL;
    struct stream *s = NULL;
    bool welcomed = false;
    struct err err;

    if (channel_open(address, tls.ca ? &tls : NULL, &c, &err) < 0)
        return false;
    if (stream_open(c, "/dash.v1.Coordination/Report", NULL,
                    &dash__v1__coordinator_command__descriptor, &s, &err) == 0) {
        publish(r, s);
        converse(r, s, &welcomed, &err);
        publish(r, NULL);
    }
    stream_close(s);
    channel_close(c);
    return welcomed;
}

static bool dial_and_remember(struct report *r, const char *address)
{
    char *copy;

    if (!dial(r, address))
        return false;
    copy = strdup(address);
    free(r->answered);
    r->answered = copy;
    return true;
}

/* Dials one address after the other until one has answered. */
static bool dial_all(struct report *r)
{
    struct contact contact;
    bool answered = false;
    int i;

    if (contact_read(r->path, &contact, NULL) == 0) {
        contact_free(&r->contact);
        r->contact = contact;
    }
    for (i = 0; i < r->contact.n && r->answered && !answered; i++)
        if (strcmp(r->contact.addresses[i], r->answered) == 0)
            answered = dial_and_remember(r, r->contact.addresses[i]);
    for (i = 0; i < r->contact.n && !answered && !finished(r); i++)
        answered = dial_and_remember(r, r->contact.addresses[i]);
    return answered;
}

static struct timespec after_ms(int ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

/* Shorter once the end is to be sent: report_end() is waiting. */
static void pause_for(struct report *r, int ms)
{
    struct timespec until;
    bool ended;

    pthread_mutex_lock(&r->lock);
    ended = r->ended;
    until = after_ms(ended && ms > BACKOFF_ENDED_MS ? BACKOFF_ENDED_MS : ms);
    while (!r->quit && r->ended == ended &&
           pthread_cond_timedwait(&r->changed, &r->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&r->lock);
}

static void *run_thread(void *arg)
{
    struct report *r = arg;
    int backoff_ms = BACKOFF_FIRST_MS;

    while (!finished(r)) {
        if (dial_all(r))
            backoff_ms = BACKOFF_FIRST_MS;
        if (finished(r))
            break;
        pause_for(r, backoff_ms);
        backoff_ms = backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : backoff_ms * 2;
    }
    return NULL;
}

/* Signals are the main thread's: neither this thread nor those that gRPC starts from it take any.
 */
static int start_thread(struct report *r, struct err *err)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&r->thread, NULL, run_thread, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : err_set(err, ERR_IO, "cannot start a thread: %s", strerror(rc));
}

static void destroy(struct report *r)
{
    int i;

    for (i = 0; i < r->n_notices; i++)
        free(r->notices[i]);
    free(r->notices);
    free(r->rows);
    free(r->reason);
    free(r->path);
    free(r->answered);
    contact_free(&r->contact);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

int report_open(const char *contact, int resumed_from, int steps_total, struct report **ret_report,
                struct err *err)
{
    pthread_condattr_t attr;
    struct report *r;
    int rc;

    if (!contact || access(contact, F_OK) < 0) {
        *ret_report = NULL;
        return 0;
    }
    r = calloc(1, sizeof(*r));
    if (!r)
        return err_nomem(err, sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &attr);
    pthread_condattr_destroy(&attr);
    r->path = strdup(contact);
    r->resumed_from = resumed_from;
    r->steps_total = steps_total;
    if (!r->path)
        rc = err_nomem(err, strlen(contact));
    else
        rc = start_thread(r, err);
    if (rc < 0) {
        destroy(r);
        return rc;
    }
    *ret_report = r;
    return 0;
}

/* Under the lock. A row for which there is no memory is not sent; metrics.jsonl has it. */
static void add_row(struct report *r, const struct step_row *row)
{
    if (r->n_rows == r->cap_rows) {
        int cap = r->cap_rows ? 2 * r->cap_rows : 256;
        struct step_row *rows = realloc(r->rows, (size_t)cap * sizeof(*rows));
        if (!rows)
            return;
        r->rows = rows;
        r->cap_rows = cap;
    }
    r->rows[r->n_rows++] = *row;
}

void report_history(struct report *r, const struct step_row *rows, int n)
{
    int i;

    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    for (i = 0; i < n; i++)
        add_row(r, &rows[i]);
    wake(r);
    pthread_mutex_unlock(&r->lock);
}

void report_step(struct report *r, const struct step_row *row)
{
    report_history(r, row, 1);
}

void report_phase(struct report *r, int phase)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->phase = phase;
    wake(r);
    pthread_mutex_unlock(&r->lock);
}

void report_decomposed(struct report *r, int done, int n, double seconds_left)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->decomposed = (struct decomposed){done, n, seconds_left};
    wake(r);
    pthread_mutex_unlock(&r->lock);
}

void report_notice(struct report *r, const char *text)
{
    char **notices;

    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    notices = realloc(r->notices, (size_t)(r->n_notices + 1) * sizeof(*notices));
    if (notices) {
        r->notices = notices;
        r->notices[r->n_notices] = strdup(text);
        if (r->notices[r->n_notices])
            r->n_notices++;
    }
    wake(r);
    pthread_mutex_unlock(&r->lock);
}

bool report_stop_wanted(struct report *r)
{
    bool wanted;

    if (!r)
        return false;
    pthread_mutex_lock(&r->lock);
    wanted = r->stop_wanted;
    pthread_mutex_unlock(&r->lock);
    return wanted;
}

void report_end(struct report *r, enum report_how how, const char *reason, int timeout_ms)
{
    struct timespec until = after_ms(timeout_ms);
    int rc = 0;

    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    if (!r->ended) {
        r->how = how;
        r->reason = strdup(reason ? reason : "");
        r->ended = true;
    }
    wake(r);
    while (!r->goodbye && rc == 0)
        rc = pthread_cond_timedwait(&r->changed, &r->lock, &until);
    pthread_mutex_unlock(&r->lock);
}

void report_close(struct report *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->quit = true;
    if (r->stream)
        stream_cancel(r->stream);
    wake(r);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    destroy(r);
}
