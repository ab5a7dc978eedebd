/* worker/worker.c - see worker.h, and ranks.h for the messages. What goes wrong is sent to rank 0
 * as a sentence (RANK_ERROR), which ends the job; the worker then waits to be ended with it. */
#include "worker/worker.h"
#include "core/slurm/environment.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/cpus.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/model/model.h"
#include "core/model/model_identity.h"
#include "core/job/trainable.h"
#include "worker/decompose.h"
#include "worker/ops/bf16_kernel.h"
#include "worker/pipeline.h"
#include "worker/cpu_binding.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct worker {
    struct ranks *ranks;
    struct rank_setup setup;
    struct rank_setup_parts parts; /* cache: the folder of decompositions */
    struct trainable trainable;
    struct team *team;
    struct stage *stage;
    struct pipeline pipeline;
    struct decompose *decompose; /* NULL once the directions are known, and for plain LoRA */
    int *mine;                   /* maps that this replica decomposes */
    int n_mine;
    int said_done; /* matrices decomposed, as the coordinator knows */
    double said_at;
};

enum {
    CORES_TO_SHARE = 4
}; /* with fewer than that the coordinator, which mostly sleeps, has none of its own */

/* Of this node: those that this process may run on, and where Slurm started it no more than it was
 * given. */
static int usable_cores(const struct worker *w)
{
    int given = (int)environment_number("SLURM_CPUS_ON_NODE"), cores = cpus_allowed();

    if (given > 0 && given < cores)
        cores = given;
    if (given > 0 && cores >= CORES_TO_SHARE && ranks_beside_coordinator(w->ranks))
        cores--;
    return cores;
}

/* Its share of the node's cores, on its own socket where that can be. */
static int choose_threads(const struct worker *w)
{
    int share = usable_cores(w) / ranks_neighbours(w->ranks), there;

    if (environment_number("SLURM_CPUS_ON_NODE"))
        cpu_binding_apply(ranks_neighbour_index(w->ranks), ranks_neighbours(w->ranks));
    there = cpus_allowed();
    if (w->setup.threads > 0)
        return w->setup.threads;
    if (share > there)
        share = there;
    return share > 0 ? share : 1;
}

static int read_setup(struct worker *w, const struct buf *body, struct err *err)
{
    int rc = rank_setup_read(body, ranks_index(w->ranks), ranks_count(w->ranks), &w->setup,
                             &w->parts, err);

    return rc == ERR_PEER ? ranks_accuse(w->ranks, 0, err) : rc;
}

/* Before a weight is read by the number of its layer. */
static int check_model(const struct worker *w, const struct model *model, struct err *err)
{
    struct model_identity here;
    char differs[300];
    int rc = model_identify(model, &here, err);

    if (rc < 0)
        return rc;
    if (!model_identity_differs(&here, &w->setup.model, differs, sizeof(differs)))
        return 0;
    return err_set(err, ERR_INVALID,
                   "the model at %s %s on the coordinator's node: put the same files on every node",
                   w->parts.path, differs);
}

/* A model that is not there may be there at the next launch; one that is wrong would be met again.
 */
static int open_model(const struct worker *w, struct model **ret, struct err *err)
{
    struct problems problems = {0};
    bool there = access(w->parts.path, F_OK) == 0;
    int rc = model_open(w->parts.path, ret, &problems, err);

    if (rc < 0 && problems.n > 0)
        err_set(err, rc, "%s", problems.items[0].text);
    if (rc < 0)
        err_prefix(err, "the model at %s cannot be used here", w->parts.path);
    problems_free(&problems);
    return rc == ERR_INVALID && !there ? (err->code = ERR_IO) : rc;
}

/* The other nodes of the job would be met again with this one. */
static int check_precision(const struct worker *w, struct err *err)
{
    char name[128];

    if (w->setup.precision != PRECISION_BF16 || bf16_is_possible())
        return 0;
    cpu_model(name, sizeof(name));
    return err_set(err, ERR_UNSUPPORTED,
                   "training.precision is bf16, and the CPU here (%s), or the build for it, has no "
                   "AVX-512 BF16: use f32, or other nodes",
                   name);
}

