/* core/text/token_list.c - see token_list.h. Room doubles. */
#include "core/text/token_list.h"
#include <stdlib.h>

static int grow(struct token_list *list, struct err *err)
{
    size_t cap = list->cap ? 2 * (size_t)list->cap : 64;
    int32_t *ids = cap <= INT32_MAX ? realloc(list->ids, cap * sizeof(*ids)) : NULL;
    uint32_t *begins;

    if (!ids)
        return err_nomem(err, cap * sizeof(*ids));
    list->ids = ids;
    if (list->places) {
        begins = realloc(list->begins, cap * sizeof(*begins));
        if (!begins)
            return err_nomem(err, cap * sizeof(*begins));
        list->begins = begins;
    }
    list->cap = (int)cap;
    return 0;
}

int token_list_push(struct token_list *list, int32_t id, uint32_t begin, struct err *err)
{
    int rc = list->n == list->cap ? grow(list, err) : 0;

    if (rc < 0)
        return rc;
    if (list->places)
        list->begins[list->n] = begin;
    list->ids[list->n++] = id;
    return 0;
}

void token_list_free(struct token_list *list)
{
    free(list->ids);
    free(list->begins);
    *list = (struct token_list){0};
}
