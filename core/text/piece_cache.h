/* core/text/piece_cache.h - the tokens of short texts that were merged before: the words of a
 * language are few, and looking one up is cheaper than merging it again.
 *
 * A table of places, one text each; a text whose place is taken replaces the one that is there.
 * What is found is what merging would give, so that nothing depends on what the cache holds. A
 * tokenizer has one; a call of tokenizer_encode() uses it unless another thread's call does.
 */
#pragma once
#include "core/text/token_list.h"
#include <stddef.h>

struct piece_cache;

/* NULL without memory: the calls below take that as a cache that holds nothing. */
struct piece_cache *piece_cache_new(void);
void piece_cache_free(struct piece_cache *c);

/* c, which is the caller's alone until piece_cache_leave(); NULL where another thread has it. */
struct piece_cache *piece_cache_enter(struct piece_cache *c);
void piece_cache_leave(struct piece_cache *c);

/* 1: appended the tokens of the text to out, their begins counted from `origin`; 0: not held. */
int piece_cache_find(const struct piece_cache *c, const char *text, size_t len, uint32_t origin,
                     struct token_list *out, struct err *err);
/* Keeps out's tokens from `first` on as those of the text, unless they or it are long. */
void piece_cache_put(struct piece_cache *c, const char *text, size_t len, uint32_t origin,
                     const struct token_list *out, int first);
