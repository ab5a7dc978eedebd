/* proto/certificate.c - see certificate.h. OpenSSL reads the certificate; a name is compared as
 * clients do it (RFC 6125), by OpenSSL too. */
#include "proto/certificate.h"
#include "core/buf.h"
#include "proto/openssl.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int read_pem(const char *pem, X509 **ret, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

    BIO_free(bio);
    if (!x)
        return err_set(err, ERR_INVALID, "there is no certificate in PEM");
    *ret = x;
    return 0;
}

int certificate_fingerprint(const char *pem, char ret[CERTIFICATE_FINGERPRINT_SIZE],
                            struct err *err)
{
    unsigned char digest[32];
    unsigned int len = 0, i;
    X509 *x = NULL;
    int rc = read_pem(pem, &x, err);

    if (rc < 0)
        return rc;
    if (X509_digest(x, EVP_sha256(), digest, &len) != 1 || len != sizeof(digest))
        rc = err_set(err, ERR_INTERNAL, "the certificate's SHA-256 cannot be computed");
    X509_free(x);
    for (i = 0; rc == 0 && i < len; i++)
        snprintf(ret + (size_t)3 * i, 4, i + 1 < len ? "%02X:" : "%02X", digest[i]);
    return rc;
}

/* The digits alone, of either case; false where there are others, or not as many. */
static bool digits_of(const char *text, char ret[64 + 1])
{
    size_t n = 0;

    for (; *text && n < 64; text++)
        if (isxdigit((unsigned char)*text))
            ret[n++] = (char)toupper((unsigned char)*text);
        else if (*text != ':' && !isspace((unsigned char)*text))
            return false;
    ret[n] = '\0';
    return n == 64 && !text[strspn(text, ": \t\r\n")];
}

bool certificate_is_fingerprint(const char *text, const char fingerprint[])
{
    static const char label[] = "SHA256:";
    char said[64 + 1], wanted[64 + 1];

    if (strncasecmp(text, label, strlen(label)) == 0)
        text += strlen(label);
    return digits_of(text, said) && digits_of(fingerprint, wanted) && strcmp(said, wanted) == 0;
}

static char *text_of(const GENERAL_NAME *name)
{
    char host[INET6_ADDRSTRLEN];
    int len;

    if (name->type == GEN_DNS)
        return strndup((const char *)ASN1_STRING_get0_data(name->d.dNSName),
                       (size_t)ASN1_STRING_length(name->d.dNSName));
    len = ASN1_STRING_length(name->d.iPAddress);
    if (len != 4 && len != 16)
        return NULL;
    inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress), host,
              sizeof(host));
    return strdup(host);
}

int certificate_hosts(const char *pem, char ***ret_hosts, struct err *err)
{
    GENERAL_NAMES *names;
    char **hosts;
    X509 *x = NULL;
    int rc = read_pem(pem, &x, err), n = 0, all, i;

    if (rc < 0)
        return rc;
    names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    all = names ? sk_GENERAL_NAME_num(names) : 0;
    hosts = calloc((size_t)all + 1, sizeof(*hosts));
    for (i = 0; hosts && i < all; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if ((name->type == GEN_DNS || name->type == GEN_IPADD) && (hosts[n] = text_of(name)))
            n++;
    }
    GENERAL_NAMES_free(names);
    X509_free(x);
    if (!hosts)
        return err_nomem(err, (size_t)all * sizeof(*hosts));
    *ret_hosts = hosts;
    return 0;
}

void certificate_free_hosts(char **hosts)
{
    int i;

    for (i = 0; hosts && hosts[i]; i++)
        free(hosts[i]);
    free(hosts);
}

static int refuse_host(const char *pem, const char *host, struct err *err)
{
    char **hosts = NULL;
    struct buf list = {0};
    int rc = certificate_hosts(pem, &hosts, err), i;

    if (rc < 0)
        return rc;
    for (i = 0; hosts[i]; i++)
        buf_printf(&list, "%s%s", i ? ", " : "", hosts[i]);
    rc =
        err_set(err, ERR_INVALID,
                "its certificate is not for %s, but for %s: use one of these, or have the owner of "
                "dashd run `dashd init --renew --name %s`",
                host, list.data && list.len ? list.data : "no name", host);
    buf_free(&list);
    certificate_free_hosts(hosts);
    return rc;
}

int certificate_check_host(const char *pem, const char *host, struct err *err)
{
    X509 *x = NULL;
    int rc = read_pem(pem, &x, err), fits;

    if (rc < 0)
        return rc;
    fits = X509_check_ip_asc(x, host, 0) == 1 || X509_check_host(x, host, 0, 0, NULL) == 1;
    X509_free(x);
    return fits ? 0 : refuse_host(pem, host, err);
}
