/* client/settings.h - the keys and values of resolved job files, side by side. */
#pragma once
#include "core/err.h"
#include <stdbool.h>

struct setting {
    char *key;     /* "lora.rank" */
    char **values; /* (n) of each job; "" where a job does not have the key */
    int n;
};

struct settings {
    struct setting *items;
    int n, cap;
};

/* Of n texts that job_to_yaml() has written: a key a line, sections of one level. */
int settings_read(const char *const *yamls, int n, struct settings *ret, struct err *err);
/* Whether the values of a key differ. */
bool setting_differs(const struct setting *s);
void settings_free(struct settings *s);
