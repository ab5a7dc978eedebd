/* tests/unit/job/test_job.c - job files: what they mean, and every problem with its line. */
#include "core/job/job.h"
#include "core/job/job_read.h"
#include "core/job/job_check.h"
#include "core/model/shard.h"
#include "tests/unit/support.h"

static struct err err;

static struct job *parse(const char *text, const char *const *sets, int n)
{
    struct problems problems = {0};
    struct job *job = NULL;

    if (job_parse(text, "job.yaml", "/home/u", sets, n, &job, &problems, &err) < 0)
        fail_msg("%s", problems_text(&problems));
    return job;
}

/* All problems of a text as one string; the caller frees it. */
static char *problems_of(const char *text, const char *const *sets, int n)
{
    struct problems problems = {0};
    struct job *job = NULL;
    char *told;

    assert_int_equal(job_parse(text, "job.yaml", "/home/u", sets, n, &job, &problems, &err),
                     ERR_INVALID);
    assert_null(job);
    told = problems_text(&problems);
    problems_free(&problems);
    return told;
}

#define SHORT "model: m\ndata: {train: t.jsonl}\noutput: runs/x/\n"
/* As checkpoints of the first builds have it: a new key leaves it alone while it has its default.
 */
#define IDENTITY_OF_SHORT "6244e905b60766a528329c94475a5671"

static void short_job_gets_the_documented_defaults(void **state)
{
    struct job *job = parse(SHORT, NULL, 0);

    (void)state;
    assert_string_equal(job->model, "/home/u/m");
    assert_string_equal(job->data.train.of[0].path, "/home/u/t.jsonl");
    assert_string_equal(job->output, "/home/u/runs/x");
    assert_string_equal(job->name, "x");
    assert_true(job->method == METHOD_LORA_DASH && job->lora.rank == 16 && job->lora.alpha == 32);
    assert_true(job->dash.prelaunch_steps == 100 && job->dash.directions == 8 &&
                job->training.steps == 300);
    assert_string_equal(job->lora.target_modules[0], "q_proj");
    assert_string_equal(job->lora.target_modules[4], "down_proj");
    assert_null(job->lora.target_modules[5]);
    assert_true(job->data.max_tokens == 256 && job->data.shuffle && !job->data.eval.n);
    assert_int_equal(job->parallel.threads, 0);
    job_free(job);
}

static void overrides_win_and_take_any_yaml(void **state)
{
    static const char *const sets[] = {"lora.rank=4", "lora.target_modules=[o_proj, gate_proj]",
                                       "training.epochs=2.5", "name=a \"b\": c",
                                       "dash={directions: 3}"};
    struct job *job = parse("lora: {rank: 8}\n" SHORT, sets, 5);

    (void)state;
    assert_string_equal(job->name, "a \"b\": c");
    assert_int_equal(job->lora.rank, 4);
    assert_string_equal(job->lora.target_modules[0], "o_proj");
    assert_string_equal(job->lora.target_modules[1], "gate_proj");
    assert_null(job->lora.target_modules[2]);
    assert_int_equal(job->dash.directions, 3);
    job_resolve_steps(job, 100);
    assert_int_equal(job->training.steps, 18); /* ceil(2.5 * ceil(100 / 16)) */
    job_free(job);
}

static void canonical_text_reads_back_as_the_same_job(void **state)
{
    static const char *const sets[] = {
        "data.eval='/q\"uote\\ and \ttab'",   "training.learning_rate=3.3e-5",
        "training.seed=18446744073709551615", "lora.scaling=rslora",
        "parallel={threads: 3, stages: 2}",   "training.schedule=cosine"};
    struct job *job = parse(SHORT, sets, 6), *again;
    char *text = job_to_yaml(job), *twice, first[33], second[33];

    (void)state;
    again = parse(text, NULL, 0);
    twice = job_to_yaml(again);
    assert_string_equal(text, twice);
    assert_string_equal(again->data.eval.of[0].path, "/q\"uote\\ and \ttab");
    assert_true(again->training.seed == UINT64_MAX && again->optimizer.learning_rate == 3.3e-5);
    job_identity(job, first);
    job_identity(again, second);
    assert_string_equal(first, second);
    free(text), free(twice);
    job_free(job), job_free(again);
}

