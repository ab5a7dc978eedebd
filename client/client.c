/* client/client.c - see client.h. The channel to dashd is opened by the first call and kept. argp
 * parsers are nested: a command's options, then ID, then --server and --output, each in one place.
 * */
#include "client/client.h"
#include "client/logins.h"
#include "client/printable.h"
#include "client/sign_in.h"
#include <errno.h>
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
     "default state folder)",
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

static bool is_loopback(const char *address)
{
    return strncmp(address, "localhost:", 10) == 0 || strncmp(address, "127.", 4) == 0 ||
           strncmp(address, "[::1]:", 6) == 0;
}

int client_open_login(const struct login *l, struct channel **ret_channel, struct err *err)
{
    const struct channel_tls tls = {
        .ca = l->ca, .token = l->token, .certificate = l->certificate, .key = l->key};
    int rc = channel_open(l->address, &tls, ret_channel, err);

    if (rc == 0 && (rc = sign_in(*ret_channel, l, err)) < 0) {
        channel_close(*ret_channel);
        *ret_channel = NULL;
    }
    return rc;
}

int client_open_channel(const struct client *c, struct channel **ret_channel, struct err *err)
{
    struct login login = {0};
    int rc;

    if (strncmp(c->server, "unix:", 5) == 0 || !strrchr(c->server, ':'))
        return channel_open(c->server, NULL, ret_channel, err);
    rc = login_find(c->server, &login, err);
    if (rc == ERR_NOT_FOUND && is_loopback(c->server))
        return channel_open(c->server, NULL, ret_channel, err);
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_DENIED,
                       "you are not logged in to %s: run `dashctl login %s`, with a token that the "
                       "owner of that dashd gives out",
                       c->server, c->server);
    if (rc < 0)
        return rc;
    rc = client_open_login(&login, ret_channel, err);
    login_free(&login);
    return rc;
}

/* An answer that is to have a job, and has none: commands rely on it. */
static bool lacks_job(const ProtobufCMessage *reply)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(reply->descriptor, "job");

    return f && f->type == PROTOBUF_C_TYPE_MESSAGE && f->label != PROTOBUF_C_LABEL_REPEATED &&
           !*(ProtobufCMessage *const *)((const char *)reply + f->offset);
}

bool client_has_expired(const struct client *c, const struct channel *channel)
{
    struct login login = {0};
    struct err err;
    bool yes = channel && channel_is_unknown(channel) && login_find(c->server, &login, &err) == 0 &&
               login.munge;

    login_free(&login);
    return yes;
}

bool client_sign_in_again(struct client *c)
{
    struct channel *channel;
    struct err err;

    if (!client_has_expired(c, c->channel) || client_open_channel(c, &channel, &err) < 0)
        return false;
    channel_close(c->channel);
    c->channel = channel;
    return true;
}

int client_call(struct client *c, const char *method, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *reply_type, int timeout_ms, void *ret_reply)
{
    ProtobufCMessage **reply = ret_reply;
    char path[128];
    struct err err;
    int rc;

    if (!c->channel && client_open_channel(c, &c->channel, &err) < 0)
        return client_fail(&err);
    snprintf(path, sizeof(path), "/dash.v1.FineTuning/%s", method);
    rc = channel_call(c->channel, path, request, reply_type, timeout_ms, reply, &err);
    if (rc == ERR_DENIED && client_sign_in_again(c))
        rc = channel_call(c->channel, path, request, reply_type, timeout_ms, reply, &err);
    if (rc == 0) {
        if (lacks_job(*reply)) {
            protobuf_c_message_free_unpacked(*reply, NULL);
            return client_fail_with("what answers is no dashd: its answer has no job");
        }
        if (!c->json)
            printable_message(*reply);
        return 0;
    }
    return channel_error(c->channel)[0] ? client_fail_with(channel_error(c->channel))
                                        : client_fail(&err);
}

static error_t parse_job(int key, char *arg, struct argp_state *state)
{
    struct job_argument *job = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = job->client;
        return 0;
    case ARGP_KEY_ARG:
        if (job->id)
            argp_error(state, "one job at a time: what is '%s'?", arg);
        job->id = arg;
        return 0;
    case ARGP_KEY_END:
        if (!job->id)
            argp_error(state, "the ID of a job is missing: `dashctl list` shows them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child client_child[] = {{&client_argp, 0, NULL, 0}, {0}};
const struct argp job_argument_argp = {.parser = parse_job, .children = client_child};

char *client_parse_job(struct client *c, int argc, char **argv, const char *doc)
{
    const struct argp_child children[] = {{&job_argument_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {.args_doc = "ID", .doc = doc, .children = children};
    struct job_argument job = {.client = c};

    argp_parse(&parser, argc, argv, 0, NULL, &job);
    return job.id;
}

long client_parse_integer(struct argp_state *state, const char *option, const char *arg, long least,
                          long most)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(arg, &end, 10);
    if (errno || end == arg || *end || n < least || n > most)
        argp_error(state, "%s must be an integer from %ld to %ld, not '%s'", option, least, most,
                   arg);
    return n;
}
