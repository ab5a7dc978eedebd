/* core/input.h - files that a job or a model names: regular files, and no more of them than can be
 * meant. Anything may stand behind a name: a pipe that nobody writes to, /dev/zero, a folder.
 */
#pragma once
#include "core/err.h"
#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

/* Opens a file for reading, without waiting for anybody. ERR_INVALID where it is not a regular
 * file. *ret_bytes, its size, may be NULL. */
int input_open(const char *path, int *ret_fd, off_t *ret_bytes, struct err *err);

/* The whole file, NUL-terminated; the caller frees *ret_bytes. ERR_INVALID where it has more than
 * max_bytes. */
int input_read(const char *path, size_t max_bytes, char **ret_bytes, size_t *ret_len,
               struct err *err);

/* A file that holds one JSON object, which the caller owns. Where it holds something else, the
 * message is only what is wrong in line *ret_line; where that is 0, the message is a whole one. */
int input_read_json(const char *path, size_t max_bytes, json_t **ret_root, int *ret_line,
                    struct err *err);
