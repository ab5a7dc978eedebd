/* daemon/service/check_plan.h - the nodes and the estimates of a plan as JSON, between dashd and
 * the process that checks a job (check.h); see core/job/job_check.h for what they mean.
 */
#pragma once
#include "core/job/job_check.h"
#include <jansson.h>

/* NULL for lack of memory; JSON's null where nodes is NULL. */
json_t *check_nodes_encode(const struct job_plan_nodes *nodes);
/* Returns whether there are any. The origin is borrowed from doc. */
bool check_nodes_decode(const json_t *doc, struct job_plan_nodes *ret);

json_t *check_estimates_encode(const struct job_estimate *estimates, int n);
/* The caller frees *ret; NULL where there are none, or no memory for them. */
int check_estimates_decode(const json_t *doc, struct job_estimate **ret);
