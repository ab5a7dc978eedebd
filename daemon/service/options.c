/* daemon/service/options.c - see options.h. The table is what --help prints. */
#include "daemon/service/options.h"
#include "core/file.h"
#include "core/paths.h"
#include "daemon/service/address.h"
#include "proto/munge.h"
#include <argp.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    OPTION_STATE = 256,
    OPTION_LISTEN,
    OPTION_MAX_RUNNING,
    OPTION_PROGRAMS,
    OPTION_STOP_JOBS,
    OPTION_STOP_GRACE,
    OPTION_RESTART_DELAY,
    OPTION_INSECURE_TCP,
    OPTION_REPORTS,
    OPTION_HTTP,
    OPTION_HTTP_URL,
    OPTION_MODEL,
    OPTION_CHAT_MODELS,
    OPTION_CHAT_SILENCE,
    OPTION_SLURM_POLL,
    OPTION_ALLOW_ROOT,
    OPTION_MEMORY,
    OPTION_CHECK_MEMORY,
    OPTION_CHECK_TIME,
    OPTION_GROUP,
    OPTION_TLS_CERT,
    OPTION_TLS_KEY,
    OPTION_CLIENT_CA,
    OPTION_CLIENT_CRL,
    OPTION_MUNGE
};

static const struct argp_option option_list[] = {
    {"state", OPTION_STATE, "DIR", 0,
     "Folder of the job store (default: $XDG_STATE_HOME/dash or "
     "~/.local/state/dash)",
     0},
    {"listen", OPTION_LISTEN, "ADDRESS", 0,
     "unix:/path, or host:port, which is TLS with keys of `dashd init`; may be repeated (default: "
     "unix:STATE/dashd.sock)",
     0},
    {"max-running", OPTION_MAX_RUNNING, "N", 0, "Jobs that run at the same time (default: 1)", 0},
    {"programs", OPTION_PROGRAMS, "DIR", 0,
     "Folder of dash-coordinator and dash-worker (default: "
     "that of dashd)",
     0},
    {"stop-jobs", OPTION_STOP_JOBS, NULL, 0,
     "When dashd ends, stop running jobs after a checkpoint; the "
     "next dashd continues with them",
     0},
    {"stop-grace", OPTION_STOP_GRACE, "SECONDS", 0,
     "How long a job that is to stop may take before it is "
     "killed (default: 60)",
     0},
    {"restart-delay", OPTION_RESTART_DELAY, "MS", 0,
     "How long a job whose launch died waits before the next, in milliseconds; doubled with each "
     "death without progress (default: 1000)",
     0},
    {"group", OPTION_GROUP, "NAME", 0,
     "Let the members of this group use the unix socket: they see all jobs, and cancel, resume and "
     "delete their own. All jobs run as you",
     0},
    {"tls-cert", OPTION_TLS_CERT, "FILE", 0,
     "Certificate for TCP addresses, in PEM, with those between it and its CA (default: that of "
     "`dashd init`)",
     0},
    {"tls-key", OPTION_TLS_KEY, "FILE", 0, "Its key, in PEM (default: that of `dashd init`)", 0},
    {"client-ca", OPTION_CLIENT_CA, "FILE", 0,
     "Accept certificates of clients that this CA has signed and `dashd token` knows", 0},
    {"client-crl", OPTION_CLIENT_CRL, "FILE", 0,
     "Reject certificates that a list in this file names, in PEM, which that CA has signed", 0},
    {"munge", OPTION_MUNGE, "SOCKET", OPTION_ARG_OPTIONAL,
     "Let users of the cluster sign in to TCP addresses by MUNGE, in place of a token: you and "
     "root "
     "as admin, the members of --group to submit. SOCKET is munged's, if it is not the usual one",
     0},
    {"insecure-tcp", OPTION_INSECURE_TCP, NULL, 0,
     "Listen on loopback addresses without TLS and tokens: every user of this machine can run jobs "
     "as you",
     0},
    {"reports", OPTION_REPORTS, "ADDRESS", 0,
     "host:port at which coordinators on Slurm's nodes reach this dashd; it listens on this "
     "address alone, and answers no other call than theirs, which need a token. none: it does not "
     "listen, and reads their output folders (default: a free port of all addresses, where there "
     "is Slurm)",
     0},
    {"http", OPTION_HTTP, "ADDRESS", 0,
     "host:port of the page, of the OpenAI API and of metrics: plain text on a loopback address, "
     "else TLS with keys of `dashd init`. none: there is no such port (default: a free port of "
     "127.0.0.1, which `dashctl web` prints)",
     0},
    {"http-url", OPTION_HTTP_URL, "URL", 0,
     "The address by which a reverse proxy offers the page, such as "
     "https://login.example.org/dash/: "
     "requests to its host are answered, and `dashctl web` prints it; may be repeated",
     0},
    {"model", OPTION_MODEL, "NAME=PATH", 0,
     "Offer a model under this name by the OpenAI API: to be trained, and to answer; may be "
     "repeated",
     0},
    {"chat-models", OPTION_CHAT_MODELS, "N", 0,
     "Models that may be in memory at the same time to answer conversations (default: 1)", 0},
    {"chat-silence", OPTION_CHAT_SILENCE, "SECONDS", 0,
     "End a model's process that writes nothing for this long while it starts or answers "
     "(default: 600)",
     0},
    {"slurm-poll", OPTION_SLURM_POLL, "SECONDS", 0,
     "Longest time between two queries of Slurm's queue, one for all jobs (default: 30)", 0},
    {"allow-root", OPTION_ALLOW_ROOT, "DIR", 0,
     "Jobs may read and write in this folder; may be repeated (default: wherever dashd's user may)",
     0},
    {"memory", OPTION_MEMORY, "MB", 0,
     "Memory that jobs on this machine may take together, by their plans: a job waits until it "
     "fits "
     "(default: that of the machine, or of the control group)",
     0},
    {"check-memory", OPTION_CHECK_MEMORY, "MB", 0,
     "Memory that the check of a submitted job may use (default: a quarter of the machine's)", 0},
    {"check-time", OPTION_CHECK_TIME, "SECONDS", 0,
     "How long the check of a submitted job may take (default: 600)", 0},
    {0},
};

