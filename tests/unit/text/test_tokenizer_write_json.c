/* tests/unit/text/test_tokenizer_write_json.c - a tokenizer of a GGUF that became tokenizer.json
 * and was read back gives the ids of transformers and sentencepiece (tests/bench/tokenizer_golden
 * made them; real vocabularies are in test_vocabularies.c); one that cannot become that is refused
 * with its reasons, all at once. */
#include "tests/unit/golden_tokenizers.h"
#include "tests/unit/written_tokenizers.h"

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, BYTE = 6 };

/* ---- what can be said ---- */

static struct buf keys_of(const struct tokenizer *t)
{
    const struct tokenizer_writing w = {
        .tokenizer = t, .from = "here", .n_tokens = tokenizer_vocab(t)};
    struct gguf_out o = {.alignment = GGUF_ALIGNMENT};
    struct problems problems = {0};
    struct buf notices = {0}, image = {0};
    struct err err;

    assert_ok(tokenizer_write_gguf(&w, &o, &notices, &problems, &err), err);
    assert_int_equal(problems.n, 0);
    assert_ok(gguf_out_header(&o, &image, &err), err);
    gguf_out_free(&o);
    buf_free(&notices);
    return image;
}

static void comes_back(const char *name, bool raw)
{
    struct tokenizer *golden = open_golden(name);
    struct buf image = keys_of(golden);
    struct tokenizer *t = tokenizer_of_keys(&image), *back = through_folder(t);
    json_t *cases = golden_cases(name), *one;
    size_t i;

    json_array_foreach(cases, i, one)
    {
        struct token_list list = ids_of_case(back, raw, one);
        token_list_free(&list);
    }
    json_decref(cases);
    tokenizer_free(back);
    tokenizer_free(t);
    tokenizer_free(golden);
    buf_free(&image);
}

static void ids_are_those_of_the_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(written_names) / sizeof(written_names[0]); i++)
        comes_back(written_names[i].name, written_names[i].raw);
}

/* ---- small vocabularies of pieces ---- */

struct piece {
    const char *text;
    float score;
    int type;
};

enum { PIECES_MAX = 40 };

static struct buf keys_of_pieces(const struct piece *pieces, int n, bool collapse)
{
    struct gguf_out o = {.alignment = GGUF_ALIGNMENT};
    float scores[PIECES_MAX];
    int32_t types[PIECES_MAX];
    struct buf image = {0};
    struct err err;

    gguf_put_string(&o, "tokenizer.ggml.model", "llama");
    gguf_begin_texts(&o, "tokenizer.ggml.tokens", (size_t)n);
    for (int i = 0; i < n; i++) {
        gguf_add_text(&o, pieces[i].text, strlen(pieces[i].text));
        scores[i] = pieces[i].score;
        types[i] = pieces[i].type;
    }
    gguf_put_f32s(&o, "tokenizer.ggml.scores", scores, (size_t)n);
    gguf_put_i32s(&o, "tokenizer.ggml.token_type", types, (size_t)n);
    gguf_put_bool(&o, "tokenizer.ggml.add_space_prefix", false);
    gguf_put_bool(&o, "tokenizer.ggml.remove_extra_whitespaces", collapse);
    assert_ok(gguf_out_header(&o, &image, &err), err);
    gguf_out_free(&o);
    return image;
}

#define N(list) (int)(sizeof(list) / sizeof((list)[0]))

static struct token_list ids_of(const struct tokenizer *t, const char *text)
{
    struct token_list list = {0};
    struct err err;

    assert_ok(tokenizer_encode(t, text, strlen(text), &list, &err), err);
    return list;
}

static void gives(const struct tokenizer *t, const char *text, const int *ids, int n)
{
    struct token_list list = ids_of(t, text);

    assert_int_equal(list.n, n);
    for (int i = 0; i < n; i++)
        assert_int_equal(list.ids[i], ids[i]);
    token_list_free(&list);
}

static void the_highest_score_is_merged_first(void **state)
{
    static const struct piece pieces[] = {
        {"<unk>", 0, UNKNOWN}, {"<s>", 0, CONTROL},     {"</s>", 0, CONTROL}, {"a", -9, NORMAL},
        {"b", -9, NORMAL},     {"c", -9, NORMAL},       {"bc", -1, NORMAL},   {"ab", -2, NORMAL},
        {"abc", -3, NORMAL},   {"<u>", 0, USER_DEFINED}};
    static const int abc[] = {1, 8}, ab[] = {1, 7}, user[] = {1, 3, 9, 6}, unknown[] = {1, 3, 0, 4};
    struct buf image = keys_of_pieces(pieces, N(pieces), false);
    struct tokenizer *t = tokenizer_of_keys(&image), *back = through_folder(t);
    struct token_list list;

    (void)state;
    list = ids_of(back, "");
    assert_int_equal(list.n, 0);
    token_list_free(&list);
    gives(back, "abc", abc + 1, 1);
    gives(back, "ab", ab + 1, 1);
    gives(back, "a<u>bc", user + 1, 3);
    gives(back, "axxb", unknown + 1, 3); /* unknown characters in a row are one token */
    tokenizer_free(back);
    tokenizer_free(t);
    buf_free(&image);
}

