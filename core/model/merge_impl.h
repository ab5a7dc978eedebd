/* core/model/merge_impl.h - what the files of merge.h share. */
#pragma once
#include "core/file.h"
#include "core/model/merge.h"
#include "core/model/model_impl.h"
#include "core/pool.h"
#include "core/tensor/gguf_write.h"
#include "core/tensor/weight.h"

/* A tensor of the base and what becomes of it. */
struct merge_tensor {
    const char *name; /* of the result */
    struct weight_source source;
    const struct tensorfile *file; /* of the source */
    const struct adapter_map *map; /* NULL: the numbers stay as they are */
    double scale;
    enum tensor_type type;
    int interleave; /* of the result's rows, where the source's are in order: as in the source */
    bool in_order;  /* the result's rows are the matrix's, whatever the source's are */
    int added;      /* to the numbers: 1 or -1, of norms */
};

struct merge_plan {
    struct merge_tensor *of; /* owned; in the order of the files and of their tensors */
    int n;
};

/* Makes t the adapted tensor, if it is of a map of the adapter. */
void merge_adapt(const struct merge *m, struct merge_tensor *t);
/* Without types. */
int merge_plan_open(const struct merge *m, struct merge_plan *ret, struct err *err);
void merge_plan_close(struct merge_plan *p);

/* That of the model; NULL where it has none. One that cannot be used is a problem. */
struct tokenizer;
int merge_open_tokenizer(const struct model *m, struct tokenizer **ret, struct problems *problems,
                         struct err *err);

/* The tensors of a folder in the names, order of rows and form of a GGUF, and the keys that stand
 * in front of them; what cannot become one is added to problems. Closed by
 * merge_conversion_close(), on failure too. */
struct merge_conversion {
    struct merge_plan plan;
    struct pool pool; /* names, and tensors that the folder does not have */
};
int merge_conversion_open(const struct merge *m, struct merge_conversion *ret,
                          struct problems *problems, struct err *err);
void merge_conversion_close(struct merge_conversion *c);
/* After the types are chosen; file_type is the value of general.file_type. */
int merge_conversion_put_keys(const struct merge *m, int file_type, struct gguf_out *o,
                              struct buf *notices, struct problems *problems, struct err *err);

/* The tensors of a GGUF in the names, order of rows and form of a folder, file by file, and the
 * files that stand beside them; what cannot be said there is added to problems. Closed by
 * merge_folder_parts_close(), on failure too. */
struct merge_side_file {
    const char *name;
    struct buf text;
};
enum { MERGE_SIDE_FILES = 4 };
struct merge_folder_parts {
    struct merge_plan plan;           /* with types */
    struct pool pool;                 /* names */
    int matrices[TENSOR_UNSUPPORTED]; /* how many the GGUF has of each type */
    struct merge_side_file files[MERGE_SIDE_FILES];
    int n_files;
};
int merge_folder_parts_open(const struct merge *m, struct merge_folder_parts *ret,
                            struct buf *notices, struct problems *problems, struct err *err);
void merge_folder_parts_close(struct merge_folder_parts *p);

uint64_t merge_tensor_bytes(const struct merge_tensor *t);
/* Adds the tensor's numbers to the file; *done counts bytes for the progress. */
int merge_write(const struct merge *m, const struct merge_tensor *t, struct file_writer *w,
                uint64_t *done, uint64_t total, struct err *err);
