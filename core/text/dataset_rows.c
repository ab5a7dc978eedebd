/* core/text/dataset_rows.c - what a row says, as ids and labels, and what is wrong with it. The
 * first row decides the format and the template of all; rows of ids are in dataset_ids.c. */
#include "core/text/dataset_impl.h"
#include "core/json_file.h"
#include "core/json_parse.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dataset_fault(struct loader *l, enum row_fault kind, int line, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (l->faults[kind]++ >= LISTED_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    problems_add(l->problems, l->path, line, "%s", text);
}

void dataset_note_line(const struct loader *l, struct row_lines *lines, int line)
{
    int file = l->d->n_files - 1;
    long last = lines->lines < ROW_LINES_MAX ? lines->lines - 1 : ROW_LINES_MAX - 1;

    lines->n++;
    if (last >= 0 && lines->first[last].file == file && lines->first[last].line == line)
        return;
    if (lines->lines < ROW_LINES_MAX) {
        lines->first[lines->lines].file = file;
        lines->first[lines->lines].line = line;
    }
    lines->lines++;
}

void dataset_count_the_rest(struct loader *l)
{
    static const char *const kinds[FAULTS] = {
        [FAULT_NOT_JSON] = "that are not JSON objects",
        [FAULT_MISSING] = "without the fields of the format",
        [FAULT_TYPE] = "with a field of the wrong type",
        [FAULT_ROLE] = "with an unknown role",
        [FAULT_ID] = "with an id outside the vocabulary",
        [FAULT_LENGTHS] = "with input_ids and labels of unequal length",
        [FAULT_SHORT] = "of fewer than two tokens",
        [FAULT_TEXT] = "with a text that cannot be tokenised",
        [FAULT_TEMPLATE] = "that the chat template does not print as they are meant",
        [FAULT_FIELDS] = "that are not CSV as their header says",
    };

    for (int i = 0; i < FAULTS; i++)
        if (l->faults[i] > LISTED_MAX)
            problems_add(l->problems, l->path, 0, "and %ld more rows %s", l->faults[i] - LISTED_MAX,
                         kinds[i]);
}

enum data_format dataset_find_format(const json_t *row)
{
    if (json_object_get(row, "input_ids"))
        return FORMAT_IDS;
    if (json_object_get(row, "messages") || json_object_get(row, "conversations"))
        return FORMAT_MESSAGES;
    if (json_object_get(row, "prompt") && json_object_get(row, "completion"))
        return FORMAT_PROMPT;
    if (json_object_get(row, "instruction") && json_object_get(row, "output"))
        return FORMAT_INSTRUCTION;
    return json_object_get(row, "text") ? FORMAT_TEXT : FORMAT_AUTO;
}

static void report_unknown_format(struct loader *l, const json_t *row, int line)
{
    struct buf keys = {0};
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)row, key, value)
    {
        if (keys.len < 200)
            buf_printf(&keys, "%s\"%.40s\"", keys.len ? ", " : "", key);
    }
    problems_add(l->problems, l->path, line,
                 "the first row has the keys %s, which is none of the five formats: "
                 "{\"prompt\", \"completion\"}, {\"instruction\", \"input\", \"output\"}, "
                 "{\"messages\": [{\"role\", \"content\"}]}, {\"text\"}, {\"input_ids\", "
                 "\"labels\"}. Say in data.fields which keys are meant: {prompt: question}",
                 keys.data ? keys.data : "(none)");
    buf_free(&keys);
}

static void report_no_tokenizer(struct loader *l, int line)
{
    if (l->in->refusal)
        problems_add(l->problems, l->path, line,
                     "the rows are texts but the model's tokenizer cannot be used: %s. Rows of "
                     "input_ids and labels work without it",
                     l->in->refusal->text);
    else
        problems_add(l->problems, l->path, line,
                     "the rows are texts but the model has no tokenizer: only rows of input_ids "
                     "and labels are possible");
}

static bool give_up(struct loader *l, int line, const char *why)
{
    problems_add(l->problems, l->path, line, "%s", why);
    l->hopeless = true;
    return false;
}

