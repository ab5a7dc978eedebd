/* tests/unit/text/test_turns.c - which bytes of a rendered conversation are trained, for the ways
 * in which real templates print turns. */
#include "tests/unit/small_tokenizer.h"
#include "core/text/turns.h"

static const char chatml[] =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
/* Thoughts of the last turn alone, an empty one where it has none. */
static const char thinking[] =
    "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' and loop.last %}<think>\n"
    "{{ m.reasoning_content or '' }}\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
static const char *const two = "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
                               "\"content\":\"b\"},{\"role\":\"user\",\"content\":\"c\"},{\"role\":"
                               "\"assistant\",\"content\":\"d\"}]";

static struct turns turns;
static struct err err;

static int find(const char *template, const char *messages, enum train_on train_on, bool empty)
{
    json_t *row = json_pack("{s:o}", "messages", json_loads(messages, 0, NULL));
    char *folder = new_folder(), *path = file_join(folder, "template.jinja");
    struct chat_template_options options = {.file = path};
    struct tokenizer *t = small_tokenizer();
    struct conversation c = {0};
    struct chat_template *chat;
    enum row_fault fault;
    int rc;

    write_text(folder, "template.jinja", template);
    assert_ok(chat_template_open(t, &options, &chat, &err), err);
    assert_ok(conversation_read(&c, row, FORMAT_MESSAGES, train_on, &fault, &err), err);
    rc = turns_find(&turns, chat, &c, empty, &err);
    conversation_free(&c);
    chat_template_free(chat);
    tokenizer_free(t);
    json_decref(row);
    remove_folder(folder);
    free(path);
    return rc;
}

/* The text with its turns in double brackets. */
static void finds(const char *template, const char *messages, enum train_on train_on, bool empty,
                  const char *expected)
{
    struct buf b = {0};
    const char *text;
    size_t at = 0;

    assert_ok(find(template, messages, train_on, empty), err);
    text = turns.whole.text.data;
    for (int i = 0; i < turns.n; i++) {
        buf_append(&b, text + at, turns.of[i].begin - at);
        buf_puts(&b, "[[");
        buf_append(&b, text + turns.of[i].begin, turns.of[i].end - turns.of[i].begin);
        buf_puts(&b, "]]");
        at = turns.of[i].end;
    }
    buf_append(&b, text + at, turns.whole.text.len - at);
    assert_string_equal(b.data, expected);
    buf_free(&b);
}

static void turns_are_what_follows_the_generation_prompt(void **state)
{
    (void)state;
    finds(
        chatml, two, TRAIN_ON_ASSISTANT, false,
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[[b<|im_end|>\n]]<|im_start|>user\n"
        "c<|im_end|>\n<|im_start|>assistant\n[[d<|im_end|>\n]]");
    finds(chatml, two, TRAIN_ON_LAST, false,
          "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\n"
          "c<|im_end|>\n<|im_start|>assistant\n[[d<|im_end|>\n]]");
    finds(chatml, "[{\"role\":\"assistant\",\"content\":\"b\"}]", TRAIN_ON_ASSISTANT, false,
          "<|im_start|>assistant\n[[b<|im_end|>\n]]");
}

static void without_a_prompt_a_turn_begins_with_its_words(void **state)
{
    (void)state;
    finds("{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</s>{% endfor %}",
          "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\" b \"}]",
          TRAIN_ON_ASSISTANT, false, "<user>a</s><assistant>[[b</s>]]");
}

static void blocks_of_generation_are_taken_as_they_are(void **state)
{
    static const char marked[] =
        "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}."
        "{% endgeneration %}{% else %}U:{{ m.content }}{% endif %}{% endfor %}";

    (void)state;
    finds(marked, two, TRAIN_ON_ASSISTANT, false, "U:aA:[[b.]]U:cA:[[d.]]");
    finds(marked, two, TRAIN_ON_LAST, false, "U:aA:b.U:cA:[[d.]]");
}

static void empty_thoughts_are_left_out(void **state)
{
    (void)state;
    finds(thinking, two, TRAIN_ON_ASSISTANT, false,
          "<user>a<|im_end|><assistant>[[b<|im_end|>]]<user>c<|im_end|><assistant><think>\n\n"
          "</think>\n\n[[d<|im_end|>]]");
    finds(thinking, two, TRAIN_ON_ASSISTANT, true,
          "<user>a<|im_end|><assistant>[[b<|im_end|>]]<user>c<|im_end|><assistant>[[<think>\n\n"
          "</think>\n\nd<|im_end|>]]");
    finds("{% for m in messages %}<{{ m.role }}>{{ m.content }}<|im_end|>{% endfor %}"
          "{% if add_generation_prompt %}<assistant><think>\n{% endif %}",
          two, TRAIN_ON_ASSISTANT, false,
          "<user>a<|im_end|><assistant>[[b<|im_end|>]]<user>c<|im_end|><assistant>[[d<|im_end|>]]");
}

