/* core/job/job_keys.c - see job_keys.h: the table of all keys, from which jobs are read, written,
 * compared and listed. The manual page is checked against it. */
#include "core/job/job_keys.h"
#include "core/model/model.h"
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct job, field)

static const char *const method_names[] = {"lora", "lora-dash", NULL};
static const char *const scaling_names[] = {"standard", "rslora", NULL};
static const char *const launcher_names[] = {"local", "slurm", NULL};
static const char *const precision_names[] = {"f32", "bf16", NULL};
static const char *const format_names[] = {"auto", "prompt", "instruction", "messages",
                                           "text", "ids",    NULL};
static const char *const template_names[] = {"auto", "plain", "alpaca", "chatml", "model", NULL};
static const char *const share_names[] = {"auto", "off", NULL};
static const char *const overflow_names[] = {"cut", "drop", "split", NULL};
static const char *const train_on_names[] = {"assistant", "last", "all", NULL};
static const char *const schedule_names[] = {
    "constant", "constant_with_warmup", "linear", "cosine", "polynomial", "inverse_sqrt", NULL};

#define MAX_INT 2147483647.0
#define HUGE_D  1e300

const struct job_key job_keys[] = {
    {"name", KEY_STRING, AT(name), KEY_NEUTRAL, 0, 0, NULL},
    {"model", KEY_PATH, AT(model), KEY_REQUIRED | KEY_NEUTRAL, 0, 0, NULL},
    {"data.train", KEY_FILES, AT(data.train), KEY_REQUIRED | KEY_NEUTRAL, 0, 0, NULL},
    {"data.eval", KEY_FILES, AT(data.eval), KEY_NULLABLE | KEY_NEUTRAL, 0, 0, NULL},
    {"data.format", KEY_ENUM, AT(data.format), 0, 0, 0, format_names},
    {"data.template", KEY_ENUM, AT(data.template_kind), 0, 0, 0, template_names},
    {"data.chat_template", KEY_PATH, AT(data.chat_template), KEY_NULLABLE | KEY_NEUTRAL, 0, 0,
     NULL},
    {"data.template_variables", KEY_OBJECT, AT(data.template_variables), KEY_NULLABLE, 0, 0, NULL},
    {"data.date", KEY_STRING, AT(data.date), KEY_NULLABLE, 0, 0, NULL},
    {"data.fields", KEY_OBJECT, AT(data.fields), KEY_NULLABLE | KEY_TEXTS, 0, 0, NULL},
    {"data.train_on", KEY_ENUM, AT(data.train_on), 0, 0, 0, train_on_names},
    {"data.train_on_empty_thoughts", KEY_BOOL, AT(data.train_on_empty_thoughts), 0, 0, 0, NULL},
    {"data.max_tokens", KEY_INT, AT(data.max_tokens), 0, 2, 1 << 20, NULL},
    {"data.overflow", KEY_ENUM, AT(data.overflow), 0, 0, 0, overflow_names},
    {"data.train_on_prompt", KEY_BOOL, AT(data.train_on_prompt), 0, 0, 0, NULL},
    {"data.shuffle", KEY_BOOL, AT(data.shuffle), 0, 0, 0, NULL},
    {"method", KEY_ENUM, AT(method), 0, 0, 0, method_names},
    {"lora.rank", KEY_INT, AT(lora.rank), 0, 1, LORA_RANK_MAX, NULL},
    {"lora.alpha", KEY_DOUBLE, AT(lora.alpha), KEY_OPEN, 0, HUGE_D, NULL},
    {"lora.scaling", KEY_ENUM, AT(lora.scaling), 0, 0, 0, scaling_names},
    {"lora.dropout", KEY_DOUBLE, AT(lora.dropout), KEY_OPEN_TOP, 0, 1, NULL},
    {"lora.target_modules", KEY_TARGETS, AT(lora), 0, 0, 0, NULL},
    {"lora.layers", KEY_NUMBERS, AT(lora.layers), KEY_NULLABLE, 0, LAYERS_MAX - 1, NULL},
    {"lora.rank_pattern", KEY_PATTERNS, AT(lora.rank_pattern), KEY_NULLABLE | KEY_WHOLE, 1,
     LORA_RANK_MAX, NULL},
    {"lora.alpha_pattern", KEY_PATTERNS, AT(lora.alpha_pattern), KEY_NULLABLE | KEY_OPEN, 0, HUGE_D,
     NULL},
    {"lora.init_adapter", KEY_PATH, AT(lora.init_adapter), KEY_NULLABLE | KEY_NEUTRAL, 0, 0, NULL},
    {"dash.prelaunch_steps", KEY_INT, AT(dash.prelaunch_steps), KEY_NULLABLE, 1, MAX_INT, NULL},
    {"dash.directions", KEY_INT, AT(dash.directions), 0, 1, LORA_RANK_MAX, NULL},
    {"dash.continue", KEY_BOOL, AT(dash.continues), KEY_NULLABLE, 0, 0, NULL},
    {"training.batch_size", KEY_INT, AT(training.batch_size), 0, 1, 1 << 20, NULL},
    {"training.steps", KEY_INT, AT(training.steps), KEY_NULLABLE, 1, MAX_INT, NULL},
    {"training.epochs", KEY_DOUBLE, AT(training.epochs), KEY_NULLABLE | KEY_OPEN, 0, 1e6, NULL},
    {"training.micro_batches", KEY_INT, AT(training.micro_batches), 0, 1, MICRO_BATCHES_MAX, NULL},
    {"training.micro_batch_tokens", KEY_INT, AT(training.micro_batch_tokens), 0, 1, 1 << 20, NULL},
    {"training.share_prefixes", KEY_ENUM, AT(training.share_prefixes), 0, 0, 0, share_names},
    {"training.eval_every", KEY_INT, AT(training.eval_every), KEY_NULLABLE | KEY_NEUTRAL, 1,
     MAX_INT, NULL},
    {"training.keep_best", KEY_BOOL, AT(training.keep_best), KEY_NEUTRAL, 0, 0, NULL},
    {"training.early_stop_patience", KEY_INT, AT(training.early_stop_patience),
     KEY_NULLABLE | KEY_NEUTRAL, 1, MAX_INT, NULL},
    {"training.early_stop_gain", KEY_DOUBLE, AT(training.early_stop_gain), KEY_NEUTRAL, 0, HUGE_D,
     NULL},
    {"training.learning_rate", KEY_DOUBLE, AT(optimizer.learning_rate), KEY_OPEN, 0, HUGE_D, NULL},
    {"training.schedule", KEY_ENUM, AT(optimizer.schedule), 0, 0, 0, schedule_names},
    {"training.warmup_steps", KEY_INT, AT(optimizer.warmup_steps), 0, 0, MAX_INT, NULL},
    {"training.weight_decay", KEY_DOUBLE, AT(optimizer.weight_decay), 0, 0, HUGE_D, NULL},
    {"training.beta1", KEY_DOUBLE, AT(optimizer.beta1), KEY_OPEN_TOP, 0, 1, NULL},
    {"training.beta2", KEY_DOUBLE, AT(optimizer.beta2), KEY_OPEN_TOP, 0, 1, NULL},
    {"training.epsilon", KEY_DOUBLE, AT(optimizer.epsilon), KEY_OPEN, 0, HUGE_D, NULL},
    {"training.clip_norm", KEY_DOUBLE, AT(optimizer.clip_norm), 0, 0, HUGE_D, NULL},
    {"training.seed", KEY_SEED, AT(training.seed), 0, 0, 0, NULL},
    {"training.precision", KEY_ENUM, AT(training.precision), 0, 0, 0, precision_names},
    {"parallel.stages", KEY_INT, AT(parallel.stages), KEY_AUTO | KEY_NEUTRAL, 1, 4096, NULL},
    {"parallel.replicas", KEY_INT, AT(parallel.replicas), KEY_AUTO | KEY_NEUTRAL, 1, 4096, NULL},
    {"parallel.threads", KEY_INT, AT(parallel.threads), KEY_AUTO | KEY_NEUTRAL, 1, 4096, NULL},
    {"parallel.memory", KEY_BYTES, AT(parallel.memory), KEY_AUTO | KEY_NEUTRAL, 1 << 20, 1e18,
     NULL},
    {"cache.max_bytes", KEY_BYTES, AT(cache.max_bytes), KEY_NEUTRAL, 0, 1e18, NULL},
    {"tracking.tensorboard", KEY_BOOL, AT(tracking.tensorboard), KEY_NEUTRAL, 0, 0, NULL},
    {"tracking.mlflow", KEY_STRING, AT(tracking.mlflow), KEY_NULLABLE | KEY_NEUTRAL, 0, 0, NULL},
    {"tracking.experiment", KEY_STRING, AT(tracking.experiment), KEY_NULLABLE | KEY_NEUTRAL, 0, 0,
     NULL},
    {"notify.command", KEY_STRINGS, AT(notify.command), KEY_NULLABLE | KEY_NEUTRAL, 0, 0, NULL},
    {"notify.url", KEY_STRING, AT(notify.url), KEY_NULLABLE | KEY_NEUTRAL, 0, 0, NULL},
    {"limits.memory", KEY_BYTES, AT(limits.memory), KEY_NULLABLE | KEY_NEUTRAL, 1 << 20, 1e18,
     NULL},
    {"limits.disk", KEY_BYTES, AT(limits.disk), KEY_NULLABLE | KEY_NEUTRAL, 1 << 20, 1e18, NULL},
    {"limits.time", KEY_SECONDS, AT(limits.seconds), KEY_NULLABLE | KEY_NEUTRAL, 1, 1e9, NULL},
    {"launcher", KEY_ENUM, AT(launcher), KEY_NEUTRAL, 0, 0, launcher_names},
    {"slurm.partition", KEY_STRING, AT(slurm.partition), KEY_NULLABLE | KEY_NEUTRAL, 0, 0, NULL},
    {"slurm.account", KEY_STRING, AT(slurm.account), KEY_NULLABLE | KEY_NEUTRAL, 0, 0, NULL},
    {"slurm.time", KEY_STRING, AT(slurm.time), KEY_NULLABLE | KEY_NEUTRAL, 0, 0, NULL},
    {"slurm.qos", KEY_STRING, AT(slurm.qos), KEY_NULLABLE | KEY_NEUTRAL, 0, 0, NULL},
    {"slurm.nodes", KEY_STRING, AT(slurm.nodes), KEY_NULLABLE | KEY_NEUTRAL, 0, 0, NULL},
    {"slurm.workers_per_node", KEY_INT, AT(slurm.workers_per_node), KEY_NEUTRAL, 1, 1024, NULL},
    {"slurm.cpus_per_task", KEY_INT, AT(slurm.cpus_per_task), KEY_NULLABLE | KEY_NEUTRAL, 1, 65536,
     NULL},
    {"slurm.mem", KEY_STRING, AT(slurm.mem), KEY_NULLABLE | KEY_NEUTRAL, 0, 0, NULL},
    {"slurm.constraint", KEY_STRING, AT(slurm.constraint), KEY_NULLABLE | KEY_NEUTRAL, 0, 0, NULL},
    {"slurm.extra", KEY_STRINGS, AT(slurm.extra), KEY_NULLABLE | KEY_NEUTRAL, 0, 0, NULL},
    {"slurm.grace_seconds", KEY_INT, AT(slurm.grace_seconds), KEY_NEUTRAL, 10, 86400, NULL},
    {"max_restarts", KEY_INT, AT(max_restarts), KEY_NEUTRAL, 0, 1000, NULL},
    {"output", KEY_PATH, AT(output), KEY_REQUIRED | KEY_NEUTRAL, 0, 0, NULL},
};
const int n_job_keys = sizeof(job_keys) / sizeof(job_keys[0]);

