/* daemon/service/sign_in.h - SignIn: a user of the cluster proves who it is by a credential of
 * MUNGE, and gets a token (session_token.h).
 *
 * Who may is as at the unix socket: dashd's user and root, and with --group the members of that
 * group. All others learn one sentence, whatever is wrong with the credential; dashd's log has the
 * reason.
 *
 * munged and the directory of users may take long to answer, so both are asked in libuv's pool, for
 * one caller at a time: those who wait leave the pool's other threads free.
 */
#pragma once
#include "daemon/service/auth.h"
#include "daemon/service/options.h"
#include "daemon/service/rpc.h"
#include "daemon/service/tls.h"

struct sign_in;

/* All that is given must outlive it. NULL for lack of memory. */
struct sign_in *sign_in_open(uv_loop_t *loop, const struct options *options, struct auth *auth,
                             const struct tls_context *tls);
/* s NULL: of a server without TLS, whose callers need no token. */
int sign_in_register(struct sign_in *s, struct rpc_server *rpc, struct err *err);
/* NULL-safe; after its servers. The loop runs once more after it, until when the options live. */
void sign_in_close(struct sign_in *s);
