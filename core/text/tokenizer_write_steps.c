/* core/text/tokenizer_write_steps.c - see tokenizer_write_json.h: what is done to a text before and
 * after its pieces are merged, in the components of HF's tokenizers. */
#include "core/text/token_text.h"
#include "core/text/tokenizer_write_json_impl.h"
#include <string.h>

/* ---- added tokens ---- */

static void put_added_token(struct tokenizer_folder *k, int id, const struct added_token *added,
                            bool normalized)
{
    const struct vocab_token *token = &k->t->vocab.tokens[id];

    json_write_begin(&k->j, '{');
    json_put_int(&k->j, "id", id);
    json_write_key(&k->j, "content", strlen("content"));
    json_write_text(&k->j, token->text, token->len);
    json_put_bool(&k->j, "single_word", added->flags & ADDED_SINGLE_WORD);
    json_put_bool(&k->j, "lstrip", added->flags & ADDED_LSTRIP);
    json_put_bool(&k->j, "rstrip", added->flags & ADDED_RSTRIP);
    json_put_bool(&k->j, "normalized", normalized);
    json_put_bool(&k->j, "special", added->flags & ADDED_SPECIAL);
    json_write_end(&k->j, '}');
}

static void put_added(struct tokenizer_folder *k)
{
    json_put_begin(&k->j, "added_tokens", '[');
    for (int id = 0; id < k->t->vocab.n; id++)
        for (int pass = 0; pass < ADDED_PASSES; pass++)
            if (k->added[pass][id])
                put_added_token(k, id, k->added[pass][id], pass == ADDED_SECOND);
    json_write_end(&k->j, ']');
}

/* ---- steps ---- */

static void begin_step(struct tokenizer_folder *k, const char *type)
{
    json_write_begin(&k->j, '{');
    json_put_text(&k->j, "type", type);
}

static void end_step(struct tokenizer_folder *k)
{
    json_write_end(&k->j, '}');
}

static void begin_sequence(struct tokenizer_folder *k, const char *key, const char *list)
{
    json_put_begin(&k->j, key, '{');
    json_put_text(&k->j, "type", "Sequence");
    json_put_begin(&k->j, list, '[');
}

static void end_sequence(struct tokenizer_folder *k)
{
    json_write_end(&k->j, ']');
    json_write_end(&k->j, '}');
}

static void put_pattern(struct tokenizer_folder *k, const char *kind, const char *pattern)
{
    json_put_begin(&k->j, "pattern", '{');
    json_put_text(&k->j, kind, pattern);
    json_write_end(&k->j, '}');
}

static void put_replace(struct tokenizer_folder *k, const char *what, const char *by)
{
    begin_step(k, "Replace");
    put_pattern(k, "String", what);
    json_put_text(&k->j, "content", by);
    end_step(k);
}

static void put_normalizer(struct tokenizer_folder *k)
{
    if (k->pre && !k->pre->nfc) {
        json_put_null(&k->j, "normalizer");
        return;
    }
    begin_sequence(k, "normalizer", "normalizers");
    if (k->pre) {
        begin_step(k, "NFC");
        end_step(k);
    } else {
        if (k->prefix) {
            begin_step(k, "Prepend");
            json_put_text(&k->j, "prepend", token_blank);
            end_step(k);
        }
        put_replace(k, " ", token_blank);
    }
    end_sequence(k);
}

static void put_split(struct tokenizer_folder *k, const char *pattern)
{
    begin_step(k, "Split");
    put_pattern(k, "Regex", pattern);
    json_put_text(&k->j, "behavior", "Isolated");
    json_put_bool(&k->j, "invert", false);
    end_step(k);
}

static void put_byte_level(struct tokenizer_folder *k)
{
    json_put_bool(&k->j, "add_prefix_space", false);
    json_put_bool(&k->j, "trim_offsets", true);
    json_put_bool(&k->j, "use_regex", false);
}

