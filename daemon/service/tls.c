/* daemon/service/tls.c - see tls.h. OpenSSL works on two memory BIOs: what the client sent waits in
 * `in`, what it is to get in `out`. A handshake is done by tls_read() as bytes arrive. */
#include "daemon/service/tls.h"
#include "core/file.h"
#include "core/file_version.h"
#include "proto/certificate.h"
#include "proto/openssl.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES = 4 };

struct tls_context {
    SSL_CTX *ctx;
    char *paths[FILES]; /* as of struct tls_files; all NULL: from memory */
    struct file_version versions[FILES];
    int64_t expires_s;
    enum tls_protocol protocol;
};

struct tls {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
};

static int broken(const char *what, struct err *err)
{
    char why[200];

    ERR_error_string_n(ERR_get_error(), why, sizeof(why));
    ERR_clear_error();
    return err_set(err, ERR_INVALID, "%s (%s)", what, why);
}

/* ---- a context ---- */

/* The list is the client's, of 8-bit lengths and names. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *outlen,
                           const unsigned char *in, unsigned int inlen, void *arg)
{
    static const unsigned char http2[] = "\2h2", http1[] = "\10http/1.1";
    const struct tls_context *c = arg;
    const unsigned char *ours = c->protocol == TLS_HTTP1 ? http1 : http2;
    unsigned char *chosen = NULL;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, outlen, ours, 1u + ours[0], in, inlen) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_ctx(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (!ctx)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

static int64_t end_of(const X509 *x)
{
    struct tm tm = {0};

    return ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* The first certificate is the server's, the others lead to its CA. */
static bool use_certificates(SSL_CTX *ctx, const char *pem, int64_t *ret_expires_s)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    bool ok = x && SSL_CTX_use_certificate(ctx, x) == 1;

    if (ok)
        *ret_expires_s = end_of(x);
    X509_free(x);
    while (ok && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
        if (SSL_CTX_add0_chain_cert(ctx, x) != 1) {
            X509_free(x);
            ok = false;
        }
    if (ok)
        ERR_clear_error(); /* "no more certificates" */
    BIO_free(bio);
    return ok;
}

static bool use_key(SSL_CTX *ctx, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    bool ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;

    EVP_PKEY_free(key);
    BIO_free(bio);
    return ok;
}

/* A client need not show a certificate; one that it shows must hold. */
static bool use_client_ca(SSL_CTX *ctx, const char *path)
{
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);

    if (!names || SSL_CTX_load_verify_file(ctx, path) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return false;
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return true;
}

/* Every list of the file; a certificate of whose CA there is none is rejected, too. */
static bool use_client_crl(SSL_CTX *ctx, const char *path)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *bio = BIO_new_file(path, "r");
    X509_CRL *crl;
    int n = 0;
    bool ok = bio != NULL;

    while (ok && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
        ok = X509_STORE_add_crl(store, crl) == 1;
        X509_CRL_free(crl);
        n++;
    }
    ok = ok && n > 0 && X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1;
    if (ok)
        ERR_clear_error(); /* "no more lists" */
    BIO_free(bio);
    return ok;
}

static int make_ctx(struct tls_context *c, const char *key, const char *certificate,
                    SSL_CTX **ret_ctx, int64_t *ret_expires_s, struct err *err)
{
    const char *client_ca = c->paths[2], *client_crl = c->paths[3];
    SSL_CTX *ctx = new_ctx();
    int64_t expires_s = 0;
    int rc = 0;

    if (!ctx)
        return broken("TLS cannot be set up", err);
    if (!use_certificates(ctx, certificate, &expires_s))
        rc = broken("the server's certificate is not a certificate in PEM", err);
    else if (!use_key(ctx, key))
        rc = broken("the server's key is not the key of its certificate", err);
    else if (client_ca && !use_client_ca(ctx, client_ca))
        rc = broken("the CA of clients holds no certificate in PEM", err);
    else if (client_crl && !use_client_crl(ctx, client_crl))
        rc = broken("--client-crl names no file with a list of revoked certificates in PEM", err);
    if (rc < 0) {
        SSL_CTX_free(ctx);
        return rc;
    }
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, c);
    *ret_ctx = ctx;
    *ret_expires_s = expires_s;
    return 0;
}

