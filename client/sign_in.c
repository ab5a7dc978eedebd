/* client/sign_in.c - see sign_in.h. */
#include "client/sign_in.h"
#include "proto/dash.pb-c.h"
#include "proto/munge.h"
#include "proto/sign_in.h"
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 30 * 1000 };

static int call(struct channel *channel, char *credential, Dash__V1__SignInResponse **ret,
                struct err *err)
{
    Dash__V1__SignInRequest request = DASH__V1__SIGN_IN_REQUEST__INIT;

    request.munge_credential = credential;
    return channel_call(channel, "/dash.v1.FineTuning/SignIn", &request.base,
                        &dash__v1__sign_in_response__descriptor, TIMEOUT_MS,
                        (ProtobufCMessage **)ret, err);
}

int sign_in(struct channel *channel, const struct login *l, struct err *err)
{
    Dash__V1__SignInResponse *response = NULL;
    char text[SIGN_IN_TEXT_SIZE], *credential = NULL;
    int rc;

    if (!l->munge)
        return 0;
    rc = sign_in_text(l->ca, text, err);
    if (rc == 0)
        rc = munge_make(l->munge[0] ? l->munge : NULL, text, &credential, err);
    if (rc == 0)
        rc = call(channel, credential, &response, err);
    if (rc == 0) {
        rc = channel_set_token(channel, response->token, err);
        explicit_bzero(response->token, strlen(response->token));
        dash__v1__sign_in_response__free_unpacked(response, NULL);
    }
    free(credential);
    return rc;
}