static void limits_are_sizes_and_durations(void **state)
{
    static const char *const sets[] = {"limits={memory: 8GiB, disk: 500MB, time: 12h}"};
    static const char *const more[] = {"parallel.memory=1GiB", "limits={memory: 2GiB, time: 90s}",
                                       "limits.disk=null"};
    static const char *const odd[] = {"limits.time=90", "limits.memory=1KiB", "limits.time=0s"};
    struct job *job = parse(SHORT, sets, 1), *again, *none = parse(SHORT, NULL, 0);
    char *text = job_to_yaml(job), of_job[33], of_none[33];
    struct buf words = {0};

    (void)state;
    assert_true(job->limits.memory == 0x1p33 && job->limits.disk == 5e8 &&
                job->limits.seconds == 43200);
    job_limits_print(&job->limits, &words);
    assert_string_equal(words.data, "memory 8GiB, disk 500MB, time 12h");
    again = parse(text, more, 3);
    assert_true(again->limits.disk == 0 && again->limits.seconds == 90);
    assert_true(job_memory(again) == 0x1p30 && job_memory(job) == 0x1p33 && job_memory(none) == 0);
    job_identity(job, of_job);
    job_identity(none, of_none);
    assert_string_equal(of_job, of_none);
    free(text);
    text = problems_of(SHORT, odd, 3);
    assert_contains(text, "limits.time must be a duration such as 90s, 30m, 12h or 2d, or null, "
                          "not \"90\"");
    assert_contains(text, "limits.memory must be a size of more than 1 MiB");
    assert_contains(text, "not \"0s\"");
    free(text);
    buf_free(&words);
    job_free(job), job_free(again), job_free(none);
}

static void identity_ignores_what_does_not_change_the_numbers(void **state)
{
    static const char *const neutral[] = {"name=z", "parallel={stages: 4, replicas: 2, threads: 9}",
                                          "output=/elsewhere", "training.eval_every=7"};
    static const char *const matters[] = {"training.seed=1"}, *const parts[] = {
                                                                  "training.micro_batches=4"};
    struct job *a = parse(SHORT, NULL, 0), *b = parse(SHORT, neutral, 4),
               *c = parse(SHORT, matters, 1), *d = parse(SHORT, parts, 1);
    char of_a[33], of_b[33], of_c[33], of_d[33];

    (void)state;
    job_identity(a, of_a);
    job_identity(b, of_b);
    job_identity(c, of_c);
    assert_string_equal(of_a, of_b);
    assert_string_not_equal(of_a, of_c);
    job_identity(d, of_d);
    assert_string_not_equal(of_a, of_d);
    assert_string_equal(of_a, IDENTITY_OF_SHORT);
    job_free(a), job_free(b), job_free(c), job_free(d);
}

static void every_mistake_is_told_with_its_line(void **state)
{
    static const char text[] =
        "modle: x\n"
        "data:\n"
        "  max_tokens: 1\n"
        "  templat: plain\n"
        "lora: {rank: 0, dropout: 1, target_modules: [q_proj, foo]}\n"
        "rank: 3\n"
        "training: {steps: 2.5, epochs: 1, batch_size: many, micro_batches: 6, seed: -1}\n"
        "parallel: {replicas: 3}\n"
        "method: dora\n"
        "launcher: slurm\n"
        "slurm: {time: 1m, nodes: 2-1, mem: much, extra: [-x, --array=1-9, --time=1]}\n"
        "output: x\n"
        "output: y\n";
    static const char *const told[] = {
        "job.yaml:1: unknown key modle: did you mean model?",
        "job.yaml:3: data.max_tokens must be an integer >= 2",
        "job.yaml:4: unknown key data.templat: did you mean data.template?",
        "job.yaml:5: lora.rank must be an integer >= 1 and <= 4096, not \"0\"",
        "job.yaml:5: lora.dropout must be a number >= 0 and < 1, not \"1\"",
        "job.yaml:5: lora.target_modules: \"foo\" matches no module",
        "job.yaml:6: unknown key rank: did you mean lora.rank?",
        "job.yaml:7: training.steps must be an integer",
        "job.yaml:7: training.batch_size must be an integer",
        "job.yaml:7: training.seed must be an integer",
        "job.yaml:7: training.micro_batches is 6: it must be a power of two",
        "job.yaml:8: parallel.replicas is 3: it must be a power of two",
        "job.yaml:9: method must be one of lora, lora-dash, not \"dora\"",
        "job.yaml:11: slurm.time must be minutes, hours:minutes:seconds",
        "job.yaml:11: slurm.nodes must be a number of nodes, or a range such as 2-4, not \"2-1\"",
        "job.yaml:11: slurm.mem must be memory of a node, such as 64G, not \"much\"",
        "job.yaml:11: slurm.extra must be options of sbatch in their long form",
        "job.yaml:11: slurm.extra: --array=1-9 is not yours to set",
        "job.yaml:11: slurm.extra: --time=1 is set by slurm.time",
        "job.yaml:13: output is given twice",
        "job.yaml: model is missing",
        "job.yaml: data.train is missing",
    };
    char *all = problems_of(text, NULL, 0);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(told) / sizeof(told[0]); i++)
        assert_contains(all, told[i]);
    free(all);
}

