/* tests/unit/text/test_tokenizer.c - ids are those of HF's tokenizers, whichever file they come
 * from; what cannot be done exactly is refused. */
#include "tests/unit/small_tokenizer.h"
#include "core/text/chat_source.h"
#include <pthread.h>

static struct token_list encode(const struct tokenizer *t, const char *text, size_t len)
{
    struct token_list list = {0};
    struct err err;

    assert_ok(tokenizer_encode(t, text, len, &list, &err), err);
    return list;
}

static void encodes_as(const struct tokenizer *t, const char *text, const int *ids, int n)
{
    struct token_list list = encode(t, text, strlen(text));

    assert_int_equal(list.n, n);
    for (int i = 0; i < n; i++)
        assert_int_equal(list.ids[i], ids[i]);
    free(list.ids);
}

#define ENCODES_AS(t, text, ...)                                                                   \
    do {                                                                                           \
        const int expected_[] = {__VA_ARGS__};                                                     \
        encodes_as(t, text, expected_, (int)(sizeof(expected_) / sizeof(expected_[0])));           \
    } while (0)

static char *decode(const struct tokenizer *t, const int32_t *ids, int n, bool skip_special)
{
    struct buf b = {0};
    struct err err;

    assert_ok(tokenizer_decode(t, ids, n, skip_special, &b, &err), err);
    return buf_take(&b);
}

/* The golden texts of SmolLM2's tokenizer. */
static void agrees_with_golden(const struct tokenizer *t)
{
    json_t *cases = json_load_file(GOLDEN("tokenizer_smollm2.json"), JSON_ALLOW_NUL, NULL), *one;
    size_t i, k;

    assert_true(json_array_size(cases) > 20);
    json_array_foreach(cases, i, one)
    {
        const json_t *text = json_object_get(one, "text"), *ids = json_object_get(one, "ids"), *id;
        const json_t *decoded = json_object_get(one, "decoded");
        struct token_list list = encode(t, json_string_value(text), json_string_length(text));
        char *back = decode(t, list.ids, list.n, false);
        if ((size_t)list.n != json_array_size(ids))
            fail_msg("'%s': %d ids, not %zu", json_string_value(text), list.n,
                     json_array_size(ids));
        json_array_foreach(ids, k, id) assert_int_equal(list.ids[k], json_integer_value(id));
        assert_memory_equal(back, json_string_value(decoded), json_string_length(decoded) + 1);
        free(back);
        free(list.ids);
    }
    json_decref(cases);
}

static struct tensorfile *open_smollm2(void)
{
    const char *path = getenv("DASH_SMOLLM2_GGUF");
    struct tensorfile *f;
    struct err err;

    if (!path || access(path, R_OK) != 0) {
        print_message("skipped: DASH_SMOLLM2_GGUF does not name the SmolLM2-135M GGUF\n");
        skip();
    }
    assert_ok(tensorfile_open(path, &f, &err), err);
    return f;
}

static void smollm2_gguf_agrees_with_the_hf_tokenizer(void **state)
{
    struct tensorfile *f = open_smollm2();
    struct tokenizer *t;
    struct err err;

    (void)state;
    assert_ok(tokenizer_from_gguf(f, &t, &err), err);
    tensorfile_close(f); /* nothing of it is needed any more */
    agrees_with_golden(t);
    assert_int_equal(tokenizer_vocab(t), 49152);
    assert_int_equal(tokenizer_eos(t), 2);
    assert_int_equal(tokenizer_bos(t), 1);
    assert_false(tokenizer_adds_bos(t));
    assert_int_equal(tokenizer_id(t, "<|im_start|>"), 1);
    assert_contains(chat_source_find(tokenizer_chat(t), "default")->text, "<|im_start|>");
    tokenizer_free(t);
}

