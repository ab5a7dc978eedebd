/* client/sign_in.h - signing in to dashd by MUNGE, in place of a token that is kept. */
#pragma once
#include "client/logins.h"
#include "proto/channel.h"

/* Makes a credential of MUNGE and calls SignIn; later calls of the channel have the token that it
 * returns. Does nothing where the login is not by MUNGE. */
int sign_in(struct channel *channel, const struct login *l, struct err *err);
