/* core/text/turns.c - see turns.h. Every render but that of the whole conversation is of a
 * beginning of it; where that is not a beginning of the whole text, only an empty thought may be
 * the reason. */
#include "core/text/turns.h"
#include "core/text/stand_in.h"
#include "core/text/thought.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TAG_BYTES_MAX = 64 };

struct finding {
    struct turns *t;
    const struct chat_template *template;
    const struct conversation *c;
    bool empty_thoughts;
    struct err *err;
};

void turns_free(struct turns *t)
{
    jinja_output_free(&t->whole);
    jinja_output_free(&t->before);
    jinja_output_free(&t->with);
    free(t->of);
    *t = (struct turns){0};
}

static int add(struct finding *f, size_t begin, size_t end, int message)
{
    struct turns *t = f->t;

    if (t->n == t->cap) {
        int cap = 2 * t->cap + 8;
        struct turn *of = realloc(t->of, (size_t)cap * sizeof(*of));
        if (!of)
            return err_nomem(f->err, (size_t)cap * sizeof(*of));
        t->of = of;
        t->cap = cap;
    }
    t->of[t->n++] = (struct turn){begin, end, message};
    return 0;
}

static int render(struct finding *f, int n, bool prompt, struct jinja_output *out)
{
    json_t *messages = conversation_begin(f->c, n);
    int rc;

    if (!messages)
        return err_nomem(f->err, (size_t)n * sizeof(json_t));
    rc = chat_template_render(f->template, messages, f->c->tools, f->c->variables, prompt, out,
                              f->err);
    json_decref(messages);
    return rc;
}

/* Blanks, or an empty thought: what a prompt may end in that an answer does not follow. */
static bool says_nothing(const char *text, size_t len)
{
    size_t i = 0;

    while (i < len && isspace((unsigned char)text[i]))
        i++;
    return i == len || thought_tags(text, len) == len;
}

static int refuse_before(struct finding *f, int message)
{
    return err_set(f->err, ERR_INVALID,
                   "the chat template prints the messages before number %d otherwise when that one "
                   "follows: what a model would be asked there is not what stands in the text",
                   message + 1);
}

/* Where the words of a message begin: behind the generation prompt. */
static int find_begin(struct finding *f, int message, size_t *ret)
{
    const struct buf *whole = &f->t->whole.text, *before = &f->t->before.text;
    size_t same, least;
    int rc;

    *ret = 0;
    rc = render(f, message, true, &f->t->before);
    if (rc < 0 && rc != ERR_NOMEM && message == 0)
        return 0; /* many a template cannot render an empty conversation */
    if (rc < 0)
        return rc;
    same = buf_common(before, whole);
    if (same == before->len) {
        *ret = same;
        return 0;
    }
    rc = render(f, message, false, &f->t->with);
    if (rc < 0)
        return rc;
    least = f->t->with.text.len;
    while (least > 0 && isspace((unsigned char)f->t->with.text.data[least - 1]))
        least--; /* which a template may print at its very end alone */
    if (least > same || buf_common(&f->t->with.text, whole) < least)
        return refuse_before(f, message);
    for (*ret = same; *ret > least; --*ret)
        if (says_nothing(before->data + *ret, before->len - *ret))
            return 0;
    return says_nothing(before->data + least, before->len - least) ? 0 : refuse_before(f, message);
}

/* Whether the message has thoughts of its own. */
static bool has_thoughts(const json_t *message)
{
    const struct words w = message_words(message);

    return json_string_length(json_object_get(message, "reasoning_content")) > 0 ||
           thought_tags(w.at, w.len) > 0;
}

static int refuse_end(struct finding *f, int message)
{
    bool thoughts = has_thoughts(json_array_get(f->c->messages, (size_t)message));

    return err_set(f->err, ERR_INVALID,
                   "the chat template prints message %d otherwise once others follow%s; "
                   "data.train_on: last trains the last answer alone",
                   message + 1,
                   thoughts ? ": it drops the thoughts, which the model would be asked for" : "");
}

