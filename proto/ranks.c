/* proto/ranks.c - see ranks.h.
 *
 * Owned: the list of sends under way. A send's bytes live in it until MPI says that they have left;
 * the list is swept at every call, and while waiting.
 */
#include "proto/ranks.h"
#include "core/slurm/environment.h"
#include "core/clock.h"
#include "core/build.h"
#include <math.h>
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct outgoing {
    struct outgoing *next;
    MPI_Request request;
    char bytes[];
};

enum { NODE_MAX = 64, VERSION_MAX = 16 };

/* What each rank says of itself when it starts. */
struct hello {
    int32_t role;
    char version[VERSION_MAX], build[sizeof(build_identity)], node[NODE_MAX];
};

struct ranks {
    int index, count, neighbours, neighbour_index;
    struct hello *hellos; /* (count) */
    bool beside_coordinator;
    struct outgoing *outgoing;
    double own_work_since_s; /* when this rank last received, or stayed for what is under way */
};

enum {
    SPINS = 200,           /* polls before the first sleep: about 50 us */
    SLEEP_FIRST_NS = 5000, /* then sleeps that grow to SLEEP_LAST_NS */
    SLEEP_LAST_NS = 300000,
    MOVING_SPINS = 20000, /* the same while a message is under way: about 10 ms */
    MOVING_SHARE = 16,    /* of the time of its own work a rank stays for what is under way */
};
static const double MOVING_MOST_S = 0.02; /* at a time */

enum { LAST_WORDS_S = 10 };

struct backoff {
    int polls;
    long sleep_ns;
};

/* moving: parts of a message may be under way, each of which needs both its ends. */
static void backoff_wait(struct backoff *b, bool moving)
{
    struct timespec t = {0};

    if (b->polls++ < (moving ? MOVING_SPINS : SPINS)) {
        sched_yield();
        return;
    }
    b->sleep_ns = b->sleep_ns ? b->sleep_ns + b->sleep_ns / 4 : SLEEP_FIRST_NS;
    if (b->sleep_ns > SLEEP_LAST_NS)
        b->sleep_ns = SLEEP_LAST_NS;
    t.tv_nsec = b->sleep_ns;
    nanosleep(&t, NULL);
}

static int mpi_failed(struct err *err, int rc, const char *what)
{
    char text[MPI_MAX_ERROR_STRING];
    int len = 0;

    MPI_Error_string(rc, text, &len);
    return err_set(err, ERR_PEER, "MPI cannot %s: %.*s", what, len, text);
}

static int learn_neighbours(struct ranks *r, enum rank_role role)
{
    MPI_Comm host, same;
    MPI_Group here, world;
    int coordinator = 0, found = MPI_UNDEFINED, rc;

    rc = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, r->index, MPI_INFO_NULL, &host);
    if (rc != MPI_SUCCESS)
        return rc;
    MPI_Comm_group(host, &here);
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Group_translate_ranks(world, 1, &coordinator, here, &found);
    r->beside_coordinator = found != MPI_UNDEFINED;
    MPI_Group_free(&here);
    MPI_Group_free(&world);
    rc = MPI_Comm_split(host, role, r->index, &same);
    if (rc == MPI_SUCCESS) {
        MPI_Comm_size(same, &r->neighbours);
        MPI_Comm_rank(same, &r->neighbour_index);
        MPI_Comm_free(&same);
    }
    MPI_Comm_free(&host);
    return rc;
}

static bool fits(bool peers, int role, int rank)
{
    if (peers)
        return role == RANK_PEER;
    return role == (rank == 0 ? RANK_COORDINATOR : RANK_WORKER);
}

static void say_hello(enum rank_role role, struct hello *h)
{
    *h = (struct hello){.role = role};
    snprintf(h->version, sizeof(h->version), "%s", DASH_VERSION);
    snprintf(h->build, sizeof(h->build), "%s", build_identity);
    environment_node(h->node, sizeof(h->node));
}

/* Ends each text that came, and leaves only what can be printed in it. */
static void clean_text(char *text, size_t size)
{
    size_t i;

    text[size - 1] = '\0';
    for (i = 0; text[i]; i++)
        if (text[i] <= ' ' || text[i] > '~')
            text[i] = '?';
}

