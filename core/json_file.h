/* core/json_file.h - JSON documents of bounded size.
 *
 * Messages give the file, the line and the kind of mistake. They never quote what the file holds:
 * a path can lead to a file that its reader is not meant to see.
 */
#pragma once
#include "core/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Reads and parses a regular file of at most max bytes; json_decref() *ret_root. ERR_INVALID where
 * it is not JSON, else as file_read(). */
int json_file_read(const char *path, size_t max, json_t **ret_root, struct err *err);
/* The same for a file in a folder that others may write: a symbolic link is refused. */
int json_file_read_no_link(const char *path, size_t max, json_t **ret_root, struct err *err);

/* Reads a file that must hold one JSON object. Where it holds something else, the message is only
 * what is wrong in line *ret_line; where that is 0, the message is a whole one. */
int json_file_read_object(const char *path, size_t max, json_t **ret_root, int *ret_line,
                          struct err *err);

/* There, and not null. */
bool json_is_set(const json_t *value);

/* Whether jansson gave up for lack of memory. */
bool json_file_out_of_memory(const json_error_t *why);

/* Parses bytes; name stands in front of messages. */
int json_file_parse(const char *bytes, size_t len, const char *name, json_t **ret_root,
                    struct err *err);
