/* client/client.c - see client.h. */
#include "client/client.h"
#include "client/printable.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { OPTION_SERVER = 1000, OPTION_OUTPUT };

static const struct argp_option common_options[] = {
    {"server", OPTION_SERVER, "ADDRESS", 0,
     "The dashd to talk to: unix:/path or host:port (default: $DASH_SERVER, or that of dashd's "
     "default "
     "state folder)",
     -2},
    {"output", OPTION_OUTPUT, "FORMAT", 0, "text (default) or json", -2},
    {0},
};

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
    struct client *c = state->input;

    switch (key) {
    case OPTION_SERVER:
        c->server = arg;
        c->server_was_named = true;
        return 0;
    case OPTION_OUTPUT:
        if (strcmp(arg, "json") != 0 && strcmp(arg, "text") != 0)
            argp_error(state, "--output is text or json, not '%s'", arg);
        c->json = strcmp(arg, "json") == 0;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp client_argp = {.options = common_options, .parser = parse_common};

int client_fail_with(const char *text)
{
    fputs(strchr(text, '\n') ? "dashctl:\n" : "dashctl: ", stderr);
    printable_print(stderr, text);
    fputc('\n', stderr);
    return EXIT_FAILED;
}

int client_fail(const struct err *err)
{
    return client_fail_with(err->text);
}

int client_fail_problems(const struct problems *problems, const struct err *err)
{
    char *text = problems->n ? problems_text(problems) : NULL;
    size_t len = text ? strlen(text) : 0;
    int status;

    if (len && text[len - 1] == '\n')
        text[len - 1] = '\0';
    status = text ? client_fail_with(text) : client_fail(err);
    free(text);
    return status;
}

static bool somebody_answers(const char *address)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const char *path = address + strlen("unix:");
    bool yes;
    int fd;

    if (strncmp(address, "unix:", 5) != 0 || strlen(path) >= sizeof(at.sun_path))
        return true;
    strcpy(at.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    yes = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
    if (fd >= 0)
        close(fd);
    return yes;
}

bool client_has_dashd(const struct client *c)
{
    return c->server_was_named || c->server_from_env || somebody_answers(c->server);
}

int client_call(struct client *c, const char *method, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *reply_type, int timeout_ms, void *ret_reply)
{
    ProtobufCMessage **reply = ret_reply;
    char path[128];
    struct err err;

    if (!c->channel && channel_open(c->server, &c->channel, &err) < 0)
        return client_fail(&err);
    snprintf(path, sizeof(path), "/dash.v1.FineTuning/%s", method);
    if (channel_call(c->channel, path, request, reply_type, timeout_ms, reply, &err) == 0) {
        if (!c->json)
            printable_message(*reply);
        return 0;
    }
    return channel_error(c->channel)[0] ? client_fail_with(channel_error(c->channel))
                                        : client_fail(&err);
}

struct one_argument {
    struct client *client;
    const char *what, *argument;
};

static error_t parse_argument(int key, char *arg, struct argp_state *state)
{
    struct one_argument *one = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = one->client;
        return 0;
    case ARGP_KEY_ARG:
        if (one->argument)
            argp_error(state, "one %s at a time: what is '%s'?", one->what, arg);
        one->argument = arg;
        return 0;
    case ARGP_KEY_END:
        if (!one->argument)
            argp_error(state, "%s is missing", one->what);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int client_parse_one(struct client *c, int argc, char **argv, const char *what, const char *doc,
                     const char **ret_argument)
{
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .parser = parse_argument, .args_doc = what, .doc = doc, .children = children};
    struct one_argument one = {.client = c, .what = what};

    argp_parse(&parser, argc, argv, 0, NULL, &one);
    *ret_argument = one.argument;
    return 0;
}
