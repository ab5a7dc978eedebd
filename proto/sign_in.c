/* proto/sign_in.c - see sign_in.h. */
#include "proto/sign_in.h"
#include <stdio.h>
#include <string.h>

static const char start[] = "dash.v1 sign in to SHA256:";

int sign_in_text(const char *pem, char ret[SIGN_IN_TEXT_SIZE], struct err *err)
{
    char fingerprint[CERTIFICATE_FINGERPRINT_SIZE];
    int rc = certificate_fingerprint(pem, fingerprint, err);

    if (rc == 0)
        snprintf(ret, SIGN_IN_TEXT_SIZE, "%s%s", start, fingerprint);
    return rc;
}

const char *sign_in_fingerprint(const char *text)
{
    return strncmp(text, start, strlen(start)) == 0 ? text + strlen(start) : NULL;
}
