/* daemon/service/message.h - a run and its steps as the messages of dash.proto. */
#pragma once
#include "daemon/service/run_table.h"
#include "proto/dash.pb-c.h"

/* A Job that borrows from its run: good until the run changes. */
struct message_job {
    Dash__V1__Job job;
    Dash__V1__Step last_step;
    Dash__V1__Decomposition decomposition;
    char id[24];
};

/* Without job_yaml and log_tail, which GetJob and its like add. */
void message_job(const struct run *run, struct message_job *ret);
