/* core/text/chat_encode.c - see chat_encode.h. Turns are bytes; the tokenizer says which tokens
 * hold their first and their last byte. */
#include "core/text/chat_encode.h"
#include "core/text/stand_in.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void chat_scratch_free(struct chat_scratch *s)
{
    turns_free(&s->turns);
    free(s->at);
    free(s->tokens);
    *s = (struct chat_scratch){0};
}

static bool calls_tools(const struct conversation *c)
{
    for (int i = 0; i < c->n; i++)
        if (json_array_size(json_object_get(json_array_get(c->messages, (size_t)i), "tool_calls")) >
            0)
            return true;
    return false;
}

int chat_check_tools(const struct chat_template *template, const struct conversation *c,
                     struct err *err)
{
    const char *source = chat_template_source(template);

    if (calls_tools(c) && !chat_template_names(template, c->tools, "tool_calls"))
        return err_set(err, ERR_INVALID,
                       "a message has \"tool_calls\", which the template (%.300s) does not print",
                       source);
    if (json_array_size(c->tools) > 0 && !chat_template_names(template, c->tools, "tools"))
        return err_set(err, ERR_INVALID,
                       "the row has \"tools\", which the template (%.300s) does not print", source);
    return 0;
}

/* ---- messages that the template passes over ---- */

enum { RUN_BYTES = 8, TRIALS_MAX = 64, COSTLY_MAX = 3 };

/* The last bytes of the words that no template has a reason to escape, or all of them. */
static struct words last_run(struct words w)
{
    size_t end = w.len, at;

    for (; end >= RUN_BYTES; end = at > 0 ? at - 1 : 0) {
        at = end;
        while (at > 0 && (isalnum((unsigned char)w.at[at - 1]) || w.at[at - 1] == ' '))
            at--;
        if (end - at >= RUN_BYTES)
            return (struct words){w.at + at, end - at};
    }
    return w;
}

/* Whether the text has these words, looked for behind *at, then anywhere; *at is behind them. */
static bool has_words(const struct buf *text, struct words w, size_t *at)
{
    const char *found = memmem(text->data + *at, text->len - *at, w.at, w.len);

    if (!found)
        found = memmem(text->data, text->len, w.at, w.len);
    if (found)
        *at = (size_t)(found - text->data) + w.len;
    return found;
}

/* A role as it is remembered: conversations with tools may have another template. */
static bool remembered_as(const struct conversation *c, const char *role, char ret[CHAT_ROLE_BYTES])
{
    return snprintf(ret, CHAT_ROLE_BYTES, "%s%s", c->tools ? "tools " : "", role) < CHAT_ROLE_BYTES;
}

static bool is_role_printed(const struct chat_scratch *s, const char *role)
{
    for (int i = 0; i < s->n_printed; i++)
        if (strcmp(s->printed[i], role) == 0)
            return true;
    return false;
}

/* A message is in the text if its words are there; but words may be there by chance, so the first
 * message of a role is tried by other words, as is one whose words are not found. */
static int check_message(const struct chat_template *template, const struct conversation *c, int i,
                         struct chat_scratch *s, size_t *at, int *trials, struct err *err)
{
    const struct buf *text = &s->turns.whole.text;
    const json_t *message = json_array_get(c->messages, (size_t)i);
    const char *role = json_string_value(json_object_get(message, "role"));
    const struct words w = message_words(message);
    struct stand_in_place place;
    char name[CHAT_ROLE_BYTES];
    bool fits;
    int rc;

    if (w.len == 0 || !role || *trials == TRIALS_MAX)
        return 0;
    fits = remembered_as(c, role, name);
    if (text->len > 0 && (has_words(text, w, at) || has_words(text, last_run(w), at)) &&
        is_role_printed(s, name))
        return 0;
    ++*trials;
    rc = stand_in_find(template, c, i, text, &s->turns.with, &place, err);
    if (rc < 0)
        return rc;
    if (place.kind == STAND_IN_SAME)
        return err_set(err, ERR_INVALID,
                       "the template (%.300s) prints nothing of message %d, of the role \"%.40s\"",
                       chat_template_source(template), i + 1, role);
    if (fits && !is_role_printed(s, name) && s->n_printed < CHAT_ROLES_MAX)
        memcpy(s->printed[s->n_printed++], name, sizeof(name));
    return 0;
}

static int check_messages(const struct chat_template *template, const struct conversation *c,
                          struct chat_scratch *s, struct err *err)
{
    int trials = 0, rc = 0;
    size_t at = 0;

    for (int i = 0; i < c->n && rc == 0; i++)
        rc = check_message(template, c, i, s, &at, &trials, err);
    return rc;
}

/* ---- tokens ---- */

static int fit_marks(struct chat_scratch *s, struct err *err)
{
    int n = 2 * s->turns.n;
    size_t *at;
    int *tokens;

    if (n <= s->cap)
        return 0;
    at = realloc(s->at, 2 * (size_t)n * sizeof(*at));
    if (!at)
        return err_nomem(err, 2 * (size_t)n * sizeof(*at));
    s->at = at;
    tokens = realloc(s->tokens, 2 * (size_t)n * sizeof(*tokens));
    if (!tokens)
        return err_nomem(err, 2 * (size_t)n * sizeof(*tokens));
    s->tokens = tokens;
    s->cap = 2 * n;
    return 0;
}

