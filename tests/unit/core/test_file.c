/* tests/unit/core/test_file.c - what may stand behind a name: pipes, devices, folders, files that
 * are too large or that cannot be read to their ends. */
#include "tests/unit/small_tokenizer.h"
#include "core/model/adapter.h"
#include "core/text/dataset.h"
#include "core/file.h"
#include "core/model/model.h"
#include <sys/resource.h>
#include <sys/stat.h>

static void make_sparse(const char *folder, const char *name, off_t bytes)
{
    char *path = file_join(folder, name);

    write_text(folder, name, "");
    assert_int_equal(truncate(path, bytes), 0);
    free(path);
}

static void make_pipe(const char *folder, const char *name)
{
    char *path = file_join(folder, name);

    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    free(path);
}

static void data_refused(const char *path, const char *words)
{
    const struct data_options data = {.max_tokens = 100};
    struct problems problems = {0};
    struct dataset d = {0};
    struct err err;
    char *text;

    assert_int_equal(dataset_load(&(struct dataset_input){.names = &ONE_FILE(path),
                                                          .data = &data,
                                                          .tokenizer = NULL,
                                                          .vocab = 256},
                                  &d, &problems, &err),
                     ERR_INVALID);
    text = problems_text(&problems);
    assert_contains(text, words);
    assert_contains(text, path);
    assert_null(d.examples);
    free(text);
    problems_free(&problems);
}

static void data_refused_in(const char *folder, const char *name, const char *words)
{
    char *path = file_join(folder, name);

    data_refused(path, words);
    free(path);
}

static long most_kib(void)
{
    struct rusage use;

    assert_int_equal(getrusage(RUSAGE_SELF, &use), 0);
    return use.ru_maxrss;
}

static void data_is_read_from_regular_files_only(void **state)
{
    char *folder = new_folder();

    (void)state;
    make_pipe(folder, "pipe");
    data_refused_in(folder, "pipe", "not a regular file");
    data_refused(folder, "is a folder, not a regular file");
    data_refused("/dev/zero", "not a regular file");
    data_refused("/dev/null", "not a regular file");
    remove_folder(folder);
}

static void data_that_cannot_be_read_is_not_taken_for_short(void **state)
{
    static const char changing[] = "/sys/class/net/lo/mtu"; /* says that it has 4096 bytes */
    char *folder = new_folder();

    (void)state;
    data_refused("/proc/self/mem", "cannot be read: Input/output error");
    if (access(changing, R_OK) == 0)
        data_refused(changing, "the file became shorter while it was read");
    remove_folder(folder);
}

/* Of lines and of an array: the first bytes of a file of 2 GiB. */
static void a_row_of_any_length_is_refused_at_64_mebibytes(void **state)
{
    static const char *const begins[] = {"{\"a\": \"", " [{\"a\": \"", "a,b\n1,\""};
    char *folder = new_folder(), *path = file_join(folder, "rows.csv");
    long before = most_kib();

    (void)state;
    for (int i = 0; i < 3; i++) {
        write_text(folder, "rows.csv", begins[i]);
        assert_int_equal(truncate(path, 2l << 30), 0);
        data_refused(path, i < 2 ? "rows.csv:1: the row has more than 64 MiB"
                                 : "rows.csv:2: the row has more than 64 MiB");
    }
    assert_true(most_kib() - before <
                1 << 20); /* a buffer doubles; a sanitizer keeps the old ones */
    free(path);
    remove_folder(folder);
}

static void lines_of_any_length_are_whole(void **state)
{
    enum { ROWS = 40 };
    const struct data_options data = {.max_tokens = 1 << 20};
    char *folder = new_folder(), *path = file_join(folder, "data");
    struct problems problems = {0};
    struct dataset d = {0};
    struct buf b = {0};
    struct err err;

    (void)state;
    for (int i = 0; i < ROWS; i++) { /* around multiples of the block that is read */
        buf_puts(&b, "{\"input_ids\": [1, 2");
        while ((b.len + (size_t)i) % 65536 != 3)
            buf_puts(&b, " ");
        buf_puts(&b, "], \"labels\": [1, 2]}");
        buf_puts(&b, i % 3 == 0 ? "\r\n\n" : i < ROWS - 1 ? "\n" : "");
    }
    write_file(folder, "data", b.data, b.len);
    if (dataset_load(
            &(struct dataset_input){
                .names = &ONE_FILE(path), .data = &data, .tokenizer = NULL, .vocab = 256},
            &d, &problems, &err) < 0)
        fail_msg("%s", problems_text(&problems));
    assert_int_equal(d.n, ROWS);
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(d.examples[i].n, 2);
    assert_int_equal(d.examples[ROWS - 1].line, ROWS + (ROWS - 1) / 3 + (ROWS % 3 == 1 ? 0 : 1));
    dataset_free(&d);
    buf_free(&b);
    free(path);
    remove_folder(folder);
}

