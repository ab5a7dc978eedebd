/* daemon/service/address.c - see address.h. A socket that nobody serves is removed, one that
 * somebody serves is an error: two dashd never take each other's place. */
#include "daemon/service/address.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

bool address_is_unix(const char *address)
{
    return strncmp(address, "unix:", 5) == 0;
}

static bool answers(const struct sockaddr_un *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0;

    if (fd >= 0)
        close(fd);
    return yes;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* Whoever can enter the folder can try to connect, and whoever can write to it can put a socket of
 * his own in this one's place. */
static int check_folder(const char *path, const gid_t *group, struct err *err)
{
    char *folder = folder_of(path);
    struct stat st;
    int rc = 0;

    if (!folder)
        return err_nomem(err, strlen(path));
    if (stat(folder, &st) < 0)
        rc = err_errno(err, "%s: the folder of the socket cannot be examined", folder);
    else if (st.st_uid != geteuid())
        rc =
            err_set(err, ERR_INVALID,
                    "%s: the folder of the socket belongs to another user (uid %ld): name a socket "
                    "in a folder of your own with --listen",
                    folder, (long)st.st_uid);
    else if (group && (st.st_gid != *group || (st.st_mode & 0777) != 0750))
        rc = err_set(err, ERR_INVALID,
                     "%s: with --group the folder of the socket must belong to the group and have "
                     "mode 0750: run `chgrp %ld %s && chmod 0750 %s`",
                     folder, (long)*group, folder, folder);
    else if (!group && (st.st_mode & 0777) != 0700)
        rc = err_set(err, ERR_INVALID,
                     "%s: the folder of the socket must have mode 0700, not %04o: run `chmod 0700 "
                     "%s`, or name a socket in another folder with --listen",
                     folder, st.st_mode & 0777, folder);
    free(folder);
    return rc;
}

static int check_unix(const char *path, const gid_t *group, struct err *err)
{
    int rc;

    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat st;

    if (path[0] != '/')
        return err_set(err, ERR_INVALID, "unix:%s: the path must be absolute", path);
    if (strlen(path) >= sizeof(at.sun_path))
        return err_set(err, ERR_INVALID, "unix:%s: too long for a unix socket (at most %zu bytes)",
                       path, sizeof(at.sun_path) - 1);
    rc = check_folder(path, group, err);
    if (rc < 0)
        return rc;
    strcpy(at.sun_path, path);
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_errno(err, "%s cannot be examined", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_INVALID,
                       "%s exists but is not a socket: name another with --listen", path);
    if (answers(&at))
        return err_set(err, ERR_STATE, "unix:%s: a dashd answers there already", path);
    if (unlink(path) < 0)
        return err_errno(err, "%s is stale and cannot be removed", path);
    return 0;
}

/* Splits "host:port" and "[host]:port". */
static int split(const char *address, char *host, size_t size, int *ret_port, struct err *err)
{
    const char *colon = strrchr(address, ':'), *from = address, *to = colon;
    char *end;
    long port;

    if (!colon || colon == address)
        return err_set(err, ERR_INVALID,
                       "'%s' is not an address: write unix:/path/to/socket or host:port", address);
    port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end || port < 0 || port > 65535)
        return err_set(err, ERR_INVALID, "'%s': the port must be a number from 0 to 65535",
                       address);
    if (*from == '[' && to[-1] == ']') {
        from++;
        to--;
    }
    snprintf(host, size, "%.*s", (int)(to - from), from);
    *ret_port = (int)port;
    return 0;
}

