/* tests/unit/text/test_dataset.c - rows become the ids and labels that the design says; what is
 * wrong with a file is reported by line. */
#include "tests/unit/small_tokenizer.h"
#include "core/text/dataset.h"
#include "core/text/row_encoder.h"

static const struct data_options defaults = {.max_tokens = 256};

struct loaded {
    struct dataset d;
    char *problems; /* NULL: none */
};

static struct loaded load_weighted(const char *text, size_t len, const struct data_options *data,
                                   const struct tokenizer *t, int vocab, double weight)
{
    char *folder = new_folder(), *path = file_join(folder, "data.jsonl");
    struct problems problems = {0};
    struct data_names names = ONE_FILE(path);
    struct loaded l = {0};
    struct err err;
    int rc;

    names.of[0].weight = weight;
    write_file(folder, "data.jsonl", text, len);
    rc = dataset_load(
        &(struct dataset_input){.names = &names, .data = data, .tokenizer = t, .vocab = vocab},
        &l.d, &problems, &err);
    assert_int_equal(rc, problems.n ? ERR_INVALID : 0);
    if (problems.n)
        l.problems = problems_text(&problems);
    problems_free(&problems);
    free(path);
    remove_folder(folder);
    return l;
}

static int count_rows(void *taker, const struct example *e, struct err *err)
{
    (void)e;
    (void)err;
    ++*(int *)taker;
    return 0;
}

static void no_row_behind_a_fault_is_given_to_a_taker(void **state)
{
    static const char text[] = "{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n"
                               "{\"input_ids\": [1, 2], \"labels\": [1]}\n"
                               "{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n";
    char *folder = new_folder(), *path = file_join(folder, "data.jsonl");
    struct problems problems = {0};
    struct data_names names = ONE_FILE(path);
    struct dataset d = {0};
    struct err err;
    int taken = 0;

    (void)state;
    write_file(folder, "data.jsonl", text, sizeof(text) - 1);
    assert_int_equal(dataset_load(&(struct dataset_input){.names = &names,
                                                          .data = &defaults,
                                                          .vocab = SMALL_VOCAB,
                                                          .take = count_rows,
                                                          .taker = &taken},
                                  &d, &problems, &err),
                     ERR_INVALID);
    assert_int_equal(taken, 1);
    dataset_free(&d);
    problems_free(&problems);
    free(path);
    remove_folder(folder);
}

static struct loaded load_with(const char *text, size_t len, const struct data_options *data,
                               const struct tokenizer *t, int vocab)
{
    return load_weighted(text, len, data, t, vocab, 1);
}

static struct dataset load_good(const char *text, const struct data_options *data,
                                const struct tokenizer *t)
{
    struct loaded l = load_with(text, strlen(text), data, t, SMALL_VOCAB);

    if (l.problems)
        fail_msg("%s", l.problems);
    return l.d;
}

static void refused(const char *text, const struct data_options *data, const struct tokenizer *t,
                    const char *words)
{
    struct loaded l = load_with(text, strlen(text), data, t, SMALL_VOCAB);

    assert_non_null(l.problems);
    assert_null(l.d.examples);
    assert_contains(l.problems, words);
    free(l.problems);
}

/* What an example says, as text: trained tokens in brackets, each run of them one bracket. */
static char *shown(const struct tokenizer *t, const struct example *e)
{
    struct buf b = {0};
    struct err err;
    bool in = false;

    for (int i = 0; i < e->n; i++) {
        bool trained = e->labels[i] != -100;
        if (trained)
            assert_int_equal(e->labels[i], e->ids[i]);
        if (trained != in)
            buf_puts(&b, trained ? "[" : "]");
        in = trained;
        assert_ok(tokenizer_decode(t, &e->ids[i], 1, false, &b, &err), err);
    }
    if (in)
        buf_puts(&b, "]");
    return buf_take(&b);
}

static void first_row_is(const char *row, const struct data_options *data, enum data_format format,
                         enum data_template template_kind, const char *expected)
{
    struct tokenizer *t = small_tokenizer();
    struct dataset d = load_good(row, data, t);
    char *text = shown(t, &d.examples[0]);

    assert_int_equal(d.format, format);
    assert_int_equal(d.template_kind, template_kind);
    assert_string_equal(text, expected);
    free(text);
    dataset_free(&d);
    tokenizer_free(t);
}

