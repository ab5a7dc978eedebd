/* proto/channel.c - see channel.h. A unary call is a stream of one answer. */
#include "proto/channel_impl.h"
#include "proto/wire.h"
#include <grpc/grpc_security.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECT_MS = 10000,
    BACKOFF_FIRST_MS = 200,
    BACKOFF_MAX_MS = 5000,
    METADATA_BYTES = 64 * 1024
};

static grpc_arg int_arg(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

static grpc_channel_credentials *credentials(const struct channel_tls *tls)
{
    grpc_ssl_pem_key_cert_pair pair;

    if (!tls)
        return grpc_insecure_credentials_create();
    pair = (grpc_ssl_pem_key_cert_pair){tls->key, tls->certificate};
    return grpc_ssl_credentials_create(tls->ca, tls->key ? &pair : NULL, NULL, NULL);
}

static grpc_channel *create(const char *address, const struct channel_tls *tls)
{
    grpc_arg args[] = {
        int_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0), /* clusters set http_proxy for other things */
        int_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1), /* a new channel dials at once */
        int_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, BACKOFF_FIRST_MS),
        int_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_MS), /* how long one attempt may take */
        int_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, BACKOFF_MAX_MS),
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1),
        int_arg(GRPC_ARG_MAX_METADATA_SIZE, METADATA_BYTES), /* long lists of problems */
        {.type = GRPC_ARG_STRING,
         .key = (char *)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG,
         .value.string = (char *)(tls ? tls->name : NULL)}, /* the last: it may be left out */
    };
    size_t n = sizeof(args) / sizeof(args[0]);
    grpc_channel_args all = {tls && tls->name ? n : n - 1, args};
    grpc_channel_credentials *with = credentials(tls);
    grpc_channel *channel = with ? grpc_channel_create(address, with, &all) : NULL;

    if (with)
        grpc_channel_credentials_release(with);
    return channel;
}

int channel_open(const char *address, const struct channel_tls *tls, struct channel **ret_channel,
                 struct err *err)
{
    struct channel *c;

    if (strncmp(address, "unix:", 5) != 0 && !strrchr(address, ':'))
        return err_set(err, ERR_INVALID,
                       "'%s' is not an address: write unix:/path/to/socket or host:port", address);
    c = calloc(1, sizeof(*c));
    if (!c)
        return err_nomem(err, sizeof(*c));
    wire_quiet();
    grpc_init();
    c->address = strdup(address);
    c->tls = tls != NULL;
    c->channel = create(address, tls);
    if (tls && tls->token && channel_set_token(c, tls->token, err) < 0) {
        channel_close(c);
        return err_nomem(err, strlen(tls->token));
    }
    if (!c->address || !c->channel) {
        channel_close(c);
        return err_set(err, ERR_INTERNAL, "cannot create a gRPC channel to '%s'", address);
    }
    *ret_channel = c;
    return 0;
}

int channel_set_token(struct channel *c, const char *token, struct err *err)
{
    char *authorization;

    if (asprintf(&authorization, "Bearer %s", token) < 0)
        return err_nomem(err, strlen(token));
    free(c->authorization);
    c->authorization = authorization;
    return 0;
}

void channel_close(struct channel *c)
{
    if (!c)
        return;
    if (c->channel)
        grpc_channel_destroy(c->channel);
    grpc_shutdown();
    free(c->address);
    free(c->authorization);
    free(c->error);
    free(c);
}

const char *channel_error(const struct channel *c)
{
    return c->error ? c->error : "";
}

bool channel_is_unknown(const struct channel *c)
{
    return c->failed == GRPC_STATUS_UNAUTHENTICATED;
}

bool channel_is_away(const struct channel *c)
{
    return c->failed == GRPC_STATUS_UNAVAILABLE;
}

static int code_of(grpc_status_code status)
{
    switch (status) {
    case GRPC_STATUS_INVALID_ARGUMENT:
        return ERR_INVALID;
    case GRPC_STATUS_PERMISSION_DENIED:
    case GRPC_STATUS_UNAUTHENTICATED:
        return ERR_DENIED;
    case GRPC_STATUS_NOT_FOUND:
        return ERR_NOT_FOUND;
    case GRPC_STATUS_FAILED_PRECONDITION:
    case GRPC_STATUS_ALREADY_EXISTS:
    case GRPC_STATUS_ABORTED:
    case GRPC_STATUS_RESOURCE_EXHAUSTED:
        return ERR_STATE;
    case GRPC_STATUS_UNIMPLEMENTED:
        return ERR_UNSUPPORTED;
    case GRPC_STATUS_UNAVAILABLE:
    case GRPC_STATUS_CANCELLED:
    case GRPC_STATUS_DEADLINE_EXCEEDED:
        return ERR_PEER;
    default:
        return ERR_INTERNAL;
    }
}

/* gRPC's own words for "nobody listens there", as against a connection that broke later. */
static bool never_connected(const char *details)
{
    static const char *const starts[] = {"failed to connect", "connections to all backends",
                                         "DNS resolution failed", "empty address list"};
    size_t i;

    for (i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (strncmp(details, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

int channel_failed(struct channel *c, const char *method, grpc_status_code status,
                   const char *details, struct err *err)
{
    char *text = NULL;
    int n;

    c->failed = status;
    if (status == GRPC_STATUS_UNAVAILABLE && never_connected(details) && c->tls)
        n = asprintf(
            &text,
            "no dashd answers at %s with a certificate that is trusted: it does not run, or "
            "has other keys than at the last `dashctl login %s`",
            c->address, c->address);
    else if (status == GRPC_STATUS_UNAVAILABLE && never_connected(details) &&
             strncmp(c->address, "unix:", 5) != 0)
        n = asprintf(
            &text,
            "no dashd answers at %s without TLS: start one with `dashd`, run `dashctl login "
            "%s` if it uses TLS, or name another with --server",
            c->address, c->address);
    else if (status == GRPC_STATUS_UNAVAILABLE && never_connected(details))
        n = asprintf(
            &text, "no dashd answers at %s: start one with `dashd`, or name another with --server",
            c->address);
    else if (status == GRPC_STATUS_UNAVAILABLE)
        n = asprintf(&text, "dashd at %s went away (%s)", c->address, details);
    else if (status == GRPC_STATUS_DEADLINE_EXCEEDED)
        n = asprintf(&text, "dashd at %s did not answer in time", c->address);
    else if (status == GRPC_STATUS_UNIMPLEMENTED)
        n = asprintf(
            &text,
            "what answers at %s has no %s: it is not a dashd, or is a dashd of another version",
            c->address, method);
    else
        n = asprintf(&text, "%s", details);
    free(c->error);
    c->error = n < 0 ? NULL : text;
    return err_set(err, code_of(status), "%s", c->error ? c->error : "out of memory");
}

int channel_call(struct channel *c, const char *method, const ProtobufCMessage *request,
                 const ProtobufCMessageDescriptor *reply_type, int timeout_ms,
                 ProtobufCMessage **ret_reply, struct err *err)
{
    ProtobufCMessage *reply = NULL;
    struct stream *s = NULL;
    int rc;

    rc = stream_open_until(c, method, request, reply_type, timeout_ms, &s, err);
    if (rc < 0)
        return rc;
    rc = stream_read(s, -1, &reply, err);
    stream_close(s);
    if (rc < 0)
        return rc;
    if (rc != STREAM_MESSAGE)
        return err_set(err, ERR_PEER, "dashd at %s answered %s with nothing", c->address, method);
    *ret_reply = reply;
    return 0;
}
