/* tests/unit/slurm/test_slurm.c - what a job asks of Slurm, its batch script, and what Slurm
 * answers, understood. The script's quoting is held against bash itself. */
#include "core/slurm/script.h"
#include "core/job/job_read.h"
#include "core/job/job_slurm.h"
#include "core/job/parallel_shape.h"
#include "core/job/worker_memory.h"
#include "core/model/shard.h"
#include <math.h>
#include "core/slurm/state.h"
#include "tests/unit/support.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct err err;

#define SHORT "model: m\ndata: {train: t.jsonl}\noutput: /runs/x\nlauncher: slurm\n"

static struct job *parse(const char *more)
{
    struct problems problems = {0};
    struct job *job = NULL;
    char text[2000];

    snprintf(text, sizeof(text), "%s%s", SHORT, more);
    if (job_parse(text, "job.yaml", "/home/u", NULL, 0, &job, &problems, &err) < 0)
        fail_msg("%s", problems_text(&problems));
    return job;
}

static void assert_refused(const char *more, const char *told)
{
    struct problems problems = {0};
    struct job *job = NULL;
    char text[2000], *all;

    snprintf(text, sizeof(text), "%s%s", SHORT, more);
    assert_int_equal(job_parse(text, "job.yaml", "/home/u", NULL, 0, &job, &problems, &err),
                     ERR_INVALID);
    all = problems_text(&problems);
    assert_contains(all, told);
    free(all);
    problems_free(&problems);
}

static void nodes_follow_from_workers_unless_said(void **state)
{
    static const struct {
        const char *more;
        int least, most;
    } cases[] = {
        {"", 1, 1},
        {"parallel: {stages: 3}\n", 3, 3},
        {"parallel: {stages: 3}\nslurm: {nodes: 4}\n", 4, 4},
        {"parallel: {stages: 3, replicas: 2}\nslurm: {workers_per_node: 2}\n", 3, 3},
        {"parallel: {stages: auto, replicas: auto}\nslurm: {nodes: 2-8}\n", 2, 8},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct job *job = parse(cases[i].more);
        int least, most;
        job_slurm_nodes(&job->slurm, job_workers(&job->parallel), &least, &most);
        assert_int_equal(least, cases[i].least);
        assert_int_equal(most, cases[i].most);
        job_free(job);
    }
}

static void nodes_that_do_not_fit_the_workers_are_refused(void **state)
{
    (void)state;
    assert_refused("parallel: {stages: 3}\nslurm: {nodes: 5}\n", "need 3 nodes, or 4 with one");
    assert_refused("parallel: {stages: 3}\nslurm: {nodes: 2}\n", "need 3 nodes");
    assert_refused("parallel: {stages: 3}\nslurm: {nodes: 2-4}\n", "slurm.nodes is a range");
    assert_refused("slurm: {time: 2}\n", "nothing would be left to train in");
    assert_refused("slurm: {extra: [\"--exclusive --array=0-3\"]}\n", "in their long form");
    assert_refused("slurm: {extra: [\"--x#y\"]}\n", "in their long form");
    assert_refused("slurm: {extra: [--arr=0-2]}\n", "is not yours to set");
    assert_refused("slurm: {extra: [--no-req]}\n", "is not yours to set");
    assert_refused("output: \"/a\\nb\"\n", "control character");
}

