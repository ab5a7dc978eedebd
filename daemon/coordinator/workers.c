/* daemon/coordinator/workers.c - see workers.h. */
#include "daemon/coordinator/workers.h"
#include "core/shard.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int count(const struct workers *w)
{
    return w->stages * w->replicas;
}

static int rank_of(const struct workers *w, int replica, int stage)
{
    return 1 + replica * w->stages + stage;
}

static int stage_of(const struct workers *w, int rank)
{
    return (rank - 1) % w->stages;
}

static size_t slice_size(const struct workers *w, int stage)
{
    return w->begin[stage + 1] - w->begin[stage];
}

int workers_open(struct workers *w, struct ranks *ranks, const struct job *job,
                 const struct model_config *config, const struct trainable *layout,
                 double trained_fraction, struct err *err)
{
    int stage, first, last;
    size_t end;

    *w = (struct workers){
        .ranks = ranks, .stages = job->stages, .replicas = job->replicas, .layout = layout};
    w->first_layer = calloc((size_t)w->stages + 1, sizeof(*w->first_layer));
    w->begin = calloc((size_t)w->stages + 1, sizeof(*w->begin));
    w->trees = calloc((size_t)w->stages, sizeof(*w->trees));
    if (!w->first_layer || !w->begin || !w->trees)
        return err_nomem(err, (size_t)w->stages * sizeof(*w->trees));
    shard_split(config, trained_fraction, w->stages, w->first_layer);
    for (stage = 0; stage < w->stages; stage++) {
        trainable_slice(layout, w->first_layer[stage], w->first_layer[stage + 1], &first, &last,
                        &w->begin[stage], &end);
        w->begin[stage + 1] = end;
        w->trees[stage].n = slice_size(w, stage);
    }
    return 0;
}

void workers_close(struct workers *w)
{
    int stage;

    for (stage = 0; w->trees && stage < w->stages; stage++)
        tree_free(&w->trees[stage]);
    free(w->trees);
    free(w->first_layer);
    free(w->begin);
    buf_free(&w->body);
    *w = (struct workers){0};
}

static int send_body(struct workers *w, int rank, enum rank_tag tag, struct err *err)
{
    if (w->body.failed)
        return err_nomem(err, w->body.cap);
    return ranks_send(w->ranks, rank, tag, w->body.data ? w->body.data : "", w->body.len, err);
}

/* The next answer with this tag, from any worker. */
static int next_answer(struct workers *w, enum rank_tag tag, struct rank_message *ret,
                       struct err *err)
{
    int rc = ranks_receive(w->ranks, RANK_ANY, RANK_ANY, ret, err);

    if (rc < 0 || ret->tag == (int)tag)
        return rc;
    if (ret->tag == RANK_ERROR)
        rc = err_set(err, ERR_PEER, "worker %d (stage %d): %.*s", ret->source,
                     stage_of(w, ret->source), (int)ret->body.len,
                     ret->body.data ? ret->body.data : "");
    else
        rc = err_set(err, ERR_PEER, "worker %d answered with message %d where %d was due",
                     ret->source, ret->tag, tag);
    buf_free(&ret->body);
    return rc;
}

static int send_setup(struct workers *w, const struct job *job, const char *yaml, const char *cache,
                      int replica, int stage, struct err *err)
{
    struct rank_setup setup = {
        .stage = stage,
        .stages = w->stages,
        .replica = replica,
        .replicas = w->replicas,
        .first_layer = w->first_layer[stage],
        .last_layer = w->first_layer[stage + 1],
        .threads = job->threads,
        .job_len = (uint32_t)strlen(yaml),
        .cache_len = cache ? (uint32_t)strlen(cache) : 0,
    };

    w->body.len = 0;
    buf_append(&w->body, &setup, sizeof(setup));
    buf_append(&w->body, yaml, setup.job_len);
    buf_append(&w->body, cache, setup.cache_len);
    return send_body(w, rank_of(w, replica, stage), RANK_SETUP, err);
}

/* Adds up the hashes of one replica's shares; the others' must come to the same. */
static int gather_ready(struct workers *w, char ret_weights[33], struct err *err)
{
    uint64_t(*sums)[2] = calloc((size_t)w->replicas, sizeof(*sums));
    struct rank_message m;
    int i, rc = sums ? 0 : err_nomem(err, (size_t)w->replicas * sizeof(*sums));

    for (i = 0; i < count(w) && rc == 0; i++) {
        const struct rank_ready *ready;
        rc = next_answer(w, RANK_READY, &m, err);
        if (rc < 0)
            break;
        ready = (const struct rank_ready *)m.body.data;
        sums[(m.source - 1) / w->stages][0] += ready->weights_hash[0];
        sums[(m.source - 1) / w->stages][1] += ready->weights_hash[1];
        w->resident_bytes += ready->resident_bytes;
        w->threads += ready->threads;
        buf_free(&m.body);
    }
    for (i = 1; i < w->replicas && rc == 0; i++)
        if (memcmp(sums[0], sums[i], sizeof(sums[0])) != 0)
            rc = err_set(err, ERR_INVALID,
                         "replicas 0 and %d read different weights: is the model the same file on "
                         "every node?",
                         i);
    if (rc == 0)
        snprintf(ret_weights, 33, "%016llx%016llx", (unsigned long long)sums[0][1],
                 (unsigned long long)sums[0][0]);
    free(sums);
    return rc;
}

