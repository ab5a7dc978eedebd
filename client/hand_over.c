/* client/hand_over.c - see hand_over.h. */
#include "client/hand_over.h"
#include "client/client.h"
#include "core/paths.h"
#include <stdlib.h>
#include <unistd.h>

int hand_over(char *mode, int argc, char **argv)
{
    char **arguments = calloc((size_t)argc + 2, sizeof(*arguments)), *program = NULL;
    struct err err;
    int i;

    if (!arguments || paths_sibling("dash-worker", &program, &err) < 0) {
        free(arguments);
        return client_fail_with("dash-worker cannot be found beside dashctl");
    }
    arguments[0] = program;
    arguments[1] = mode;
    for (i = 1; i < argc; i++)
        arguments[i + 1] = argv[i];
    execv(program, arguments);
    err_errno(&err, "%s cannot be started", program);
    free(arguments);
    free(program);
    return client_fail(&err);
}
