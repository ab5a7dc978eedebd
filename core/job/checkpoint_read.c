/* core/job/checkpoint_read.c - see checkpoint_read.h. A checkpoint's name is its step; anything
 * else in the folder is passed over. */
#include "core/job/checkpoint_read.h"
#include "core/file.h"
#include "core/job/checkpoint_name.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int falling(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

char *checkpoint_path(const char *folder, int step)
{
    char name[CHECKPOINT_NAME_BYTES];

    checkpoint_name(step, name);
    return file_join(folder, name);
}

static int add_step(struct checkpoint_list *l, int step, struct err *err)
{
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 16;
        int *bigger = realloc(l->steps, (size_t)cap * sizeof(*bigger));
        if (!bigger)
            return err_nomem(err, (size_t)cap * sizeof(*bigger));
        l->steps = bigger;
        l->cap = cap;
    }
    l->steps[l->n++] = step;
    return 0;
}

/* A folder that is not there yet holds none. The caller frees ret->steps. */
int checkpoint_list(const char *folder, struct checkpoint_list *ret, struct err *err)
{
    struct checkpoint_list l = {0};
    DIR *d = opendir(folder);
    struct dirent *e;
    int rc = 0;

    *ret = l;
    if (!d)
        return errno == ENOENT ? 0 : err_errno(err, "%s: the folder cannot be opened", folder);
    while (rc == 0) {
        errno = 0;
        e = readdir(d);
        if (!e)
            break;
        if (checkpoint_name_step(e->d_name) >= 0)
            rc = add_step(&l, checkpoint_name_step(e->d_name), err);
    }
    if (rc == 0 && errno)
        rc = err_errno(err, "%s: the folder cannot be read", folder);
    closedir(d);
    if (rc < 0) {
        free(l.steps);
        return rc;
    }
    if (l.n > 0)
        qsort(l.steps, (size_t)l.n, sizeof(l.steps[0]), falling);
    *ret = l;
    return 0;
}

/* Neither follows a link nor waits for a pipe, nor reads what is far too long. */
static int read_checkpoint(const char *path, const struct trainable *layout, char **ret,
                           size_t *ret_len, struct err *err)
{
    int64_t size = 0;
    int fd = -1, rc = file_open_no_link(path, &fd, &size, err);

    if (rc < 0)
        return rc;
    if (!state_size_is_plausible(layout, (size_t)size))
        rc = err_set(err, ERR_INVALID,
                     "%s has %lld bytes, which is not the size of this job's checkpoints: it is "
                     "damaged, or one of "
                     "another job (its settings differ)",
                     path, (long long)size);
    else
        rc = file_read_at(fd, 0, path, (size_t)size, ret, ret_len, err);
    close(fd);
    if (rc == 0 && *ret_len < (size_t)size) {
        free(*ret);
        *ret = NULL;
        rc = err_set(err, ERR_IO, "%s: became shorter while it was read", path);
    }
    return rc;
}

int checkpoint_load_step(const char *folder, int step, struct state *s,
                         const struct state_identity *identity, struct err *err)
{
    char *path = checkpoint_path(folder, step), *bytes = NULL;
    size_t len = 0;
    int rc;

    if (!path)
        return err_nomem(err, strlen(folder));
    rc = read_checkpoint(path, s->layout, &bytes, &len, err);
    if (rc == 0)
        rc = state_decode(s, identity, step, bytes, len, path, err);
    free(bytes);
    free(path);
    return rc;
}

int checkpoint_load(const char *folder, struct state *s, const struct state_identity *identity,
                    bool *ret_found, struct buf *notices, struct err *err)
{
    struct checkpoint_list l;
    int i, rc = checkpoint_list(folder, &l, err);

    if (rc < 0)
        return rc;
    for (i = 0; i < l.n; i++) {
        rc = checkpoint_load_step(folder, l.steps[i], s, identity, err);
        if (rc != ERR_INVALID && rc != ERR_IO)
            break;
        buf_printf(notices, "%s; %s\n", err->text,
                   i + 1 < l.n ? "the previous checkpoint is used" : "no other is left");
    }
    free(l.steps);
    if (rc == ERR_INVALID || rc == ERR_IO)
        return err_prefix(err, "no checkpoint in %s can be used; the last one tried", folder);
    if (rc == 0)
        *ret_found = l.n > 0;
    return rc;
}

int checkpoint_load_of_job(const char *output, const struct job *job, bool last,
                           const char *weights, const struct model_config *config,
                           struct trainable *layout, struct state *ret, struct buf *notices,
                           struct err *err)
{
    struct state_identity identity = {
        .steps = job->training.steps ? job->training.steps : INT_MAX, /* epochs decide */
        .prelaunch_steps = job->dash.prelaunch_steps,
    };
    char *folder = file_join(output, "checkpoint");
    bool found = false;
    int best,
        rc = folder ? trainable_of_job(job, config, layout, err) : err_nomem(err, strlen(output));

    snprintf(identity.weights, sizeof(identity.weights), "%s", weights);
    job_identity(job, identity.job);
    if (rc == 0)
        rc = state_open(layout, ret, err);
    if (rc == 0)
        rc = checkpoint_load(folder, ret, &identity, &found, notices, err);
    if (rc == 0 && !found)
        rc = err_set(err, ERR_INVALID, "%s has no checkpoint", folder);
    best = ret->evaluations.best_step;
    if (rc == 0 && !last && job->training.keep_best && best > 0 && best != ret->step)
        rc = checkpoint_load_step(folder, best, ret, &identity, err);
    free(folder);
    return rc;
}
