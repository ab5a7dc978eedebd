/* core/tree.c - see tree.h: the binary counter's way of building a tree from left to right. */
#include "core/tree.h"
#include <stdlib.h>

void tree_begin(struct grad_tree *t)
{
    t->depth = 0;
}

int tree_leaf(struct grad_tree *t, float **ret_leaf, struct err *err)
{
    float **slot = &t->sums[t->depth];

    if (!*slot)
        *slot = malloc((t->n + 1) * sizeof(float));
    if (!*slot)
        return err_nomem(err, t->n * sizeof(float));
    *ret_leaf = *slot;
    return 0;
}

static void add_top_two(struct grad_tree *t)
{
    float *left = t->sums[t->depth - 2];
    const float *right = t->sums[t->depth - 1];
    size_t i;

    for (i = 0; i < t->n; i++)
        left[i] += right[i];
    t->depth--;
}

void tree_push(struct grad_tree *t)
{
    t->levels[t->depth++] = 0;
    while (t->depth > 1 && t->levels[t->depth - 2] == t->levels[t->depth - 1]) {
        add_top_two(t);
        t->levels[t->depth - 1]++;
    }
}

float *tree_sum(struct grad_tree *t)
{
    if (t->depth == 0)
        return NULL;
    while (t->depth > 1)
        add_top_two(t);
    return t->sums[0];
}

void tree_free(struct grad_tree *t)
{
    int i;

    for (i = 0; i <= TREE_DEPTH; i++)
        free(t->sums[i]);
    *t = (struct grad_tree){0};
}
