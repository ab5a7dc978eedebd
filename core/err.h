/* core/err.h - how a function says that it could not do its work.
 *
 * Every function that can fail takes a struct err last and returns 0 or a negative ERR_ code. On
 * failure the text is one sentence a user can act on: what is wrong, where, what to do. Outputs
 * are set only on success. Leaves report and never log.
 */
#pragma once
#include <stddef.h>

enum err_code {
    ERR_INVALID = -1, /* the input is wrong: the user can fix it */
    ERR_IO = -2,      /* the operating system refused: errno is in the text */
    ERR_NOMEM = -3,
    ERR_STATE = -4,       /* not in this state */
    ERR_UNSUPPORTED = -5, /* understood, but this program does not do it */
    ERR_NOT_FOUND = -6,
    ERR_PEER = -7,     /* another process broke the protocol or went away */
    ERR_INTERNAL = -8, /* our own bug, or a library's */
    ERR_DENIED = -9,   /* this caller may not do it, or is not known */
};

struct err {
    int code;
    char text[1000];
};

/* Fills err (which may be NULL) and returns code, so that `return err_set(...)` reads well. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set() with ERR_IO, followed by ": " and the words of errno. */
int err_errno(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ERR_NOMEM with the number of bytes asked for. */
int err_nomem(struct err *err, size_t bytes);

/* Puts words in front of the text that is there: "<words>: <text>". Returns err->code. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#if defined(__clang_analyzer__) && !defined(ERR_DEFINED_HERE)
/* The analyser sees one file at a time: this shows it that what they return is negative. */
static inline int err_negative(int code)
{
    return code < 0 ? code : ERR_INTERNAL;
}
#define err_set(...)    err_negative(err_set(__VA_ARGS__))
#define err_errno(...)  err_negative(err_errno(__VA_ARGS__))
#define err_nomem(...)  err_negative(err_nomem(__VA_ARGS__))
#define err_prefix(...) err_negative(err_prefix(__VA_ARGS__))
#endif
