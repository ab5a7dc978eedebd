/* tests/crash/lie.c - preloaded into one rank of a job, which then lies: it changes a message on
 * its way out, its build, or the model that it sees.
 *
 *   LIE=<who>:TAG:N:CHANGE[,CHANGE...]   in the N-th message (from 1) with this tag; a CHANGE is
 *         FIELD=VALUE    a field of the table below
 *         cut=BYTES, grow=BYTES   at its end
 *         tag=TAG, to=RANK, twice=1
 *   LIE_BUILD=<who>:TEXT                 what it says of its build
 *   LIE_MODEL=<who>:PATH:OTHER           what it opens below PATH lies below OTHER
 *
 * <who> is the program's name with ".RANK". Handles of MPI are passed on as they are, so that mpi.h
 * is not needed.
 */
#include "proto/ranks.h"
#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { I8, I32, F32, F64 };
enum base { BEGIN, MICRO, AFTER_IDS }; /* of the body; its first micro-batch; that one's ids */

struct field {
    const char *name;
    enum base base;
    size_t at;
    enum kind kind;
};

#define OF(text, type, member, kind)                                                               \
    {                                                                                              \
        text "." #member, BEGIN, offsetof(struct type, member), kind                               \
    }

static const struct field fields[] = {
    OF("setup", rank_setup, stage, I32),
    OF("setup", rank_setup, stages, I32),
    OF("setup", rank_setup, replica, I32),
    OF("setup", rank_setup, replicas, I32),
    OF("setup", rank_setup, first_layer, I32),
    OF("setup", rank_setup, last_layer, I32),
    OF("setup", rank_setup, layers_again, I32),
    OF("setup", rank_setup, threads, I32),
    OF("setup", rank_setup, scaling, I32),
    OF("setup", rank_setup, precision, I32),
    {"setup.map_kind", BEGIN, sizeof(struct rank_setup) + offsetof(struct rank_map, kind), I32},
    {"setup.map_rank", BEGIN, sizeof(struct rank_setup) + offsetof(struct rank_map, rank), I32},
    OF("setup", rank_setup, n_maps, I32),
    OF("setup", rank_setup, directions, I32),
    OF("setup", rank_setup, path_len, I32),
    OF("setup", rank_setup, cache_len, I32),
    OF("setup", rank_setup, model.config.n_layers, I32),
    OF("setup", rank_setup, model.weights, I32),
    OF("ready", rank_ready, threads, I32),
    OF("ready", rank_ready, weights_hash, I32),
    OF("step", rank_step, step, I32),
    OF("step", rank_step, n_micro, I32),
    OF("step", rank_step, dash, I8),
    OF("step", rank_step, evaluate, I8),
    OF("step", rank_step, n_params, I32),
    OF("step", rank_step, inv_trained, F64),
    {"step.params", BEGIN, sizeof(struct rank_step), F32},
    {"micro.index", MICRO, offsetof(struct rank_micro, index), I32},
    {"micro.T", MICRO, offsetof(struct rank_micro, T), I32},
    {"micro.n_segments", MICRO, offsetof(struct rank_micro, n_segments), I32},
    {"micro.n_trained", MICRO, offsetof(struct rank_micro, n_trained), I32},
    {"micro.is_tree", MICRO, offsetof(struct rank_micro, is_tree), I32},
    {"micro.ids", MICRO, sizeof(struct rank_micro), I32},
    {"micro.targets", AFTER_IDS, 0, I32},
    OF("gradients", rank_gradients, step, I32),
    OF("gradients", rank_gradients, n_losses, I32),
    OF("gradients", rank_gradients, n_params, I32),
    OF("gradients", rank_gradients, seconds, F64),
    OF("progress", rank_progress, done, I32),
    OF("progress", rank_progress, n, I32),
    OF("progress", rank_progress, seconds_left, F64),
    OF("directions", rank_directions, map, I32),
    OF("directions", rank_directions, k, I32),
    OF("directions", rank_directions, rows, I32),
    OF("directions", rank_directions, columns, I32),
    OF("directions", rank_directions, next_delta, F64),
    {"directions.index", BEGIN, sizeof(struct rank_directions), I32},
    {"error.code", BEGIN, 0, I32},
    {"params", BEGIN, 0, F32},
};