/* SmolLM2's tokenizer.json, made of the lists in its GGUF. */
static json_t *smollm2_json(const struct tensorfile *f)
{
    const struct gguf_array *tokens = tensorfile_kv_array(f, "tokenizer.ggml.tokens");
    const struct gguf_array *merges = tensorfile_kv_array(f, "tokenizer.ggml.merges");
    json_t *root = small_json(), *model = json_object_get(root, "model");
    json_t *vocab = json_object(), *list = json_array(), *added = json_array();
    const uint8_t *at = NULL;
    const char *text;
    size_t len;

    for (int i = 0; gguf_next_text(tokens, &at, &text, &len); i++) {
        char *key = strndup(text, len);
        json_object_set_new(vocab, key, json_integer(i));
        free(key);
        if (i < 17)
            json_array_append_new(
                added, json_pack("{s:i, s:s%, s:b}", "id", i, "content", text, len, "special", 1));
    }
    for (at = NULL; gguf_next_text(merges, &at, &text, &len);)
        json_array_append_new(list, json_stringn(text, len));
    json_object_set_new(model, "vocab", vocab);
    json_object_set_new(model, "merges", list);
    json_object_set_new(root, "added_tokens", added);
    json_object_set_new(root, "pre_tokenizer",
                        json_pack("{s:s, s:[{s:s, s:b}, {s:s, s:b, s:b}]}", "type", "Sequence",
                                  "pretokenizers", "type", "Digits", "individual_digits", 1, "type",
                                  "ByteLevel", "add_prefix_space", 0, "use_regex", 1));
    return root;
}

static void smollm2_json_agrees_with_the_hf_tokenizer(void **state)
{
    struct tensorfile *f = open_smollm2();
    char *folder = new_folder();
    struct tokenizer *t;

    (void)state;
    small_write(folder, smollm2_json(f));
    tensorfile_close(f);
    t = small_open(folder, 1, 2);
    agrees_with_golden(t);
    assert_int_equal(tokenizer_vocab(t), 49152);
    tokenizer_free(t);
    remove_folder(folder);
}

/* ---- a GGUF of the small tokenizer, byte by byte ---- */

static void put_text(struct buf *b, const char *text)
{
    buf_put(b, strlen(text), 8);
    buf_puts(b, text);
}

static void put_kv_text(struct buf *b, const char *key, const char *text)
{
    put_text(b, key);
    buf_put(b, 8, 4);
    put_text(b, text);
}

static void put_kv_number(struct buf *b, const char *key, uint32_t v)
{
    put_text(b, key);
    buf_put(b, 4, 4);
    buf_put(b, v, 4);
}

static void put_list_head(struct buf *b, const char *key, int type, int n)
{
    put_text(b, key);
    buf_put(b, 9, 4);
    buf_put(b, (uint64_t)type, 4);
    buf_put(b, (uint64_t)n, 8);
}

static void put_small_lists(struct buf *b)
{
    json_t *vocab = small_vocab(), *merges = small_merge_list(false), *each;
    const char *by_id[256 + SMALL_MERGES] = {NULL}, *text;
    size_t i;

    json_object_foreach(vocab, text, each) by_id[json_integer_value(each)] = text;
    put_list_head(b, "tokenizer.ggml.tokens", 8, SMALL_VOCAB);
    for (i = 0; i < SMALL_START; i++)
        put_text(b, by_id[i]);
    for (i = 0; i < SMALL_SPECIALS; i++)
        put_text(b, small_specials[i]);
    put_list_head(b, "tokenizer.ggml.token_type", 5, SMALL_VOCAB);
    for (i = 0; i < SMALL_VOCAB; i++)
        buf_put(b, i < SMALL_START ? 1 : i < SMALL_END_X ? 3 : 4, 4);
    put_list_head(b, "tokenizer.ggml.merges", 8, SMALL_MERGES);
    json_array_foreach(merges, i, each) put_text(b, json_string_value(each));
    json_decref(vocab);
    json_decref(merges);
}

static struct buf small_gguf(const char *model, const char *pre)
{
    struct buf b = {0};

    buf_puts(&b, "GGUF");
    buf_put(&b, 3, 4);
    buf_put(&b, 0, 8);
    buf_put(&b, 8, 8);
    put_kv_text(&b, "general.architecture", "llama");
    put_kv_text(&b, "tokenizer.ggml.model", model);
    put_kv_text(&b, "tokenizer.ggml.pre", pre);
    put_kv_number(&b, "tokenizer.ggml.bos_token_id", SMALL_START);
    put_kv_number(&b, "tokenizer.ggml.eos_token_id", SMALL_END);
    put_small_lists(&b);
    return b;
}