int workers_set_up(struct workers *w, const struct job *job, const char *cache,
                   char ret_weights[33], struct err *err)
{
    struct job plain = *job; /* a worker has no use for what was asked of Slurm */
    char *yaml;
    int i, rc;

    plain.launcher = LAUNCHER_LOCAL;
    yaml = job_to_yaml(&plain);
    rc = yaml ? 0 : err_nomem(err, 0);

    for (i = 0; i < count(w) && rc == 0; i++)
        rc = send_setup(w, job, yaml, cache, i / w->stages, i % w->stages, err);
    free(yaml);
    return rc < 0 ? rc : gather_ready(w, ret_weights, err);
}

static int send_step(struct workers *w, const struct state *s, const struct packed_step *packed,
                     int step, bool evaluate, int replica, int stage, struct err *err)
{
    struct rank_step header = {
        .step = step,
        .dash = s->identified,
        .evaluate = evaluate,
        .n_params = (uint32_t)slice_size(w, stage),
        .inv_trained = 1.0 / (double)packed->trained,
    };
    int i;

    for (i = 0; i < packed->n_micro; i++)
        header.n_micro += order_replica(i, packed->n_micro, w->replicas) == replica;
    w->body.len = 0;
    buf_append(&w->body, &header, sizeof(header));
    buf_append(&w->body, s->params + w->begin[stage], header.n_params * sizeof(float));
    for (i = 0; i < packed->n_micro; i++)
        if (order_replica(i, packed->n_micro, w->replicas) == replica)
            buf_append(&w->body, packed->micro[i].data, packed->micro[i].len);
    return send_body(w, rank_of(w, replica, stage), RANK_STEP, err);
}

static int check_gradients(const struct workers *w, const struct rank_message *m, int step,
                           struct err *err)
{
    const struct rank_gradients *g = (const struct rank_gradients *)m->body.data;
    size_t n = slice_size(w, stage_of(w, m->source));

    if (m->body.len >= sizeof(*g) && g->step == step && (g->n_params == 0 || g->n_params == n) &&
        m->body.len ==
            sizeof(*g) + (size_t)g->n_losses * sizeof(double) + g->n_params * sizeof(float))
        return 0;
    return err_set(err, ERR_PEER, "worker %d answered step %d with %zu bytes", m->source, step,
                   m->body.len);
}

/* Sums a stage's gradients over the replicas, and the losses, in an order that does not depend on who came first. */
static int sum_stage(struct workers *w, const struct rank_message *answers, int stage,
                     float *gradient, double *loss, struct err *err)
{
    struct grad_tree *tree = &w->trees[stage];
    const float *sum;
    float *leaf;
    int replica, i, rc;

    tree_begin(tree);
    for (replica = 0; replica < w->replicas; replica++) {
        const struct buf *body = &answers[rank_of(w, replica, stage)].body;
        const struct rank_gradients *g = (const struct rank_gradients *)body->data;
        const double *losses;
        if (!g)
            return err_set(err, ERR_PEER, "worker %d has not answered, but another has twice",
                           rank_of(w, replica, stage));
        losses = (const double *)(g + 1);
        for (i = 0; i < g->n_losses; i++)
            *loss += losses[i];
        if (g->n_params == 0)
            continue;
        rc = tree_leaf(tree, &leaf, err);
        if (rc < 0)
            return rc;
        memcpy(leaf, losses + g->n_losses, tree->n * sizeof(float));
        tree_push(tree);
    }
    sum = tree_sum(tree);
    if (gradient && sum)
        memcpy(gradient + w->begin[stage], sum, tree->n * sizeof(float));
    return 0;
}

static int gather_step(struct workers *w, int step, float *gradient, double *ret_loss,
                       struct err *err)
{
    struct rank_message *answers = calloc((size_t)count(w) + 1, sizeof(*answers));
    int i, rc = answers ? 0 : err_nomem(err, (size_t)count(w) * sizeof(*answers));

    for (i = 0; i < count(w) && rc == 0; i++) {
        struct rank_message m;
        rc = next_answer(w, RANK_GRADIENTS, &m, err);
        if (rc < 0)
            break;
        rc = check_gradients(w, &m, step, err);
        buf_free(&answers[m.source].body);
        answers[m.source] = m;
    }
    *ret_loss = 0;
    for (i = 0; i < w->stages && rc == 0; i++)
        rc = sum_stage(w, answers, i, gradient, ret_loss, err);
    for (i = 0; answers && i <= count(w); i++)
        buf_free(&answers[i].body);
    free(answers);
    return rc;
}

