/* tests/unit/written_tokenizers.h - tokenizers as the keys of a GGUF and as the files of a folder,
 * and back. */
#pragma once
#include "tests/unit/support.h"
#include "core/tensor/tensorfile.h"
#include "core/text/tokenizer_write.h"
#include "core/text/tokenizer_write_json.h"

/* Golden tokenizers that both forms can say; raw: as ids_of_case() takes it. */
static const struct written_name {
    const char *name;
    bool raw;
} written_names[] = {
    {"gpt2", false}, {"legacy", false}, {"converted", false}, {"pieces_bytes", true}};

/* The tokenizer that the keys make; the image must live as long. */
static inline struct tokenizer *tokenizer_of_keys(const struct buf *image)
{
    struct tensorfile *file = NULL;
    struct tokenizer *t = NULL;
    struct err err;

    assert_ok(tensorfile_from_memory(image->data, image->len, "keys", &file, &err), err);
    assert_ok(tokenizer_from_gguf(file, &t, &err), err);
    tensorfile_close(file);
    return t;
}

struct written_folder {
    struct buf json, config, notices;
    struct problems problems;
};

static inline struct written_folder write_folder(const struct tokenizer *t, int n_tokens)
{
    const struct tokenizer_writing w = {
        .tokenizer = t, .from = "here", .n_tokens = n_tokens, .n_positions = 100};
    struct written_folder ret = {0};
    struct err err;

    assert_ok(tokenizer_write_json(&w, &ret.json, &ret.config, &ret.notices, &ret.problems, &err),
              err);
    return ret;
}

static inline void free_written_folder(struct written_folder *w)
{
    buf_free(&w->json);
    buf_free(&w->config);
    buf_free(&w->notices);
    problems_free(&w->problems);
}

/* The tokenizer out of a folder that was written; nothing was refused. */
static inline struct tokenizer *through_folder(const struct tokenizer *t)
{
    struct written_folder w = write_folder(t, tokenizer_vocab(t));
    struct tokenizer *back = NULL;
    char *folder = new_folder();
    struct err err;

    if (w.problems.n)
        fail_msg("%s", w.problems.items[0].text);
    write_file(folder, "tokenizer.json", w.json.data, w.json.len);
    write_file(folder, "tokenizer_config.json", w.config.data, w.config.len);
    assert_ok(tokenizer_from_folder(folder, -1, -1, &back, &err), err);
    assert_int_equal(tokenizer_eos(back), tokenizer_eos(t));
    assert_int_equal(tokenizer_bos(back), tokenizer_bos(t));
    assert_int_equal(tokenizer_adds_bos(back), tokenizer_adds_bos(t));
    assert_int_equal(tokenizer_behind(back), tokenizer_behind(t));
    remove_folder(folder);
    free_written_folder(&w);
    return back;
}
