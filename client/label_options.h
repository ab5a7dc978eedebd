/* client/label_options.h - the option --label NAME=VALUE, which may be repeated. */
#pragma once
#include "proto/dash.pb-c.h"
#include <argp.h>

enum { LABEL_OPTIONS_MAX = 64 };

struct label_options { /* zero-initialise; the texts are argv's, taken apart */
    Dash__V1__Label items[LABEL_OPTIONS_MAX], *list[LABEL_OPTIONS_MAX];
    size_t n;
};

enum { OPTION_LABEL = 'l' };
#define LABEL_OPTION(words)                                                                        \
    {                                                                                              \
        "label", OPTION_LABEL, "NAME=VALUE", 0, words "; may be repeated", 0                       \
    }

/* Adds one; ends the program with words where it is none. */
void label_options_add(struct label_options *labels, char *arg, struct argp_state *state);
