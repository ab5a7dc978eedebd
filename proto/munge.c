/* proto/munge.c - see munge.h. libmunge asks munged by its socket for each credential. */
#include "proto/munge.h"
#ifdef DASH_MUNGE
#include <munge.h>
#endif
#include <stdlib.h>
#include <string.h>

#ifdef DASH_MUNGE

bool munge_is_built_in(void)
{
    return true;
}

static int failed(munge_err_t e, struct err *err)
{
    switch (e) {
    case EMUNGE_BAD_ARG: /* an empty one */
    case EMUNGE_BAD_CRED:
    case EMUNGE_BAD_VERSION:
    case EMUNGE_BAD_CIPHER:
    case EMUNGE_BAD_MAC:
    case EMUNGE_BAD_ZIP:
    case EMUNGE_BAD_REALM:
    case EMUNGE_BAD_LENGTH:
    case EMUNGE_CRED_INVALID:
    case EMUNGE_CRED_EXPIRED:
    case EMUNGE_CRED_REWOUND:
    case EMUNGE_CRED_REPLAYED:
    case EMUNGE_CRED_UNAUTHORIZED:
        return err_set(err, ERR_DENIED, "%s", munge_strerror(e));
    default:
        return err_set(err, ERR_STATE, "MUNGE does not answer: %s. Does munged run here?",
                       munge_strerror(e));
    }
}

/* What went wrong with its socket is in the context's own words. */
static int failed_with(munge_ctx_t ctx, munge_err_t e, struct err *err)
{
    const char *words = munge_ctx_strerror(ctx);

    if (e == EMUNGE_SOCKET && words)
        return err_set(err, ERR_STATE, "MUNGE does not answer: %s", words);
    return failed(e, err);
}

static int open_context(const char *socket, munge_ctx_t *ret_ctx, struct err *err)
{
    munge_ctx_t ctx = munge_ctx_create();
    munge_err_t e = EMUNGE_SUCCESS;

    if (!ctx)
        return err_nomem(err, 1);
    if (socket)
        e = munge_ctx_set(ctx, MUNGE_OPT_SOCKET, socket);
    if (e != EMUNGE_SUCCESS) {
        munge_ctx_destroy(ctx);
        return failed(e, err);
    }
    *ret_ctx = ctx;
    return 0;
}

int munge_make(const char *socket, const char *text, char **ret_credential, struct err *err)
{
    munge_ctx_t ctx = NULL;
    munge_err_t e;
    int rc = open_context(socket, &ctx, err);

    if (rc < 0)
        return rc;
    e = munge_encode(ret_credential, ctx, text, (int)strlen(text));
    if (e != EMUNGE_SUCCESS)
        rc = failed_with(ctx, e, err);
    munge_ctx_destroy(ctx);
    return rc;
}

int munge_read(const char *socket, const char *credential, char *ret_text, size_t size,
               uid_t *ret_uid, struct err *err)
{
    munge_ctx_t ctx = NULL;
    munge_err_t e;
    void *text = NULL;
    int len = 0, rc = open_context(socket, &ctx, err);
    uid_t uid;
    gid_t gid;

    if (rc < 0)
        return rc;
    e = munge_decode(credential, ctx, &text, &len, &uid, &gid);
    if (e != EMUNGE_SUCCESS)
        rc = failed_with(ctx, e, err);
    else if (len < 0 || (size_t)len >= size || (len && memchr(text, '\0', (size_t)len)))
        rc = err_set(err, ERR_DENIED, "Credential with another text");
    munge_ctx_destroy(ctx);
    if (rc == 0) {
        if (len)
            memcpy(ret_text, text, (size_t)len);
        ret_text[len] = '\0';
        *ret_uid = uid;
    }
    free(text);
    return rc;
}

#else

bool munge_is_built_in(void)
{
    return false;
}

static int lacks_munge(struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "this program was built without MUNGE: install libmunge-dev and build it again");
}

int munge_make(const char *socket, const char *text, char **ret_credential, struct err *err)
{
    (void)socket, (void)text, (void)ret_credential;
    return lacks_munge(err);
}

int munge_read(const char *socket, const char *credential, char *ret_text, size_t size,
               uid_t *ret_uid, struct err *err)
{
    (void)socket, (void)credential, (void)ret_text, (void)size, (void)ret_uid;
    return lacks_munge(err);
}

#endif
