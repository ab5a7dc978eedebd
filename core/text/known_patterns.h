/* core/text/known_patterns.h - the patterns of well-known models, as their own tokenizer.json have
 * them.
 */
#pragma once
#include <stdbool.h>

extern const char known_gpt2[];   /* which ByteLevel stands for */
extern const char known_llama3[]; /* and its kin */
extern const char known_qwen2[];
extern const char known_qwen35[];
extern const char known_tekken[];
extern const char known_gpt4o[];
extern const char known_bailing[];
extern const char known_seed_coder[];
extern const char known_digits[], known_digit[], known_three_digits[], known_up_to_three_digits[];
extern const char known_punctuation[]; /* of the name "default" */
extern const char known_line_end[];
extern const char known_letters[], known_marks[], known_asian[]; /* DeepSeek Coder */
extern const char known_deepseek_letters[], known_deepseek_marks[], known_deepseek_end[];
extern const char known_deepseek3_asian[], known_deepseek3[];

/* Whether no text takes longer with the pattern than its length accounts for. */
bool known_patterns_have(const char *pattern);
