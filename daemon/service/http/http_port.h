/* daemon/service/http/http_port.h - dashd's HTTP port: what it serves, and where.
 *
 * On a loopback address it is plain text, elsewhere TLS with the key of the TCP addresses. Without
 * --http, it is a port of 127.0.0.1 that is free, the same as of the last dashd where it still is
 * (<state>/http-port), so that an address that somebody keeps remains true.
 */
#pragma once
#include "core/err.h"
#include "daemon/service/options.h"
#include "daemon/service/rpc.h"
#include "daemon/service/runs.h"
#include "daemon/service/tls.h"
#include <uv.h>

struct http_port;

/* tls: of the TCP addresses, for HTTP/1.1; NULL where the address is a loopback one. */
int http_port_open(uv_loop_t *loop, const struct options *options, const struct rpc_guard *guard,
                   struct tls_context *tls, struct http_port **ret_port, struct err *err);
/* Whether --http names an address that others reach. */
bool http_port_is_remote(const struct options *options);
/* Serves what rpc's methods say, and the page's own. */
int http_port_register(struct http_port *p, struct rpc_server *rpc, struct runs *runs,
                       struct err *err);
/* Adds OpenPage to a server of gRPC. p may be NULL: there is no page. */
int http_port_add_method(struct http_port *p, struct rpc_server *rpc, struct err *err);
void http_port_start(struct http_port *p); /* NULL-safe, as the next two */
void http_port_stop(struct http_port *p);
void http_port_close(struct http_port *p);