static int exchange_hellos(struct ranks *r, enum rank_role role, struct err *err)
{
    struct hello mine;
    int i, rc;

    r->hellos = calloc((size_t)r->count, sizeof(*r->hellos));
    if (!r->hellos)
        return err_nomem(err, (size_t)r->count * sizeof(*r->hellos));
    say_hello(role, &mine);
    rc = MPI_Allgather(&mine, sizeof(mine), MPI_BYTE, r->hellos, sizeof(mine), MPI_BYTE,
                       MPI_COMM_WORLD);
    if (rc != MPI_SUCCESS)
        return mpi_failed(err, rc, "exchange roles: are all ranks of the same build of dash?");
    for (i = 0; i < r->count; i++) {
        clean_text(r->hellos[i].version, VERSION_MAX);
        clean_text(r->hellos[i].build, sizeof(build_identity));
        clean_text(r->hellos[i].node, NODE_MAX);
    }
    return 0;
}

/* All ranks come to the same answer, whatever they are themselves. */
static int check_hellos(const struct ranks *r, struct err *err)
{
    const struct hello *first = &r->hellos[0], *h;
    int i;

    for (i = 0; i < r->count; i++) {
        h = &r->hellos[i];
        if (strcmp(h->build, first->build) != 0 || strcmp(h->version, first->version) != 0)
            return err_set(err, ERR_INVALID,
                           "rank %d (%s) runs dash %s (build %s), %s %s (build %s): install the "
                           "same build on every node",
                           i, h->node, h->version, h->build,
                           first->role == RANK_COORDINATOR ? "the coordinator" : "rank 0",
                           first->version, first->build);
        if (!fits(first->role == RANK_PEER, h->role, i))
            return err_set(err, ERR_INVALID,
                           "rank %d (%s) is the wrong program: rank 0 must be dash-coordinator and "
                           "all others dash-worker",
                           i, h->node);
    }
    return 0;
}

static int meet(struct ranks *r, enum rank_role role, struct err *err)
{
    int rc = exchange_hellos(r, role, err);

    if (rc == 0)
        rc = check_hellos(r, err);
    if (rc == 0 && (rc = learn_neighbours(r, role)) != MPI_SUCCESS)
        rc = mpi_failed(err, rc, "find the ranks of this host");
    /* The launcher ends the others when one leaves; rank 0 first writes down why. */
    if (rc == ERR_INVALID && r->index != 0)
        sleep(LAST_WORDS_S);
    return rc;
}

int ranks_open(int *argc, char ***argv, enum rank_role role, struct ranks **ret, struct err *err)
{
    struct ranks *r = calloc(1, sizeof(*r));
    int provided, rc;

    if (!r)
        return err_nomem(err, sizeof(*r));
    /* Without its launcher a rank would wait without end: it dies with it, and loses nothing that
     * is not in the checkpoint. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    rc = MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    if (rc != MPI_SUCCESS) {
        free(r);
        return err_set(err, ERR_PEER, "MPI_Init failed (code %d)", rc);
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &r->index);
    MPI_Comm_size(MPI_COMM_WORLD, &r->count);
    rc = meet(r, role, err);
    /* MPI_Finalize would wait for the others; a process that leaves without it makes the launcher
     * end them. */
    if (rc < 0) {
        free(r->hellos);
        free(r);
        return rc;
    }
    r->own_work_since_s = clock_s();
    *ret = r;
    return 0;
}

