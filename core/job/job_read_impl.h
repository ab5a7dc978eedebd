/* core/job/job_read_impl.h - what job_read.c (the document, its keys, what concerns several of
 * them) shares with job_values.c (one key's value). */
#pragma once
#include "core/job/job.h"
#include "core/job/job_keys.h"
#include "core/problems.h"
#include <yaml.h>

struct job_reader {
    struct job *job;
    const char *source; /* the file, or the override's text: named in problems */
    const char *directory;
    bool is_file;
    bool is_yaml; /* the file */
    bool *seen;   /* a key of job_keys, in this source */
    yaml_document_t *doc;
    struct problems *problems;
};

int yaml_line(const yaml_node_t *node);
/* NULL for anything but a scalar; "" for an empty one. */
const char *yaml_text(const yaml_node_t *node);

/* Puts a key's value in r->job. One that cannot be taken is a problem, and leaves the default. */
void job_value_read(struct job_reader *r, const yaml_node_t *node, const struct job_key *key);
