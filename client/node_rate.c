/* client/node_rate.c - see node_rate.h. The measurement is the one of `dashctl doctor`: a probe
 * that runs alone and leaves its results in a folder. What is kept should hold when other programs
 * have ended, too: the fastest product counts, and a rate of a busy machine is measured again the
 * next time. A rate that cannot be saved is measured again, too. */
#include "client/node_rate.h"
#include "client/doctor/meeting.h"
#include "client/doctor/probed.h"
#include "client/subprocess.h"
#include "core/build.h"
#include "core/cpu.h"
#include "core/cpus.h"
#include "core/file.h"
#include "core/json_file.h"
#include "core/paths.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { PROBE_MS = 30 * 1000 };

/* What a --node may have, too: a rate beyond is of a damaged file. */
static const double GFLOPS_LEAST = 1e-3, GFLOPS_MOST = 1e9;

/* ---- kept ---- */

/* What a rate is of. */
struct rate_key {
    char cpu[128];
    int threads;
    char *path; /* owned; NULL: nothing is kept */
};

static void key_open(struct rate_key *k)
{
    char *folder = paths_cache(), name[64], text[256];

    cpu_model(k->cpu, sizeof(k->cpu));
    k->threads = cpus_allowed();
    snprintf(text, sizeof(text), "%s\n%d\n%s", k->cpu, k->threads, build_identity);
    snprintf(name, sizeof(name), "rate-%016llx.json",
             (unsigned long long)XXH3_64bits(text, strlen(text)));
    k->path = folder ? file_join(folder, name) : NULL;
    free(folder);
}

static bool is_text(const json_t *doc, const char *key, const char *text)
{
    const char *value = json_string_value(json_object_get(doc, key));

    return value && strcmp(value, text) == 0;
}

struct rate {
    double gflops;
    bool busy; /* other programs ran while it was measured */
};

static bool read_kept(const struct rate_key *k, struct rate *ret)
{
    char *text = NULL;
    json_t *doc = NULL;
    struct err ignored;
    bool good = false;
    size_t len;

    if (k->path && file_read_no_link(k->path, FILE_SMALL_MAX, &text, &len, &ignored) == 0 &&
        json_file_parse(text, len, k->path, &doc, &ignored) == 0) {
        double gflops = json_number_value(json_object_get(doc, "gflops"));
        good = is_text(doc, "cpu", k->cpu) && is_text(doc, "build", build_identity) &&
               json_integer_value(json_object_get(doc, "threads")) == k->threads &&
               gflops >= GFLOPS_LEAST && gflops <= GFLOPS_MOST;
        if (good)
            *ret = (struct rate){gflops, json_is_true(json_object_get(doc, "busy"))};
    }
    json_decref(doc);
    free(text);
    return good;
}

static void keep(const struct rate_key *k, const struct rate *r)
{
    json_t *doc = json_pack("{s:s, s:i, s:s, s:f, s:b}", "cpu", k->cpu, "threads", k->threads,
                            "build", build_identity, "gflops", r->gflops, "busy", r->busy);
    char *text = doc ? json_dumps(doc, JSON_INDENT(1)) : NULL, *folder = paths_cache();
    struct err ignored;

    if (text && folder && k->path && file_make_folders(folder, &ignored) == 0)
        file_write_durably(k->path, text, strlen(text), &ignored);
    free(folder);
    free(text);
    json_decref(doc);
}

/* ---- measured ---- */

static int run_probe(const struct meeting *m, struct err *err)
{
    char *worker = NULL;
    int rc = paths_sibling("dash-worker", &worker, err);
    const char *const argv[] = {worker, "probe", "--folder", m->path, "--alone", NULL};
    const struct subprocess p = {.argv = argv, .timeout_ms = PROBE_MS, .until_interrupt = true};
    struct subprocess_said said;

    if (rc == 0)
        rc = subprocess_run(&p, &said, err);
    if (rc == 0) {
        if (said.status != 0)
            rc = err_set(err, ERR_PEER, "dash-worker cannot measure the rate of products: %.300s",
                         said.err[0] ? said.err : "it was ended");
        subprocess_free(&said);
    }
    free(worker);
    return rc;
}

static int read_rate(const struct meeting *m, double *ret, struct err *err)
{
    char *text = meeting_read(m, "probe.json");
    struct probed p;
    int rc = text ? probed_parse(text, &p, err)
                  : err_set(err, ERR_PEER, "dash-worker has left no results");

    if (rc == 0) {
        *ret = p.ranks[0].best;
        if (!(*ret > 0))
            rc = err_set(err, ERR_PEER, "dash-worker has measured no rate of products");
        probed_free(&p);
    }
    free(text);
    return rc;
}

static int measure(double *ret, struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    struct meeting m = {0};
    int rc = meeting_create(tmp && *tmp ? tmp : "/tmp", &m, err);

    if (rc < 0)
        return rc;
    rc = run_probe(&m, err);
    if (rc == 0)
        rc = read_rate(&m, ret, err);
    meeting_remove(&m);
    return rc;
}

/* Whether others take much of the cores. */
static bool is_busy(int threads)
{
    double load = 0;

    return getloadavg(&load, 1) == 1 && load > 0.5 * threads;
}

int node_rate(double *ret_gflops, struct err *err)
{
    struct rate_key key;
    struct rate kept = {0, true};
    int rc = 0;

    key_open(&key);
    if (!read_kept(&key, &kept) || kept.busy) {
        struct rate now = {.busy = is_busy(key.threads)};
        rc = measure(&now.gflops, err);
        now.gflops = fmax(now.gflops, kept.gflops);
        if (rc == 0)
            keep(&key, &now);
        kept = now;
    }
    free(key.path);
    if (rc == 0)
        *ret_gflops = kept.gflops;
    return rc;
}