/* Runs of one score grow from the left. */
static void runs_that_share_a_score(void **state)
{
    static const struct piece pieces[] = {{"<unk>", 0, UNKNOWN}, {"<s>", 0, CONTROL},
                                          {"</s>", 0, CONTROL},  {"a", -9, NORMAL},
                                          {"aa", -1, NORMAL},    {"aaa", -1, NORMAL}};
    static const int seven[] = {5, 5, 3};
    struct buf image = keys_of_pieces(pieces, N(pieces), false);
    struct tokenizer *t = tokenizer_of_keys(&image), *back = through_folder(t);

    (void)state;
    gives(t, "aaaaaaa", seven, 3);
    gives(back, "aaaaaaa", seven, 3);
    tokenizer_free(back);
    tokenizer_free(t);
    buf_free(&image);
}

/* What stands for unknown characters is in no text. */
static void an_unknown_token_merges_with_nothing(void **state)
{
    static const struct piece pieces[] = {{"?", 0, UNKNOWN},
                                          {"<s>", 0, CONTROL},
                                          {"</s>", 0, CONTROL},
                                          {"a", -9, NORMAL},
                                          {"a?", -1, NORMAL}};
    static const int unknown[] = {3, 0};
    struct buf image = keys_of_pieces(pieces, N(pieces), false);
    struct tokenizer *t = tokenizer_of_keys(&image), *back = through_folder(t);

    (void)state;
    gives(t, "ax", unknown, 2);
    gives(back, "ax", unknown, 2);
    tokenizer_free(back);
    tokenizer_free(t);
    buf_free(&image);
}

/* ---- what cannot ---- */

static void pieces_are_refused(const struct piece *pieces, int n, bool collapse, int n_tokens,
                               const char *words)
{
    struct buf image = keys_of_pieces(pieces, n, collapse);
    struct tokenizer *t = tokenizer_of_keys(&image);
    struct written_folder w = write_folder(t, n_tokens);
    char *text = problems_text(&w.problems);

    assert_true(w.problems.n > 0);
    assert_contains(text, words);
    free(text);
    free_written_folder(&w);
    tokenizer_free(t);
    buf_free(&image);
}

static void what_no_list_of_merges_does_is_refused(void **state)
{
    static const struct piece ties[] = {{"a", -9, NORMAL},
                                        {"b", -9, NORMAL},
                                        {"ab", -1, NORMAL},
                                        {"ba", -1, NORMAL},
                                        {"<unk>", 0, UNKNOWN}};
    static const struct piece lacks[] = {
        {"a", -9, NORMAL}, {"c", -9, NORMAL}, {"ab", -1, NORMAL}, {"<unk>", 0, UNKNOWN}};
    static const struct piece unknown[] = {
        {"a", -9, NORMAL}, {"b", -9, NORMAL}, {"ab", -1, NORMAL}, {"<0x41>", 0, BYTE}};

    (void)state;
    pieces_are_refused(ties, N(ties), false, N(ties), "the pieces 'ab' and 'ba' have one score");
    pieces_are_refused(lacks, N(lacks), false, N(lacks),
                       "the piece 'ab' has a character that is no piece");
    pieces_are_refused(unknown, N(unknown), false, N(unknown),
                       "it has neither a token of type unknown nor all the tokens <0x00>");
}

static void all_reasons_are_said_at_once(void **state)
{
    static const struct piece pieces[] = {
        {"a", -9, NORMAL}, {"a", -9, NORMAL}, {"\xff", -1, NORMAL}, {"d", -1, NORMAL}};

    (void)state;
    pieces_are_refused(pieces, N(pieces), true, 3, "the ids 0 and 1 have the same text, 'a'");
    pieces_are_refused(pieces, N(pieces), true, 3, "the token of id 2 is not UTF-8");
    pieces_are_refused(pieces, N(pieces), true, 3, "'d' has the id 3, and the model has 3 tokens");
    pieces_are_refused(pieces, N(pieces), true, 3, "remove_extra_whitespaces is not supported");
}

static void a_name_for_a_part_of_words_is_reported(void **state)
{
    static const struct piece pieces[] = {
        {"<unk>", 0, UNKNOWN}, {"<s>", 0, CONTROL}, {"end", -9, NORMAL}};
    struct buf image = keys_of_pieces(pieces, N(pieces), false);
    struct tokenizer *t = tokenizer_of_keys(&image);
    struct written_folder w = write_folder(t, N(pieces));

    (void)state;
    assert_int_equal(w.problems.n, 0);
    assert_contains(w.notices.data, "finds the token 'end', its eos_token, in texts");
    free_written_folder(&w);
    tokenizer_free(t);
    buf_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_the_folder),
        cmocka_unit_test(the_highest_score_is_merged_first),
        cmocka_unit_test(runs_that_share_a_score),
        cmocka_unit_test(an_unknown_token_merges_with_nothing),
        cmocka_unit_test(what_no_list_of_merges_does_is_refused),
        cmocka_unit_test(all_reasons_are_said_at_once),
        cmocka_unit_test(a_name_for_a_part_of_words_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
