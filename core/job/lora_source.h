/* core/job/lora_source.h - what lora.init_adapter names: a PEFT folder, or the output folder of a
 * job of this program, whose adapter/ is one.
 *
 * The adapter of a LoRA-Dash job is the sum of what it trained, a plain LoRA of rank r + k. Its A,
 * B, directions and coefficients one by one are in the output folder's last checkpoint.
 */
#pragma once
#include "core/err.h"
#include "core/job/job.h"

struct lora_source {
    char *adapter;   /* the PEFT folder, which a job that was stopped has not written */
    char *output;    /* the output folder that the adapter is in, or NULL */
    struct job *job; /* of the output folder: a LoRA-Dash job; else NULL */
};

/* Fails for lack of memory, and where the output folder's job.yaml is none. Does not look into the
 * adapter. */
int lora_source_open(const char *path, struct lora_source *ret, struct err *err);
void lora_source_close(struct lora_source *s);

/* The job.yaml of an output folder. */
int lora_source_read_job(const char *output, struct job **ret, struct err *err);
