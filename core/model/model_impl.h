/* core/model/model_impl.h - what the files of model.h share and no one else sees.
 *
 * Each adds what is wrong to problems and returns ERR_INVALID if it added any; other codes are
 * failures that are not the input's.
 */
#pragma once
#include "core/model/family.h"
#include "core/model/model.h"
#include "core/tensor/tensorfile.h"
#include <jansson.h>

/* From a config.json. config->tied is what the file says; whether lm_head is there is not looked
 * at. Caller frees *ret_unread: see model_unread_keys(). ERR_UNSUPPORTED where the family is not
 * known, which is then the only problem. */
int model_describe_json(const char *path, struct model_config *ret_config, char **ret_unread,
                        struct problems *problems, struct err *err);
/* The same of an object, which may be changed; name is for messages. */
int model_describe_json_object(const char *name, json_t *whole, struct model_config *ret_config,
                               char **ret_unread, struct problems *problems, struct err *err);
struct model_files {
    struct tensorfile **items; /* owned */
    int n;
};

/* From a GGUF's key-values, which are in the first file. */
int model_describe_gguf(const struct model_files *files, struct model_config *ret_config,
                        struct problems *problems, struct err *err);

/* Opens the files with a folder's weights: model.safetensors, else those that
 * model.safetensors.index.json names, else every *.safetensors. What was opened is in files, also
 * on failure. */
int model_files_open(const char *folder, struct model_files *files, struct problems *problems,
                     struct err *err);
void model_files_close(struct model_files *files);
/* Opens a GGUF, or all parts of one that is split ("...-00001-of-00003.gguf"), whichever of them is
 * named; the first part is the first file. */
int model_files_open_gguf(const char *path, struct model_files *files, struct problems *problems,
                          struct err *err);

/* Where the weights lie, resolved once at open. */
struct layer_weights {
    const struct tensor *modules[MODULE_KINDS], *biases[MODULE_KINDS];
    const struct tensor *norms[NORM_KINDS];
};

struct model {
    char *path;
    struct model_config config;
    struct model_files files;
    bool gguf;
    char *unread;                 /* see model_unread_keys() */
    struct layer_weights *layers; /* (n_layers) */
    const struct tensor *embedding, *head, *final_norm;
};

/* Finds every weight, checks its shape, and that the files hold nothing else. Decides config.tied.
 */
int model_resolve(struct model *m, struct problems *problems, struct err *err);

/* The name that llama.cpp gives a map's tensor; part: "weight" or "bias". */
void model_gguf_module_name(int layer, enum module_kind kind, const char *part, char *name,
                            size_t size);
void model_gguf_norm_name(int layer, enum norm_kind kind, char *name, size_t size);
/* The names that transformers gives them; of a norm it depends on which others there are. */
void model_folder_module_name(const char *prefix, int layer, enum module_kind kind,
                              const char *part, char *name, size_t size);
void model_folder_norm_name(const char *prefix, const struct model_config *c, int layer,
                            enum norm_kind kind, char *name, size_t size);
/* Whether a folder's norms are one less than what a GGUF holds. */
bool model_norm_plus_one(const struct model *m);
/* Channels of a head whose rows a GGUF of the family interleaves (weight.h); 0: it does not. */
int model_gguf_interleaved(const struct model *m, enum module_kind kind);
/* general.architecture of the GGUF, or what llama.cpp's converter would write for the folder. */
const char *model_gguf_architecture(const struct model *m);

/* The files with the weights of an open model. */
const struct model_files *model_open_files(const struct model *model);
