/* proto/phase.c - see phase.h: the names, as they stand in metrics.jsonl and on the wire. */
#include "proto/phase.h"
#include <string.h>

static const char *const names[PHASES] = {"",     "prelaunch", "identification",
                                          "dash", "lora",      "export"};

const char *phase_name(int phase)
{
    return phase > 0 && phase < PHASES ? names[phase] : "";
}

enum phase phase_by_name(const char *name)
{
    int i;

    for (i = 1; name && i < PHASES; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum phase)i;
    return PHASE_NONE;
}
