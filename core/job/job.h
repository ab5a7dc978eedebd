/* core/job/job.h - a job file: its keys, defaults and checks.
 *
 * A job file is YAML. job_parse() reads the text, applies overrides ("key.path=value"), fills in
 * defaults, makes relative paths absolute against the file's folder and checks every value by
 * itself, gathering all problems. job_check() (job_check.h) then checks the model and the data.
 *
 * The canonical text of a job (job_to_yaml) is what is stored, shown and handed to the
 * coordinator; parsing it again gives an equal job.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/model/module_kind.h"
#include "core/text/data_options.h"
#include <stdbool.h>
#include <stdint.h>

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
enum job_precision { PRECISION_F32, PRECISION_BF16 };
enum job_share { SHARE_AUTO, SHARE_OFF };
enum job_launcher { LAUNCHER_LOCAL, LAUNCHER_SLURM };
/* What a Slurm job asks for; NULL or 0: the site's default. */
struct job_slurm {
    char *partition, *account, *time, *qos, *nodes, *mem, *constraint; /* as sbatch takes them */
    int cpus_per_task;                                                 /* of a worker */
    int workers_per_node; /* 2 on nodes with two sockets, say */
    int grace_seconds;    /* before the time limit: it checkpoints and is queued again */
    char **extra; /* more options of sbatch's, each "--name=value"; NULL-terminated, or NULL */
};

struct job_numbers {
    int *of; /* owned */
    int n;
};

struct job_patterns { /* of modules (module_pattern.h), the first that matches decides */
    struct job_pattern {
        char *pattern;
        double value;
    } * of; /* owned */
    int n;
};

/* What is adapted, and how: lora_maps.h makes the list of modules from it. */
struct job_lora {
    int rank; /* r */
    double alpha;
    enum job_scaling scaling;
    double dropout;            /* 0 <= p < 1 */
    char **target_modules;     /* names or their tails behind a dot, NULL-terminated; or NULL */
    char *target_pattern;      /* of whole names: instead of target_modules */
    bool all_linear;           /* instead of both */
    struct job_numbers layers; /* that are adapted; none: all */
    struct job_patterns rank_pattern, alpha_pattern; /* other ranks and alphas */
    char *init_adapter; /* absolute path of a PEFT folder to start from, or NULL */
};

struct job_dash {
    int prelaunch_steps; /* t */
    int directions;      /* k; 0 when method is METHOD_LORA */
    bool continues;      /* dash.continue: those of lora.init_adapter, from the first step on;
                            prelaunch_steps is 0 */
};

struct job_training {
    int batch_size;         /* examples an optimizer step */
    int steps;              /* 0 while epochs decides: job_resolve_steps() */
    double epochs;          /* 0: not given */
    int micro_batches;      /* a step, at least: a power of two */
    int micro_batch_tokens; /* about */
    enum job_share share_prefixes;
    int eval_every;          /* steps between evaluations; 0: only after the last */
    bool keep_best;          /* the adapter is of the state whose evaluation loss is the lowest */
    int early_stop_patience; /* evaluations without a gain that end the job; 0: none do */
    double early_stop_gain;  /* evaluations.h */
    uint64_t seed;
    enum job_precision precision;
};

struct job_optimizer { /* AdamW; its keys are in the section training */
    double learning_rate;
    enum job_schedule schedule;
    int warmup_steps;
    double weight_decay, beta1, beta2, epsilon, clip_norm; /* clip_norm 0: no clipping */
};

struct job_cache { /* of decompositions: its folder is of the user, not of the job */
    double max_bytes;
};

struct job_tracking { /* where metrics go besides */
    bool tensorboard;
    char *mlflow, *experiment; /* URL of the server, or NULL; name of the experiment */
};

struct job_notify { /* at the end of the job */
    char **command; /* and its arguments, NULL-terminated; NULL or empty: none */
    char *url;      /* or NULL */
};

struct job_limits { /* 0: none */
    double memory;  /* bytes of the processes on one machine */
    double disk;    /* bytes of the output folder, and what the job adds to the cache */
    double seconds; /* of running time, over all launches */
};

struct job_parallel { /* 0: auto; stages and replicas by parallel_shape.h, threads by each worker */
    int stages, replicas;
    int threads;   /* a worker */
    double memory; /* bytes that the job may take on a node; 0: what the node or the allocation has
                    */
};

struct job {
    char *name;
    char *model;  /* absolute path of a folder or a .gguf file */
    char *output; /* absolute path */
    struct data_options data;
    enum job_method method;
    struct job_lora lora;
    struct job_dash dash;
    struct job_training training;
    struct job_optimizer optimizer;
    struct job_parallel parallel;
    struct job_cache cache;
    struct job_tracking tracking;
    struct job_notify notify;
    struct job_limits limits;
    enum job_launcher launcher;
    struct job_slurm slurm;
    int max_restarts; /* relaunches after a death, before dashd gives up; counted anew after
                         progress */

    char *file;  /* the job file, for messages; or NULL */
    int *lines;  /* line of each key in it, 0: a default or an override; see job_line() */
    bool *given; /* whether a key is no default; see job_is_given() */
};

enum { JOB_FILE_MAX = 2 << 20 }; /* bytes of a job file */
enum { MICRO_BATCHES_MAX = 4096 };
enum { LORA_RANK_MAX = 4096 }; /* of r, and of k */

/* s = alpha / r, or alpha / sqrt(r) for rsLoRA (Kalajdzievski 2023, eq. 8). */
double lora_scale(double alpha, int rank, enum job_scaling scaling);

bool job_has_command(const struct job *job); /* notify.command */

/* Bytes that the processes of the job may take on a machine, as parallel.memory and limits.memory
 * have it; 0: what there is. */
double job_memory(const struct job *job);
/* Appends "memory 8GiB, disk 5GiB, time 12h", as far as there are limits. */
void job_limits_print(const struct job_limits *limits, struct buf *out);

/* stages * replicas; 0: one of them is auto. */
int job_workers(const struct job_parallel *parallel);

/* ceil(rows / batch_size): the last step of a pass has what is left. At least 1. */
long job_steps_of_pass(int batch_size, long rows);
/* steps = ceil(epochs * steps of a pass) where the job gave epochs, at least 1. */
void job_resolve_steps(struct job *job, long rows);

/* Appends what a user should know of the job's steps, a sentence a line. rows: those that train. */
void job_notes(const struct job *job, long rows, struct buf *out);

/* The canonical YAML text. Caller frees; NULL for lack of memory. */
char *job_to_yaml(const struct job *job);
/* Appends a text in YAML's double quotes: any bytes survive. */
void job_put_quoted(struct buf *b, const char *text);

/* Appends a line for each key by which the two jobs are of different identity: "training.batch_size
 * was 8 and is 16". */
void job_differences(const struct job *was, const struct job *is, struct buf *out);

/* 32 hex digits (XXH3-128) of everything in the job that decides the numbers: not name, output,
 * parallel, launcher, and not the contents of the files that it names. */
void job_identity(const struct job *job, char ret_hex[33]);

/* Frees a list of strings that ends with NULL, and the strings; NULL-safe. */
void job_free_strings(char **strings);
void job_free_patterns(struct job_patterns *patterns); /* what it owns; it is empty then */
void job_free_names(struct data_names *names);         /* likewise */
void job_lora_free(struct job_lora *lora);             /* what it owns */
void job_free(struct job *job);
