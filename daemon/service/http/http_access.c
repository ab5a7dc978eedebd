/* daemon/service/http/http_access.c - who asks, and whether from where it may be.
 *
 * A web page of another site, opened in the browser of somebody who is signed in here, can send
 * requests, too. So
 *
 *   - the Host must be a name of this server: a page whose own name was made to lead here (DNS
 *     rebinding) names itself,
 *   - where the browser gives proof of itself (a cookie, or none is asked for), a request must not
 *     come from another origin: Origin must be this server, and Sec-Fetch-Site not another site.
 *
 * A token in `authorization` is nothing that a browser sends by itself.
 */
#include "daemon/service/http/http_impl.h"
#include "core/log.h"
#include "daemon/service/http/sessions.h"
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 256 };

/* The name in "name", "name:8080" or "[::1]:8080", in *len bytes. */
static const char *host_name(const char *host, size_t *len)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');

    if (host[0] == '[' && end)
        end++;
    *len = end ? (size_t)(end - host) : strlen(host);
    return host;
}

static bool is_same(const char *name, size_t len, const char *other, size_t other_len)
{
    return len == other_len && strncasecmp(name, other, len) == 0;
}

static bool is_of_proxy(const struct http_options *o, const char *name, size_t len)
{
    size_t host_len;
    const char *host;
    int i;

    for (i = 0; i < o->n_urls; i++) {
        host = host_name(strstr(o->urls[i], "://") + 3, &host_len);
        if (strcspn(host, "/") < host_len)
            host_len = strcspn(host, "/");
        if (is_same(name, len, host, host_len))
            return true;
    }
    return false;
}

/* TLS proves a server's name by itself. */
static bool is_our_name(const struct http_server *s, const char *host)
{
    static const char *const here[] = {"localhost", "127.0.0.1", "[::1]"};
    size_t len;
    const char *name = host_name(host, &len);
    int i;

    for (i = 0; i < 3; i++)
        if (is_same(name, len, here[i], strlen(here[i])))
            return true;
    return s->options.tls || is_of_proxy(&s->options, name, len);
}

/* A proxy that ends TLS says https of what is http here. */
static bool is_same_origin(const char *origin, const char *host)
{
    const char *rest = strstr(origin, "://");

    return rest && strcasecmp(rest + 3, host) == 0;
}

static bool comes_from_here(const struct http_request *r, const char *host)
{
    const char *origin = http_header(r, "Origin"), *site = http_header(r, "Sec-Fetch-Site");

    if (origin)
        return is_same_origin(origin, host);
    return !site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
}

/* Cookies do not distinguish the ports of a host. */
static void cookie_name(const struct http_request *r, char name[32])
{
    snprintf(name, 32, "dash_session_%d", r->server->port);
}

const char *http_cookie(const struct http_request *r)
{
    char name[32];

    cookie_name(r, name);
    return MHD_lookup_connection_value(r->mhd, MHD_COOKIE_KIND, name);
}

static int identify(struct http_request *r, struct err *err)
{
    const struct http_options *o = &r->server->options;
    const char *bearer = http_header(r, "Authorization"), *cookie = http_cookie(r);
    struct peer peer = r->peer;

    if (!r->connection)
        return err_set(err, ERR_DENIED, "dashd does not know who calls");
    if (!bearer && cookie && sessions_find(o->sessions, cookie, &r->caller)) {
        r->by_cookie = true;
        return 0;
    }
    if (!bearer && o->insecure) {
        peer.kind = PEER_TCP;
        r->by_cookie = true; /* any browser of this machine, likewise */
    }
    if (auth_identify(o->auth, &peer, bearer, &r->caller, err) == 0)
        return 0;
    if (bearer)
        return err->code;
    return err_set(err, ERR_DENIED,
                   "this needs a token in the header `authorization: Bearer TOKEN`; for a browser, "
                   "`dashctl web` prints an address that signs in");
}

static bool has_role(struct http_request *r)
{
    enum role needed = r->slot.route->role ? r->slot.route->role : ROLE_READ;
    struct err err;

    if (auth_check_role(&r->caller, needed, &err) == 0)
        return true;
    r->refused = true;
    http_fail_err(r, &err);
    return false;
}

bool http_is_allowed(struct http_request *r)
{
    const char *host = http_header(r, "Host");
    bool is_open = !r->slot.route || r->slot.route->is_open;
    struct err err;

    if (!host || strlen(host) > NAME_MAX_BYTES || !is_our_name(r->server, host)) {
        http_fail(r, RPC_PERMISSION_DENIED,
                  "the name in the header Host is none of this server's: dashd --http-url adds "
                  "one");
        return false;
    }
    if (identify(r, &err) < 0) {
        r->caller = (struct caller){0};
        if (is_open)
            return true;
        listener_refused(r->server->listener, r->connection);
        r->refused = true;
        http_add_header(r, "WWW-Authenticate", "Bearer");
        http_fail(r, RPC_UNAUTHENTICATED, err.text);
        return false;
    }
    if (r->by_cookie && !comes_from_here(r, host)) {
        r->refused = true;
        http_fail(r, RPC_PERMISSION_DENIED,
                  "the request comes from a page of another site, which may not use this one");
        return false;
    }
    if (!r->server->options.insecure)
        listener_prove(r->connection);
    return is_open || has_role(r);
}

/* A proxy in front may end TLS; who claims so falsely keeps the cookie from plain connections. */
static bool is_secure(const struct http_request *r)
{
    const char *scheme = http_header(r, "X-Forwarded-Proto");

    return r->server->options.tls || (scheme && strcasecmp(scheme, "https") == 0);
}

int http_sign_in(struct http_request *r, const struct caller *caller, struct err *err)
{
    char id[SESSION_ID_SIZE], name[32], cookie[200];
    int rc = sessions_add(r->server->options.sessions, caller, id, err);

    if (rc < 0)
        return rc;
    r->caller = *caller; /* for the audit log */
    cookie_name(r, name);
    snprintf(cookie, sizeof(cookie), "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s", name,
             id, SESSION_IDLE_S, is_secure(r) ? "; Secure" : "");
    return http_add_header(r, "Set-Cookie", cookie) ? 0 : err_nomem(err, strlen(cookie));
}

void http_sign_out(struct http_request *r)
{
    const char *cookie = http_cookie(r);
    char name[32], gone[100];

    if (!cookie)
        return; /* a page of another site has no cookie to send, and takes none away */
    sessions_remove(r->server->options.sessions, cookie);
    cookie_name(r, name);
    snprintf(gone, sizeof(gone), "%s=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0", name);
    http_add_header(r, "Set-Cookie", gone);
}
