/* daemon/service/http/http_page.c - see http_page.h. The files of the page are for everybody: they
 * say nothing of any job. */
#include "daemon/service/http/http_page.h"
#include "daemon/service/http/http_json.h"
#include "daemon/service/http/sessions.h"
#include "web/assets.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOGIN_BYTES = 4096, PATH_BYTES = 80, OTHERS = 4 };

struct http_page {
    struct auth *auth;
    struct sessions *sessions;
    struct http_route *routes;
    char (*paths)[PATH_BYTES];
};

static void on_asset(struct http_request *r)
{
    const char *name = http_path(r)[1] ? http_path(r) + 1 : "index.html";
    int i;

    for (i = 0; i < web_assets_n; i++)
        if (strcmp(web_assets[i].name, name) == 0) {
            http_add_header(r, "Cache-Control", "no-cache");
            http_reply_static(r, 200, web_assets[i].type, web_assets[i].bytes, *web_assets[i].len);
            return;
        }
    http_fail(r, RPC_NOT_FOUND, "this dashd was built without its page");
}

static void on_health(struct http_request *r)
{
    http_reply_static(r, 200, "text/plain", "ok\n", 3);
}

static int read_token(struct http_request *r, char *bearer, size_t size, struct err *err)
{
    json_t *json = NULL;
    const char *body, *token;
    size_t len;
    int rc;

    body = http_body(r, &len);
    rc = http_json_parse(body, len, &json, err);
    token = rc == 0 ? json_string_value(json_object_get(json, "token")) : NULL;
    if (rc == 0 && (!token || snprintf(bearer, size, "Bearer %s", token) >= (int)size))
        rc = err_set(err, ERR_INVALID, "the request must be {\"token\": \"...\"}");
    json_decref(json);
    return rc;
}

static void on_login(struct http_request *r)
{
    struct http_page *p = http_service(r);
    const struct peer peer = {.kind = PEER_HTTP};
    struct caller caller;
    char bearer[200];
    struct err err;
    int rc;

    rc = http_json_check_type(r, &err);
    if (rc == 0)
        rc = read_token(r, bearer, sizeof(bearer), &err);
    if (rc == 0 && auth_identify(p->auth, &peer, bearer, &caller, &err) < 0) {
        http_fail(r, RPC_UNAUTHENTICATED, err.text);
        return;
    }
    if (rc == 0)
        rc = http_sign_in(r, &caller, &err);
    if (rc < 0)
        http_fail_err(r, &err);
    else
        http_reply_static(r, 200, "application/json", "{}", 2);
}

/* The page itself is what the browser shows then, without the code in its address. */
static void on_code(struct http_request *r)
{
    struct http_page *p = http_service(r);
    const char *code = http_query(r, "code");
    struct caller caller;
    struct err err;

    if (!code || !sessions_take_code(p->sessions, code, &caller)) {
        http_reply_static(r, 401, "text/plain; charset=utf-8",
                          "This address has been used, or is older than a minute: `dashctl web` "
                          "prints another.\n",
                          83);
    } else if (http_sign_in(r, &caller, &err) < 0) {
        http_fail_err(r, &err);
    } else {
        http_add_header(r, "Location", "./");
        http_reply_static(r, 303, "text/plain", "", 0);
    }
}

static void on_logout(struct http_request *r)
{
    http_sign_out(r);
    http_reply_static(r, 200, "application/json", "{}", 2);
}

static const struct http_route others[OTHERS] = {
    {.method = HTTP_GET, .path = "/healthz", .is_open = true, .done = on_health},
    {.method = HTTP_POST,
     .path = "/login",
     .is_open = true,
     .audited = true,
     .body_max = LOGIN_BYTES,
     .done = on_login},
    {.method = HTTP_GET, .path = "/login", .is_open = true, .audited = true, .done = on_code},
    {.method = HTTP_POST, .path = "/logout", .is_open = true, .done = on_logout},
};

int http_page_register(struct http_server *server, struct auth *auth, struct sessions *sessions,
                       struct http_page **ret_page, struct err *err)
{
    struct http_page *p = calloc(1, sizeof(*p));
    int n = web_assets_n + 1, i, rc;

    if (p)
        p->routes = calloc((size_t)n, sizeof(*p->routes));
    if (p)
        p->paths = calloc((size_t)n, sizeof(*p->paths));
    if (!p || !p->routes || !p->paths) {
        http_page_free(p);
        return err_nomem(err, (size_t)n * sizeof(*p->routes));
    }
    p->auth = auth;
    p->sessions = sessions;
    for (i = 0; i < n; i++) {
        snprintf(p->paths[i], PATH_BYTES, "/%s", i < web_assets_n ? web_assets[i].name : "");
        p->routes[i] = (struct http_route){
            .method = HTTP_GET, .path = p->paths[i], .is_open = true, .done = on_asset};
    }
    rc = http_add_routes(server, p->routes, n, p, err);
    if (rc == 0)
        rc = http_add_routes(server, others, OTHERS, p, err);
    if (rc < 0) {
        http_page_free(p);
        return rc;
    }
    *ret_page = p;
    return 0;
}

void http_page_free(struct http_page *p)
{
    if (!p)
        return;
    free(p->routes);
    free(p->paths);
    free(p);
}
