/* core/text/thought.h - thoughts in what a chat template prints: <think> ... </think>, [THINK] and
 * their like. */
#pragma once
#include <stddef.h>

/* Bytes at the beginning of text that are an empty thought: tags of thoughts, at least one, and
 * blanks. 0: there is none. */
size_t thought_empty(const char *text, size_t len);
