/* client/cmd_web.c - dashctl web: an address that opens dashd's page, and signs in. */
#include "client/client.h"
#include "client/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A browser on the user's own machine reaches a port of a login node through ssh. */
static void tell_tunnel(const char *address)
{
    const char *port = strrchr(address, ':');
    char host[256] = "HOST";

    if (!getenv("SSH_CONNECTION") || strncmp(address, "http:", 5) != 0 || !port)
        return;
    gethostname(host, sizeof(host) - 1);
    fprintf(stderr,
            "In a browser on your own machine, first run there: ssh -N -L %d:127.0.0.1:%d %s\n",
            atoi(port + 1), atoi(port + 1), host);
}

int cmd_web(struct client *c, int argc, char **argv)
{
    static const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {
        .children = children,
        .doc = "Prints an address that opens the page of dashd in a browser and signs in as you. "
               "It works once, within a minute; a browser that has opened it stays signed in."};
    Dash__V1__OpenPageRequest request = DASH__V1__OPEN_PAGE_REQUEST__INIT;
    Dash__V1__OpenPageResponse *response = NULL;
    int status;

    argp_parse(&argp, argc, argv, 0, NULL, c);
    status = client_call(c, "OpenPage", &request.base, &dash__v1__open_page_response__descriptor,
                         CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    if (c->json) {
        json_print(&response->base, true);
    } else {
        printf("%slogin?code=%s\n", response->address, response->code);
        fflush(stdout);
        tell_tunnel(response->address);
    }
    dash__v1__open_page_response__free_unpacked(response, NULL);
    return EXIT_OK;
}
