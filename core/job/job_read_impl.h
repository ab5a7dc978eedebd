/* core/job/job_read_impl.h - what job_read.c (the document, its keys, what concerns several of
 * them) shares with job_values.c (one key's
 * value) and job_value_lists.c (one that is a list or a mapping). */
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
    bool no_memory;
    bool *seen; /* a key of job_keys, in this source */
    yaml_document_t *doc;
    struct problems *problems;
};

int yaml_line(const yaml_node_t *node);
/* NULL for anything but a scalar; "" for an empty one. */
const char *yaml_text(const yaml_node_t *node);

/* Puts a key's value in r->job. One that cannot be taken is a problem, and leaves the default. */
void job_value_read(struct job_reader *r, const yaml_node_t *node, const struct job_key *key);

/* ---- what job_values.c offers job_value_lists.c ---- */

void *job_field(struct job *job, const struct job_key *key);
bool yaml_is_null(const yaml_node_t *node);
/* The caller's to free. NULL without memory, which r then says. */
char *job_copy_text(struct job_reader *r, const char *text);
char *job_copy_path(struct job_reader *r, const char *text);
/* n elements and an end of zeros; the same without memory. */
void *job_list(struct job_reader *r, long n, size_t size);
bool job_in_range(const struct job_key *key, double x);
void job_describe_range(const struct job_key *key, char *text, size_t size);
void job_refuse_value(struct job_reader *r, const yaml_node_t *node, const struct job_key *key,
                      const char *expected);

/* ---- and the other way; each as job_value_read ---- */

void job_read_targets(struct job_reader *r, const yaml_node_t *node, const struct job_key *key);
void job_read_numbers(struct job_reader *r, const yaml_node_t *node, const struct job_key *key);
void job_read_patterns(struct job_reader *r, const yaml_node_t *node, const struct job_key *key);
void job_read_strings(struct job_reader *r, const yaml_node_t *node, const struct job_key *key);
void job_read_names(struct job_reader *r, const yaml_node_t *node, const struct job_key *key);
void job_read_object(struct job_reader *r, const yaml_node_t *node, const struct job_key *key);
