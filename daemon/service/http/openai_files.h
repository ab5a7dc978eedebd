/* daemon/service/http/openai_files.h - files that were uploaded to train on: <state>/files/.
 *
 *   file-<24 hex digits>.jsonl    the bytes, as they came
 *   file-<24 hex digits>.json     {"filename", "purpose", "bytes", "rows", "created_at", "owner"}
 *
 * The second makes the first a file: it is written last, and removed first; bytes without it go at
 * dashd's start. Everybody sees their own files, and admins see all.
 */
#pragma once
#include "core/err.h"
#include "daemon/service/auth.h"
#include "daemon/service/http/http.h"
#include <jansson.h>

enum { OPENAI_FILE_ID_SIZE = 5 + 24 + 1, OPENAI_FILES_MAX = 10000 };

struct openai_file {
    char id[OPENAI_FILE_ID_SIZE];
    char *filename, *purpose, *owner;
    int64_t bytes, created_s;
    int64_t rows; /* lines that are not empty */
};

struct openai_files {
    uv_loop_t *loop;
    char *folder;
    struct openai_file *items; /* oldest first */
    int n;
};

int openai_files_open(uv_loop_t *loop, const char *state, struct openai_files **ret,
                      struct err *err);
void openai_files_close(struct openai_files *f); /* NULL-safe */

/* The file of this id that the caller may see, or NULL. */
const struct openai_file *openai_files_find(const struct openai_files *f,
                                            const struct caller *caller, const char *id);
/* Of its bytes; caller frees. NULL for lack of memory. */
char *openai_files_path(const struct openai_files *f, const char *id);
int openai_files_new_id(char ret_id[OPENAI_FILE_ID_SIZE], struct err *err);
bool openai_files_has_room(const struct openai_files *f, struct err *err);
/* Makes the bytes at `path` a file, durably. It blocks, and does not look at the list. */
int openai_files_write(const char *path, const struct openai_file *file, struct err *err);
/* Takes it, and what is at its path, away again. */
void openai_files_erase(const char *path);
/* A new file that was written; takes over its strings on success. */
int openai_files_add(struct openai_files *f, const struct openai_file *file, struct err *err);
int openai_files_remove(struct openai_files *f, const char *id, struct err *err);
json_t *openai_files_json(const struct openai_file *file);
