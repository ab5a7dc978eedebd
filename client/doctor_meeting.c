/* client/doctor_meeting.c - see doctor.h: the folder in which dashctl and the ranks of a probe
 * meet. */
#include "client/doctor.h"
#include "core/file.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int doctor_meeting_write(const struct doctor_meeting *m, const char *name, const void *bytes,
                         size_t len, struct err *err)
{
    char *path = file_join(m->path, name);
    int rc = path ? file_write_durably(path, bytes, len, err) : err_nomem(err, strlen(name));

    free(path);
    return rc;
}

int doctor_meeting_make(const char *parent, struct doctor_meeting *ret, struct err *err)
{
    char *absolute = realpath(parent, NULL);
    struct doctor_meeting m = {0};
    int rc = 0;

    if (!absolute)
        return err_errno(err, "%s", parent);
    m.path = file_join(absolute, ".dash-doctor-XXXXXX");
    free(absolute);
    if (!m.path)
        return err_nomem(err, strlen(parent));
    if (!mkdtemp(m.path)) {
        rc = err_errno(err, "no folder can be made in %s", parent);
        free(m.path);
        return rc;
    }
    rc = script_make_mark(m.word, err);
    if (rc == 0)
        rc = doctor_meeting_write(&m, "word", m.word, strlen(m.word), err);
    if (rc < 0)
        doctor_meeting_end(&m);
    else
        *ret = m;
    return rc;
}

/* There are no folders in it. */
void doctor_meeting_end(struct doctor_meeting *m)
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

bool doctor_meeting_has(const struct doctor_meeting *m, const char *name)
{
    char *path = file_join(m->path, name);
    bool has = path && access(path, F_OK) == 0;

    free(path);
    return has;
}

char *doctor_meeting_read(const struct doctor_meeting *m, const char *name)
{
    char *path = file_join(m->path, name), *text = NULL;
    struct err ignored;
    size_t len;

    if (!path || file_read(path, FILE_SMALL_MAX, &text, &len, &ignored) < 0)
        text = NULL;
    free(path);
    return text;
}

json_t *doctor_meeting_ranks(const struct doctor_meeting *m)
{
    char *text = doctor_meeting_read(m, "probe.json");
    json_t *doc = text ? json_loads(text, 0, NULL) : NULL;
    json_t *ranks = json_incref(json_object_get(doc, "ranks"));

    json_decref(doc);
    free(text);
    if (ranks && !json_is_array(ranks)) {
        json_decref(ranks);
        ranks = NULL;
    }
    return ranks;
}

const char *doctor_text(const json_t *rank, const char *key)
{
    const char *text = json_string_value(json_object_get(rank, key));

    return text ? text : "";
}

double doctor_number(const json_t *rank, const char *key)
{
    return json_number_value(json_object_get(rank, key));
}

bool doctor_has(const json_t *rank, const char *key)
{
    const json_t *value = json_object_get(rank, key);

    return value && !json_is_null(value) && !json_is_false(value);
}
