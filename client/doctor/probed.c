/* client/doctor/probed.c - see probed.h. A table says which key goes where, and of which type it
 * must be: the file was written by a program of the same version, so that what does not fit is
 * damage, which must not pass for a measurement. */
#include "client/doctor/probed.h"
#include "core/json_file.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum type { TYPE_TEXT, TYPE_FLAG, TYPE_INTEGER, TYPE_NUMBER };

static const char *const type_names[] = {[TYPE_TEXT] = "a string",
                                         [TYPE_FLAG] = "true or false",
                                         [TYPE_INTEGER] = "an integer >= 0",
                                         [TYPE_NUMBER] = "a number"};

#define FIELD(key, type, member)                                                                   \
    {                                                                                              \
        key, type, offsetof(struct probed_rank, member)                                            \
    }

static const struct field {
    const char *key;
    enum type type;
    size_t at;
} fields[] = {
    FIELD("rank", TYPE_INTEGER, rank),
    FIELD("silent", TYPE_FLAG, is_silent),
    FIELD("node", TYPE_TEXT, node),
    FIELD("cpu", TYPE_TEXT, cpu),
    FIELD("sees_folder", TYPE_FLAG, sees_folder),
    FIELD("folder_trouble", TYPE_TEXT, folder_trouble),
    FIELD("cores", TYPE_INTEGER, cores),
    FIELD("online", TYPE_INTEGER, online),
    FIELD("allotted", TYPE_INTEGER, allotted),
    FIELD("threads", TYPE_INTEGER, threads),
    FIELD("ran_on", TYPE_INTEGER, ran_on),
    FIELD("idle", TYPE_NUMBER, idle),
    FIELD("one", TYPE_NUMBER, one),
    FIELD("all", TYPE_NUMBER, all),
    FIELD("best", TYPE_NUMBER, best),
    FIELD("instructions", TYPE_TEXT, instructions),
    FIELD("flop_per_cycle", TYPE_INTEGER, flop_per_cycle),
    FIELD("ghz", TYPE_NUMBER, ghz),
    FIELD("ghz_all", TYPE_NUMBER, ghz_all),
    FIELD("physical_cores", TYPE_INTEGER, physical_cores),
    FIELD("memory", TYPE_NUMBER, memory_mb),
    FIELD("memory_allotted", TYPE_NUMBER, memory_allotted_mb),
    FIELD("reached", TYPE_TEXT, reached),
    FIELD("round_trip", TYPE_NUMBER, round_trip_us),
    FIELD("bandwidth", TYPE_NUMBER, bandwidth),
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

static bool has_type(const json_t *value, enum type type)
{
    switch (type) {
    case TYPE_TEXT:
        return json_is_string(value);
    case TYPE_FLAG:
        return json_is_boolean(value);
    case TYPE_INTEGER:
        return json_is_integer(value) && json_integer_value(value) >= 0 &&
               json_integer_value(value) <= INT_MAX;
    case TYPE_NUMBER:
        return json_is_number(value);
    }
    return false;
}

static void set_field(struct probed_rank *rank, const struct field *field, const json_t *value)
{
    void *at = (char *)rank + field->at;

    switch (field->type) {
    case TYPE_TEXT:
        *(const char **)at = json_string_value(value);
        break;
    case TYPE_FLAG:
        *(bool *)at = json_is_true(value);
        break;
    case TYPE_INTEGER:
        *(int *)at = (int)json_integer_value(value);
        break;
    case TYPE_NUMBER:
        *(double *)at = json_number_value(value);
        break;
    }
}

static int parse_rank(const json_t *object, struct probed_rank *rank, struct err *err)
{
    size_t i;

    *rank = (struct probed_rank){.node = "",
                                 .cpu = "",
                                 .instructions = "",
                                 .folder_trouble = "",
                                 .reached = "",
                                 .ran_on = -1};
    if (!json_is_integer(json_object_get(object, "rank")))
        return err_set(err, ERR_INVALID, "must be an object with a rank");
    for (i = 0; i < FIELDS; i++) {
        const json_t *value = json_object_get(object, fields[i].key);
        if (!value || json_is_null(value))
            continue;
        if (!has_type(value, fields[i].type))
            return err_set(err, ERR_INVALID, "%s must be %s", fields[i].key,
                           type_names[fields[i].type]);
        set_field(rank, &fields[i], value);
    }
    return 0;
}

static int parse_ranks(const json_t *list, struct probed *p, struct err *err)
{
    size_t i;

    if (json_array_size(list) == 0)
        return err_set(err, ERR_INVALID, "probe.json: ranks must be a list that is not empty");
    p->n = json_array_size(list);
    p->ranks = calloc(p->n, sizeof(*p->ranks));
    if (!p->ranks)
        return err_nomem(err, p->n * sizeof(*p->ranks));
    for (i = 0; i < p->n; i++)
        if (parse_rank(json_array_get(list, i), &p->ranks[i], err) < 0)
            return err_prefix(err, "probe.json: ranks[%zu]", i);
    return 0;
}

int probed_parse(const char *text, struct probed *ret, struct err *err)
{
    struct probed p = {0};
    int rc = json_file_parse(text, strlen(text), "probe.json", &p.doc, err);

    if (rc == 0)
        rc = parse_ranks(json_object_get(p.doc, "ranks"), &p, err);
    if (rc < 0)
        probed_free(&p);
    else
        *ret = p;
    return rc;
}

void probed_free(struct probed *p)
{
    free(p->ranks);
    json_decref(p->doc);
    *p = (struct probed){0};
}

/* Whether an earlier rank is on the same node. */
static bool is_repeated(const struct probed *p, size_t i)
{
    size_t j;

    for (j = 0; j < i; j++)
        if (strcmp(p->ranks[i].node, p->ranks[j].node) == 0)
            return true;
    return false;
}

size_t probed_count_nodes(const struct probed *p)
{
    size_t i, n = 0;

    for (i = 0; i < p->n; i++)
        n += !is_repeated(p, i);
    return n;
}

const char *probed_all_nodes(const struct probed *p, char *ret, size_t size)
{
    if (p->n == 1)
        snprintf(ret, size, "%s", p->ranks[0].node);
    else
        snprintf(ret, size, "each of %zu nodes", p->n);
    return ret;
}
