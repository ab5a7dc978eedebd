/* core/model/description.h - reading the values of a model's description, each checked; what is
 * wrong goes to problems, and a value that is wrong becomes 0. For describe_*.c alone.
 */
#pragma once
#include "core/json_file.h"
#include "core/model/architecture.h"
#include "core/model/family.h"
#include "core/model/model_impl.h"
#include "core/problems.h"
#include "core/tensor/tensorfile.h"

enum { SIZE_MAX_SANE = 1 << 24, HEADS_MAX = 4096 };

struct description { /* what is being read, and where problems go */
    const char *file;
    struct problems *problems;
    const struct family *family;
    json_t *root;                    /* of a config.json */
    json_t *read;                    /* the keys of root that were read: an object */
    const struct tensorfile *gguf;   /* with the keys */
    const struct model_files *files; /* with the tensors: the GGUF, or all of its parts */
};

void description_fault(const struct description *d, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- config.json ---- */

/* A value of root, which counts as read. */
json_t *root_get(const struct description *d, const char *key);
/* fallback where the key is absent or null; 0: that is a problem. */
int root_int(const struct description *d, const char *key, int most, int fallback);
double root_positive(const struct description *d, const char *key, double fallback);
bool root_bool(const struct description *d, const char *key, bool fallback);
/* The same for an object inside of root. */
double object_positive(const struct description *d, const json_t *object, const char *key,
                       double fallback);

/* ---- GGUF: keys behind "<architecture>." ---- */

/* "llama.block_count" in text. */
const char *gguf_key(const struct description *d, const char *key, char *text, size_t size);
bool gguf_has(const struct description *d, const char *key);
/* A key of another kind than asked for is a problem. */
bool gguf_bool(const struct description *d, const char *key, bool fallback);
int gguf_int(const struct description *d, const char *key, int most, int fallback);
double gguf_positive(const struct description *d, const char *key, double fallback);
/* NULL if no part has it. */
const struct tensor *gguf_tensor(const struct description *d, const char *name);
const char *gguf_string(const struct description *d, const char *key);
/* NULL if it is no list. */
const struct gguf_array *gguf_list(const struct description *d, const char *key);

/* ---- both ---- */

/* hidden / n_heads, where no head size is given. */
int head_size(const struct description *d, int hidden, int n_heads);
/* Relations between the sizes; sizes that are missing are 0 and were reported. */
void check_sizes(const struct description *d, const struct model_config *c);
/* What follows from the family alone. */
void describe_family(const struct family *f, struct model_config *c);

/* describe_rope.c: fills rope, rope_pairs and rope_long_from. */
void describe_json_rope(const struct description *d, struct model_config *c);
void describe_gguf_rope(const struct description *d, struct model_config *c);
/* describe_layers.c: fills layers and window. */
void describe_json_layers(const struct description *d, struct model_config *c);
void describe_gguf_layers(const struct description *d, struct model_config *c);