static void prompt_rows_are_plain_with_prompt_and_completion_apart(void **state)
{
    (void)state;
    first_row_is("{\"prompt\": \"hello\", \"completion\": \" the\"}", &defaults, FORMAT_PROMPT,
                 TEMPLATE_PLAIN, "hello[ the<|im_end|>]");
    /* "he" + "llo" would be one token if they were tokenised together */
    first_row_is("{\"prompt\": \"he\", \"completion\": \"llo\"}", &defaults, FORMAT_PROMPT,
                 TEMPLATE_PLAIN, "he[llo<|im_end|>]");
    first_row_is("{\"prompt\": \"\", \"completion\": \"hello the\", \"extra\": {\"a\": 1}}",
                 &defaults, FORMAT_PROMPT, TEMPLATE_PLAIN, "hello[ the<|im_end|>]");
}

static void instruction_rows_are_chatml_where_the_model_has_it(void **state)
{
    (void)state;
    first_row_is("{\"instruction\": \"add\", \"input\": \"12\", \"output\": \"three\"}", &defaults,
                 FORMAT_INSTRUCTION, TEMPLATE_CHATML,
                 "<|im_start|>user\nadd\n\n12<|im_end|>\n<|im_start|>assistant\n[three<|im_end|>]");
    first_row_is("{\"instruction\": \"add\", \"output\": \"three\", \"text\": \"x\"}", &defaults,
                 FORMAT_INSTRUCTION, TEMPLATE_CHATML,
                 "<|im_start|>user\nadd<|im_end|>\n<|im_start|>assistant\n[three<|im_end|>]");
}

static void alpaca_has_its_wording_with_and_without_input(void **state)
{
    struct data_options data = defaults;

    (void)state;
    data.template_kind = TEMPLATE_ALPACA;
    data.max_tokens = 1000;
    first_row_is(
        "{\"instruction\": \"add\", \"input\": \"12\", \"output\": \"three\"}", &data,
        FORMAT_INSTRUCTION, TEMPLATE_ALPACA,
        "Below is an instruction that describes a task, paired with an input that provides further "
        "context. Write a response that appropriately completes the request.\n\n### "
        "Instruction:\nadd\n\n### Input:\n12\n\n### Response:[three<|im_end|>]");
    first_row_is(
        "{\"instruction\": \"add\", \"input\": \"\", \"output\": \"three\"}", &data,
        FORMAT_INSTRUCTION, TEMPLATE_ALPACA,
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\nadd\n\n### "
        "Response:[three<|im_end|>]");
    data.template_kind = TEMPLATE_PLAIN;
    first_row_is("{\"instruction\": \"add\", \"input\": \"12\", \"output\": \"three\"}", &data,
                 FORMAT_INSTRUCTION, TEMPLATE_PLAIN, "add\n12[three<|im_end|>]");
}

static void messages_train_every_turn_of_the_assistant(void **state)
{
    (void)state;
    first_row_is(
        "{\"messages\": [{\"role\": \"system\", \"content\": \"Be.\"}, {\"role\": \"user\", "
        "\"content\": "
        "\"hi\"}, {\"role\": \"assistant\", \"content\": \"hello\"}, {\"role\": \"user\", "
        "\"content\": "
        "\"more\"}, {\"role\": \"assistant\", \"content\": \"the\"}]}",
        &defaults, FORMAT_MESSAGES, TEMPLATE_CHATML,
        "<|im_start|>system\nBe.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
        "[hello<|im_end|>]\n<|im_start|>user\nmore<|im_end|>\n<|im_start|>assistant\n"
        "[the<|im_end|>]");
}

static void text_rows_train_everything_and_the_end(void **state)
{
    (void)state;
    first_row_is("{\"text\": \"hello the\"}", &defaults, FORMAT_TEXT, TEMPLATE_PLAIN,
                 "hello[ the<|im_end|>]"); /* the first token can never be */
}

static void train_on_prompt_trains_all_but_the_first_token(void **state)
{
    struct data_options data = defaults;

    (void)state;
    data.train_on_prompt = true;
    first_row_is("{\"prompt\": \"hello the\", \"completion\": \" the\"}", &data, FORMAT_PROMPT,
                 TEMPLATE_PLAIN, "hello[ the the<|im_end|>]");
    first_row_is("{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}", &data,
                 FORMAT_MESSAGES, TEMPLATE_CHATML, "<|im_start|>[user\nhi<|im_end|>\n]");
}

