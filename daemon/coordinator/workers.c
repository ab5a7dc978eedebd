/* daemon/coordinator/workers.c - see workers.h. Messages to all workers are sent before answers
 * are taken, in the order in which they come; sums are taken in the order of replicas, so the
 * order of arrival does not count. */
#include "daemon/coordinator/workers.h"
#include "core/job/worker_memory.h"
#include "core/model/shard.h"
#include <math.h>
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

/* How many layers of each stage are made again, and what the largest worker needs. */
static void choose_again(struct workers *w, const struct worker_limits *limits,
                         const struct model_config *config)
{
    struct worker_memory needed;

    for (int i = 0; i < w->stages; i++) {
        struct worker_share share = {i, w->stages, w->first_layer[i], w->first_layer[i + 1], 0};
        w->too_large |= !worker_memory_choose(limits, config, w->layout, &share);
        w->again[i] = share.n_again;
        worker_memory_of(limits, config, w->layout, &share, &needed);
        w->largest_bytes = fmax(w->largest_bytes, worker_memory_sum(&needed));
    }
}

int workers_open(struct workers *w, struct ranks *ranks, const struct job_parallel *parallel,
                 const struct model_config *config, const struct trainable *layout,
                 const struct worker_limits *limits, struct err *err)
{
    int stage, first, last;
    size_t end;

    *w = (struct workers){.ranks = ranks,
                          .stages = parallel->stages,
                          .replicas = parallel->replicas,
                          .layout = layout};
    w->first_layer = calloc((size_t)w->stages + 1, sizeof(*w->first_layer));
    w->begin = calloc((size_t)w->stages + 1, sizeof(*w->begin));
    w->trees = calloc((size_t)w->stages, sizeof(*w->trees));
    w->again = calloc((size_t)w->stages, sizeof(*w->again));
    w->decomposed = calloc((size_t)count(w) + 1, sizeof(*w->decomposed));
    if (!w->first_layer || !w->begin || !w->trees || !w->again || !w->decomposed)
        return err_nomem(err, (size_t)w->stages * sizeof(*w->trees));
    shard_split(config, limits->trained, w->stages, w->first_layer);
    choose_again(w, limits, config);
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
    free(w->again);
    free(w->decomposed);
    buf_free(&w->body);
    *w = (struct workers){0};
}

static int send_body(struct workers *w, int rank, enum rank_tag tag, struct err *err)
{
    if (w->body.failed)
        return err_nomem(err, w->body.cap);
    return ranks_send(w->ranks, rank, tag, w->body.data ? w->body.data : "", w->body.len, err);
}

static int rank_failed(const struct workers *w, const struct rank_message *m, struct err *err)
{
    char text[800];
    int code = rank_error_read(&m->body, text, sizeof(text));

    return err_set(err, code, "rank %d (%s, stage %d): %s", m->source,
                   ranks_node(w->ranks, m->source), stage_of(w, m->source), text);
}

/* Whether an answer with this tag may have words of progress in front of it. */
static bool decomposes(const struct workers *w, enum rank_tag tag)
{
    return w->layout->directions > 0 && (tag == RANK_GRADIENTS || tag == RANK_IDENTIFIED);
}

static int check_answer(const struct workers *w, const struct rank_message *m, enum rank_tag tag,
                        const bool *answered, struct err *err)
{
    if (m->source < 1 || m->source > count(w))
        err_set(err, ERR_PEER, "it has no part in the job (tag %d)", m->tag);
    else if (m->tag == RANK_ERROR)
        return rank_failed(w, m, err);
    else if (m->tag != (int)tag && (m->tag != RANK_PROGRESS || !decomposes(w, tag)))
        err_set(err, ERR_PEER, "its tag is %d where %d is due", m->tag, tag);
    else if (answered[m->source])
        err_set(err, ERR_PEER, "it has answered before, and others have not");
    else
        return 0;
    return ranks_accuse(w->ranks, m->source, err);
}

