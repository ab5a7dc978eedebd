/* core/tree.h - sums the gradients of micro-batches in one fixed binary tree.
 *
 * Leaf i is micro-batch i; node (level, j) = node(level-1, 2j) + node(level-1, 2j+1), an absent
 * child adding nothing. A replica that holds an aligned run of leaves sums a whole subtree, and the
 * coordinator continues above: every number is the result of the same additions for every number of
 * replicas.
 */
#pragma once
#include "core/err.h"
#include <stddef.h>

enum { TREE_DEPTH = 24 };

struct grad_tree {
    size_t n; /* numbers in a gradient */
    float *sums[TREE_DEPTH + 1];
    int levels[TREE_DEPTH + 1]; /* of the sums on the stack, falling */
    int depth;
};

void tree_begin(struct grad_tree *t); /* forgets what was summed, keeps the memory */
/* Where the next leaf's gradient is to be written: (n) numbers. */
int tree_leaf(struct grad_tree *t, float **ret_leaf, struct err *err);
/* Takes the leaf as written. */
void tree_push(struct grad_tree *t);
/* The sum of all leaves, or NULL if there was none; valid until tree_begin(). */
float *tree_sum(struct grad_tree *t);
void tree_free(struct grad_tree *t);
