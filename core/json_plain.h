/* core/json_plain.h - most JSON, read several times as fast as jansson does it.
 *
 * What is not plain is left to jansson, which then also finds the words for what is wrong.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* What json_loadb() makes of the bytes, with JSON_ALLOW_NUL or without flags; or NULL, where they
 * are not JSON, or have a number, a key or a depth that is rare, or memory was lacking. */
json_t *json_plain_parse(const char *bytes, size_t len, bool allow_nul);
