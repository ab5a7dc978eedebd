/* client/sets.h - the option --set KEY.PATH=VALUE, which may be repeated. */
#pragma once
#include <argp.h>

struct sets {
    char **items; /* owned; the strings are argv's */
    int n;
};

enum { OPTION_SET = 2000 };
#define SETS_OPTION                                                                                \
    {                                                                                              \
        "set", OPTION_SET, "KEY.PATH=VALUE", 0,                                                    \
            "Overrides a key of the job file; may be repeated", 0                                  \
    }

/* Adds one; ends the program with words where it is none. */
void sets_add(struct sets *sets, char *set, struct argp_state *state);