static void time_limits_are_read_as_sbatch_reads_them(void **state)
{
    static const struct {
        const char *text;
        long seconds;
    } cases[] = {
        {"90", 5400},      {"1:30", 90},       {"1:30:00", 5400}, {"2-12", 216000},
        {"1-0:30", 88200}, {"1-1:1:1", 90061}, {"unlimited", 0},  {"1h", -1},
        {"", -1},          {"1:2:3:4", -1},    {"1-", -1},        {"-5", -1},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(job_slurm_seconds(cases[i].text), cases[i].seconds);
}

static void slurm_is_no_part_of_what_decides_the_numbers(void **state)
{
    struct job *a = parse(""), *b = parse("slurm: {nodes: 9, partition: p, extra: [--exclusive]}\n"
                                          "parallel: {stages: auto}\n");
    char of_a[33], of_b[33];

    (void)state;
    job_identity(a, of_a);
    job_identity(b, of_b);
    assert_string_equal(of_a, of_b);
    job_free(a);
    job_free(b);
}

static void the_canonical_text_gives_the_same_job_again(void **state)
{
    struct job *job = parse(
        "slurm: {partition: a b, time: \"1:00:00\", nodes: 2-4, mem: 4G, cpus_per_task: 8, "
        "extra: [\"--x=a \\\"b\\\"\", --exclusive]}\nparallel: {stages: auto, replicas: auto}\n");
    struct problems problems = {0};
    struct job *again = NULL;
    char *text = job_to_yaml(job), *second;

    (void)state;
    assert_int_equal(job_parse(text, NULL, "/", NULL, 0, &again, &problems, &err), 0);
    second = job_to_yaml(again);
    assert_string_equal(text, second);
    assert_string_equal(again->slurm.extra[0], "--x=a \"b\"");
    free(text);
    free(second);
    job_free(job);
    job_free(again);
}

/* The line of a script that begins so, without its end; the caller frees it. */
static char *line_of(const char *script, const char *start)
{
    const char *at = strstr(script, start);

    assert_non_null(at);
    return strndup(at, strcspn(at, "\n"));
}

static char *said_by_bash(const char *text)
{
    char path[] = "/tmp/dash-unit-XXXXXX", command[100], *said = calloc(1, 500);
    int fd = mkstemp(path);
    FILE *pipe;

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    snprintf(command, sizeof(command), "bash %s", path);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    said[fread(said, 1, 499, pipe)] = '\0';
    assert_int_equal(pclose(pipe), 0);
    unlink(path);
    return said;
}

static void a_shell_reads_paths_as_they_are(void **state)
{
    static const char output[] = "/o'1\"2 $HOME `id` \\ ;&|<>(){}[]*?!#~%j";
    struct job *job = parse("");
    char *script, *line, *said, text[300];

    (void)state;
    free(job->output);
    job->output = strdup(output);
    script = script_text(job, "/p 'q'", "0123456789abcdef");
    line = line_of(strstr(script, "\noutput=") + 1, "output=");
    snprintf(text, sizeof(text), "%s\nprintf %%s \"$output\"", line);
    said = said_by_bash(text);
    assert_string_equal(said, output);
    free(said);
    free(line);
    free(script);
    job_free(job);
}

static void the_whole_script_is_bash(void **state)
{
    struct job *job = parse(
        "name: \"a'b$(touch /tmp/x)\"\nslurm: {partition: \"p\\\"q\", extra: [\"--x=$(y)\"]}\n");
    char *script = script_text(job, "/p", "0123456789abcdef");
    char path[] = "/tmp/dash-unit-XXXXXX", command[100];
    int fd = mkstemp(path);

    (void)state;
    assert_contains(script, "#SBATCH --job-name=dash-a_b__touch__tmp_x_\n");
    assert_contains(script, "#SBATCH --partition=\"p\\\"q\"\n");
    assert_contains(script, "#SBATCH --x=\"$(y)\"\n");
    assert_true(write(fd, script, strlen(script)) > 0);
    close(fd);
    snprintf(command, sizeof(command), "bash -n %s", path);
    assert_int_equal(system(command), 0);
    unlink(path);
    free(script);
    job_free(job);
}

/* As measured with Slurm 22.05: see put_log() in core/slurm/script.c. */
static void the_log_is_quoted_for_both_of_slurms_readers(void **state)
{
    static const struct {
        const char *output, *line;
    } cases[] = {
        {"/a b", "#SBATCH --output=\"/a b/logs/job.log\""},
        {"/a%j", "#SBATCH --output=\"/a%%j/logs/job.log\""},
        {"/a\\%j", "#SBATCH --output=\"/a\\\\\\\\%j/logs/job.log\""},
        {"/a\"b", "#SBATCH --output=\"/a\\\"b/logs/job.log\""},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct job *job = parse("");
        char *script, *line;
        free(job->output);
        job->output = strdup(cases[i].output);
        script = script_text(job, "/p", "0123456789abcdef");
        line = line_of(script, "#SBATCH --output");
        assert_string_equal(line, cases[i].line);
        free(line);
        free(script);
        job_free(job);
    }
}

static void a_limit_of_time_is_that_of_a_run(void **state)
{
    static const struct {
        const char *keys, *line;
    } cases[] = {
        {"limits: {time: 2h}\nslurm: {grace_seconds: 120}\n", "#SBATCH --time=127"},
        {"limits: {time: 2h}\nslurm: {time: 1-0}\n", "#SBATCH --time=\"1-0\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct job *job = parse(cases[i].keys);
        char *script = script_text(job, "/p", "0123456789abcdef");
        char *line = line_of(script, "#SBATCH --time");
        assert_string_equal(line, cases[i].line);
        free(line);
        free(script);
        job_free(job);
    }
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void variables_that_would_win_over_the_script_are_left_out(void **state)
{
    struct job *job = parse("slurm: {partition: p}\n");
    char **env;
    int i, kept = 0;

    (void)state;
    setenv("SBATCH_PARTITION", "other", 1);
    setenv("SBATCH_ACCOUNT", "mine", 1);
    setenv("SBATCH_REQUEUE", "0", 1);
    setenv("SLURM_JOB_ID", "7", 1);
    setenv("SLURM_CONF", "/etc/slurm.conf", 1);
    env = script_environment(&job->slurm);
    for (i = 0; env[i]; i++) {
        assert_false(starts_with(env[i], "SBATCH_P") || starts_with(env[i], "SBATCH_R") ||
                     starts_with(env[i], "SLURM_J"));
        kept += starts_with(env[i], "SBATCH_ACCOUNT=mine") || starts_with(env[i], "SLURM_CONF=");
    }
    assert_int_equal(kept, 2);
    free(env);
    job_free(job);
}

static void the_living_job_of_a_mark_is_found_before_a_dead_one(void **state)
{
    static const char list[] = "7|FAILED|None|n1|dash:0123456789abcdef\n"
                               "9|PENDING|Priority||dash:fedcba9876543210\n"
                               "8|RUNNING|None|n[2-3]|dash:0123456789abcdef\n"
                               "10|CANCELLED|None||dash:0123456789abcdef\n"
                               "11_2|RUNNING|None|n1|\n"
                               "nonsense\n"
                               "12|RUNNING|None|n1|(null)\n";
    struct slurm_row row;

    (void)state;
    assert_true(slurm_find(list, "0123456789abcdef", 0, &row));
    assert_int_equal(row.id, 8);
    assert_int_equal(row.state, SLURM_RUNNING);
    assert_string_equal(row.nodes, "n[2-3]");
    assert_true(slurm_find(list, "fedcba9876543210", 0, &row));
    assert_string_equal(row.reason, "Priority");
    assert_false(slurm_find(list, "0000000000000000", 0, &row));
    assert_true(slurm_find(list, "0000000000000000", 12, &row)); /* a site that rewrites comments */
    assert_false(slurm_find("", "0123456789abcdef", 7, &row));
}

static void a_state_of_a_later_slurm_is_an_end_like_others(void **state)
{
    struct slurm_row row;

    (void)state;
    assert_true(slurm_parse("7|LAUNCH_FAILED|x|n1|dash:0123456789abcdef", &row));
    assert_true(slurm_is_over(row.state));
    assert_false(slurm_parse("7|RUNNING|x", &row));
}

static void what_passes_is_told_from_what_does_not(void **state)
{
    char words[200];

    (void)state;
    assert_true(slurm_may_pass(
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller"));
    assert_true(slurm_may_pass("sbatch: error: AssocMaxSubmitJobLimit\n"));
    assert_false(slurm_may_pass("sbatch: error: invalid partition specified: x\n"));
    slurm_words("sbatch: error: one\nsbatch: error: two\n", words, sizeof(words));
    assert_string_equal(words, "one; two");
}

/* ---- shapes ---- */

static const struct model_config small = {.n_layers = 6,
                                          .hidden = 64,
                                          .n_heads = 4,
                                          .n_kv_heads = 2,
                                          .head_dim = 16,
                                          .intermediate = 128,
                                          .vocab = 256};

static int choose(int workers, int micro, double bytes, int stages, int replicas, int *ret_stages)
{
    struct job *job = parse("");
    struct trainable t;
    struct worker_limits limits = {.micro_batches = micro,
                                   .micro_batch_tokens = job->training.micro_batch_tokens,
                                   .trained = 0.5,
                                   .weights = {.layer = 4 * shard_layer_elements(&small),
                                               .embedding = 4 * 256 * 64,
                                               .head = 4 * 256 * 64},
                                   .worker_bytes = bytes};
    int rc;

    assert_int_equal(trainable_of_job(job, &small, &t, &err), 0);
    job->parallel.stages = stages;
    job->parallel.replicas = replicas;
    rc = parallel_shape_choose(&job->parallel, &small, &t, &limits, workers, &err);
    *ret_stages = rc == 0 ? job->parallel.stages : 0;
    if (rc == 0)
        assert_int_equal(job->parallel.stages * job->parallel.replicas, workers);
    trainable_free(&t);
    job_free(job);
    return rc;
}

/* What stage `stage` of three keeps of the forward pass, `again` layers made again, when `layer`
 * alone is adapted (-1: all are). */
static double kept_bytes(int layer, double trained, int stage, int again)
{
    static const int first[] = {0, 2, 4, 6};
    struct worker_share share = {stage, 3, first[stage], first[stage + 1], again};
    struct worker_limits limits = {
        .micro_batches = 4, .micro_batch_tokens = 1000, .trained = trained};
    char lines[80] = "";
    struct worker_memory memory;
    struct trainable t;
    struct job *job;

    if (layer >= 0)
        snprintf(lines, sizeof(lines), "method: lora\nlora: {layers: [%d]}\n", layer);
    job = parse(lines);
    assert_int_equal(trainable_of_job(job, &small, &t, &err), 0);
    worker_memory_of(&limits, &small, &t, &share, &memory);
    trainable_free(&t);
    job_free(job);
    return memory.activations;
}

static void memory_is_that_of_the_rows_and_layers_that_are_kept(void **state)
{
    double x = 4.0 * 1000 * 64, one = kept_bytes(4, 1, 0, 0), two = kept_bytes(-1, 1, 2, 0);

    (void)state;
    assert_true(kept_bytes(3, 1, 0, 0) == one);     /* no layer of its two is adapted */
    assert_true(kept_bytes(3, 1, 1, 0) > 3 * one);  /* the lower one is kept, two are under way */
    assert_true(kept_bytes(-1, 1, 0, 0) > 4 * one); /* three are */
    assert_true(two > 1.5 * one && two < 2.5 * one);
    assert_true(kept_bytes(-1, 0.25, 2, 0) < two - 0.3 * one);
    /* Of a layer that is made again its input is kept, and one's memory is shared. */
    assert_true(kept_bytes(-1, 1, 0, 1) < kept_bytes(-1, 1, 0, 0));
    assert_true(kept_bytes(-1, 1, 0, 2) < 3 * (3 * x) + 1.5 * one);
}

static void as_few_layers_as_needed_are_made_again(void **state)
{
    struct worker_limits limits = {.micro_batches = 4, .micro_batch_tokens = 1000, .trained = 0.5};
    struct worker_share share = {0, 1, 0, 6, 0};
    struct worker_memory whole, least;
    struct job *job = parse("");
    struct trainable t;

    (void)state;
    assert_int_equal(trainable_of_job(job, &small, &t, &err), 0);
    worker_memory_of(&limits, &small, &t, &share, &whole);
    assert_int_equal(worker_memory_fit(&limits, &small, &t, &share), 0);
    limits.worker_bytes = worker_memory_sum(&whole);
    assert_int_equal(worker_memory_fit(&limits, &small, &t, &share), 0);
    share.n_again = 6;
    worker_memory_of(&limits, &small, &t, &share, &least);
    limits.worker_bytes = worker_memory_sum(&least);
    assert_int_equal(worker_memory_fit(&limits, &small, &t, &share), 6);
    limits.worker_bytes = (worker_memory_sum(&whole) + worker_memory_sum(&least)) / 2;
    assert_in_range(worker_memory_fit(&limits, &small, &t, &share), 2, 5);
    limits.worker_bytes = worker_memory_sum(&least) - 1;
    assert_int_equal(worker_memory_fit(&limits, &small, &t, &share), -1);
    trainable_free(&t);
    job_free(job);
}

static void what_is_told_of_a_node_is_shared_by_its_processes(void **state)
{
    struct job *job = parse("parallel: {replicas: 2, memory: 6GiB}\n");
    struct trainable t = {.count = 1000000};
    struct worker_room room;
    double two;

    (void)state;
    job->launcher = LAUNCHER_LOCAL;
    room = parallel_shape_worker_room(job, &t, 1e12, 7);
    two = room.bytes;
    assert_int_equal(room.threads, 3);
    assert_true(two < 3.0 * (1 << 30) && two > 2.5 * (1 << 30));
    job->parallel.memory = 0;
    assert_true(parallel_shape_worker_room(job, &t, 0, 2).bytes == 0);
    assert_true(parallel_shape_worker_room(job, &t, 6.0 * (1 << 30), 2).bytes == two);
    assert_true(parallel_shape_worker_room(job, &t, 1e6, 2).bytes == 1);
    assert_int_equal(parallel_shape_worker_room(job, &t, 0, 1).threads, 1);
    job->parallel.threads = 5;
    assert_int_equal(parallel_shape_worker_room(job, &t, 0, 1).threads, 5);
    job->parallel.threads = 0;
    job->launcher = LAUNCHER_SLURM;
    job->slurm.workers_per_node = 2;
    assert_int_equal(parallel_shape_worker_room(job, &t, 0, 8).threads, 4);
    job->slurm.cpus_per_task = 3;
    assert_int_equal(parallel_shape_worker_room(job, &t, 0, 8).threads, 3);
    job_free(job);
}

static void the_fewest_stages_that_serve_are_chosen(void **state)
{
    static const struct {
        int workers, micro;
        double bytes;
        int stages;
    } cases[] = {
        {1, 4, 0, 1},    {2, 4, 0, 1}, {3, 4, 0, 3}, {4, 4, 0, 1}, {4, 2, 0, 2},
        {6, 4, 0, 3},    {8, 4, 0, 2}, {4, 4, 1, 4}, /* too little memory: as many as there can be
                                                      */
        {4, 4, 1e12, 1},
    };
    size_t i;
    int stages;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(choose(cases[i].workers, cases[i].micro, cases[i].bytes, 0, 0, &stages),
                         0);
        assert_int_equal(stages, cases[i].stages);
    }
}

static void what_the_job_fixes_is_kept_or_refused_in_words(void **state)
{
    int stages;

    (void)state;
    assert_int_equal(choose(4, 4, 0, 2, 0, &stages), 0);
    assert_int_equal(stages, 2);
    assert_int_equal(choose(4, 4, 0, 0, 1, &stages), 0);
    assert_int_equal(stages, 4);
    assert_int_equal(choose(3, 4, 0, 2, 0, &stages), ERR_INVALID);
    assert_contains(err.text, "3 workers are not 2 stages times a power of two");
    assert_int_equal(choose(3, 4, 0, 0, 2, &stages), ERR_INVALID);
    assert_int_equal(choose(7, 4, 0, 0, 0, &stages), ERR_INVALID);
    assert_contains(err.text, "7 workers are too many for a model of 6 layers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_follow_from_workers_unless_said),
        cmocka_unit_test(nodes_that_do_not_fit_the_workers_are_refused),
        cmocka_unit_test(time_limits_are_read_as_sbatch_reads_them),
        cmocka_unit_test(slurm_is_no_part_of_what_decides_the_numbers),
        cmocka_unit_test(the_canonical_text_gives_the_same_job_again),
        cmocka_unit_test(a_shell_reads_paths_as_they_are),
        cmocka_unit_test(the_whole_script_is_bash),
        cmocka_unit_test(the_log_is_quoted_for_both_of_slurms_readers),
        cmocka_unit_test(a_limit_of_time_is_that_of_a_run),
        cmocka_unit_test(variables_that_would_win_over_the_script_are_left_out),
        cmocka_unit_test(the_living_job_of_a_mark_is_found_before_a_dead_one),
        cmocka_unit_test(a_state_of_a_later_slurm_is_an_end_like_others),
        cmocka_unit_test(what_passes_is_told_from_what_does_not),
        cmocka_unit_test(memory_is_that_of_the_rows_and_layers_that_are_kept),
        cmocka_unit_test(as_few_layers_as_needed_are_made_again),
        cmocka_unit_test(what_is_told_of_a_node_is_shared_by_its_processes),
        cmocka_unit_test(the_fewest_stages_that_serve_are_chosen),
        cmocka_unit_test(what_the_job_fixes_is_kept_or_refused_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
