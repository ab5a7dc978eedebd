/* daemon/service/after/web.c - see web.h. */
#include "daemon/service/after/web.h"
#include <curl/curl.h>
#include <string.h>

void web_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void web_escape(const char *text, struct buf *out)
{
    char *escaped = curl_easy_escape(NULL, text, 0);

    if (escaped)
        buf_puts(out, escaped);
    else
        out->failed = true;
    curl_free(escaped);
}

static size_t take(char *bytes, size_t size, size_t n, void *arg)
{
    struct buf *body = arg;

    if (body->len + size * n > WEB_ANSWER_MAX)
        return 0;
    buf_append(body, bytes, size * n);
    return body->failed ? 0 : size * n;
}

static int look_for_stop(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const atomic_bool *stop = arg;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return atomic_load(stop);
}

static struct curl_slist *headers_of(const struct web_request *r)
{
    struct curl_slist *list = NULL;
    int i;

    if (r->body)
        list = curl_slist_append(list, "Content-Type: application/json");
    for (i = 0; i < WEB_HEADERS_MAX && r->headers[i]; i++)
        list = curl_slist_append(list, r->headers[i]);
    return list;
}

static void set_up(CURL *curl, const struct web_request *r, struct curl_slist *headers,
                   struct buf *body)
{
    curl_easy_setopt(curl, CURLOPT_URL, r->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_for_stop);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, r->stop);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)WEB_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "dashd/" DASH_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    if (r->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(r->body));
    }
    if (r->user) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, r->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, r->password ? r->password : "");
    }
}

int web_ask(const struct web_request *r, int *ret_status, struct buf *ret_body, struct err *err)
{
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = headers_of(r);
    long status = 0;
    CURLcode code = CURLE_FAILED_INIT;

    if (curl) {
        set_up(curl, r, headers, ret_body);
        code = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK)
        return err_set(err, ERR_IO, "%s", curl_easy_strerror(code));
    *ret_status = (int)status;
    return 0;
}
