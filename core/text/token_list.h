/* core/text/token_list.h - a growing list of token ids. */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stdint.h>

struct token_list { /* zero-initialise; free with token_list_free() */
    int32_t *ids;
    int n, cap;
    bool places;      /* begins is kept; set while the list is empty */
    uint32_t *begins; /* where each token begins, in bytes of whatever is encoded */
};
/* begin is of no interest unless list->places is set. */
int token_list_push(struct token_list *list, int32_t id, uint32_t begin, struct err *err);
void token_list_free(struct token_list *list);
