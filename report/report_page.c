/* report/report_page.c - see report_page.h. The page names the hashes of its own script and style,
 * and allows nothing else: it can load nothing and run nothing that was put into its data. The data
 * is JSON in which no character ends a script: '<' is written as \u003c, and all but ASCII is
 * escaped. Nothing in it depends on when it is written: the same files give the same bytes.
 */
#include "report/report_page.h"
#include "report/report_data.h"
#include "core/buf.h"
#include "core/file.h"
#include "proto/sha256.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHA256_BYTES = 32, BASE64_BYTES = 45 };

static void put_base64(const unsigned char *bytes, char out[BASE64_BYTES])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    int i, at = 0;

    for (i = 0; i < SHA256_BYTES; i += 3) {
        bool whole = i + 2 < SHA256_BYTES;
        unsigned three = (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8;
        three |= whole ? bytes[i + 2] : 0;
        out[at++] = digits[three >> 18];
        out[at++] = digits[three >> 12 & 63];
        out[at++] = digits[three >> 6 & 63];
        out[at++] = whole ? digits[three & 63] : '=';
    }
    out[at] = '\0';
}

/* As a Content-Security-Policy names a text. */
static int hash(const unsigned char *text, size_t len, char out[BASE64_BYTES], struct err *err)
{
    struct sha256 *s = sha256_open();
    char hex[SHA256_HEX_BYTES], pair[3] = "";
    unsigned char bytes[SHA256_BYTES];
    int i;

    if (!s)
        return err_nomem(err, 1);
    sha256_add(s, text, len);
    sha256_finish(s, hex);
    sha256_close(s);
    for (i = 0; i < SHA256_BYTES; i++) {
        memcpy(pair, hex + 2 * (size_t)i, 2);
        bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    put_base64(bytes, out);
    return 0;
}

static void put_data(struct buf *b, const char *json)
{
    for (; *json; json++)
        if (*json == '<')
            buf_puts(b, "\\u003c");
        else
            buf_append(b, json, 1);
}

static void put_title(struct buf *b, const char *text)
{
    for (; *text; text++)
        if (*text == '<')
            buf_puts(b, "&lt;");
        else if (*text == '&')
            buf_puts(b, "&amp;");
        else
            buf_append(b, text, 1);
}

static char *make_data(const struct job_result *jobs, int n)
{
    json_t *list = json_array(), *all;
    int64_t last_ms = 0;
    char *text;
    int i;

    for (i = 0; i < n; i++) {
        json_array_append_new(list, report_job(&jobs[i], n));
        last_ms = jobs[i].last_ms > last_ms ? jobs[i].last_ms : last_ms;
    }
    all = json_pack("{s:o, s:I, s:s}", "jobs", list, "last", (json_int_t)last_ms, "version",
                    DASH_VERSION);
    text = all && json_array_size(list) == (size_t)n
               ? json_dumps(all, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(10))
               : NULL;
    json_decref(all);
    return text;
}

static int make_page(struct buf *b, const char *title, const char *data, struct err *err)
{
    char script[BASE64_BYTES], style[BASE64_BYTES];
    int rc = hash(report_script, report_script_len, script, err);

    if (rc == 0)
        rc = hash(report_style, report_style_len, style, err);
    if (rc < 0)
        return rc;
    buf_printf(b,
               "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
               "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
               "script-src 'sha256-%s'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; "
               "form-action 'none'\">\n"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
               "<link rel=\"icon\" href=\"data:,\">\n<title>",
               script, style);
    put_title(b, title);
    buf_puts(b, "</title>\n<style>");
    buf_append(b, report_style, report_style_len);
    buf_puts(b, "</style>\n</head>\n<body>\n<main id=\"main\"></main>\n"
                "<script type=\"application/json\" id=\"data\">");
    put_data(b, data);
    buf_puts(b, "</script>\n<script>");
    buf_append(b, report_script, report_script_len);
    buf_puts(b, "</script>\n</body>\n</html>\n");
    return b->failed ? err_nomem(err, b->cap) : 0;
}

int report_write(const char *path, const struct job_result *jobs, int n, struct err *err)
{
    char *data = make_data(jobs, n);
    struct buf page = {0};
    int rc = data ? make_page(&page, n == 1 ? jobs[0].name : "jobs compared", data, err)
                  : err_nomem(err, 1);

    if (rc == 0 && page.len > REPORT_BYTES_MAX)
        rc = err_set(err, ERR_INTERNAL, "the report has %zu bytes, and should have %d at most",
                     page.len, REPORT_BYTES_MAX);
    if (rc == 0)
        rc = file_write_durably(path, page.data, page.len, err);
    free(data);
    buf_free(&page);
    return rc;
}
