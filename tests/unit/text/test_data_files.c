/* tests/unit/text/test_data_files.c - names and patterns become the files that they mean, each
 * once.
 */
#include "tests/unit/support.h"
#include "core/text/data_files.h"

/* Finds the names in the folder; returns the names of the files, or the problems, as lines. */
static char *found(const char *folder, const char *const *names, int n)
{
    struct problems problems = {0};
    struct data_files files = {0};
    struct buf b = {0};
    char *paths[8], *text;
    struct err err;
    int rc;

    for (int i = 0; i < n; i++)
        paths[i] = file_join(folder, names[i]);
    rc = data_files_find((const char *const *)paths, n, &files, &problems, &err);
    assert_int_equal(rc, problems.n ? ERR_INVALID : 0);
    text = problems.n ? problems_text(&problems) : NULL;
    for (int i = 0; i < files.n; i++)
        buf_printf(&b, "%s%s", i ? " " : "", files.paths[i] + strlen(folder) + 1);
    if (!text)
        text = b.len ? buf_take(&b) : strdup("");
    data_files_free(&files);
    problems_free(&problems);
    buf_free(&b);
    for (int i = 0; i < n; i++)
        free(paths[i]);
    return text;
}

static void finds(const char *folder, const char *const *names, int n, const char *expected)
{
    char *text = found(folder, names, n);

    if (!strstr(text, expected) || (!strchr(expected, ':') && strcmp(text, expected) != 0))
        fail_msg("'%s', not '%s'", text, expected);
    free(text);
}

#define FINDS(expected, ...)                                                                       \
    finds(folder, (const char *const[]){__VA_ARGS__},                                              \
          (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)), expected)

static char *new_files(void)
{
    static const char *const names[] = {"b.jsonl", "a.jsonl",    "B.jsonl",
                                        "c.csv",   "x[1].jsonl", "x1.jsonl"};
    char *folder = new_folder();

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        write_text(folder, names[i], "{}");
    return folder;
}

static void patterns_are_sorted_and_names_keep_their_order(void **state)
{
    char *folder = new_files();

    (void)state;
    FINDS("B.jsonl a.jsonl b.jsonl x1.jsonl x[1].jsonl", "*.jsonl");
    FINDS("c.csv B.jsonl", "c.csv", "[A-Z].jsonl");
    FINDS("b.jsonl a.jsonl", "b.jsonl", "a.jsonl");
    FINDS("x[1].jsonl", "x[1].jsonl"); /* the file itself, not x1.jsonl */
    FINDS("none.jsonl", "none.jsonl"); /* its reader reports it */
    remove_folder(folder);
}

static void what_no_file_has_and_what_is_named_twice_is_a_problem(void **state)
{
    char *folder = new_files(), *from = file_join(folder, "a.jsonl"),
         *to = file_join(folder, "link");

    (void)state;
    assert_int_equal(symlink(from, to), 0);
    FINDS("*.parquet: no file has a name of this pattern", "*.parquet");
    FINDS("a.jsonl: the file is named twice", "a.jsonl", "?.jsonl");
    FINDS("link: the file is named twice: it is also ", "a.jsonl", "link");
    FINDS("a.jsonl: the file is named twice: it is also ", "a.jsonl", "../x/../a.jsonl",
          "./a.jsonl");
    free(from);
    free(to);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_sorted_and_names_keep_their_order),
        cmocka_unit_test(what_no_file_has_and_what_is_named_twice_is_a_problem),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
