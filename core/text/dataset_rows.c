/* core/text/dataset_rows.c - what a row says in each of the five formats, as ids and labels, and
 * what is wrong with it. */
#include "core/text/dataset_impl.h"
#include "core/json_parse.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES_MAX = 1 << 20 }; /* in a row */

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

void dataset_count_the_rest(struct loader *l)
{
    static const char *const kinds[FAULTS] = {
        [FAULT_NOT_JSON] = "that are not JSON objects",
        [FAULT_FIELDS] = "whose fields are not those of the header",
        [FAULT_MISSING] = "without the fields of the format",
        [FAULT_TYPE] = "with a field of the wrong type",
        [FAULT_ROLE] = "with an unknown role",
        [FAULT_ID] = "with an id outside the vocabulary",
        [FAULT_LENGTHS] = "with input_ids and labels of unequal length",
        [FAULT_SHORT] = "of fewer than two tokens",
        [FAULT_TEXT] = "with a text that cannot be tokenised",
    };

    for (int i = 0; i < FAULTS; i++)
        if (l->faults[i] > LISTED_MAX)
            problems_add(l->problems, l->path, 0, "and %ld more rows %s", l->faults[i] - LISTED_MAX,
                         kinds[i]);
}

const char *dataset_type_name(const json_t *value)
{
    if (json_parse_not_finite(value))
        return "a number that is not finite";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_NULL:
        return "null";
    default:
        return "true or false";
    }
}

static enum data_format find_format(const json_t *row)
{
    if (json_object_get(row, "input_ids"))
        return FORMAT_IDS;
    if (json_object_get(row, "messages"))
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
                 "\"labels\"}. Rename the keys of the rows",
                 keys.data ? keys.data : "(none)");
    buf_free(&keys);
}

static void report_no_tokenizer(struct loader *l, int line)
{
    if (l->refusal)
        problems_add(l->problems, l->path, line,
                     "the rows are texts but the model's tokenizer cannot be used: %s. Rows of "
                     "input_ids and labels work without it",
                     l->refusal->text);
    else
        problems_add(l->problems, l->path, line,
                     "the rows are texts but the model has no tokenizer: only rows of input_ids "
                     "and labels are possible");
}

/* Decides format and template by the first row; false where no row can be read then. */
static bool start(struct loader *l, const json_t *row, int line)
{
    struct dataset *d = l->d;
    struct err why;

    l->started = true;
    d->format = l->data->format == FORMAT_AUTO ? find_format(row) : l->data->format;
    if (d->format == FORMAT_AUTO) {
        report_unknown_format(l, row, line);
    } else if (d->format != FORMAT_IDS && !l->tokenizer) {
        report_no_tokenizer(l, line);
    } else {
        d->template_kind = template_choose(l->data->template_kind, d->format, l->tokenizer);
        if (template_check(d->template_kind, d->format, l->tokenizer, &why) == 0)
            return true;
        problems_add(l->problems, l->path, line, "%s", why.text);
    }
    l->hopeless = true;
    return false;
}

/* A text field. Absent or null is a fault if it is needed, else the empty text. */
static bool get_text(struct loader *l, const json_t *object, int line, const char *key, bool needed,
                     struct text *ret)
{
    const json_t *value = json_object_get(object, key);

    *ret = (struct text){"", 0};
    if (!value || (json_is_null(value) && !needed)) {
        if (needed)
            dataset_fault(l, FAULT_MISSING, line, "the row has no \"%s\"", key);
        return !needed;
    }
    if (!json_is_string(value)) {
        dataset_fault(l, FAULT_TYPE, line, "\"%s\" must be a string; it is %s", key,
                      dataset_type_name(value));
        return false;
    }
    *ret = (struct text){json_string_value(value), json_string_length(value)};
    return true;
}

static bool is_role(const struct text *role)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};

    for (int i = 0; i < 4; i++)
        if (role->len == strlen(roles[i]) && memcmp(role->bytes, roles[i], role->len) == 0)
            return true;
    return false;
}

static bool get_message(struct loader *l, const json_t *message, int line,
                        struct template_message *ret)
{
    if (!json_is_object(message)) {
        dataset_fault(l, FAULT_TYPE, line,
                      "every message must be an object {\"role\", \"content\"}; one is %s",
                      dataset_type_name(message));
        return false;
    }
    if (!get_text(l, message, line, "role", true, &ret->role) ||
        !get_text(l, message, line, "content", true, &ret->content))
        return false;
    if (is_role(&ret->role))
        return true;
    dataset_fault(l, FAULT_ROLE, line,
                  "the role \"%.40s\" is not known: system, user, assistant and tool are",
                  ret->role.bytes);
    return false;
}

