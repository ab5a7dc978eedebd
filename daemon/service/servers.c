/* daemon/service/servers.c - see servers.h. A timer looks once a second for files that have
 * changed: tokens, and the key of `remote`. */
#include "daemon/service/servers.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/host_addresses.h"
#include "core/log.h"
#include "daemon/service/address.h"
#include "daemon/service/certificate_make.h"
#include "daemon/service/coordination.h"
#include "daemon/service/fine_tuning.h"
#include "daemon/service/health.h"
#include "daemon/service/http/http_port.h"
#include "daemon/service/keys.h"
#include "daemon/service/reflection.h"
#include "daemon/service/rpc.h"
#include "daemon/service/sign_in.h"
#include "daemon/service/slurm.h"
#include "proto/contact.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    JOB_MESSAGE_BYTES = 4 << 20,
    REPORT_BYTES = 64 << 10,
    TICK_MS = 1000,
    DAY_S = 86400,
    WARN_DAYS = 30,
    REPORTS_DAYS = 3650 /* as long as a dashd may run */
};

enum { LOCAL, REMOTE, REPORTS, SERVERS };

struct servers {
    uv_loop_t *loop;
    const struct options *options;
    struct rpc_guard guard;
    struct rpc_stats stats;
    struct tls_context *tls[SERVERS]; /* NULL: plain text */
    struct rpc_server *rpc[SERVERS];  /* NULL: there is none */
    struct tls_context *http_tls;     /* the key of REMOTE, for HTTP; NULL: plain text */
    struct http_port *http;           /* NULL: there is none */
    struct sign_in *sign_in;          /* of REMOTE; NULL: there is none */
    char *served;                     /* the first local address, as coordinators here dial it */
    struct buf words;
    char **node_addresses; /* those that coordinators on other nodes try */
    char *reports_certificate;
    uv_timer_t tick;
    int64_t warned_at_s; /* that the certificate expires */
    int stopping;        /* servers that have not stopped yet */
    void (*on_stopped)(void *arg);
    void *on_stopped_arg;
};

static const struct rpc_limits limits[SERVERS] = {
    /* this user's own programs, or colleagues' */
    [LOCAL] = {.connections = {.connections = 256, .connections_of_peer = 128},
               .calls_of_connection = 256,
               .message_bytes = JOB_MESSAGE_BYTES,
               .memory_bytes = 128 << 20,
               .idle_ms = 300000},
    /* Anybody on the network can dial. */
    [REMOTE] = {.connections = {.connections = 512,
                                .connections_of_peer = 64,
                                .sender = HTTP2_PROGRAM},
                .calls_of_connection = 256,
                .message_bytes = JOB_MESSAGE_BYTES,
                .memory_bytes = 128 << 20,
                .idle_ms = 300000},
    /* The same; a coordinator has one call. */
    [REPORTS] = {.connections = {.connections = 512, .connections_of_peer = 64},
                 .calls_of_connection = 4,
                 .message_bytes = REPORT_BYTES,
                 .memory_bytes = 32 << 20,
                 .idle_ms = 20000},
};

static int open_one(struct servers *s, int which, struct err *err)
{
    static const struct rpc_guard nobody;
    struct rpc_limits l = limits[which];

    l.connections.tls = s->tls[which];
    if (which == LOCAL && s->options->group_name)
        l.connections.group = &s->options->group;
    return rpc_open(s->loop, &l, which == REPORTS ? &nobody : &s->guard, &s->rpc[which], err);
}

/* ---- keys ---- */

static int open_keys(const struct options *o, enum tls_protocol protocol,
                     struct tls_context **ret_tls, struct err *err)
{
    char *made = keys_path(o->state, KEYS_SERVER);
    const struct tls_files files = {.certificate = o->tls_certificate ? o->tls_certificate : made,
                                    .key = o->tls_key ? o->tls_key : made,
                                    .client_ca = o->client_ca,
                                    .client_crl = o->client_crl,
                                    .protocol = protocol};
    int rc = 0;

    if (!made)
        return err_nomem(err, strlen(o->state));
    if (!o->tls_certificate && access(made, F_OK) < 0)
        rc = err_set(err, ERR_INVALID,
                     "TCP addresses need a key and a certificate, and %s is not there: run `dashd "
                     "init`, or name files with --tls-cert and --tls-key",
                     made);
    if (rc == 0)
        rc = tls_context_open(&files, ret_tls, err);
    free(made);
    return rc;
}

static int make_reports_key(struct servers *s, struct err *err)
{
    static const char *const hosts[] = {CONTACT_SERVER_NAME};
    const struct certificate_spec spec = {
        .name = CONTACT_SERVER_NAME, .hosts = hosts, .n_hosts = 1, .days = REPORTS_DAYS};
    char *key = NULL;
    int rc = certificate_make(&spec, NULL, &key, &s->reports_certificate, err);

    if (rc == 0)
        rc = tls_context_from_pem(key, s->reports_certificate, &s->tls[REPORTS], err);
    keys_erase(key);
    return rc;
}