/* Frees what has left. Returns how many are under way. */
static int sweep(struct ranks *r)
{
    struct outgoing **link = &r->outgoing;
    int left = 0;

    while (*link) {
        struct outgoing *o = *link;
        int done = 0;
        if (MPI_Test(&o->request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done) {
            left++;
            link = &o->next;
            continue;
        }
        *link = o->next;
        free(o);
    }
    return left;
}

/* A call of MPI's moves some 100 kB of a long message through shared memory, so that it takes many
 * to move one, while the receiver looks for it, too. */
void ranks_progress(struct ranks *r)
{
    double now = clock_s();
    double end = now + fmin((now - r->own_work_since_s) / MOVING_SHARE, MOVING_MOST_S);
    struct backoff wait = {0};

    if (!r->outgoing)
        return;
    while (sweep(r) > 0 && clock_s() < end)
        backoff_wait(&wait, true);
    r->own_work_since_s = clock_s();
}

void ranks_close(struct ranks *r)
{
    struct backoff wait = {0};

    if (!r)
        return;
    while (sweep(r) > 0)
        backoff_wait(&wait, true);
    MPI_Finalize();
    free(r->hellos);
    free(r);
}

void ranks_abort(struct ranks *r, int exit_code)
{
    if (r)
        MPI_Abort(MPI_COMM_WORLD, exit_code);
    exit(exit_code);
}

int ranks_index(const struct ranks *r)
{
    return r->index;
}

int ranks_count(const struct ranks *r)
{
    return r->count;
}

const char *ranks_node(const struct ranks *r, int rank)
{
    return rank >= 0 && rank < r->count ? r->hellos[rank].node : "?";
}

int ranks_accuse(const struct ranks *r, int rank, struct err *err)
{
    return err_prefix(err, "rank %d (node %s) sent a wrong message", rank, ranks_node(r, rank));
}

int ranks_neighbours(const struct ranks *r)
{
    return r->neighbours;
}

int ranks_neighbour_index(const struct ranks *r)
{
    return r->neighbour_index;
}

bool ranks_beside_coordinator(const struct ranks *r)
{
    return r->beside_coordinator;
}

int ranks_send(struct ranks *r, int to, enum rank_tag tag, const void *bytes, size_t len,
               struct err *err)
{
    struct outgoing *o;
    int rc;

    sweep(r);
    if (len > INT32_MAX)
        return err_set(err, ERR_UNSUPPORTED,
                       "a message of %zu bytes is more than MPI carries at once: use more stages",
                       len);
    /* A bare tag (RANK_STOP above all) needs no memory and waits for nobody: MPI sends it eagerly.
     */
    if (len == 0) {
        rc = MPI_Send(bytes, 0, MPI_BYTE, to, tag, MPI_COMM_WORLD);
        return rc == MPI_SUCCESS ? 0 : mpi_failed(err, rc, "send");
    }
    o = malloc(sizeof(*o) + len);
    if (!o)
        return err_nomem(err, sizeof(*o) + len);
    memcpy(o->bytes, bytes, len);
    rc = MPI_Isend(o->bytes, (int)len, MPI_BYTE, to, tag, MPI_COMM_WORLD, &o->request);
    if (rc != MPI_SUCCESS) {
        free(o);
        return mpi_failed(err, rc, "send");
    }
    o->next = r->outgoing;
    r->outgoing = o;
    return 0;
}

/* Takes the message that a probe has matched. */
static int take(MPI_Message *message, const MPI_Status *status, struct rank_message *ret,
                struct err *err)
{
    struct rank_message m = {.source = status->MPI_SOURCE, .tag = status->MPI_TAG};
    MPI_Request request;
    int len = 0, done = 0, rc;
    struct backoff wait = {0};
    void *at;

    MPI_Get_count(status, MPI_BYTE, &len);
    if (len < 0)
        return err_set(err, ERR_PEER, "rank %d sent a message without a length", m.source);
    at = buf_grow(&m.body, (size_t)len);
    if (!at)
        return err_nomem(err, (size_t)len);
    rc = MPI_Imrecv(at, len, MPI_BYTE, message, &request);
    while (rc == MPI_SUCCESS && !done) {
        rc = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (!done)
            backoff_wait(&wait, true);
    }
    if (rc != MPI_SUCCESS) {
        buf_free(&m.body);
        return mpi_failed(err, rc, "receive");
    }
    *ret = m;
    return 0;
}

int ranks_receive_for(struct ranks *r, int from, int tag, int timeout_ms, bool *ret_got,
                      struct rank_message *ret, struct err *err)
{
    long deadline = timeout_ms < 0 ? 0 : clock_ms() + timeout_ms;
    struct backoff wait = {0};
    MPI_Message message;
    MPI_Status status;
    int found = 0, rc;

    if (from == RANK_ANY)
        from = MPI_ANY_SOURCE;
    if (tag == RANK_ANY)
        tag = MPI_ANY_TAG;
    for (;;) {
        rc = MPI_Improbe(from, tag, MPI_COMM_WORLD, &found, &message, &status);
        if (rc != MPI_SUCCESS)
            return mpi_failed(err, rc, "look for a message");
        *ret_got = found;
        if (found)
            return take(&message, &status, ret, err);
        if (timeout_ms >= 0 && clock_ms() >= deadline)
            return 0;
        backoff_wait(&wait, sweep(r) > 0);
    }
}

int ranks_receive(struct ranks *r, int from, int tag, struct rank_message *ret, struct err *err)
{
    bool got;
    int rc = ranks_receive_for(r, from, tag, -1, &got, ret, err);

    r->own_work_since_s = clock_s();
    return rc;
}
