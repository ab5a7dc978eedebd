/* client/settings.c - see settings.h. The canonical text of a job has one key a line, so its lines
 * are read as they stand: values are compared, and shown, as they were written. */
#include "client/settings.h"
#include <stdlib.h>
#include <string.h>

static struct setting *find(struct settings *s, const char *section, const char *key, size_t len)
{
    size_t before = strlen(section);
    int i;

    for (i = 0; i < s->n; i++) {
        const char *name = s->items[i].key;
        if (strlen(name) == before + len && strncmp(name, section, before) == 0 &&
            strncmp(name + before, key, len) == 0)
            return &s->items[i];
    }
    return NULL;
}

static struct setting *add(struct settings *s, const char *section, const char *key, size_t len,
                           int n_jobs)
{
    struct setting *more;
    struct setting made = {.n = n_jobs};
    size_t before = strlen(section);

    if (s->n == s->cap) {
        int cap = s->cap ? 2 * s->cap : 64;
        more = realloc(s->items, (size_t)cap * sizeof(*more));
        if (!more)
            return NULL;
        s->items = more;
        s->cap = cap;
    }
    made.key = malloc(before + len + 1);
    made.values = calloc((size_t)n_jobs, sizeof(*made.values));
    if (!made.key || !made.values) {
        free(made.key);
        free(made.values);
        return NULL;
    }
    memcpy(made.key, section, before);
    memcpy(made.key + before, key, len);
    made.key[before + len] = '\0';
    s->items[s->n] = made;
    return &s->items[s->n++];
}

static int set(struct settings *s, const char *section, const char *line, size_t len, int job,
               int n_jobs, struct err *err)
{
    const char *colon = memchr(line, ':', len);
    size_t key = colon ? (size_t)(colon - line) : 0;
    struct setting *at;
    char *value;

    if (!key || key + 2 > len)
        return 0;
    at = find(s, section, line, key);
    if (!at)
        at = add(s, section, line, key, n_jobs);
    value = at ? strndup(colon + 2, len - key - 2) : NULL;
    if (!value)
        return err_nomem(err, len);
    free(at->values[job]);
    at->values[job] = value;
    return 0;
}

static int read_one(struct settings *s, const char *yaml, int job, int n_jobs, struct err *err)
{
    char section[128] = "";
    int rc = 0;

    while (rc == 0 && *yaml) {
        size_t len = strcspn(yaml, "\n"), indent = strspn(yaml, " ");
        if (indent == 0 && len > 1 && len < sizeof(section) - 1 && yaml[len - 1] == ':') {
            memcpy(section, yaml, len - 1);
            strcpy(section + len - 1, ".");
        } else if (indent < len) {
            rc = set(s, indent ? section : "", yaml + indent, len - indent, job, n_jobs, err);
        }
        yaml += len + (yaml[len] == '\n');
    }
    return rc;
}

static int fill_gaps(struct settings *s, struct err *err)
{
    int i, job;

    for (i = 0; i < s->n; i++)
        for (job = 0; job < s->items[i].n; job++)
            if (!s->items[i].values[job] && !(s->items[i].values[job] = strdup("")))
                return err_nomem(err, 1);
    return 0;
}

int settings_read(const char *const *yamls, int n, struct settings *ret, struct err *err)
{
    struct settings s = {0};
    int rc = 0, i;

    for (i = 0; rc == 0 && i < n; i++)
        rc = read_one(&s, yamls[i], i, n, err);
    if (rc == 0)
        rc = fill_gaps(&s, err);
    if (rc == 0)
        *ret = s;
    else
        settings_free(&s);
    return rc;
}

bool setting_differs(const struct setting *s)
{
    int i;

    for (i = 1; i < s->n; i++)
        if (strcmp(s->values[i], s->values[0]) != 0)
            return true;
    return false;
}

void settings_free(struct settings *s)
{
    int i, job;

    for (i = 0; i < s->n; i++) {
        for (job = 0; job < s->items[i].n; job++)
            free(s->items[i].values[job]);
        free(s->items[i].values);
        free(s->items[i].key);
    }
    free(s->items);
    *s = (struct settings){0};
}