static char *model_problems(const char *folder)
{
    struct problems problems = {0};
    struct model *m = NULL;
    struct err err;
    char *text;

    assert_true(model_open(folder, &m, &problems, &err) < 0);
    text = problems_text(&problems);
    problems_free(&problems);
    return text;
}

static void model_refused(const char *folder, const char *words)
{
    char *text = model_problems(folder);

    assert_contains(text, words);
    free(text);
}

static void files_of_models_have_a_largest_size(void **state)
{
    const struct model_config c = {.n_layers = 1};
    char *folder = new_folder(), *tokenizer = file_join(folder, "tokenizer.json");
    struct tokenizer *t = NULL;
    struct adapter *a = NULL;
    struct err err;

    (void)state;
    make_sparse(folder, "config.json", (16 << 20) + 1);
    model_refused(folder, "config.json: the file is too large: 16384 KiB");
    make_pipe(folder, "config.json");
    model_refused(folder, "config.json: is a pipe");
    make_sparse(folder, "model.safetensors.index.json", 1l << 40);
    model_refused(folder, "index.json: the file is too large: 32768 KiB");
    make_pipe(folder, "model.safetensors");
    model_refused(folder, "model.safetensors: is a pipe");
    make_sparse(folder, "tokenizer.json", (64 << 20) + 1);
    assert_int_equal(tokenizer_from_json(tokenizer, -1, -1, &t, &err), ERR_INVALID);
    assert_contains(err.text, "tokenizer.json: the file is too large: 65536 KiB");
    small_write(folder, small_json());
    make_sparse(folder, "tokenizer_config.json", 1l << 40);
    assert_int_equal(tokenizer_from_json(tokenizer, -1, -1, &t, &err), ERR_INVALID);
    assert_contains(err.text, "tokenizer_config.json: the file is too large: 16384 KiB");
    write_text(folder, "tokenizer_config.json", "{}");
    write_text(folder, "generation_config.json", "{}"); /* config.json is not read then */
    make_pipe(folder, "chat_template.jinja");
    assert_int_equal(tokenizer_from_json(tokenizer, -1, -1, &t, &err), ERR_INVALID);
    assert_contains(err.text, "chat_template.jinja: is a pipe");
    make_sparse(folder, "adapter_config.json", 1l << 40);
    assert_int_equal(adapter_read(folder, &c, &a, &err), ERR_INVALID);
    assert_contains(err.text, "adapter_config.json: the file is too large: 16384 KiB");
    free(tokenizer);
    remove_folder(folder);
}

static void files_without_a_size_are_read_to_their_limit(void **state)
{
    char *bytes = NULL;
    struct err err;
    size_t len = 0;

    (void)state;
    assert_ok(file_read("/proc/self/maps", 1 << 20, &bytes, &len, &err), err);
    assert_true(len > 100 && strlen(bytes) == len);
    free(bytes);
    assert_int_equal(file_read("/proc/self/maps", 100, &bytes, &len, &err), ERR_INVALID);
    assert_contains(err.text, "too large");
    assert_int_equal(file_read("/proc/self/mem", 100, &bytes, &len, &err), ERR_IO);
    assert_contains(err.text, "Input/output error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_is_read_from_regular_files_only),
        cmocka_unit_test(data_that_cannot_be_read_is_not_taken_for_short),
        cmocka_unit_test(a_row_of_any_length_is_refused_at_64_mebibytes),
        cmocka_unit_test(lines_of_any_length_are_whole),
        cmocka_unit_test(files_of_models_have_a_largest_size),
        cmocka_unit_test(files_without_a_size_are_read_to_their_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
