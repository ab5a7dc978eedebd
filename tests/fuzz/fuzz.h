/* tests/fuzz/fuzz.h - what the targets of libFuzzer share. A target is a file with one function
 * that is given any bytes; it must neither crash nor say that it failed without words.
 */
#pragma once
#include "core/err.h"
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory, for parsers that take a path. */
struct fuzz_file {
    int fd;
    char path[40];
};

static inline void fuzz_file_open(struct fuzz_file *f)
{
    f->fd = memfd_create("fuzz", 0);
    assert(f->fd >= 0);
    snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->fd);
}

static inline void fuzz_file_write(const struct fuzz_file *f, const void *bytes, size_t len)
{
    if (ftruncate(f->fd, 0) < 0 || pwrite(f->fd, bytes, len, 0) != (ssize_t)len)
        abort();
}

/* A folder in memory with files, which lasts as long as the process: names ends with NULL. */
static inline void fuzz_folder_open(const char *const *names, struct fuzz_file *files,
                                    char ret_folder[40])
{
    char path[200];
    int i;

    strcpy(ret_folder, "/dev/shm/dash-fuzz-XXXXXX");
    if (!mkdtemp(ret_folder))
        abort();
    for (i = 0; names[i]; i++) {
        snprintf(path, sizeof(path), "%s/%s", ret_folder, names[i]);
        files[i].fd = open(path, O_RDWR | O_CREAT, 0600);
        assert(files[i].fd >= 0);
    }
}

/* A result of one of our functions: what fails says so, in words. */
static inline int fuzz_check(int rc, const struct err *err)
{
    assert(rc >= 0 || (err->code == rc && err->text[0]));
    return rc;
}

/* The bytes as a text; caller frees. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    assert(text);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}