const struct job_key *job_key_find(const char *path)
{
    int i;

    for (i = 0; i < n_job_keys; i++)
        if (strcmp(job_keys[i].path, path) == 0)
            return &job_keys[i];
    return NULL;
}

bool job_key_is_section(const char *path)
{
    size_t len = strlen(path);
    int i;

    for (i = 0; i < n_job_keys; i++)
        if (strncmp(job_keys[i].path, path, len) == 0 && job_keys[i].path[len] == '.')
            return true;
    return false;
}

enum { WORD_MAX = 63 };

int word_distance(const char *a, const char *b, int most)
{
    int row[WORD_MAX + 1], m = (int)strlen(a), n = (int)strlen(b), i, j;

    if (n > WORD_MAX || m >= n + most || n >= m + most)
        return most;
    for (j = 0; j <= n; j++)
        row[j] = j;
    for (i = 1; a[i - 1]; i++) {
        int diagonal = row[0], least = i;
        row[0] = i;
        for (j = 1; j <= n; j++) {
            int swap = diagonal + (a[i - 1] != b[j - 1]);
            int best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = swap < best ? swap : best;
            least = row[j] < least ? row[j] : least;
        }
        if (least >= most) /* it never falls */
            return most;
    }
    return row[n] < most ? row[n] : most;
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');

    return dot ? dot + 1 : path;
}

