/* client/cmd_generate.c - dashctl generate ...: hands over to `dash-worker generate`, which holds
 * the model's mathematics. */
#include "client/client.h"
#include "core/paths.h"
#include <stdlib.h>
#include <unistd.h>

int cmd_generate(struct client *c, int argc, char **argv)
{
    char **arguments = calloc((size_t)argc + 2, sizeof(*arguments)), *program = NULL;
    struct err err;
    int i;

    (void)c;
    if (!arguments || paths_sibling("dash-worker", &program, &err) < 0) {
        free(arguments);
        return client_fail_with("dash-worker cannot be found beside dashctl");
    }
    arguments[0] = program;
    arguments[1] = "generate";
    for (i = 1; i < argc; i++)
        arguments[i + 1] = argv[i];
    execv(program, arguments);
    err_errno(&err, "%s cannot be started", program);
    free(arguments);
    free(program);
    return client_fail(&err);
}
