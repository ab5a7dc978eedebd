/* daemon/service/after/web.h - requests to servers of others, by libcurl: http and https alone, no
 * redirects, within WEB_TIMEOUT_S, or about a second after a stop. They block, so they belong in a
 * thread of the pool. */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include <stdatomic.h>

enum { WEB_TIMEOUT_S = 20, WEB_ANSWER_MAX = 1 << 20, WEB_HEADERS_MAX = 4 };

struct web_request {
    const char *url;
    const char *body;                     /* NULL: GET; else POST of JSON */
    const char *headers[WEB_HEADERS_MAX]; /* "name: value"; NULL: no more */
    const char *user, *password;          /* NULL: none */
    const atomic_bool *stop;              /* true: no answer is waited for any more */
};

/* Appends the text as a part of a URL; out->failed for lack of memory. */
void web_escape(const char *text, struct buf *out);
void web_init(void); /* before the first thread */
/* *ret_status is the HTTP status; the body is appended to ret_body. ERR_IO where no answer came. */
int web_ask(const struct web_request *r, int *ret_status, struct buf *ret_body, struct err *err);
