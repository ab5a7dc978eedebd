/* core/model/module_kind.c - the names that Hugging Face gives to a layer's linear maps. */
#include "core/model/module_kind.h"
#include <stdio.h>

static const struct {
    const char *name, *path;
    int slot;
} kinds[MODULE_KINDS] = {
    [MODULE_Q] = {"q_proj", "self_attn.q_proj", 0},
    [MODULE_K] = {"k_proj", "self_attn.k_proj", 1},
    [MODULE_V] = {"v_proj", "self_attn.v_proj", 2},
    [MODULE_QKV] = {"qkv_proj", "self_attn.qkv_proj", 0},
    [MODULE_O] = {"o_proj", "self_attn.o_proj", 3},
    [MODULE_GATE] = {"gate_proj", "mlp.gate_proj", 4},
    [MODULE_UP] = {"up_proj", "mlp.up_proj", 5},
    [MODULE_GATE_UP] = {"gate_up_proj", "mlp.gate_up_proj", 4},
    [MODULE_DOWN] = {"down_proj", "mlp.down_proj", 6},
};

const char *module_kind_name(enum module_kind kind)
{
    return kinds[kind].name;
}

const char *module_kind_path(enum module_kind kind)
{
    return kinds[kind].path;
}

void module_full_name(int layer, enum module_kind kind, char ret_name[MODULE_NAME_MAX])
{
    snprintf(ret_name, MODULE_NAME_MAX, "model.layers.%d.%s", layer, kinds[kind].path);
}

int module_kind_slot(enum module_kind kind)
{
    return kinds[kind].slot;
}
