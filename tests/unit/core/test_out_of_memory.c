/* tests/unit/core/test_out_of_memory.c - core's readers when the n-th allocation is refused: an
 * error, or the right result; never a crash, a leak (the sanitizer build sees it) or a wrong
 * result.
 *
 * malloc, calloc and realloc of core are wrapped by the linker. Libraries are spared: jansson 2.14
 * does crash when memory is out.
 */
#include "tests/unit/small_tokenizer.h"
#include "core/model/adapter.h"
#include "core/text/dataset.h"
#include "core/text/jinja/jinja.h"
#include "core/model/model.h"
#include <xxhash.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

static long until_refusal = -1; /* allocations that still succeed; below 0: all do */

static bool refuse_now(void)
{
    return until_refusal >= 0 && until_refusal-- == 0;
}

void *__wrap_malloc(size_t bytes)
{
    return refuse_now() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    return refuse_now() ? NULL : __real_calloc(n, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return refuse_now() ? NULL : __real_realloc(old, bytes);
}

struct result {
    char bytes[1 << 16];
    size_t len;
};

static void keep(struct result *r, const void *bytes, size_t len)
{
    XXH64_hash_t hash = XXH3_64bits(bytes, len);

    assert_true(r->len + sizeof(hash) <= sizeof(r->bytes));
    memcpy(r->bytes + r->len, &hash, sizeof(hash));
    r->len += sizeof(hash);
}

/* A piece of work on files in `folder`, made once before; appends what it found to the result. */
typedef int (*work_fn)(const char *folder, struct result *r, struct err *err);

static void keep_weight(struct result *r, struct weight *w, int rc)
{
    if (rc < 0)
        return;
    keep(r, w->memory, weight_bytes(w));
    weight_close(w);
}

static int open_model(const char *path, struct result *r, struct err *err)
{
    struct weight w;
    struct problems problems = {0};
    struct model *m = NULL;
    int rc = model_open(path, &m, &problems, err);

    for (int kind = 0; kind < MODULE_KINDS && rc == 0; kind++) {
        if (!model_has_module(model_config(m), kind))
            continue;
        rc = model_read_modules(m, 1, (enum module_kind[]){kind}, 1, &w, err);
        keep_weight(r, &w, rc);
    }
    if (rc == 0) {
        rc = model_read_head(m, &w, err);
        keep_weight(r, &w, rc);
    }
    model_close(m);
    problems_free(&problems);
    return rc;
}

static int open_model_folder(const char *folder, struct result *r, struct err *err)
{
    (void)folder;
    return open_model(GOLDEN("tiny/model"), r, err);
}

static int open_model_gguf(const char *folder, struct result *r, struct err *err)
{
    (void)folder;
    return open_model(GOLDEN("tiny/model.gguf"), r, err);
}

static int copy_adapter(const char *folder, struct result *r, struct err *err)
{
    static const struct model_config c = {.n_layers = 4,
                                          .hidden = 64,
                                          .n_heads = 4,
                                          .n_kv_heads = 2,
                                          .head_dim = 16,
                                          .intermediate = 160,
                                          .vocab = 256};
    static const char *const names[] = {"adapter_config.json", "adapter_model.safetensors"};
    struct adapter *a = NULL;
    int rc = adapter_read(GOLDEN("tiny/init"), &c, &a, err);

    if (rc == 0)
        rc = adapter_write(folder, a, "base", err);
    for (int i = 0; i < 2 && rc == 0; i++) {
        char path[4096], *bytes;
        size_t len;
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        rc = file_read(path, 1 << 30, &bytes, &len, err);
        if (rc == 0) {
            keep(r, bytes, len);
            free(bytes);
        }
    }
    adapter_free(a);
    return rc;
}

static int open_small(const char *folder, struct tokenizer **ret, struct err *err)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/tokenizer.json", folder);
    return tokenizer_from_json(path, SMALL_START, SMALL_END, ret, err);
}

static int use_tokenizer(const char *folder, struct result *r, struct err *err)
{
    struct token_list list = {0};
    struct tokenizer *t = NULL;
    struct buf text = {0};
    int rc = open_small(folder, &t, err);

    if (rc == 0)
        rc = tokenizer_encode(t, "hello<|im_end|> the 12 aaaaaa", 29, &list, err);
    if (rc == 0)
        rc = tokenizer_decode(t, list.ids, list.n, false, &text, err);
    keep(r, list.ids, (size_t)list.n * sizeof(*list.ids));
    keep(r, text.data, text.len);
    tokenizer_free(t);
    free(list.ids);
    buf_free(&text);
    return rc;
}

static struct tokenizer *shared; /* opened while memory is still to be had */

