/* core/text/thought.c - a tag is a word in <> or []. One of thoughts says so: think, thought or
 * reason is a part of it. Some models put the word behind a tag that opens a channel. */
#include "core/text/thought.h"
#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { TAG_BYTES_MAX = 32 };

static bool says_thought(const char *text, size_t len)
{
    static const char *const words[] = {"think", "thought", "reason", "channel"};

    for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
        for (size_t i = 0; i + strlen(words[w]) <= len; i++)
            if (strncasecmp(text + i, words[w], strlen(words[w])) == 0)
                return true;
    return false;
}

/* Bytes of the tag at the beginning of text, or 0. */
static size_t tag(const char *text, size_t len)
{
    char close = len == 0 ? 0 : text[0] == '<' ? '>' : text[0] == '[' ? ']' : 0;
    const char *end = close ? memchr(text, close, len < TAG_BYTES_MAX ? len : TAG_BYTES_MAX) : NULL;
    size_t n = end ? (size_t)(end - text) + 1 : 0;

    for (size_t i = 1; i + 1 < n; i++)
        if (!isalpha((unsigned char)text[i]) && !strchr("/|_:", text[i]))
            return 0;
    return n && says_thought(text, n) ? n : 0;
}

/* Bytes of a channel's name at the beginning of text, or 0. */
static size_t channel(const char *text, size_t len)
{
    static const char *const names[] = {"thought", "thinking", "analysis"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) <= len && strncmp(text, names[i], strlen(names[i])) == 0)
            return strlen(names[i]);
    return 0;
}

/* Whether a tag closes a thought: </think>, [/THINK], <|END_THINKING|>, <channel|>. */
static bool closes(const char *text, size_t len)
{
    bool bar = text[len - 2] == '|' && text[1] != '|';

    for (size_t i = 0; i + 3 <= len && !bar; i++)
        bar = text[i] == '/' || strncasecmp(text + i, "end", 3) == 0;
    return bar;
}

static size_t skip_blanks(const char *text, size_t len, size_t at)
{
    while (at < len && isspace((unsigned char)text[at]))
        at++;
    return at;
}

/* *closed: up to the last tag that closes a thought. */
static size_t scan(const char *text, size_t len, size_t *closed)
{
    size_t at = 0, n, tags = 0;

    *closed = 0;
    for (;;) {
        at = skip_blanks(text, len, at);
        n = tag(text + at, len - at);
        if (n == 0 && tags % 2)
            n = channel(text + at, len - at);
        else if (n > 0)
            tags++;
        if (n == 0)
            return tags ? at : 0;
        if (tag(text + at, len - at) && closes(text + at, n))
            *closed = skip_blanks(text, len, at + n);
        at += n;
    }
}

size_t thought_tags(const char *text, size_t len)
{
    size_t closed;

    return scan(text, len, &closed);
}

size_t thought_empty(const char *text, size_t len)
{
    size_t closed;

    scan(text, len, &closed);
    return closed;
}
