/* worker/probe_reach.c - see probe.h: all addresses are tried at once, for one that nobody answers
 * costs the whole time. Those that are numbers come first: a name's resolver may take long. */
#include "worker/probe.h"
#include "core/clock.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REACH_MS = 2000, WORD_MAX = 64 };

struct attempt {
    struct pollfd fds[PROBE_ADDRESSES]; /* fd -1: failed, or never begun */
    char said[PROBE_ADDRESSES][WORD_MAX];
    size_t len[PROBE_ADDRESSES];
    int n;
};

/* "host:port" or "[host]:port"; flags of getaddrinfo() decide whether names are looked up. */
static struct addrinfo *resolve(const char *address, int flags)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char *host = strdup(address), *colon = host ? strrchr(host, ':') : NULL, *start = host;

    if (colon) {
        *colon = '\0';
        if (*start == '[') {
            start++;
            start[strcspn(start, "]")] = '\0';
        }
        if (getaddrinfo(start, colon + 1, &hints, &found) != 0)
            found = NULL;
    }
    free(host);
    return found;
}

/* A socket that connects; -1: it cannot. */
static int begin(const char *address, int flags)
{
    struct addrinfo *at = resolve(address, flags);
    int fd = at ? socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;

    if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) < 0 && errno != EINPROGRESS) {
        close(fd);
        fd = -1;
    }
    if (at)
        freeaddrinfo(at);
    return fd;
}

/* Whether address i has now said the word. Its socket is closed when there is no more to hear. */
static bool hear(struct attempt *a, int i, const char *word)
{
    size_t room = sizeof(a->said[i]) - 1 - a->len[i];
    ssize_t n = read(a->fds[i].fd, a->said[i] + a->len[i], room);

    if (n > 0)
        a->len[i] += (size_t)n;
    a->said[i][a->len[i]] = '\0';
    if (strcmp(a->said[i], word) == 0)
        return true;
    if (n <= 0 || (size_t)n == room) {
        close(a->fds[i].fd);
        a->fds[i].fd = -1;
    }
    return false;
}

static bool any_open(const struct attempt *a)
{
    int i;

    for (i = 0; i < a->n; i++)
        if (a->fds[i].fd >= 0)
            return true;
    return false;
}

/* The number of the address that said the word; -1: none. */
static int wait_for_word(struct attempt *a, const char *word)
{
    long end = clock_ms() + REACH_MS, left;
    int i;

    while (any_open(a) && (left = end - clock_ms()) > 0) {
        if (poll(a->fds, (nfds_t)a->n, (int)left) <= 0)
            continue;
        for (i = 0; i < a->n; i++)
            if (a->fds[i].fd >= 0 && a->fds[i].revents && hear(a, i, word))
                return i;
    }
    return -1;
}

static const char *reach(const char *const *addresses, const char *word, int flags)
{
    struct attempt a = {.n = 0};
    int i, reached;

    for (; addresses[a.n] && a.n < PROBE_ADDRESSES; a.n++)
        a.fds[a.n] = (struct pollfd){begin(addresses[a.n], flags), POLLIN, 0};
    reached = wait_for_word(&a, word);
    for (i = 0; i < a.n; i++)
        if (a.fds[i].fd >= 0)
            close(a.fds[i].fd);
    return reached < 0 ? NULL : addresses[reached];
}

const char *probe_reach(const char *const *addresses, const char *word)
{
    const char *reached = reach(addresses, word, AI_NUMERICHOST);

    return reached ? reached : reach(addresses, word, 0);
}
