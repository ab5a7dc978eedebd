/* worker/spectrum_cache.c - see spectrum_cache.h. */
#include "worker/spectrum_cache.h"
#include "core/file.h"
#include "core/job/decomposition.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char SUFFIX[] = ".spectrum";

char *spectrum_cache_path(const struct spectrum_cache *c, const struct weight_rows *W)
{
    uint64_t h[2];
    char *path = NULL;

    if (!c->folder)
        return NULL;
    weight_hash(W, (uint64_t)W->w->columns, h);
    if (asprintf(&path, "%s/%016llx%016llx%s", c->folder, (unsigned long long)h[1],
                 (unsigned long long)h[0], SUFFIX) < 0)
        return NULL;
    return path;
}

static void say_used(const char *path)
{
    utimensat(AT_FDCWD, path, NULL, 0);
}

bool spectrum_cache_find(const char *path, int rows, int columns, struct spectrum *ret)
{
    struct err ignored;

    if (!path || access(path, R_OK) < 0 || spectrum_read(path, rows, columns, ret, &ignored) < 0)
        return false;
    say_used(path);
    return true;
}

bool spectrum_cache_has(const char *path, int rows, int columns)
{
    struct err ignored;

    if (!path || access(path, R_OK) < 0 || spectrum_check(path, rows, columns, &ignored) < 0)
        return false;
    say_used(path);
    return true;
}

struct entry {
    char *path;
    double bytes;
    struct timespec used;
};

struct listing {
    struct entry *of;
    int n, cap;
    double bytes; /* of all */
};

static void listing_free(struct listing *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->of[i].path);
    free(l->of);
}

static void add_entry(struct listing *l, const char *folder, const char *name)
{
    struct stat st;
    char *path = NULL;

    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 64;
        struct entry *of = realloc(l->of, (size_t)cap * sizeof(*of));
        if (!of)
            return;
        l->of = of;
        l->cap = cap;
    }
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
        free(path);
        return;
    }
    l->of[l->n++] = (struct entry){path, (double)st.st_size, st.st_mtim};
    l->bytes += (double)st.st_size;
}

static void list_folder(const char *folder, struct listing *l)
{
    DIR *dir = opendir(folder);
    struct dirent *d;

    while (dir && (d = readdir(dir)))
        if (strstr(d->d_name, SUFFIX)) /* what a job that was killed had half written, too */
            add_entry(l, folder, d->d_name);
    if (dir)
        closedir(dir);
}

static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct entry *)a)->used;
    const struct timespec *y = &((const struct entry *)b)->used;

    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

/* Removes what was not used longest, until the rest and `coming` bytes are within the limit. */
static void make_room(const struct spectrum_cache *c, double coming)
{
    struct listing l = {0};

    list_folder(c->folder, &l);
    if (l.n > 0)
        qsort(l.of, (size_t)l.n, sizeof(*l.of), by_use);
    for (int i = 0; i < l.n && l.bytes + coming > c->max_bytes; i++)
        if (unlink(l.of[i].path) == 0)
            l.bytes -= l.of[i].bytes;
    listing_free(&l);
}

/* -1 where the folder cannot be locked: then two jobs may remove more than they need. */
static int lock_folder(const char *folder)
{
    char *path = file_join(folder, "lock");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

    free(path);
    if (fd >= 0)
        flock(fd, LOCK_EX);
    return fd;
}

double spectrum_cache_put(const struct spectrum_cache *c, const char *path,
                          const struct spectrum *s)
{
    double bytes = decomposition_kept_bytes(s->rows, s->columns);
    struct err ignored;
    bool kept;
    int fd;

    if (s->f)
        bytes += 8.0 * s->p * (s->rows > s->columns ? s->rows : s->columns);
    if (!path || bytes > c->max_bytes)
        return 0;
    fd = lock_folder(c->folder);
    make_room(c, bytes);
    kept = spectrum_write(s, path, &ignored) == 0;
    if (fd >= 0)
        close(fd);
    return kept ? bytes : 0;
}
