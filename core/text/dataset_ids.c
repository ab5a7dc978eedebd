/* core/text/dataset_ids.c - rows of token ids.
 *
 * What attention_mask leaves out is padding, and is removed: a model that attends to no padding
 * gives the same numbers without it. Rows that were packed by position_ids are several rows, which
 * do not see each other.
 */
#include "core/text/dataset_impl.h"
#include "core/json_file.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* One list of ids, appended to `out`; labels may be LABEL_NONE. 1: a good one; 0: a faulty one,
 * which was reported; or a negative code. */
static int get_ids(struct loader *l, const json_t *row, int line, const char *key,
                   struct token_list *out)
{
    const json_t *list = json_object_get(row, key), *each;
    bool labels = out == &l->row.labels;
    size_t i;
    int rc;

    if (!json_is_array(list)) {
        dataset_fault(l, list ? FAULT_TYPE : FAULT_MISSING, line,
                      list ? "\"%s\" must be a list of token ids" : "the row has no \"%s\"", key);
        return 0;
    }
    json_array_foreach(list, i, each)
    {
        json_int_t id = json_integer_value(each);
        if (!json_is_integer(each)) {
            dataset_fault(l, FAULT_TYPE, line, "\"%s\" holds %s where a token id must be", key,
                          json_type_words(each));
            return 0;
        }
        if ((id < 0 || id >= l->in->vocab) && !(labels && id == LABEL_NONE)) {
            dataset_fault(l, FAULT_ID, line,
                          "\"%s\" holds %lld, which is outside the vocabulary of %d", key,
                          (long long)id, l->in->vocab);
            return 0;
        }
        rc = token_list_push(out, (int32_t)id, 0, l->err);
        if (rc < 0)
            return rc;
    }
    return 1;
}

/* A list of integers as long as the row has ids; *ret is NULL where the row has none. False after
 * reporting a fault. */
static bool get_beside(struct loader *l, const json_t *row, int line, const char *key,
                       const json_t **ret)
{
    const json_t *list = json_object_get(row, key), *each;
    size_t i;

    *ret = NULL;
    if (!json_is_set(list))
        return true;
    if (!json_is_array(list)) {
        dataset_fault(l, FAULT_TYPE, line, "\"%s\" must be a list of integers", key);
        return false;
    }
    if (json_array_size(list) != (size_t)l->row.ids.n) {
        dataset_fault(l, FAULT_LENGTHS, line, "the row has %d input_ids but %zu %s", l->row.ids.n,
                      json_array_size(list), key);
        return false;
    }
    json_array_foreach(list, i, each)
    {
        if (json_is_integer(each))
            continue;
        dataset_fault(l, FAULT_TYPE, line, "\"%s\" holds %s where an integer must be", key,
                      json_type_words(each));
        return false;
    }
    *ret = list;
    return true;
}

static json_int_t number(const json_t *list, int i)
{
    return json_integer_value(json_array_get(list, (size_t)i));
}

/* Padding stands at the ends of a row, or of a part of it. */
static bool check_padding(struct loader *l, const json_t *mask, const json_t *positions, int line)
{
    int last = -1; /* position that the mask keeps */

    for (int i = 0; mask && i < l->row.ids.n; i++) {
        if (number(mask, i) == 0)
            continue;
        if (last >= 0 && i > last + 1 && !(positions && number(positions, i) == 0)) {
            dataset_fault(l, FAULT_TYPE, line,
                          "\"attention_mask\" leaves out positions %d to %d, between others: only "
                          "padding at the ends can be left out",
                          last + 1, i - 1);
            return false;
        }
        last = i;
    }
    return true;
}

/* False where the mask is none, or leaves out what is to be trained. */
static bool check_mask(struct loader *l, const json_t *mask, int line)
{
    for (int i = 0; mask && i < l->row.ids.n; i++) {
        json_int_t x = number(mask, i);
        if (x != 0 && x != 1) {
            dataset_fault(l, FAULT_TYPE, line,
                          "\"attention_mask\" holds %lld; it must hold 0 and 1", (long long)x);
            return false;
        }
        if (x == 0 && i > 0 && l->row.labels.ids[i] != LABEL_NONE) {
            dataset_fault(l, FAULT_TYPE, line,
                          "\"labels\" trains position %d, which \"attention_mask\" leaves out", i);
            return false;
        }
    }
    return true;
}

/* Position ids must count up from 0, and begin anew only at 0. */
static bool check_positions(struct loader *l, const json_t *positions, const json_t *mask, int line)
{
    json_int_t before = -1;

    for (int i = 0; positions && i < l->row.ids.n; i++) {
        json_int_t at = number(positions, i);
        if (mask && number(mask, i) == 0)
            continue;
        if (at != before + 1 && at != 0) {
            dataset_fault(l, FAULT_TYPE, line,
                          "\"position_ids\" goes from %lld to %lld: it must count up from 0, and "
                          "begin anew only at 0",
                          (long long)before, (long long)at);
            return false;
        }
        before = at;
    }
    return true;
}

static int add_part(struct loader *l, int at)
{
    if (l->n_parts + 1 >= l->parts_cap) {
        int cap = 2 * l->parts_cap + 8;
        int *parts = realloc(l->parts, (size_t)cap * sizeof(*parts));
        if (!parts)
            return err_nomem(l->err, (size_t)cap * sizeof(*parts));
        l->parts = parts;
        l->parts_cap = cap;
    }
    l->parts[l->n_parts++] = at;
    return 0;
}

/* Removes padding, and notes where parts begin. */
static int cut(struct loader *l, const json_t *mask, const json_t *positions)
{
    int n = 0, rc = 0;

    for (int i = 0; i < l->row.ids.n && rc == 0; i++) {
        if (mask && number(mask, i) == 0)
            continue;
        if (positions && number(positions, i) == 0)
            rc = add_part(l, n);
        l->row.ids.ids[n] = l->row.ids.ids[i];
        l->row.labels.ids[n++] = l->row.labels.ids[i];
    }
    l->row.ids.n = l->row.labels.n = n;
    if (l->n_parts < 2)
        l->n_parts = 0;
    return rc;
}

int dataset_read_ids(struct loader *l, const json_t *row, int line)
{
    const json_t *mask = NULL, *positions = NULL;
    int rc = get_ids(l, row, line, "input_ids", &l->row.ids);

    if (rc > 0)
        rc = get_ids(l, row, line, "labels", &l->row.labels);
    if (rc <= 0)
        return rc;
    if (l->row.ids.n != l->row.labels.n) {
        dataset_fault(l, FAULT_LENGTHS, line, "the row has %d input_ids but %d labels",
                      l->row.ids.n, l->row.labels.n);
        return 0;
    }
    if (!get_beside(l, row, line, "attention_mask", &mask) ||
        !get_beside(l, row, line, "position_ids", &positions) || !check_mask(l, mask, line) ||
        !check_padding(l, mask, positions, line) || !check_positions(l, positions, mask, line))
        return 0;
    rc = mask || positions ? cut(l, mask, positions) : 0;
    return rc < 0 ? rc : 1;
}
