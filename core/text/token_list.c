/* core/text/token_list.c - see token_list.h. Room doubles. */
#include "core/text/token_list.h"
#include <stdlib.h>

int token_list_push(struct token_list *list, int32_t id, struct err *err)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * (size_t)list->cap : 64;
        int32_t *ids = cap <= INT32_MAX ? realloc(list->ids, cap * sizeof(*ids)) : NULL;
        if (!ids)
            return err_nomem(err, cap * sizeof(*ids));
        list->ids = ids;
        list->cap = (int)cap;
    }
    list->ids[list->n++] = id;
    return 0;
}