/* Once a day, from a month before on. */
static void warn_of_expiry(struct servers *s)
{
    const struct tls_context *tls = s->tls[REMOTE] ? s->tls[REMOTE] : s->http_tls;
    int64_t now = clock_unix_ms() / 1000, left;

    if (!tls || now - s->warned_at_s < DAY_S)
        return;
    left = tls_context_expires_s(tls) - now;
    if (left >= (int64_t)WARN_DAYS * DAY_S)
        return;
    s->warned_at_s = now;
    if (left < 0)
        log_error("the certificate of TCP addresses has expired: run `dashd init --renew`");
    else
        log_warn("the certificate of TCP addresses expires in %d days: run `dashd init --renew`",
                 (int)(left / DAY_S));
}

static void on_tick(uv_timer_t *timer)
{
    struct servers *s = timer->data;
    struct err err;
    int rc = 0;

    auth_tick(s->guard.auth);
    if (s->tls[REMOTE])
        rc = tls_context_refresh(s->tls[REMOTE], &err);
    if (s->http_tls && rc >= 0)
        rc |= tls_context_refresh(s->http_tls, &err);
    if (rc < 0)
        log_error("%s: the key before it remains in use", err.text);
    else if (rc > 0)
        log_info("the key and the certificate of TCP addresses have been replaced");
    if (rc > 0)
        s->warned_at_s = 0;
    warn_of_expiry(s);
}

/* ---- listening ---- */

static void add_words(struct servers *s, const char *address)
{
    buf_printf(&s->words, "%s%s", s->words.len ? " and " : "", address);
}

static int listen_one(struct servers *s, const char *address, struct err *err)
{
    const struct options *o = s->options;
    bool is_tls = options_is_tls(o, address);
    char *reached;
    int port = 0, rc;

    rc = rpc_listen(s->rpc[is_tls ? REMOTE : LOCAL], address, &port, err);
    if (rc < 0)
        return rc;
    reached = address_for_clients(address, port);
    if (!reached)
        return err_nomem(err, strlen(address));
    if (!address_is_unix(address) && !is_tls)
        log_warn("%s has no authentication: every user of this machine can run jobs as you",
                 reached);
    add_words(s, reached);
    if (!is_tls && !s->served)
        s->served = reached;
    else
        free(reached);
    return 0;
}

static bool has_remote(const struct options *o)
{
    int i;

    for (i = 0; i < o->n_listen; i++)
        if (options_is_tls(o, o->listen[i]))
            return true;
    return false;
}

static int listen_for_clients(struct servers *s, struct err *err)
{
    const struct options *o = s->options;
    int rc = 0, i;

    for (i = 0; i < o->n_listen && rc == 0; i++)
        rc = address_check(o->listen[i], o->insecure_tcp, o->group_name ? &o->group : NULL, err);
    if (rc == 0)
        rc = open_one(s, LOCAL, err);
    if (rc == 0 && has_remote(o)) {
        rc = open_keys(o, TLS_HTTP2, &s->tls[REMOTE], err);
        if (rc == 0)
            rc = open_one(s, REMOTE, err);
    }
    for (i = 0; i < o->n_listen && rc == 0; i++)
        rc = listen_one(s, o->listen[i], err);
    if (rc == 0 && o->group_name)
        log_info("the members of the group %s can submit jobs, all of which run as %s",
                 o->group_name, o->user);
    return rc;
}

static int listen_for_reports(struct servers *s, struct err *err)
{
    const char *named = s->options->reports;
    int port = 0, rc = 0;
    char *whole;

    if (named ? strcmp(named, "none") == 0 : !slurm_is_here())
        return 0;
    if (named)
        rc = address_check_reach(named, err);
    if (rc == 0)
        rc = make_reports_key(s, err);
    if (rc == 0)
        rc = open_one(s, REPORTS, err);
    if (rc == 0 && named)
        rc = rpc_listen(s->rpc[REPORTS], named, &port, err);
    else if (rc == 0 && rpc_listen(s->rpc[REPORTS], "[::]:0", &port, err) < 0)
        rc = rpc_listen(s->rpc[REPORTS], "0.0.0.0:0", &port, err); /* a machine without IPv6 */
    if (rc < 0)
        return err_prefix(err, "--reports");
    log_info("coordinators on other nodes report to port %d", port);
    if (!named || address_is_any(named))
        return host_addresses_all(port, &s->node_addresses, err);
    whole = address_for_clients(named, port);
    rc = whole ? host_addresses_one(whole, &s->node_addresses, err) : err_nomem(err, strlen(named));
    free(whole);
    return rc;
}

static int open_http(struct servers *s, struct err *err)
{
    const struct options *o = s->options;
    int rc = 0;

    if (o->http && strcmp(o->http, "none") == 0)
        return 0;
    if (o->http && address_is_unix(o->http))
        return err_set(err, ERR_INVALID, "--http: %s: the address must be host:port", o->http);
    if (o->http)
        rc = address_check(o->http, false, NULL, err);
    if (rc < 0)
        return err_prefix(err, "--http");
    if (http_port_is_remote(o))
        rc = open_keys(o, TLS_HTTP1, &s->http_tls, err);
    return rc == 0 ? http_port_open(s->loop, o, &s->guard, s->http_tls, &s->http, err) : rc;
}