static int parse_count(struct argp_state *state, const char *text, const char *what)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < 1 || n > 1000000)
        argp_error(state, "%s must be a number from 1 on, not '%s'", what, text);
    return (int)n;
}

static char *must_copy(struct argp_state *state, const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        argp_failure(state, 1, 0, "out of memory");
    return copy;
}

static void add_url(struct argp_state *state, struct options *o, const char *arg)
{
    const char *host = strstr(arg, "://");

    if (!host || (strncmp(arg, "http://", 7) != 0 && strncmp(arg, "https://", 8) != 0) ||
        !strchr(host + 3, '/') || arg[strlen(arg) - 1] != '/')
        argp_error(state, "--http-url must be an address that ends in '/', not '%s'", arg);
    if (o->n_http_urls == HTTP_URLS_MAX)
        argp_error(state, "at most %d --http-url", HTTP_URLS_MAX);
    o->http_urls[o->n_http_urls++] = arg;
}

static void add_model(struct argp_state *state, struct options *o, const char *arg)
{
    const char *equals = strchr(arg, '=');

    if (!equals || equals == arg || equals[1] != '/')
        argp_error(state, "--model must be NAME=PATH with an absolute path, not '%s'", arg);
    if (strncmp(arg, "ft:", 3) == 0 || strcspn(arg, ": /") < (size_t)(equals - arg))
        argp_error(state, "--model: a name has no ':', '/' or blank: '%s'", arg);
    if (o->n_models == MODELS_MAX)
        argp_error(state, "at most %d --model", MODELS_MAX);
    o->models[o->n_models++] = arg;
}

