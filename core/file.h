/* core/file.h - files written so that a crash leaves the old or the new, never a mixture. */
#pragma once
#include "core/err.h"
#include <stddef.h>

/* Writes path by temporary file, fsync, rename, fsync of the folder. */
int file_write_durably(const char *path, const void *bytes, size_t len, struct err *err);

/* The same, readable and writable by its owner alone from the first byte on. */
int file_write_secret(const char *path, const void *bytes, size_t len, struct err *err);

/* The whole file, NUL-terminated; the caller frees *ret_bytes. */
int file_read(const char *path, char **ret_bytes, size_t *ret_len, struct err *err);

/* The same from an offset on; past the end: nothing. */
int file_read_from(const char *path, long offset, char **ret_bytes, size_t *ret_len,
                   struct err *err);

/* mkdir -p, mode 0777 less umask. */
int file_make_folders(const char *path, struct err *err);

/* "a/b": caller frees; NULL for lack of memory. b alone where it is absolute or a is NULL. */
char *file_join(const char *a, const char *b);

/* Takes the lock of a file, which is made if it is not there, for as long as the process lives or until *ret_fd is closed. Waits
 * at most wait_ms; ERR_STATE when another process keeps it. Works on NFS (POSIX locks). */
int file_lock(const char *path, int wait_ms, int *ret_fd, struct err *err);
