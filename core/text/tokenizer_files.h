/* core/text/tokenizer_files.h - what the files beside a tokenizer say, as transformers reads them:
 * tokens that the tokenizer's own file does not have, begin and end; chat templates by
 * chat_source.h.
 *
 *   tokenizer_config.json    added_tokens_decoder {id: token}; bos_token, eos_token and whatever
 * else ends in _token; additional_special_tokens, extra_special_tokens
 *   special_tokens_map.json, added_tokens.json   read only where there is no added_tokens_decoder;
 *                            the map counts more than tokenizer_config.json then
 *   generation_config.json, or config.json without it   eos_token_id: all that end a generated
 * text; the first is the end token where nothing else names one
 */
#pragma once
#include "core/text/tokenizer_impl.h"
#include <jansson.h>

struct tokenizer_files {
    json_t *config, *map, *added, *generation; /* NULL: no such file */
    char *path;                                /* of the tokenizer */
};

/* Reads what is in the folder of the file `path`. Undone by tokenizer_files_free(), on failure too.
 */
int tokenizer_files_read(const char *path, struct tokenizer_files *ret, struct err *err);
void tokenizer_files_free(struct tokenizer_files *f);

/* How many tokens the files may add at most. */
size_t tokenizer_files_count(const struct tokenizer_files *f);
/* Adds those tokens that t lacks: its first n_ids ids are taken, and room for the others is there.
 * Sets t's ends, chat templates and the number of its ids. */
int tokenizer_files_apply(const struct tokenizer_files *f, struct tokenizer *t, int n_ids,
                          struct err *err);
