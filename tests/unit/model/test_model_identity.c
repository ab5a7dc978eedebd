/* tests/unit/model/test_model_identity.c - equal copies of a model are one; whatever else differs
 * is found and named. */
#include "tests/unit/support.h"
#include "core/model/model_identity.h"

static struct err err;

static struct model_identity identify(const char *path)
{
    struct problems problems = {0};
    struct model_identity identity;
    struct model *m;

    assert_ok(model_open(path, &m, &problems, &err), err);
    assert_ok(model_identify(m, &identity, &err), err);
    model_close(m);
    return identity;
}

/* A copy of golden/tiny's model; the caller removes it. */
static char *copy_model(void)
{
    char *folder = new_folder();

    copy_file(GOLDEN("tiny/model/config.json"), folder, "config.json");
    copy_file(GOLDEN("tiny/model/model.safetensors"), folder, "model.safetensors");
    return folder;
}

static void copies_are_the_same(void **state)
{
    struct model_identity a = identify(GOLDEN("tiny/model")), b;
    char *folder = copy_model(), text[300];

    (void)state;
    b = identify(folder);
    assert_false(model_identity_differs(&a, &b, text, sizeof(text)));
    assert_false(model_identity_differs(&b, &a, text, sizeof(text)));
    remove_folder(folder);
}

static void every_bit_of_a_small_model_counts(void **state)
{
    struct model_identity a = identify(GOLDEN("tiny/model")), b;
    char *folder = copy_model(), *bytes, text[300];
    size_t len, at, i;
    uint64_t header;

    (void)state;
    assert_ok(file_read(GOLDEN("tiny/model/model.safetensors"), 1 << 30, &bytes, &len, &err), err);
    memcpy(&header, bytes, sizeof(header));
    for (i = 0; i < 20; i++) {
        at = sizeof(header) + header + (len - sizeof(header) - header - 1) * i / 19;
        bytes[at] ^= 1;
        write_file(folder, "model.safetensors", bytes, len);
        bytes[at] ^= 1;
        b = identify(folder);
        assert_true(model_identity_differs(&b, &a, text, sizeof(text)));
        assert_string_equal(text, "has other weights there than");
    }
    free(bytes);
    remove_folder(folder);
}

static void forms_of_the_same_weights_differ(void **state)
{
    struct model_identity a = identify(GOLDEN("tiny/model")),
                          b = identify(GOLDEN("tiny/model.gguf"));
    char text[300];

    (void)state;
    assert_true(model_identity_differs(&a, &b, text, sizeof(text)));
}

#define CHANGE(field, value, words)                                                                \
    do {                                                                                           \
        b = a;                                                                                     \
        b.config.field = value;                                                                    \
        assert_true(model_identity_differs(&b, &a, text, sizeof(text)));                           \
        assert_string_equal(text, words);                                                          \
    } while (0)

static void every_fact_counts_and_is_named(void **state)
{
    struct model_identity a = identify(GOLDEN("tiny/model")), b;
    char text[300];

    (void)state;
    CHANGE(n_layers, 3, "has 3 layers there but 4");
    CHANGE(vocab, 99, "has a vocabulary of 99 tokens there but 256");
    CHANGE(hidden, 32, "has hidden size 32 there but 64");
    CHANGE(n_heads, 7, "has 7 attention heads there but 4");
    CHANGE(n_kv_heads, 1, "has 1 key and value heads there but 2");
    CHANGE(head_dim, 8, "has head size 8 there but 16");
    CHANGE(rms_eps, 0.5, "has RMS norm epsilon 0.5 there but 1e-05");
    CHANGE(tied, !a.config.tied,
           a.config.tied ? "has tied embeddings: no there but yes"
                         : "has tied embeddings: yes there but no");
    CHANGE(intermediate, 1, text);
    CHANGE(max_positions, 1, text);
    CHANGE(window, 5, "has a sliding window of 5 tokens there but 0");
    CHANGE(layers[1], 7, "has other layers with a window or rope there than");
    CHANGE(rope[0].freq[2], 0.5, "has other rope frequencies there than");
    CHANGE(rope_pairs, 3, text);
    CHANGE(rope_long_from, 3, text);
    CHANGE(fused, true, text);
    CHANGE(biases[MODULE_Q], true, text);
    CHANGE(pre_norm, false, text);
    CHANGE(post_norm, true, text);
    CHANGE(qk_norm, QK_NORM_HEAD, text);
    CHANGE(activation, ACTIVATION_GELU, text);
    CHANGE(embedding_scale, 2, text);
    CHANGE(attention_scale, 2, text);
    CHANGE(residual_scale, 2, text);
    CHANGE(logit_scale, 2, text);
    CHANGE(attention_cap, 2, text);
    CHANGE(logit_cap, 2, text);
    CHANGE(bos_id, -7, text);
    CHANGE(eos_id, -7, text);
    CHANGE(architecture[0], 'X', text);
}

/* What came in a message may hold anything. */
static void any_bytes_can_be_compared(void **state)
{
    struct model_identity a = identify(GOLDEN("tiny/model")), b;
    char text[300];

    (void)state;
    memset(&b, 0xff, sizeof(b));
    assert_true(model_identity_differs(&a, &b, text, sizeof(text)));
    b = a;
    memset(b.config.architecture, 'x', sizeof(b.config.architecture));
    assert_true(model_identity_differs(&a, &b, text, sizeof(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_are_the_same),
        cmocka_unit_test(every_bit_of_a_small_model_counts),
        cmocka_unit_test(forms_of_the_same_weights_differ),
        cmocka_unit_test(every_fact_counts_and_is_named),
        cmocka_unit_test(any_bytes_can_be_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
