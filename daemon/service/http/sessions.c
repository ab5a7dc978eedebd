/* daemon/service/http/sessions.c - see sessions.h. */
#include "daemon/service/http/sessions.h"
#include "core/random.h"
#include "daemon/service/tokens.h"
#include <stdlib.h>
#include <string.h>

enum { CODE_S = 60, CODES_MAX = 64, SHARE = 8 };

struct session {
    char hash[TOKEN_HASH_SIZE]; /* "": none */
    struct caller caller;
    uint64_t used_ms; /* loop time */
};

struct sessions {
    uv_loop_t *loop;
    struct auth *auth;
    struct session items[SESSIONS_MAX], codes[CODES_MAX];
};

struct sessions *sessions_open(uv_loop_t *loop, struct auth *auth)
{
    struct sessions *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->loop = loop;
    s->auth = auth;
    return s;
}

void sessions_close(struct sessions *s)
{
    free(s);
}

/* One that is free, or else the one used longest ago; a caller who has many makes room for their
 * own, and ends nobody else's. */
static struct session *place(struct session *items, int n, const char *name)
{
    struct session *oldest = items, *own = NULL;
    int n_own = 0, i;

    for (i = 0; i < n; i++) {
        if (oldest->hash[0] && (!items[i].hash[0] || items[i].used_ms < oldest->used_ms))
            oldest = &items[i];
        if (!items[i].hash[0] || strcmp(items[i].caller.name, name) != 0)
            continue;
        n_own++;
        if (!own || items[i].used_ms < own->used_ms)
            own = &items[i];
    }
    return n_own >= n / SHARE ? own : oldest;
}

static int add(struct sessions *s, struct session *items, int n, const struct caller *caller,
               char ret_id[SESSION_ID_SIZE], struct err *err)
{
    struct session *item = place(items, n, caller->name);
    int rc = random_hex(ret_id, (SESSION_ID_SIZE - 1) / 2, err);

    if (rc < 0)
        return rc;
    tokens_hash(ret_id, item->hash);
    item->caller = *caller;
    item->used_ms = uv_now(s->loop);
    return 0;
}

/* Names of SHA-256 are compared, of which nobody can choose one: their time gives nothing away. */
static struct session *find(struct sessions *s, struct session *items, int n, const char *id,
                            uint64_t lives_s)
{
    char hash[TOKEN_HASH_SIZE];
    int i;

    tokens_hash(id, hash);
    for (i = 0; i < n; i++) {
        if (!items[i].hash[0] || strcmp(items[i].hash, hash) != 0)
            continue;
        if (uv_now(s->loop) - items[i].used_ms < lives_s * 1000 &&
            auth_still_holds(s->auth, &items[i].caller))
            return &items[i];
        items[i] = (struct session){0};
    }
    return NULL;
}

int sessions_add(struct sessions *s, const struct caller *caller, char ret_id[SESSION_ID_SIZE],
                 struct err *err)
{
    return add(s, s->items, SESSIONS_MAX, caller, ret_id, err);
}

int sessions_add_code(struct sessions *s, const struct caller *caller,
                      char ret_code[SESSION_ID_SIZE], struct err *err)
{
    return add(s, s->codes, CODES_MAX, caller, ret_code, err);
}

bool sessions_find(struct sessions *s, const char *id, struct caller *ret)
{
    struct session *found = find(s, s->items, SESSIONS_MAX, id, SESSION_IDLE_S);

    if (!found)
        return false;
    found->used_ms = uv_now(s->loop);
    *ret = found->caller;
    return true;
}

bool sessions_take_code(struct sessions *s, const char *code, struct caller *ret)
{
    struct session *found = find(s, s->codes, CODES_MAX, code, CODE_S);

    if (!found)
        return false;
    *ret = found->caller;
    *found = (struct session){0};
    return true;
}

void sessions_remove(struct sessions *s, const char *id)
{
    struct session *found = find(s, s->items, SESSIONS_MAX, id, SESSION_IDLE_S);

    if (found)
        *found = (struct session){0};
}
