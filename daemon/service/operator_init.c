/* daemon/service/operator_init.c - dashd init: a CA, the server's key, and a first token for its
 * owner. What was made before is never replaced but for the server's key (--renew). */
#include "core/file.h"
#include "core/host_addresses.h"
#include "daemon/service/keys.h"
#include "daemon/service/operator.h"
#include "daemon/service/options.h"
#include "daemon/service/tokens.h"
#include "proto/certificate.h"
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { OPTION_STATE = 256, OPTION_NAME, OPTION_RENEW, NAMES_MAX = 32 };

struct init {
    const char *state;
    const char *hosts[KEYS_HOSTS_MAX];
    int n_hosts;
    bool renew;
};

static const struct argp_option options[] = {
    {"state", OPTION_STATE, "DIR", 0, "State folder of dashd (default: as dashd's own)", 0},
    {"name", OPTION_NAME, "HOST", 0,
     "A name or an address by which clients reach this machine, besides its own; may be repeated",
     0},
    {"renew", OPTION_RENEW, NULL, 0,
     "Make the server's key and certificate anew, for the names of before; clients notice nothing",
     0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct init *i = state->input;

    switch (key) {
    case OPTION_STATE:
        i->state = arg;
        return 0;
    case OPTION_NAME:
        if (i->n_hosts == NAMES_MAX)
            argp_error(state, "at most %d --name", NAMES_MAX);
        if (!arg[0] || strpbrk(arg, ",:; \t\n") == arg || strchr(arg, ','))
            argp_error(state, "--name is a name or an address, not '%s'", arg);
        i->hosts[i->n_hosts++] = arg;
        return 0;
    case OPTION_RENEW:
        i->renew = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s'", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    .options = options,
    .parser = parse,
    .doc = "Makes what dashd needs for TCP addresses, in its state folder: a CA, the server's key "
           "and certificate, and a first token, with the role admin."};

/* "[::1]:1" and "10.1.0.4:1" without what is around the host, in place. */
static char *strip(char *address)
{
    char *colon = strrchr(address, ':');

    if (colon)
        *colon = '\0';
    if (address[0] != '[')
        return address;
    address[strlen(address) - 1] = '\0';
    return address + 1;
}

static void add_host(struct init *i, const char *host)
{
    int at;

    for (at = 0; at < i->n_hosts; at++)
        if (strcmp(i->hosts[at], host) == 0)
            return;
    if (i->n_hosts < KEYS_HOSTS_MAX)
        i->hosts[i->n_hosts++] = host;
}

/* Those that were given come first: the first is the certificate's name. */
static int make_keys(struct init *i, const char *state, struct err *err)
{
    char **own = NULL;
    int rc = host_addresses_all(1, &own, err), at;

    for (at = 0; rc == 0 && own[at]; at++)
        add_host(i, strip(own[at]));
    add_host(i, "localhost");
    add_host(i, "127.0.0.1");
    add_host(i, "::1");
    if (rc == 0)
        rc = keys_make(state, i->hosts, i->n_hosts, err);
    host_addresses_free(own);
    return rc;
}

static int make_token(const char *state, struct err *err)
{
    struct token admin = {.name = "admin", .role = ROLE_ADMIN};
    char secret[TOKEN_SECRET_SIZE + 1], *path;
    int rc = tokens_add(state, &admin, secret, err);

    if (rc == ERR_STATE) {
        fprintf(stderr, "the token admin of before stays as it is\n");
        return 0;
    }
    if (rc < 0)
        return rc;
    strcat(secret, "\n");
    path = file_join(state, "admin.token");
    rc =
        path ? file_write_secret(path, secret, strlen(secret), err) : err_nomem(err, strlen(state));
    if (rc == 0)
        fprintf(stderr, "a token with the role admin: %s\n", path);
    explicit_bzero(secret, sizeof(secret));
    free(path);
    return rc;
}

static int print_fingerprint(const char *state, struct err *err)
{
    char *path = keys_path(state, KEYS_CA_CERTIFICATE), *pem = NULL;
    char fingerprint[CERTIFICATE_FINGERPRINT_SIZE];
    size_t len;
    int rc =
        path ? file_read(path, FILE_SMALL_MAX, &pem, &len, err) : err_nomem(err, strlen(state));

    if (rc == 0)
        rc = certificate_fingerprint(pem, fingerprint, err);
    if (rc == 0)
        printf("SHA256:%s\n", fingerprint);
    if (rc == 0)
        fprintf(stderr,
                "that is the CA's fingerprint, which `dashctl login` shows; its certificate: %s\n",
                path);
    free(pem);
    free(path);
    return rc;
}

static int init(struct init *i, struct err *err)
{
    char *state = NULL;
    int rc = options_state(i->state, &state, err);

    if (rc < 0)
        return rc;
    if (i->renew && !keys_exist(state))
        rc = err_set(err, ERR_STATE, "%s has no keys to renew: run `dashd init` without --renew",
                     state);
    else if (!i->renew && keys_exist(state))
        rc = err_set(err, ERR_STATE,
                     "%s has its keys already: --renew makes the server's anew, and keeps the CA",
                     state);
    else if (i->renew)
        rc = keys_renew(state, i->hosts, i->n_hosts, err);
    else
        rc = make_token(state, err) < 0 ? err->code : make_keys(i, state, err);
    if (rc == 0)
        rc = print_fingerprint(state, err);
    free(state);
    return rc;
}

int operator_init(int argc, char **argv)
{
    struct init i = {0};
    struct err err;

    argv[0] = (char *)"dashd init";
    argp_parse(&parser, argc, argv, 0, NULL, &i);
    umask(0077);
    if (init(&i, &err) == 0)
        return 0;
    fprintf(stderr, "dashd init: %s\n", err.text);
    return 1;
}
