/* core/text/jinja/filters.c - the table of filters, with the names of their parameters, and how one
 * is called. */
#include "core/text/jinja/filters.h"

enum { PARAMETERS = 6 };

static const struct row {
    const char *name;
    filter_bound *bound;
    filter_raw *raw;
    int n, required;
    const char *names[PARAMETERS];
} rows[] = {
    {"abs", filter_abs, NULL, 1, 1, {"x"}},
    {"attr", filter_attr, NULL, 2, 2, {"obj", "name"}},
    {"batch", filter_batch, NULL, 3, 2, {"value", "linecount", "fill_with"}},
    {"capitalize", filter_capitalize, NULL, 1, 1, {"s"}},
    {"center", filter_center, NULL, 2, 1, {"value", "width"}},
    {"count", filter_length, NULL, 1, 1, {"obj"}},
    {"d", filter_default, NULL, 3, 1, {"value", "default_value", "boolean"}},
    {"default", filter_default, NULL, 3, 1, {"value", "default_value", "boolean"}},
    {"dictsort", filter_dictsort, NULL, 4, 1, {"value", "case_sensitive", "by", "reverse"}},
    {"e", filter_escape, NULL, 1, 1, {"s"}},
    {"escape", filter_escape, NULL, 1, 1, {"s"}},
    {"first", filter_first, NULL, 1, 1, {"seq"}},
    {"float", filter_float, NULL, 2, 1, {"value", "default"}},
    {"forceescape", filter_forceescape, NULL, 1, 1, {"value"}},
    {"format", NULL, filter_format, 0, 0, {NULL}},
    {"groupby", filter_groupby, NULL, 4, 2, {"value", "attribute", "default", "case_sensitive"}},
    {"indent", filter_indent, NULL, 4, 1, {"s", "width", "first", "blank"}},
    {"int", filter_int, NULL, 3, 1, {"value", "default", "base"}},
    {"items", filter_items, NULL, 1, 1, {"value"}},
    {"join", filter_join, NULL, 3, 1, {"value", "d", "attribute"}},
    {"last", filter_last, NULL, 1, 1, {"seq"}},
    {"length", filter_length, NULL, 1, 1, {"obj"}},
    {"list", filter_list, NULL, 1, 1, {"value"}},
    {"lower", filter_lower, NULL, 1, 1, {"s"}},
    {"map", NULL, filter_map, 0, 0, {NULL}},
    {"max", filter_max, NULL, 3, 1, {"value", "case_sensitive", "attribute"}},
    {"min", filter_min, NULL, 3, 1, {"value", "case_sensitive", "attribute"}},
    {"reject", NULL, filter_reject, 0, 0, {NULL}},
    {"rejectattr", NULL, filter_rejectattr, 0, 0, {NULL}},
    {"replace", filter_replace, NULL, 4, 3, {"s", "old", "new", "count"}},
    {"reverse", filter_reverse, NULL, 1, 1, {"value"}},
    {"round", filter_round, NULL, 3, 1, {"value", "precision", "method"}},
    {"safe", filter_safe, NULL, 1, 1, {"value"}},
    {"select", NULL, filter_select, 0, 0, {NULL}},
    {"selectattr", NULL, filter_selectattr, 0, 0, {NULL}},
    {"slice", filter_slice, NULL, 3, 2, {"value", "slices", "fill_with"}},
    {"sort", filter_sort, NULL, 4, 1, {"value", "reverse", "case_sensitive", "attribute"}},
    {"string", filter_string, NULL, 1, 1, {"s"}},
    {"sum", filter_sum, NULL, 3, 1, {"iterable", "attribute", "start"}},
    {"title", filter_title, NULL, 1, 1, {"s"}},
    {"tojson",
     filter_tojson,
     NULL,
     5,
     1,
     {"x", "ensure_ascii", "indent", "separators", "sort_keys"}},
    {"trim", filter_trim, NULL, 2, 1, {"value", "chars"}},
    {"truncate", filter_truncate, NULL, 5, 1, {"s", "length", "killwords", "end", "leeway"}},
    {"unique", filter_unique, NULL, 3, 1, {"value", "case_sensitive", "attribute"}},
    {"upper", filter_upper, NULL, 1, 1, {"s"}},
    {"urlencode", filter_urlencode, NULL, 1, 1, {"value"}},
    {"wordcount", filter_wordcount, NULL, 1, 1, {"s"}},
};

int filter_find(struct str name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (str_equal(name, (struct str){rows[i].name, strlen(rows[i].name)}))
            return (int)i + 1;
    return 0;
}

int call_filter(struct run *r, int row, struct args *args, struct value *ret)
{
    const struct row *f = &rows[row - 1];
    struct value in[PARAMETERS] = {{0}}, out = {0};
    int rc;

    if (f->raw) {
        rc = f->raw(r, args, &out);
    } else {
        rc = bind_args(r, f->name, args, f->names, f->n, f->required, in);
        if (rc == 0)
            rc = f->bound(r, in, &out);
    }
    if (rc == 0)
        *ret = out;
    return rc;
}
