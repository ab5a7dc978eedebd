/* core/job/node.c - see node.h. A key is a row of a table, which says what its value may be. */
#include "core/job/node.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 4 };

static const struct key {
    const char *name, *meaning;
    double least, most;
    bool integer;
} keys[KEYS] = {
    {"cores", "an integer from 1 to 65536", 1, 65536, true},
    {"gib", "GiB of memory, more than 0", 1e-3, 1e6, false},
    {"gflops", "1e9 operations a second, more than 0", 1e-3, 1e9, false},
    {"gbits", "1e9 bits a second, more than 0", 1e-3, 1e6, false},
};

static int find_key(const char *name, size_t len)
{
    int i = 0;

    while (i < KEYS && (strlen(keys[i].name) != len || memcmp(keys[i].name, name, len) != 0))
        i++;
    return i;
}

/* One "key=value", len bytes of text. */
static void parse_item(const char *text, int len, double values[KEYS], bool given[KEYS],
                       struct problems *problems)
{
    const char *equals = memchr(text, '=', (size_t)len);
    int name = equals ? (int)(equals - text) : len, i = find_key(text, (size_t)name);
    int size = equals ? len - name - 1 : 0;
    char value[32], *end = value;
    double x = NAN;

    if (i == KEYS) {
        problems_add(problems, NULL, 0,
                     "--node: \"%.*s\" is not known: its keys are cores, gib, gflops and gbits",
                     name, text);
        return;
    }
    if (size > 0 && size < (int)sizeof(value)) {
        memcpy(value, equals + 1, (size_t)size);
        value[size] = '\0';
        x = strtod(value, &end);
    }
    if (end == value || *end || !(x >= keys[i].least && x <= keys[i].most) ||
        (keys[i].integer && x != floor(x)))
        problems_add(problems, NULL, 0, "--node: %s must be %s, not \"%.*s\"", keys[i].name,
                     keys[i].meaning, size, equals ? equals + 1 : "");
    else if (given[i])
        problems_add(problems, NULL, 0, "--node: %s is there twice", keys[i].name);
    given[i] = true;
    values[i] = x;
}

int node_parse(const char *text, struct node *ret, struct problems *problems, struct err *err)
{
    int before = problems_count(problems), len;
    bool given[KEYS] = {false};
    double values[KEYS];

    for (const char *at = text; *text; at += len + 1) {
        len = (int)strcspn(at, ",");
        parse_item(at, len, values, given, problems);
        if (!at[len])
            break;
    }
    for (int i = 0; i < KEYS; i++)
        if (!given[i])
            problems_add(problems, NULL, 0, "--node: %s is missing: %s", keys[i].name,
                         keys[i].meaning);
    if (problems_count(problems) > before)
        return err_set(err, ERR_INVALID,
                       "--node must be such as "
                       "cores=64,gib=256,gflops=3000,gbits=100");
    *ret = (struct node){(int)values[0], values[1] * (1 << 30), values[2], values[3]};
    return 0;
}

int node_counts_parse(const char *text, int *ret, int max, int *ret_n, struct err *err)
{
    const char *at = text;
    int n = 0;
    char *end;

    for (;; at = end + 1) {
        long count = strtol(at, &end, 10);
        if (end == at || count < 1 || count > NODES_MAX || (*end && *end != ','))
            return err_set(err, ERR_INVALID,
                           "--nodes must be integers from 1 to %d, such as 1,4,16, not \"%.200s\"",
                           NODES_MAX, text);
        if (n == max)
            return err_set(err, ERR_INVALID, "--nodes has at most %d numbers", max);
        ret[n++] = (int)count;
        if (!*end)
            break;
    }
    *ret_n = n;
    return 0;
}
