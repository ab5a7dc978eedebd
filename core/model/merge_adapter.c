/* core/model/merge_adapter.c - see merge.h: the adapter alone, as llama.cpp reads it. A lies as it
 * is; the rows of B are in the order that the outputs of the map have in a GGUF of the family. */
#include "core/model/merge.h"
#include "core/model/merge_impl.h"
#include "core/tensor/gguf_write.h"
#include <stdio.h>
#include <stdlib.h>

enum { NAME_BYTES = 128 };

/* What llama.cpp multiplies B A by is alpha / rank, with one alpha for all. */
static double factor_of(const struct adapter_map *map, double scale, double alpha)
{
    return alpha == map->alpha && scale == map->alpha / map->rank ? 1 : scale * map->rank / alpha;
}

/* B in the order of rows of a GGUF. Caller frees; NULL for lack of memory. */
static float *make_B(const struct model *m, const struct adapter_map *map, double factor)
{
    const struct weight_source order = {NULL, model_gguf_interleaved(m, map->kind)};
    float *B = malloc((size_t)map->rows * (size_t)map->rank * sizeof(*B));

    for (int64_t row = 0; B && row < map->rows; row++) {
        const float *from = map->B + weight_matrix_row(&order, row) * map->rank;
        for (int t = 0; t < map->rank; t++)
            B[row * map->rank + t] = factor == 1 ? from[t] : (float)(factor * from[t]);
    }
    return B;
}

static int add_padded(const struct gguf_out *o, const float *numbers, uint64_t bytes,
                      struct file_writer *w, struct err *err)
{
    int rc = file_writer_add(w, numbers, bytes, err);

    return rc < 0 ? rc : gguf_out_pad(o, bytes, w, err);
}

static void put_matrix(struct gguf_out *o, const struct adapter_map *map, char which)
{
    char name[NAME_BYTES], weight[NAME_BYTES - 10];
    struct tensor_out t = {.name = name, .type = TENSOR_F32, .n_dims = 2};

    model_gguf_module_name(map->layer, map->kind, "weight", weight, sizeof(weight));
    snprintf(name, sizeof(name), "%s.lora_%c", weight, which);
    t.shape[0] = which == 'a' ? map->rank : map->rows;
    t.shape[1] = which == 'a' ? map->columns : map->rank;
    gguf_put_tensor(o, &t);
}

static void put_adapter(const struct model *m, const struct adapter *a, double alpha,
                        const char *name, struct gguf_out *o)
{
    gguf_put_string(o, "general.architecture", model_gguf_architecture(m));
    gguf_put_string(o, "general.type", "adapter");
    gguf_put_string(o, "adapter.type", "lora");
    gguf_put_string(o, "general.name", name);
    gguf_put_u32(o, "general.file_type", (uint32_t)gguf_file_type(TENSOR_F32));
    gguf_put_f32(o, "adapter.lora.alpha", (float)alpha);
    for (int i = 0; i < a->n; i++) {
        put_matrix(o, &a->maps[i], 'a');
        put_matrix(o, &a->maps[i], 'b');
    }
}

static int write_adapter(const struct model *m, const struct adapter *a, const double *scales,
                         double alpha, const struct gguf_out *o, struct file_writer *w,
                         struct err *err)
{
    int rc = 0;

    for (int i = 0; i < a->n && rc == 0; i++) {
        const struct adapter_map *map = &a->maps[i];
        float *B = make_B(m, map, factor_of(map, scales[i], alpha));
        uint64_t rank_bytes = (uint64_t)map->rank * sizeof(float);
        rc = B ? add_padded(o, map->A, rank_bytes * (uint64_t)map->columns, w, err)
               : err_nomem(err, rank_bytes * (uint64_t)map->rows);
        if (rc == 0)
            rc = add_padded(o, B, rank_bytes * (uint64_t)map->rows, w, err);
        free(B);
    }
    return rc;
}

int merge_gguf_adapter(const struct model *model, const struct adapter *adapter,
                       const double *scales, const char *name, const char *path, struct err *err)
{
    double alpha = adapter->maps[0].alpha ? adapter->maps[0].alpha : adapter->maps[0].rank;
    struct gguf_out o = {.alignment = GGUF_ALIGNMENT};
    struct file_writer w = {0};
    int rc;

    put_adapter(model, adapter, alpha, name, &o);
    rc = gguf_out_begin(&o, path, &w, err);
    if (rc == 0)
        rc = write_adapter(model, adapter, scales, alpha, &o, &w, err);
    if (rc == 0)
        rc = file_writer_commit(&w, err);
    file_writer_abandon(&w);
    gguf_out_free(&o);
    return rc;
}
