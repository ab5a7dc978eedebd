/* client/doctor_listen.c - see doctor.h: stands in for dashd, whose port coordinators on other
 * nodes dial. A process of its own answers, so that the probe need not wait for whatever else is
 * done here. */
#include "client/doctor.h"
#include "core/host_addresses.h"
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of both kinds of addresses where the machine has IPv6. */
static int listen_anywhere(int *ret_port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};
    socklen_t len = sizeof(six);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;

    if (fd >= 0 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0 &&
        bind(fd, (struct sockaddr *)&six, sizeof(six)) == 0 && listen(fd, SOMAXCONN) == 0 &&
        getsockname(fd, (struct sockaddr *)&six, &len) == 0) {
        *ret_port = ntohs(six.sin6_port);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    len = sizeof(four);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&four, sizeof(four)) == 0 &&
        listen(fd, SOMAXCONN) == 0 && getsockname(fd, (struct sockaddr *)&four, &len) == 0) {
        *ret_port = ntohs(four.sin_port);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

/* In the child, until it is killed. */
static void answer(int fd, const char *word, pid_t parent)
{
    signal(SIGINT, SIG_IGN); /* Ctrl-C is the parent's business */
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

int doctor_port_open(const char *word, struct doctor_port *ret, struct err *err)
{
    int port, fd = listen_anywhere(&port), rc;
    struct doctor_port p = {0};
    pid_t parent = getpid();

    if (fd < 0)
        return err_errno(err, "no TCP port can be opened");
    rc = host_addresses_all(port, &p.addresses, err);
    if (rc == 0) {
        p.pid = fork();
        if (p.pid == 0)
            answer(fd, word, parent);
        if (p.pid < 0)
            rc = err_errno(err, "no process can be started");
    }
    close(fd);
    if (rc < 0)
        host_addresses_free(p.addresses);
    else
        *ret = p;
    return rc;
}

void doctor_port_close(struct doctor_port *p)
{
    if (p->pid > 0) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
    }
    host_addresses_free(p->addresses);
    *p = (struct doctor_port){0};
}