/* A key in the wrong section ("rank" for "lora.rank") is as likely as a mistyped letter. */
const char *job_key_suggest(const char *path)
{
    const char *best = NULL;
    int i, best_distance = 2 + (int)strlen(path) / 4;

    for (i = 0; i < n_job_keys; i++) {
        int whole = word_distance(path, job_keys[i].path, best_distance);
        int tail = word_distance(last_part(path), last_part(job_keys[i].path), best_distance) + 1;
        int d = whole < tail ? whole : tail;
        if (d < best_distance) {
            best_distance = d;
            best = job_keys[i].path;
        }
    }
    return best;
}

int job_line(const struct job *job, const char *path)
{
    const struct job_key *key = job_key_find(path);

    return key && job->lines ? job->lines[key - job_keys] : 0;
}

bool job_is_given(const struct job *job, const char *path)
{
    const struct job_key *key = job_key_find(path);

    return key && job->given && job->given[key - job_keys];
}

void job_key_of_sentence(const char *text, char ret_key[JOB_KEY_BYTES])
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.");

    while (len > 0 && text[len - 1] == '.')
        len--;
    ret_key[0] = '\0';
    if (len == 0 || len >= JOB_KEY_BYTES)
        return;
    memcpy(ret_key, text, len);
    ret_key[len] = '\0';
    if (!job_key_find(ret_key) && !job_key_is_section(ret_key))
        ret_key[0] = '\0';
}
