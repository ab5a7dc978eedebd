/* core/model/module_kind.h - the linear maps of a layer, in the order in which everything lists
 * them. A model has either q, k and v or one map of all three (qkv), and either gate and up or one
 * of both: model_has_module().
 */
#pragma once
#include <stddef.h>

enum module_kind {
    MODULE_Q,
    MODULE_K,
    MODULE_V,
    MODULE_QKV, /* rows of q, then k, then v */
    MODULE_O,
    MODULE_GATE,
    MODULE_UP,
    MODULE_GATE_UP, /* rows of gate, then up */
    MODULE_DOWN,
    MODULE_KINDS
};

/* "q_proj" and so on: HF's names. */
const char *module_kind_name(enum module_kind kind);
/* "self_attn.q_proj" and so on: what follows "model.layers.N.". */
const char *module_kind_path(enum module_kind kind);
/* "model.layers.0.self_attn.q_proj": the whole name, as PEFT matches it. */
enum { MODULE_NAME_MAX = 64 }; /* bytes, with the NUL */
void module_full_name(int layer, enum module_kind kind, char ret_name[MODULE_NAME_MAX]);

/* A number of [0, MODULE_SLOTS) that no two maps of one layer share. It keys the random numbers of
 * dropout and the hashes of weights, so it never changes. */
enum { MODULE_SLOTS = 7 };
int module_kind_slot(enum module_kind kind);
