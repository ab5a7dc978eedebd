/* core/job/export_source.h - what `dashctl export` writes and `dashctl eval` measures: an
 * adapter, the model that it belongs to, and the job that trained it, where one did.
 *
 * The adapter is a PEFT folder, or what the output folder of a job holds: its adapter/ once the job
 * has succeeded, else its last checkpoint, or the best where the job keeps that.
 */
#pragma once
#include "core/buf.h"
#include "core/job/job.h"
#include "core/model/adapter.h"
#include "core/model/model.h"
#include "core/problems.h"

struct export_source {
    char *adapter_folder; /* where it was read, or would be */
    char *output;         /* of the job, or NULL */
    struct job *job;      /* or NULL */
    char *model_path;     /* of model */
    char *base_name;      /* what a PEFT folder calls its base model */
    struct model *model;
    struct adapter *adapter;
    double *scales; /* (adapter->n) */
    int step;       /* of the checkpoint; -1: adapter_folder was read */
};

struct export_choice {
    const char *from;  /* a PEFT folder or an output folder */
    const char *model; /* in place of the one that the job or the adapter names; or NULL */
    bool lora_only;    /* without the directions of LoRA-Dash */
    bool checkpoint;   /* the last checkpoint even where adapter/ is there */
};

/* Appends to notices, a sentence a line. Closed by export_source_close(), on failure too. */
int export_source_open(const struct export_choice *choice, struct export_source *ret,
                       struct buf *notices, struct problems *problems, struct err *err);
void export_source_close(struct export_source *s);

/* The largest rank of its maps. */
int export_source_rank(const struct export_source *s);