static int open_stage(struct worker *w, struct err *err)
{
    struct model *model = NULL;
    int rc = check_precision(w, err);

    if (rc == 0)
        rc = open_model(w, &model, err);
    if (rc == 0)
        rc = check_model(w, model, err);
    if (rc == 0)
        rc = trainable_layout(&w->parts.maps, w->setup.directions, model_config(model),
                              &w->trainable, err);
    if (rc == 0)
        rc = stage_open(w->setup.dropout, w->setup.seed, model, &w->trainable, w->setup.first_layer,
                        w->setup.last_layer, w->team, &w->stage, err);
    if (rc == 0 && w->setup.precision == PRECISION_BF16)
        stage_use_bf16(w->stage);
    if (rc == 0)
        stage_make_again(w->stage, w->setup.layers_again);
    model_close(model);
    return rc;
}

static unsigned long resident_bytes(void)
{
    char *text = NULL;
    size_t len;
    struct err ignored;
    unsigned long pages = 0;

    if (file_read("/proc/self/statm", FILE_SMALL_MAX, &text, &len, &ignored) == 0 &&
        strchr(text, ' '))
        pages = strtoul(strchr(text, ' '), NULL, 10);
    free(text);
    return pages * (unsigned long)sysconf(_SC_PAGESIZE);
}

static int unknown_message(const struct worker *w, int tag, struct err *err)
{
    err_set(err, ERR_PEER, "its tag is %d", tag);
    return ranks_accuse(w->ranks, 0, err);
}

/* Waits for the setup. Sets *ret_needed to false where the job is over and there was none: it had
 * workers enough. */
static int receive_setup(struct worker *w, bool *ret_needed, struct err *err)
{
    struct rank_message m;
    int rc = ranks_receive(w->ranks, 0, RANK_ANY, &m, err);

    if (rc < 0)
        return rc;
    *ret_needed = m.tag != RANK_STOP;
    if (m.tag == RANK_SETUP)
        rc = read_setup(w, &m.body, err);
    else if (*ret_needed)
        rc = unknown_message(w, m.tag, err);
    buf_free(&m.body);
    return rc;
}

/* limits.memory, which is looked at before each command. */
static int keep_to_memory(const struct worker *w, struct err *err)
{
    if (w->setup.memory_bytes == 0)
        return 0;
    return memory_keep_to(w->setup.memory_bytes,
                          memory_reserve(usable_cores(w), w->setup.directions > 0), err);
}

/* An allocation that the limit has refused would be refused again. */
static int explain_limit(const struct worker *w, int rc, struct err *err)
{
    char text[sizeof(err->text)];

    if (rc != ERR_NOMEM || w->setup.memory_bytes == 0)
        return rc;
    snprintf(text, sizeof(text), "%s", err->text);
    return err_set(err, ERR_INVALID,
                   "limits.memory leaves this worker %.0f MB, and it needs more (%.700s): resume "
                   "the job with a greater limit (--set limits.memory=...), or with more stages",
                   w->setup.memory_bytes / 1e6, text);
}

static int set_up(struct worker *w, struct err *err)
{
    struct rank_ready ready = {0};
    int rc = team_open(choose_threads(w), &w->team, err);

    if (rc == 0)
        rc = keep_to_memory(w, err);
    if (rc == 0)
        rc = open_stage(w, err);
    if (rc == 0)
        rc = pipeline_open(&w->pipeline, w->ranks, w->stage, w->setup.stage, w->setup.stages, err);
    if (rc < 0)
        return rc;
    memcpy(ready.weights_hash, w->stage->hash, sizeof(ready.weights_hash));
    ready.resident_bytes = resident_bytes();
    ready.threads = team_threads(w->team);
    return ranks_send(w->ranks, 0, RANK_READY, &ready, sizeof(ready), err);
}

static struct weight_rows matrix_of(const struct worker *w, int map)
{
    const struct trainable_map *t = &w->trainable.maps[map];
    const struct layer *l = &w->stage->layers[t->layer - w->stage->first];

    return layer_matrix(&w->stage->shape, l, t->kind);
}

