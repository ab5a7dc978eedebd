/* tests/unit/support.h - what the unit tests of core share: where the golden files are, folders of
 * their own, damaged copies of files. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/buf.h"
#include "core/err.h"
#include "core/file.h"
#include "core/problems.h"

#define GOLDEN(name) DASH_SOURCE_DIR "/tests/golden/" name

#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        if (!strstr(text, part))                                                                   \
            fail_msg("'%s' is not in: %s", part, text);                                            \
    } while (0)

/* Fails the test with err's text unless rc is 0. */
#define assert_ok(rc, err)                                                                         \
    do {                                                                                           \
        if ((rc) < 0)                                                                              \
            fail_msg("%s", (err).text);                                                            \
    } while (0)

/* A number of that many bytes, as a GGUF holds it. */
static inline void buf_put(struct buf *b, uint64_t v, int bytes)
{
    buf_append(b, &v, (size_t)bytes);
}

/* Zeros up to a GGUF's alignment. */
static inline void buf_pad(struct buf *b)
{
    while (b->len % 32)
        buf_put(b, 0, 1);
}

/* A new folder under TMPDIR; caller frees the name and removes the folder with remove_folder(). */
static inline char *new_folder(void)
{
    const char *under = getenv("TMPDIR");
    char *path = NULL;

    assert_true(asprintf(&path, "%s/dash-test-XXXXXX", under ? under : "/tmp") > 0);
    assert_non_null(mkdtemp(path));
    return path;
}

static inline void remove_folder(char *path)
{
    char *command = NULL;

    assert_true(asprintf(&command, "rm -rf '%s'", path) > 0);
    assert_int_equal(system(command), 0);
    free(command);
    free(path);
}

static inline void write_file(const char *folder, const char *name, const void *bytes, size_t len)
{
    char *path = file_join(folder, name);
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    free(path);
}

static inline void write_text(const char *folder, const char *name, const char *text)
{
    write_file(folder, name, text, strlen(text));
}

static inline void copy_file(const char *from, const char *folder, const char *name)
{
    struct err err;
    char *bytes;
    size_t len;

    assert_ok(file_read(from, 1 << 30, &bytes, &len, &err), err);
    write_file(folder, name, bytes, len);
    free(bytes);
}

/* xorshift64*: the same damage on every machine. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

/* A copy of exactly len bytes (a sanitizer sees any read past it) with 1 to 8 bytes changed in its
 * first `within` bytes. */
static inline char *damaged_copy(const char *bytes, size_t len, size_t within, uint64_t *random)
{
    char *copy = malloc(len ? len : 1);
    uint64_t n = 1 + next_random(random) % 8;

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    for (uint64_t i = 0; i < n && len > 0; i++)
        copy[next_random(random) % (within < len ? within : len)] ^=
            (char)(1 + next_random(random) % 255);
    return copy;
}

/* How often a damaged input is tried; under a sanitizer the same. */
enum { DAMAGES = 3000 };

/* A struct data_names of one file. */
#define ONE_FILE(path)                                                                             \
    (struct data_names)                                                                            \
    {                                                                                              \
        &(struct data_name){(char *)(path), 1}, 1                                                  \
    }
