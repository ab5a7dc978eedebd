/* daemon/service/sign_in.c - see sign_in.h. Attempts are a queue, of which the first is in the
 * pool. A caller that goes away leaves its attempt there, without a call. */
#include "daemon/service/sign_in.h"
#include "proto/dash.pb-c.h"
#include "proto/munge.h"
#include "proto/sign_in.h"
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WAITING_MAX = 64, REQUEST_BYTES = 4096, GROUPS_MAX = 65536, NAMES_BYTES = 1 << 16 };

struct sign_in {
    uv_loop_t *loop;
    const struct options *options;
    struct auth *auth;
    const struct tls_context *tls;
    struct attempt *first, **last;
    int n;
    bool closed; /* to be freed when the pool is done */
};

struct attempt {
    uv_work_t work;
    struct sign_in *owner;
    struct rpc_call *call; /* NULL: it has gone */
    struct attempt *next;
    char *credential;

    int rc; /* of the pool's */
    struct err err;
    char text[SIGN_IN_TEXT_SIZE];
    uid_t uid;
    bool may;
};

static const char refused_text[] =
    "dashd does not accept this credential of MUNGE: it must be new, be made for this dashd, and "
    "be of dashd's own user, of root or of a member of dashd's group";

/* ---- in the pool ---- */

static bool is_in_group(const char *user, gid_t primary, gid_t group)
{
    gid_t *groups = malloc(GROUPS_MAX * sizeof(*groups));
    int n = GROUPS_MAX, i;
    bool yes = false;

    if (groups && getgrouplist(user, primary, groups, &n) >= 0)
        for (i = 0; i < n && !yes; i++)
            yes = groups[i] == group;
    free(groups);
    return yes;
}

static bool is_member(uid_t uid, gid_t group)
{
    char *names = malloc(NAMES_BYTES);
    struct passwd user, *found = NULL;
    bool yes = names && getpwuid_r(uid, &user, names, NAMES_BYTES, &found) == 0 && found &&
               is_in_group(user.pw_name, user.pw_gid, group);

    free(names);
    return yes;
}

static void examine(uv_work_t *work)
{
    struct attempt *a = work->data;
    const struct options *o = a->owner->options;

    a->rc = munge_read(o->munge_socket, a->credential, a->text, sizeof(a->text), &a->uid, &a->err);
    if (a->rc == 0)
        a->may =
            a->uid == geteuid() || a->uid == 0 || (o->group_name && is_member(a->uid, o->group));
}

/* ---- on the loop ---- */

static const char *why_not(const struct attempt *a)
{
    const char *fingerprint;

    if (a->rc < 0)
        return a->err.text;
    fingerprint = sign_in_fingerprint(a->text);
    if (!fingerprint)
        return "its credential of MUNGE was not made for dashd";
    if (!tls_context_shows(a->owner->tls, fingerprint))
        return "its credential of MUNGE was made for another dashd";
    return a->may ? NULL : "its credential of MUNGE is of a user who may not use this dashd";
}

static void accept_caller(struct attempt *a)
{
    Dash__V1__SignInResponse response = DASH__V1__SIGN_IN_RESPONSE__INIT;
    struct caller caller;
    char token[SESSION_TOKEN_SIZE];

    auth_sign_in(a->owner->auth, a->uid, &caller, token, &response.expires_ms);
    response.token = token;
    response.caller = caller.name;
    response.role = (char *)role_name(caller.role);
    rpc_reply(a->call, &response.base);
    explicit_bzero(token, sizeof(token));
}

static void answer(struct attempt *a)
{
    const char *why;

    if (a->rc < 0 && a->err.code != ERR_DENIED) {
        rpc_fail(a->call, &a->err);
        return;
    }
    why = why_not(a);
    if (why)
        rpc_refuse_caller(a->call, refused_text, why);
    else
        accept_caller(a);
}

static void free_first(struct sign_in *s)
{
    struct attempt *a = s->first;

    s->first = a->next;
    if (!s->first)
        s->last = &s->first;
    s->n--;
    free(a->credential);
    free(a);
}

static void on_examined(uv_work_t *work, int status);

/* Hands the first whose caller is still there to the pool. */
static void examine_first(struct sign_in *s)
{
    struct attempt *a;

    while ((a = s->first)) {
        a->work.data = a;
        if (a->call && uv_queue_work(s->loop, &a->work, examine, on_examined) == 0)
            return;
        if (a->call)
            rpc_finish(a->call, RPC_RESOURCE_EXHAUSTED, "dashd cannot ask MUNGE now");
        free_first(s);
    }
}

static void on_examined(uv_work_t *work, int status)
{
    struct attempt *a = work->data;
    struct sign_in *s = a->owner;

    (void)status;
    if (a->call)
        answer(a);
    free_first(s);
    examine_first(s);
    if (s->closed && !s->first)
        free(s);
}

static void add(struct sign_in *s, struct rpc_call *call, const char *credential)
{
    struct attempt *a = s->n < WAITING_MAX ? calloc(1, sizeof(*a)) : NULL;

    if (a)
        a->credential = strdup(credential);
    if (!a || !a->credential) {
        free(a);
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED,
                   "too many callers sign in at the same time: try again");
        return;
    }
    a->owner = s;
    a->call = call;
    rpc_set_data(call, a);
    *s->last = a;
    s->last = &a->next;
    if (++s->n == 1)
        examine_first(s);
}

static void on_sign_in(struct rpc_call *call, const ProtobufCMessage *message)
{
    struct sign_in *s = rpc_service(call);

    if (!s)
        rpc_finish(call, RPC_FAILED_PRECONDITION,
                   "this address needs no sign-in: it knows its callers without a token");
    else if (!munge_is_built_in())
        rpc_finish(call, RPC_FAILED_PRECONDITION, "this dashd was built without MUNGE");
    else if (!s->options->munge)
        rpc_finish(call, RPC_FAILED_PRECONDITION,
                   "this dashd does not accept MUNGE: it was started without --munge");
    else
        add(s, call, ((const Dash__V1__SignInRequest *)message)->munge_credential);
}

static void on_gone(struct rpc_call *call)
{
    struct attempt *a = rpc_data(call);

    if (a)
        a->call = NULL;
    rpc_finish(call, RPC_UNAVAILABLE, "dashd is shutting down");
}

struct sign_in *sign_in_open(uv_loop_t *loop, const struct options *options, struct auth *auth,
                             const struct tls_context *tls)
{
    struct sign_in *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    *s = (struct sign_in){
        .loop = loop, .options = options, .auth = auth, .tls = tls, .last = &s->first};
    return s;
}

int sign_in_register(struct sign_in *s, struct rpc_server *rpc, struct err *err)
{
    static const struct rpc_method method = {
        .path = "/dash.v1.FineTuning/SignIn",
        .is_open = true,
        .max_bytes = REQUEST_BYTES,
        .request_type = &dash__v1__sign_in_request__descriptor,
        .on_message = on_sign_in,
        .on_gone = on_gone,
    };

    return rpc_add_methods(rpc, &method, 1, s, err);
}

void sign_in_close(struct sign_in *s)
{
    if (s && s->first)
        s->closed = true;
    else
        free(s);
}