static struct tokenizer *open_gguf(const struct buf *image)
{
    struct tensorfile *f;
    struct tokenizer *t;
    struct err err;

    assert_ok(tensorfile_from_memory(image->data, image->len, "small.gguf", &f, &err), err);
    assert_ok(tokenizer_from_gguf(f, &t, &err), err);
    tensorfile_close(f);
    return t;
}

static void merges_are_applied_lowest_rank_first(void **state)
{
    struct tokenizer *t = small_tokenizer();

    (void)state;
    ENCODES_AS(t, "hello", 259); /* h+e, l+l, he+ll, hell+o: before e+l and l+o */
    ENCODES_AS(t, " the", 262);  /* t is taken by the blank before h+e makes "the" */
    ENCODES_AS(t, "the", 261);
    ENCODES_AS(t, "aaaaa", 267, 'a');    /* ties to the left */
    ENCODES_AS(t, "elo", 256 + 14, 'o'); /* e+l before l+o */
    ENCODES_AS(t, "", );
    tokenizer_free(t);
}

/* The oracle: look through all pairs for the lowest rank, leftmost first, until none is left. */
static int merge_slowly(int *ids, int n, const int (*pairs)[3])
{
    for (;;) {
        int best = -1, at = -1;
        for (int i = 0; i + 1 < n; i++)
            for (int m = 0; m < SMALL_MERGES && (best < 0 || m < best); m++)
                if (pairs[m][0] == ids[i] && pairs[m][1] == ids[i + 1]) {
                    best = m;
                    at = i;
                }
        if (best < 0)
            return n;
        ids[at] = pairs[best][2];
        memmove(ids + at + 1, ids + at + 2, (size_t)(n - at - 2) * sizeof(*ids));
        n--;
    }
}

static void pairs_of_ids(const struct tokenizer *t, int (*pairs)[3])
{
    char left[64], right[64], joined[128];

    for (int m = 0; m < SMALL_MERGES; m++) {
        small_spell(small_merges[m].left, left);
        small_spell(small_merges[m].right, right);
        snprintf(joined, sizeof(joined), "%s%s", left, right);
        pairs[m][0] = tokenizer_id(t, left);
        pairs[m][1] = tokenizer_id(t, right);
        pairs[m][2] = tokenizer_id(t, joined);
        assert_true(pairs[m][0] >= 0 && pairs[m][1] >= 0 && pairs[m][2] == 256 + m);
    }
}

static void merging_agrees_with_a_slow_search_on_random_letters(void **state)
{
    struct tokenizer *t = small_tokenizer();
    int pairs[SMALL_MERGES][3], ids[64];
    uint64_t random = 99;
    char text[64];

    (void)state;
    pairs_of_ids(t, pairs);
    for (int round = 0; round < 5000; round++) {
        /* Short ones come again, and are found in the cache. */
        int n = 1 + (int)(next_random(&random) % (round % 2 ? 3 : 60));
        for (int i = 0; i < n; i++)
            text[i] = "heloatinger"[next_random(&random) % 11]; /* one piece of letters */
        for (int i = 0; i < n; i++)
            ids[i] = (unsigned char)text[i];
        text[n] = '\0';
        encodes_as(t, text, ids, merge_slowly(ids, n, pairs));
    }
    tokenizer_free(t);
}

static void gguf_and_json_agree(void **state)
{
    struct buf image = small_gguf("gpt2", "gpt-2");
    struct tokenizer *a = small_tokenizer(), *b = open_gguf(&image);
    static const char alphabet[] = "helloatinger  12\n\xc3\xa9\xe6\x97\xa5<|im_end|>x<|im_start|>";
    uint64_t random = 5;

    (void)state;
    assert_int_equal(tokenizer_vocab(a), SMALL_VOCAB);
    assert_int_equal(tokenizer_vocab(b), SMALL_VOCAB);
    assert_int_equal(tokenizer_eos(b), SMALL_END);
    assert_int_equal(tokenizer_bos(b), SMALL_START);
    for (int round = 0; round < 500; round++) {
        struct buf text = {0};
        struct token_list x, y;
        for (int i = 0; i < 10; i++) { /* whole characters of the alphabet, and runs of it */
            size_t from = next_random(&random) % 17;
            buf_append(&text, alphabet + from, 1);
            if (next_random(&random) % 4 == 0)
                buf_puts(&text, alphabet + 17);
        }
        x = encode(a, text.data, text.len);
        y = encode(b, text.data, text.len);
        assert_int_equal(x.n, y.n);
        assert_memory_equal(x.ids, y.ids, (size_t)x.n * sizeof(*x.ids));
        free(x.ids);
        free(y.ids);
        buf_free(&text);
    }
    tokenizer_free(a);
    tokenizer_free(b);
    buf_free(&image);
}

