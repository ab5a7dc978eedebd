/* core/job/evaluation_options.h - the options of `dashctl eval` and `dash-worker eval` that say
 * what is measured, as a child of their own argp. */
#pragma once
#include "core/job/evaluation_request.h"
#include <argp.h>

struct evaluation_options { /* zero-initialise; texts are argv's */
    struct evaluation_request request;
    char *files[EVALUATION_DATA_MAX]; /* request.data */
    const char *details;              /* a file, or NULL */
};

/* Its input is a struct evaluation_options. Ends the program with words where they make no
 * sense. */
extern const struct argp evaluation_argp;