static void ids_are_taken_as_they_are(void **state)
{
    struct dataset d = load_good("{\"input_ids\": [5, 6, 7], \"labels\": [5, -100, 9]}\n"
                                 "\n"
                                 "{\"input_ids\": [1, 2], \"labels\": [-100, -100]}\n",
                                 &defaults, NULL);

    (void)state;
    assert_int_equal(d.format, FORMAT_IDS);
    assert_int_equal(d.n, 2);
    assert_int_equal(d.examples[0].n, 3);
    assert_int_equal(d.examples[0].ids[2], 7);
    assert_int_equal(d.examples[0].labels[0], -100); /* nothing predicts the first token */
    assert_int_equal(d.examples[0].labels[2], 9);
    assert_int_equal(d.examples[0].n_trained, 1);
    assert_int_equal(d.examples[1].n_trained, 0);
    assert_int_equal(d.examples[1].line, 3);
    assert_int_equal(d.untrained.n, 1);
    assert_int_equal(d.untrained.first[0].line, 3);
    dataset_free(&d);
}

static void golden_rows_are_loaded(void **state)
{
    struct problems problems = {0};
    struct dataset d;
    struct err err;

    (void)state;
    assert_ok(dataset_load(&(struct dataset_input){.names = &ONE_FILE(GOLDEN("tiny/train.jsonl")),
                                                   .data = &defaults,
                                                   .tokenizer = NULL,
                                                   .vocab = 256},
                           &d, &problems, &err),
              err);
    assert_true(d.n > 8);
    assert_int_equal(d.examples[0].n, 19);
    assert_int_equal(d.examples[0].n_trained, 12);
    dataset_free(&d);
}

static void long_rows_are_cut_and_counted(void **state)
{
    struct data_options data = defaults;
    struct dataset d;

    (void)state;
    data.max_tokens = 3;
    d = load_good("{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n"
                  "{\"input_ids\": [1, 2, 3, 4], \"labels\": [-100, -100, -100, 4]}\n"
                  "{\"input_ids\": [1, 2, 3, 4, 5], \"labels\": [1, 2, 3, 4, 5]}\n",
                  &data, NULL);
    assert_int_equal(d.cut.n, 2);
    assert_int_equal(d.cut.first[0].line, 2);
    assert_int_equal(d.untrained.n, 1);
    assert_int_equal(d.longest, 3);
    assert_int_equal(d.examples[2].n_trained, 2);
    dataset_free(&d);
}

/* A split row counts once where rows are counted, and its weight is that of all its pieces. */
static void pieces_of_a_row_are_not_rows(void **state)
{
    static const char text[] = "{\"input_ids\": [1, 2, 3], \"labels\": [1, 2, 3]}\n"
                               "{\"input_ids\": [1, 2, 3, 4, 5, 6, 7, 8], \"labels\": [-100, "
                               "-100, -100, -100, -100, -100, -100, 8]}\n";
    struct data_options data = defaults;
    struct buf notes = {0};
    struct loaded l;
    struct dataset d;

    (void)state;
    data.max_tokens = 3;
    data.overflow = OVERFLOW_SPLIT;
    d = load_good(text, &data, NULL);
    assert_int_equal(d.n_rows, 2);
    assert_int_equal(d.n, 4);
    assert_true(dataset_begins_row(&d, 1));
    assert_false(dataset_begins_row(&d, 2));
    dataset_notes(&d, &data, &notes);
    assert_contains(notes.data, "2 rows are 4 in a pass over the data");
    assert_contains(notes.data, "1 of 2 rows are longer");
    assert_contains(notes.data, "2 of 4 rows of a pass have no trained token and are left out "
                                "(line 2)");
    buf_free(&notes);
    dataset_free(&d);
    l = load_weighted(text, strlen(text), &data, NULL, SMALL_VOCAB, 0.5);
    assert_null(l.problems);
    assert_int_equal(l.d.n, 3);
    assert_int_equal(l.d.examples[0].line, 2);
    dataset_free(&l.d);
    l = load_weighted(text, strlen(text), &data, NULL, SMALL_VOCAB, 0.1);
    assert_contains(l.problems, "the weights of its files leave the data set no row");
    free(l.problems);
}

