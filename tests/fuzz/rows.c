/* tests/fuzz/rows.c - any bytes as a data file, packed or not: rows or words come out, in order,
 * and nothing crashes. The first byte says whether the file's name ends in .csv.
 */
#include "core/text/rows.h"
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory, and two names for it that last as long as the process. */
static int open_file(char names[2][100])
{
    char folder[] = "/tmp/fuzz-rows-XXXXXX";
    int fd = memfd_create("rows", 0);

    if (fd < 0 || !mkdtemp(folder))
        abort();
    snprintf(names[0], 100, "/proc/self/fd/%d", fd);
    snprintf(names[1], 100, "%s/x.csv", folder);
    if (symlink(names[0], names[1]) < 0)
        abort();
    return fd;
}

static void read_all(const char *path)
{
    struct rows *r = NULL;
    struct row row;
    struct err err = {0};
    int rc = rows_open(path, &r, &err), line = 0;

    while (rc >= 0 && (rc = rows_next(r, &row, &err)) > 0) {
        assert(!row.value != !row.fault);
        assert(row.line > line);
        line = row.line;
        json_decref(row.value);
    }
    assert(rc == 0 || (err.code == rc && err.text[0]));
    rows_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char names[2][100];
    static int fd = -1;

    if (size == 0)
        return 0;
    if (fd < 0)
        fd = open_file(names);
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data + 1, size - 1, 0) != (ssize_t)(size - 1))
        abort();
    read_all(names[data[0] & 1]);
    return 0;
}
