/* core/text/unpack.h - the bytes of a file from front to end, unpacked where it was packed by gzip
 * or zstd. Which of these it is, its first bytes say, not its name.
 *
 * Memory is bounded, whatever the file says: 128 KiB for itself, and for zstd the window of a
 * frame, at most 128 MiB. How much comes out is the caller's to bound.
 */
#pragma once
#include "core/err.h"
#include <stddef.h>

struct unpack;

/* Opens a regular file. Errors are those of file_open(). */
int unpack_open(const char *path, struct unpack **ret, struct err *err);
void unpack_close(struct unpack *u);
/* "gzip", "zstd", or NULL for a file that is not packed. */
const char *unpack_format(const struct unpack *u);

/* Reads at most cap bytes (of at least 1): *ret_n of them, 0 only at the end. ERR_INVALID, without
 * the file's name, where the file is damaged, cut off, or became shorter since it was opened. */
int unpack_read(struct unpack *u, char *to, size_t cap, size_t *ret_n, struct err *err);

/* A whole file, of at most max bytes when it is unpacked, NUL-terminated; the caller frees
 * *ret_bytes. Errors have the path in them. */
int unpack_file(const char *path, size_t max, char **ret_bytes, size_t *ret_len, struct err *err);