static void special_tokens_are_cut_out_the_longest_first(void **state)
{
    struct tokenizer *t = small_tokenizer();

    (void)state;
    ENCODES_AS(t, "<|im_start|>he<|im_end|>", SMALL_START, 256, SMALL_END);
    ENCODES_AS(t, "<|im_end|>x<|im_end|>", SMALL_END_X, SMALL_END);
    ENCODES_AS(t, "<|im", '<', '|', 'i', 'm');
    assert_int_equal(tokenizer_id(t, "<|im_end|>"), SMALL_END);
    assert_int_equal(tokenizer_id(t, "\xc4\xa0t"),
                     260); /* a blank and t, as the vocabulary spells it */
    assert_int_equal(tokenizer_id(t, "nothing like it"), -1);
    tokenizer_free(t);
}

static void decoding_shows_or_skips_special_tokens(void **state)
{
    static const int32_t ids[] = {SMALL_START, 259, SMALL_END_X, SMALL_END};
    struct tokenizer *t = small_tokenizer();
    char *all = decode(t, ids, 4, false), *some = decode(t, ids, 4, true);
    struct buf b = {0};
    struct err err;

    (void)state;
    assert_string_equal(all, "<|im_start|>hello<|im_end|>x<|im_end|>");
    assert_string_equal(some, "hello<|im_end|>x"); /* the last one is added but not special */
    assert_int_equal(tokenizer_decode(t, (int32_t[]){SMALL_VOCAB}, 1, false, &b, &err),
                     ERR_INVALID);
    assert_contains(err.text, "no token has the id 277");
    assert_int_equal(tokenizer_decode(t, (int32_t[]){-1}, 1, true, &b, &err), ERR_INVALID);
    buf_free(&b);
    free(all);
    free(some);
    tokenizer_free(t);
}

static int random_character(uint64_t *random, char *out)
{
    static const uint32_t limits[] = {0x80, 0x800, 0xd800, 0x110000};
    uint32_t c = (uint32_t)(next_random(random) % limits[next_random(random) % 4]);

    if (c >= 0xd800 && c < 0xe000)
        c = 'x';
    if (c < 0x80)
        return snprintf(out, 8, "%c", c ? (char)c : ' ');
    if (c < 0x800)
        return snprintf(out, 8, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 63));
    if (c < 0x10000)
        return snprintf(out, 8, "%c%c%c", 0xe0 | c >> 12, 0x80 | (c >> 6 & 63), 0x80 | (c & 63));
    return snprintf(out, 8, "%c%c%c%c", 0xf0 | c >> 18, 0x80 | (c >> 12 & 63), 0x80 | (c >> 6 & 63),
                    0x80 | (c & 63));
}

static void any_text_survives_encoding_and_decoding(void **state)
{
    struct tokenizer *t = small_tokenizer();
    uint64_t random = 31;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct buf text = {0};
        struct token_list list;
        char *back, one[8];
        for (uint64_t n = next_random(&random) % 30; n > 0; n--)
            buf_append(&text, one, (size_t)random_character(&random, one));
        list = encode(t, text.data ? text.data : "", text.len);
        back = decode(t, list.ids, list.n, false);
        assert_string_equal(back, text.data ? text.data : "");
        free(back);
        free(list.ids);
        buf_free(&text);
    }
    tokenizer_free(t);
}

