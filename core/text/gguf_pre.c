/* core/text/gguf_pre.c - see gguf_pre.h. The names are llama.cpp's (llama-vocab.cpp), what is
 * behind them is what the models' own tokenizer.json say. */
#include "core/text/gguf_pre.h"
#include "core/text/known_patterns.h"
#include <stddef.h>
#include <string.h>

typedef const char *const patterns[];

static patterns gpt2 = {known_gpt2, NULL};
static patterns digits_first = {known_digit, known_gpt2, NULL};
static patterns llama3 = {known_llama3, NULL};
static patterns qwen2 = {known_qwen2, NULL};
static patterns qwen35 = {known_qwen35, NULL};
static patterns tekken = {known_tekken, NULL};
static patterns gpt4o = {known_gpt4o, NULL};
static patterns bailing = {known_bailing, NULL};
static patterns seed_coder = {known_seed_coder, NULL};
static patterns by_default = {known_punctuation, known_gpt2, known_digits, known_three_digits,
                              NULL};
static patterns deepseek_coder = {known_line_end, known_letters, known_marks,
                                  known_asian,    known_digit,   NULL};
static patterns deepseek_llm = {known_line_end,
                                known_deepseek_letters,
                                known_deepseek_marks,
                                known_deepseek_end,
                                known_asian,
                                known_digit,
                                NULL};
static patterns deepseek3 = {known_up_to_three_digits, known_deepseek3_asian, known_deepseek3,
                             NULL};

static const struct gguf_pre known[] = {
    {"default", by_default},
    {"gpt-2", gpt2},
    {"phi-2", gpt2},
    {"mpt", gpt2},
    {"olmo", gpt2},
    {"jais", gpt2},
    {"jina-es", gpt2},
    {"jina-de", gpt2},
    {"jina-v2-es", gpt2},
    {"jina-v2-de", gpt2},
    {"gigachat", gpt2},
    {"a.x-4.0", gpt2},
    {"mellum", gpt2},
    {"modern-bert", gpt2},
    {"trillion", gpt2},
    {"granite-docling", gpt2},
    {"exaone4", gpt2},
    {"smollm", digits_first},
    {"starcoder", digits_first},
    {"refact", digits_first},
    {"command-r", digits_first},
    {"codeshell", digits_first},
    {"exaone", digits_first},
    {"minerva-7b", digits_first},
    {"mellum2", digits_first},
    {"llama-bpe", llama3, .ignore_merges = true, .adds_bos = true},
    {"llama3", llama3, .ignore_merges = true, .adds_bos = true},
    {"llama-v3", llama3, .ignore_merges = true, .adds_bos = true},
    {"falcon3", llama3, .ignore_merges = true, .adds_bos = true},
    {"falcon-h1", llama3, .ignore_merges = true, .adds_bos = true},
    {"pixtral", llama3, .ignore_merges = true, .adds_bos = true},
    {"midm-2.0", llama3, .ignore_merges = true, .adds_bos = true},
    {"lfm2", llama3, .ignore_merges = true, .adds_bos = true},
    {"smaug-bpe", llama3},
    {"dbrx", llama3},
    {"glm4", llama3},
    {"chatglm-bpe", llama3},
    {"qwen2", qwen2, .nfc = true},
    {"qwen35", qwen35, .nfc = true},
    {"deepseek-r1-qwen", qwen2},
    {"megrez", qwen2},
    {"stablelm2", qwen2},
    {"hunyuan", qwen2},
    {"solar-open", qwen2},
    {"kormo", qwen2},
    {"f2llmv2", qwen2},
    {"grok-2", qwen2},
    {"tekken", tekken, .ignore_merges = true, .adds_bos = true},
    {"gpt-4o", gpt4o},
    {"llama4", gpt4o},
    {"kanana2", gpt4o},
    {"deepseek-llm", deepseek_llm},
    {"deepseek-coder", deepseek_coder},
    {"deepseek-v3", deepseek3},
    {"hunyuan-dense", deepseek3},
    {"joyai-llm", deepseek3},
    {"bailingmoe", bailing},
    {"bailingmoe2", bailing},
    {"llada-moe", bailing},
    {"seed-coder", seed_coder},
};

const struct gguf_pre *gguf_pre_find(const char *name)
{
    if (!name || !*name)
        name = "default";
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].name, name) == 0)
            return &known[i];
    return NULL;
}

const struct gguf_pre *gguf_pre_of(const struct normalizer *normalizer,
                                   const struct pretokenizer *pretokenizer, bool ignore_merges)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const struct gguf_pre *pre = &known[i];
        bool form = pre->nfc ? normalizer_is_form(normalizer, UNICODE_NFC) : normalizer->n == 0;
        if (form && pre->ignore_merges == ignore_merges &&
            pretokenizer_is_patterns(pretokenizer, pre->patterns))
            return pre;
    }
    return NULL;
}

int gguf_pre_add(const struct gguf_pre *pre, struct normalizer *normalizer,
                 struct pretokenizer *pretokenizer, struct err *err)
{
    int rc = pre->nfc ? normalizer_add_form(normalizer, UNICODE_NFC, err) : 0;

    for (int i = 0; rc == 0 && pre->patterns[i]; i++)
        rc = pretokenizer_add(pretokenizer, pre->patterns[i], false, SPLIT_ISOLATED, false, err);
    return rc;
}
