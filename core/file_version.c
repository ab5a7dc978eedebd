/* core/file_version.c - see file_version.h. The time is that of the last change of whatever kind
 * (ctime), which no program can set. */
#include "core/file_version.h"
#include <sys/stat.h>

struct file_version file_version_of(const char *path)
{
    struct file_version v = {0};
    struct stat st;

    if (stat(path, &st) == 0) {
        v.device = st.st_dev;
        v.number = st.st_ino;
        v.size = st.st_size;
        v.changed = st.st_ctim;
    }
    return v;
}

bool file_version_equal(const struct file_version *a, const struct file_version *b)
{
    return a->device == b->device && a->number == b->number && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}
