/* core/job/job_write.c - a job as text: the canonical YAML, and the identity made from a part of
 * it. */
#include "core/job/job.h"
#include "core/job/job_keys.h"
#include "core/job/job_units.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const void *field_of(const struct job *job, const struct job_key *key)
{
    return (const char *)job + key->offset;
}

void job_put_quoted(struct buf *b, const char *text)
{
    buf_puts(b, "\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_printf(b, "\\x%02x", c);
        else if (c == 0xc2 && (text[1] & 0xe0) == 0x80) /* U+0080 to U+009F */
            buf_printf(b, "\\x%02x", (unsigned char)*++text);
        else
            buf_append(b, text, 1);
    }
    buf_puts(b, "\"");
}

/* A name of modules needs no quotes. */
static bool is_plain(const char *text)
{
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyz_.0123456789")] == '\0';
}

/* A size or a duration. */
static void put_unit(struct buf *b, const struct job_key *key, double x)
{
    char text[UNIT_TEXT_MAX];

    if (x == 0 && (key->flags & (KEY_AUTO | KEY_NULLABLE))) {
        buf_puts(b, key->flags & KEY_AUTO ? "auto" : "null");
        return;
    }
    if (key->kind == KEY_SECONDS)
        duration_print(x, text);
    else
        bytes_print(x, text);
    buf_puts(b, text);
}

static void put_targets(struct buf *b, const struct job_lora *lora)
{
    const char *comma = "";

    if (lora->all_linear) {
        buf_puts(b, "all-linear");
        return;
    }
    if (lora->target_pattern) {
        job_put_quoted(b, lora->target_pattern);
        return;
    }
    buf_puts(b, "[");
    for (char **name = lora->target_modules; name && *name; name++) {
        buf_puts(b, comma);
        if (is_plain(*name))
            buf_puts(b, *name);
        else
            job_put_quoted(b, *name);
        comma = ", ";
    }
    buf_puts(b, "]");
}

static void put_numbers(struct buf *b, const struct job_numbers *numbers)
{
    if (numbers->n == 0) {
        buf_puts(b, "null");
        return;
    }
    buf_puts(b, "[");
    for (int i = 0; i < numbers->n; i++)
        buf_printf(b, "%s%d", i ? ", " : "", numbers->of[i]);
    buf_puts(b, "]");
}

static void put_patterns(struct buf *b, const struct job_patterns *patterns)
{
    if (patterns->n == 0) {
        buf_puts(b, "null");
        return;
    }
    buf_puts(b, "{");
    for (int i = 0; i < patterns->n; i++) {
        buf_puts(b, i ? ", " : "");
        job_put_quoted(b, patterns->of[i].pattern);
        buf_puts(b, ": ");
        buf_put_number(b, patterns->of[i].value);
    }
    buf_puts(b, "}");
}

static void put_strings(struct buf *b, char *const *strings)
{
    const char *comma = "";

    buf_puts(b, "[");
    for (; strings && *strings; strings++) {
        buf_puts(b, comma);
        job_put_quoted(b, *strings);
        comma = ", ";
    }
    buf_puts(b, "]");
}

static void put_names(struct buf *b, const struct data_names *names)
{
    bool lone = names->n == 1 && names->of[0].weight == 1;

    if (names->n == 0)
        buf_puts(b, "null");
    if (!lone && names->n)
        buf_puts(b, "[");
    for (int i = 0; i < names->n; i++) {
        const struct data_name *name = &names->of[i];
        buf_puts(b, i ? ", " : "");
        if (name->weight != 1)
            buf_puts(b, "{file: ");
        job_put_quoted(b, name->path);
        if (name->weight != 1) {
            buf_puts(b, ", weight: ");
            buf_put_number(b, name->weight);
            buf_puts(b, "}");
        }
    }
    if (!lone && names->n)
        buf_puts(b, "]");
}

/* JSON in one line is YAML, too. */
static void put_object(struct buf *b, const json_t *object)
{
    char *text = object ? json_dumps(object, JSON_REAL_PRECISION(17)) : strdup("null");

    if (text)
        buf_puts(b, text);
    b->failed |= !text;
    free(text);
}

static void put_number(struct buf *b, const struct job_key *key, double x)
{
    if (x == 0 && (key->flags & KEY_NULLABLE))
        buf_puts(b, "null");
    else if (x == 0 && (key->flags & KEY_AUTO))
        buf_puts(b, "auto");
    else
        buf_put_number(b, x);
}

