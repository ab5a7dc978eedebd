/* client/cmd_generate.c - dashctl generate ...: hands over to `dash-worker generate`, which holds
 * the model's mathematics. */
#include "client/client.h"
#include "client/hand_over.h"

int cmd_generate(struct client *c, int argc, char **argv)
{
    (void)c;
    return hand_over("generate", argc, argv);
}
