/* daemon/service/http/http_form.c - see http_form.h: by libmicrohttpd. */
#include "daemon/service/http/http_form.h"
#include "daemon/service/http/http_impl.h"
#include <stdlib.h>

enum { FORM_BYTES = 64 << 10 };

struct http_form {
    struct MHD_PostProcessor *post;
    http_form_fn *field;
    void *arg;
    bool stopped;
};

static enum MHD_Result on_piece(void *arg, enum MHD_ValueKind kind, const char *field,
                                const char *filename, const char *type, const char *encoding,
                                const char *bytes, uint64_t at, size_t len)
{
    struct http_form *f = arg;

    (void)kind;
    (void)type;
    (void)encoding;
    if (!f->stopped && !f->field(f->arg, field ? field : "", filename, bytes, (size_t)at, len))
        f->stopped = true;
    return f->stopped ? MHD_NO : MHD_YES;
}

struct http_form *http_form_open(struct http_request *r, http_form_fn *field, void *arg)
{
    struct http_form *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->field = field;
    f->arg = arg;
    f->post = MHD_create_post_processor(r->mhd, FORM_BYTES, on_piece, f);
    if (f->post)
        return f;
    free(f);
    return NULL;
}

bool http_form_add(struct http_form *f, const char *bytes, size_t len)
{
    return MHD_post_process(f->post, bytes, len) == MHD_YES && !f->stopped;
}

bool http_form_close(struct http_form *f)
{
    bool whole;

    if (!f)
        return true;
    whole = MHD_destroy_post_processor(f->post) == MHD_YES;
    free(f);
    return whole;
}