static void put_value(struct buf *b, const struct job *job, const struct job_key *key)
{
    const void *field = field_of(job, key);

    switch (key->kind) {
    case KEY_STRING:
    case KEY_PATH:
        if (*(char *const *)field)
            job_put_quoted(b, *(char *const *)field);
        else
            buf_puts(b, "null");
        break;
    case KEY_BOOL:
        buf_puts(b, *(const bool *)field ? "true" : "false");
        break;
    case KEY_INT:
        put_number(b, key, *(const int *)field);
        break;
    case KEY_BYTES:
    case KEY_SECONDS:
        put_unit(b, key, *(const double *)field);
        break;
    case KEY_DOUBLE:
        put_number(b, key, *(const double *)field);
        break;
    case KEY_SEED:
        buf_printf(b, "%" PRIu64, *(const uint64_t *)field);
        break;
    case KEY_ENUM:
        buf_puts(b, key->names[*(const int *)field]);
        break;
    case KEY_TARGETS:
        put_targets(b, field);
        break;
    case KEY_STRINGS:
        put_strings(b, *(char **const *)field);
        break;
    case KEY_NUMBERS:
        put_numbers(b, field);
        break;
    case KEY_PATTERNS:
        put_patterns(b, field);
        break;
    case KEY_FILES:
        put_names(b, field);
        break;
    case KEY_OBJECT:
        put_object(b, *(json_t *const *)field);
        break;
    }
}

/* Keys that a job does not have: what only an adapter to start from makes a question, dash of a
 * plain LoRA job, slurm of a local one, epochs once they have become steps. */
static bool is_absent(const struct job *job, const struct job_key *key)
{
    if (!strcmp(key->path, "dash.prelaunch_steps") && job->dash.continues)
        return true;
    if (!strcmp(key->path, "dash.continue") && !job->lora.init_adapter)
        return true;
    if (!strncmp(key->path, "dash.", 5))
        return job->method == METHOD_LORA;
    if (!strncmp(key->path, "slurm.", 6))
        return job->launcher != LAUNCHER_SLURM;
    if (!strcmp(key->path, "training.epochs"))
        return job->training.steps > 0;
    return false;
}

/* Whether a key has the value that all jobs had before there was such a key: then it is no part of
 * the identity, which checkpoints keep. */
static bool is_as_before(const struct job *job, const struct job_key *key)
{
    const void *field = field_of(job, key);

    switch (key->kind) {
    case KEY_NUMBERS:
        return ((const struct job_numbers *)field)->n == 0;
    case KEY_PATTERNS:
        return ((const struct job_patterns *)field)->n == 0;
    case KEY_OBJECT:
        return !*(json_t *const *)field;
    default:
        break;
    }
    if (!strcmp(key->path, "data.date"))
        return !job->data.date;
    if (!strcmp(key->path, "data.overflow"))
        return job->data.overflow == OVERFLOW_CUT;
    if (!strcmp(key->path, "data.train_on"))
        return job->data.train_on == TRAIN_ON_ASSISTANT;
    if (!strcmp(key->path, "training.micro_batches"))
        return job->training.micro_batches == 1;
    if (!strcmp(key->path, "data.train_on_empty_thoughts"))
        return !job->data.train_on_empty_thoughts;
    return false;
}

char *job_to_yaml(const struct job *job)
{
    struct buf b = {0};
    char section[40] = "";
    int i;

    for (i = 0; i < n_job_keys; i++) {
        const struct job_key *key = &job_keys[i];
        const char *dot = strchr(key->path, '.');
        size_t len = dot ? (size_t)(dot - key->path) : 0;
        if (is_absent(job, key))
            continue;
        if (dot && (strncmp(section, key->path, len) != 0 || section[len])) {
            snprintf(section, sizeof(section), "%.*s", (int)len, key->path);
            buf_printf(&b, "%s:\n", section);
        }
        buf_printf(&b, "%s%s: ", dot ? "  " : "", dot ? dot + 1 : key->path);
        put_value(&b, job, key);
        buf_puts(&b, "\n");
    }
    return buf_take(&b);
}

void job_identity(const struct job *job, char ret_hex[33])
{
    struct buf b = {0};
    XXH128_hash_t h;
    int i;

    for (i = 0; i < n_job_keys; i++) {
        const struct job_key *key = &job_keys[i];
        if ((key->flags & KEY_NEUTRAL) || is_absent(job, key) || is_as_before(job, key))
            continue;
        buf_printf(&b, "%s=", key->path);
        put_value(&b, job, key);
        buf_puts(&b, "\n");
    }
    h = XXH3_128bits(b.data, b.len);
    snprintf(ret_hex, 33, "%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
    buf_free(&b);
}

static char *text_of(const struct job *job, const struct job_key *key)
{
    struct buf b = {0};

    if (is_absent(job, key))
        buf_puts(&b, "not given");
    else
        put_value(&b, job, key);
    return buf_take(&b);
}

void job_differences(const struct job *was, const struct job *is, struct buf *out)
{
    for (int i = 0; i < n_job_keys; i++) {
        const struct job_key *key = &job_keys[i];
        char *old = text_of(was, key), *now = text_of(is, key);
        if (!(key->flags & KEY_NEUTRAL) && old && now && strcmp(old, now) != 0)
            buf_printf(out, "%s was %s and is %s\n", key->path, old, now);
        free(old);
        free(now);
    }
}
