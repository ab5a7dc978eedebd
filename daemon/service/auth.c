/* daemon/service/auth.c - see auth.h. The file of tokens is looked at for each call (one stat(2)),
 * so that a token that was revoked is refused from then on. While the file cannot be read, nobody
 * is known by it. */
#include "daemon/service/auth.h"
#include "core/clock.h"
#include "core/file_version.h"
#include "core/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { WRITE_USES_MS = 60000 };

struct auth {
    uv_loop_t *loop;
    char *state, *path;
    struct tokens tokens;
    struct session_key session_key;
    struct file_version version;
    bool used; /* since the uses were written */
    uint64_t written_at_ms;
};

static int read_again(struct auth *a, struct err *err)
{
    struct tokens tokens = {0};
    struct file_version version = file_version_of(a->path); /* before it is read */
    int rc;

    if (a->used && tokens_write_uses(a->state, &a->tokens, err) == 0)
        a->used = false;
    rc = tokens_read(a->state, &tokens, err);
    tokens_free(&a->tokens);
    a->version = version;
    if (rc < 0)
        return rc;
    a->tokens = tokens;
    tokens_read_uses(a->state, &a->tokens);
    return 0;
}

static void refresh(struct auth *a)
{
    struct file_version now = file_version_of(a->path);
    struct err err;

    if (file_version_equal(&now, &a->version))
        return;
    if (read_again(a, &err) < 0)
        log_error("%s: until then no token is accepted", err.text);
    else
        log_info("the tokens have changed: there are %d", a->tokens.n);
}

int auth_open(uv_loop_t *loop, const char *state, struct auth **ret_auth, struct err *err)
{
    struct auth *a = calloc(1, sizeof(*a));
    int rc = 0;

    if (!a)
        return err_nomem(err, sizeof(*a));
    a->loop = loop;
    a->state = strdup(state);
    a->path = tokens_path(state);
    if (!a->state || !a->path)
        rc = err_nomem(err, strlen(state));
    if (rc == 0)
        rc = session_key_make(&a->session_key, err);
    if (rc == 0)
        rc = read_again(a, err);
    if (rc < 0) {
        auth_close(a);
        return rc;
    }
    *ret_auth = a;
    return 0;
}

static void write_uses(struct auth *a)
{
    struct err err;

    a->written_at_ms = uv_now(a->loop);
    if (tokens_write_uses(a->state, &a->tokens, &err) < 0)
        log_warn("the last uses of tokens are not written down: %s", err.text);
    else
        a->used = false;
}

void auth_close(struct auth *a)
{
    if (!a)
        return;
    if (a->used)
        write_uses(a);
    tokens_free(&a->tokens);
    free(a->state);
    free(a->path);
    free(a);
}

static int identify_user(unsigned uid, struct caller *ret)
{
    snprintf(ret->name, sizeof(ret->name), "uid:%u", uid);
    ret->role = uid == geteuid() || uid == 0 ? ROLE_ADMIN : ROLE_SUBMIT;
    return 0;
}

static int identify_loopback(struct caller *ret)
{
    strcpy(ret->name, "loopback");
    ret->role = ROLE_ADMIN;
    return 0;
}

static int take_entry(struct auth *a, struct token *entry, struct caller *ret, struct err *err)
{
    if (!entry || token_has_expired(entry, clock_unix_ms()))
        return err_set(err, ERR_DENIED,
                       "dashd does not accept this token or certificate: log in with `dashctl "
                       "login`, with a token that the owner of dashd gives out");
    snprintf(ret->name, sizeof(ret->name), "%s:%s", entry->certificate ? "cert" : "token",
             entry->name);
    ret->role = entry->role;
    ret->by_entry = true;
    strcpy(ret->hash, entry->hash);
    entry->used_ms = clock_unix_ms();
    a->used = true;
    return 0;
}

/* The scheme's letters may be of either case (RFC 9110). */
static const char *secret_of(const char *bearer)
{
    static const char scheme[] = "Bearer ";

    return strncasecmp(bearer, scheme, strlen(scheme)) == 0 ? bearer + strlen(scheme) : "";
}

int auth_identify(struct auth *a, const struct peer *peer, const char *bearer, struct caller *ret,
                  struct err *err)
{
    char hash[TOKEN_HASH_SIZE];
    unsigned uid;

    *ret = (struct caller){0};
    if (peer->kind == PEER_UNIX)
        return identify_user(peer->uid, ret);
    if (peer->kind == PEER_TCP)
        return identify_loopback(ret);
    if (bearer && session_token_read(&a->session_key, secret_of(bearer), clock_unix_ms(), &uid,
                                     &ret->expires_ms))
        return identify_user(uid, ret);
    refresh(a);
    if (bearer) {
        tokens_hash(secret_of(bearer), hash);
        return take_entry(a, tokens_find_hash(&a->tokens, hash), ret, err);
    }
    if (peer->certificate[0])
        return take_entry(a, tokens_find_certificate(&a->tokens, peer->certificate), ret, err);
    return err_set(err, ERR_DENIED,
                   "this address of dashd needs a token: log in with `dashctl login`");
}

void auth_sign_in(struct auth *a, unsigned uid, struct caller *ret,
                  char ret_token[SESSION_TOKEN_SIZE], int64_t *ret_expires_ms)
{
    *ret = (struct caller){0};
    identify_user(uid, ret);
    ret->expires_ms = clock_unix_ms() + (int64_t)SESSION_TOKEN_S * 1000;
    *ret_expires_ms = ret->expires_ms;
    session_token_make(&a->session_key, uid, *ret_expires_ms, ret_token);
}

int auth_check_role(const struct caller *caller, enum role needed, struct err *err)
{
    if (caller->role >= needed)
        return 0;
    return err_set(err, ERR_DENIED, "this needs the role %s, and %s has the role %s",
                   role_name(needed), caller->name, role_name(caller->role));
}

bool auth_still_holds(struct auth *a, const struct caller *caller)
{
    const struct token *entry;

    if (!caller->by_entry)
        return !caller->expires_ms || clock_unix_ms() < caller->expires_ms;
    refresh(a);
    entry = caller->hash[0] ? tokens_find_hash(&a->tokens, caller->hash)
                            : tokens_find_certificate(&a->tokens, strchr(caller->name, ':') + 1);
    return entry && entry->role == caller->role && !token_has_expired(entry, clock_unix_ms());
}

void auth_tick(struct auth *a)
{
    refresh(a);
    if (a->used && uv_now(a->loop) - a->written_at_ms >= WRITE_USES_MS)
        write_uses(a);
}
