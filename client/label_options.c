/* client/label_options.c - see label_options.h. What a name may be is dashd's to say. */
#include "client/label_options.h"
#include <string.h>

void label_options_add(struct label_options *labels, char *arg, struct argp_state *state)
{
    char *equals = strchr(arg, '=');
    Dash__V1__Label *label = &labels->items[labels->n];

    if (!equals || equals == arg) {
        argp_error(state, "--label must be NAME=VALUE, not '%s'", arg);
        return;
    }
    if (labels->n == LABEL_OPTIONS_MAX) {
        argp_error(state, "a job has at most %d labels", LABEL_OPTIONS_MAX);
        return;
    }
    *equals = '\0';
    dash__v1__label__init(label);
    label->name = arg;
    label->value = equals + 1;
    labels->list[labels->n++] = label;
}
