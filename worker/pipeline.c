/* worker/pipeline.c - see pipeline.h. One forward, one backward (Narayanan et al. 2019,
 * PipeDream): a stage keeps as many micro-batches as there are stages behind it, and one more. */
#include "worker/pipeline.h"
#include <stdlib.h>
#include <string.h>

struct step {
    struct rank_step header;
    struct batch *batches; /* (n_micro) */
    double *losses;        /* (n_micro); last stage */
    struct stage_pass pass;
};

/* What was sent to a neighbour may reach it only while this rank is in MPI. */
static void move_messages(void *context)
{
    struct pipeline *p = context;
    enum work_kind before = work_clock_turn(&p->stage->clock, WORK_MESSAGES);

    ranks_progress(p->ranks);
    work_clock_turn(&p->stage->clock, before);
}

int pipeline_open(struct pipeline *p, struct ranks *ranks, struct stage *stage, int index,
                  int stages, struct err *err)
{
    int me = ranks_index(ranks);

    *p = (struct pipeline){.ranks = ranks,
                           .stage = stage,
                           .index = index,
                           .stages = stages,
                           .before = me - 1,
                           .after = me + 1,
                           .n_slots = stage_has_backward(stage) ? stages - index : 1};
    p->tree.n = stage->end - stage->begin;
    stage->between_layers = stages > 1 ? move_messages : NULL;
    stage->context = p;
    p->slots = calloc((size_t)p->n_slots, sizeof(*p->slots));
    return p->slots ? 0 : err_nomem(err, (size_t)p->n_slots * sizeof(*p->slots));
}

void pipeline_close(struct pipeline *p)
{
    int i;

    for (i = 0; p->slots && i < p->n_slots; i++)
        slot_free(&p->slots[i]);
    free(p->slots);
    tree_free(&p->tree);
    buf_free(&p->answer);
    *p = (struct pipeline){0};
}

static size_t activation_bytes(const struct pipeline *p, const struct batch *b)
{
    return (size_t)b->T * (size_t)p->stage->shape.C * sizeof(float);
}

/* A (T, C) array from a neighbour. */
static int receive(struct pipeline *p, int from, enum rank_tag tag, const struct batch *batch,
                   struct rank_message *ret, struct err *err)
{
    int rc;

    work_clock_turn(&p->stage->clock, WORK_WAITING);
    rc = ranks_receive(p->ranks, from, tag, ret, err);
    work_clock_turn(&p->stage->clock, WORK_ROWS);
    if (rc < 0)
        return rc;
    if (ret->body.len == activation_bytes(p, batch))
        return 0;
    err_set(err, ERR_PEER, "%zu bytes for a micro-batch of %d tokens", ret->body.len, batch->T);
    buf_free(&ret->body);
    return ranks_accuse(p->ranks, from, err);
}

/* A (T, C) array to a neighbour. */
static int send_rows(struct pipeline *p, int to, enum rank_tag tag, const struct batch *batch,
                     const float *x, struct err *err)
{
    enum work_kind before = work_clock_turn(&p->stage->clock, WORK_MESSAGES);
    int rc = ranks_send(p->ranks, to, tag, x, activation_bytes(p, batch), err);

    if (rc == 0)
        ranks_progress(p->ranks);
    work_clock_turn(&p->stage->clock, before);
    return rc;
}

static int forward(struct pipeline *p, struct step *step, int i, struct err *err)
{
    struct batch *batch = &step->batches[i];
    struct stage_slot *slot = &p->slots[i % p->n_slots];
    struct rank_message in = {0};
    int rc = slot_fit(p->stage, slot, batch, err);

    if (rc == 0 && !p->stage->is_first)
        rc = receive(p, p->before, RANK_ACTIVATION, batch, &in, err);
    if (rc < 0)
        return rc;
    stage_forward(p->stage, slot, batch, &step->pass, (const float *)in.body.data);
    buf_free(&in.body);
    if (p->stage->is_last)
        return stage_loss(p->stage, slot, batch,
                          step->pass.train ? (float)step->header.inv_trained : 0, &step->losses[i],
                          err);
    return send_rows(p, p->after, RANK_ACTIVATION, batch, slot->y, err);
}

static int backward(struct pipeline *p, struct step *step, int i, struct err *err)
{
    struct batch *batch = &step->batches[i];
    struct stage_slot *slot = &p->slots[i % p->n_slots];
    struct rank_message in = {0};
    float *d = slot->y, *leaf;
    int rc = tree_leaf(&p->tree, &leaf, err);

    if (rc == 0 && !p->stage->is_last) {
        rc = receive(p, p->after, RANK_BACKWARD, batch, &in, err);
        d = (float *)in.body.data;
    }
    if (rc < 0)
        return rc;
    stage_backward(p->stage, slot, batch, &step->pass, d, leaf);
    tree_push(&p->tree);
    if (stage_passes_gradient(p->stage))
        rc = send_rows(p, p->before, RANK_BACKWARD, batch, d, err);
    buf_free(&in.body);
    return rc;
}