/* The stage's matrices are shared out among the replicas: each is decomposed once. */
static int start_decomposing(struct worker *w, struct err *err)
{
    const struct spectrum_cache cache = {w->parts.cache, w->setup.cache_max_bytes};
    int n = w->stage->map_last - w->stage->map_first, i, rc;
    int idle = usable_cores(w) / ranks_neighbours(w->ranks) - team_threads(w->team);
    struct weight_rows *matrices = calloc((size_t)n + 1, sizeof(*matrices));

    w->mine = calloc((size_t)n + 1, sizeof(*w->mine));
    if (!matrices || !w->mine) {
        free(matrices);
        return err_nomem(err, (size_t)n * sizeof(*matrices));
    }
    for (i = w->stage->map_first; i < w->stage->map_last; i++) {
        if (i % w->setup.replicas != w->setup.replica)
            continue;
        matrices[w->n_mine] = matrix_of(w, i);
        w->mine[w->n_mine++] = i;
    }
    rc = decompose_start(matrices, w->n_mine, &cache, idle > 1 ? idle : 1, &w->decompose, err);
    free(matrices);
    return rc;
}

enum { PROGRESS_SECONDS = 2 }; /* between two words about it */

/* Reports to the coordinator how many are decomposed, where that has changed. */
static int say_progress(struct worker *w, struct err *err)
{
    struct decompose_progress p = decompose_progress(w->decompose);
    const struct rank_progress body = {p.done, p.n, p.seconds_left, p.cached_bytes};
    double now = clock_s();

    if (p.done == w->said_done || (p.done < p.n && now < w->said_at + PROGRESS_SECONDS))
        return 0;
    w->said_done = p.done;
    w->said_at = now;
    return ranks_send(w->ranks, 0, RANK_PROGRESS, &body, sizeof(body), err);
}

struct identifying {
    struct worker *w;
    const float *params;                /* of the stage */
    struct direction_set *set;          /* (n_mine), of one map each */
    struct direction_profile *profiles; /* (n_mine) */
    struct err err;                     /* of progress that could not be sent */
};

static int identify_map(void *context, int i, const struct spectrum *s, struct err *err)
{
    struct identifying *c = context;
    const struct worker *w = c->w;
    const struct trainable_map *t = &w->trainable.maps[w->mine[i]];
    const float *A = c->params + (t->a - w->stage->begin),
                *B = c->params + (t->b - w->stage->begin);
    const struct weight_rows m = matrix_of(w, w->mine[i]);
    size_t bytes = (size_t)t->rows * (size_t)t->columns * sizeof(float);
    float *W = malloc(bytes);
    int rc =
        W ? direction_set_open(&c->set[i], t, 1, w->setup.directions, err) : err_nomem(err, bytes);

    if (rc == 0) {
        weight_read_rows(&m, W);
        rc = spectrum_identify(s, W, A, B, t->rank, t->scale, &c->set[i].of[0], &c->profiles[i],
                               err);
    }
    free(W);
    return rc;
}

/* A coordinator that cannot be reached is met again by the answer. */
static void say_progress_of(void *context)
{
    struct identifying *c = context;

    say_progress(c->w, &c->err);
}

/* Directions of all maps of this worker, one behind the other. */
static int identify_maps(struct worker *w, const float *params, struct buf *out, struct err *err)
{
    struct identifying c = {.w = w, .params = params};
    const struct decompose_user user = {identify_map, say_progress_of, &c};
    int rc;

    c.set = calloc((size_t)w->n_mine + 1, sizeof(*c.set));
    c.profiles = calloc((size_t)w->n_mine + 1, sizeof(*c.profiles));
    rc = c.set && c.profiles ? decompose_use(w->decompose, w->team, &user, err)
                             : err_nomem(err, (size_t)w->n_mine * sizeof(*c.profiles));
    for (int i = 0; i < w->n_mine && rc == 0 && c.set && c.profiles; i++) {
        rank_directions_append(out, w->mine[i], &c.set[i].of[0]);
        rank_profile_append(out, &c.profiles[i]);
    }
    for (int i = 0; i < w->n_mine && c.set; i++)
        direction_set_close(&c.set[i]);
    free(c.set);
    free(c.profiles);
    return rc == 0 && out->failed ? err_nomem(err, out->cap) : rc;
}