static const struct {
    const char *name;
    int tag;
} tags[] = {
    {"SETUP", RANK_SETUP},
    {"DIRECTIONS", RANK_DIRECTIONS},
    {"STEP", RANK_STEP},
    {"IDENTIFY", RANK_IDENTIFY},
    {"STOP", RANK_STOP},
    {"READY", RANK_READY},
    {"GRADIENTS", RANK_GRADIENTS},
    {"IDENTIFIED", RANK_IDENTIFIED},
    {"ERROR", RANK_ERROR},
    {"ACTIVATION", RANK_ACTIVATION},
    {"BACKWARD", RANK_BACKWARD},
    {"PROGRESS", RANK_PROGRESS},
    {"UNKNOWN", 77},
};

struct message {
    char *bytes;
    size_t len;
    int tag, to;
    bool twice;
};

static void fail(const char *what)
{
    fprintf(stderr, "lie.c: %s\n", what);
    abort();
}

/* "<who>:rest" -> rest, or NULL where it is not for this process. */
static const char *mine(const char *variable)
{
    const char *value = getenv(variable), *rank = getenv("OMPI_COMM_WORLD_RANK");
    char who[100], path[256];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    const char *base;

    if (!value || !rank || n < 0)
        return NULL;
    path[n] = '\0';
    base = strrchr(path, '/') + 1;
    snprintf(who, sizeof(who), "%.40s.%.10s:", base, rank);
    return strncmp(value, who, strlen(who)) == 0 ? value + strlen(who) : NULL;
}

static int tag_of(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
        if (strcmp(tags[i].name, name) == 0)
            return tags[i].tag;
    fail("no such tag");
    return 0;
}

static size_t place(const struct message *m, const struct field *f)
{
    size_t at = f->at;
    struct rank_step step;
    struct rank_micro micro;

    if (f->base == BEGIN)
        return at;
    memcpy(&step, m->bytes, sizeof(step));
    at += sizeof(step) + step.n_params * sizeof(float);
    if (f->base == MICRO)
        return at;
    memcpy(&micro, m->bytes + at, sizeof(micro));
    return at + sizeof(micro) + (size_t)micro.T * sizeof(int32_t);
}

static void set_field(struct message *m, const char *name, const char *value)
{
    int32_t i32 = (int32_t)strtol(value, NULL, 0);
    double f64 = strtod(value, NULL);
    float f32 = (float)f64;
    size_t i, at;

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(fields[i].name, name) != 0)
            continue;
        at = place(m, &fields[i]);
        if (at + 8 > m->len && fields[i].kind == F64)
            fail("the field is not in the message");
        if (fields[i].kind == I8)
            m->bytes[at] = (char)i32;
        else if (fields[i].kind == I32)
            memcpy(m->bytes + at, &i32, sizeof(i32));
        else if (fields[i].kind == F32)
            memcpy(m->bytes + at, &f32, sizeof(f32));
        else
            memcpy(m->bytes + at, &f64, sizeof(f64));
        return;
    }
    fail("no such field");
}

static void change(struct message *m, char *name)
{
    char *value = strchr(name, '=');

    if (!value)
        fail("a change is NAME=VALUE");
    *value++ = '\0';
    if (strcmp(name, "cut") == 0)
        m->len -= (size_t)atol(value);
    else if (strcmp(name, "grow") == 0)
        m->len += (size_t)atol(value);
    else if (strcmp(name, "tag") == 0)
        m->tag = tag_of(value);
    else if (strcmp(name, "to") == 0)
        m->to = atoi(value);
    else if (strcmp(name, "twice") == 0)
        m->twice = true;
    else
        set_field(m, name, value);
}

