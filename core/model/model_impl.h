/* core/model/model_impl.h - what model.c shares with model_describe.c and model_files.c and no one
 * else sees.
 *
 * Each adds what is wrong to problems and returns ERR_INVALID if it added any; other codes are
 * failures that are not the input's.
 */
#pragma once
#include "core/model/model.h"
#include "core/tensor/tensorfile.h"

/* From a config.json. config->tied is what the file says; whether lm_head is there is not looked
 * at. */
int model_describe_json(const char *path, struct model_config *ret_config,
                        struct problems *problems, struct err *err);
/* From a GGUF's key-values. */
int model_describe_gguf(const struct tensorfile *file, struct model_config *ret_config,
                        struct problems *problems, struct err *err);

struct model_files {
    struct tensorfile **items; /* owned */
    int n;
};

/* Opens the files with a folder's weights: model.safetensors, else those that
 * model.safetensors.index.json names, else every *.safetensors. What was opened is in files, also
 * on failure. */
int model_files_open(const char *folder, struct model_files *files, struct problems *problems,
                     struct err *err);
void model_files_close(struct model_files *files);

/* The files with the weights of an open model. */
const struct model_files *model_open_files(const struct model *model);
