/* core/model/module_kind.h - the linear maps of a Llama layer, in the order in which everything
 * lists them. */
#pragma once

enum module_kind {
    MODULE_Q,
    MODULE_K,
    MODULE_V,
    MODULE_O,
    MODULE_GATE,
    MODULE_UP,
    MODULE_DOWN,
    MODULE_KINDS
};

/* "q_proj" and so on: HF's names. */
const char *module_kind_name(enum module_kind kind);
/* "self_attn.q_proj" and so on: what follows "model.layers.N.". */
const char *module_kind_path(enum module_kind kind);
