/* tests/unit/service/test_memory_group.c - what is written to a control group, and read from it.
 * The kernel's files are stood in for by files; tests/e2e/test_memory_group.py has a kernel's. */
#include "core/file.h"
#include "daemon/service/memory_group.h"
#include "tests/unit/support.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK "0123456789abcdef"

static struct err err;

static char *in(const char *folder, const char *name)
{
    char *path;

    assert_true(asprintf(&path, "%s/dash-" MARK "/%s", folder, name) > 0);
    return path;
}

static void make(const char *folder, const char *name, const char *text)
{
    char *path = in(folder, name);

    assert_ok(file_write_durably(path, text, strlen(text), &err), err);
    free(path);
}

static void assert_holds(const char *folder, const char *name, const char *text)
{
    char *path = in(folder, name), *found;
    size_t len;

    assert_ok(file_read(path, 100, &found, &len, &err), err);
    assert_string_equal(found, text);
    free(found);
    free(path);
}

/* The folder of a group whose files the kernel would have made. */
static char *group(const char *events)
{
    char *folder = new_folder(), *path = in(folder, "");

    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
    make(folder, "memory.max", "");
    make(folder, "memory.oom.group", "");
    make(folder, "cgroup.procs", "");
    make(folder, "memory.events", events);
    return folder;
}

static void a_group_has_its_limit_and_its_process(void **state)
{
    char *folder = group("low 0\nhigh 0\nmax 7\noom 0\noom_kill 0\n");

    (void)state;
    assert_ok(memory_group_make(folder, MARK, 8.0 * (1 << 30), &err), err);
    assert_ok(memory_group_join(folder, MARK, 1234, &err), err);
    assert_holds(folder, "memory.max", "8589934592");
    assert_holds(folder, "memory.oom.group", "1");
    assert_holds(folder, "cgroup.procs", "1234");
    assert_false(memory_group_killed(folder, MARK));
    remove_folder(folder);
}

static void a_group_that_was_full_says_so(void **state)
{
    char *folder = group("low 0\nhigh 0\nmax 7\noom 1\noom_kill 3\noom_group_kill 1\n");

    (void)state;
    assert_true(memory_group_killed(folder, MARK));
    remove_folder(folder);
}

/* As where the controller is not there. */
static void a_group_without_the_kernels_files_is_none(void **state)
{
    char *folder = new_folder(), *path = in(folder, "");

    (void)state;
    assert_int_equal(memory_group_make(folder, MARK, 1e9, &err), ERR_IO);
    assert_contains(err.text, "memory.max cannot be set to 1000000000");
    assert_int_equal(access(path, F_OK), -1);
    assert_false(memory_group_killed(folder, MARK));
    free(path);
    remove_folder(folder);
}

static bool is_mark(const void *mark, const char *other)
{
    return strcmp(mark, other) == 0;
}

static void only_groups_of_launches_are_swept(void **state)
{
    static const char *const names[] = {
        ("dash-" MARK),         "dash-fedcba9876543210",  "dash-cache", "dash-fedcba987654321g",
        "dash-fedcba987654321", "dash-fedcba98765432100", "dash-",      "fedcba9876543210"};
    char *folder = new_folder(), *path;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        path = file_join(folder, names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        free(path);
    }
    assert_false(memory_groups_sweep(folder, is_mark, MARK));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        path = file_join(folder, names[i]);
        if ((access(path, F_OK) == 0) != (i != 1))
            fail_msg("%s is %s", names[i], i == 1 ? "left" : "removed");
        free(path);
    }
    remove_folder(folder);
}

/* The tree of another owner is left alone. */
static void a_tree_that_is_not_delegated_is_no_place(void **state)
{
    char *folder = new_folder();

    (void)state;
    assert_null(memory_group_parent(folder));
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_has_its_limit_and_its_process),
        cmocka_unit_test(a_group_that_was_full_says_so),
        cmocka_unit_test(a_group_without_the_kernels_files_is_none),
        cmocka_unit_test(only_groups_of_launches_are_swept),
        cmocka_unit_test(a_tree_that_is_not_delegated_is_no_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
