/* tests/fuzz/tokenizers.c - any bytes as a tokenizer: the first byte says of which kind (0:
 * tokenizer.json, 1: tokenizer.model, 2: GGUF). What is accepted encodes a text, and decodes what
 * came of it. */
#include "core/buf.h"
#include "core/tensor/tensorfile.h"
#include "core/text/tokenizer.h"
#include "tests/fuzz/fuzz.h"

static const char text[] = "Hello w\xc3\xb6rld 123, <s> \xe4\xb8\xad\xe6\x96\x87 \n\t don't";

static int open_gguf(const char *path, struct tokenizer **ret, struct err *err)
{
    struct tensorfile *f = NULL;
    int rc = tensorfile_open(path, &f, err);

    if (rc == 0)
        rc = tokenizer_from_gguf(f, ret, err);
    tensorfile_close(f);
    return rc;
}

static int open_any(int kind, const char *path, struct tokenizer **ret, struct err *err)
{
    switch (kind) {
    case 0:
        return tokenizer_from_json(path, -1, -1, ret, err);
    case 1:
        return tokenizer_from_pieces(path, -1, -1, ret, err);
    default:
        return open_gguf(path, ret, err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_file file = {-1, ""};
    struct tokenizer *t = NULL;
    struct token_list ids = {0};
    struct buf back = {0};
    struct err err = {0};

    if (size == 0)
        return 0;
    if (file.fd < 0)
        fuzz_file_open(&file);
    fuzz_file_write(&file, data + 1, size - 1);
    if (fuzz_check(open_any(data[0] % 3, file.path, &t, &err), &err) < 0)
        return 0;
    if (fuzz_check(tokenizer_encode(t, text, sizeof(text) - 1, &ids, &err), &err) == 0)
        fuzz_check(tokenizer_decode(t, ids.ids, ids.n, false, &back, &err), &err);
    buf_free(&back);
    token_list_free(&ids);
    tokenizer_free(t);
    return 0;
}