/* Whether a token is one of the template's blanks: 1, 0 or a negative code. */
static int is_blank(const struct tokenizer *t, int32_t id, struct err *err)
{
    struct buf text = {0};
    int rc = tokenizer_is_added(t, id) ? 0 : tokenizer_decode(t, &id, 1, false, &text, err);
    bool blank = rc == 0 && !tokenizer_is_added(t, id);

    for (size_t i = 0; blank && i < text.len; i++)
        blank = isspace((unsigned char)text.data[i]);
    buf_free(&text);
    return rc < 0 ? rc : blank;
}

/* The last token of a turn that is trained. Behind the words of a turn there are added tokens and
 * the template's blanks: the first at which the model stops is the last that it says; without one,
 * the last added token is. */
static int last_token(const struct tokenizer *t, const int32_t *ids, int first, int last, int *ret,
                      struct err *err)
{
    int added = -1, stop = -1, rc = 1;

    for (int at = last; at >= first && rc > 0; at--) {
        if (!tokenizer_is_added(t, ids[at])) {
            rc = is_blank(t, ids[at], err);
            continue;
        }
        added = added < 0 ? at : added;
        stop = tokenizer_is_end(t, ids[at]) ? at : stop;
    }
    *ret = stop >= 0 ? stop : added >= 0 ? added : last;
    return rc < 0 ? rc : 0;
}

static int label_turns(const struct tokenizer *t, struct chat_scratch *s, struct tokenised *out,
                       struct err *err)
{
    for (int i = 0; i < s->turns.n; i++) {
        const int *tokens = &s->tokens[(size_t)i * 2];
        int first = tokens[0], last = tokens[1], rc = 0;
        if (last >= out->ids.n)
            continue;
        if (s->turns.of[i].message >= 0)
            rc = last_token(t, out->ids.ids, first, last, &last, err);
        if (rc < 0)
            return rc;
        for (int k = first; k <= last; k++)
            out->labels.ids[k] = out->ids.ids[k];
        s->ends = tokenizer_is_end(t, out->ids.ids[last]);
    }
    return 0;
}

static int put_labels(struct tokenised *out, bool all, struct err *err)
{
    int rc = 0;

    while (out->labels.n < out->ids.n && rc == 0)
        rc = token_list_push(&out->labels, all ? out->ids.ids[out->labels.n] : LABEL_NONE, 0, err);
    return rc;
}

/* A template that runs until a limit stops it does so in every row of its kind, a second each:
 * after some in a row, no more are tried. */
static int find_turns(const struct chat_template *template, const struct conversation *c,
                      bool empty_thoughts, struct chat_scratch *s, struct err *err)
{
    int rc;

    if (s->costly == COSTLY_MAX)
        return err_set(err, ERR_INVALID,
                       "is not rendered: rendering the %d rows before took too long and failed",
                       COSTLY_MAX);
    rc = turns_find(&s->turns, template, c, empty_thoughts, err);
    if (rc == 0)
        s->costly = 0;
    else if (s->turns.whole.steps > jinja_defaults.steps / 8)
        s->costly++;
    return rc;
}

int chat_encode(const struct chat_template *template, const struct tokenizer *t,
                struct conversation *c, const struct chat_rules *rules, struct chat_scratch *s,
                struct tokenised *out, enum row_fault *ret_fault, struct err *err)
{
    const struct buf *text = &s->turns.whole.text;
    struct token_marks marks;
    int rc = chat_check_tools(template, c, err);

    *ret_fault = FAULT_TEMPLATE;
    s->ends = false;
    if (rc == 0 && !chat_template_takes_parts(template))
        rc = conversation_join_parts(c, err);
    if (rc == 0)
        rc = find_turns(template, c, rules->empty_thoughts, s, err);
    if (rc == 0)
        rc = check_messages(template, c, s, err);
    if (rc == 0)
        rc = fit_marks(s, err);
    if (rc < 0)
        return rc;
    for (int i = 0; i < s->turns.n; i++) {
        size_t *at = &s->at[(size_t)i * 2];
        at[0] = s->turns.of[i].begin;
        at[1] = s->turns.of[i].end;
    }
    marks = (struct token_marks){s->at, s->tokens, 2 * s->turns.n};
    *ret_fault = FAULT_TEXT;
    rc =
        tokenizer_encode_marked(t, text->data ? text->data : "", text->len, &marks, &out->ids, err);
    if (rc == 0)
        rc = put_labels(out, rules->all, err);
    return rc < 0 ? rc : label_turns(t, s, out, err);
}

int chat_trim(const struct tokenizer *t, struct tokenised *row, struct err *err)
{
    int n = row->ids.n, rc = 1;

    while (n > 0 && row->labels.ids[n - 1] == LABEL_NONE &&
           (rc = is_blank(t, row->ids.ids[n - 1], err)) > 0)
        n--;
    if (rc < 0)
        return rc;
    if (n > 0 && row->labels.ids[n - 1] != LABEL_NONE)
        row->ids.n = row->labels.n = n;
    return 0;
}