/* The fields that each format reads. */
static bool is_read(enum data_format format, const char *key)
{
    static const char *const keys[][8] = {
        [FORMAT_PROMPT] = {"prompt", "completion", "weight", "tools", "chat_template_kwargs"},
        [FORMAT_INSTRUCTION] = {"instruction", "input", "output", "system", "history", "weight"},
        [FORMAT_MESSAGES] = {"messages", "conversations", "system", "tools", "weight",
                             "chat_template_kwargs"},
        [FORMAT_TEXT] = {"text", "weight"},
        [FORMAT_IDS] = {"input_ids", "labels", "attention_mask", "position_ids", "weight"},
    };

    for (int i = 0; i < 8 && keys[format][i]; i++)
        if (strcmp(keys[format][i], key) == 0)
            return true;
    return false;
}

/* data.fields must name what some format reads. */
static bool check_names(struct loader *l, int line)
{
    const char *ours;
    json_t *theirs;

    json_object_foreach(l->data->fields, ours, theirs)
    {
        bool known = false;
        char text[160];
        for (int format = FORMAT_PROMPT; format <= FORMAT_IDS; format++)
            known |= is_read(format, ours);
        snprintf(text, sizeof(text), "data.fields has %.60s, which no format of rows has", ours);
        if (!known)
            return give_up(l, line, text);
    }
    return true;
}

/* Decides format and template by the first row; false where no row can be read then. */
static bool start(struct loader *l, const json_t *row, int line)
{
    bool lists = json_is_array(json_object_get(row, "prompt"));
    const char *other = row_of_other_training(row);
    struct dataset *d = l->d;
    struct err why;
    char text[300];

    l->started = true;
    if (!check_names(l, line))
        return false;
    d->format = l->data->format == FORMAT_AUTO ? dataset_find_format(row) : l->data->format;
    if (other) {
        snprintf(text, sizeof(text), "the rows have %s, which is not supported", other);
        return give_up(l, line, text);
    }
    if (d->format == FORMAT_AUTO || (d->format != FORMAT_IDS && !l->in->tokenizer)) {
        if (d->format == FORMAT_AUTO)
            report_unknown_format(l, row, line);
        else
            report_no_tokenizer(l, line);
        l->hopeless = true;
        return false;
    }
    if (d->format == FORMAT_IDS)
        return true;
    if (row_encoder_open(l->in->tokenizer, l->data, d->format, lists, &l->encoder, &why) < 0)
        return give_up(l, line, why.text);
    d->template_kind = row_encoder_template(l->encoder);
    d->template_source =
        pool_text(l->pool, row_encoder_source(l->encoder), strlen(row_encoder_source(l->encoder)));
    return true;
}

/* A tokenizer may have more tokens than the model has rows of its embedding. */
static bool check_ids(struct loader *l, int line)
{
    for (int i = 0; i < l->row.ids.n; i++)
        if (l->row.ids.ids[i] >= l->in->vocab) {
            dataset_fault(l, FAULT_ID, line,
                          "the text has a token of id %d, which is outside the model's vocabulary "
                          "of %d",
                          l->row.ids.ids[i], l->in->vocab);
            return false;
        }
    return true;
}

static void count_unused(struct loader *l, const char *key)
{
    int i = 0;

    while (i < l->n_unused && strcmp(l->unused[i].name, key) != 0)
        i++;
    if (i == UNUSED_MAX)
        return;
    if (i == l->n_unused) {
        l->unused[i].name = pool_text(l->pool, key, strlen(key));
        if (!l->unused[i].name)
            return;
        l->n_unused++;
    }
    l->unused[i].rows++;
}

static int tokenise_texts(struct loader *l, const json_t *row, int line)
{
    enum row_fault fault;
    struct row_notes notes;
    struct err why;
    int rc = row_encoder_row(l->encoder, row, &l->row, &notes, &fault, &why);

    if (rc == ERR_INVALID || rc == ERR_UNSUPPORTED) {
        dataset_fault(l, fault, line, "%s", why.text);
        return 0;
    }
    if (rc < 0)
        return err_set(l->err, rc, "%s", why.text);
    for (int i = 0; i < notes.n_unused; i++)
        count_unused(l, notes.unused[i]);
    if (!notes.stops)
        dataset_note_line(l, &l->d->without_stop, line);
    return check_ids(l, line);
}

/* ---- what a row has beside its texts ---- */