static bool is_loopback(const char *host)
{
    struct in6_addr six;
    struct in_addr four;

    if (strcmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

bool address_is_loopback(const char *address)
{
    char host[256];
    int port;

    return split(address, host, sizeof(host), &port, NULL) == 0 && is_loopback(host);
}

int address_check(const char *address, bool insecure_tcp, const gid_t *group, struct err *err)
{
    char host[256];
    int port, rc;

    if (address_is_unix(address))
        return check_unix(address + 5, group, err);
    rc = split(address, host, sizeof(host), &port, err);
    if (rc < 0 || !insecure_tcp || is_loopback(host))
        return rc;
    return err_set(err, ERR_INVALID,
                   "%s: --insecure-tcp is for loopback addresses alone: whoever reaches the port "
                   "would run jobs as you. Without it dashd uses TLS, once `dashd init` has made "
                   "its keys",
                   address);
}

static int look_up(const char *host, struct addrinfo **ret, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int rc = getaddrinfo(host, NULL, &hints, ret);

    return rc == 0 ? 0 : err_set(err, ERR_INVALID, "%s: %s", host, gai_strerror(rc));
}

static bool is_literal(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool leads_here(const struct sockaddr *a)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
    const struct sockaddr_in *four = (const struct sockaddr_in *)a;

    return a->sa_family == AF_INET ? ntohl(four->sin_addr.s_addr) >> 24 == 127
                                   : IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

int address_check_reach(const char *address, struct err *err)
{
    struct addrinfo *found = NULL, *at;
    bool here = true;
    char host[256];
    int port, rc = split(address, host, sizeof(host), &port, err);

    if (rc < 0 || is_literal(host) || strcmp(host, "localhost") == 0)
        return rc;
    rc = look_up(host, &found, err);
    for (at = found; at; at = at->ai_next)
        here = here && leads_here(at->ai_addr);
    if (found)
        freeaddrinfo(found);
    if (rc == 0 && here)
        rc = err_set(err, ERR_INVALID,
                     "%s leads to this machine's loopback address, where no other node can reach "
                     "it: name an address of the cluster's network",
                     host);
    return rc;
}

static int bind_unix(const char *path, const gid_t *group, int *ret_fd, struct err *err)
{
    mode_t mode = group ? 0660 : 0600;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_errno(err, "cannot open a socket");
    strncpy(at.sun_path, path, sizeof(at.sun_path) - 1);
    /* Linux gives the file the socket's own mode: the group is let in last. */
    if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        (group && chown(path, (uid_t)-1, *group) < 0) || chmod(path, mode) < 0) {
        err_errno(err, "cannot bind");
        close(fd);
        return ERR_IO;
    }
    *ret_fd = fd;
    return 0;
}

static void set_port(struct sockaddr *a, int port)
{
    if (a->sa_family == AF_INET)
        ((struct sockaddr_in *)a)->sin_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in6 *)a)->sin6_port = htons((uint16_t)port);
}

static int port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } a = {.six = {0}};
    socklen_t size = sizeof(a);

    if (getsockname(fd, &a.any, &size) < 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET ? a.four.sin_port : a.six.sin6_port);
}

/* -1 with errno. "[::]" takes IPv4 too. */
static int bind_one(const struct addrinfo *a, int port)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, why;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a->ai_addr;
    int six_only = a->ai_family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &six_only, sizeof(six_only));
    set_port(a->ai_addr, port);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    why = errno;
    close(fd);
    errno = why;
    return -1;
}

static bool is_absent(int error)
{
    return error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
}

static int bind_tcp(const char *host, int port, int *fds, int *ret_n, int *ret_port,
                    struct err *err)
{
    struct addrinfo *found = NULL, *at;
    int rc = look_up(host, &found, err), n = 0, fd, why = EADDRNOTAVAIL;

    for (at = found; rc == 0 && at && n < ADDRESS_SOCKETS_MAX; at = at->ai_next) {
        fd = bind_one(at, port);
        if (fd >= 0) {
            fds[n++] = fd;
            port = port_of(fd);
            continue;
        }
        why = errno;
        if (!is_absent(errno))
            rc = err_errno(err, "cannot bind");
    }
    if (found)
        freeaddrinfo(found);
    errno = why;
    if (rc == 0 && n == 0)
        rc = err_errno(err, "cannot bind");
    while (rc < 0 && n > 0)
        close(fds[--n]);
    if (rc == 0) {
        *ret_n = n;
        *ret_port = port;
    }
    return rc;
}

int address_bind(const char *address, const gid_t *group, int ret_fds[ADDRESS_SOCKETS_MAX],
                 int *ret_n, int *ret_port, struct err *err)
{
    char host[256];
    int port, rc;

    if (address_is_unix(address)) {
        rc = bind_unix(address + 5, group, &ret_fds[0], err);
        if (rc == 0) {
            *ret_n = 1;
            *ret_port = 0;
        }
        return rc;
    }
    rc = split(address, host, sizeof(host), &port, err);
    return rc < 0 ? rc : bind_tcp(host, port, ret_fds, ret_n, ret_port, err);
}

bool address_is_any(const char *address)
{
    char host[256];
    int port;

    return split(address, host, sizeof(host), &port, NULL) == 0 &&
           (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0);
}

char *address_for_clients(const char *address, int port)
{
    char host[256], *whole;
    int asked;

    if (address_is_unix(address) || split(address, host, sizeof(host), &asked, NULL) < 0)
        return strdup(address);
    if (strcmp(host, "0.0.0.0") == 0)
        strcpy(host, "127.0.0.1");
    else if (strcmp(host, "::") == 0)
        strcpy(host, "::1");
    if (asprintf(&whole, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port) < 0)
        return NULL;
    return whole;
}
