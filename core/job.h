/* core/job.h - a job file: its keys, defaults and checks.
 *
 * A job file is YAML. job_parse() reads the text, applies overrides ("key.path=value"), fills in
 * defaults, makes relative paths absolute against the file's folder and checks every value by
 * itself, gathering all problems. job_check() (job_check.h) then looks at the model and the data.
 *
 * The canonical text of a job (job_to_yaml) is what is stored, shown and handed to the
 * coordinator; parsing it again gives an equal job.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/problems.h"
#include <stdbool.h>
#include <stdint.h>

/* The linear maps of a Llama layer, in the order in which everything lists them. */
enum module_kind {
    MODULE_Q,
    MODULE_K,
    MODULE_V,
    MODULE_O,
    MODULE_GATE,
    MODULE_UP,
    MODULE_DOWN,
    MODULE_KINDS
};

/* "q_proj" and so on: HF's names. */
const char *module_kind_name(enum module_kind kind);
/* "self_attn.q_proj" and so on: what follows "model.layers.N.". */
const char *module_kind_path(enum module_kind kind);

enum job_method { METHOD_LORA, METHOD_LORA_DASH };
enum job_scaling { SCALING_STANDARD, SCALING_RSLORA };
enum job_schedule {
    SCHEDULE_CONSTANT,
    SCHEDULE_CONSTANT_WITH_WARMUP,
    SCHEDULE_LINEAR,
    SCHEDULE_COSINE,
    SCHEDULE_POLYNOMIAL,
    SCHEDULE_INVERSE_SQRT,
};
enum job_precision { PRECISION_F32 };
enum job_launcher { LAUNCHER_LOCAL, LAUNCHER_SLURM };
enum data_format {
    FORMAT_AUTO,
    FORMAT_PROMPT,      /* {"prompt","completion"} */
    FORMAT_INSTRUCTION, /* {"instruction","input","output"} */
    FORMAT_MESSAGES,    /* {"messages":[{"role","content"}]} */
    FORMAT_TEXT,        /* {"text"} */
    FORMAT_IDS,         /* {"input_ids","labels"} */
};
enum data_template { TEMPLATE_AUTO, TEMPLATE_PLAIN, TEMPLATE_ALPACA, TEMPLATE_CHATML };

struct job_data {
    char *train; /* absolute path */
    char *eval;  /* absolute path, or NULL */
    enum data_format format;
    enum data_template template_kind;
    int max_tokens; /* an example is cut to this many */
    bool train_on_prompt;
    bool shuffle;
};

/* What a Slurm job asks for; NULL or 0: the site's default. */
struct job_slurm {
    char *partition, *account, *time, *qos, *nodes, *mem, *constraint; /* as sbatch takes them */
    int cpus_per_task;                                                 /* of a worker */
    int workers_per_node; /* 2 on nodes with two sockets, say */
    int grace_seconds;    /* before the time limit: it checkpoints and is queued again */
    char **extra; /* more options of sbatch's, each "--name=value"; NULL-terminated, or NULL */
};

struct job {
    char *name;
    char *model;  /* absolute path of a folder or a .gguf file */
    char *output; /* absolute path */
    struct job_data data;
    enum job_method method;

    int rank;
    double alpha;
    enum job_scaling scaling;
    double dropout;             /* 0 <= p < 1 */
    bool targets[MODULE_KINDS]; /* which maps are adapted */
    char *init_adapter;         /* absolute path of a PEFT folder, or NULL */

    int prelaunch_steps; /* t */
    int directions;      /* k; 0 when method is METHOD_LORA */

    int batch_size; /* examples an optimizer step */
    int steps;      /* 0 while epochs decides: job_resolve_steps() */
    double epochs;  /* 0: not given */
    int micro_batch_tokens;
    int eval_every; /* steps between evaluations; 0: only after the last */
    double learning_rate;
    enum job_schedule schedule;
    int warmup_steps;
    double weight_decay, beta1, beta2, epsilon, clip_norm; /* clip_norm 0: no clipping */
    uint64_t seed;
    enum job_precision precision;

    int stages, replicas; /* 0: auto, chosen for the workers that there are (shape.h) */
    int threads;          /* a worker; 0: auto */
    enum job_launcher launcher;
    struct job_slurm slurm;
    int max_restarts; /* relaunches after a death, before dashd gives up; counted anew after progress */

    char *file; /* the job file, for messages; or NULL */
    int *lines; /* line of each key in it, 0: a default or an override; see job_line() */
};

enum { JOB_FILE_MAX = 2 << 20 }; /* bytes of a job file */

/* The line of a key ("lora.rank") in the job file, for messages; 0 where it has none. */
int job_line(const struct job *job, const char *path);

/* s = alpha / r, or alpha / sqrt(r) for rsLoRA (Kalajdzievski 2023, eq. 8). */
double job_scale(const struct job *job);

/* Parses `text`, which came from `file` (for messages; may be NULL) in folder `directory` (absolute;
 * relative paths are taken from there). sets holds n_sets strings "key.path=value". On success the
 * caller owns *ret_job. ERR_INVALID when problems were added; then *ret_job is untouched. */
int job_parse(const char *text, const char *file, const char *directory, const char *const *sets,
              int n_sets, struct job **ret_job, struct problems *problems, struct err *err);

/* As job_parse(), but where there are problems gives what could be read, with defaults for the rest, so
 * that more can be checked: name, model, output and data.train may be NULL then. */
int job_read(const char *text, const char *file, const char *directory, const char *const *sets,
             int n_sets, struct job **ret_job, struct problems *problems, struct err *err);

/* steps = ceil(epochs * rows / batch_size) where the job gave epochs, at least 1. */
void job_resolve_steps(struct job *job, long rows);

/* The canonical YAML text. Caller frees; NULL for lack of memory. */
char *job_to_yaml(const struct job *job);

/* 32 hex digits (XXH3-128) of everything in the job that decides the numbers: not name, output,
 * parallel, launcher, and not the contents of the files that it names. */
void job_identity(const struct job *job, char ret_hex[33]);

void job_free(struct job *job);
