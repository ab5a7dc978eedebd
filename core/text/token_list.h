/* core/text/token_list.h - a growing list of token ids. */
#pragma once
#include "core/err.h"
#include <stdint.h>

struct token_list { /* zero-initialise; free(ids) */
    int32_t *ids;
    int n, cap;
};
int token_list_push(struct token_list *list, int32_t id, struct err *err);
