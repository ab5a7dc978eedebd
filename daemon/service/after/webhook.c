/* daemon/service/after/webhook.c - see webhook.h, and follow_ups.h for the signature. */
#include "daemon/service/after/webhook.h"
#include "core/file.h"
#include "core/random.h"
#include "daemon/service/after/web.h"
#include "proto/hmac.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int webhook_key(const char *state, char ret_key[65], struct err *err)
{
    char *path = file_join(state, "webhook.key"), *text = NULL;
    size_t len;
    int rc = path ? 0 : err_nomem(err, strlen(state));

    if (rc == 0 && access(path, F_OK) < 0) {
        rc = random_hex(ret_key, 32, err);
        if (rc == 0)
            rc = file_write_secret(path, ret_key, 64, err);
    } else if (rc == 0) {
        rc = file_read(path, FILE_SMALL_MAX, &text, &len, err);
        if (rc == 0 && strspn(text, "0123456789abcdef") < 64)
            rc = err_set(err, ERR_INVALID, "%s: must hold 64 hex digits", path);
        if (rc == 0)
            snprintf(ret_key, 65, "%.64s", text);
    }
    free(text);
    free(path);
    return rc;
}

int webhook_send(const char *url, const char *key, const char *body, const atomic_bool *stop,
                 struct err *err)
{
    char hex[HMAC_HEX_BYTES], header[40 + HMAC_HEX_BYTES];
    const struct web_request request = {
        .url = url, .body = body, .headers = {header}, .stop = stop};
    struct buf answer = {0};
    int status = 0, rc;

    hmac_sha256(key, strlen(key), body, strlen(body), hex);
    snprintf(header, sizeof(header), "X-Dash-Signature-256: sha256=%s", hex);
    rc = web_ask(&request, &status, &answer, err);
    if (rc == 0 && (status < 200 || status > 299))
        rc = err_set(err, ERR_PEER, "the server answers with the status %d", status);
    buf_free(&answer);
    return rc;
}
