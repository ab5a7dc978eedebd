/* daemon/service/certificate_make.c - see certificate_make.h. A certificate is filled in, field by
 * field, and signed last: either by its own key or by the CA's. Its start lies an hour back, since
 * clocks of a cluster differ. */
#include "daemon/service/certificate_make.h"
#include "core/buf.h"
#include "proto/openssl.h"
#include <arpa/inet.h>
#include <string.h>

enum { SERIAL_BYTES = 16, HOUR_S = 3600, DAY_S = 86400 };

/* What is under way; everything is freed together. */
struct making {
    EVP_PKEY *key, *ca_key;
    X509 *certificate, *ca;
};

static int failed(const char *what, struct err *err)
{
    char why[200];

    ERR_error_string_n(ERR_get_error(), why, sizeof(why));
    ERR_clear_error();
    return err_set(err, ERR_INTERNAL, "%s: %s", what, why);
}

static bool read_ca(struct making *m, const char *pem)
{
    BIO *key = BIO_new_mem_buf(pem, -1), *certificate = BIO_new_mem_buf(pem, -1);

    if (key && certificate) {
        m->ca_key = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
        m->ca = PEM_read_bio_X509(certificate, NULL, NULL, NULL);
    }
    BIO_free(key);
    BIO_free(certificate);
    return m->ca_key && m->ca && X509_check_private_key(m->ca, m->ca_key) == 1;
}

static bool set_serial(X509 *x)
{
    unsigned char bytes[SERIAL_BYTES];
    BIGNUM *number = NULL;
    bool ok = RAND_bytes(bytes, sizeof(bytes)) == 1;

    bytes[0] &= 0x7f; /* positive */
    if (ok)
        number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x));
    BN_free(number);
    return ok;
}

static bool add_extension(const struct making *m, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool ok;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, m->ca ? m->ca : m->certificate, m->certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ok = extension && X509_add_ext(m->certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool add_hosts(const struct making *m, const struct certificate_spec *spec)
{
    struct buf names = {0};
    bool ok;
    int i;

    for (i = 0; i < spec->n_hosts; i++)
        buf_printf(&names, "%s%s:%s", i ? "," : "", is_address(spec->hosts[i]) ? "IP" : "DNS",
                   spec->hosts[i]);
    ok = !names.failed && (!spec->n_hosts || add_extension(m, NID_subject_alt_name, names.data));
    buf_free(&names);
    return ok;
}

static bool add_extensions(const struct making *m, const struct certificate_spec *spec)
{
    return add_extension(m, NID_basic_constraints,
                         spec->is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") &&
           add_extension(m, NID_key_usage,
                         spec->is_ca ? "critical,keyCertSign,cRLSign"
                                     : "critical,digitalSignature") &&
           (spec->is_ca || add_extension(m, NID_ext_key_usage, "serverAuth")) &&
           add_extension(m, NID_subject_key_identifier, "hash") &&
           (!m->ca || add_extension(m, NID_authority_key_identifier, "keyid")) &&
           add_hosts(m, spec);
}

static bool set_name(X509_NAME *name, const char *text)
{
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)text, -1, -1, 0) == 1;
}

static bool fill(struct making *m, const struct certificate_spec *spec)
{
    X509 *x = m->certificate = X509_new();

    return x && X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
           X509_gmtime_adj(X509_getm_notBefore(x), -HOUR_S) &&
           X509_gmtime_adj(X509_getm_notAfter(x), (long)spec->days * DAY_S) &&
           set_name(X509_get_subject_name(x), spec->name) &&
           X509_set_issuer_name(x, X509_get_subject_name(m->ca ? m->ca : x)) == 1 &&
           X509_set_pubkey(x, m->key) == 1 && add_extensions(m, spec) &&
           X509_sign(x, m->ca ? m->ca_key : m->key, EVP_sha256()) > 0;
}

static char *text_of(BIO *bio)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);

    return len > 0 ? strndup(bytes, (size_t)len) : NULL;
}

static int give(const struct making *m, char **ret_key, char **ret_certificate, struct err *err)
{
    BIO *key = BIO_new(BIO_s_mem()), *certificate = BIO_new(BIO_s_mem());
    char *key_text = NULL, *certificate_text = NULL;

    if (key && certificate &&
        PEM_write_bio_PrivateKey(key, m->key, NULL, NULL, 0, NULL, NULL) == 1 &&
        PEM_write_bio_X509(certificate, m->certificate) == 1) {
        key_text = text_of(key);
        certificate_text = text_of(certificate);
    }
    BIO_free(key);
    BIO_free(certificate);
    if (!key_text || !certificate_text) {
        free(key_text);
        free(certificate_text);
        return err_nomem(err, 4096);
    }
    *ret_key = key_text;
    *ret_certificate = certificate_text;
    return 0;
}

int certificate_make(const struct certificate_spec *spec, const char *ca, char **ret_key,
                     char **ret_certificate, struct err *err)
{
    struct making m = {0};
    int rc = 0;

    if (ca && !read_ca(&m, ca))
        rc = failed("the CA's key and certificate cannot be used", err);
    if (rc == 0 && !(m.key = EVP_EC_gen("P-256")))
        rc = failed("a key cannot be made", err);
    if (rc == 0 && !fill(&m, spec))
        rc = failed("a certificate cannot be made", err);
    if (rc == 0)
        rc = give(&m, ret_key, ret_certificate, err);
    EVP_PKEY_free(m.key);
    EVP_PKEY_free(m.ca_key);
    X509_free(m.certificate);
    X509_free(m.ca);
    return rc;
}
