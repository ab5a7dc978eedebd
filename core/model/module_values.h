/* core/model/module_values.h - a number of each module (a rank, an alpha) as most of them have it,
 * and the exceptions by name: how PEFT writes r with rank_pattern, and lora_alpha with
 * alpha_pattern.
 */
#pragma once
#include "core/err.h"
#include "core/model/module_kind.h"

struct module_value {
    int layer;
    enum module_kind kind;
    double value;
};

struct module_exception {
    char name[MODULE_NAME_MAX]; /* of a module; or of a kind, if all of that kind are alike */
    double value;
};

struct module_values {
    double common;
    struct module_exception *exceptions; /* owned */
    int n;
};

/* n >= 1. The smallest of the most frequent values is the common one. */
int module_values_split(const struct module_value *values, int n, struct module_values *ret,
                        struct err *err);
void module_values_free(struct module_values *v);
