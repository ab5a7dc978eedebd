/* daemon/service/resume.h - ResumeJob: a job that has ended continues, possibly in another shape.
 *
 * Overrides may change whatever leaves the numbers as they are (parallel, max_restarts,
 * training.eval_every, ...): the job's identity (core/job/job.h) must stay the same, and its output
 * folder. They are checked against the model as a new job's are (check.h).
 */
#pragma once
#include "daemon/service/rpc.h"

/* on_message and on_gone; the service is the struct runs. */
void resume_on_resume(struct rpc_call *call, const ProtobufCMessage *message);
void resume_on_gone(struct rpc_call *call);
