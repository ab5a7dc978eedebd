/* core/job/lora_check.h - a job's section lora against the model, and against the adapter that
 * training starts from. */
#pragma once
#include "core/job/job.h"
#include "core/model/model.h"
#include "core/problems.h"

/* Settings that the job does not give become the adapter's, and default targets those that a model
 * with fused maps has. Adds a problem for whatever does not fit. Fails for lack of memory alone. */
int lora_check(struct job *job, const struct model_config *config, struct problems *problems,
               struct err *err);
