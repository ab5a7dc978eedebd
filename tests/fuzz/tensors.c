/* tests/fuzz/tensors.c - any bytes as a tensor file, safetensors or GGUF: what is accepted can be
 * read to its end. */
#include "core/tensor/tensorfile.h"
#include "tests/fuzz/fuzz.h"

enum { ELEMENTS_MAX = 1 << 14 };

static void read_first_row(const struct tensor *t)
{
    int64_t elements = tensor_row_elements(t);
    float *out;
    struct err err = {0};

    if (tensor_check_readable(t, &err) < 0 || tensor_elements(t) < 1 || elements < 1 ||
        elements > ELEMENTS_MAX)
        return;
    out = malloc((size_t)elements * sizeof(*out));
    assert(out);
    fuzz_check(tensor_read_f32(t, 0, 1, out, &err), &err);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_file file = {-1, ""};
    struct tensorfile *f = NULL;
    struct err err = {0};
    int i;

    if (file.fd < 0)
        fuzz_file_open(&file);
    fuzz_file_write(&file, data, size);
    if (fuzz_check(tensorfile_open(file.path, &f, &err), &err) < 0)
        return 0;
    for (i = 0; i < tensorfile_count(f); i++) {
        const struct tensor *t = tensorfile_at(f, i);
        assert(tensorfile_find(f, t->name));
        read_first_row(t);
    }
    tensorfile_close(f);
    return 0;
}