static void text_that_is_not_utf8_is_refused_and_nothing_is_appended(void **state)
{
    static const char *const texts[] = {
        "ab\xff",         "ab\xc3", "ab\xc0\x80", "ab\xed\xa0\x80", "ab\xf4\x90\x80\x80",
        "ab\xe0\x80\x80", "ab\x80"};
    struct tokenizer *t = small_tokenizer();
    struct token_list list = encode(t, "he", 2);
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(tokenizer_encode(t, texts[i], strlen(texts[i]), &list, &err), ERR_INVALID);
        assert_contains(err.text, "at offset 2");
        assert_int_equal(list.n, 1);
    }
    free(list.ids);
    tokenizer_free(t);
}

static void text_of_a_megabyte_without_a_break_takes_no_minutes(void **state)
{
    enum { LEN = 1000000 };
    struct tokenizer *t = small_tokenizer();
    char *text = malloc(LEN);
    struct token_list list;

    (void)state;
    memset(text, 'a', LEN);
    list = encode(t, text, LEN); /* the test's deadline is the assertion */
    assert_int_equal(list.n, LEN / 4);
    free(list.ids);
    free(text);
    tokenizer_free(t);
}

static void what_has_no_token_is_left_out(void **state)
{
    json_t *root = small_json(), *model = json_object_get(root, "model");
    char *folder = new_folder();
    struct tokenizer *t;

    (void)state;
    json_object_del(json_object_get(model, "vocab"), "z");
    small_write(folder, root);
    t = small_open(folder, -1, -1);
    ENCODES_AS(t, "hzezz!", 256, '!'); /* h and e meet, and merge */
    tokenizer_free(t);
    write_text(folder, "tokenizer.json",
               "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, "
               "\"aab\": 3}, \"merges\": [\"a b\", \"a ab\"]}}");
    t = small_open(folder, -1, -1);
    ENCODES_AS(t, "axb", 2);
    ENCODES_AS(t, "axaxb", 3);
    ENCODES_AS(t, "xabx", 2);
    tokenizer_free(t);
    remove_folder(folder);
}

static void whole_piece_is_not_taken_apart_where_merges_are_ignored(void **state)
{
    struct buf image = small_gguf("gpt2", "llama-bpe");
    json_t *root = small_json(), *model = json_object_get(root, "model");
    json_t *merges = json_object_get(model, "merges");
    char *folder = new_folder();
    struct tokenizer *t;

    (void)state;
    json_array_remove(merges, 3); /* hell+o: "hello" is a token that no merge makes */
    json_object_set(model, "ignore_merges", json_true());
    small_write(folder, root);
    t = small_open(folder, -1, -1);
    ENCODES_AS(t, "hello", 259);
    ENCODES_AS(t, "hellohello", 258, 'o', 258, 'o');
    tokenizer_free(t);
    remove_folder(folder);
    t = open_gguf(&image);
    ENCODES_AS(t, "12212", 273, '2', 273); /* three digits a piece */
    assert_true(tokenizer_adds_bos(t));    /* llama-bpe does by default */
    tokenizer_free(t);
    buf_free(&image);
}

static void files_beside_tell_end_token_and_chat_template(void **state)
{
    char *folder = new_folder();
    struct tokenizer *t;

    (void)state;
    small_write(folder, small_json());
    write_text(folder, "tokenizer_config.json",
               "{\"eos_token\": {\"content\": \"<|im_end|>x\"}, \"bos_token\": \"<|im_end|>\","
               "\"model_max_length\": 1000000000000000019884624838656, \"x\": NaN,"
               "\"chat_template\": [{\"name\": \"tool\", \"template\": \"no\"},"
               "{\"name\": \"default\", \"template\": \"yes\"}]}");
    t = small_open(folder, 1, 2);
    assert_int_equal(tokenizer_eos(t), SMALL_END_X);
    assert_int_equal(tokenizer_bos(t), SMALL_END);
    assert_string_equal(chat_source_find(tokenizer_chat(t), "default")->text, "yes");
    assert_false(tokenizer_adds_bos(t));
    tokenizer_free(t);
    write_text(folder, "chat_template.jinja", "{{ messages }}");
    t = small_open(folder, 1, 2);
    assert_string_equal(chat_source_find(tokenizer_chat(t), "default")->text, "{{ messages }}");
    tokenizer_free(t);
    remove_folder(folder);
}