/* Where data is what it is not for this program, or says more than is used. */
static void rows_of_other_trainings_are_refused_wherever_they_stand(void **state)
{
    static const char good[] = "{\"prompt\": \"a\", \"completion\": \"b\"}\n";
    static const char *const bad[] = {"\"kto_tag\": false",
                                      "\"label\": true",
                                      "\"label\": 0",
                                      "\"label\": \"False\"",
                                      "\"rejected\": \"c\"",
                                      "\"rejected_messages\": []",
                                      "\"rejected_response\": \"c\"",
                                      "\"non_preferred_output\": []"};
    struct tokenizer *t = small_tokenizer();
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "%s{\"prompt\": \"a\", \"completion\": \"b\", %s}\n", good,
                 bad[i]);
        refused(text, &defaults, t, ":2: the row has ");
        snprintf(text, sizeof(text), "{\"prompt\": \"a\", \"completion\": \"b\", %s}\n", bad[i]);
        refused(text, &defaults, t, "which is not supported");
    }
    tokenizer_free(t);
}

static void nothing_of_a_conversation_is_dropped_in_silence(void **state)
{
    static const char turn[] = "{\"from\": \"gpt\", \"value\": \"hi\", \"loss\": false}";
    struct tokenizer *t = small_tokenizer();
    struct data_options data = defaults;
    struct dataset d;
    char text[200];

    (void)state;
    snprintf(text, sizeof(text), "{\"conversations\": [%s]}", turn);
    d = load_good(text, &defaults, t);
    assert_contains(d.unused, "loss (1 row)");
    dataset_free(&d);
    snprintf(text, sizeof(text),
             "{\"messages\": [{\"role\": \"assistant\", \"content\": \"hi\"}], "
             "\"conversations\": [%s]}",
             turn);
    d = load_good(text, &defaults, t);
    assert_contains(d.unused, "conversations (1 row)");
    dataset_free(&d);
    d = load_good("{\"messages\": [{\"role\": \"assistant\", \"content\": \"hi\"}], "
                  "\"parallel_tool_calls\": false}",
                  &defaults, t);
    assert_contains(d.unused, "parallel_tool_calls (1 row)");
    dataset_free(&d);
    refused("{\"system\": \"x\", \"messages\": [{\"role\": \"assistant\", \"content\": \"hi\"}]}",
            &defaults, t, "\"system\" beside \"messages\": make it the first message");
    data.train_on_prompt = true;
    refused("{\"messages\": [{\"role\": \"assistant\", \"content\": \"hi\", \"weight\": 0}]}",
            &data, t, "a message is not to be trained");
    refused("{\"prompt\": \"a\", \"completion\": \"b\", \"tools\": [{}]}", &defaults, t,
            "\"tools\", which the template plain cannot print");
    tokenizer_free(t);
}

static void padding_stands_at_the_ends(void **state)
{
    struct dataset d = load_good(
        "{\"input_ids\": [9, 1, 2, 9], \"labels\": [-100, 1, 2, -100], \"attention_mask\": [0, 1, "
        "1, 0]}\n"
        "{\"input_ids\": [1, 2, 9, 3, 4], \"labels\": [1, 2, -100, 3, 4], \"attention_mask\": [1, "
        "1, 0, 1, 1], \"position_ids\": [0, 1, 2, 0, 1]}\n"
        "{\"input_ids\": [1, 2], \"labels\": [1, 2], \"weight\": 0}\n",
        &defaults, NULL);

    (void)state;
    assert_int_equal(d.n, 4);
    assert_int_equal(d.examples[0].n, 2);
    assert_int_equal(d.examples[2].ids[0], 3);
    assert_int_equal(d.examples[3].n_trained, 0);
    dataset_free(&d);
    refused("{\"input_ids\": [1, 2, 3, 4], \"labels\": [1, -100, 3, 4], \"attention_mask\": [1, 0, "
            "1, 1]}",
            &defaults, NULL, "leaves out positions 1 to 1, between others");
}

