/* daemon/service/certificate_make.h - keys and certificates (RFC 5280), made by OpenSSL: ECDSA on
 * P-256, signed with SHA-256.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>

struct certificate_spec {
    const char *name;         /* the subject's common name */
    const char *const *hosts; /* names and addresses of the server */
    int n_hosts;
    int days; /* how long it is valid, from an hour ago on */
    bool is_ca;
};

/* ca: PEM of the key and certificate that sign it; NULL: it signs itself. The caller frees *ret_key
 * and *ret_certificate, both PEM. */
int certificate_make(const struct certificate_spec *spec, const char *ca, char **ret_key,
                     char **ret_certificate, struct err *err);