static void text_that_is_no_job_is_refused_in_words(void **state)
{
    static const struct {
        const char *text, *told;
    } cases[] = {
        {"", "a job file is a list of `key: value` lines"},
        {"- a\n- b\n", "a job file is a list of `key: value` lines"},
        {"a: [1, 2\nb: 3\n", "this is not YAML"},
        {"lora: 3\n" SHORT, "lora is a section"},
        {"model: [a]\n" SHORT, "model must be a path, not a list or mapping"},
        {"training: {steps: 5, epochs: 1}\n" SHORT, "both given: keep one"},
    };
    static const char *const wrong[] = {"rank", "=3", "lora.rank=", "lora.rnak=3"};
    size_t i;
    char *all;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        all = problems_of(cases[i].text, NULL, 0);
        assert_contains(all, cases[i].told);
        free(all);
    }
    all = problems_of("a: [1, 2\nb: 3\n", NULL, 0);
    assert_null(strstr(all, "is missing"));
    free(all);
    for (i = 0; i < 4; i++) {
        all = problems_of(SHORT, &wrong[i], 1);
        assert_contains(all, "--set");
        free(all);
    }
}

/* The job of golden/tiny with changes, held against its model and data. */
static char *check_tiny(const char *const *sets, int n)
{
    struct problems problems = {0};
    struct job_plan plan = {0};
    struct job *job = NULL;
    char *text, *told;
    size_t len;
    int rc;

    assert_ok(file_read(GOLDEN("tiny/job.yaml"), 1 << 30, &text, &len, &err), err);
    rc = job_validate(text, "job.yaml", GOLDEN("tiny"), sets, n, JOB_OUTPUT_ANY, &job, &plan,
                      &problems, &err);
    assert_true(rc == 0 || rc == ERR_INVALID);
    told = problems_text(&problems);
    assert_int_equal(rc == 0, problems.n == 0);
    job_plan_free(&plan);
    problems_free(&problems);
    job_free(job);
    free(text);
    return told;
}

