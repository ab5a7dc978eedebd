/* worker/ops/rows.h - shares out rows of a (T, ...) array in blocks of fixed height. */
#pragma once
#include "worker/team.h"

/* Calls block(arg, first_row, last_row) for [first, last) blocks that cover [0, T). */
void rows_run(struct team *team, void (*block)(void *arg, int first, int last), void *arg, int T);
