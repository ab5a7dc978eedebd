/* daemon/service/after/follow_ups.h - what follows from a job besides its output folder: its
 * metrics at an MLflow server (tracking.mlflow), a command and a request at its end
 * (notify.command, notify.url).
 *
 * Training never waits for any of it. What could not be sent is tried again, for FOLLOW_UP_DAYS
 * after the job's end, also by the next dashd: <state>/follow-ups/<id>.json says what has been
 * done, {"run_id", "sent_step", "closed", "notified", "called"}. One request is under way at a
 * time for each user, in a thread of its own: a slow server of one delays nobody else.
 *
 * A request at the end is JSON, signed: the header `X-Dash-Signature-256: sha256=<hex>` is the
 * HMAC-SHA-256 of the body with the key in <state>/webhook.key. A command gets the same JSON on
 * its standard input, and DASH_JOB_ID, DASH_JOB_NAME, DASH_JOB_STATE and DASH_JOB_OUTPUT; no shell
 * is involved. Each comes at least once for each end of the job.
 */
#pragma once
#include "core/job/job.h"
#include "daemon/service/rpc.h"
#include "daemon/service/run_table.h"

enum { FOLLOW_UP_DAYS = 7 };

struct follow_ups;

int follow_ups_open(uv_loop_t *loop, const char *state, struct follow_ups **ret, struct err *err);
/* NULL-safe; before the runs are freed. What is due is still done, within half a minute. */
void follow_ups_close(struct follow_ups *f);

/* Something about the run has changed, or it was loaded. */
void follow_ups_look(struct follow_ups *f, struct run *run);
/* The run is about to be freed. */
void follow_ups_forget(struct follow_ups *f, struct run *run);

/* What a job may ask for: commands run as dashd's user, so only admins name them. ERR_DENIED. */
int follow_ups_check(const struct job *job, const struct caller *caller, struct err *err);