static int run_schedule(struct pipeline *p, struct step *step, struct err *err)
{
    int n = step->header.n_micro, ahead = p->stages - p->index - 1, i, rc = 0;
    bool has_backward = step->pass.train && stage_has_backward(p->stage);

    if (!has_backward || ahead > n)
        ahead = n;
    for (i = 0; i < ahead && rc == 0; i++)
        rc = forward(p, step, i, err);
    if (!has_backward)
        return rc;
    for (i = ahead; i < n && rc == 0; i++) {
        rc = forward(p, step, i, err);
        if (rc == 0)
            rc = backward(p, step, i - ahead, err);
    }
    for (i = n - ahead; i < n && rc == 0; i++)
        rc = backward(p, step, i, err);
    return rc;
}

static int answer(struct pipeline *p, struct step *step, struct err *err)
{
    const float *sum = step->pass.train ? tree_sum(&p->tree) : NULL;
    struct rank_gradients header = {
        .step = step->header.step,
        .n_losses = p->stage->is_last ? step->header.n_micro : 0,
        .n_params = sum ? (uint32_t)p->tree.n : 0,
    };

    work_clock_take(&p->stage->clock, header.seconds);
    p->answer.len = 0;
    buf_append(&p->answer, &header, sizeof(header));
    buf_append(&p->answer, step->losses, (size_t)header.n_losses * sizeof(double));
    if (sum)
        buf_append(&p->answer, sum, p->tree.n * sizeof(float));
    if (p->answer.failed)
        return err_nomem(err, p->tree.n * sizeof(float));
    return ranks_send(p->ranks, 0, RANK_GRADIENTS, p->answer.data, p->answer.len, err);
}

static int read_batches(struct pipeline *p, struct rank_cursor *c, struct step *step,
                        struct err *err)
{
    int i, rc = 0;

    for (i = 0; i < step->header.n_micro && rc == 0; i++) {
        rc = batch_read(c, p->stage->config.vocab, &step->batches[i], err);
        if (rc == 0 && i > 0 && step->batches[i].index != step->batches[i - 1].index + 1)
            rc = err_set(err, ERR_PEER, "micro-batch %d after %d", step->batches[i].index,
                         step->batches[i - 1].index);
    }
    return rc < 0 ? rc : rank_end(c, err);
}

static int read_step(struct pipeline *p, const struct buf *body, struct step *step, struct err *err)
{
    struct rank_cursor c = rank_cursor(body);
    const float *params;
    struct rank_step header;
    int rc = rank_step_read(&c, p->tree.n, &header, &params, err);

    if (rc == 0 && header.dash != p->directed)
        rc = err_set(err, ERR_PEER, "a step %s directions", header.dash ? "with" : "without");
    if (rc < 0)
        return ranks_accuse(p->ranks, 0, err);
    step->batches = calloc((size_t)header.n_micro + 1, sizeof(*step->batches));
    step->losses = calloc((size_t)header.n_micro + 1, sizeof(*step->losses));
    if (!step->batches || !step->losses)
        return err_nomem(err, (size_t)header.n_micro * sizeof(*step->batches));
    step->header = header;
    step->pass = (struct stage_pass){header.step, !header.evaluate};
    rc = read_batches(p, &c, step, err);
    if (rc < 0)
        return rc == ERR_PEER ? ranks_accuse(p->ranks, 0, err) : rc;
    stage_load(p->stage, params);
    return stage_fit(p->stage, step->batches, header.n_micro, err);
}

int pipeline_step(struct pipeline *p, const struct buf *body, struct err *err)
{
    struct step step = {0};
    int i, rc;

    work_clock_turn(&p->stage->clock, WORK_MESSAGES);
    rc = read_step(p, body, &step, err);
    work_clock_turn(&p->stage->clock, WORK_ROWS);
    tree_begin(&p->tree);
    if (rc == 0)
        rc = run_schedule(p, &step, err);
    work_clock_turn(&p->stage->clock, WORK_MESSAGES);
    if (rc == 0)
        rc = answer(p, &step, err);
    work_clock_turn(&p->stage->clock, WORK_WAITING);
    for (i = 0; step.batches && i < step.header.n_micro; i++)
        batch_free(&step.batches[i]);
    free(step.batches);
    free(step.losses);
    return rc;
}
