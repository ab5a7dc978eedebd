/* proto/plan_message.c - see plan_message.h: each field of an estimate stands by its own in the
 * message. What comes from a client is checked for what may be computed with. */
#include "proto/plan_message.h"
#include <stdlib.h>

enum { CORES_MAX = 65536 };

static bool is_in(double x, double most)
{
    return x >= 0 && x <= most; /* not where it is not a number */
}

int plan_nodes_read(const Dash__V1__PlanJobRequest *m, struct job_plan_nodes *ret, struct err *err)
{
    const Dash__V1__Node *n = m->node;
    struct job_plan_nodes nodes = {.origin = n->origin, .n_counts = (int)m->n_node_counts};

    if (n->cores < 1 || n->cores > CORES_MAX || !is_in(n->memory_bytes, 1e18) ||
        !is_in(n->gflops, 1e9) || !is_in(n->gbits, 1e6))
        return err_set(err, ERR_INVALID, "node: a number is out of range");
    if (m->n_node_counts > PLAN_COUNTS_MAX)
        return err_set(err, ERR_INVALID, "node_counts has at most %d numbers", PLAN_COUNTS_MAX);
    for (size_t i = 0; i < m->n_node_counts; i++) {
        if (m->node_counts[i] < 1 || m->node_counts[i] > NODES_MAX)
            return err_set(err, ERR_INVALID, "node_counts must be 1 to %d", NODES_MAX);
        nodes.counts[i] = (int)m->node_counts[i];
    }
    nodes.node = (struct node){(int)n->cores, n->memory_bytes, n->gflops, n->gbits};
    *ret = nodes;
    return 0;
}

static void fill(Dash__V1__Estimate *to, const struct job_estimate *e)
{
    dash__v1__estimate__init(to);
    to->nodes = (uint32_t)e->shape.nodes;
    to->workers_per_node = (uint32_t)e->shape.workers_per_node;
    to->threads = (uint32_t)e->shape.threads;
    to->stages = (uint32_t)e->shape.stages;
    to->replicas = (uint32_t)e->shape.replicas;
    to->fits = e->fits;
    to->worker_bytes = e->worker_bytes;
    to->coordinator_bytes = e->coordinator_bytes;
    to->compute_seconds = e->step.compute;
    to->bubble = e->step.bubble;
    to->broadcast_bytes = e->step.broadcast;
    to->broadcast_seconds = e->step.broadcast_s;
    to->gathered_bytes = e->step.gathered;
    to->gathered_seconds = e->step.gathered_s;
    to->optimizer_seconds = e->step.optimizer;
    to->seconds = e->step.seconds;
    to->tokens_per_second = e->step.tokens_per_second;
    to->efficiency = e->step.efficiency;
}

int plan_message_open(struct plan_message *m, const struct job_estimate *estimates, int n)
{
    size_t size = (size_t)n + 1;

    *m = (struct plan_message){.items = calloc(size, sizeof(*m->items)),
                               .list = calloc(size, sizeof(*m->list)),
                               .n = (size_t)n};
    if (!m->items || !m->list) {
        plan_message_close(m);
        return ERR_NOMEM;
    }
    for (int i = 0; i < n; i++) {
        fill(&m->items[i], &estimates[i]);
        m->list[i] = &m->items[i];
    }
    return 0;
}

void plan_message_close(struct plan_message *m)
{
    free(m->items);
    free(m->list);
    *m = (struct plan_message){0};
}