static int load_data(const char *folder, struct result *r, struct err *err)
{
    const struct data_options data = {.max_tokens = 100};
    struct problems problems = {0};
    struct dataset d = {0};
    char path[4096], hex[33];
    int rc;

    snprintf(path, sizeof(path), "%s/data.jsonl", folder);
    rc = dataset_load(
        &(struct dataset_input){
            .names = &ONE_FILE(path), .data = &data, .tokenizer = shared, .vocab = SMALL_VOCAB},
        &d, &problems, err);
    if (rc == 0) {
        dataset_hash(&d, d.n, hex);
        keep(r, hex, 32);
        keep(r, &d.n, sizeof(d.n));
    }
    dataset_free(&d);
    problems_free(&problems);
    return rc;
}

static int render_template(const char *folder, struct result *r, struct err *err)
{
    static const char text[] =
        "{% macro m(a, b=2) %}{{ a }}{{ caller() if caller }}{% endmacro %}{% set ns = "
        "namespace(x='') %}"
        "{% for i in range(400) if i % 2 %}{% set ns.x = ns.x + 'text ' * 9 %}{% generation %}{{ "
        "ns.x|upper }}"
        "{% endgeneration %}{{ m(dict(a=[i, {'k': 1.5}]))|tojson }}{% if i > 9 %}{% set q = "
        "loop.index %}"
        "{% endif %}{% endfor %}{% call m(1) %}{{ ['b', 'a']|sort|map('upper')|join('%s' % ns.x) }}"
        "{% endcall %}";
    struct jinja_output out = {{0}};
    struct jinja *t = NULL;
    int rc = jinja_parse("the template", text, sizeof(text) - 1, &t, err);

    (void)folder;
    if (rc == 0)
        rc = jinja_render(t, NULL, 0, &jinja_defaults, &out, err);
    keep(r, out.text.data, out.text.len);
    keep(r, out.spans, (size_t)out.n_spans * sizeof(*out.spans));
    jinja_output_free(&out);
    jinja_free(t);
    return rc;
}

static void bears_every_refusal(work_fn work)
{
    static struct result wanted, got;
    char *folder = new_folder();
    struct err err;
    long n, refusals = 0;

    small_write(folder, small_json());
    write_text(folder, "tokenizer_config.json",
               "{\"chat_template\": \"{% for m in messages %}{{ m['content'] }}<|im_end|>\\n{% "
               "endfor %}\"}");
    write_text(
        folder, "data.jsonl",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}, {\"role\": \"assistant\", "
        "\"content\": \"hello\"}]}\n"
        "{\"messages\": [{\"role\": \"assistant\", \"content\": \"the 12\"}], \"longer\": \""
        "more room is needed for this line than for the first, and where there is none, the first "
        "must not be taken for the whole file: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "\"}\n");
    assert_ok(open_small(folder, &shared, &err), err);
    wanted.len = 0;
    assert_ok(work(folder, &wanted, &err), err);
    for (n = 0;; n++) {
        int rc;
        got.len = 0;
        err.text[0] = '\0';
        until_refusal = n;
        rc = work(folder, &got, &err);
        if (until_refusal >= 0) /* it needs no more than n */
            break;
        until_refusal = -1;
        refusals++;
        if (rc < 0)
            assert_true(err.text[0]);
        else
            assert_memory_equal(got.bytes, wanted.bytes, wanted.len);
    }
    until_refusal = -1;
    assert_true(refusals > 5);
    tokenizer_free(shared);
    shared = NULL;
    remove_folder(folder);
}

static void model_folder_opens_or_fails_cleanly(void **state)
{
    (void)state;
    bears_every_refusal(open_model_folder);
}

static void gguf_opens_or_fails_cleanly(void **state)
{
    (void)state;
    bears_every_refusal(open_model_gguf);
}

static void adapter_is_copied_or_fails_cleanly(void **state)
{
    (void)state;
    bears_every_refusal(copy_adapter);
}

static void tokenizer_works_or_fails_cleanly(void **state)
{
    (void)state;
    bears_every_refusal(use_tokenizer);
}

static void data_set_loads_or_fails_cleanly(void **state)
{
    (void)state;
    bears_every_refusal(load_data);
}

static void template_renders_or_fails_cleanly(void **state)
{
    (void)state;
    bears_every_refusal(render_template);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_folder_opens_or_fails_cleanly),
        cmocka_unit_test(gguf_opens_or_fails_cleanly),
        cmocka_unit_test(adapter_is_copied_or_fails_cleanly),
        cmocka_unit_test(tokenizer_works_or_fails_cleanly),
        cmocka_unit_test(data_set_loads_or_fails_cleanly),
        cmocka_unit_test(template_renders_or_fails_cleanly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