static const char asked[] = "[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",";

/* An answer of these fields. */
static void trains(const char *template, const char *answer, const char *expected)
{
    char *messages;

    assert_true(asprintf(&messages, "%s%s}]", asked, answer) > 0);
    finds(template, messages, TRAIN_ON_ASSISTANT, false, expected);
    free(messages);
}

/* Prints an empty thought where the answer has none, and takes one out of its text, as Qwen3's. */
static const char taking[] =
    "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% set c = m.content %}"
    "{% set r = '' %}{% if '</think>' in c %}{% set r = c.split('</think>')[0].split('<think>')[-1]"
    " %}{% set c = c.split('</think>')[-1].lstrip('\n') %}{% endif %}<think>\n{{ r.strip('\n') }}"
    "\n</think>\n\n{{ c }}{% else %}{{ m.content }}{% endif %}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

static void thoughts_of_the_answer_itself_are_trained(void **state)
{
    static const char plain[] = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>"
                                "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
    static const char *const answers[] = {"<think>hm</think>b",
                                          "<think></think>b",
                                          "<think>no end",
                                          "<reasoning>add</reasoning> 4",
                                          " <thinking>hm</thinking>b",
                                          "[reasoning] 4",
                                          "</think>b"};

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        char *answer, *text;
        assert_true(asprintf(&answer, "\"content\":\"%s\"", answers[i]) > 0);
        assert_true(asprintf(&text, "<user>q</s><assistant>[[%s</s>]]", answers[i]) > 0);
        trains(plain, answer, text);
        free(answer);
        free(text);
    }
    trains(taking, "\"content\":\"<think>\\nhm\\n</think>\\n\\nb\"",
           "<user>q</s><assistant>[[<think>\nhm\n</think>\n\nb</s>]]");
    trains(taking, "\"content\":\"<think>\\n\\n</think>\\n\\nb\"",
           "<user>q</s><assistant>[[<think>\n\n</think>\n\nb</s>]]");
    trains(taking, "\"content\":\" yo\"",
           "<user>q</s><assistant><think>\n\n</think>\n\n[[ yo</s>]]");
    trains("{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}<think></think>"
           "{% endif %}{{ m.content }}</s>{% endfor %}"
           "{% if add_generation_prompt %}<assistant>{% endif %}",
           "\"content\":\"<think>hm</think>b\"",
           "<user>q</s><assistant><think></think>[[<think>hm</think>b</s>]]");
    trains("{% for m in messages %}<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>"
           "final{% endif %}<|message|>{{ m.content }}<|end|>{% endfor %}"
           "{% if add_generation_prompt %}<|start|>assistant{% endif %}",
           "\"content\":\"b\"",
           "<|start|>user<|message|>q<|end|><|start|>assistant[[<|channel|>final<|message|>b"
           "<|end|>]]");
}

static void a_header_is_told_from_the_words_that_it_holds(void **state)
{
    static const char header[] =
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.tool_calls %}<tool_call>"
        "{{ m.tool_calls[0].function | tojson }}</tool_call>{% else %}{{ m.content }}{% endif %}"
        "<|im_end|>\n{% endfor %}";
    static const char shouted[] = "{% for m in messages %}{{ m.role | upper }}: {{ m.content }}\n"
                                  "{% endfor %}";
    static const char *const answers[] = {"a", "assistant", "s", "<", "start", " b", "\u00e9"};

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        char *answer, *text;
        assert_true(asprintf(&answer, "\"content\":\"%s\"", answers[i]) > 0);
        assert_true(asprintf(&text,
                             "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[[%s<|im_end|>"
                             "\n]]",
                             answers[i]) > 0);
        trains(header, answer, text);
        free(answer);
        free(text);
    }
    trains("{% for m in messages %}{{ m.role }}: {% for p in m.content %}{{ p.text }}{% endfor %};"
           "{% endfor %}",
           "\"content\":[{\"type\":\"text\",\"text\":\"a\"}]", "user: ;assistant: [[a;]]");
    trains(shouted, "\"content\":\"A\"", "USER: q\nASSISTANT: [[A\n]]");
    trains(header,
           "\"content\":\"\",\"tool_calls\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
           "\"arguments\":{}}}]",
           "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[[<tool_call>{\"name\": \"f\", "
           "\"arguments\": {}}</tool_call><|im_end|>\n]]");
    trains(
        "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}<think>\n"
        "{{ m.reasoning_content or '' }}\n</think>\n\n{% endif %}{{ m.content }}</s>{% endfor %}",
        "\"content\":\"b\",\"reasoning_content\":\"hm\"",
        "<user>q</s><assistant>[[<think>\nhm\n</think>\n\nb</s>]]");
}