int servers_open(uv_loop_t *loop, const struct options *options, struct servers **ret_servers,
                 struct err *err)
{
    struct servers *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return err_nomem(err, sizeof(*s));
    s->loop = loop;
    s->options = options;
    uv_timer_init(loop, &s->tick);
    s->tick.data = s;
    s->guard.stats = &s->stats;
    rc = auth_open(loop, options->state, &s->guard.auth, err);
    if (rc == 0)
        rc = audit_open(options->state, &s->guard.audit, err);
    if (rc == 0)
        rc = listen_for_clients(s, err);
    if (rc == 0)
        rc = listen_for_reports(s, err);
    if (rc == 0)
        rc = open_http(s, err);
    if (rc == 0 && s->words.failed)
        rc = err_nomem(err, s->words.len);
    if (rc < 0) {
        servers_close(s);
        return rc;
    }
    *ret_servers = s;
    return 0;
}

void servers_addresses(struct servers *s, struct runs_options *ret)
{
    ret->server = s->served;
    ret->node_addresses = s->node_addresses;
    ret->reports_certificate = s->reports_certificate;
}

const char *servers_words(const struct servers *s)
{
    return s->words.data;
}

/* ---- from start to end ---- */

static int register_with(struct rpc_server *rpc, struct runs *runs, struct err *err)
{
    int rc = fine_tuning_register(rpc, runs, err);

    if (rc == 0)
        rc = health_register(rpc, err);
    return rc == 0 ? reflection_register(rpc, err) : rc;
}

static int register_sign_in(struct servers *s, struct err *err)
{
    int rc = sign_in_register(NULL, s->rpc[LOCAL], err);

    if (rc < 0 || !s->rpc[REMOTE])
        return rc;
    s->sign_in = sign_in_open(s->loop, s->options, s->guard.auth, s->tls[REMOTE]);
    return s->sign_in ? sign_in_register(s->sign_in, s->rpc[REMOTE], err) : err_nomem(err, 1);
}

int servers_register(struct servers *s, struct runs *runs, struct err *err)
{
    int rc = register_with(s->rpc[LOCAL], runs, err);

    if (rc == 0)
        rc = coordination_register(s->rpc[LOCAL], runs, err);
    if (rc == 0)
        rc = http_port_add_method(s->http, s->rpc[LOCAL], err);
    if (rc == 0 && s->rpc[REMOTE])
        rc = register_with(s->rpc[REMOTE], runs, err);
    if (rc == 0 && s->rpc[REMOTE])
        rc = http_port_add_method(s->http, s->rpc[REMOTE], err);
    if (rc == 0)
        rc = register_sign_in(s, err);
    if (rc == 0 && s->http)
        rc = http_port_register(s->http, s->rpc[LOCAL], runs, err);
    if (rc == 0 && s->rpc[REPORTS])
        rc = coordination_register(s->rpc[REPORTS], runs, err);
    return rc;
}

int servers_start(struct servers *s, struct err *err)
{
    int rc = 0, i;

    for (i = 0; i < SERVERS && rc == 0; i++)
        if (s->rpc[i])
            rc = rpc_start(s->rpc[i], err);
    if (rc == 0)
        http_port_start(s->http);
    warn_of_expiry(s);
    uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
    return rc;
}

static void on_rpc_stopped(void *arg)
{
    struct servers *s = arg;

    if (--s->stopping == 0)
        s->on_stopped(s->on_stopped_arg);
}

void servers_stop(struct servers *s, void (*done)(void *arg), void *arg)
{
    int i;

    uv_timer_stop(&s->tick);
    http_port_stop(s->http);
    s->on_stopped = done;
    s->on_stopped_arg = arg;
    s->stopping = 1;
    for (i = 0; i < SERVERS; i++)
        s->stopping += rpc_is_started(s->rpc[i]);
    for (i = 0; i < SERVERS; i++)
        if (rpc_is_started(s->rpc[i]))
            rpc_stop(s->rpc[i], on_rpc_stopped, s);
    on_rpc_stopped(s);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void servers_close(struct servers *s)
{
    int i;

    if (!s)
        return;
    http_port_close(s->http);
    for (i = 0; i < SERVERS; i++)
        rpc_close(s->rpc[i]);
    sign_in_close(s->sign_in);
    for (i = 0; i < SERVERS; i++)
        tls_context_close(s->tls[i]);
    tls_context_close(s->http_tls);
    host_addresses_free(s->node_addresses);
    auth_close(s->guard.auth);
    audit_close(s->guard.audit);
    free(s->served);
    free(s->reports_certificate);
    buf_free(&s->words);
    uv_close((uv_handle_t *)&s->tick, on_closed);
}
