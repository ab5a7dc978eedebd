/* daemon/service/tls.h - TLS 1.3 as a server: bytes in, bytes out. Nothing here knows of sockets.
 *
 * gRPC 1.51 takes connected sockets without TLS only (grpc_server_add_channel_from_fd() refuses
 * other credentials), and dashd accepts itself (listener.h). So TLS ends here, in dashd, and
 * relay.h, which looks at the frames of HTTP/2, sees them decrypted.
 *
 * No tickets, no renegotiation, no compression; a context has one protocol inside.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_context; /* a key with its certificate, and whose certificates of clients hold */
struct tls;         /* one connection */

enum tls_protocol { TLS_HTTP2, TLS_HTTP1 }; /* inside: by ALPN, "h2" or "http/1.1" */

struct tls_files {           /* PEM */
    const char *certificate; /* with those between it and its CA */
    const char *key;         /* may be the same file */
    const char *client_ca;   /* signs clients' certificates; NULL: clients show none */
    const char *client_crl;  /* revokes some of them; NULL: none */
    enum tls_protocol protocol;
};

/* Copies the paths. ERR_INVALID where a file is not what it must be, or the key can be read by
 * others. */
int tls_context_open(const struct tls_files *files, struct tls_context **ret_context,
                     struct err *err);
/* From texts instead. */
int tls_context_from_pem(const char *key, const char *certificate, struct tls_context **ret_context,
                         struct err *err);
/* Takes files that have been replaced since: 1 where it did, 0 where none has. Connections that are
 * open keep what they began with. On failure what there was remains in use. */
int tls_context_refresh(struct tls_context *c, struct err *err);
int64_t tls_context_expires_s(const struct tls_context *c); /* Unix time of the certificate's end */
/* Whether the server's certificate, or one of those with it, has this fingerprint (certificate.h).
 */
bool tls_context_shows(const struct tls_context *c, const char *fingerprint);
void tls_context_close(struct tls_context *c); /* NULL-safe; after its connections */

int tls_open(struct tls_context *c, struct tls **ret_tls, struct err *err);
void tls_close(struct tls *t); /* NULL-safe */

/* Takes what has come from the client. */
int tls_feed(struct tls *t, const void *bytes, size_t len);

enum { TLS_WANTS_MORE = 0, TLS_END = -1, TLS_BROKEN = -2 };
/* The next bytes that it said: how many, or one of the above. TLS_END: it will say no more. */
int tls_read(struct tls *t, void *to, size_t size);
/* Both sides have agreed, and the client's certificate, if it showed one, holds. */
bool tls_is_ready(const struct tls *t);
/* Only when ready. False: the connection is broken. */
bool tls_write(struct tls *t, const void *bytes, size_t len);
/* Says that nothing more will come. */
void tls_finish(struct tls *t);
/* What is to be sent to the client: how many bytes are taken, and how many there are. */
size_t tls_take(struct tls *t, void *to, size_t size);
size_t tls_pending(const struct tls *t);

/* The common name in the client's certificate, or "" without one. A name that does not fit, or is
 * not plain printable ASCII, counts as none. */
void tls_client_name(const struct tls *t, char *ret_name, size_t size);
