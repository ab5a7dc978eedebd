/* core/model/merge_impl.h - what the files of merge.h share. */
#pragma once
#include "core/file.h"
#include "core/model/merge.h"
#include "core/model/model_impl.h"
#include "core/tensor/weight.h"

/* A tensor of the base and what becomes of it. */
struct merge_tensor {
    struct weight_source source;
    const struct tensorfile *file; /* of the source */
    const struct adapter_map *map; /* NULL: the numbers stay as they are */
    double scale;
    enum tensor_type type;
};

struct merge_plan {
    struct merge_tensor *of; /* owned; in the order of the files and of their tensors */
    int n;
};

/* Without types. */
int merge_plan_open(const struct merge *m, struct merge_plan *ret, struct err *err);
void merge_plan_close(struct merge_plan *p);

uint64_t merge_tensor_bytes(const struct merge_tensor *t);
/* Adds the tensor's numbers to the file; *done counts bytes for the progress. */
int merge_write(const struct merge *m, const struct merge_tensor *t, struct file_writer *w,
                uint64_t *done, uint64_t total, struct err *err);
