/* core/model/module_kind.c - the names that Hugging Face gives to a layer's linear maps. */
#include "core/model/module_kind.h"

static const char *const kind_names[MODULE_KINDS] = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                     "gate_proj", "up_proj", "down_proj"};
static const char *const kind_paths[MODULE_KINDS] = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

const char *module_kind_name(enum module_kind kind)
{
    return kind_names[kind];
}

const char *module_kind_path(enum module_kind kind)
{
    return kind_paths[kind];
}
