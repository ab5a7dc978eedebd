/* client/export_target.c - see export_target.h. What is replaced is removed, so a folder must look
 * like one that was exported: a mistyped --out may name anything. */
#include "client/export_target.h"
#include "core/file.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int export_absolute(const char *path, char ret[PATH_MAX], struct err *err)
{
    size_t len = strlen(path);
    char *trimmed = strdup(path), *name, *beside;
    int rc = 0;

    if (!trimmed)
        return err_nomem(err, len);
    while (len > 1 && trimmed[len - 1] == '/')
        trimmed[--len] = '\0';
    if (realpath(trimmed, ret)) {
        free(trimmed);
        return 0;
    }
    name = strrchr(trimmed, '/') ? strrchr(trimmed, '/') + 1 : trimmed;
    beside = file_beside(trimmed, "");
    if (!beside)
        rc = err_nomem(err, len);
    else if (!realpath(beside, ret))
        rc = err_errno(err, "%s: its folder cannot be opened", path);
    else if (strlen(ret) + strlen(name) + 2 > PATH_MAX)
        rc = err_set(err, ERR_INVALID, "%s: the path is too long", path);
    else
        strcat(strcat(ret, strcmp(ret, "/") == 0 ? "" : "/"), name);
    free(beside);
    free(trimmed);
    return rc;
}

/* Whether b is a, or lies in it. Both are absolute. */
static bool holds(const char *a, const char *b)
{
    size_t len = strlen(a);

    return strncmp(a, b, len) == 0 && (b[len] == '\0' || b[len] == '/' || a[len - 1] == '/');
}

static int check_inputs(const char *path, const char *const *inputs, int n, struct err *err)
{
    char target[PATH_MAX], input[PATH_MAX];
    int rc = export_absolute(path, target, err);

    for (int i = 0; rc == 0 && i < n; i++)
        if (inputs[i] && realpath(inputs[i], input) && holds(target, input))
            rc =
                err_set(err, ERR_INVALID, "%s is, or holds, %s, which is read: choose another path",
                        path, inputs[i]);
    return rc;
}

static bool may_be_below(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
           strcmp(name, "additional_chat_templates") == 0 || strcmp(name, "chat_templates") == 0;
}

static bool is_regular(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    struct stat st;
    bool yes = path && lstat(path, &st) == 0 && S_ISREG(st.st_mode);

    free(path);
    return yes;
}

/* Files alone, with the one by which a model or an adapter is known; or nothing. */
static int check_folder(const char *path, struct err *err)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    bool empty = true, marked, plain = true;

    if (!dir)
        return err_errno(err, "%s: the folder cannot be read", path);
    marked = is_regular(path, "config.json") || is_regular(path, "adapter_config.json");
    while (plain && (entry = readdir(dir))) {
        if (may_be_below(entry->d_name))
            continue;
        empty = false;
        plain = is_regular(path, entry->d_name);
    }
    closedir(dir);
    if (empty || (marked && plain))
        return 0;
    return err_set(err, ERR_INVALID,
                   "%s is not a folder that an export has written: --force does not replace it",
                   path);
}

int export_check_target(const char *path, bool folder, bool force, const char *const *inputs, int n,
                        struct err *err)
{
    struct stat st;
    int rc = check_inputs(path, inputs, n, err);

    if (rc < 0)
        return rc;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_errno(err, "%s: cannot be examined", path);
    if (!force)
        return err_set(err, ERR_INVALID, "%s is there already: --force replaces it", path);
    if (folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a %s: --force does not replace it", path,
                       folder ? "folder" : "regular file");
    return folder ? check_folder(path, err) : 0;
}
