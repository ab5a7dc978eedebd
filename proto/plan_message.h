/* proto/plan_message.h - the nodes and the estimates of a plan as the messages of dash.proto.
 */
#pragma once
#include "core/job/job_check.h"
#include "proto/dash.pb-c.h"

/* Of a request that has a node; the origin is borrowed from it. ERR_INVALID where a number is out
 * of range. */
int plan_nodes_read(const Dash__V1__PlanJobRequest *m, struct job_plan_nodes *ret, struct err *err);

struct plan_message { /* a list for PlanJobResponse */
    Dash__V1__Estimate *items, **list;
    size_t n;
};

/* ERR_NOMEM. The caller frees with plan_message_close(). */
int plan_message_open(struct plan_message *m, const struct job_estimate *estimates, int n);
void plan_message_close(struct plan_message *m);
