/* client/doctor/listen.c - see listen.h: a process of its own answers, so that the ranks need not
 * wait for what else is done here. */
#include "client/doctor/listen.h"
#include "core/host_addresses.h"
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

/* A socket that listens on a free port of any address of a family; -1: there is none. */
static int listen_for(sa_family_t family, int *ret_port)
{
    union address at = {.six = {.sin6_family = family}};
    socklen_t len = family == AF_INET6 ? sizeof(at.six) : sizeof(at.four);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;

    if (fd < 0)
        return -1;
    if ((family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0) &&
        bind(fd, &at.any, len) == 0 && listen(fd, SOMAXCONN) == 0 &&
        getsockname(fd, &at.any, &len) == 0) {
        *ret_port = ntohs(family == AF_INET6 ? at.six.sin6_port : at.four.sin_port);
        return fd;
    }
    close(fd);
    return -1;
}

/* A socket of IPv6 serves IPv4 too, if the machine has IPv6. */
static int listen_anywhere(int *ret_port)
{
    int fd = listen_for(AF_INET6, ret_port);

    return fd < 0 ? listen_for(AF_INET, ret_port) : fd;
}

/* In the child, until it is killed. */
static void answer(int fd, const char *word, pid_t parent)
{
    signal(SIGINT, SIG_IGN); /* the parent handles Ctrl-C */
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == parent) {
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (peer < 0)
            break;
        if (send(peer, word, strlen(word), MSG_NOSIGNAL) < 0)
            shutdown(peer, SHUT_RDWR);
        close(peer);
    }
    _exit(0);
}

int listener_open(const char *word, struct listener *ret, struct err *err)
{
    int port, fd = listen_anywhere(&port), rc;
    struct listener l = {0};
    pid_t parent = getpid();

    if (fd < 0)
        return err_errno(err, "cannot listen on a TCP port");
    rc = host_addresses_all(port, &l.addresses, err);
    if (rc == 0) {
        l.pid = fork();
        if (l.pid == 0)
            answer(fd, word, parent);
        if (l.pid < 0)
            rc = err_errno(err, "cannot start a process");
    }
    close(fd);
    if (rc < 0)
        host_addresses_free(l.addresses);
    else
        *ret = l;
    return rc;
}

void listener_close(struct listener *l)
{
    if (l->pid > 0) {
        kill(l->pid, SIGKILL);
        waitpid(l->pid, NULL, 0);
    }
    host_addresses_free(l->addresses);
    *l = (struct listener){0};
}
