/* core/model/adapter.h - LoRA adapters as PEFT keeps them: adapter_config.json and
 * adapter_model.safetensors with tensors base_model.model.model.layers.N.<path>.lora_A.weight (r,
 * m) and lora_B.weight (n, r).
 */
#pragma once
#include "core/err.h"
#include "core/model/module_kind.h"
#include "core/model/model.h"

struct adapter_map { /* one adapted linear map */
    int layer;
    enum module_kind kind;
    int rows, columns; /* n, m of W */
    int rank;          /* r */
    double alpha;
    float *A; /* (r, m), owned */
    float *B; /* (n, r), owned */
};

struct adapter {
    double dropout; /* lora_dropout, for further training */
    bool rslora;
    struct adapter_map *maps; /* in order of layer, then kind */
    int n;
};

/* Reads a PEFT folder (safetensors only) and checks it against the model's shapes. Refused by name:
 * another peft_type, bias, modules_to_save, layers_to_transform that
 * does not name every layer with tensors, DoRA, tensors that match nothing, an A without its B,
 * values that are not finite. */
int adapter_read(const char *folder, const struct model_config *config,
                 struct adapter **ret_adapter, struct err *err);
/* Writes folder/adapter_config.json and folder/adapter_model.safetensors (f32), each durably, the
 * config last; base_model is written as base_model_name_or_path. Equal adapters give equal bytes.
 */
int adapter_write(const char *folder, const struct adapter *a, const char *base_model,
                  struct err *err);
void adapter_free(struct adapter *a); /* NULL-safe */
