/* core/err.c - see err.h. A text is put together in place and cut at its size: an error needs no
 * memory. */
#define ERR_DEFINED_HERE
#include "core/err.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return code;
    err->code = code;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    return code;
}

int err_errno(struct err *err, const char *fmt, ...)
{
    int saved = errno;
    char why[128];
    size_t used;
    va_list ap;

    if (!err)
        return ERR_IO;
    err->code = ERR_IO;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s",
             strerror_r(saved, why, sizeof(why)));
    return ERR_IO;
}

int err_nomem(struct err *err, size_t bytes)
{
    return err_set(err, ERR_NOMEM, "out of memory: %zu bytes were refused", bytes);
}

int err_prefix(struct err *err, const char *fmt, ...)
{
    struct err old;
    size_t used;
    va_list ap;

    if (!err)
        return ERR_INTERNAL;
    old = *err;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %.900s", old.text);
    return err->code;
}