static void names_of_fields_are_checked(void **state)
{
    struct tokenizer *t = small_tokenizer();
    struct data_options data = defaults;
    struct dataset d;

    (void)state;
    data.fields = json_pack("{s:s, s:s}", "prompt", "q", "completion", "a");
    d = load_good("{\"q\": \"x\", \"a\": \"y\", \"prompt\": \"z\"}", &data, t);
    assert_contains(d.unused, "prompt (1 row)");
    dataset_free(&d);
    refused("{\"q\": \"x\", \"answer\": \"y\"}", &data, t,
            "data.fields says that completion is \"a\", which the first row lacks");
    json_decref(data.fields);
    data.fields = json_pack("{s:s, s:s}", "prompt", "q", "completion", "q");
    d = load_good("{\"q\": \"hello\"}", &data, t);
    assert_int_equal(d.format, FORMAT_PROMPT);
    dataset_free(&d);
    json_decref(data.fields);
    tokenizer_free(t);
}

static void array_and_lines_give_the_same_data(void **state)
{
    static const char lines[] =
        "\xef\xbb\xbf{\"text\": \"hello the\"}\r\n\r\n{\"text\": \"the 12\"}";
    static const char array[] = "\n [{\"text\": \"hello the\"},\n {\"text\": \"the 12\"}]\n";
    struct tokenizer *t = small_tokenizer();
    struct dataset a = load_good(lines, &defaults, t), b = load_good(array, &defaults, t);
    char x[33], y[33];

    (void)state;
    assert_int_equal(a.n, 2);
    dataset_hash(&a, a.n, x);
    dataset_hash(&b, b.n, y);
    assert_int_equal(strlen(x), 32);
    assert_string_equal(x, y);
    assert_int_equal(a.examples[1].line, 3);
    assert_int_equal(b.examples[1].line, 2);
    dataset_free(&a);
    dataset_free(&b);
    tokenizer_free(t);
}

static void csv_gives_the_same_data_as_json(void **state)
{
    struct tokenizer *t = small_tokenizer();
    struct dataset a = load_good("{\"prompt\": \"he\", \"completion\": \"the, 12\"}\n"
                                 "{\"prompt\": \"\", \"completion\": \"hello\\nthe\"}\n",
                                 &defaults, t);
    struct dataset b =
        load_good("completion,prompt\n\"the, 12\",he\n\"hello\nthe\",\n", &defaults, t);
    char x[33], y[33];

    (void)state;
    assert_int_equal(b.n, 2);
    assert_int_equal(b.examples[1].line, 3);
    dataset_hash(&a, a.n, x);
    dataset_hash(&b, b.n, y);
    assert_string_equal(x, y);
    dataset_free(&a);
    dataset_free(&b);
    refused("prompt,completion\nhe,llo\nhe\n", &defaults, t,
            "data.jsonl:3: the row has 1 field, but the header in line 1 names 2");
    tokenizer_free(t);
}

static void hash_sees_ids_labels_and_where_rows_end(void **state)
{
    static const char two_rows[] = "{\"input_ids\": [1, 2], \"labels\": [-100, 2]}\n"
                                   "{\"input_ids\": [3, 4], \"labels\": [3, 4]}";
    static const char *const texts[] = {
        "{\"input_ids\": [1, 2, 3], \"labels\": [-100, 2, 3]}",
        "{\"input_ids\": [1, 2, 3], \"labels\": [-100, 2, -100]}",
        "{\"input_ids\": [1, 2, 4], \"labels\": [-100, 2, 3]}",
        two_rows,
    };
    char hashes[4][33];

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct dataset d = load_good(texts[i], &defaults, NULL);
        dataset_hash(&d, d.n, hashes[i]);
        dataset_free(&d);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(hashes[k], hashes[i]);
    }
}

static void unknown_keys_are_told_with_the_five_formats(void **state)
{
    (void)state;
    refused(
        "{\"question\": \"a\", \"answer\": \"b\"}", &defaults, NULL,
        "data.jsonl:1: the first row has the keys \"question\", \"answer\", which is none of the "
        "five formats: {\"prompt\", \"completion\"}");
    refused("{}", &defaults, NULL, "the keys (none)");
}

