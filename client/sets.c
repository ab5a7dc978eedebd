/* client/sets.c - see sets.h. What is behind the = is YAML, which is left to the reader of the
 * job. */
#include "client/sets.h"
#include "client/client.h"
#include <stdlib.h>
#include <string.h>

void sets_add(struct sets *sets, char *set, struct argp_state *state)
{
    char **items;

    if (!strchr(set, '=') || set[0] == '=')
        argp_error(state, "--set must be KEY.PATH=VALUE, for example training.steps=100, not '%s'",
                   set);
    items = realloc(sets->items, (size_t)(sets->n + 1) * sizeof(*items));
    if (!items) {
        argp_failure(state, EXIT_FAILED, 0, "out of memory");
        return;
    }
    sets->items = items;
    sets->items[sets->n++] = set;
}
