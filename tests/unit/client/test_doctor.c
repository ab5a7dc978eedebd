/* tests/unit/client/test_doctor.c - client/doctor: findings in both forms, the results of ranks,
 * damaged ones too, rates of nodes that differ, and the line of an output that explains most. */
#include "tests/unit/support.h"
#include "client/doctor/command.h"
#include "client/doctor/findings.h"
#include "client/doctor/probed.h"
#include "client/doctor/rates.h"
#include <jansson.h>
#include <signal.h>

/* ---- findings ---- */

/* Findings whose output is kept. */
struct output {
    struct findings f;
    char *text;
    size_t len;
};

static void open_output(struct output *o, bool json)
{
    *o = (struct output){.f = {.json = json}};
    o->f.out = open_memstream(&o->text, &o->len);
    assert_non_null(o->f.out);
}

static const char *text_of(struct output *o)
{
    assert_int_equal(fflush(o->f.out), 0);
    return o->text;
}

static void close_output(struct output *o)
{
    findings_free(&o->f);
    assert_int_equal(fclose(o->f.out), 0);
    free(o->text);
}

static void findings_are_printed_as_they_come(void **state)
{
    struct output o;

    (void)state;
    open_output(&o, false);
    report_finding(&o.f, "mpi", VERDICT_OK, NULL, "%d ranks start", 2);
    assert_string_equal(text_of(&o), "ok       mpi: 2 ranks start\n");
    report_finding(&o.f, "rate", VERDICT_WARNING, "look", "n1 is slow");
    report_finding(&o.f, "cpu", VERDICT_PROBLEM, "build again", "one\ntwo\r\x1b[31m");
    findings_finish(&o.f);
    assert_string_equal(text_of(&o), "ok       mpi: 2 ranks start\n"
                                     "warning  rate: n1 is slow\n"
                                     "         look\n"
                                     "PROBLEM  cpu: one two \\x1b[31m\n"
                                     "         build again\n");
    assert_int_equal(o.f.n, 3);
    assert_string_equal(o.f.list[0].check, "mpi");
    assert_string_equal(o.f.list[2].check, "cpu");
    close_output(&o);
}

static void json_is_one_list_at_the_end(void **state)
{
    json_t *list, *expected;
    struct output o;

    (void)state;
    open_output(&o, true);
    report_finding(&o.f, "mpi", VERDICT_OK, NULL, "2 ranks start");
    report_finding(&o.f, "slurm", VERDICT_PROBLEM, "wait", "sbatch: \"caf\xe9\"");
    assert_string_equal(text_of(&o), "");
    findings_finish(&o.f);
    list = json_loads(text_of(&o), 0, NULL);
    expected = json_pack("[{s:s, s:s, s:s, s:n}, {s:s, s:s, s:s, s:s}]", "check", "mpi", "verdict",
                         "ok", "words", "2 ranks start", "remedy", "check", "slurm", "verdict",
                         "PROBLEM", "words", "sbatch: \"caf?\"", "remedy", "wait");
    assert_non_null(expected);
    assert_true(json_equal(list, expected));
    assert_false(o.f.failed);
    json_decref(list);
    json_decref(expected);
    close_output(&o);
}

static void without_findings_json_is_an_empty_list(void **state)
{
    struct output o;

    (void)state;
    open_output(&o, true);
    findings_finish(&o.f);
    assert_string_equal(text_of(&o), "[]\n");
    close_output(&o);
}

static void a_warning_is_not_a_problem(void **state)
{
    struct output o;

    (void)state;
    open_output(&o, false);
    report_finding(&o.f, "rate", VERDICT_WARNING, "look", "n1 is slow");
    assert_false(findings_have_problem(&o.f));
    report_finding(&o.f, "mpi", VERDICT_PROBLEM, "look", "n1 is away");
    report_finding(&o.f, "cpu", VERDICT_OK, NULL, "all well");
    assert_true(findings_have_problem(&o.f));
    close_output(&o);
}

/* ---- rates ---- */