static void every_faulty_row_is_told_with_its_line(void **state)
{
    struct tokenizer *t = small_tokenizer();

    (void)state;
    refused("{\"prompt\": \"a\", \"completion\": \"b\"}\nnot json\n", &defaults, t,
            "data.jsonl:2: is not a JSON object: ");
    refused("{\"prompt\": \"a\", \"completion\": \"b\"}\n[1]\n", &defaults, t,
            "data.jsonl:2: is not a JSON object: an array");
    refused("{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"a\"}\n", &defaults, t,
            "data.jsonl:2: the row has no \"completion\"");
    refused("{\"prompt\": \"a\", \"completion\": 7}\n", &defaults, t,
            "data.jsonl:1: \"completion\" must be a string; it is a number");
    refused("{\"messages\": []}", &defaults, t,
            "\"messages\" must be a list of messages; it is empty");
    refused("{\"messages\": [7]}", &defaults, t, "one is a number");
    refused("{\"messages\": [{\"role\": \"gpt\", \"content\": \"b\"}]}", &defaults, t,
            "the role \"gpt\" is not known");
    refused("{\"messages\": [{\"role\": \"user\"}]}", &defaults, t, "a message has no \"content\"");
    refused("{\"text\": \"\"}", &defaults, t, "fewer than two tokens");
    refused("{\"input_ids\": [1, 2], \"labels\": [1]}", &defaults, NULL,
            "the row has 2 input_ids but 1 labels");
    refused("{\"input_ids\": [1, 277], \"labels\": [1, 2]}", &defaults, NULL,
            "\"input_ids\" holds 277, which is outside the vocabulary of 277");
    refused("{\"input_ids\": [1, -100], \"labels\": [1, 2]}", &defaults, NULL, "holds -100");
    refused("{\"input_ids\": [1, 2], \"labels\": [1, -1]}", &defaults, NULL, "holds -1");
    refused("{\"input_ids\": [1, 2.5], \"labels\": [1, 1]}", &defaults, NULL,
            "\"input_ids\" holds a number where a token id must be");
    refused("{\"input_ids\": [1, 2]}", &defaults, NULL, "the row has no \"labels\"");
    refused("{\"input_ids\": [1, 2], \"labels\": [-100, -100]}", &defaults, NULL,
            "no token of any row is trained");
    tokenizer_free(t);
}

static void empty_absent_and_broken_files_are_told(void **state)
{
    struct problems problems = {0};
    struct dataset d;
    struct err err;
    char *text;

    (void)state;
    refused("", &defaults, NULL, "the data set has no rows");
    refused("\n \n", &defaults, NULL, "the data set has no rows");
    refused("[]", &defaults, NULL, "the data set has no rows");
    refused("[{\"input_ids\": [1, 2], \"labels\": [1, 2]},\n", &defaults, NULL, "is not JSON");
    refused("PAR1\x15", &defaults, NULL, "data.jsonl: is a Parquet file. Convert it: python3");
    assert_int_equal(dataset_load(&(struct dataset_input){.names = &ONE_FILE("/nowhere/at all"),
                                                          .data = &defaults,
                                                          .tokenizer = NULL,
                                                          .vocab = 5},
                                  &d, &problems, &err),
                     ERR_INVALID);
    assert_int_equal(dataset_load(&(struct dataset_input){.names = &ONE_FILE("/"),
                                                          .data = &defaults,
                                                          .tokenizer = NULL,
                                                          .vocab = 5},
                                  &d, &problems, &err),
                     ERR_INVALID);
    text = problems_text(&problems);
    assert_contains(text, "/nowhere/at all: cannot be opened: No such file");
    assert_contains(text, "/: is a folder, not a regular file");
    free(text);
    problems_free(&problems);
}

static void only_twenty_of_a_kind_are_listed(void **state)
{
    struct buf b = {0};
    struct loaded l;

    (void)state;
    for (int i = 0; i < 50; i++)
        buf_puts(&b, "{\"input_ids\": [1, 999], \"labels\": [1, 2]}\n");
    l = load_with(b.data, b.len, &defaults, NULL, 256);
    assert_contains(l.problems, "data.jsonl:20: ");
    assert_null(strstr(l.problems, "data.jsonl:21: "));
    assert_contains(l.problems, "and 30 more rows with an id outside the vocabulary");
    free(l.problems);
    buf_free(&b);
}

