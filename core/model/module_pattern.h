/* core/model/module_pattern.h - which of a model's modules a regular expression means, as PEFT
 * reads one (peft.utils.other.get_pattern_key; match_target_against_key).
 *
 * A pattern is one of Python's: characters, classes, groups, alternatives, repetitions, anchors and
 * look-around. What PCRE2 could read otherwise than Python, or what could run without bound, is
 * refused by name.
 */
#pragma once
#include "core/err.h"

struct module_pattern;

enum module_pattern_form {
    PATTERN_WHOLE, /* the whole name: target_modules as one text */
    PATTERN_TAIL   /* the whole name, or its part behind a dot: keys of rank_pattern */
};

/* ERR_UNSUPPORTED, or ERR_INVALID where it is no regular expression. */
int module_pattern_open(const char *text, enum module_pattern_form form,
                        struct module_pattern **ret, struct err *err);
void module_pattern_free(struct module_pattern *p); /* NULL-safe */

/* 1: it matches; 0: it does not; ERR_UNSUPPORTED where that takes too long to find out. */
int module_pattern_matches(const struct module_pattern *p, const char *name, struct err *err);
