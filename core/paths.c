/* core/paths.c - see paths.h. The socket lies in the state folder, not in $XDG_RUNTIME_DIR: that
 * one is set in some of a person's shells and not in others (su, cron, a batch job), and both
 * programs must agree. */
#include "core/paths.h"
#include "core/file.h"
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static const char *home_folder(void)
{
    const char *home = getenv("HOME");
    const struct passwd *who;

    if (home && home[0] == '/')
        return home;
    who = getpwuid(getuid());
    return who ? who->pw_dir : NULL;
}

/* $VARIABLE/dash, else in the home folder. */
static int user_folder(const char *variable, const char *in_home, char **ret_path, struct err *err)
{
    const char *base = getenv(variable);
    const char *rest = "dash";
    char *path;

    if (!base || base[0] != '/') {
        base = home_folder();
        rest = in_home;
    }
    if (!base)
        return err_set(err, ERR_NOT_FOUND, "no home folder is known: set HOME or %s", variable);
    path = file_join(base, rest);
    if (!path)
        return err_nomem(err, strlen(base));
    *ret_path = path;
    return 0;
}

int paths_state(char **ret_path, struct err *err)
{
    return user_folder("XDG_STATE_HOME", ".local/state/dash", ret_path, err);
}

int paths_config(char **ret_path, struct err *err)
{
    return user_folder("XDG_CONFIG_HOME", ".config/dash", ret_path, err);
}

char *paths_cache(void)
{
    const char *set = getenv("DASH_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = home_folder();

    if (set && *set)
        return strdup(set);
    if (xdg && *xdg)
        return file_join(xdg, "dash/spectra");
    return home ? file_join(home, ".cache/dash/spectra") : NULL;
}

int paths_address(const char *state, char **ret_address, struct err *err)
{
    static const char scheme[] = "unix:";
    char *folder = NULL, *path, *address;
    int rc;

    if (!state) {
        rc = paths_state(&folder, err);
        if (rc < 0)
            return rc;
        state = folder;
    }
    path = file_join(state, "dashd.sock");
    free(folder);
    if (!path)
        return err_nomem(err, strlen(scheme));
    if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        rc = err_set(
            err, ERR_INVALID,
            "%s: too long for a unix socket (at most %zu bytes): name another with --listen "
            "and --server",
            path, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
        free(path);
        return rc;
    }
    address = malloc(sizeof(scheme) + strlen(path));
    if (!address) {
        free(path);
        return err_nomem(err, sizeof(scheme));
    }
    strcpy(stpcpy(address, scheme), path);
    free(path);
    *ret_address = address;
    return 0;
}

int paths_programs(char **ret_path, struct err *err)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash, *path;

    if (n < 0)
        return err_errno(err, "/proc/self/exe cannot be read");
    self[n] = '\0';
    slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    path = strdup(self);
    if (!path)
        return err_nomem(err, (size_t)n);
    *ret_path = path;
    return 0;
}

int paths_sibling(const char *name, char **ret_path, struct err *err)
{
    char *folder = NULL, *path;
    int rc = paths_programs(&folder, err);

    if (rc < 0)
        return rc;
    path = file_join(folder, name);
    free(folder);
    if (!path)
        return err_nomem(err, strlen(name));
    *ret_path = path;
    return 0;
}

bool paths_has_program(const char *program)
{
    const char *path = getenv("PATH");
    char *copy = path ? strdup(path) : NULL, *rest, *folder;
    bool found = false;

    for (folder = copy ? strtok_r(copy, ":", &rest) : NULL; folder && !found;
         folder = strtok_r(NULL, ":", &rest)) {
        char *file = file_join(folder, program);
        found = file && access(file, X_OK) == 0;
        free(file);
    }
    free(copy);
    return found;
}
