/* tests/bench/jinja.c - how long a conversation of four messages, 1 KB in all, takes to render. */
#include "core/text/jinja/jinja.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char chatml[] = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + "
                             "'\n' + message['content'] + "
                             "'<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
                             "'<|im_start|>assistant\n' }}"
                             "{% endif %}";

static const char llama[] =
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif "
    "%}"
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
    "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim "
    "+ "
    "'<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant"
    "<|end_header_id|>\n\n' }}{% endif %}";

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static json_t *conversation(void)
{
    static const char *const roles[] = {"system", "user", "assistant", "user"};
    json_t *messages = json_array();
    char text[257];

    for (int i = 0; i < 4; i++) {
        for (size_t k = 0; k < sizeof(text) - 1; k++)
            text[k] = (char)(k % 7 == 6 ? ' ' : 'a' + (int)k % 26);
        text[sizeof(text) - 1] = '\0';
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", roles[i], "content", text));
    }
    return messages;
}

static int measure(const char *name, const char *text, const struct jinja_variable *variables,
                   int n)
{
    enum { ROUNDS = 200000 };
    struct jinja_output out = {{0}};
    struct jinja *t = NULL;
    struct err err;
    double begin;
    int rc = jinja_parse(name, text, strlen(text), &t, &err);

    begin = now();
    for (int i = 0; i < ROUNDS && rc == 0; i++)
        rc = jinja_render(t, variables, n, &jinja_defaults, &out, &err);
    if (rc == 0)
        printf("%s: %.2f us a row, %zu bytes\n", name, (now() - begin) / ROUNDS * 1e6,
               out.text.len);
    else
        fprintf(stderr, "%s\n", err.text);
    jinja_output_free(&out);
    jinja_free(t);
    return rc;
}

int main(void)
{
    json_t *messages = conversation();
    const struct jinja_variable variables[] = {{.name = "messages", .json = messages},
                                               {.name = "bos_token", .text = "<s>", .len = 3},
                                               {.name = "tools", .json = json_null()}};
    int rc = measure("ChatML", chatml, variables, 3);

    if (rc == 0)
        rc = measure("Llama 3", llama, variables, 3);
    json_decref(messages);
    return rc < 0;
}
