/* tests/unit/text/test_tokenizer_write.c - a tokenizer that became keys of a GGUF and was read back
 * gives the ids of transformers and sentencepiece (tests/bench/tokenizer_golden made them); one
 * that cannot become them is refused with its reasons, all at once. */
#include "tests/unit/golden_tokenizers.h"
#include "tests/unit/written_tokenizers.h"
#include "core/tensor/tensorfile.h"
#include "core/text/tokenizer_write.h"

struct written {
    struct buf image, notices;
    struct problems problems;
};

static struct written write_keys(const struct tokenizer *t, int n_tokens)
{
    const struct tokenizer_writing w = {.tokenizer = t, .from = "here", .n_tokens = n_tokens};
    struct gguf_out o = {.alignment = GGUF_ALIGNMENT};
    struct written ret = {0};
    struct err err;

    assert_ok(tokenizer_write_gguf(&w, &o, &ret.notices, &ret.problems, &err), err);
    assert_ok(gguf_out_header(&o, &ret.image, &err), err);
    gguf_out_free(&o);
    return ret;
}

static void free_written(struct written *w)
{
    buf_free(&w->image);
    buf_free(&w->notices);
    problems_free(&w->problems);
}

/* ---- what can be said ---- */

static void comes_back(const char *name, bool raw)
{
    struct tokenizer *t = open_golden(name), *back = NULL;
    struct written w = write_keys(t, tokenizer_vocab(t) + 3);
    struct tensorfile *file = NULL;
    json_t *cases = golden_cases(name), *one;
    struct err err;
    size_t i;

    if (w.problems.n)
        fail_msg("%s", w.problems.items[0].text);
    assert_ok(tensorfile_from_memory(w.image.data, w.image.len, name, &file, &err), err);
    assert_ok(tokenizer_from_gguf(file, &back, &err), err);
    json_array_foreach(cases, i, one)
    {
        struct token_list list = ids_of_case(back, raw, one);
        token_list_free(&list);
    }
    assert_int_equal(tokenizer_vocab(back), tokenizer_vocab(t) + 3);
    assert_int_equal(tokenizer_eos(back), tokenizer_eos(t));
    assert_int_equal(tokenizer_adds_bos(back), tokenizer_adds_bos(t));
    json_decref(cases);
    tokenizer_free(back);
    tensorfile_close(file);
    free_written(&w);
    tokenizer_free(t);
}

static void ids_are_those_of_the_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(written_names) / sizeof(written_names[0]); i++)
        comes_back(written_names[i].name, written_names[i].raw);
}

/* ---- what cannot ---- */

static void is_refused(const struct tokenizer *t, int n_tokens, const char *words)
{
    struct written w = write_keys(t, n_tokens);
    char *text = problems_text(&w.problems);

    assert_non_null(text);
    if (!strstr(text, words))
        fail_msg("'%s' is not said: %s", words, text);
    free(text);
    free_written(&w);
}

static void golden_is_refused(const char *name, const char *words)
{
    struct tokenizer *t = open_golden(name);

    is_refused(t, tokenizer_vocab(t), words);
    tokenizer_free(t);
}

static void what_has_no_word_is_refused(void **state)
{
    (void)state;
    golden_is_refused("behaviours", "do not do what those of SentencePiece do");
    golden_is_refused("config", "'<spec>' has the flag rstrip");
    golden_is_refused("llama", "no merge makes 'es\xe2\x96\x81' of 'es' and '\xe2\x96\x81'");
    golden_is_refused("meta_always", "it has no byte_fallback");
    golden_is_refused("meta_first", "Metaspace cuts at every blank");
    golden_is_refused("nfc_added", "none of the patterns that have a name");
    golden_is_refused("nfd_blank", "its normalizer has no name");
    golden_is_refused("pieces_rules", "precompiled_charsmap");
}

static void all_reasons_are_said_at_once(void **state)
{
    (void)state;
    golden_is_refused("nfc_added", "'<left>' has the flag lstrip");
    golden_is_refused("nfc_added", "'<norm>' has the flag lstrip");
    golden_is_refused("nfc_added", "'<word>' has the flag single_word");
    golden_is_refused("pieces_rules", "it has no byte_fallback");
}

static void a_model_with_fewer_tokens(void **state)
{
    struct tokenizer *t = open_golden("gpt2");

    (void)state;
    is_refused(t, 300, "has the id 300, and the model has 300 tokens");
    tokenizer_free(t);
}

static void added_tokens_beyond_the_model_are_left_out(void **state)
{
    struct tokenizer *t = open_golden("legacy");
    int last = tokenizer_vocab(t) - 1;
    struct written w = write_keys(t, last);

    (void)state;
    assert_int_equal(w.problems.n, 0);
    assert_non_null(strstr(w.notices.data, "which are left out: '<left>'"));
    free_written(&w);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_the_folder),
        cmocka_unit_test(what_has_no_word_is_refused),
        cmocka_unit_test(all_reasons_are_said_at_once),
        cmocka_unit_test(a_model_with_fewer_tokens),
        cmocka_unit_test(added_tokens_beyond_the_model_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
