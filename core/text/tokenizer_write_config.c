/* core/text/tokenizer_write_config.c - see tokenizer_write_json.h: tokenizer_config.json. Chat
 * templates stand in it, which every version of transformers reads; it is one text, or a list where
 * some have names.
 *
 * transformers before 5 gives this class token_type_ids too, which generate() refuses for a model
 * that does not take them, unless the names of what it takes stand here.
 */
#include "core/text/token_text.h"
#include "core/text/tokenizer_write_json_impl.h"
#include <string.h>

/* transformers makes an added token of every token that has such a name. */
static void put_named(const struct tokenizer_folder *k, struct json_writer *j, const char *name,
                      int id)
{
    const struct vocab_token *token = &k->t->vocab.tokens[id < 0 ? 0 : id];

    if (id < 0)
        return;
    json_write_key(j, name, strlen(name));
    json_write_text(j, token->text, token->len);
    if (!k->added[ADDED_FIRST][id] && !k->added[ADDED_SECOND][id])
        buf_printf(
            k->notices,
            "transformers finds the token '%s', its %s, in texts, where the GGUF has it as a "
            "part of words alone\n",
            vocab_token_show(token).text, name);
}

static const char *default_template(const struct tokenizer_folder *k)
{
    const struct chat_text *own = chat_source_find(&k->t->chat, "default");

    return k->w->chat_template ? k->w->chat_template : own ? own->text : NULL;
}

static void put_template(struct json_writer *j, const char *name, const char *text)
{
    json_write_begin(j, '{');
    json_put_text(j, "name", name);
    json_put_text(j, "template", text);
    json_write_end(j, '}');
}

/* A text, or where there are several, a list. */
static void put_templates(const struct tokenizer_folder *k, struct json_writer *j)
{
    const struct chat_source *s = &k->t->chat;
    const char *text = default_template(k);
    int n = 0;

    for (int i = 0; i < s->n_templates; i++)
        n += strcmp(s->templates[i].name, "default") != 0;
    if (n == 0) {
        if (text)
            json_put_text(j, "chat_template", text);
        return;
    }
    json_put_begin(j, "chat_template", '[');
    if (text)
        put_template(j, "default", text);
    for (int i = 0; i < s->n_templates; i++)
        if (strcmp(s->templates[i].name, "default") != 0)
            put_template(j, s->templates[i].name, s->templates[i].text);
    json_write_end(j, ']');
}

static void put_inputs(struct json_writer *j)
{
    static const char *const names[] = {"input_ids", "attention_mask"};

    json_put_begin(j, "model_input_names", '[');
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        json_write_text(j, names[i], strlen(names[i]));
    json_write_end(j, ']');
}

void tokenizer_folder_put_config(const struct tokenizer_folder *k, struct buf *out)
{
    static const char *const others[] = {"unk_token", "sep_token", "pad_token", "mask_token"};
    struct json_writer j = {.out = out};
    const struct tokenizer *t = k->t;

    json_write_begin(&j, '{');
    json_put_text(&j, "tokenizer_class", "PreTrainedTokenizerFast");
    json_put_bool(&j, "add_bos_token", t->adds_bos);
    json_put_bool(&j, "add_eos_token", t->behind >= 0);
    put_named(k, &j, "bos_token", t->bos);
    put_named(k, &j, "eos_token", t->eos);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        put_named(k, &j, others[i], tokenizer_named(t, others[i]));
    json_put_int(&j, "model_max_length", k->w->n_positions);
    json_put_bool(&j, "clean_up_tokenization_spaces", false);
    put_inputs(&j);
    put_templates(k, &j);
    json_write_end(&j, '}');
}