enum { NODES = 4 };

/* Equal nodes: 4 threads on 4 cores, at 70% of what AVX2 allows at 3 GHz. */
static void make_nodes(struct probed_rank *ranks, int n)
{
    static const char *const names[NODES] = {"n1", "n2", "n3", "n4"};
    int i;

    for (i = 0; i < n; i++)
        ranks[i] = (struct probed_rank){.rank = i,
                                        .node = names[i],
                                        .threads = 4,
                                        .one = 67.2,
                                        .all = 268.8,
                                        .instructions = "AVX2",
                                        .flop_per_cycle = 32,
                                        .ghz = 3,
                                        .ghz_all = 3,
                                        .physical_cores = 4};
}

static void scale(struct probed_rank *rank, double factor)
{
    rank->one *= factor;
    rank->all *= factor;
}

/* The lines that the nodes give, without remedies. The caller frees them. */
static char *lines_of(struct probed_rank *ranks, size_t n)
{
    const struct probed p = {.ranks = ranks, .n = n};
    struct buf lines = {0};
    struct output o;
    size_t i;

    open_output(&o, true);
    check_rates(&o.f, &p);
    for (i = 0; i < o.f.n; i++) {
        const struct finding *finding = &o.f.list[i];
        assert_string_equal(finding->check, "rate");
        assert_int_equal(finding->verdict == VERDICT_OK, finding->remedy == NULL);
        buf_printf(&lines, "%s%s\n",
                   finding->verdict == VERDICT_OK ? "" : "warning: ", finding->words);
    }
    close_output(&o);
    return buf_take(&lines);
}

#define assert_lines(ranks, n, expected)                                                           \
    do {                                                                                           \
        char *lines = lines_of(ranks, n);                                                          \
        assert_string_equal(lines, expected);                                                      \
        free(lines);                                                                               \
    } while (0)

static const char all_well[] = "the slowest node n1 multiplies matrices at 67.2 GFLOP/s with one "
                               "thread, 268.8 with all 4 (AVX2 at 3.0 GHz allows 384)\n";

static void equal_nodes_are_well(void **state)
{
    struct probed_rank ranks[NODES];

    (void)state;
    make_nodes(ranks, NODES);
    assert_lines(ranks, NODES, all_well);
    assert_lines(ranks, 1,
                 "n1 multiplies matrices at 67.2 GFLOP/s with one thread, 268.8 with all 4 (AVX2 "
                 "at 3.0 GHz allows 384)\n");
}

static void the_slow_one_of_four_is_reported_once(void **state)
{
    struct probed_rank ranks[NODES];

    (void)state;
    make_nodes(ranks, NODES);
    scale(&ranks[2], 0.5);
    assert_lines(ranks, NODES,
                 "warning: n3: matrices are multiplied at 33.6 GFLOP/s with one thread, 50% of the "
                 "median of 4 nodes (67.2); expected are 70% or more\n");
    make_nodes(ranks, NODES);
    ranks[2].all *= 0.6;
    assert_lines(ranks, NODES,
                 "warning: n3: matrices are multiplied at 161.3 GFLOP/s with all 4 threads, 60% of "
                 "the median of 4 nodes (268.8); expected are 70% or more\n");
}

static void a_boost_clock_is_no_difference(void **state)
{
    struct probed_rank ranks[NODES];

    (void)state;
    make_nodes(ranks, NODES);
    scale(&ranks[1], 1.3);
    scale(&ranks[2], 1.15);
    assert_lines(ranks, NODES, all_well);
}

static void of_two_nodes_the_slower_is_compared_with_the_faster(void **state)
{
    struct probed_rank ranks[2];

    (void)state;
    make_nodes(ranks, 2);
    scale(&ranks[0], 0.65);
    assert_lines(ranks, 2,
                 "warning: n1: matrices are multiplied at 43.7 GFLOP/s with one thread, 65% of the "
                 "median of 2 nodes (67.2); expected are 70% or more\n");
}

