/* client/doctor/meeting.c - see meeting.h. Files are written durably, so that a node sees all of a
 * file or nothing. */
#include "client/doctor/meeting.h"
#include "core/file.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RESULTS_MAX = 16 << 20 }; /* those of some thousand ranks */

int meeting_write(const struct meeting *m, const char *name, const void *bytes, size_t len,
                  struct err *err)
{
    char *path = file_join(m->path, name);
    int rc = path ? file_write_durably(path, bytes, len, err) : err_nomem(err, strlen(name));

    free(path);
    return rc;
}

int meeting_create(const char *parent, struct meeting *ret, struct err *err)
{
    char *absolute = realpath(parent, NULL);
    struct meeting m = {0};
    int rc = 0;

    if (!absolute)
        return err_errno(err, "%s", parent);
    m.path = file_join(absolute, ".dash-doctor-XXXXXX");
    free(absolute);
    if (!m.path)
        return err_nomem(err, strlen(parent));
    if (!mkdtemp(m.path)) {
        rc = err_errno(err, "cannot create a folder in %s", parent);
        free(m.path);
        return rc;
    }
    rc = script_make_mark(m.word, err);
    if (rc == 0)
        rc = meeting_write(&m, "word", m.word, strlen(m.word), err);
    if (rc < 0)
        meeting_remove(&m);
    else
        *ret = m;
    return rc;
}

/* There are no folders in it. */
void meeting_remove(struct meeting *m)
{
    DIR *folder = m->path ? opendir(m->path) : NULL;
    struct dirent *entry;

    while (folder && (entry = readdir(folder)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    if (m->path)
        rmdir(m->path);
    free(m->path);
    m->path = NULL;
}

bool meeting_has(const struct meeting *m, const char *name)
{
    char *path = file_join(m->path, name);
    bool has = path && access(path, F_OK) == 0;

    free(path);
    return has;
}

char *meeting_read(const struct meeting *m, const char *name)
{
    char *path = file_join(m->path, name), *text = NULL;
    struct err ignored;
    size_t len;

    if (!path || file_read(path, RESULTS_MAX, &text, &len, &ignored) < 0)
        text = NULL;
    free(path);
    return text;
}