static void model_and_data_are_checked_with_the_job(void **state)
{
    static const struct {
        const char *set, *told;
    } cases[] = {
        {"model=/no/such", "model: /no/such: No such file"},
        {"data.train=/no/data", "data.train: /no/data: No such file"},
        {"parallel.stages=5", "parallel.stages is 5 but the model has 4 layers"},
        {"dash.directions=40", "dash.directions is 40 but k_proj is 32 x 64"},
        {"dash.prelaunch_steps=20", "no step would be left"},
        {"lora.rank=4", "lora.rank is 4 but lora.init_adapter has rank 8"},
        {"lora.alpha=32",
         "lora.alpha is 32 (scale 4) but lora.init_adapter has alpha 16 (scale 2)"},
        {"lora.scaling=rslora", "leave lora.alpha, lora.alpha_pattern and lora.scaling out"},
        {"lora.target_modules=[q_proj, o_proj]", "has nothing for layer 0's o_proj"},
        {"lora.init_adapter=/no/adapter", "lora.init_adapter"},
        {"lora.layers=[1, 3]", "lora.init_adapter adapts layer 0's q_proj"},
        {"lora.layers=4", "lora.layers has 4, but the model has 4 layers, from 0 to 3"},
        {"lora.rank_pattern={v_proj: 4}",
         "lora.rank is 4 but lora.init_adapter has rank 8 for model.layers.0.self_attn.v_proj"},
        {"lora.rank_pattern={o_proj: 4}", "\"o_proj\" matches no module that is adapted"},
        {"lora.rank_pattern={v_proj: 4.5}", "must be an integer >= 1 and <= 4096, not \"4.5\""},
        {"lora.rank_pattern=[4]", "lora.rank_pattern must be a mapping of patterns to numbers"},
        {"lora.alpha_pattern={'.*': 3, v_proj: 4}", "or only modules that a pattern before it"},
        {"lora.alpha_pattern={'(?i)v_proj': 4}", "has \"(?i\", which is not supported"},
        {"lora.target_modules='.*\\.self_attn\\.(q|v)_projj'", "the whole name of no module"},
        {"lora.target_modules='.*((a*)*)*b|(.*.*.*)*x'", "takes too long"},
        {"lora.target_modules=[layers.7.self_attn.q_proj]", "has no layers.7.self_attn.q_proj"},
    };
    size_t i;
    char *all = check_tiny(NULL, 0);

    (void)state;
    assert_string_equal(all, "");
    free(all);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        all = check_tiny(&cases[i].set, 1);
        assert_contains(all, cases[i].told);
        free(all);
    }
}

/* A job that gives neither rank nor alpha nor targets begins where PEFT would with the adapter. */
static void what_a_job_does_not_give_is_as_the_adapter_has_it(void **state)
{
    char *folder = new_folder(), *config, *text = NULL;
    struct problems problems = {0};
    struct job_plan plan = {0};
    struct job *job = NULL;

    (void)state;
    copy_file(GOLDEN("tiny/init/adapter_model.safetensors"), folder, "adapter_model.safetensors");
    write_text(folder, "adapter_config.json",
               "{\"peft_type\": \"LORA\", \"r\": 8, \"lora_alpha\": 24, \"use_rslora\": true}");
    assert_true(asprintf(&config,
                         "model: model\ndata: {train: train.jsonl}\noutput: out\ntraining: {steps: "
                         "200}\nlora: {init_adapter: %s}\n",
                         folder) > 0);
    assert_ok(job_validate(config, "job.yaml", GOLDEN("tiny"), NULL, 0, JOB_OUTPUT_ANY, &job, &plan,
                           &problems, &err),
              err);
    assert_int_equal(job->lora.rank, 8);
    assert_true(job->lora.alpha == 24);
    assert_int_equal(job->lora.scaling, SCALING_RSLORA);
    text = job_to_yaml(job);
    assert_contains(text, "alpha: 24");
    assert_contains(text, "[q_proj, k_proj, v_proj, up_proj, down_proj]");
    free(text);
    free(config);
    job_plan_free(&plan);
    job_free(job);
    remove_folder(folder);
}

/* The kinds that a job adapts once its model is known, as job.yaml has them. */
static void check_targets(const char *golden, const char *lines, const char *list)
{
    struct problems problems = {0};
    struct job_plan plan = {0};
    struct job *job = NULL;
    char *text, *yaml;

    assert_true(asprintf(&text,
                         "model: model\ndata: {train: train.jsonl}\noutput: out\nmethod: lora\n"
                         "training: {steps: 20}\n%s",
                         lines) > 0);
    if (job_validate(text, "job.yaml", golden, NULL, 0, JOB_OUTPUT_ANY, &job, &plan, &problems,
                     &err) < 0)
        fail_msg("%s", problems_text(&problems));
    yaml = job_to_yaml(job);
    assert_contains(yaml, list);
    free(yaml);
    free(text);
    job_plan_free(&plan);
    job_free(job);
}

