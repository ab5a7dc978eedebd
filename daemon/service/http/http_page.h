/* daemon/service/http/http_page.h - the page (web/), embedded in the program, and how a browser
 * signs in to it: POST login {"token": "..."}, or GET login?code=..., an address that dashctl web
 * prints; POST logout. GET healthz says that dashd serves. */
#pragma once
#include "daemon/service/http/http.h"

struct http_page;

int http_page_register(struct http_server *server, struct auth *auth, struct sessions *sessions,
                       struct http_page **ret_page, struct err *err);
void http_page_free(struct http_page *p); /* NULL-safe; after the server is closed */