static int note_progress(struct workers *w, const struct rank_message *m, struct err *err)
{
    struct rank_progress all = {.n = w->layout->n};
    int rc = rank_progress_read(&m->body, &w->decomposed[m->source], err);

    if (rc < 0)
        return ranks_accuse(w->ranks, m->source, err);
    for (int i = 1; i <= count(w); i++) {
        all.done += w->decomposed[i].done;
        all.cached_bytes += w->decomposed[i].cached_bytes;
        all.seconds_left = fmax(all.seconds_left, w->decomposed[i].seconds_left);
    }
    if (w->progressed)
        w->progressed(w->context, &all);
    return 0;
}

/* The next answer with this tag, from any worker that is not among those that have answered;
 * *answered has a flag for each rank. */
static int next_answer(struct workers *w, enum rank_tag tag, bool *answered,
                       struct rank_message *ret, struct err *err)
{
    for (;;) {
        struct rank_message m;
        int rc = ranks_receive(w->ranks, RANK_ANY, RANK_ANY, &m, err);
        if (rc < 0)
            return rc;
        rc = check_answer(w, &m, tag, answered, err);
        if (rc == 0 && m.tag == (int)tag) {
            answered[m.source] = true;
            *ret = m;
            return 0;
        }
        if (rc == 0)
            rc = note_progress(w, &m, err);
        buf_free(&m.body);
        if (rc < 0)
            return rc;
    }
}

/* A flag for each rank that may answer, by its number; the caller frees it. NULL for lack of
 * memory. */
static bool *nobody_has_answered(const struct workers *w)
{
    return calloc((size_t)count(w) + 1, sizeof(bool));
}

static int send_setup(struct workers *w, const struct job *job, const struct model_identity *model,
                      const char *cache, int replica, int stage, struct err *err)
{
    const struct rank_setup setup = {
        .model = *model,
        .dropout = job->lora.dropout,
        .directions = job->dash.directions,
        .seed = job->training.seed,
        .stage = stage,
        .stages = w->stages,
        .replica = replica,
        .replicas = w->replicas,
        .first_layer = w->first_layer[stage],
        .last_layer = w->first_layer[stage + 1],
        .layers_again = w->again[stage],
        .threads = job->parallel.threads,
        .cache_max_bytes = job->cache.max_bytes,
        .memory_bytes = w->memory_bytes,
        .precision = job->training.precision,
    };

    w->body.len = 0;
    rank_setup_append(&w->body, &setup, w->layout, job->model, cache);
    return send_body(w, rank_of(w, replica, stage), RANK_SETUP, err);
}

/* Every replica has read the same weights for a stage. */
static int compare_replicas(const struct workers *w, const struct rank_ready *ready,
                            struct err *err)
{
    int i, stage, first, other;

    for (i = w->stages; i < count(w); i++) {
        stage = i % w->stages;
        first = rank_of(w, 0, stage);
        other = 1 + i;
        if (memcmp(ready[first].weights_hash, ready[other].weights_hash,
                   sizeof(ready[first].weights_hash)) != 0)
            return err_set(err, ERR_INVALID,
                           "rank %d (%s) and rank %d (%s) read different weights for layers %d to "
                           "%d: put the same files on every node",
                           first, ranks_node(w->ranks, first), other, ranks_node(w->ranks, other),
                           w->first_layer[stage], w->first_layer[stage + 1] - 1);
    }
    return 0;
}

/* Adds up the hashes of the shares of replica 0. */
static void print_weights(const struct workers *w, const struct rank_ready *ready,
                          char ret_weights[33])
{
    uint64_t sum[2] = {0, 0};
    int stage;

    for (stage = 0; stage < w->stages; stage++) {
        sum[0] += ready[rank_of(w, 0, stage)].weights_hash[0];
        sum[1] += ready[rank_of(w, 0, stage)].weights_hash[1];
    }
    snprintf(ret_weights, 33, "%016llx%016llx", (unsigned long long)sum[1],
             (unsigned long long)sum[0]);
}

