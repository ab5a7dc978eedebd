/* core/text/id_store.h - the ids and labels of a data set's rows, one row behind another: in memory
 * while they are few, else in a file without a name that is mapped, so that the system can take
 * their memory back. */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include <stddef.h>
#include <stdint.h>

struct id_store {       /* zero-initialise */
    const char *folder; /* of the file; NULL: all stay in memory */
    struct buf waiting; /* what is not in the file */
    size_t in_file;     /* bytes */
    int fd;             /* valid where in_file > 0 */
    void *map;          /* once finished, where in_file > 0 */
    size_t mapped;      /* bytes */
};

/* Appends n ids, then n labels. *ret_at: where they begin, in bytes. */
int id_store_add(struct id_store *s, const int32_t *ids, const int32_t *labels, int n,
                 size_t *ret_at, struct err *err);
/* Nothing more is added. *ret_base, valid until it is closed: byte 0 of what was added. */
int id_store_finish(struct id_store *s, const char **ret_base, struct err *err);
void id_store_close(struct id_store *s);