static int check_private(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_errno(err, "%s: cannot be examined", path);
    if (st.st_mode & 077)
        return err_set(err, ERR_INVALID, "%s: others can read this key: run `chmod 600 %s`", path,
                       path);
    return 0;
}

static int load(struct tls_context *c, SSL_CTX **ret_ctx, int64_t *ret_expires_s, struct err *err)
{
    char *certificate = NULL, *key = NULL;
    size_t len;
    int rc = check_private(c->paths[1], err);

    if (rc == 0)
        rc = file_read(c->paths[0], FILE_SMALL_MAX, &certificate, &len, err);
    if (rc == 0)
        rc = file_read(c->paths[1], FILE_SMALL_MAX, &key, &len, err);
    if (rc == 0) {
        rc = make_ctx(c, key, certificate, ret_ctx, ret_expires_s, err);
        if (rc < 0)
            rc = err_prefix(err, "%s", c->paths[0]);
    }
    if (key)
        OPENSSL_cleanse(key, len);
    free(certificate);
    free(key);
    return rc;
}

static void look(const struct tls_context *c, struct file_version versions[FILES])
{
    int i;

    for (i = 0; i < FILES; i++)
        versions[i] = c->paths[i] ? file_version_of(c->paths[i]) : (struct file_version){0};
}

int tls_context_open(const struct tls_files *files, struct tls_context **ret_context,
                     struct err *err)
{
    struct tls_context *c = calloc(1, sizeof(*c));
    int rc = 0;

    if (!c)
        return err_nomem(err, sizeof(*c));
    c->protocol = files->protocol;
    c->paths[0] = strdup(files->certificate);
    c->paths[1] = strdup(files->key);
    c->paths[2] = files->client_ca ? strdup(files->client_ca) : NULL;
    c->paths[3] = files->client_crl ? strdup(files->client_crl) : NULL;
    if (!c->paths[0] || !c->paths[1] || (files->client_ca && !c->paths[2]) ||
        (files->client_crl && !c->paths[3]))
        rc = err_nomem(err, strlen(files->certificate));
    look(c, c->versions);
    if (rc == 0)
        rc = load(c, &c->ctx, &c->expires_s, err);
    if (rc < 0) {
        tls_context_close(c);
        return rc;
    }
    *ret_context = c;
    return 0;
}

int tls_context_from_pem(const char *key, const char *certificate, struct tls_context **ret_context,
                         struct err *err)
{
    struct tls_context *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return err_nomem(err, sizeof(*c));
    rc = make_ctx(c, key, certificate, &c->ctx, &c->expires_s, err);
    if (rc < 0) {
        tls_context_close(c);
        return rc;
    }
    *ret_context = c;
    return 0;
}

int tls_context_refresh(struct tls_context *c, struct err *err)
{
    struct file_version now[FILES];
    SSL_CTX *ctx = NULL;
    bool same = true;
    int rc, i;

    look(c, now);
    for (i = 0; i < FILES; i++)
        same = same && file_version_equal(&now[i], &c->versions[i]);
    if (same)
        return 0;
    memcpy(c->versions, now, sizeof(now));
    rc = load(c, &ctx, &c->expires_s, err);
    if (rc < 0)
        return rc;
    SSL_CTX_free(c->ctx); /* open connections have a reference each */
    c->ctx = ctx;
    return 1;
}

int64_t tls_context_expires_s(const struct tls_context *c)
{
    return c->expires_s;
}

static bool has_fingerprint(X509 *x, const char *fingerprint)
{
    char found[CERTIFICATE_FINGERPRINT_SIZE], *pem = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    bool yes = bio && PEM_write_bio_X509(bio, x) == 1 && BIO_write(bio, "", 1) == 1 &&
               BIO_get_mem_data(bio, &pem) > 0 && certificate_fingerprint(pem, found, NULL) == 0 &&
               certificate_is_fingerprint(fingerprint, found);

    BIO_free(bio);
    return yes;
}

