/* daemon/service/check_plan.c - see check_plan.h. Both ends are of one build, so that a table of
 * keys and places serves both ways. */
#include "daemon/service/check_plan.h"
#include <stddef.h>
#include <stdlib.h>

static const struct field {
    const char *key;
    size_t at;
    bool integer;
} fields[] = {
#define INTEGER(name)                                                                              \
    {                                                                                              \
#name, offsetof(struct job_estimate, name), true                                           \
    }
#define REAL(name)                                                                                 \
    {                                                                                              \
#name, offsetof(struct job_estimate, name), false                                          \
    }
    INTEGER(shape.nodes),    INTEGER(shape.workers_per_node),
    INTEGER(shape.threads),  INTEGER(shape.stages),
    INTEGER(shape.replicas), REAL(step.compute),
    REAL(step.bubble),       REAL(step.broadcast),
    REAL(step.gathered),     REAL(step.broadcast_s),
    REAL(step.gathered_s),   REAL(step.optimizer),
    REAL(step.seconds),      REAL(step.tokens_per_second),
    REAL(step.efficiency),   REAL(worker_bytes),
    REAL(coordinator_bytes),
#undef INTEGER
#undef REAL
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

json_t *check_nodes_encode(const struct job_plan_nodes *nodes)
{
    json_t *counts;

    if (!nodes)
        return json_null();
    counts = json_array();
    for (int i = 0; i < nodes->n_counts; i++)
        json_array_append_new(counts, json_integer(nodes->counts[i]));
    return json_pack("{s:i, s:f, s:f, s:f, s:s, s:o}", "cores", nodes->node.cores, "bytes",
                     nodes->node.bytes, "gflops", nodes->node.gflops, "gbits", nodes->node.gbits,
                     "origin", nodes->origin, "counts", counts);
}

bool check_nodes_decode(const json_t *doc, struct job_plan_nodes *ret)
{
    const json_t *counts = json_object_get(doc, "counts");
    struct job_plan_nodes n = {.origin = json_string_value(json_object_get(doc, "origin"))};

    if (!json_is_object(doc) || !n.origin)
        return false;
    n.node = (struct node){(int)json_integer_value(json_object_get(doc, "cores")),
                           json_number_value(json_object_get(doc, "bytes")),
                           json_number_value(json_object_get(doc, "gflops")),
                           json_number_value(json_object_get(doc, "gbits"))};
    for (size_t i = 0; i < json_array_size(counts) && i < PLAN_COUNTS_MAX; i++)
        n.counts[n.n_counts++] = (int)json_integer_value(json_array_get(counts, i));
    *ret = n;
    return true;
}

static json_t *encode_one(const struct job_estimate *e)
{
    json_t *object = json_pack("{s:b}", "fits", e->fits);

    for (int i = 0; i < FIELDS; i++) {
        const void *at = (const char *)e + fields[i].at;
        json_object_set_new(object, fields[i].key,
                            fields[i].integer ? json_integer(*(const int *)at)
                                              : json_real(*(const double *)at));
    }
    return object;
}

json_t *check_estimates_encode(const struct job_estimate *estimates, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, encode_one(&estimates[i]));
    return list;
}

static void decode_one(const json_t *object, struct job_estimate *e)
{
    e->fits = json_is_true(json_object_get(object, "fits"));
    for (int i = 0; i < FIELDS; i++) {
        const json_t *value = json_object_get(object, fields[i].key);
        void *at = (char *)e + fields[i].at;
        if (fields[i].integer)
            *(int *)at = (int)json_integer_value(value);
        else
            *(double *)at = json_number_value(value);
    }
}

int check_estimates_decode(const json_t *doc, struct job_estimate **ret)
{
    size_t n = json_array_size(doc);
    struct job_estimate *all = n > 0 ? calloc(n, sizeof(*all)) : NULL;

    for (size_t i = 0; all && i < n; i++)
        decode_one(json_array_get(doc, i), &all[i]);
    *ret = all;
    return all ? (int)n : 0;
}
