/* daemon/service/catch_up.c - see catch_up.h. */
#include "daemon/service/catch_up.h"
#include "core/file.h"
#include "proto/dash.pb-c.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct rows {
    struct step_row *items;
    int n, cap;
};

static double real_of(const json_t *doc, const char *key)
{
    return json_number_value(json_object_get(doc, key));
}

static int64_t whole_of(const json_t *doc, const char *key)
{
    return json_integer_value(json_object_get(doc, key));
}

static int phase_of(const json_t *doc)
{
    static const struct {
        const char *name;
        Dash__V1__Phase phase;
    } names[] = {
        {"prelaunch", DASH__V1__PHASE__PRELAUNCH},
        {"identification", DASH__V1__PHASE__IDENTIFICATION},
        {"dash", DASH__V1__PHASE__DASH},
        {"lora", DASH__V1__PHASE__LORA},
        {"export", DASH__V1__PHASE__EXPORT},
    };
    const char *name = json_string_value(json_object_get(doc, "phase"));
    size_t i;

    for (i = 0; name && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i].name) == 0)
            return (int)names[i].phase;
    return (int)DASH__V1__PHASE__PHASE_UNSPECIFIED;
}

static bool parse(const char *line, size_t len, struct step_row *ret)
{
    json_t *doc = json_loadb(line, len, 0, NULL);

    if (!doc)
        return false;
    *ret = (struct step_row){
        .step = (int)whole_of(doc, "step"),
        .loss = real_of(doc, "loss"),
        .grad_norm = real_of(doc, "grad_norm"),
        .learning_rate = real_of(doc, "learning_rate"),
        .tokens = whole_of(doc, "tokens"),
        .trained_tokens = whole_of(doc, "trained_tokens"),
        .seconds = real_of(doc, "seconds"),
        .phase = phase_of(doc),
        .eval_loss = real_of(doc, "eval_loss"),
    };
    json_decref(doc);
    return true;
}

static int add(struct rows *rows, const struct step_row *row, struct err *err)
{
    struct step_row *items;
    int cap;

    if (rows->n == rows->cap) {
        cap = rows->cap ? 2 * rows->cap : 64;
        items = realloc(rows->items, (size_t)cap * sizeof(*items));
        if (!items)
            return err_nomem(err, (size_t)cap * sizeof(*items));
        rows->items = items;
        rows->cap = cap;
    }
    rows->items[rows->n++] = *row;
    return 0;
}

/* A line without its end is one that was being written. */
static int read_lines(const char *text, size_t len, int after, struct rows *rows, struct err *err)
{
    const char *line = text, *end;
    struct step_row row;
    int rc = 0;

    for (; rc == 0 && (end = memchr(line, '\n', len - (size_t)(line - text))); line = end + 1) {
        if (!parse(line, (size_t)(end - line), &row))
            break;
        if (row.step == after + rows->n + 1)
            rc = add(rows, &row, err);
        else if (row.step > after)
            break;
    }
    return rc;
}

int catch_up_read(const char *output, int after, struct step_row **ret_rows, int *ret_n,
                  struct err *err)
{
    char *path = file_join(output, "metrics.jsonl"), *text = NULL;
    struct rows rows = {0};
    size_t len = 0;
    int rc = path ? 0 : err_nomem(err, strlen(output));

    if (rc == 0 && access(path, F_OK) == 0)
        rc = file_read(path, &text, &len, err);
    if (rc == 0 && text)
        rc = read_lines(text, len, after, &rows, err);
    free(text);
    free(path);
    if (rc < 0) {
        free(rows.items);
        return rc;
    }
    *ret_rows = rows.items;
    *ret_n = rows.n;
    return 0;
}