enum { ROOM = 4096 };

/* A changed copy, which is never freed; false: this message is true. */
static bool lies(const void *bytes, size_t len, int tag, int to, struct message *ret)
{
    static int sent;
    const char *lie = mine("LIE");
    char *copy, *at, *save = NULL;

    copy = lie ? strdup(lie) : NULL;
    at = copy ? strtok_r(copy, ":", &save) : NULL;
    if (!at || tag_of(at) != tag || ++sent != atoi(strtok_r(NULL, ":", &save)))
        return false;
    *ret = (struct message){calloc(1, len + ROOM), len, tag, to, false};
    memcpy(ret->bytes, bytes, len);
    while ((at = strtok_r(NULL, ",", &save)))
        change(ret, at);
    return true;
}

#define REAL(type, name, ...)                                                                      \
    type (*real)(__VA_ARGS__) = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

int MPI_Isend(const void *bytes, int len, void *type, int to, int tag, void *comm, void **request);
int MPI_Isend(const void *bytes, int len, void *type, int to, int tag, void *comm, void **request)
{
    REAL(int, "MPI_Isend", const void *, int, void *, int, int, void *, void **);
    struct message m;
    void *first;

    if (!lies(bytes, (size_t)len, tag, to, &m))
        return real(bytes, len, type, to, tag, comm, request);
    if (m.twice)
        real(m.bytes, (int)m.len, type, m.to, m.tag, comm, &first);
    return real(m.bytes, (int)m.len, type, m.to, m.tag, comm, request);
}

/* The only one of a job: what the ranks say of themselves. The build is the run of 16 hex digits.
 */
int MPI_Allgather(const void *bytes, int len, void *type, void *all, int each, void *all_type,
                  void *comm);
int MPI_Allgather(const void *bytes, int len, void *type, void *all, int each, void *all_type,
                  void *comm)
{
    REAL(int, "MPI_Allgather", const void *, int, void *, void *, int, void *, void *);
    const char *build = mine("LIE_BUILD");
    char copy[ROOM];
    int i, digits = 0;

    if (!build)
        return real(bytes, len, type, all, each, all_type, comm);
    memcpy(copy, bytes, (size_t)len);
    for (i = 0; i < len && digits < 16; i++)
        digits = isxdigit((unsigned char)copy[i]) ? digits + 1 : 0;
    if (digits < 16)
        fail("no build is sent");
    memcpy(copy + i - 16, build, strnlen(build, 16));
    return real(copy, len, type, all, each, all_type, comm);
}

/* ---- another model ---- */

static const char *redirect(const char *path, char *other, size_t size)
{
    const char *lie = mine("LIE_MODEL"), *end = lie ? strchr(lie, ':') : NULL;
    size_t len = end ? (size_t)(end - lie) : 0;

    if (!end || strncmp(path, lie, len) != 0)
        return path;
    snprintf(other, size, "%s%s", end + 1, path + len);
    return other;
}

int open(const char *path, int flags, ...)
{
    REAL(int, "open", const char *, int, ...);
    char other[4096];
    mode_t mode = 0;
    va_list ap;

    va_start(ap, flags);
    if (flags & O_CREAT)
        mode = va_arg(ap, mode_t);
    va_end(ap);
    return real(redirect(path, other, sizeof(other)), flags, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    REAL(FILE *, "fopen", const char *, const char *);
    char other[4096];

    return real(redirect(path, other, sizeof(other)), mode);
}

int stat(const char *path, struct stat *ret)
{
    REAL(int, "stat", const char *, struct stat *);
    char other[4096];

    return real(redirect(path, other, sizeof(other)), ret);
}

int access(const char *path, int mode)
{
    REAL(int, "access", const char *, int);
    char other[4096];

    return real(redirect(path, other, sizeof(other)), mode);
}