/* Bytes of the tag <...> that begins at text, or 0. */
static size_t tag(const char *text, size_t len)
{
    const char *end = len > 0 && text[0] == '<' ? memchr(text, '>', len) : NULL;

    return end && !memchr(text + 1, '<', (size_t)(end - text) - 1) ? (size_t)(end - text) + 1 : 0;
}

/* Whether a tag says that it ends something. */
static bool is_end_tag(const char *text, size_t len)
{
    static const char *const words[] = {"end", "eot", "eos", "eom", "return", "/s"};

    for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
        for (size_t i = 0; i + strlen(words[w]) <= len; i++)
            if (strncasecmp(text + i, words[w], strlen(words[w])) == 0)
                return true;
    return false;
}

/* Where the two texts part: at n, or in front of the tag that n is in. */
static size_t parting(const struct buf *text, size_t n)
{
    size_t at = n;

    while (at > 0 && n - at < TAG_BYTES_MAX && text->data[at - 1] != '>') {
        at--;
        if (text->data[at] == '<')
            return at;
    }
    return n;
}

/* A turn that is the last may end otherwise than one that others follow: by another token, or with
 * what closes the whole conversation behind it. 0: neither is so. */
static size_t find_other_end(const struct buf *with, const struct buf *whole, size_t begin,
                             size_t n)
{
    size_t at = parting(with, n), rest = with->len - n, t;

    if (n > begin && says_nothing(with->data + n, rest))
        return n;
    t = tag(whole->data + at, whole->len - at);
    if (at > begin && t && is_end_tag(whole->data + at, t) &&
        tag(with->data + at, with->len - at) == with->len - at)
        return at + t;
    if (at > begin && rest <= whole->len &&
        memcmp(whole->data + whole->len - rest, with->data + n, rest) == 0)
        return at;
    return 0;
}

/* Where they end. */
static int find_end(struct finding *f, int message, size_t begin, size_t *ret)
{
    const struct buf *whole = &f->t->whole.text, *with = &f->t->with.text;
    size_t n, rest, thought;
    int rc;

    *ret = whole->len;
    if (message == f->c->n - 1)
        return 0;
    rc = render(f, message + 1, false, &f->t->with);
    if (rc < 0)
        return rc;
    n = buf_common(with, whole);
    *ret = n == with->len ? n : find_other_end(with, whole, begin, n);
    if (*ret > 0)
        return 0;
    thought =
        n < begin || begin > with->len ? 0 : thought_empty(with->data + begin, with->len - begin);
    rest = with->len - begin - thought;
    *ret = begin + rest;
    if (thought == 0 || *ret > whole->len ||
        memcmp(with->data + begin + thought, whole->data + begin, rest) != 0)
        return refuse_end(f, message);
    return 0;
}

/* Whether the words of a message are at this place of the text as they are. */
static bool says_at(const struct finding *f, const struct words *w, size_t at)
{
    const struct buf *text = &f->t->whole.text;

    while (at < text->len && isspace((unsigned char)text->data[at]))
        at++;
    return w->len > 0 && w->len <= text->len - at && memcmp(text->data + at, w->at, w->len) == 0;
}

/* The tags of thoughts that end at `own`, in front of a message's own words: an open one begins its
 * own thought. */
static size_t find_tags(const char *text, size_t begin, size_t own)
{
    for (size_t at = begin; at < own; at++)
        if ((text[at] == '<' || text[at] == '[') && thought_tags(text + at, own - at) == own - at)
            return at;
    return own;
}

/* Passes over what the template puts in front of the message's own words, which is no part of what
 * the model is to say: the header, where no generation prompt has it, and an empty thought. */
static int skip_insertions(struct finding *f, int message, bool header, size_t end, size_t *begin)
{
    const char *text = f->t->whole.text.data;
    const struct words w = message_words(json_array_get(f->c->messages, (size_t)message));
    struct stand_in_place own;
    size_t thought;
    int rc;

    if (!header && (f->empty_thoughts || thought_empty(text + *begin, end - *begin) == 0))
        return 0;
    rc = stand_in_find(f->template, f->c, message, &f->t->whole.text, &f->t->with, &own, f->err);
    if (rc < 0 || own.kind != STAND_IN_FOUND || own.at < *begin || own.at > end)
        return rc;
    if (header)
        *begin = find_tags(text, *begin, own.at);
    thought = thought_empty(text + *begin, own.at - *begin);
    if (!f->empty_thoughts && (thought_tags(w.at, w.len) == 0 || says_at(f, &w, own.at)))
        *begin += thought;
    return 0;
}

