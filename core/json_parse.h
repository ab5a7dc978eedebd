/* core/json_parse.h - JSON as Python writes it, parsed by jansson.
 *
 * jansson refuses a text for one number that it cannot hold. Python writes such numbers:
 * transformers puts model_max_length 1e30, an integer of 31 digits, in most tokenizer_config.json,
 * and a row of data may hold NaN. They must not matter where nothing reads them:
 *
 *   an integer beyond 64 bits           a list of two strings, json_parse_large_integer()
 *   1e999, NaN, Infinity, -Infinity     likewise, json_parse_not_finite()
 *
 * so that whoever reads it finds neither a number nor a text, and no integer loses its last digits.
 * Integers of 64 bits stay exact, and lines keep their numbers.
 */
#pragma once
#include <jansson.h>
#include <stddef.h>

/* As json_loadb(). The caller's NULL and why->text[0] == 0: no memory. */
json_t *json_parse(const char *bytes, size_t len, size_t flags, json_error_t *why);

/* How a number that is not finite was written, where the value stands for one; else NULL. */
const char *json_parse_not_finite(const json_t *value);
/* Likewise of an integer beyond 64 bits. */
const char *json_parse_large_integer(const json_t *value);
