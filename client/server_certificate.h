/* client/server_certificate.h - what a server shows in a TLS handshake, before it is trusted. */
#pragma once
#include "core/err.h"

enum { SERVER_CERTIFICATES_MAX = 8 };

struct server_certificates {
    char *pem[SERVER_CERTIFICATES_MAX]; /* the server's own first, then those up to its CA */
    int n;
};

/* Dials host:port, which takes 10 s at most. Nothing is verified, and nothing is sent but the
 * handshake. On success the caller calls server_certificates_free(). */
int server_certificates_get(const char *host, const char *port, struct server_certificates *ret,
                            struct err *err);
void server_certificates_free(struct server_certificates *c);