static void texts_need_a_tokenizer_and_its_tokens(void **state)
{
    struct data_options data = defaults;
    json_t *root = small_json();
    char *folder = new_folder();
    struct tokenizer *t, *bare;
    struct loaded l;

    (void)state;
    json_array_clear(json_object_get(root, "added_tokens"));
    small_write(folder, root);
    bare = small_open(folder, -1, -1);
    t = small_tokenizer();
    refused("{\"text\": \"a\"}", &defaults, NULL, "the model has no tokenizer");
    refused("{\"text\": \"abc\"}", &defaults, bare, "names no end token");
    refused("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", &defaults, bare,
            "its tokenizer lacks <|im_start|> and <|im_end|>");
    data.template_kind = TEMPLATE_ALPACA;
    refused("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", &data, t,
            "which only the model's chat template");
    l = load_with("{\"text\": \"abc\"}", 15, &defaults, t, 256);
    assert_contains(l.problems,
                    "a token of id 275, which is outside the model's vocabulary of 256");
    free(l.problems);
    tokenizer_free(t);
    tokenizer_free(bare);
    remove_folder(folder);
}

static void named_format_overrules_the_keys(void **state)
{
    struct data_options data = defaults;

    (void)state;
    data.format = FORMAT_TEXT;
    first_row_is("{\"prompt\": \"x\", \"completion\": \"y\", \"text\": \"hello the\"}", &data,
                 FORMAT_TEXT, TEMPLATE_PLAIN, "hello[ the<|im_end|>]");
    data.format = FORMAT_PROMPT;
    refused("{\"text\": \"hello\"}", &data, NULL, "no tokenizer");
}

static struct tokenizer *tokenizer_with_bos(void)
{
    json_t *root = small_json();
    char *folder = new_folder();
    struct tokenizer *t;

    json_object_set_new(root, "post_processor",
                        json_pack("{s:s, s:[{s:{s:s}}], s:{s:{s:[i]}}}", "type",
                                  "TemplateProcessing", "single", "SpecialToken", "id",
                                  "<|im_end|>x", "special_tokens", "<|im_end|>x", "ids",
                                  SMALL_END_X));
    small_write(folder, root);
    t = small_open(folder, -1, SMALL_END);
    remove_folder(folder);
    return t;
}

/* What a model is given to answer a user's words. */
static void prompt_of(const struct tokenizer *t, const struct data_options *data, const char *text,
                      struct token_list *out)
{
    bool lone = tokenizer_adds_bos(t);
    enum data_format format = lone ? FORMAT_PROMPT : FORMAT_INSTRUCTION;
    json_t *row = json_pack("{s:s, s:s}", lone ? "prompt" : "instruction", text,
                            lone ? "completion" : "output", "");
    struct row_encoder *e;
    struct err err;

    assert_ok(row_encoder_open(t, data, format, false, &e, &err), err);
    assert_ok(row_encoder_prompt(e, row, out, &err), err);
    row_encoder_free(e);
    json_decref(row);
}

static void begin_token_comes_first_where_the_model_wants_it(void **state)
{
    struct tokenizer *t = tokenizer_with_bos();
    struct dataset d =
        load_good("{\"text\": \"hello\"}\n{\"text\": \"<|im_end|>xhello\"}\n", &defaults, t);
    struct token_list list = {0};

    (void)state;
    for (int i = 0; i < 2; i++) { /* never twice */
        char *text = shown(t, &d.examples[i]);
        assert_string_equal(text, "<|im_end|>x[hello<|im_end|>]");
        free(text);
    }
    prompt_of(t, &defaults, "hello", &list);
    assert_true(list.n == 2 && list.ids[0] == SMALL_END_X && list.ids[1] == 259);
    free(list.ids);
    dataset_free(&d);
    tokenizer_free(t);
}

static void lone_prompt_is_what_a_row_begins_with(void **state)
{
    static const enum data_template kinds[] = {TEMPLATE_PLAIN, TEMPLATE_ALPACA, TEMPLATE_CHATML,
                                               TEMPLATE_AUTO};
    struct tokenizer *t = small_tokenizer();
    struct data_options data = {.max_tokens = 1000};
    struct token_list list = {0};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct dataset d;
        data.template_kind = kinds[i];
        d = load_good("{\"instruction\": \"say the\", \"output\": \"the\"}", &data, t);
        list.n = 0;
        prompt_of(t, &data, "say the", &list);
        assert_int_equal(list.n, d.examples[0].n - 2);
        assert_memory_equal(list.ids, d.examples[0].ids, (size_t)list.n * sizeof(*list.ids));
        dataset_free(&d);
    }
    token_list_free(&list);
    tokenizer_free(t);
}