static void put_pre_tokenizer(struct tokenizer_folder *k)
{
    if (!k->pre) {
        json_put_null(&k->j, "pre_tokenizer");
        return;
    }
    begin_sequence(k, "pre_tokenizer", "pretokenizers");
    for (int i = 0; k->pre->patterns[i]; i++)
        put_split(k, k->pre->patterns[i]);
    begin_step(k, "ByteLevel");
    put_byte_level(k);
    end_step(k);
    end_sequence(k);
}

/* ---- what stands around a text ---- */

static void put_around_special(struct tokenizer_folder *k, int id)
{
    const struct vocab_token *token = &k->t->vocab.tokens[id];

    json_write_begin(&k->j, '{');
    json_put_begin(&k->j, "SpecialToken", '{');
    json_write_key(&k->j, "id", strlen("id"));
    json_write_text(&k->j, token->text, token->len);
    json_put_int(&k->j, "type_id", 0);
    json_write_end(&k->j, '}');
    json_write_end(&k->j, '}');
}

static void put_around(struct tokenizer_folder *k, const char *text)
{
    if (k->t->adds_bos)
        put_around_special(k, k->t->bos);
    json_write_begin(&k->j, '{');
    json_put_begin(&k->j, "Sequence", '{');
    json_put_text(&k->j, "id", text);
    json_put_int(&k->j, "type_id", 0);
    json_write_end(&k->j, '}');
    json_write_end(&k->j, '}');
    if (k->t->behind >= 0)
        put_around_special(k, k->t->behind);
}

static void put_special(struct tokenizer_folder *k, int id)
{
    const struct vocab_token *token = &k->t->vocab.tokens[id];

    json_write_key(&k->j, token->text, token->len);
    json_write_begin(&k->j, '{');
    json_write_key(&k->j, "id", strlen("id"));
    json_write_text(&k->j, token->text, token->len);
    json_put_begin(&k->j, "ids", '[');
    json_write_int(&k->j, id);
    json_write_end(&k->j, ']');
    json_put_begin(&k->j, "tokens", '[');
    json_write_text(&k->j, token->text, token->len);
    json_write_end(&k->j, ']');
    json_write_end(&k->j, '}');
}

static void put_post_processor(struct tokenizer_folder *k)
{
    const struct tokenizer *t = k->t;

    if (!t->adds_bos && t->behind < 0) {
        json_put_null(&k->j, "post_processor");
        return;
    }
    json_put_begin(&k->j, "post_processor", '{');
    json_put_text(&k->j, "type", "TemplateProcessing");
    json_put_begin(&k->j, "single", '[');
    put_around(k, "A");
    json_write_end(&k->j, ']');
    json_put_begin(&k->j, "pair", '[');
    put_around(k, "A");
    put_around(k, "B");
    json_write_end(&k->j, ']');
    json_put_begin(&k->j, "special_tokens", '{');
    if (t->adds_bos)
        put_special(k, t->bos);
    if (t->behind >= 0 && !(t->adds_bos && t->behind == t->bos))
        put_special(k, t->behind);
    json_write_end(&k->j, '}');
    json_write_end(&k->j, '}');
}

static void put_decoder(struct tokenizer_folder *k)
{
    if (k->pre) {
        json_put_begin(&k->j, "decoder", '{');
        json_put_text(&k->j, "type", "ByteLevel");
        put_byte_level(k);
        end_step(k);
        return;
    }
    begin_sequence(k, "decoder", "decoders");
    put_replace(k, token_blank, " ");
    if (k->t->pieces.has_bytes) {
        begin_step(k, "ByteFallback");
        end_step(k);
    }
    begin_step(k, "Fuse");
    end_step(k);
    if (k->prefix) {
        begin_step(k, "Strip");
        json_put_text(&k->j, "content", " ");
        json_put_int(&k->j, "start", 1);
        json_put_int(&k->j, "stop", 0);
        end_step(k);
    }
    end_sequence(k);
}

void tokenizer_folder_put_steps(struct tokenizer_folder *k)
{
    put_added(k);
    put_normalizer(k);
    put_pre_tokenizer(k);
    put_post_processor(k);
    put_decoder(k);
}
