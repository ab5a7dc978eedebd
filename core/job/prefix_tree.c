/* core/job/prefix_tree.c - see prefix_tree.h. In a sorted list the rows below a node are
 * neighbours, and what they have in common is the least of what neighbours have: the tree is made
 * by cutting the list at these. */
#include "core/job/prefix_tree.h"
#include <stdlib.h>

enum {
    LEAST = 8,      /* ids of a shared part: a segment more costs as much as a few rows */
    LEVELS_MAX = 64 /* of nodes */
};

const char *prefix_hindrance(const struct job *job, const struct model_config *config)
{
    if (job->training.share_prefixes == SHARE_OFF)
        return "training.share_prefixes is off";
    if (job->lora.dropout > 0)
        return "lora.dropout is drawn for each row alone";
    if (config->rope_long_from)
        return "the angles of the model's rope depend on the length of a row";
    return NULL;
}

static int common(const struct prefix_row *a, const struct prefix_row *b)
{
    int n = a->n < b->n ? a->n : b->n, i = 0;

    while (i < n && a->ids[i] == b->ids[i])
        i++;
    return i;
}

static int by_ids(const void *x, const void *y)
{
    const struct prefix_row *a = x, *b = y;
    int at = common(a, b);

    if (at < a->n && at < b->n)
        return a->ids[at] < b->ids[at] ? -1 : 1;
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

long prefix_sort(struct prefix_row *rows, int n, int *shared)
{
    long sum = 0;

    qsort(rows, (size_t)n, sizeof(*rows), by_ids);
    for (int i = 0; i < n; i++) {
        shared[i] = i == 0 ? 0 : common(&rows[i - 1], &rows[i]);
        shared[i] = i == 0 ? 0 : least(shared[i], least(rows[i - 1].free, rows[i].free));
        shared[i] = shared[i] < LEAST ? 0 : shared[i];
        sum += shared[i];
    }
    return sum;
}

struct growing {
    const struct prefix_row *rows;
    const int *shared;
    struct prefix_node *nodes;
    int n;
};

/* Adds rows [first, last), which have `depth` ids in common: those of `parent` and above it. */
static void grow(struct growing *g, int first, int last, int depth, int parent, int level)
{
    int most = first + 1 < last ? g->shared[first + 1] : 0, end = first;

    for (int i = first + 2; i < last; i++)
        most = least(most, g->shared[i]);
    if (first + 1 == last) {
        g->nodes[g->n++] = (struct prefix_node){first, depth, g->rows[first].n, parent};
        return;
    }
    if (most - depth >= LEAST && level < LEVELS_MAX) {
        g->nodes[g->n++] = (struct prefix_node){first, depth, most, parent};
        parent = g->n - 1;
        depth = most;
    }
    for (; first < last; first = end) { /* each has more in common, or is alone */
        end = first + 1;
        while (end < last && level < LEVELS_MAX && g->shared[end] - depth >= LEAST)
            end++;
        grow(g, first, end, depth, parent, level + 1);
    }
}

int prefix_tree(const struct prefix_row *rows, const int *shared, int first, int last,
                struct prefix_node *nodes)
{
    struct growing g = {rows, shared, nodes, 0};

    if (first < last)
        grow(&g, first, last, 0, -1, 0);
    return g.n;
}
