/* core/file.h - files written so that a crash leaves the old or the new, never a mixture, and read
 * so that what lies in a folder of several users can neither block nor exhaust the reader.
 */
#pragma once
#include "core/err.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Writes path by temporary file, fsync, rename, fsync of the folder. The temporary file is a new
 * one: a symbolic link is never followed. */
int file_write_durably(const char *path, const void *bytes, size_t len, struct err *err);

/* The same of folder/name. */
int file_write_in(const char *folder, const char *name, const void *bytes, size_t len,
                  struct err *err);
/* Removes folder/name, if it is there. */
int file_remove_in(const char *folder, const char *name, struct err *err);

/* The same as file_write_durably(), readable and writable by its owner alone from the first byte
 * on. */
int file_write_secret(const char *path, const void *bytes, size_t len, struct err *err);

/* A file that is written piece by piece, and has its name once it is whole and on the disk. */
struct file_writer {
    int fd;
    char *path, *temporary; /* owned */
};

int file_writer_open(const char *path, mode_t mode, struct file_writer *ret, struct err *err);
int file_writer_add(struct file_writer *w, const void *bytes, size_t len, struct err *err);
/* Ends the writer, whether it succeeds or not; nothing is left where it does not. */
int file_writer_commit(struct file_writer *w, struct err *err);
void file_writer_abandon(struct file_writer *w); /* a zeroed one too */

/* The same for a folder: files are written into `temporary`, durably. What is at path when it is
 * committed is replaced, with all that is in it. */
struct folder_writer {
    char *path, *temporary; /* owned */
};

int folder_writer_open(const char *path, struct folder_writer *ret, struct err *err);
int folder_writer_commit(struct folder_writer *w, struct err *err);
void folder_writer_abandon(struct folder_writer *w); /* a zeroed one too */

/* ERR_IO where the file system on which path is to be has less than that free. */
int file_check_space(const char *path, uint64_t bytes, struct err *err);

/* Removes the temporary files of writers that died in this folder. Only for a folder with one
 * writer, which calls it before it writes. */
void file_remove_temporaries(const char *folder);

enum { FILE_SMALL_MAX = 1 << 20 }; /* bytes of a description, a marker, a state */

/* Opens a regular file for reading; *ret_size is its size. ERR_INVALID where it is something else,
 * such as a FIFO, which is not waited for. */
int file_open(const char *path, int *ret_fd, int64_t *ret_size, struct err *err);
/* The same for a file in a folder that others may write: a symbolic link is refused too. */
int file_open_no_link(const char *path, int *ret_fd, int64_t *ret_size, struct err *err);
/* Opens a regular file, made with this mode if it is not there, for reading and for appending; a
 * symbolic link is refused. */
int file_open_append(const char *path, mode_t mode, int *ret_fd, struct err *err);

/* A whole regular file of at most max bytes (less than SIZE_MAX / 2), NUL-terminated; the caller
 * frees *ret_bytes. Errors as file_open()'s; ERR_INVALID where it is larger. */
int file_read(const char *path, size_t max, char **ret_bytes, size_t *ret_len, struct err *err);
int file_read_no_link(const char *path, size_t max, char **ret_bytes, size_t *ret_len,
                      struct err *err);

/* What comes through a pipe or a terminal until its end, at most max bytes; name is for messages.
 */
int file_read_stream(int fd, const char *name, size_t max, char **ret_bytes, size_t *ret_len,
                     struct err *err);

/* At most max bytes of an open file from an offset on; past the end: nothing. */
int file_read_at(int fd, int64_t offset, const char *name, size_t max, char **ret_bytes,
                 size_t *ret_len, struct err *err);

/* mkdir -p, mode 0755 less umask: what is made here is never writable by others. */
int file_make_folders(const char *path, struct err *err);

/* The same for a folder that nobody but this user may enter (0700), whether it is new or not.
 * ERR_INVALID where it exists and is not this user's. */
int file_make_private_folder(const char *path, struct err *err);

/* "a/b": caller frees; NULL for lack of memory. b alone where it is absolute or a is NULL. */
char *file_join(const char *a, const char *b);

/* Opens a lock file, made if it is not there, that only its owner can open, and so only its owner
 * can lock. ERR_INVALID where it is not this user's. */
int file_open_lock(const char *path, int *ret_fd, struct err *err);

/* Opens and locks a file for as long as the process lives or until *ret_fd is closed. Waits at most
 * wait_ms; ERR_STATE when another process holds the lock. Works on NFS (POSIX locks). */
int file_lock(const char *path, int wait_ms, int *ret_fd, struct err *err);
/* "folder of path"/name; NULL for lack of memory. */
char *file_beside(const char *path, const char *name);
