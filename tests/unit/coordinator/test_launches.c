/* tests/unit/coordinator/test_launches.c - launches.jsonl, whatever earlier launches have left of
 * it. */
#include "daemon/coordinator/launches.h"
#include "tests/unit/support.h"
#include <jansson.h>
#include <limits.h>
#include <sys/stat.h>

struct world {
    char *folder, *path;
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->folder = new_folder();
    w->path = file_join(w->folder, "launches.jsonl");
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    free(w->path);
    remove_folder(w->folder);
    free(w);
    return 0;
}

/* Begins a launch, of which the last line of the file is to say that number and why. */
static void begin(const struct world *w, int after_step, const char *died, int died_at, int launch,
                  const char *why)
{
    char *text = NULL, *last;
    const char *got;
    size_t len;
    json_t *line;
    int number = -1;
    struct err err;

    assert_ok(launches_begin(w->folder, after_step, died, died_at, &number, &err), err);
    assert_int_equal(number, launch);
    assert_ok(file_read(w->path, FILE_SMALL_MAX, &text, &len, &err), err);
    assert_int_equal(text[len - 1], '\n');
    text[len - 1] = '\0';
    last = strrchr(text, '\n');
    line = json_loads(last ? last + 1 : text, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(line, "launch")), launch);
    assert_int_equal(json_integer_value(json_object_get(line, "after_step")), after_step);
    got = json_string_value(json_object_get(line, "why"));
    if (why)
        assert_contains(got ? got : "", why);
    else
        assert_null(got);
    json_decref(line);
    free(text);
}

static void a_launch_says_how_the_one_before_ended(void **state)
{
    struct world *w = *state;

    begin(w, 0, NULL, 0, 1, NULL);
    begin(w, 20, "signal 9", 21, 2, "signal 9");
    assert_int_equal(launches_end(w->folder, 2, "stopped", "stopped after step 40", NULL), 0);
    begin(w, 40, "signal 9", 40, 3, "stopped after step 40"); /* by its own word */
    begin(w, 41, NULL, 0, 4, "was killed");
}

/* Slurm and the batch script launch again without dashd, whose word is of an earlier launch. */
static void what_dashd_said_of_an_earlier_launch_is_not_repeated(void **state)
{
    struct world *w = *state;

    begin(w, 0, NULL, 0, 1, NULL);
    begin(w, 20, "signal 9", 21, 2, "signal 9");
    begin(w, 60, "signal 9", 21, 3, "was killed");
}

static void a_line_that_was_cut_off_is_removed(void **state)
{
    struct world *w = *state;

    write_text(w->folder, "launches.jsonl",
               "{\"launch\": 1, \"after_step\": 0}\n{\"launch\": 2, \"af");
    begin(w, 5, NULL, 0, 2, "was killed");
}

/* Of a dash that did not write the file, or by somebody else. */
static void other_contents_are_survived(void **state)
{
    struct world *w = *state;

    begin(w, 30, NULL, 0, 2, "was killed");
    write_text(w->folder, "launches.jsonl", "[1, 2]\nnothing\n{\"launch\": \"x\"}\n");
    begin(w, 30, NULL, 0, 2, "was killed");
    write_text(w->folder, "launches.jsonl",
               "{\"launch\": 2147483647}\n{\"launch\": 99999999999}\n");
    begin(w, 30, NULL, 0, 2, "was killed");
}

static void links_and_pipes_are_refused(void **state)
{
    struct world *w = *state;
    int launch = 0;

    assert_int_equal(symlink("/dev/null", w->path), 0);
    assert_true(launches_begin(w->folder, 0, NULL, 0, &launch, NULL) < 0);
    assert_int_equal(unlink(w->path), 0);
    assert_int_equal(mkfifo(w->path, 0600), 0);
    assert_true(launches_begin(w->folder, 0, NULL, 0, &launch, NULL) < 0);
    assert_int_equal(launch, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_launch_says_how_the_one_before_ended),
        TEST(what_dashd_said_of_an_earlier_launch_is_not_repeated),
        TEST(a_line_that_was_cut_off_is_removed),
        TEST(other_contents_are_survived),
        TEST(links_and_pipes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
