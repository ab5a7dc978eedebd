/* daemon/service/address.c - see address.h. */
#include "daemon/service/address.h"
#include <arpa/inet.h>
#include <errno.h>
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

static int check_unix(const char *path, struct err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat st;

    if (path[0] != '/')
        return err_set(err, ERR_INVALID, "unix:%s: the path must be absolute", path);
    if (strlen(path) >= sizeof(at.sun_path))
        return err_set(err, ERR_INVALID, "unix:%s: too long for a unix socket (at most %zu bytes)",
                       path, sizeof(at.sun_path) - 1);
    strcpy(at.sun_path, path);
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_errno(err, "%s cannot be looked at", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is there and is no socket: name another with --listen",
                       path);
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
                       "'%s' is no address: write unix:/path/to/socket or host:port", address);
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

int address_check(const char *address, bool insecure_tcp, struct err *err)
{
    char host[256];
    int port, rc;

    if (address_is_unix(address))
        return check_unix(address + 5, err);
    rc = split(address, host, sizeof(host), &port, err);
    if (rc < 0)
        return rc;
    if (!insecure_tcp && !is_loopback(host))
        return err_set(
            err, ERR_INVALID,
            "%s: TCP has no authentication yet: whoever reaches the port runs jobs as you. "
            "Listen on a unix socket or on 127.0.0.1, or say --insecure-tcp if the network is "
            "yours alone",
            address);
    return 0;
}

int address_port(const char *address, int *ret_port, struct err *err)
{
    char host[256];

    return split(address, host, sizeof(host), ret_port, err);
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