/* Fills row->messages from the loader's scratch. 1: a good row, 0: a faulty one, or a negative
 * code. */
static int get_messages(struct loader *l, const json_t *row, int line, struct template_row *ret)
{
    const json_t *list = json_object_get(row, "messages"), *each;
    size_t n = json_array_size(list), i;

    if (!list) {
        dataset_fault(l, FAULT_MISSING, line, "the row has no \"messages\"");
        return 0;
    }
    if (!json_is_array(list) || n == 0) {
        dataset_fault(l, FAULT_TYPE, line, "\"messages\" must be a list of messages; it is %s",
                      json_is_array(list) ? "empty" : dataset_type_name(list));
        return 0;
    }
    if (n > MESSAGES_MAX) {
        dataset_fault(l, FAULT_TYPE, line, "\"messages\" has %zu messages; at most %d are possible",
                      n, MESSAGES_MAX);
        return 0;
    }
    if (n > l->messages_cap) {
        struct template_message *bigger = realloc(l->messages, 2 * n * sizeof(*bigger));
        if (!bigger)
            return err_nomem(l->err, 2 * n * sizeof(*bigger));
        l->messages = bigger;
        l->messages_cap = 2 * n;
    }
    json_array_foreach(list, i, each) if (!get_message(l, each, line, &l->messages[i])) return 0;
    ret->messages = l->messages;
    ret->n_messages = (int)n;
    return 1;
}

/* 1: the row's texts are in ret, 0: it is faulty, or a negative code. */
static int get_texts(struct loader *l, const json_t *row, int line, struct template_row *ret)
{
    *ret = (struct template_row){.format = l->d->format, .input = {"", 0}};
    switch (l->d->format) {
    case FORMAT_MESSAGES:
        return get_messages(l, row, line, ret);
    case FORMAT_TEXT:
        return get_text(l, row, line, "text", true, &ret->completion);
    case FORMAT_INSTRUCTION:
        return get_text(l, row, line, "instruction", true, &ret->prompt) &&
               get_text(l, row, line, "input", false, &ret->input) &&
               get_text(l, row, line, "output", true, &ret->completion);
    default:
        return get_text(l, row, line, "prompt", true, &ret->prompt) &&
               get_text(l, row, line, "completion", true, &ret->completion);
    }
}

/* One list of ids, appended to `out`; labels may be LABEL_NONE. 1, 0 or a negative code as above.
 */
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
                          dataset_type_name(each));
            return 0;
        }
        if ((id < 0 || id >= l->vocab) && !(labels && id == LABEL_NONE)) {
            dataset_fault(l, FAULT_ID, line,
                          "\"%s\" holds %lld, which is outside the vocabulary of %d", key,
                          (long long)id, l->vocab);
            return 0;
        }
        rc = token_list_push(out, (int32_t)id, l->err);
        if (rc < 0)
            return rc;
    }
    return 1;
}

static int tokenise_ids(struct loader *l, const json_t *row, int line)
{
    int rc = get_ids(l, row, line, "input_ids", &l->row.ids);

    if (rc > 0)
        rc = get_ids(l, row, line, "labels", &l->row.labels);
    if (rc > 0 && l->row.ids.n != l->row.labels.n) {
        dataset_fault(l, FAULT_LENGTHS, line, "the row has %d input_ids but %d labels",
                      l->row.ids.n, l->row.labels.n);
        rc = 0;
    }
    return rc;
}

/* A tokenizer may have more tokens than the model has rows of its embedding. */
static bool check_ids(struct loader *l, int line)
{
    for (int i = 0; i < l->row.ids.n; i++)
        if (l->row.ids.ids[i] >= l->vocab) {
            dataset_fault(l, FAULT_ID, line,
                          "the text has a token of id %d, which is outside the model's vocabulary "
                          "of %d",
                          l->row.ids.ids[i], l->vocab);
            return false;
        }
    return true;
}

static int tokenise_texts(struct loader *l, const json_t *row, int line)
{
    struct template_row texts;
    struct err why;
    int rc = get_texts(l, row, line, &texts);

    if (rc <= 0)
        return rc;
    rc = template_encode(l->tokenizer, l->d->template_kind, &texts, &l->row, &why);
    if (rc == 0)
        return check_ids(l, line);
    if (rc != ERR_INVALID)
        return err_set(l->err, rc, "%s", why.text);
    dataset_fault(l, FAULT_TEXT, line, "%s", why.text);
    return 0;
}

int dataset_read_row(struct loader *l, const json_t *row, int line)
{
    l->row.ids.n = l->row.labels.n = 0;
    if (!l->started && !start(l, row, line))
        return 0;
    return l->d->format == FORMAT_IDS ? tokenise_ids(l, row, line) : tokenise_texts(l, row, line);
}
