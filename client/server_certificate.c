/* client/server_certificate.c - see server_certificate.h. */
#include "client/server_certificate.h"
#include "proto/openssl.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TIMEOUT_S = 10 };

static int dial_one(const struct addrinfo *at)
{
    const struct timeval limit = {.tv_sec = TIMEOUT_S};
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), why;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)); /* of connect(), too */
    if (connect(fd, at->ai_addr, at->ai_addrlen) == 0)
        return fd;
    why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int dial(const char *host, const char *port, int *ret_fd, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL, *at;
    int why = getaddrinfo(host, port, &hints, &found), fd = -1;

    if (why != 0)
        return err_set(err, ERR_PEER, "%s: %s", host, gai_strerror(why));
    for (at = found; at && fd < 0; at = at->ai_next)
        fd = dial_one(at);
    why = errno;
    freeaddrinfo(found);
    errno = why;
    if (fd < 0)
        return err_set(err, ERR_PEER, "%s:%s cannot be reached: %s", host, port, strerror(errno));
    *ret_fd = fd;
    return 0;
}

static SSL *new_ssl(const char *host, int fd)
{
    static const unsigned char h2[] = "\2h2";
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = ctx ? SSL_new(ctx) : NULL;
    unsigned char bytes[16];

    SSL_CTX_free(ctx);
    if (!ssl)
        return NULL;
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    SSL_set_alpn_protos(ssl, h2, sizeof(h2) - 1);
    if (inet_pton(AF_INET, host, bytes) != 1 && inet_pton(AF_INET6, host, bytes) != 1)
        SSL_set_tlsext_host_name(ssl, host);
    if (SSL_set_fd(ssl, fd) == 1)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

static char *to_pem(X509 *x)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes = NULL, *text = NULL;
    long len;

    if (bio && PEM_write_bio_X509(bio, x) == 1 && (len = BIO_get_mem_data(bio, &bytes)) > 0)
        text = strndup(bytes, (size_t)len);
    BIO_free(bio);
    return text;
}

static int copy(const SSL *ssl, struct server_certificates *ret, struct err *err)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    struct server_certificates c = {.n = 0};

    while (c.n < sk_X509_num(chain) && c.n < SERVER_CERTIFICATES_MAX) {
        c.pem[c.n] = to_pem(sk_X509_value(chain, c.n));
        if (!c.pem[c.n++]) {
            server_certificates_free(&c);
            return err_nomem(err, 1);
        }
    }
    if (c.n == 0)
        return err_set(err, ERR_PEER, "the server shows no certificate");
    *ret = c;
    return 0;
}

int server_certificates_get(const char *host, const char *port, struct server_certificates *ret,
                            struct err *err)
{
    SSL *ssl = NULL;
    int fd = -1, rc = dial(host, port, &fd, err);

    if (rc < 0)
        return rc;
    ssl = new_ssl(host, fd);
    if (!ssl)
        rc = err_nomem(err, 1);
    else if (SSL_connect(ssl) != 1)
        rc = err_set(err, ERR_PEER, "what answers at %s:%s does not speak TLS as dashd does", host,
                     port);
    else
        rc = copy(ssl, ret, err);
    ERR_clear_error();
    SSL_free(ssl);
    close(fd);
    return rc;
}

void server_certificates_free(struct server_certificates *c)
{
    while (c->n > 0)
        free(c->pem[--c->n]);
}