static void thoughts_that_a_template_drops_are_refused(void **state)
{
    static const char messages[] =
        "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\","
        "\"reasoning_content\":\"r\"},{\"role\":\"user\",\"content\":\"c\"},{\"role\":"
        "\"assistant\",\"content\":\"d\",\"reasoning_content\":\"q\"}]";

    (void)state;
    assert_int_equal(find(thinking, messages, TRAIN_ON_ASSISTANT, false), ERR_INVALID);
    assert_contains(err.text, "message 2 otherwise once others follow: it drops the thoughts");
    finds(thinking, messages, TRAIN_ON_LAST, false,
          "<user>a<|im_end|><assistant>b<|im_end|><user>c<|im_end|><assistant>[[<think>\nq\n"
          "</think>\n\nd<|im_end|>]]");
}

static void last_turns_may_end_otherwise(void **state)
{
    (void)state;
    finds("{% for m in messages %}<{{ m.role }}>{{ m.content }}<|end|>{% endfor %}"
          "{% if add_generation_prompt %}<assistant>{% else %}<eos>{% endif %}",
          two, TRAIN_ON_ASSISTANT, false,
          "<user>a<|end|><assistant>[[b<|end|>]]<user>c<|end|><assistant>[[d<|end|><eos>]]");
    finds("{% for m in messages %}<{{ m.role }}>{{ m.content }}"
          "{% if loop.last and m.role == 'assistant' %}<|return|>{% else %}<|end|>{% endif %}"
          "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
          two, TRAIN_ON_ASSISTANT, false,
          "<user>a<|end|><assistant>[[b<|end|>]]<user>c<|end|><assistant>[[d<|return|>]]");
}

static void what_is_not_a_beginning_is_refused(void **state)
{
    (void)state;
    assert_int_equal(
        find("{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}"
             "{% if add_generation_prompt %}>{% endif %}",
             two, TRAIN_ON_ASSISTANT, false),
        ERR_INVALID);
    assert_contains(err.text, "prints the messages before number 2 otherwise");
    assert_int_equal(
        find("{{ raise_exception('no ' + messages[0].content) }}", two, TRAIN_ON_ASSISTANT, false),
        ERR_INVALID);
    assert_contains(err.text, "the chat template refuses the conversation: no a");
}

/* n messages, of which every second one is the assistant's. */
static char *long_conversation(int n)
{
    struct buf b = {0};

    for (int i = 0; i < n; i++)
        buf_printf(&b, "%c{\"role\":\"%s\",\"content\":\"%d\"}", i ? ',' : '[',
                   i % 2 ? "assistant" : "user", i);
    buf_puts(&b, "]");
    return b.data;
}

static void conversations_that_take_too_long_are_refused(void **state)
{
    static const char marked[] =
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
    char *longer = long_conversation(10000), *shorter = long_conversation(1000);

    (void)state;
    assert_int_equal(find(chatml, longer, TRAIN_ON_ASSISTANT, false), ERR_INVALID);
    assert_contains(err.text, "finding 5000 turns among 10000 messages takes too long");
    assert_ok(find(chatml, longer, TRAIN_ON_LAST, false), err);
    assert_int_equal(turns.n, 1);
    assert_ok(find(marked, longer, TRAIN_ON_ASSISTANT, false), err);
    assert_int_equal(turns.n, 5000);
    assert_ok(find(chatml, shorter, TRAIN_ON_ASSISTANT, false), err);
    assert_int_equal(turns.n, 500);
    free(longer);
    free(shorter);
}

static int close_turns(void **state)
{
    (void)state;
    turns_free(&turns);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_are_what_follows_the_generation_prompt),
        cmocka_unit_test(without_a_prompt_a_turn_begins_with_its_words),
        cmocka_unit_test(blocks_of_generation_are_taken_as_they_are),
        cmocka_unit_test(empty_thoughts_are_left_out),
        cmocka_unit_test(thoughts_of_the_answer_itself_are_trained),
        cmocka_unit_test(a_header_is_told_from_the_words_that_it_holds),
        cmocka_unit_test(thoughts_that_a_template_drops_are_refused),
        cmocka_unit_test(last_turns_may_end_otherwise),
        cmocka_unit_test(what_is_not_a_beginning_is_refused),
        cmocka_unit_test(conversations_that_take_too_long_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, close_turns);
}