static void fewer_threads_are_no_slower_node(void **state)
{
    struct probed_rank ranks[NODES];

    (void)state;
    make_nodes(ranks, NODES);
    ranks[3].threads = ranks[3].physical_cores = 1;
    ranks[3].all = ranks[3].one;
    assert_lines(ranks, NODES,
                 "the slowest node n4 multiplies matrices at 67.2 GFLOP/s with one thread (AVX2 at "
                 "3.0 GHz allows 96)\n");
}

static void nodes_far_below_their_ceiling_are_reported_though_equal(void **state)
{
    struct probed_rank ranks[2];

    (void)state;
    make_nodes(ranks, 2);
    scale(&ranks[0], 0.2);
    scale(&ranks[1], 0.2);
    assert_lines(
        ranks, 2,
        "warning: n1: matrices are multiplied at 13.4 GFLOP/s with one thread, 14% of the 96 that "
        "AVX2 at 3.0 GHz allows; expected are 20% or more\n"
        "warning: n2: matrices are multiplied at 13.4 GFLOP/s with one thread, 14% of the 96 that "
        "AVX2 at 3.0 GHz allows; expected are 20% or more\n");
    make_nodes(ranks, 1);
    ranks[0].all = 30;
    assert_lines(
        ranks, 1,
        "warning: n1: matrices are multiplied at 30.0 GFLOP/s with all 4 threads, 8% of the 384 "
        "that AVX2 at 3.0 GHz allows; expected are 10% or more\n");
}

/* One AVX-512 unit, whose use lowers the clock by 40%, a BLAS of 80%; with all threads two of them
 * share a core unknown to us. And a virtual machine, whose clock is the nominal one. */
static void slow_and_fast_kinds_of_cpus_are_well(void **state)
{
    struct probed_rank ranks[1];
    char *lines;

    (void)state;
    make_nodes(ranks, 1);
    ranks[0].instructions = "AVX-512";
    ranks[0].flop_per_cycle = 64;
    ranks[0].one = 0.5 * 0.6 * 0.8 * 64 * 3;
    ranks[0].all = 2 * ranks[0].one;
    lines = lines_of(ranks, 1);
    assert_null(strstr(lines, "warning"));
    free(lines);
    ranks[0].one = ranks[0].all = 5 * 64 * 3;
    lines = lines_of(ranks, 1);
    assert_null(strstr(lines, "warning"));
    free(lines);
}

static void what_is_unknown_is_not_a_ceiling(void **state)
{
    struct probed_rank ranks[NODES];
    int i;

    (void)state;
    make_nodes(ranks, NODES);
    for (i = 0; i < NODES; i++) { /* an unknown instruction set */
        scale(&ranks[i], 0.01);
        ranks[i].instructions = "";
        ranks[i].flop_per_cycle = 0;
    }
    assert_lines(ranks, NODES,
                 "the slowest node n1 multiplies matrices at 0.7 GFLOP/s with one thread, 2.7 with "
                 "all 4\n");
    make_nodes(ranks, NODES);
    for (i = 0; i < NODES; i++) { /* an unknown clock */
        scale(&ranks[i], 0.01);
        ranks[i].ghz = ranks[i].ghz_all = 0;
    }
    scale(&ranks[1], 0.5);
    assert_lines(ranks, NODES,
                 "warning: n2: matrices are multiplied at 0.3 GFLOP/s with one thread, 50% of the "
                 "median of 4 nodes (0.7); expected are 70% or more\n");
}

static void a_node_without_measurements_is_left_out(void **state)
{
    struct probed_rank ranks[NODES];

    (void)state;
    make_nodes(ranks, NODES);
    ranks[3] = (struct probed_rank){.rank = 3, .is_silent = true, .node = ""};
    assert_lines(ranks, NODES, all_well);
    assert_lines(&ranks[3], 1, "");
}

/* ---- results ---- */

