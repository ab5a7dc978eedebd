/* daemon/service/message.h - a run and its steps as the messages of dash.proto. */
#pragma once
#include "daemon/service/run_table.h"
#include "daemon/service/labels.h"
#include "proto/dash.pb-c.h"

/* A Job that borrows from its run: good until the run changes. */
struct message_job {
    Dash__V1__Job job;
    Dash__V1__Step last_step;
    Dash__V1__Decomposition decomposition;
    char id[24];
    struct message_labels *labels; /* owned; NULL: it has none */
};

/* Without job_yaml and log_tail, which GetJob and its like add. */
void message_job(const struct run *run, struct message_job *ret);
void message_job_close(struct message_job *m);
/* Ends the call with a response whose one field, *job_of_response, is the run's job. */
void message_reply_job(struct rpc_call *call, ProtobufCMessage *response,
                       Dash__V1__Job **job_of_response, const struct run *run);
/* Borrows the row's text. */
void message_event(const struct event_row *row, Dash__V1__Event *ret);

enum { PRIORITY_MAX = 1000 };
int message_check_priority(int priority, struct err *err);
/* Labels as a request has them; they point into it. ERR_INVALID where there are too many. */
int message_read_labels(Dash__V1__Label *const *list, size_t n, struct label ret[LABELS_MAX],
                        struct err *err);
