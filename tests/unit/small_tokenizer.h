/* tests/unit/small_tokenizer.h - a byte-level BPE of 256 bytes, a few merges and three special
 * tokens, as tokenizer.json and as GGUF key-values. Byte b has id b; merges make ids from 256 on;
 * special tokens follow.
 */
#pragma once
#include "tests/unit/support.h"
#include "core/buf.h"
#include "core/tensor/tensorfile.h"
#include "core/text/tokenizer.h"
#include "core/text/vocab.h"
#include <jansson.h>

static const struct {
    const char *left, *right; /* as text, a blank being a blank */
} small_merges[] = {
    {"h", "e"},   {"l", "l"},   {"he", "ll"}, {"hell", "o"}, {" ", "t"},  {"t", "he"},
    {" t", "he"}, {"i", "n"},   {"in", "g"},  {"e", "r"},    {"a", "a"},  {"aa", "aa"},
    {" ", " "},   {"\n", "\n"}, {"e", "l"},   {"l", "o"},    {"o", "\n"}, {"1", "2"},
};
static const char *const small_specials[] = {"<|im_start|>", "<|im_end|>", "<|im_end|>x"};
enum {
    SMALL_MERGES = sizeof(small_merges) / sizeof(small_merges[0]),
    SMALL_SPECIALS = sizeof(small_specials) / sizeof(small_specials[0]),
    SMALL_START = 256 + SMALL_MERGES,
    SMALL_END,
    SMALL_END_X,
    SMALL_VOCAB,
};

/* The text in the alphabet of byte-level BPE. */
static inline void small_spell(const char *text, char *out)
{
    for (; *text; text++)
        out += vocab_spell_byte((uint8_t)*text, out);
    *out = '\0';
}

static inline json_t *small_vocab(void)
{
    json_t *vocab = json_object();
    char spelled[64], joined[32];

    for (int byte = 0; byte < 256; byte++) {
        spelled[vocab_spell_byte((uint8_t)byte, spelled)] = '\0';
        json_object_set_new(vocab, spelled, json_integer(byte));
    }
    for (int i = 0; i < SMALL_MERGES; i++) {
        snprintf(joined, sizeof(joined), "%s%s", small_merges[i].left, small_merges[i].right);
        small_spell(joined, spelled);
        json_object_set_new(vocab, spelled, json_integer(256 + i));
    }
    return vocab;
}

static inline json_t *small_merge_list(bool pairs)
{
    json_t *list = json_array();
    char left[64], right[64];

    for (int i = 0; i < SMALL_MERGES; i++) {
        small_spell(small_merges[i].left, left);
        small_spell(small_merges[i].right, right);
        json_array_append_new(list, pairs ? json_pack("[ss]", left, right)
                                          : json_sprintf("%s %s", left, right));
    }
    return list;
}

/* The root of a tokenizer.json, which the caller may change before it is written. */
static inline json_t *small_json(void)
{
    json_t *added = json_array();

    for (int i = 0; i < SMALL_SPECIALS; i++)
        json_array_append_new(added, json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id",
                                               SMALL_START + i, "content", small_specials[i],
                                               "special", i < 2, "normalized", 0, "lstrip", 0,
                                               "rstrip", 0, "single_word", 0));
    return json_pack(
        "{s:s, s:o, s:n, s:{s:s, s:b, s:b, s:b}, s:n, s:{s:s, s:n, s:n, s:b, s:o, s:o}}", "version",
        "1.0", "added_tokens", added, "normalizer", "pre_tokenizer", "type", "ByteLevel",
        "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 1, "post_processor", "model", "type",
        "BPE", "dropout", "unk_token", "ignore_merges", 0, "vocab", small_vocab(), "merges",
        small_merge_list(true));
}

/* Writes tokenizer.json to the folder; steals root. */
static inline void small_write(const char *folder, json_t *root)
{
    char *text = json_dumps(root, 0);

    assert_non_null(text);
    write_text(folder, "tokenizer.json", text);
    free(text);
    json_decref(root);
}

static inline struct tokenizer *small_open(const char *folder, int bos, int eos)
{
    char *path = file_join(folder, "tokenizer.json");
    struct tokenizer *t = NULL;
    struct err err;

    assert_ok(tokenizer_from_json(path, bos, eos, &t, &err), err);
    free(path);
    return t;
}

/* The usual one, from a folder that is gone when this returns. */
static inline struct tokenizer *small_tokenizer(void)
{
    char *folder = new_folder();
    struct tokenizer *t;

    small_write(folder, small_json());
    t = small_open(folder, SMALL_START, SMALL_END);
    remove_folder(folder);
    return t;
}
