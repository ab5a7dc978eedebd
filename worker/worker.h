/* worker/worker.h - the life of a worker rank: setup, then commands of rank 0 until RANK_STOP. */
#pragma once
#include "core/err.h"
#include "proto/ranks.h"

int worker_serve(struct ranks *ranks, struct err *err);
