/* core/text/jinja/text_case.h - Python's upper(), lower(), title() and the like, with full
 * mappings: a character may become three, and the last sigma of a word is another one. */
#pragma once
#include "core/text/jinja/text.h"

enum text_case { TEXT_LOWER, TEXT_UPPER, TEXT_TITLE, TEXT_CAPITALIZE, TEXT_SWAP };

int text_to_case(struct run *r, struct str s, enum text_case wanted, struct builder *out);

/* As Python's str.isalpha() and the like: all characters have one of the properties, and there is
 * one. */
bool text_is_all(struct str s, unsigned properties);
bool text_is_lower(struct str s);
bool text_is_upper(struct str s);
bool text_is_title(struct str s);