static void every_end_of_generation_config_ends_a_text(void **state)
{
    char *folder = new_folder();
    struct tokenizer *t;

    (void)state;
    small_write(folder, small_json());
    write_text(folder, "config.json", "{\"eos_token_id\": 5}"); /* counts without the other only */
    write_text(folder, "generation_config.json", "{\"eos_token_id\": [276, 275, -1, \"x\"]}");
    t = small_open(folder, -1, SMALL_END);
    assert_int_equal(tokenizer_eos(t), SMALL_END); /* the model's, else the first of the list */
    assert_true(tokenizer_is_end(t, SMALL_END) && tokenizer_is_end(t, SMALL_END_X));
    assert_false(tokenizer_is_end(t, 5) || tokenizer_is_end(t, -1));
    tokenizer_free(t);
    t = small_open(folder, -1, -1);
    assert_int_equal(tokenizer_eos(t), SMALL_END_X);
    tokenizer_free(t);
    write_text(folder, "generation_config.json", "{}");
    t = small_open(folder, -1, -1);
    assert_int_equal(tokenizer_eos(t), -1);
    tokenizer_free(t);
    remove_folder(folder);
}

static void template_processing_asks_for_a_begin_token(void **state)
{
    json_t *root = small_json();
    char *folder = new_folder();
    struct tokenizer *t;

    (void)state;
    json_object_set_new(
        root, "post_processor",
        json_pack("{s:s, s:[{s:s}, {s:s, s:[{s:{s:s}}, {s:{s:s}}], s:{s:{s:[i]}}}]}", "type",
                  "Sequence", "processors", "type", "ByteLevel", "type", "TemplateProcessing",
                  "single", "SpecialToken", "id", "<|im_start|>", "Sequence", "id", "A",
                  "special_tokens", "<|im_start|>", "ids", SMALL_START));
    small_write(folder, root);
    t = small_open(folder, -1, -1);
    assert_true(tokenizer_adds_bos(t));
    assert_int_equal(tokenizer_bos(t), SMALL_START);
    assert_int_equal(tokenizer_eos(t), -1);
    ENCODES_AS(t, "he", 256); /* never by encode itself */
    tokenizer_free(t);
    remove_folder(folder);
}

static void refused(const char *folder, int code, const char *words)
{
    char *path = file_join(folder, "tokenizer.json");
    struct tokenizer *t = NULL;
    struct err err;

    assert_int_equal(tokenizer_from_json(path, -1, -1, &t, &err), code);
    assert_null(t);
    assert_contains(err.text, words);
    assert_contains(err.text, path);
    free(path);
}

/* The small tokenizer with `where`.`key` replaced by the JSON `value` must be refused with these
 * words. */