static int gather_ready(struct workers *w, char ret_weights[33], struct err *err)
{
    struct rank_ready *ready = calloc((size_t)count(w) + 1, sizeof(*ready));
    bool *answered = nobody_has_answered(w);
    int i, rc = ready && answered ? 0 : err_nomem(err, (size_t)count(w) * sizeof(*ready));

    for (i = 0; i < count(w) && rc == 0; i++) {
        struct rank_message m;
        rc = next_answer(w, RANK_READY, answered, &m, err);
        if (rc < 0)
            break;
        rc = rank_ready_read(&m.body, &ready[m.source], err);
        buf_free(&m.body);
        if (rc < 0)
            ranks_accuse(w->ranks, m.source, err);
        w->resident_bytes += ready[m.source].resident_bytes;
        w->threads += ready[m.source].threads;
    }
    if (rc == 0)
        rc = compare_replicas(w, ready, err);
    if (rc == 0)
        print_weights(w, ready, ret_weights);
    free(ready);
    free(answered);
    return rc;
}

int workers_set_up(struct workers *w, const struct job *job, const struct model *model,
                   const char *cache, char ret_weights[33], struct err *err)
{
    struct model_identity identity;
    int i, rc = model_identify(model, &identity, err);

    for (i = 0; i < count(w) && rc == 0; i++)
        rc = send_setup(w, job, &identity, cache, i / w->stages, i % w->stages, err);
    return rc < 0 ? rc : gather_ready(w, ret_weights, err);
}

/* Micro-batches of a step that fall to a replica. */
static int micro_batches_of(const struct workers *w, int n_micro, int replica)
{
    int i, n = 0;

    for (i = 0; i < n_micro; i++)
        n += packing_replica(i, n_micro, w->replicas) == replica;
    return n;
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

    header.n_micro = micro_batches_of(w, packed->n_micro, replica);
    w->body.len = 0;
    buf_append(&w->body, &header, sizeof(header));
    buf_append(&w->body, s->params + w->begin[stage], slice_size(w, stage) * sizeof(float));
    for (i = 0; i < packed->n_micro; i++)
        if (packing_replica(i, packed->n_micro, w->replicas) == replica)
            buf_append(&w->body, packed->micro[i].data, packed->micro[i].len);
    return send_body(w, rank_of(w, replica, stage), RANK_STEP, err);
}

/* What the workers answer to a step. */
struct step_answer {
    struct buf body;
    const double *losses;
    const float *gradients; /* of the share; in the body */
    int n_losses;
    bool has_gradients;
};

struct step_due {
    int step, n_micro;
    bool evaluate;
};

static int read_answer(struct workers *w, struct rank_message *m, const struct step_due *due,
                       struct step_answer *ret, struct err *err)
{
    int stage = stage_of(w, m->source), replica = (m->source - 1) / w->stages;
    int n_micro = micro_batches_of(w, due->n_micro, replica), rc;
    struct step_answer a = {.body = m->body};
    struct rank_gradients header;

    a.n_losses = stage == w->stages - 1 ? n_micro : 0;
    a.has_gradients = !due->evaluate && n_micro > 0;
    rc = rank_gradients_read(&a.body, due->step, a.n_losses,
                             a.has_gradients ? slice_size(w, stage) : 0, &header, &a.losses,
                             &a.gradients, err);
    if (rc < 0) {
        buf_free(&m->body);
        return ranks_accuse(w->ranks, m->source, err);
    }
    for (int i = 0; i < WORK_KINDS && !due->evaluate; i++)
        w->seconds[i] += header.seconds[i];
    *ret = a;
    return 0;
}

/* Sums a stage's gradients over the replicas, and the losses, in an order that does not depend on
 * who came first. */
static int sum_stage(struct workers *w, const struct step_answer *answers, int stage,
                     float *gradient, double *loss, struct err *err)
{
    struct grad_tree *tree = &w->trees[stage];
    const float *sum;
    float *leaf;
    int replica, i, rc;

    tree_begin(tree);
    for (replica = 0; replica < w->replicas; replica++) {
        const struct step_answer *a = &answers[rank_of(w, replica, stage)];
        for (i = 0; i < a->n_losses; i++)
            *loss += a->losses[i];
        if (!a->has_gradients)
            continue;
        rc = tree_leaf(tree, &leaf, err);
        if (rc < 0)
            return rc;
        memcpy(leaf, a->gradients, tree->n * sizeof(float));
        tree_push(tree);
    }
    sum = tree_sum(tree);
    if (gradient && sum)
        memcpy(gradient + w->begin[stage], sum, tree->n * sizeof(float));
    return 0;
}

