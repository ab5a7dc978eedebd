/* core/text/thought.h - thoughts in what a chat template prints: <think> ... </think>, [THINK] and
 * their like. */
#pragma once
#include <stddef.h>

/* Bytes at the beginning of text that are tags of thoughts, at least one, and blanks; the last
 * thought may be open. 0: there is none. */
size_t thought_tags(const char *text, size_t len);
/* Likewise, but up to the last tag that closes a thought, and the blanks behind it: what follows
 * the tag of a thought that is still open is that thought. */
size_t thought_empty(const char *text, size_t len);