static const char results[] =
    "{\"ranks\": [{\"rank\": 0, \"node\": \"n1\", \"cpu\": \"EPYC\", \"sees_folder\": true,"
    " \"folder_trouble\": null, \"cores\": 4, \"online\": 8, \"allotted\": 0, \"threads\": 4,"
    " \"ran_on\": 3, \"idle\": -0.5, \"one\": 103, \"all\": 400.5, \"instructions\": \"AVX2\","
    " \"flop_per_cycle\": 32, \"ghz\": 3.5, \"ghz_all\": 2.5, \"physical_cores\": 2,"
    " \"memory\": 16000, \"memory_allotted\": 2000, \"reached\": \"h:1\", \"later\": [1]},"
    " {\"rank\": 1, \"node\": \"n1\", \"round_trip\": 2.5, \"bandwidth\": 4100},"
    " {\"rank\": 2, \"silent\": true}]}";

static void results_are_read(void **state)
{
    struct probed p;
    struct err err;

    (void)state;
    assert_ok(probed_parse(results, &p, &err), err);
    assert_int_equal(p.n, 3);
    assert_string_equal(p.ranks[0].node, "n1");
    assert_string_equal(p.ranks[0].cpu, "EPYC");
    assert_true(p.ranks[0].sees_folder && !p.ranks[0].is_silent);
    assert_string_equal(p.ranks[0].folder_trouble, "");
    assert_int_equal(p.ranks[0].cores, 4);
    assert_int_equal(p.ranks[0].online, 8);
    assert_int_equal(p.ranks[0].threads, 4);
    assert_int_equal(p.ranks[0].ran_on, 3);
    assert_true(p.ranks[0].idle == -0.5 && p.ranks[0].one == 103 && p.ranks[0].all == 400.5);
    assert_string_equal(p.ranks[0].instructions, "AVX2");
    assert_int_equal(p.ranks[0].flop_per_cycle, 32);
    assert_true(p.ranks[0].ghz == 3.5 && p.ranks[0].ghz_all == 2.5);
    assert_int_equal(p.ranks[0].physical_cores, 2);
    assert_true(p.ranks[0].memory_mb == 16000 && p.ranks[0].memory_allotted_mb == 2000);
    assert_string_equal(p.ranks[0].reached, "h:1");
    assert_true(p.ranks[1].round_trip_us == 2.5 && p.ranks[1].bandwidth == 4100);
    probed_free(&p);
}

static void what_is_missing_is_not_measured(void **state)
{
    struct probed p;
    struct err err;
    char nodes[40];

    (void)state;
    assert_ok(probed_parse(results, &p, &err), err);
    assert_true(p.ranks[2].is_silent);
    assert_int_equal(p.ranks[2].rank, 2);
    assert_string_equal(p.ranks[2].node, "");
    assert_string_equal(p.ranks[2].instructions, "");
    assert_int_equal(p.ranks[2].ran_on, -1);
    assert_int_equal(p.ranks[2].threads, 0);
    assert_true(p.ranks[2].one == 0 && p.ranks[2].bandwidth == 0);
    assert_int_equal(probed_count_nodes(&p), 2);
    assert_string_equal(probed_all_nodes(&p, nodes, sizeof(nodes)), "each of 3 nodes");
    probed_free(&p);
}

static void damaged_results_are_refused_with_a_place(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "probe.json:1"},
        {"{\"ranks\": [{\"rank\": 0}", "probe.json:1"},
        {"[]", "ranks must be a list"},
        {"{\"ranks\": []}", "ranks must be a list"},
        {"{\"ranks\": {\"rank\": 0}}", "ranks must be a list"},
        {"{\"ranks\": [17]}", "ranks[0]: must be an object with a rank"},
        {"{\"ranks\": [{\"node\": \"n1\"}]}", "ranks[0]: must be an object with a rank"},
        {"{\"ranks\": [{\"rank\": 0}, {\"rank\": -1}]}", "ranks[1]: rank must be an integer >= 0"},
        {"{\"ranks\": [{\"rank\": 0, \"node\": 1}]}", "node must be a string"},
        {"{\"ranks\": [{\"rank\": 0, \"silent\": 1}]}", "silent must be true or false"},
        {"{\"ranks\": [{\"rank\": 0, \"cores\": 4.5}]}", "cores must be an integer >= 0"},
        {"{\"ranks\": [{\"rank\": 0, \"cores\": 4294967297}]}", "cores must be an integer >= 0"},
        {"{\"ranks\": [{\"rank\": 0, \"one\": \"fast\"}]}", "one must be a number"},
        {"{\"ranks\": [{\"rank\": 0, \"ghz\": NaN}]}", "ghz must be a number"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct probed p = {.n = 99};
        struct err err;
        assert_true(probed_parse(cases[i].text, &p, &err) < 0);
        assert_contains(err.text, cases[i].message);
        assert_int_equal(p.n, 99);
    }
}