static int gather_step(struct workers *w, const struct step_due *due, float *gradient,
                       double *ret_loss, struct err *err)
{
    struct step_answer *answers = calloc((size_t)count(w) + 1, sizeof(*answers));
    bool *answered = nobody_has_answered(w);
    int i, rc = answers && answered ? 0 : err_nomem(err, (size_t)count(w) * sizeof(*answers));

    for (i = 0; i < count(w) && rc == 0; i++) {
        struct rank_message m;
        rc = next_answer(w, RANK_GRADIENTS, answered, &m, err);
        if (rc == 0)
            rc = read_answer(w, &m, due, &answers[m.source], err);
    }
    *ret_loss = 0;
    for (i = 0; i < w->stages && rc == 0; i++)
        rc = sum_stage(w, answers, i, gradient, ret_loss, err);
    for (i = 0; answers && i <= count(w); i++)
        buf_free(&answers[i].body);
    free(answers);
    free(answered);
    return rc;
}

int workers_step(struct workers *w, const struct state *s, const struct packed_step *packed,
                 int step, float *gradient, double *ret_loss, struct err *err)
{
    const struct step_due due = {step, packed->n_micro, gradient == NULL};
    int i, rc = 0;

    for (i = 0; i < count(w) && rc == 0; i++)
        rc = send_step(w, s, packed, step, gradient == NULL, i / w->stages, i % w->stages, err);
    return rc < 0 ? rc : gather_step(w, &due, gradient, ret_loss, err);
}

/* A worker decomposes the maps of its stage that fall to its replica, in turn: each is there once,
 * in rising order. */
static int receive_maps(const struct workers *w, const struct rank_message *m, struct state *s,
                        struct direction_profile *ret_profiles, struct err *err)
{
    int stage = stage_of(w, m->source), replica = (m->source - 1) / w->stages, i, rc = 0;
    struct rank_cursor c = rank_cursor(&m->body);
    struct directions_view v;

    for (i = 0; i < s->layout->n && rc == 0; i++) {
        int layer = s->layout->maps[i].layer;
        if (layer < w->first_layer[stage] || layer >= w->first_layer[stage + 1] ||
            i % w->replicas != replica)
            continue;
        rc = rank_directions_read(&c, s->layout, i, &v, err);
        if (rc == 0)
            rc = rank_profile_read(&c, s->layout, i, &ret_profiles[i], err);
        if (rc == 0)
            directions_load(&s->chosen.of[i], &v);
    }
    if (rc == 0)
        rc = rank_end(&c, err);
    return rc < 0 ? ranks_accuse(w->ranks, m->source, err) : 0;
}

int workers_identify(struct workers *w, struct state *s, struct direction_profile *ret_profiles,
                     struct err *err)
{
    bool *answered = nobody_has_answered(w);
    int i, rc = answered ? 0 : err_nomem(err, (size_t)count(w));

    for (i = 0; i < count(w) && rc == 0; i++) {
        int stage = i % w->stages;
        w->body.len = 0;
        buf_append(&w->body, s->params + w->begin[stage], slice_size(w, stage) * sizeof(float));
        rc = send_body(w, 1 + i, RANK_IDENTIFY, err);
    }
    for (i = 0; i < count(w) && rc == 0; i++) {
        struct rank_message m;
        rc = next_answer(w, RANK_IDENTIFIED, answered, &m, err);
        if (rc < 0)
            break;
        rc = receive_maps(w, &m, s, ret_profiles, err);
        buf_free(&m.body);
    }
    free(answered);
    if (rc == 0)
        s->identified = true;
    return rc;
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
                rank_directions_append(&w->body, map, &s->chosen.of[map]);
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