static void refused_with(const char *where, const char *key, const char *value, int code,
                         const char *words)
{
    char *folder = new_folder();
    json_t *root = small_json(), *object = *where ? json_object_get(root, where) : root;

    assert_int_equal(json_object_set_new(object, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
    small_write(folder, root);
    refused(folder, code, words);
    remove_folder(folder);
}

static void what_cannot_be_done_is_refused_by_name(void **state)
{
    (void)state;
    refused_with("model", "type", "\"Unigram\"", ERR_UNSUPPORTED, "Unigram");
    refused_with("model", "end_of_word_suffix", "\"</w>\"", ERR_UNSUPPORTED, "end_of_word_suffix");
    refused_with("", "normalizer", "{\"type\": \"BertNormalizer\"}", ERR_UNSUPPORTED,
                 "normalizer 'BertNormalizer'");
    refused_with("", "normalizer", "{\"type\": \"Strip\", \"strip_left\": true}", ERR_INVALID,
                 "strip_right");
    refused_with("", "normalizer",
                 "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"(x\"}, \"content\": \"y\"}",
                 ERR_UNSUPPORTED, "the tokenizer's pattern '(x' has a '(' without its ')'");
    refused_with("", "pre_tokenizer", "{\"type\": \"WhitespaceSplit\"}", ERR_UNSUPPORTED,
                 "'WhitespaceSplit'");
    refused_with(
        "", "pre_tokenizer",
        "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"ByteLevel\"}, {\"type\": "
        "\"Digits\"}]}",
        ERR_UNSUPPORTED, "as the last step only");
    refused_with("", "pre_tokenizer",
                 "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Punctuation\"}, "
                 "{\"type\": \"ByteLevel\"}]}",
                 ERR_UNSUPPORTED, "'Punctuation'");
    refused_with("", "pre_tokenizer",
                 "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
                 "{\"String\": \"x\"}, \"behavior\": \"MergedWithBoth\"}, {\"type\": "
                 "\"ByteLevel\"}]}",
                 ERR_UNSUPPORTED, "'MergedWithBoth'");
}

/* Patterns with which a file once crashed its reader, or kept it busy without end. */
static void hostile_patterns_are_refused_by_name(void **state)
{
    static const char *const patterns[][2] = {
        {"(?(DEFINE)(?<x>.\\\\K))(?=(?&x))", "the condition '(?(DEFINE)'"},
        {"(?=.\\\\K)", "the escape '\\K'"},
        {"||(?R)|(?R)a", "'(?R)'"},
        {"(*NO_JIT)a", "the verb '(*NO_JIT)'"},
    };
    char *value = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        assert_true(asprintf(&value,
                             "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", "
                             "\"pattern\": {\"Regex\": \"%s\"}, \"behavior\": \"Isolated\"}, "
                             "{\"type\": \"ByteLevel\", \"add_prefix_space\": true}]}",
                             patterns[i][0]) > 0);
        refused_with("", "pre_tokenizer", value, ERR_UNSUPPORTED, patterns[i][1]);
        free(value);
    }
}

static void wrong_files_are_refused_in_words(void **state)
{
    char *folder = new_folder();

    (void)state;
    refused_with("model", "vocab", "{}", ERR_INVALID, "not of tokens that make a token");
    refused_with("model", "vocab", "{\"a\": -1}", ERR_INVALID, "'a' has no possible id");
    refused_with("model", "vocab", "{\"a\": 1e300}", ERR_INVALID, "'a' has no possible id");
    refused_with("model", "merges", "[7]", ERR_INVALID, "merge 0 is not two tokens");
    refused_with("model", "merges", "[\"h qq\"]", ERR_INVALID, "the merge 'h qq'");
    refused_with("model", "merges", "null", ERR_INVALID, "no merges");
    refused_with("", "added_tokens", "[{\"id\": 5, \"content\": \"<m>\"}]", ERR_INVALID,
                 "both have the id 5");
    refused_with("", "added_tokens", "[{\"id\": 5}]", ERR_INVALID, "no content");
    refused_with("", "model", "null", ERR_INVALID, "no model");
    write_text(folder, "tokenizer.json", "{\n\n\"a\" 7}");
    refused(folder, ERR_INVALID, "tokenizer.json:3: is not a JSON object");
    small_write(folder, small_json());
    write_text(folder, "tokenizer_config.json", "{");
    {
        char *path = file_join(folder, "tokenizer.json");
        struct tokenizer *t = NULL;
        struct err err;
        assert_int_equal(tokenizer_from_json(path, -1, -1, &t, &err), ERR_INVALID);
        assert_contains(err.text, "tokenizer_config.json:1");
        free(path);
    }
    remove_folder(folder);
}

static void gguf_refused(struct buf image, int code, const char *words)
{
    struct tensorfile *f;
    struct tokenizer *t = NULL;
    struct err err;

    assert_ok(tensorfile_from_memory(image.data, image.len, "small.gguf", &f, &err), err);
    assert_int_equal(tokenizer_from_gguf(f, &t, &err), code);
    assert_null(t);
    assert_contains(err.text, words);
    tensorfile_close(f);
    buf_free(&image);
}

static void unknown_gguf_tokenizers_are_refused_by_name(void **state)
{
    struct buf image = small_gguf("gpt2", "gpt-2");
    char *at = memmem(image.data, image.len, "tokenizer.ggml.merges", 21);

    (void)state;
    gguf_refused(small_gguf("t5", "default"), ERR_UNSUPPORTED, "tokenizer model 't5'");
    gguf_refused(small_gguf("llama", "default"), ERR_INVALID, "tokenizer.ggml.scores is missing");
    gguf_refused(small_gguf("gpt2", "kimi-k2"), ERR_UNSUPPORTED, "pre-tokenizer 'kimi-k2'");
    assert_non_null(at);
    at[20] = 'x';
    gguf_refused(image, ERR_INVALID, "tokenizer.ggml.merges is missing");
}

static void damaged_tokenizers_never_crash(void **state)
{
    struct buf image = small_gguf("gpt2", "smollm");
    char *folder = new_folder(), *path = file_join(folder, "tokenizer.json"), *text;
    json_t *root = small_json();
    uint64_t random = 77;
    struct token_list list;
    size_t len;

    (void)state;
    text = json_dumps(root, 0);
    len = strlen(text);
    for (int i = 0; i < 2000; i++) {
        struct tensorfile *f = NULL;
        struct tokenizer *t = NULL;
        struct err err;
        char *damaged = i % 2 ? damaged_copy(text, len, len, &random)
                              : damaged_copy(image.data, image.len, image.len, &random);
        if (i % 2) {
            write_file(folder, "tokenizer.json", damaged,
                       i % 4 == 1 ? len : len * (size_t)i / 2000);
            tokenizer_from_json(path, 0, 1, &t, &err);
        } else if (tensorfile_from_memory(damaged, image.len, "damaged", &f, &err) == 0) {
            tokenizer_from_gguf(f, &t, &err);
        }
        list = (struct token_list){0};
        if (t && tokenizer_encode(t, "hello the 12<|im_end|>x\n", 24, &list, &err) == 0)
            free(decode(t, list.ids, list.n, i % 3 == 0));
        free(list.ids);
        tokenizer_free(t);
        tensorfile_close(f);
        free(damaged);
    }
    json_decref(root);
    free(text);
    free(path);
    buf_free(&image);
    remove_folder(folder);
}

static void *encode_often(void *tokenizer)
{
    static const int expected[] = {259, 262, ' ', 273, SMALL_END};

    for (int i = 0; i < 200; i++) {
        struct token_list list = {0};
        struct err err;
        if (tokenizer_encode(tokenizer, "hello the 12<|im_end|>", 22, &list, &err) < 0 ||
            list.n != 5 || memcmp(list.ids, expected, sizeof(expected)) != 0)
            return "differs";
        free(list.ids);
    }
    return NULL;
}

static void threads_share_one_tokenizer(void **state)
{
    struct tokenizer *t = small_tokenizer();
    pthread_t threads[4];
    void *result;

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, encode_often, t), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smollm2_gguf_agrees_with_the_hf_tokenizer),
        cmocka_unit_test(smollm2_json_agrees_with_the_hf_tokenizer),
        cmocka_unit_test(merges_are_applied_lowest_rank_first),
        cmocka_unit_test(merging_agrees_with_a_slow_search_on_random_letters),
        cmocka_unit_test(gguf_and_json_agree),
        cmocka_unit_test(special_tokens_are_cut_out_the_longest_first),
        cmocka_unit_test(decoding_shows_or_skips_special_tokens),
        cmocka_unit_test(any_text_survives_encoding_and_decoding),
        cmocka_unit_test(text_that_is_not_utf8_is_refused_and_nothing_is_appended),
        cmocka_unit_test(text_of_a_megabyte_without_a_break_takes_no_minutes),
        cmocka_unit_test(what_has_no_token_is_left_out),
        cmocka_unit_test(whole_piece_is_not_taken_apart_where_merges_are_ignored),
        cmocka_unit_test(files_beside_tell_end_token_and_chat_template),
        cmocka_unit_test(every_end_of_generation_config_ends_a_text),
        cmocka_unit_test(template_processing_asks_for_a_begin_token),
        cmocka_unit_test(what_cannot_be_done_is_refused_by_name),
        cmocka_unit_test(hostile_patterns_are_refused_by_name),
        cmocka_unit_test(wrong_files_are_refused_in_words),
        cmocka_unit_test(unknown_gguf_tokenizers_are_refused_by_name),
        cmocka_unit_test(damaged_tokenizers_never_crash),
        cmocka_unit_test(threads_share_one_tokenizer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
