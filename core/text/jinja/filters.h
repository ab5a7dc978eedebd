/* core/text/jinja/filters.h - what stands behind a bar. Within this folder only. */
#pragma once
#include "core/text/jinja/data.h"

/* The row of a filter, from 1; 0: there is none. */
int filter_find(struct str name);

/* `in` is what the filter is applied to, then its arguments by parameter, missing where absent. */
typedef int filter_bound(struct run *r, struct value *in, struct value *ret);
typedef int filter_raw(struct run *r, struct args *args, struct value *ret);

filter_bound filter_abs, filter_attr, filter_capitalize, filter_center, filter_default,
    filter_escape, filter_float, filter_forceescape, filter_indent, filter_int, filter_length,
    filter_lower, filter_replace, filter_round, filter_safe, filter_string, filter_title,
    filter_tojson, filter_trim, filter_truncate, filter_upper, filter_urlencode, filter_wordcount;
filter_bound filter_batch, filter_dictsort, filter_first, filter_groupby, filter_items, filter_join,
    filter_last, filter_list, filter_max, filter_min, filter_reverse, filter_slice, filter_sort,
    filter_sum, filter_unique;
filter_raw filter_format, filter_map, filter_select, filter_reject, filter_selectattr,
    filter_rejectattr;

/* An attribute as filters name it: "a.b.0", an integer, or none. With dots and integers. */
struct path {
    struct value *steps;
    size_t n;
    struct value fallback; /* for an undefined step; or missing */
    bool fold;             /* texts become lower case */
};
int path_of(struct run *r, const struct value *attribute, struct path *ret);
int path_get(struct run *r, const struct path *path, const struct value *item, struct value *ret);
/* Texts in lower case, other values as they are. */
int ignore_case(struct run *r, const struct value *v, struct value *ret);
