/* core/text/json_steps.h - the components of a tokenizer.json beside its model: each is done
 * exactly or refused by name (ERR_UNSUPPORTED).
 */
#pragma once
#include "core/json_file.h"
#include "core/text/tokenizer_impl.h"

/* "(no type)" if it has none. */
const char *json_component_type(const json_t *component);
/* "the WHAT 'NAME' is not supported" */
int json_component_refuse(struct err *err, const char *what, const char *name);

/* Prepend, Replace, Strip, Lowercase, NFC, NFD, NFKC, NFKD, and a Sequence of them. */
int json_steps_add_normalizer(struct tokenizer *t, const json_t *normalizer, struct err *err);
/* Split, Digits, Metaspace, ByteLevel as the last, and a Sequence of them; or none. */
int json_steps_add_pre_tokenizer(struct tokenizer *t, const json_t *pre, struct err *err);
/* Whether the pre-tokenizer ends in ByteLevel: then the model is of bytes. */
bool json_steps_are_of_bytes(const json_t *pre);

/* What a decoder and a post-processor say that matters here: whether a blank in front is dropped,
 * and which tokens stand around a text. */
void json_steps_read_decoder(struct tokenizer *t, const json_t *decoder);
void json_steps_read_post_processor(struct tokenizer *t, const json_t *processor);
