/* worker/answers.h - whether a generated answer is the expected one. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Whether the two are equal but for blanks at their ends. */
bool answer_matches(const char *answer, const char *expected);

/* The answers of the commonsense data sets on which LoRA-Dash (Si et al. 2024) was measured: true
 * or false (BoolQ), solution1 or 2 (PIQA), answer1 to 5 (SIQA, ARC, OBQA), ending1 to 4
 * (HellaSwag), option1 or 2 (WinoGrande). Returns the first of the label's kind in the text, as the
 * commonsense_evaluate.py of LLM-Adapters (Hu et al. 2023) does, "" where there is none, and NULL
 * where the label is of no kind. */
const char *answer_extract(const char *text, const char *label);
