/* daemon/service/options.h - how dashd is asked to run. */
#pragma once
#include "core/err.h"
#include "daemon/service/check.h"
#include <stdbool.h>
#include <sys/types.h>

enum { LISTEN_MAX = 8, HTTP_URLS_MAX = 8, MODELS_MAX = 64 };

struct options {
    char *state, *programs;
    const char *listen[LISTEN_MAX + 1];
    char *default_address;
    int n_listen;
    const char *reports;                  /* "none", an address, or NULL: any */
    const char *http;                     /* "none", an address, or NULL: a port of loopback */
    const char *http_urls[HTTP_URLS_MAX]; /* by which proxies reach it; the first is what is said */
    int n_http_urls;
    const char *models[MODELS_MAX]; /* "NAME=PATH", of the OpenAI API */
    int n_models;
    int chat_models;    /* that may be in memory at once */
    int chat_silence_s; /* after which one that starts or answers is taken to hang */
    const char *tls_certificate, *tls_key; /* PEM files; NULL: those of `dashd init` */
    const char *client_ca, *client_crl;    /* the same, of clients; NULL: none */
    char user[64];                         /* whose rights all jobs have: "ann (uid 1001)" */
    const char *munge_socket;              /* NULL: the usual one */
    const char *group_name;                /* NULL: none */
    gid_t group;
    int max_running, memory_mb, stop_grace_s, restart_delay_ms, slurm_poll_s;
    struct check_limits check;
    struct job_roots roots; /* that jobs may use; none: anywhere */
    bool stop_jobs, insecure_tcp, munge;
};

/* Ends dashd with a usage error where they are wrong. */
void options_parse(struct options *o, int argc, char **argv);
/* Sets what was not given; makes the state folder. Unless there is an address that jobs on this
 * machine can dial without TLS, the default one is added. */
int options_fill(struct options *o, struct err *err);
void options_free(struct options *o);
/* The address is one that clients reach by TLS. */
bool options_is_tls(const struct options *o, const char *address);
/* The state folder that was named or the default one, made if it is not there. Caller frees *ret.
 */
int options_state(const char *named, char **ret, struct err *err);
