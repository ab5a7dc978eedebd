/* tests/unit/golden_tokenizers.h - the tokenizers of tests/golden, with the ids of transformers and
 * sentencepiece (tests/bench/tokenizer_golden made them). */
#pragma once
#include "tests/unit/support.h"
#include "core/text/tokenizer.h"
#include <jansson.h>

static inline struct tokenizer *open_golden(const char *name)
{
    char *path = file_join(GOLDEN("tokenizers"), name);
    struct tokenizer *t = NULL;
    struct err err;

    assert_ok(tokenizer_from_path(path, &t, &err), err);
    free(path);
    return t;
}

/* Its cases, for json_decref(). */
static inline json_t *golden_cases(const char *name)
{
    char *path = NULL;
    json_t *cases;

    print_message("%s\n", name);
    assert_true(asprintf(&path, "%s/%s/cases.json", GOLDEN("tokenizers"), name) > 0);
    cases = json_load_file(path, 0, NULL);
    assert_true(json_array_size(cases) > 20);
    free(path);
    return cases;
}

/* The ids of a case's text, which are those of the case; raw: without those that are added. */
static inline struct token_list ids_of_case(const struct tokenizer *t, bool raw, const json_t *one)
{
    const json_t *text = json_object_get(one, "text"), *ids = json_object_get(one, "ids"), *id;
    const char *bytes = json_string_value(text);
    size_t len = json_string_length(text), i;
    struct token_list list = {0};
    struct err err;

    assert_ok(raw ? tokenizer_encode_raw(t, bytes, len, &list, &err)
                  : tokenizer_encode(t, bytes, len, &list, &err),
              err);
    if ((size_t)list.n != json_array_size(ids))
        fail_msg("'%s': %d ids, not %zu", bytes, list.n, json_array_size(ids));
    json_array_foreach(ids, i, id) if (list.ids[i] != json_integer_value(id))
        fail_msg("'%s': id %zu is %d, not %lld", bytes, i, list.ids[i], json_integer_value(id));
    return list;
}