static int find_turn(struct finding *f, int message)
{
    bool prompts = chat_template_names(f->template, f->c->tools, "add_generation_prompt");
    size_t begin, end = 0;
    int rc = find_begin(f, message, &begin);

    if (rc == 0)
        rc = find_end(f, message, begin, &end);
    if (rc == 0 && begin < end)
        rc = skip_insertions(f, message, !prompts || begin == 0, end, &begin);
    if (rc < 0)
        return rc;
    return begin < end ? add(f, begin, end, message) : 0;
}

static int by_begin(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;

    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* The blocks that the template marked: each is a turn of the assistant. With as many blocks as
 * there are such messages, those that are not trained are left out. */
static int take_marks(struct finding *f)
{
    const struct jinja_output *out = &f->t->whole;
    int assistants = 0, trained = 0, i, message = -1, rc = 0;

    for (i = 0; i < f->c->n; i++) {
        bool is = role_is_assistant(json_array_get(f->c->messages, (size_t)i));
        assistants += is;
        trained += is && f->c->trained[i];
    }
    if (trained < assistants && assistants != out->n_spans)
        return err_set(f->err, ERR_INVALID,
                       "the chat template marks %d texts of the assistant in a conversation in "
                       "which it speaks %d times: which of them not to train is not known",
                       out->n_spans, assistants);
    for (i = 0; i < out->n_spans && rc == 0; i++) {
        while (assistants == out->n_spans && ++message < f->c->n &&
               !role_is_assistant(json_array_get(f->c->messages, (size_t)message)))
            ;
        if (out->spans[i].begin < out->spans[i].end &&
            (trained == assistants || f->c->trained[message]))
            rc = add(f, out->spans[i].begin, out->spans[i].end, -1);
    }
    if (rc == 0 && f->t->n > 1)
        qsort(f->t->of, (size_t)f->t->n, sizeof(*f->t->of), by_begin);
    return rc;
}

/* Whether a message of another role than the assistant's is trained, which marks do not show. */
static bool trains_others(const struct conversation *c)
{
    for (int i = 0; i < c->n; i++)
        if (c->trained[i] && !role_is_assistant(json_array_get(c->messages, (size_t)i)))
            return true;
    return false;
}

/* Each turn costs renders of what is before it. */
static int check_work(const struct finding *f)
{
    static const uint64_t most = (uint64_t)4 << 30, message_bytes = 512; /* that take as long */
    uint64_t turns = 0, n = (uint64_t)f->c->n;

    for (int i = 0; i < f->c->n; i++)
        turns += f->c->trained[i];
    if (turns * (f->t->whole.text.len + n * message_bytes) <= most)
        return 0;
    return err_set(f->err, ERR_INVALID,
                   "finding %ju turns among %d messages takes too long: split the conversation, "
                   "train its last answer alone (data.train_on: last), or give a chat template "
                   "that marks the turns with {%% generation %%}",
                   (uintmax_t)turns, f->c->n);
}

int turns_find(struct turns *t, const struct chat_template *template, const struct conversation *c,
               bool empty_thoughts, struct err *err)
{
    struct finding f = {t, template, c, empty_thoughts, err};
    int rc =
        chat_template_render(template, c->messages, c->tools, c->variables, false, &t->whole, err);

    t->n = 0;
    if (rc < 0)
        return rc;
    if (chat_template_marks(template, c->tools) && !trains_others(c))
        return take_marks(&f);
    rc = check_work(&f);
    for (int i = 0; i < c->n && rc == 0; i++)
        if (c->trained[i])
            rc = find_turn(&f, i);
    return rc;
}
