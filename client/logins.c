/* client/logins.c - see logins.h. A change writes the whole file anew, under a lock. */
#include "client/logins.h"
#include "core/file.h"
#include "core/json_file.h"
#include "core/paths.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_WAIT_MS = 5000 };

static void erase(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void login_free(struct login *l)
{
    free(l->address);
    free(l->ca);
    free(l->certificate);
    free(l->munge);
    erase(l->token);
    erase(l->key);
    *l = (struct login){0};
}

static int check_private(const char *path, const char *mode, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_errno(err, "%s: cannot be examined", path);
    if (st.st_uid != geteuid())
        return err_set(err, ERR_INVALID, "%s: belongs to another user (uid %ld)", path,
                       (long)st.st_uid);
    if (st.st_mode & 077)
        return err_set(err, ERR_INVALID,
                       "%s: holds tokens, and others can read it: run `chmod %s %s`", path, mode,
                       path);
    return 0;
}

/* {} where none is there. */
static int read_all(const char *folder, const char *path, json_t **ret_all, struct err *err)
{
    int rc = check_private(folder, "700", err);

    if (rc == 0)
        rc = check_private(path, "600", err);
    if (rc < 0)
        return rc;
    if (access(path, F_OK) == 0)
        return json_file_read_no_link(path, FILE_SMALL_MAX, ret_all, err);
    *ret_all = json_object();
    return *ret_all ? 0 : err_nomem(err, sizeof(**ret_all));
}

static int find_paths(char **ret_folder, char **ret_path, struct err *err)
{
    char *folder = NULL, *path;
    int rc = paths_config(&folder, err);

    if (rc < 0)
        return rc;
    path = file_join(folder, "servers.json");
    if (!path) {
        free(folder);
        return err_nomem(err, strlen("servers.json"));
    }
    *ret_folder = folder;
    *ret_path = path;
    return 0;
}

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static int take(const json_t *entry, const char *address, const char *path, struct login *ret,
                struct err *err)
{
    const char *ca = json_string_value(json_object_get(entry, "ca"));
    const char *token = json_string_value(json_object_get(entry, "token"));
    const char *certificate = json_string_value(json_object_get(entry, "certificate"));
    const char *key = json_string_value(json_object_get(entry, "key"));
    const char *munge = json_string_value(json_object_get(entry, "munge"));

    if (!ca || !certificate != !key || (!token && !key && !munge))
        return err_set(err, ERR_INVALID,
                       "%s: the entry of %s lacks a CA, or a token, a certificate with its key or "
                       "MUNGE",
                       path, address);
    *ret = (struct login){strdup(address),   strdup(ca), copy(token),
                          copy(certificate), copy(key),  copy(munge)};
    if (ret->address && ret->ca && !ret->token == !token && !ret->certificate == !certificate &&
        !ret->key == !key && !ret->munge == !munge)
        return 0;
    login_free(ret);
    return err_nomem(err, strlen(ca));
}

int login_find(const char *address, struct login *ret, struct err *err)
{
    char *folder = NULL, *path = NULL;
    json_t *all = NULL, *entry;
    int rc = find_paths(&folder, &path, err);

    if (rc == 0)
        rc = read_all(folder, path, &all, err);
    if (rc == 0) {
        entry = json_object_get(all, address);
        rc = entry ? take(entry, address, path, ret, err)
                   : err_set(err, ERR_NOT_FOUND, "there is no login for %s", address);
    }
    json_decref(all);
    free(folder);
    free(path);
    return rc;
}

static int add(json_t *all, const struct login *l, struct err *err)
{
    json_t *entry = json_pack("{s:s, s:s*, s:s*, s:s*, s:s*}", "ca", l->ca, "token", l->token,
                              "certificate", l->certificate, "key", l->key, "munge", l->munge);

    return json_object_set_new(all, l->address, entry) < 0 ? err_nomem(err, strlen(l->ca)) : 0;
}

/* l->ca NULL: removes the entry. */
static int apply(json_t *all, const struct login *l, struct err *err)
{
    if (l->ca)
        return add(all, l, err);
    return json_object_del(all, l->address) < 0
               ? err_set(err, ERR_NOT_FOUND, "there is no login for %s", l->address)
               : 0;
}

static int write_all(const char *path, const json_t *all, struct err *err)
{
    char *text = json_dumps(all, JSON_INDENT(1));
    int rc = text ? file_write_secret(path, text, strlen(text), err) : err_nomem(err, strlen(path));

    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    return rc;
}

static int change(const struct login *l, struct err *err)
{
    char *folder = NULL, *path = NULL, *lock_path = NULL;
    json_t *all = NULL;
    int lock = -1, rc = find_paths(&folder, &path, err);

    if (rc == 0 && access(folder, F_OK) < 0)
        rc = file_make_private_folder(folder, err);
    if (rc == 0)
        rc = check_private(folder, "700", err);
    if (rc == 0 && !(lock_path = file_join(folder, "servers.lock")))
        rc = err_nomem(err, strlen(folder));
    if (rc == 0)
        rc = file_lock(lock_path, LOCK_WAIT_MS, &lock, err);
    if (rc == 0)
        rc = read_all(folder, path, &all, err);
    if (rc == 0)
        rc = apply(all, l, err);
    if (rc == 0)
        rc = write_all(path, all, err);
    json_decref(all);
    if (lock >= 0)
        close(lock);
    free(lock_path);
    free(folder);
    free(path);
    return rc;
}

int login_save(const struct login *l, struct err *err)
{
    return change(l, err);
}

int login_forget(const char *address, struct err *err)
{
    const struct login l = {.address = (char *)address};

    return change(&l, err);
}
