/* core/job/checkpoint_name.c - see checkpoint_name.h. A name is read by writing it again. */
#include "core/job/checkpoint_name.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void checkpoint_name(int step, char ret_name[CHECKPOINT_NAME_BYTES])
{
    snprintf(ret_name, CHECKPOINT_NAME_BYTES, "step-%08d.checkpoint", step);
}

int checkpoint_name_step(const char *name)
{
    char wanted[CHECKPOINT_NAME_BYTES];
    long step;

    if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9')
        return -1;
    errno = 0;
    step = strtol(name + 5, NULL, 10);
    if (errno || step > INT_MAX)
        return -1;
    checkpoint_name((int)step, wanted);
    return strcmp(name, wanted) == 0 ? (int)step : -1;
}
