/* core/job/lora_source.c - see lora_source.h. The files in a folder decide what it is. */
#include "core/job/lora_source.h"
#include "core/file.h"
#include "core/job/job_read.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    bool there = path && access(path, F_OK) == 0;

    free(path);
    return there;
}

/* The folder above one that is called adapter, or NULL. */
static char *folder_above(const char *path)
{
    static const char tail[] = "/adapter";
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len < sizeof(tail) || strncmp(path + len - (sizeof(tail) - 1), tail, sizeof(tail) - 1) != 0)
        return NULL;
    return strndup(path, len - (sizeof(tail) - 1));
}

int lora_source_read_job(const char *output, struct job **ret, struct err *err)
{
    char *path = file_join(output, "job.yaml"), *text = NULL;
    size_t len;
    int rc = path ? file_read(path, JOB_FILE_MAX, &text, &len, err) : err_nomem(err, 0);

    if (rc == 0)
        rc = job_from_yaml(text, ret, err);
    if (rc < 0)
        err_prefix(err, "%s", path ? path : output);
    free(text);
    free(path);
    return rc;
}

int lora_source_open(const char *path, struct lora_source *ret, struct err *err)
{
    struct lora_source s = {0};
    int rc = 0;

    if (!has(path, "adapter_config.json") &&
        (has(path, "adapter/adapter_config.json") || has(path, "job.yaml"))) {
        s.output = strdup(path);
        s.adapter = file_join(path, "adapter");
    } else {
        s.output = folder_above(path);
        s.adapter = strdup(path);
    }
    if (s.output && !(has(s.output, "job.yaml") && has(s.output, "checkpoint"))) {
        free(s.output);
        s.output = NULL;
    }
    if (!s.adapter)
        rc = err_nomem(err, strlen(path));
    if (rc == 0 && s.output)
        rc = lora_source_read_job(s.output, &s.job, err);
    if (rc == 0 && s.job && s.job->method != METHOD_LORA_DASH) {
        job_free(s.job);
        s.job = NULL;
    }
    if (rc < 0)
        lora_source_close(&s);
    else
        *ret = s;
    return rc;
}

void lora_source_close(struct lora_source *s)
{
    free(s->adapter);
    free(s->output);
    job_free(s->job);
    *s = (struct lora_source){0};
}
