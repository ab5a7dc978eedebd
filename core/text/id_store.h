/* core/text/id_store.h - the ids and labels of a data set's rows, one row behind another: in memory
 * while they are few, else in a file without a name that is mapped, so that the system can take
 * their memory back.
 *
 * What was added never moves: another thread may read it while more is added. */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_chunk {
    char *base;  /* mapped, owned */
    size_t size; /* whole pages */
    size_t used;
    bool in_file;
};

struct id_store {       /* zero-initialise */
    const char *folder; /* of the file; NULL: all stay in memory */
    struct id_chunk *chunks;
    int n_chunks, cap;
    size_t bytes;     /* that were added */
    size_t in_memory; /* of chunks that are not in the file */
    size_t in_file;
    bool is_open; /* the file */
    int fd;
};

/* Appends n ids, then n labels. *ret_ids: where they are until the store is closed. */
int id_store_add(struct id_store *s, const int32_t *ids, const int32_t *labels, int n,
                 const int32_t **ret_ids, struct err *err);
/* Nothing more is added. */
int id_store_finish(struct id_store *s, struct err *err);
void id_store_close(struct id_store *s);