int workers_step(struct workers *w, const struct state *s, const struct packed_step *packed,
                 int step, float *gradient, double *ret_loss, struct err *err)
{
    int i, rc = 0;

    for (i = 0; i < count(w) && rc == 0; i++)
        rc = send_step(w, s, packed, step, gradient == NULL, i / w->stages, i % w->stages, err);
    return rc < 0 ? rc : gather_step(w, step, gradient, ret_loss, err);
}

/* Reads one map's directions into s. */
static int take_map(struct state *s, struct rank_cursor *c, struct err *err)
{
    const void *at = rank_take(c, sizeof(struct rank_directions));
    size_t k = (size_t)s->layout->directions, rows, columns;
    const char *arrays;
    struct rank_directions d;
    struct chosen *chosen;

    if (!at)
        return err_set(err, ERR_PEER, "a worker's directions are cut off");
    memcpy(&d, at, sizeof(d));
    if (d.map < 0 || d.map >= s->layout->n || (size_t)d.k != k ||
        d.rows != s->layout->maps[d.map].rows || d.columns != s->layout->maps[d.map].columns)
        return err_set(err, ERR_PEER, "a worker sent directions of a map that is not there");
    rows = (size_t)d.rows;
    columns = (size_t)d.columns;
    arrays =
        rank_take(c, k * (sizeof(int32_t) + 2 * sizeof(double) + (rows + columns) * sizeof(float)));
    if (!arrays)
        return err_set(err, ERR_PEER, "a worker's directions are cut off");
    chosen = &s->chosen[d.map];
    chosen->next_delta = d.next_delta;
    memcpy(chosen->indices, arrays, k * sizeof(int32_t));
    arrays += k * sizeof(int32_t);
    memcpy(chosen->delta, arrays, k * sizeof(double));
    arrays += k * sizeof(double);
    memcpy(chosen->sigma, arrays, k * sizeof(double));
    arrays += k * sizeof(double);
    memcpy(chosen->U, arrays, k * rows * sizeof(float));
    memcpy(chosen->V, arrays + k * rows * sizeof(float), k * columns * sizeof(float));
    return 0;
}

int workers_identify(struct workers *w, struct state *s, struct err *err)
{
    int i, rc = 0, maps = 0;

    for (i = 0; i < count(w) && rc == 0; i++) {
        int stage = i % w->stages;
        w->body.len = 0;
        buf_append(&w->body, s->params + w->begin[stage], slice_size(w, stage) * sizeof(float));
        rc = send_body(w, 1 + i, RANK_IDENTIFY, err);
    }
    for (i = 0; i < count(w) && rc == 0; i++) {
        struct rank_message m;
        struct rank_cursor c;
        rc = next_answer(w, RANK_IDENTIFIED, &m, err);
        if (rc < 0)
            break;
        c = (struct rank_cursor){m.body.data, m.body.data + m.body.len};
        for (; rc == 0 && c.at < c.end; maps++)
            rc = take_map(s, &c, err);
        buf_free(&m.body);
    }
    if (rc == 0 && maps != s->layout->n)
        rc = err_set(err, ERR_PEER, "directions came for %d modules of %d", maps, s->layout->n);
    if (rc == 0)
        s->identified = true;
    return rc;
}

static void append_chosen(struct buf *b, const struct state *s, int map)
{
    const struct trainable_map *t = &s->layout->maps[map];
    const struct chosen *c = &s->chosen[map];
    size_t k = (size_t)s->layout->directions;
    struct rank_directions header = {map, s->layout->directions, t->rows, t->columns,
                                     c->next_delta};

    buf_append(b, &header, sizeof(header));
    buf_append(b, c->indices, k * sizeof(*c->indices));
    buf_append(b, c->delta, k * sizeof(*c->delta));
    buf_append(b, c->sigma, k * sizeof(*c->sigma));
    buf_append(b, c->U, k * (size_t)t->rows * sizeof(float));
    buf_append(b, c->V, k * (size_t)t->columns * sizeof(float));
}

int workers_direct(struct workers *w, const struct state *s, struct err *err)
{
    int i, map, rc = 0;

    for (i = 0; i < count(w) && rc == 0; i++) {
        int stage = i % w->stages;
        w->body.len = 0;
        for (map = 0; map < s->layout->n; map++)
            if (s->layout->maps[map].layer >= w->first_layer[stage] &&
                s->layout->maps[map].layer < w->first_layer[stage + 1])
                append_chosen(&w->body, s, map);
        rc = send_body(w, 1 + i, RANK_DIRECTIONS, err);
    }
    return rc;
}

void workers_stop(struct workers *w)
{
    struct err ignored;
    int i;

    for (i = 1; w->ranks && i < ranks_count(w->ranks); i++)
        ranks_send(w->ranks, i, RANK_STOP, "", 0, &ignored);
}
