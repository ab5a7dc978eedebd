/* proto/certificate.h - a certificate as a client looks at it (X.509, in PEM). Of a text with
 * several, the first is meant.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>

/* SHA-256 of the certificate: "A1:B2:...", 32 bytes, as `openssl x509 -fingerprint -sha256` writes
 * it. */
enum { CERTIFICATE_FINGERPRINT_SIZE = 3 * 32 };

int certificate_fingerprint(const char *pem, char ret[CERTIFICATE_FINGERPRINT_SIZE],
                            struct err *err);
/* Whether a person's text is this fingerprint: of either case, with or without colons and "SHA256:"
 * in front. */
bool certificate_is_fingerprint(const char *text, const char fingerprint[]);

/* The names and addresses that it is for; NULL-terminated. The caller frees with
 * certificate_free_hosts(). */
int certificate_hosts(const char *pem, char ***ret_hosts, struct err *err);
void certificate_free_hosts(char **hosts); /* NULL-safe */
/* ERR_INVALID, naming what it is for, where it is not for this host. */
int certificate_check_host(const char *pem, const char *host, struct err *err);
