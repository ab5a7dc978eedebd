/* worker/spectrum_cache.h - decompositions on disk, in a folder that all jobs of a user share.
 *
 * A file is named by the hash of its matrix, so that jobs on the same weights find it. Its time of
 * modification is that of its last use: where the files together exceed the limit, those that have
 * not been used longest are removed. Jobs remove files under a lock of the folder; a job whose file
 * is gone computes it again.
 */
#pragma once
#include "core/tensor/weight.h"
#include "worker/spectrum.h"
#include <stdbool.h>

struct spectrum_cache {
    const char *folder; /* NULL: nothing is kept */
    double max_bytes;
};

/* The path of the decomposition of W, or NULL without a folder or memory; the caller frees it. */
char *spectrum_cache_path(const struct spectrum_cache *c, const struct weight_rows *W);
/* Reads what is there and whole, and says that it was used. False otherwise, and for NULL. */
bool spectrum_cache_find(const char *path, int rows, int columns, struct spectrum *ret);
/* The same without reading all of it. */
bool spectrum_cache_has(const char *path, int rows, int columns);
/* Returns the bytes of its file; 0 if it cannot be stored. Removes other files if the limit
 * requires it. */
double spectrum_cache_put(const struct spectrum_cache *c, const char *path,
                          const struct spectrum *s);