static void numbers_beyond_64_bits_matter_only_where_they_are_used(void **state)
{
    struct tokenizer *t = small_tokenizer();
    struct dataset d;

    (void)state;
    d = load_good("{\"id\": 18446744073709551615, \"text\": \"hello\"}\n"
                  "{\"id\": 1e999, \"text\": \"he\", \"x\": [NaN, -Infinity]}\n",
                  &defaults, t);
    assert_int_equal(d.n, 2);
    dataset_free(&d);
    d = load_good("[{\"id\": 18446744073709551615, \"text\": \"he\"},\n"
                  "{\"id\": NaN, \"text\": \"he\"}]",
                  &defaults, t);
    assert_int_equal(d.n, 2);
    dataset_free(&d);
    refused("{\"text\": NaN}", &defaults, t,
            "\"text\" must be a string; it is a number that is not finite");
    refused("{\"input_ids\": [1, 1e999], \"labels\": [1, 1]}", &defaults, t,
            "\"input_ids\" holds a number that is not finite where a token id must be");
    refused("{\"input_ids\": [1, 18446744073709551616], \"labels\": [1, 1]}", &defaults, t,
            "\"input_ids\" holds an integer beyond 64 bits where a token id must be");
    tokenizer_free(t);
}

static void damaged_data_never_crashes(void **state)
{
    static const char rows[] =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\\u0000\"}, {\"role\": "
        "\"assistant\", "
        "\"content\": \"hello\"}]}\n{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}\n"
        "{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n{\"text\": \"\\ud83d\\ude42\"}\n";
    struct tokenizer *t = small_tokenizer();
    uint64_t random = 13;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        char *damaged = damaged_copy(rows, sizeof(rows) - 1, sizeof(rows) - 1, &random);
        size_t len = i % 3 ? sizeof(rows) - 1 : (size_t)i % (sizeof(rows) - 1);
        struct loaded l = load_with(damaged, len, &defaults, i % 5 ? t : NULL, SMALL_VOCAB);
        dataset_free(&l.d);
        free(l.problems);
        free(damaged);
    }
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompt_rows_are_plain_with_prompt_and_completion_apart),
        cmocka_unit_test(instruction_rows_are_chatml_where_the_model_has_it),
        cmocka_unit_test(alpaca_has_its_wording_with_and_without_input),
        cmocka_unit_test(messages_train_every_turn_of_the_assistant),
        cmocka_unit_test(text_rows_train_everything_and_the_end),
        cmocka_unit_test(train_on_prompt_trains_all_but_the_first_token),
        cmocka_unit_test(ids_are_taken_as_they_are),
        cmocka_unit_test(golden_rows_are_loaded),
        cmocka_unit_test(long_rows_are_cut_and_counted),
        cmocka_unit_test(pieces_of_a_row_are_not_rows),
        cmocka_unit_test(rows_of_other_trainings_are_refused_wherever_they_stand),
        cmocka_unit_test(nothing_of_a_conversation_is_dropped_in_silence),
        cmocka_unit_test(padding_stands_at_the_ends),
        cmocka_unit_test(names_of_fields_are_checked),
        cmocka_unit_test(array_and_lines_give_the_same_data),
        cmocka_unit_test(csv_gives_the_same_data_as_json),
        cmocka_unit_test(hash_sees_ids_labels_and_where_rows_end),
        cmocka_unit_test(unknown_keys_are_told_with_the_five_formats),
        cmocka_unit_test(every_faulty_row_is_told_with_its_line),
        cmocka_unit_test(empty_absent_and_broken_files_are_told),
        cmocka_unit_test(only_twenty_of_a_kind_are_listed),
        cmocka_unit_test(texts_need_a_tokenizer_and_its_tokens),
        cmocka_unit_test(named_format_overrules_the_keys),
        cmocka_unit_test(begin_token_comes_first_where_the_model_wants_it),
        cmocka_unit_test(lone_prompt_is_what_a_row_begins_with),
        cmocka_unit_test(numbers_beyond_64_bits_matter_only_where_they_are_used),
        cmocka_unit_test(damaged_data_never_crashes),
        cmocka_unit_test(no_row_behind_a_fault_is_given_to_a_taker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