bool tls_context_shows(const struct tls_context *c, const char *fingerprint)
{
    STACK_OF(X509) *chain = NULL;
    X509 *own = SSL_CTX_get0_certificate(c->ctx);
    bool yes = own && has_fingerprint(own, fingerprint);
    int i;

    SSL_CTX_get0_chain_certs(c->ctx, &chain);
    for (i = 0; !yes && i < sk_X509_num(chain); i++)
        yes = has_fingerprint(sk_X509_value(chain, i), fingerprint);
    return yes;
}

void tls_context_close(struct tls_context *c)
{
    int i;

    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    for (i = 0; i < FILES; i++)
        free(c->paths[i]);
    free(c);
}

/* ---- a connection ---- */

int tls_open(struct tls_context *c, struct tls **ret_tls, struct err *err)
{
    struct tls *t = calloc(1, sizeof(*t));

    if (!t)
        return err_nomem(err, sizeof(*t));
    t->ssl = SSL_new(c->ctx);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (!t->ssl || !t->in || !t->out) {
        BIO_free(t->in);
        BIO_free(t->out);
        SSL_free(t->ssl);
        free(t);
        return err_nomem(err, sizeof(*t));
    }
    SSL_set_bio(t->ssl, t->in, t->out);
    SSL_set_accept_state(t->ssl);
    *ret_tls = t;
    return 0;
}

void tls_close(struct tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    free(t);
}

int tls_feed(struct tls *t, const void *bytes, size_t len)
{
    return BIO_write(t->in, bytes, (int)len) == (int)len ? 0 : TLS_BROKEN;
}

int tls_read(struct tls *t, void *to, size_t size)
{
    int n, why;

    ERR_clear_error();
    n = SSL_read(t->ssl, to, (int)size);
    if (n > 0)
        return n;
    why = SSL_get_error(t->ssl, n);
    ERR_clear_error();
    if (why == SSL_ERROR_WANT_READ)
        return TLS_WANTS_MORE;
    return why == SSL_ERROR_ZERO_RETURN ? TLS_END : TLS_BROKEN;
}

bool tls_is_ready(const struct tls *t)
{
    return SSL_is_init_finished(t->ssl);
}

bool tls_write(struct tls *t, const void *bytes, size_t len)
{
    const char *at = bytes;
    int n = 1;

    ERR_clear_error();
    for (; len > 0 && n > 0; at += n, len -= (size_t)n) {
        n = SSL_write(t->ssl, at, (int)len);
        if (n <= 0)
            break;
    }
    ERR_clear_error();
    return n > 0;
}

void tls_finish(struct tls *t)
{
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}

size_t tls_take(struct tls *t, void *to, size_t size)
{
    int n = BIO_read(t->out, to, (int)size);

    return n > 0 ? (size_t)n : 0;
}

size_t tls_pending(const struct tls *t)
{
    return BIO_ctrl_pending(t->out);
}

static bool is_plain(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    return len > 0;
}

void tls_client_name(const struct tls *t, char *ret_name, size_t size)
{
    X509 *x = SSL_get0_peer_certificate(t->ssl);
    X509_NAME *subject = x ? X509_get_subject_name(x) : NULL;
    int at = subject ? X509_NAME_get_index_by_NID(subject, NID_commonName, -1) : -1;
    unsigned char *text = NULL;
    int len = -1;

    ret_name[0] = '\0';
    if (at >= 0 && X509_NAME_get_index_by_NID(subject, NID_commonName, at) < 0) /* the only one */
        len =
            ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (len > 0 && (size_t)len < size && is_plain((char *)text, (size_t)len)) {
        memcpy(ret_name, text, (size_t)len);
        ret_name[len] = '\0';
    }
    OPENSSL_free(text);
}