static void no_damage_is_fatal(void **state)
{
    uint64_t random = 17;
    int i;

    (void)state;
    for (i = 0; i < DAMAGES; i++) {
        char *damaged = damaged_copy(results, sizeof(results), sizeof(results) - 1, &random);
        struct probed p;
        struct err err;
        if (probed_parse(damaged, &p, &err) == 0)
            probed_free(&p);
        free(damaged);
    }
}

/* ---- the output of commands ---- */

static void the_line_that_explains_most_is_found(void **state)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {NULL, ""},
        {"------\n\nno such plugin\nsrun: error: task 0\n", "no such plugin"},
        {"mpirun has died\ndash-worker: no folder\n", "no folder"},
        {"dash-worker: x\ndash-worker: the CPU of n1 (EPYC) lacks AVX: built for another CPU\n",
         "the CPU of n1 (EPYC) lacks AVX"},
        {"bash: line 1: 17 Illegal instruction\nsrun: error\n",
         "bash: line 1: 17 Illegal instruction"},
    };
    char line[100];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        command_reason(cases[i].text, line, sizeof(line));
        assert_string_equal(line, cases[i].reason);
    }
    command_last_line("note\nsbatch: error: Invalid partition: x\n\n", line, sizeof(line));
    assert_string_equal(line, "Invalid partition: x");
    command_last_line("a line that is long", line, 7);
    assert_string_equal(line, "a line");
}

static void an_illegal_instruction_means_another_cpu(void **state)
{
    (void)state;
    assert_true(command_is_other_cpu("", SUBPROCESS_SIGNAL + SIGILL));
    assert_true(command_is_other_cpu("n1: Illegal instruction (core dumped)", 1));
    assert_false(command_is_other_cpu("", SUBPROCESS_SIGNAL + SIGSEGV));
    assert_false(command_is_other_cpu("no such plugin", 132));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(findings_are_printed_as_they_come),
        cmocka_unit_test(json_is_one_list_at_the_end),
        cmocka_unit_test(without_findings_json_is_an_empty_list),
        cmocka_unit_test(a_warning_is_not_a_problem),
        cmocka_unit_test(equal_nodes_are_well),
        cmocka_unit_test(the_slow_one_of_four_is_reported_once),
        cmocka_unit_test(a_boost_clock_is_no_difference),
        cmocka_unit_test(of_two_nodes_the_slower_is_compared_with_the_faster),
        cmocka_unit_test(fewer_threads_are_no_slower_node),
        cmocka_unit_test(nodes_far_below_their_ceiling_are_reported_though_equal),
        cmocka_unit_test(slow_and_fast_kinds_of_cpus_are_well),
        cmocka_unit_test(what_is_unknown_is_not_a_ceiling),
        cmocka_unit_test(a_node_without_measurements_is_left_out),
        cmocka_unit_test(results_are_read),
        cmocka_unit_test(what_is_missing_is_not_measured),
        cmocka_unit_test(damaged_results_are_refused_with_a_place),
        cmocka_unit_test(no_damage_is_fatal),
        cmocka_unit_test(the_line_that_explains_most_is_found),
        cmocka_unit_test(an_illegal_instruction_means_another_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
