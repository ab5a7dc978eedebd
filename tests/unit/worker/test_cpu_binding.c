/* tests/unit/worker/test_cpu_binding.c - which cores a worker takes on a node of several sockets.
 */
#include "tests/unit/support.h"
#include "worker/cpu_binding.h"

enum { CPUS = 8 };

static void assert_takes(const int *package, int index, int n, const char *cores)
{
    bool wanted[CPUS];
    int i;

    assert_true(cpu_binding_choose(package, CPUS, index, n, wanted));
    for (i = 0; i < CPUS; i++)
        assert_int_equal(wanted[i], cores[i] == 'x');
}

static void each_worker_takes_a_socket(void **state)
{
    static const int halves[CPUS] = {0, 0, 0, 0, 1, 1, 1, 1},
                     woven[CPUS] = {0, 1, 0, 1, 0, 1, 0, 1};

    (void)state;
    assert_takes(halves, 0, 2, "xxxx----");
    assert_takes(halves, 1, 2, "----xxxx");
    assert_takes(woven, 0, 2, "x-x-x-x-");
    assert_takes(woven, 1, 2, "-x-x-x-x");
}

static void more_workers_share_them_in_order(void **state)
{
    static const int package[CPUS] = {0, 0, 0, 0, 3, 3, 3, 3}; /* numbers may have gaps */

    (void)state;
    assert_takes(package, 1, 4, "xxxx----");
    assert_takes(package, 2, 4, "----xxxx");
    assert_takes(package, 1, 3, "xxxx----");
    assert_takes(package, 2, 3, "----xxxx");
}

static void cores_of_others_are_left_alone(void **state)
{
    static const int package[CPUS] = {0, -1, 0, -1, 1, 1, -1, -1};

    (void)state;
    assert_takes(package, 0, 2, "x-x-----");
    assert_takes(package, 1, 2, "----xx--");
}

static void where_there_is_nothing_to_choose_nothing_changes(void **state)
{
    static const int one[CPUS] = {0}, two[CPUS] = {0, 0, 0, 0, 1, 1, 1, 1},
                     unknown[CPUS] = {-1, -1, -1, -1, -1, -1, -1, -1};
    bool wanted[CPUS];

    (void)state;
    assert_false(cpu_binding_choose(one, CPUS, 0, 2, wanted));
    assert_false(cpu_binding_choose(two, CPUS, 0, 1, wanted));
    assert_false(cpu_binding_choose(unknown, CPUS, 0, 2, wanted));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_worker_takes_a_socket),
        cmocka_unit_test(more_workers_share_them_in_order),
        cmocka_unit_test(cores_of_others_are_left_alone),
        cmocka_unit_test(where_there_is_nothing_to_choose_nothing_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
