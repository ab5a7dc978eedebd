/* core/job/prefix_tree.h - rows of token ids that begin alike, as a tree in which each beginning is
 * there once (Tree Training, arXiv 2511.00413; Prefix Grouper, arXiv 2506.05433).
 *
 * Only what no row trains is shared: the token behind it may differ from row to row, and with it
 * what is predicted.
 */
#pragma once
#include "core/job/job.h"
#include "core/model/architecture.h"
#include <stdbool.h>
#include <stdint.h>

/* Why rows of a job do not share their beginnings, in words: its own choice, or because what is
 * computed of a token depends on more than the tokens in front of it. NULL: they do. */
const char *prefix_hindrance(const struct job *job, const struct model_config *config);

struct prefix_row {
    const int32_t *ids;
    int n;       /* ids */
    int free;    /* of its first ids, those that predict nothing that is trained; below n */
    int32_t row; /* the caller's number of it: ties are broken by it */
};

/* Sorts rows so that those that begin alike are neighbours. shared[i], in [0, rows[i].free], is how
 * many ids row i has in common with the one in front of it, 0 where too few to be worth it.
 * Returns their sum. */
long prefix_sort(struct prefix_row *rows, int n, int *shared);

/* A part of rows [first, last): ids [begin, end) of row `of`, and of all rows that are below it. */
struct prefix_node {
    int of;
    int begin, end;
    int parent; /* -1: none; begin is where the parent ends */
};

/* The tree of rows [first, last) of a sorted list, in preorder; nodes has room for 2 (last -
 * first). Returns how many there are. Rows that share nothing are nodes of their own, in order. */
int prefix_tree(const struct prefix_row *rows, const int *shared, int first, int last,
                struct prefix_node *nodes);
