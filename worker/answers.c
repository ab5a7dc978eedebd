/* worker/answers.c - see answers.h. */
#include "worker/answers.h"
#include <string.h>

static const char blanks[] = " \n\t\r";

/* The text between its blanks. */
static const char *trimmed(const char *text, size_t *ret_len)
{
    const char *from = text + strspn(text, blanks);
    size_t len = strlen(from);

    while (len > 0 && strchr(blanks, from[len - 1]))
        len--;
    *ret_len = len;
    return from;
}

bool answer_matches(const char *answer, const char *expected)
{
    size_t n, m;
    const char *a = trimmed(answer, &n), *b = trimmed(expected, &m);

    return n == m && memcmp(a, b, n) == 0;
}

enum { WORDS_MAX = 6 };
static const char *const kinds[][WORDS_MAX] = {
    {"true", "false"},
    {"solution1", "solution2"},
    {"answer1", "answer2", "answer3", "answer4", "answer5"},
    {"ending1", "ending2", "ending3", "ending4"},
    {"option1", "option2"},
};

static const char *first_of(const char *const words[WORDS_MAX], const char *text)
{
    const char *first = "", *where = NULL;

    for (int i = 0; i < WORDS_MAX && words[i]; i++) {
        const char *at = strstr(text, words[i]);
        if (at && (!where || at < where)) {
            where = at;
            first = words[i];
        }
    }
    return first;
}

const char *answer_extract(const char *text, const char *label)
{
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++)
        for (int i = 0; i < WORDS_MAX && kinds[kind][i]; i++)
            if (strcmp(label, kinds[kind][i]) == 0)
                return first_of(kinds[kind], text);
    return NULL;
}
