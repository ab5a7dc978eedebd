/* worker/probe.c - see probe.h: options, and what the ranks say to one another. */
#include "worker/probe.h"
#include "core/clock.h"
#include "core/file.h"
#include "proto/ranks.h"
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBED_MS = 45 * 1000, ECHO_MS = 5 * 1000 };
enum { PINGS = 200, PING_BYTES = 8, LOADS = 16, LOAD_BYTES = 4 << 20 };

static const double load_seconds = 1, load_seconds_in_all = 20;

enum { KEY_FOLDER = 1, KEY_WORD, KEY_ADDRESS, KEY_ONE_MACHINE, KEY_ALONE };

static const struct argp_option options[] = {
    {"folder", KEY_FOLDER, "FOLDER", 0,
     "where probe.json goes (needed); the ranks look whether they share it", 0},
    {"word", KEY_WORD, "WORD", 0, "what the file `word` in the folder holds", 0},
    {"address", KEY_ADDRESS, "HOST:PORT", 0,
     "an address that should answer with the word; may be given several times", 0},
    {"one-machine", KEY_ONE_MACHINE, NULL, 0, "the ranks share a machine: one of them measures", 0},
    {"alone", KEY_ALONE, NULL, 0, "without MPI", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct probe *p = state->input;

    switch (key) {
    case KEY_FOLDER:
        p->folder = arg;
        return 0;
    case KEY_WORD:
        p->word = arg;
        return 0;
    case KEY_ADDRESS:
        if (p->n_addresses == PROBE_ADDRESSES)
            argp_error(state, "%d addresses at most", PROBE_ADDRESSES);
        p->addresses[p->n_addresses++] = arg;
        return 0;
    case KEY_ONE_MACHINE:
        p->one_machine = true;
        return 0;
    case KEY_ALONE:
        p->alone = true;
        return 0;
    case ARGP_KEY_END:
        if (!p->folder)
            argp_error(state, "--folder is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- ranks other than 0 ---- */

static int send_found(struct ranks *ranks, json_t *found, struct err *err)
{
    char *text = found ? json_dumps(found, JSON_COMPACT) : NULL;
    int rc = text ? ranks_send(ranks, 0, RANK_PROBED, text, strlen(text), err) : err_nomem(err, 0);

    free(text);
    return rc;
}

static int echo(struct ranks *ranks, struct err *err)
{
    for (;;) {
        struct rank_message m;
        int rc = ranks_receive(ranks, 0, RANK_ANY, &m, err);
        if (rc < 0)
            return rc;
        if (m.tag == RANK_ECHO)
            rc = ranks_send(ranks, 0, RANK_ECHO, m.body.data, m.body.len, err);
        buf_free(&m.body);
        if (rc < 0 || m.tag != RANK_ECHO)
            return rc;
    }
}

/* ---- rank 0 ---- */

/* Seconds that one message and its return, which must be as long, take on average, at most `most`
 * of them and not for much longer than `seconds`; negative: no answer. */
static double time_echo(struct ranks *ranks, int rank, const char *bytes, size_t len, int most)
{
    double seconds = load_seconds_in_all / ranks_count(ranks);
    double start = clock_s();
    int n = 0;

    if (seconds > load_seconds)
        seconds = load_seconds;
    while (n == 0 || (n < most && clock_s() - start < seconds)) {
        struct rank_message m;
        struct err ignored;
        bool got = false;
        if (ranks_send(ranks, rank, RANK_ECHO, bytes, len, &ignored) < 0 ||
            ranks_receive_for(ranks, rank, RANK_ECHO, ECHO_MS, &got, &m, &ignored) < 0 || !got)
            return -1;
        got = m.body.len == len;
        buf_free(&m.body);
        if (!got)
            return -1;
        n++;
    }
    return (clock_s() - start) / n;
}

/* Of each kind the first, which opens connections and touches memory, is not counted. */
static bool measure_messages(struct ranks *ranks, int rank, json_t *found)
{
    char *load = calloc(1, LOAD_BYTES);
    double ping = -1, s = -1;

    if (load && time_echo(ranks, rank, load, PING_BYTES, 1) >= 0)
        ping = time_echo(ranks, rank, load, PING_BYTES, PINGS);
    if (ping >= 0 && time_echo(ranks, rank, load, LOAD_BYTES, 1) >= 0)
        s = time_echo(ranks, rank, load, LOAD_BYTES, LOADS);
    free(load);
    if (s < 0)
        return false;
    json_object_set_new(found, "round_trip", json_real(ping * 1e6));
    json_object_set_new(found, "bandwidth", json_real(2 * LOAD_BYTES / s / 1e6));
    return true;
}

/* NULL: the rank does not answer, or not with what a rank finds. */
static json_t *receive_found(struct ranks *ranks, int rank, double deadline)
{
    int left_ms = (int)((deadline - clock_s()) * 1000);
    struct rank_message m;
    struct err ignored;
    bool got = false;
    json_t *found;

    if (ranks_receive_for(ranks, rank, RANK_PROBED, left_ms > 0 ? left_ms : 0, &got, &m, &ignored) <
            0 ||
        !got)
        return NULL;
    found = m.body.data ? json_loadb(m.body.data, m.body.len, 0, NULL) : NULL;
    buf_free(&m.body);
    if (json_is_object(found) && json_integer_value(json_object_get(found, "rank")) == rank)
        return found;
    json_decref(found);
    return NULL;
}

/* Asks rank `rank`. Returns whether it answered. */
static bool gather(struct ranks *ranks, int rank, double deadline, json_t *all)
{
    json_t *found = receive_found(ranks, rank, deadline);
    bool answers = found && measure_messages(ranks, rank, found);

    if (!found)
        found = json_pack("{s:i, s:b}", "rank", rank, "silent", true);
    else if (!answers)
        json_object_set_new(found, "silent", json_true());
    json_array_append_new(all, found);
    return answers;
}

static int write_all(const struct probe *p, json_t *all, struct err *err)
{
    json_t *doc = json_pack("{s:O}", "ranks", all);
    char *text = doc ? json_dumps(doc, JSON_INDENT(1)) : NULL,
         *path = file_join(p->folder, "probe.json");
    int rc = text && path ? file_write_durably(path, text, strlen(text), err) : err_nomem(err, 0);

    free(path);
    free(text);
    json_decref(doc);
    return rc;
}

static int lead(const struct probe *p, struct ranks *ranks, json_t *found, struct err *err)
{
    json_t *all = json_array();
    double deadline = clock_s() + PROBED_MS / 1000.0;
    int i, rc, count = ranks ? ranks_count(ranks) : 1, silent = 0;

    json_array_append(all, found);
    for (i = 1; i < count; i++)
        silent += !gather(ranks, i, deadline, all);
    rc = write_all(p, all, err);
    json_decref(all);
    for (i = 1; i < count && rc == 0; i++)
        rc = ranks_send(ranks, i, RANK_STOP, "", 0, err);
    if (rc == 0 && silent)
        rc = err_set(err, ERR_PEER, "%d ranks do not answer", silent);
    return rc;
}

static int measure_node(json_t *found, struct err *err)
{
    int threads = (int)json_integer_value(json_object_get(found, "threads"));
    int rc = probe_rate(threads, found, err);

    if (rc == 0) /* afterwards: some kernels know only the clock of this moment */
        probe_cpu(threads, found);
    return rc;
}

static int probe(const struct probe *p, struct ranks *ranks, struct err *err)
{
    int rank = ranks ? ranks_index(ranks) : 0, rc = 0;
    json_t *found = probe_node(p, rank);

    if (!found)
        return err_nomem(err, 0);
    if (!p->one_machine || rank == 0)
        rc = measure_node(found, err);
    if (rc == 0 && rank == 0)
        rc = lead(p, ranks, found, err);
    else if (rc == 0 && (rc = send_found(ranks, found, err)) == 0)
        rc = echo(ranks, err);
    json_decref(found);
    return rc;
}

int probe_main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Report what a job would find on its nodes. `dashctl doctor` starts it, and says "
               "what it means.",
    };
    struct probe p = {0};
    struct ranks *ranks = NULL;
    struct err err;
    int rc;

    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &p);
    rc = p.alone ? 0 : ranks_open(&argc, &argv, RANK_PEER, &ranks, &err);
    if (rc == 0)
        rc = probe(&p, ranks, &err);
    if (rc < 0) {
        fprintf(stderr, "dash-worker: %s\n", err.text);
        if (ranks)
            ranks_abort(ranks, EXIT_FAILURE);
        return EXIT_FAILURE;
    }
    ranks_close(ranks);
    return EXIT_SUCCESS;
}