/* Who may call. */
static error_t parse_access(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;

    switch (key) {
    case OPTION_GROUP:
        o->group_name = arg;
        break;
    case OPTION_TLS_CERT:
        o->tls_certificate = arg;
        break;
    case OPTION_TLS_KEY:
        o->tls_key = arg;
        break;
    case OPTION_CLIENT_CA:
        o->client_ca = arg;
        break;
    case OPTION_CLIENT_CRL:
        o->client_crl = arg;
        break;
    case OPTION_MUNGE:
        if (!munge_is_built_in())
            argp_error(state,
                       "--munge: this dashd was built without MUNGE: install libmunge-dev and "
                       "build it again");
        o->munge = true;
        o->munge_socket = arg;
        break;
    case OPTION_INSECURE_TCP:
        o->insecure_tcp = true;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static error_t parse_http(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;

    switch (key) {
    case OPTION_HTTP:
        o->http = arg;
        break;
    case OPTION_HTTP_URL:
        add_url(state, o, arg);
        break;
    case OPTION_MODEL:
        add_model(state, o, arg);
        break;
    case OPTION_CHAT_MODELS:
        o->chat_models = parse_count(state, arg, "--chat-models");
        break;
    case OPTION_CHAT_SILENCE:
        o->chat_silence_s = parse_count(state, arg, "--chat-silence");
        break;
    default:
        return parse_access(key, arg, state);
    }
    return 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    struct err err;

    switch (key) {
    case OPTION_STATE:
        free(o->state);
        o->state = must_copy(state, arg);
        break;
    case OPTION_LISTEN:
        if (o->n_listen == LISTEN_MAX)
            argp_error(state, "at most %d --listen", LISTEN_MAX);
        o->listen[o->n_listen++] = arg;
        break;
    case OPTION_MAX_RUNNING:
        o->max_running = parse_count(state, arg, "--max-running");
        break;
    case OPTION_PROGRAMS:
        free(o->programs);
        o->programs = realpath(arg, NULL);
        if (!o->programs)
            argp_error(state, "--programs: '%s' is not a folder", arg);
        break;
    case OPTION_STOP_JOBS:
        o->stop_jobs = true;
        break;
    case OPTION_STOP_GRACE:
        o->stop_grace_s = parse_count(state, arg, "--stop-grace");
        break;
    case OPTION_RESTART_DELAY:
        o->restart_delay_ms = parse_count(state, arg, "--restart-delay");
        break;
    case OPTION_REPORTS:
        o->reports = arg;
        break;
    case OPTION_SLURM_POLL:
        o->slurm_poll_s = parse_count(state, arg, "--slurm-poll");
        break;
    case OPTION_ALLOW_ROOT:
        if (job_roots_add(&o->roots, arg, &err) < 0)
            argp_error(state, "--allow-root: %s", err.text);
        break;
    case OPTION_MEMORY:
        o->memory_mb = parse_count(state, arg, "--memory");
        break;
    case OPTION_CHECK_MEMORY:
        o->check.memory_mb = parse_count(state, arg, "--check-memory");
        break;
    case OPTION_CHECK_TIME:
        o->check.seconds = parse_count(state, arg, "--check-time");
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s'", arg);
        break;
    case ARGP_KEY_END:
        if (!o->tls_certificate != !o->tls_key)
            argp_error(state, "--tls-cert and --tls-key belong together");
        if (o->client_crl && !o->client_ca)
            argp_error(state, "--client-crl needs --client-ca, which has signed it");
        break;
    default:
        return parse_http(key, arg, state);
    }
    return 0;
}

static const struct argp parser = {
    .options = option_list,
    .parser = parse_option,
    .doc =
        "Runs fine-tuning jobs: queues them, launches them and reports their progress.\v"
        "dashctl is its client. Other commands: `dashd init` makes keys for TCP addresses, `dashd "
        "token` says who may use them.",
};

void options_parse(struct options *o, int argc, char **argv)
{
    argp_parse(&parser, argc, argv, 0, NULL, o);
}

bool options_is_tls(const struct options *o, const char *address)
{
    return !address_is_unix(address) && !o->insecure_tcp;
}

int options_state(const char *named, char **ret, struct err *err)
{
    char *state = NULL, *absolute;
    int rc = 0;

    if (!named)
        rc = paths_state(&state, err);
    else if (!(state = strdup(named)))
        rc = err_nomem(err, strlen(named));
    if (rc == 0)
        rc = file_make_folders(state, err);
    absolute = rc == 0 ? realpath(state, NULL) : NULL;
    if (rc == 0 && !absolute)
        rc = err_errno(err, "%s", state);
    free(state);
    if (rc == 0)
        *ret = absolute;
    return rc;
}

static int find_group(struct options *o, struct err *err)
{
    const struct group *found;

    errno = 0;
    found = getgrnam(o->group_name);
    if (!found && errno)
        return err_errno(err, "--group: %s cannot be looked up", o->group_name);
    if (!found)
        return err_set(err, ERR_INVALID, "--group: this machine has no group %s", o->group_name);
    o->group = found->gr_gid;
    return 0;
}

static void find_user(struct options *o)
{
    const struct passwd *user = getpwuid(geteuid());

    snprintf(o->user, sizeof(o->user), "%.40s (uid %u)", user ? user->pw_name : "unknown",
             (unsigned)geteuid());
}

static bool has_local_address(const struct options *o)
{
    int i;

    for (i = 0; i < o->n_listen; i++)
        if (!options_is_tls(o, o->listen[i]))
            return true;
    return false;
}

int options_fill(struct options *o, struct err *err)
{
    char *state = NULL;
    int rc = options_state(o->state, &state, err);

    if (rc < 0)
        return rc;
    free(o->state);
    o->state = state;
    find_user(o);
    if (o->group_name)
        rc = find_group(o, err);
    if (rc == 0 && !has_local_address(o)) {
        rc = paths_address(o->state, &o->default_address, err);
        o->listen[o->n_listen++] = o->default_address;
    }
    if (rc == 0 && !o->programs)
        rc = paths_programs(&o->programs, err);
    return rc;
}

void options_free(struct options *o)
{
    job_roots_free(&o->roots);
    free(o->state);
    free(o->programs);
    free(o->default_address);
}