static int identify(struct worker *w, const struct buf *body, struct err *err)
{
    struct buf out = {0};
    const float *params;
    int rc = rank_params_read(body, w->pipeline.tree.n, &params, err);

    if (rc == 0 && (w->setup.directions == 0 || w->pipeline.directed))
        rc = err_set(err, ERR_PEER, "directions are not to be chosen now");
    if (rc < 0)
        return ranks_accuse(w->ranks, 0, err);
    if (!w->decompose)
        rc = start_decomposing(w, err);
    if (rc == 0)
        rc = identify_maps(w, params, &out, err);
    if (rc == 0)
        rc = say_progress(w, err);
    if (rc == 0)
        rc = ranks_send(w->ranks, 0, RANK_IDENTIFIED, out.data ? out.data : "", out.len, err);
    buf_free(&out);
    return rc;
}

static int receive_directions(struct worker *w, const struct buf *body, struct err *err)
{
    struct rank_cursor c = rank_cursor(body);
    struct directions_view v;
    int i, rc = 0;

    if (w->setup.directions == 0 || w->pipeline.directed)
        rc = err_set(err, ERR_PEER, "directions are not due");
    decompose_stop(w->decompose);
    w->decompose = NULL;
    for (i = w->stage->map_first; i < w->stage->map_last && rc == 0; i++) {
        rc = rank_directions_read(&c, &w->trainable, i, &v, err);
        if (rc == 0)
            stage_direct(w->stage, i, v.U, v.V);
    }
    if (rc == 0)
        rc = rank_end(&c, err);
    if (rc < 0)
        return ranks_accuse(w->ranks, 0, err);
    w->pipeline.directed = true;
    return 0;
}

static int do_command(struct worker *w, const struct rank_message *m, struct err *err)
{
    int rc = 0;

    switch (m->tag) {
    case RANK_STEP:
        if (w->setup.directions > 0 && !w->decompose && !w->pipeline.directed)
            rc = start_decomposing(w, err);
        if (rc == 0 && w->decompose)
            rc = say_progress(w, err);
        return rc < 0 ? rc : pipeline_step(&w->pipeline, &m->body, err);
    case RANK_IDENTIFY:
        return identify(w, &m->body, err);
    case RANK_DIRECTIONS:
        return receive_directions(w, &m->body, err);
    default:
        return unknown_message(w, m->tag, err);
    }
}

static int serve_commands(struct worker *w, struct err *err)
{
    for (;;) {
        struct rank_message m;
        int rc = ranks_receive(w->ranks, 0, RANK_ANY, &m, err);
        if (rc < 0)
            return rc;
        if (m.tag == RANK_STOP) {
            buf_free(&m.body);
            return 0;
        }
        rc = keep_to_memory(w, err);
        if (rc == 0)
            rc = do_command(w, &m, err);
        buf_free(&m.body);
        if (rc < 0)
            return rc;
    }
}

static void close_worker(struct worker *w)
{
    decompose_stop(w->decompose);
    pipeline_close(&w->pipeline);
    stage_close(w->stage);
    team_close(w->team);
    trainable_free(&w->trainable);
    rank_setup_parts_free(&w->parts);
    free(w->mine);
}

enum { LAST_WORDS_MS = 20000 };

static void send_error(struct ranks *ranks, const struct err *why)
{
    struct rank_error error = {why->code};
    char body[sizeof(error) + sizeof(why->text)];
    size_t len = strlen(why->text);
    struct err ignored;

    memcpy(body, &error, sizeof(error));
    memcpy(body + sizeof(error), why->text, len);
    ranks_send(ranks, 0, RANK_ERROR, body, sizeof(error) + len, &ignored);
}

int worker_serve(struct ranks *ranks, struct err *err)
{
    struct worker w = {.ranks = ranks};
    struct rank_message m;
    struct err ignored;
    bool got;
    bool needed = false;
    int rc = receive_setup(&w, &needed, err);

    if (rc == 0 && needed)
        rc = set_up(&w, err);
    if (rc == 0 && needed)
        rc = serve_commands(&w, err);
    rc = explain_limit(&w, rc, err);
    if (rc < 0) {
        send_error(ranks, err);
        if (ranks_receive_for(ranks, 0, RANK_STOP, LAST_WORDS_MS, &got, &m, &ignored) == 0 && got)
            buf_free(&m.body);
    }
    close_worker(&w);
    return rc;
}
