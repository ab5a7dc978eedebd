/* core/text/stand_in.c - see stand_in.h. The message says a single character that the text lacks,
 * so that the two texts part where its words begin, whatever these are. */
#include "core/text/stand_in.h"
#include <ctype.h>
#include <string.h>

enum { CHARACTERS = 64, CHARACTER_BYTES = 3 };

/* One of Unicode's private use, U+E000 and what follows. false: the text has them all. */
static bool choose_character(const struct buf *text, char ret[CHARACTER_BYTES + 1])
{
    for (int i = 0; i < CHARACTERS; i++) {
        const char c[CHARACTER_BYTES + 1] = {(char)0xee, (char)0x80, (char)(0x80 + i), 0};
        memcpy(ret, c, sizeof(c));
        if (text->len == 0 || !memmem(text->data, text->len, c, CHARACTER_BYTES))
            return true;
    }
    return false;
}

/* Words in the form of the content that they replace: a text, or a list of one part. */
static json_t *content_of(const json_t *message, const char *words)
{
    return json_is_array(json_object_get(message, "content"))
               ? json_pack("[{s:s, s:s}]", "type", "text", "text", words)
               : json_string(words);
}

/* The message with other words. */
static json_t *replace_words(const json_t *message, const char *words)
{
    static const char *const said[] = {"tool_calls", "reasoning_content", "reasoning", "thinking"};
    json_t *other = json_copy((json_t *)message); /* only read */

    if (!other || json_object_set_new(other, "content", content_of(message, words)) < 0) {
        json_decref(other);
        return NULL;
    }
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
        json_object_del(other, said[i]);
    return other;
}

static json_t *replace_message(const struct conversation *c, int n, int message, const char *words)
{
    json_t *messages = conversation_begin(c, n);
    json_t *other = replace_words(json_array_get(c->messages, (size_t)message), words);

    if (messages && other && json_array_set(messages, (size_t)message, other) == 0) {
        json_decref(other);
        return messages;
    }
    json_decref(messages);
    json_decref(other);
    return NULL;
}

static int render(const struct chat_template *template, const struct conversation *c, int n,
                  int message, const char *words, struct jinja_output *out, struct err *err)
{
    json_t *messages = replace_message(c, n, message, words);
    int rc;

    if (!messages)
        return err_nomem(err, (size_t)n * sizeof(json_t));
    rc = chat_template_render(template, messages, c->tools, c->variables, false, out, err);
    json_decref(messages);
    return rc;
}

/* Where two texts part, at the beginning of a character; their length where they do not. */
static size_t part(const struct buf *a, const struct buf *b)
{
    size_t i = buf_common(a, b);

    while (i > 0 && i < a->len && ((unsigned char)a->data[i] & 0xc0) == 0x80)
        i--;
    return i;
}

int stand_in_find(const struct chat_template *template, const struct conversation *c, int message,
                  const struct buf *whole, struct jinja_output *scratch, struct stand_in_place *ret,
                  struct err *err)
{
    const struct buf *other = &scratch->text;
    char words[CHARACTER_BYTES + 1];
    int rc;

    *ret = (struct stand_in_place){STAND_IN_UNKNOWN, 0};
    if (!choose_character(whole, words))
        return 0;
    rc = render(template, c, c->n, message, words, scratch, err);
    if (rc < 0 && rc != ERR_NOMEM && message + 1 < c->n) /* results of a call that is not there */
        rc = render(template, c, message + 1, message, words, scratch, err);
    if (rc < 0)
        return rc == ERR_NOMEM ? rc : 0;
    ret->at = part(whole, other);
    ret->kind = ret->at == whole->len && ret->at == other->len ? STAND_IN_SAME : STAND_IN_FOUND;
    return 0;
}

struct words message_words(const json_t *message)
{
    const json_t *content = json_object_get(message, "content");
    const json_t *text =
        json_is_array(content) ? json_object_get(json_array_get(content, 0), "text") : content;
    struct words w = {json_string_value(text), json_string_length(text)};

    while (w.len > 0 && isspace((unsigned char)*w.at))
        w.at++, w.len--;
    while (w.len > 0 && isspace((unsigned char)w.at[w.len - 1]))
        w.len--;
    return w;
}