static void targets_are_those_that_the_model_has(void **state)
{
    const char *set = "lora.target_modules=[qkv_proj, down_proj]";
    char *all;

    (void)state;
    check_targets(GOLDEN("tiny"), "lora: {target_modules: all-linear}\n",
                  "[q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]");
    check_targets(GOLDEN("families/phi3-longrope"), "lora: {target_modules: all-linear}\n",
                  "[qkv_proj, o_proj, gate_up_proj, down_proj]");
    check_targets(GOLDEN("families/phi3-longrope"), "", "[qkv_proj, gate_up_proj, down_proj]");
    check_targets(GOLDEN("tiny"), "lora: {target_modules: all-linear, layers: 2}\n", "layers: [2]");
    check_targets(GOLDEN("tiny"), "lora: {target_modules: '.*\\.(1|3)\\..*\\.v_proj'}\n",
                  "\".*\\\\.(1|3)\\\\..*\\\\.v_proj\"");
    check_targets(GOLDEN("tiny"),
                  "lora: {target_modules: [v_proj, model.layers.3.self_attn.q_proj, k_proj, "
                  "v_proj], rank_pattern: {'layers.2.*': 3, v_proj: 5}}\n",
                  "[k_proj, v_proj, model.layers.3.self_attn.q_proj]\n"
                  "  layers: null\n  rank_pattern: {\"layers.2.*\": 3, \"v_proj\": 5}");
    all = check_tiny(&set, 1);
    assert_contains(all, "a LlamaForCausalLM has no qkv_proj; it has q_proj, k_proj, v_proj");
    free(all);
}

static void row_longer_than_the_model_knows_is_named(void **state)
{
    char *folder = new_folder(), *set = NULL, *all;
    struct buf row = {0};
    int i;

    (void)state;
    buf_puts(&row, "{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n{\"input_ids\": [1");
    for (i = 0; i < 150; i++)
        buf_puts(&row, ", 2");
    buf_puts(&row, "], \"labels\": [1");
    for (i = 0; i < 150; i++)
        buf_puts(&row, ", 2");
    buf_puts(&row, "]}\n");
    write_file(folder, "long.jsonl", row.data, row.len);
    assert_true(asprintf(&set, "data.train=%s/long.jsonl", folder) > 0);
    all = check_tiny((const char *const *)&set, 1);
    assert_contains(all, "long.jsonl:2: this row has 151 tokens but the model knows 128 positions");
    free(all);
    free(set);
    buf_free(&row);
    remove_folder(folder);
}

static void stages_share_the_layers_by_cost(void **state)
{
    struct model_config c = {.n_layers = 30,
                             .hidden = 576,
                             .n_heads = 9,
                             .n_kv_heads = 3,
                             .head_dim = 64,
                             .intermediate = 1536,
                             .vocab = 49152};
    int first[5];

    (void)state;
    shard_split(&c, 0, 2, first);
    assert_int_equal(first[1], 15);
    shard_split(&c, 1, 2, first); /* the head weighs 8 layers */
    assert_int_equal(first[1], 19);
    shard_split(&c, 0, 4, first);
    assert_true(first[1] == 8 && first[2] == 16 && first[3] == 24 && first[4] == 30);
    c.n_layers = 4;
    shard_split(&c, 1, 4, first);
    assert_true(first[1] == 1 && first[2] == 2 && first[3] == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_job_gets_the_documented_defaults),
        cmocka_unit_test(overrides_win_and_take_any_yaml),
        cmocka_unit_test(canonical_text_reads_back_as_the_same_job),
        cmocka_unit_test(limits_are_sizes_and_durations),
        cmocka_unit_test(identity_ignores_what_does_not_change_the_numbers),
        cmocka_unit_test(every_mistake_is_told_with_its_line),
        cmocka_unit_test(text_that_is_no_job_is_refused_in_words),
        cmocka_unit_test(model_and_data_are_checked_with_the_job),
        cmocka_unit_test(what_a_job_does_not_give_is_as_the_adapter_has_it),
        cmocka_unit_test(targets_are_those_that_the_model_has),
        cmocka_unit_test(row_longer_than_the_model_knows_is_named),
        cmocka_unit_test(stages_share_the_layers_by_cost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
