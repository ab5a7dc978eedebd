/* daemon/service/http/http_port.c - see http_port.h. */
#include "daemon/service/http/http_port.h"
#include "core/file.h"
#include "core/log.h"
#include "daemon/service/address.h"
#include "daemon/service/http/http_files.h"
#include "daemon/service/http/http_page.h"
#include "daemon/service/http/http_rpc.h"
#include "daemon/service/http/metrics.h"
#include "daemon/service/http/openai_routes.h"
#include "daemon/service/http/sessions.h"
#include "proto/dash.pb-c.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct http_port {
    struct http_server *http;
    struct sessions *sessions;
    struct http_page *page;
    struct http_calls calls;
    struct metrics metrics;
    struct openai *openai;
    uv_loop_t *loop;
    const struct options *options;
    struct auth *auth;
    const struct rpc_stats *stats;
    char *address; /* "http://127.0.0.1:8080/" */
};

static char *port_file(const struct options *o)
{
    char *path;

    return asprintf(&path, "%s/http-port", o->state) < 0 ? NULL : path;
}

/* The port of the last dashd; 0: not known. */
static int last_port(const struct options *o)
{
    char *path = port_file(o), *text = NULL;
    size_t len;
    long port = 0;

    if (path && file_read(path, FILE_SMALL_MAX, &text, &len, NULL) == 0)
        port = strtol(text, NULL, 10);
    free(path);
    free(text);
    return port > 0 && port < 65536 ? (int)port : 0;
}

/* An address that is not kept is found by `dashctl web` even so. */
static void keep_port(const struct options *o, int port)
{
    char *path = port_file(o), text[16];
    struct err err;

    snprintf(text, sizeof(text), "%d\n", port);
    if (path && port != last_port(o) && file_write_durably(path, text, strlen(text), &err) < 0)
        log_warn("the port of the page is not kept: %s", err.text);
    free(path);
}

static int listen_by_default(struct http_port *p, const struct options *o, int *ret_port,
                             struct err *err)
{
    char address[32];
    int last = last_port(o), rc = ERR_IO;

    snprintf(address, sizeof(address), "127.0.0.1:%d", last);
    if (last)
        rc = http_listen(p->http, address, ret_port, err);
    if (rc < 0)
        rc = http_listen(p->http, "127.0.0.1:0", ret_port, err);
    if (rc == 0)
        keep_port(o, *ret_port);
    return rc;
}

static int listen_somewhere(struct http_port *p, const struct options *o, bool is_tls,
                            struct err *err)
{
    int port = 0, rc;
    char *reached;

    rc = o->http ? http_listen(p->http, o->http, &port, err) : listen_by_default(p, o, &port, err);
    if (rc < 0)
        return err_prefix(err, "--http");
    reached = address_for_clients(o->http ? o->http : "127.0.0.1:0", port);
    if (!reached || asprintf(&p->address, "%s://%s/", is_tls ? "https" : "http", reached) < 0) {
        p->address = NULL;
        rc = err_nomem(err, 64);
    }
    free(reached);
    return rc;
}

bool http_port_is_remote(const struct options *options)
{
    return options->http && strcmp(options->http, "none") != 0 &&
           !address_is_loopback(options->http);
}

int http_port_open(uv_loop_t *loop, const struct options *options, const struct rpc_guard *guard,
                   struct tls_context *tls, struct http_port **ret_port, struct err *err)
{
    struct http_options http = {.tls = tls,
                                .insecure = options->insecure_tcp && !tls,
                                .urls = options->http_urls,
                                .n_urls = options->n_http_urls,
                                .auth = guard->auth,
                                .audit = guard->audit};
    struct http_port *p = calloc(1, sizeof(*p));
    int rc;

    if (!p)
        return err_nomem(err, sizeof(*p));
    p->loop = loop;
    p->options = options;
    p->auth = guard->auth;
    p->stats = guard->stats;
    p->sessions = http.sessions = sessions_open(loop, guard->auth);
    rc = p->sessions ? http_open(loop, &http, &p->http, err) : err_nomem(err, sizeof(*p));
    if (rc == 0)
        rc = listen_somewhere(p, options, tls != NULL, err);
    if (rc < 0) {
        http_port_close(p);
        return rc;
    }
    log_info("the page is at %s", p->address);
    *ret_port = p;
    return 0;
}

int http_port_register(struct http_port *p, struct rpc_server *rpc, struct runs *runs,
                       struct err *err)
{
    int rc;

    p->calls.rpc = rpc;
    p->metrics = (struct metrics){.runs = runs, .rpc = p->stats};
    rc = http_page_register(p->http, p->auth, p->sessions, &p->page, err);
    if (rc == 0)
        rc = http_rpc_register(p->http, &p->calls, err);
    if (rc == 0)
        rc = metrics_register(p->http, &p->metrics, err);
    if (rc == 0)
        rc = openai_open(p->loop, p->options, rpc, runs, &p->openai, err);
    if (rc == 0)
        rc = openai_register(p->http, p->openai, err);
    return rc == 0 ? http_files_register(p->http, &p->calls, err) : rc;
}

static void on_open_page(struct rpc_call *call, const ProtobufCMessage *message)
{
    Dash__V1__OpenPageResponse response = DASH__V1__OPEN_PAGE_RESPONSE__INIT;
    struct http_port *p = rpc_service(call);
    char code[SESSION_ID_SIZE];
    struct err err;

    (void)message;
    if (!p) {
        rpc_finish(call, RPC_FAILED_PRECONDITION,
                   "this dashd has no page: it was started with --http none");
        return;
    }
    if (sessions_add_code(p->sessions, rpc_caller(call), code, &err) < 0) {
        rpc_fail(call, &err);
        return;
    }
    response.address = p->options->n_http_urls ? (char *)p->options->http_urls[0] : p->address;
    response.code = code;
    rpc_reply(call, &response.base);
}

int http_port_add_method(struct http_port *p, struct rpc_server *rpc, struct err *err)
{
    static const struct rpc_method method = {
        .path = "/dash.v1.FineTuning/OpenPage",
        .role = ROLE_READ,
        .request_type = &dash__v1__open_page_request__descriptor,
        .on_message = on_open_page,
    };

    return rpc_add_methods(rpc, &method, 1, p, err);
}

void http_port_start(struct http_port *p)
{
    if (p)
        http_start(p->http);
}

void http_port_stop(struct http_port *p)
{
    if (!p)
        return;
    openai_stop(p->openai);
    http_stop(p->http);
}

void http_port_close(struct http_port *p)
{
    if (!p)
        return;
    http_close(p->http);
    openai_close(p->openai);
    metrics_close(&p->metrics);
    http_page_free(p->page);
    sessions_close(p->sessions);
    free(p->address);
    free(p);
}
