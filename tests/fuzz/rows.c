/* tests/fuzz/rows.c - any bytes as a data file, packed or not: rows or words come out, in order,
 * and nothing crashes. The first byte says whether the file's name ends in .csv.
 */
#include "core/text/rows.h"
#include "tests/fuzz/fuzz.h"

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
    static const char *const names[] = {"x", "x.csv", NULL};
    static struct fuzz_file files[2] = {{-1, ""}};
    static char folder[40];
    char path[60];
    int kind;

    if (size == 0)
        return 0;
    if (files[0].fd < 0)
        fuzz_folder_open(names, files, folder);
    kind = data[0] & 1;
    fuzz_file_write(&files[kind], data + 1, size - 1);
    snprintf(path, sizeof(path), "%s/%s", folder, names[kind]);
    read_all(path);
    return 0;
}
