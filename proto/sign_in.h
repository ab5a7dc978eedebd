/* proto/sign_in.h - the text of a MUNGE credential that signs in to dashd.
 *
 *   dash.v1 sign in to SHA256:9F:86:D0:...
 *
 * The fingerprint is that of the certificate by which the client trusts dashd: its CA's, or its
 * own. So a credential made for another service does not sign in, and a dashd that gets one cannot
 * sign in with it to a dashd with another certificate as that user.
 */
#pragma once
#include "core/err.h"
#include "proto/certificate.h"

enum { SIGN_IN_TEXT_SIZE = 32 + CERTIFICATE_FINGERPRINT_SIZE };

/* pem: the certificate. */
int sign_in_text(const char *pem, char ret[SIGN_IN_TEXT_SIZE], struct err *err);
/* The fingerprint in it; NULL where it is another text. */
const char *sign_in_fingerprint(const char *text);