/* Fields by which other trainers change what is trained. */
static bool is_meant_otherwise(const char *key)
{
    static const char *const keys[] = {
        "chosen",    "rejected",  "image",        "images",          "audio",
        "audios",    "video",     "videos",       "completion_mask", "assistant_masks",
        "loss_mask", "functions", "sample_weight"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

/* Where a row has both, the one is not looked at. */
static bool is_beside(const json_t *row, const char *key)
{
    return strcmp(key, "conversations") == 0 && json_object_get(row, "messages");
}

static bool check_fields(struct loader *l, const json_t *row, int line)
{
    const char *key, *other = row_of_other_training(row);
    json_t *value;

    if (other) {
        dataset_fault(l, FAULT_TYPE, line, "the row has %s, which is not supported", other);
        return false;
    }
    json_object_foreach((json_t *)row, key, value)
    {
        if (json_is_null(value) || (is_read(l->d->format, key) && !is_beside(row, key)))
            continue;
        if (is_meant_otherwise(key)) {
            dataset_fault(l, FAULT_TYPE, line, "the row has \"%s\", which is not supported", key);
            return false;
        }
        count_unused(l, key);
    }
    return true;
}

/* A row of weight 0 stays in the data and trains nothing. */
static bool apply_weight(struct loader *l, const json_t *row, int line)
{
    const json_t *weight = json_object_get(row, "weight");
    const char *text = json_string_value(weight); /* of CSV */
    bool none = text ? strcmp(text, "0") == 0 : json_number_value(weight) == 0;
    bool all = text ? strcmp(text, "1") == 0 : json_number_value(weight) == 1;

    if (!json_is_set(weight))
        return true;
    if ((!text && !json_is_number(weight)) || (!none && !all)) {
        dataset_fault(l, FAULT_TYPE, line, "the \"weight\" of a row must be 0 or 1");
        return false;
    }
    for (int i = 0; i < l->row.labels.n && none; i++)
        l->row.labels.ids[i] = LABEL_NONE;
    return true;
}

static int read_named(struct loader *l, const json_t *row, int line)
{
    int rc;

    l->row.ids.n = l->row.labels.n = 0;
    l->n_parts = 0;
    if (!l->started && !start(l, row, line))
        return 0;
    if (!check_fields(l, row, line))
        return 0;
    rc = l->d->format == FORMAT_IDS ? dataset_read_ids(l, row, line) : tokenise_texts(l, row, line);
    return rc > 0 && !apply_weight(l, row, line) ? 0 : rc;
}

/* Fields that a row of its format may lack. */
static bool is_optional(const char *ours)
{
    static const char *const keys[] = {"input",  "system",         "history",     "tools",
                                       "weight", "attention_mask", "position_ids"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(keys[i], ours) == 0)
            return true;
    return false;
}

/* What data.fields names must be there: a name may be misspelt. */
static bool check_named_keys(struct loader *l, const json_t *row, int line)
{
    const char *ours;
    json_t *theirs;

    json_object_foreach(l->data->fields, ours, theirs)
    {
        if (is_optional(ours) || json_object_get(row, json_string_value(theirs)))
            continue;
        problems_add(l->problems, l->path, line,
                     "data.fields says that %.60s is \"%.60s\", which the first row lacks", ours,
                     json_string_value(theirs));
        l->started = l->hopeless = true;
        return false;
    }
    return true;
}

/* The row with the names that data.fields gives its keys; NULL for lack of memory. A key of the row
 * whose name another one is given is not used. */
static json_t *rename_fields(struct loader *l, const json_t *row)
{
    json_t *named = json_object(), *value, *theirs;
    const char *key, *ours;
    int failed = named ? 0 : -1;

    json_object_foreach((json_t *)row, key, value)
    {
        bool renamed = false;
        json_object_foreach(l->data->fields, ours, theirs)
        {
            if (strcmp(json_string_value(theirs), key) != 0)
                continue;
            failed |= json_object_set(named, ours, value);
            renamed = true;
        }
        if (renamed)
            continue;
        if (!json_object_get(l->data->fields, key))
            failed |= json_object_set(named, key, value);
        else if (!json_is_null(value))
            count_unused(l, key);
    }
    if (!failed)
        return named;
    json_decref(named);
    return NULL;
}

int dataset_read_row(struct loader *l, const json_t *row, int line)
{
    json_t *named;
    int rc;

    if (!l->data->fields)
        return read_named(l, row, line);
    if (!l->started && !check_named_keys(l, row, line))
        return 0;
    named = rename_fields(l, row);
    if (!named)
        return err_nomem(l->err, sizeof(json_t));
    rc = read_named(l, named, line);
    json_decref(named);
    return rc;
}
