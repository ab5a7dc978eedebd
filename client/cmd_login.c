/* client/cmd_login.c - dashctl login ADDRESS and dashctl logout ADDRESS.
 *
 * The server is trusted by its CA: a file, a fingerprint that its owner gave out, or, as with ssh,
 * a fingerprint that is shown and confirmed once. Only then is the token sent, and only what has
 * answered a call is kept. By MUNGE there is no token to keep: each command signs in (sign_in.h).
 */
#include "client/client.h"
#include "client/logins.h"
#include "client/printable.h"
#include "client/server_certificate.h"
#include "client/token_input.h"
#include "core/file.h"
#include "proto/certificate.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    OPTION_TOKEN_FILE = 2000,
    OPTION_CA,
    OPTION_FINGERPRINT,
    OPTION_CERT,
    OPTION_KEY,
    OPTION_MUNGE
};

struct command {
    struct client *client;
    const char *address, *token_file, *ca, *fingerprint, *certificate, *key;
    const char *munge; /* "": by the usual socket; NULL: not by MUNGE */
};

static const struct argp_option login_options[] = {
    {"token-file", OPTION_TOKEN_FILE, "FILE", 0,
     "Read the token from this file, or from standard input where it is - (default: ask for it)",
     0},
    {"ca", OPTION_CA, "FILE", 0, "Trust what this CA has signed, in PEM", 0},
    {"fingerprint", OPTION_FINGERPRINT, "SHA256", 0,
     "Trust the certificate with this fingerprint, as `dashd init` prints it (default: show it, "
     "and "
     "ask)",
     0},
    {"cert", OPTION_CERT, "FILE", 0,
     "Log in by this certificate, in PEM, in place of a token (dashd --client-ca)", 0},
    {"key", OPTION_KEY, "FILE", 0, "Its key, in PEM (default: in the file of --cert)", 0},
    {"munge", OPTION_MUNGE, "SOCKET", OPTION_ARG_OPTIONAL,
     "Sign in as who you are on this cluster, by MUNGE, in place of a token (dashd --munge). "
     "SOCKET is munged's, if it is not the usual one",
     0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct command *c = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = c->client;
        return 0;
    case OPTION_TOKEN_FILE:
        c->token_file = arg;
        return 0;
    case OPTION_CA:
        c->ca = arg;
        return 0;
    case OPTION_FINGERPRINT:
        c->fingerprint = arg;
        return 0;
    case OPTION_CERT:
        c->certificate = arg;
        return 0;
    case OPTION_KEY:
        c->key = arg;
        return 0;
    case OPTION_MUNGE:
        c->munge = arg ? arg : "";
        return 0;
    case ARGP_KEY_ARG:
        if (c->address)
            argp_error(state, "one address at a time: what is '%s'?", arg);
        c->address = arg;
        return 0;
    case ARGP_KEY_END:
        if (!c->address || !strrchr(c->address, ':') || strncmp(c->address, "unix:", 5) == 0)
            argp_error(state, "the address of a dashd is missing: host:port");
        if (c->ca && c->fingerprint)
            argp_error(state, "give --ca or --fingerprint");
        if (c->key && !c->certificate)
            argp_error(state, "--key is the key of --cert, which is missing");
        if (c->munge && (c->certificate || c->token_file))
            argp_error(state, "--munge is in place of a token or a certificate");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};

/* Caller frees *ret_host. */
static int split(const char *address, char **ret_host, const char **ret_port, struct err *err)
{
    const char *colon = strrchr(address, ':'), *from = address;
    size_t len = (size_t)(colon - address);

    if (len > 2 && from[0] == '[' && colon[-1] == ']') {
        from++;
        len -= 2;
    }
    *ret_host = strndup(from, len);
    *ret_port = colon + 1;
    return *ret_host ? 0 : err_nomem(err, len);
}

static bool confirm(const char *address, const char *fingerprint)
{
    char answer[16] = "";

    fprintf(stderr,
            "The dashd at %s shows a CA that you have not confirmed yet. Its fingerprint:\n"
            "  SHA256:%s\nIs it the one that `dashd init` printed there? (yes/no) ",
            address, fingerprint);
    return fgets(answer, sizeof(answer), stdin) && strcmp(answer, "yes\n") == 0;
}

/* Of those that the server shows, the one with this fingerprint; without one, the last, which is
 * its CA's, if the person confirms it. */
static int choose(const struct command *c, const struct server_certificates *shown,
                  const char **ret_pem, struct err *err)
{
    char fingerprint[CERTIFICATE_FINGERPRINT_SIZE];
    int rc = 0, i;

    for (i = c->fingerprint ? 0 : shown->n - 1; i < shown->n; i++) {
        rc = certificate_fingerprint(shown->pem[i], fingerprint, err);
        if (rc < 0)
            return rc;
        *ret_pem = shown->pem[i];
        if (c->fingerprint && certificate_is_fingerprint(c->fingerprint, fingerprint))
            return 0;
    }
    if (c->fingerprint)
        return err_set(
            err, ERR_DENIED,
            "%s shows no certificate with this fingerprint: it may not be the dashd that "
            "you mean. The last that it shows has SHA256:%s",
            c->address, fingerprint);
    if (!isatty(STDIN_FILENO))
        return err_set(err, ERR_INVALID,
                       "there is no terminal to confirm the fingerprint on: give --ca or "
                       "--fingerprint");
    return confirm(c->address, fingerprint)
               ? 0
               : err_set(err, ERR_DENIED, "the fingerprint is not confirmed: nothing was sent");
}

/* Caller frees *ret_ca. */
static int find_ca(const struct command *c, char **ret_ca, struct err *err)
{
    struct server_certificates shown = {.n = 0};
    const char *port, *pem = "";
    char *host = NULL;
    size_t len;
    int rc = split(c->address, &host, &port, err);

    if (rc == 0)
        rc = server_certificates_get(host, port, &shown, err);
    if (rc == 0)
        rc = certificate_check_host(shown.pem[0], host, err);
    if (rc == 0 && c->ca)
        rc = file_read(c->ca, FILE_SMALL_MAX, ret_ca, &len, err);
    else if (rc == 0 && (rc = choose(c, &shown, &pem, err)) == 0 && !(*ret_ca = strdup(pem)))
        rc = err_nomem(err, strlen(pem));
    server_certificates_free(&shown);
    free(host);
    return rc;
}

static int greet(const struct login *l, Dash__V1__GetServerInfoResponse **ret, struct err *err)
{
    Dash__V1__GetServerInfoRequest request = DASH__V1__GET_SERVER_INFO_REQUEST__INIT;
    struct channel *channel = NULL;
    int rc = client_open_login(l, &channel, err);

    if (rc == 0)
        rc = channel_call(channel, "/dash.v1.FineTuning/GetServerInfo", &request.base,
                          &dash__v1__get_server_info_response__descriptor, CALL_TIMEOUT_MS,
                          (ProtobufCMessage **)ret, err);
    channel_close(channel);
    return rc;
}

/* A certificate is enough; a token that is asked for goes with it. MUNGE needs neither. */
static int find_credentials(const struct command *c, struct login *l, struct err *err)
{
    size_t len;
    int rc = 0;

    if (c->munge)
        return (l->munge = strdup(c->munge)) ? 0 : err_nomem(err, strlen(c->munge));
    if (c->certificate)
        rc = file_read(c->certificate, FILE_SMALL_MAX, &l->certificate, &len, err);
    if (rc == 0 && c->certificate)
        rc = file_read(c->key ? c->key : c->certificate, FILE_SMALL_MAX, &l->key, &len, err);
    if (rc == 0 && (!c->certificate || c->token_file))
        rc = token_input(c->token_file, c->address, &l->token, err);
    return rc;
}

static int log_in(const struct command *c, struct err *err)
{
    struct login l = {.address = strdup(c->address)};
    Dash__V1__GetServerInfoResponse *info = NULL;
    int rc = l.address ? find_ca(c, &l.ca, err) : err_nomem(err, strlen(c->address));

    if (rc == 0)
        rc = find_credentials(c, &l, err);
    if (rc == 0)
        rc = greet(&l, &info, err);
    if (rc == 0)
        rc = login_save(&l, err);
    if (rc == 0) {
        printable_message(&info->base);
        printf("logged in to %s as %s, with the role %s\n", c->address, info->caller, info->role);
    }
    if (info)
        dash__v1__get_server_info_response__free_unpacked(info, NULL);
    login_free(&l);
    return rc;
}

int cmd_login(struct client *client, int argc, char **argv)
{
    const struct argp parser = {
        .options = login_options,
        .parser = parse,
        .args_doc = "ADDRESS",
        .doc = "Keeps the CA and a token of the dashd at ADDRESS (host:port), or that you sign in "
               "by MUNGE, for all later commands with --server ADDRESS or $DASH_SERVER.",
        .children = children};
    struct command c = {.client = client};
    struct err err;

    argp_parse(&parser, argc, argv, 0, NULL, &c);
    return log_in(&c, &err) < 0 ? client_fail(&err) : EXIT_OK;
}

int cmd_logout(struct client *client, int argc, char **argv)
{
    const struct argp parser = {.parser = parse,
                                .args_doc = "ADDRESS",
                                .doc =
                                    "Forgets the token of the dashd at ADDRESS. The token itself "
                                    "holds until its owner revokes it.",
                                .children = children};
    struct command c = {.client = client};
    struct err err;

    argp_parse(&parser, argc, argv, 0, NULL, &c);
    if (login_forget(c.address, &err) < 0)
        return client_fail(&err);
    printf("logged out of %s\n", c.address);
    return EXIT_OK;
}
