/* core/host_addresses.c - see host_addresses.h. Addresses of bridges and links that every machine
 * has are left out: elsewhere they lead to another machine. */
#include "core/host_addresses.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 15 }; /* and a NULL */

struct list {
    char *items[ADDRESSES_MAX + 1];
    int n;
    bool failed;
};

static void add(struct list *l, const char *host, int port)
{
    char *address;

    if (l->n == ADDRESSES_MAX)
        return;
    if (asprintf(&address, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port) < 0)
        l->failed = true;
    else
        l->items[l->n++] = address;
}

/* Other machines have bridges of the same addresses. */
static bool is_bridge(const char *name)
{
    return strncmp(name, "docker", 6) == 0 || strncmp(name, "virbr", 5) == 0 ||
           strncmp(name, "br-", 3) == 0 || strncmp(name, "veth", 4) == 0 ||
           strncmp(name, "cni", 3) == 0;
}

static bool text_of(const struct sockaddr *a, char *host, socklen_t size)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
    const struct sockaddr_in *four = (const struct sockaddr_in *)a;

    if (a->sa_family == AF_INET)
        return inet_ntop(AF_INET, &four->sin_addr, host, size) != NULL;
    return a->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr) &&
           inet_ntop(AF_INET6, &six->sin6_addr, host, size) != NULL;
}

static void add_interface(struct list *l, const struct ifaddrs *i, int port)
{
    char host[INET6_ADDRSTRLEN];

    if (!i->ifa_addr || (i->ifa_flags & IFF_LOOPBACK) || !(i->ifa_flags & IFF_UP) ||
        is_bridge(i->ifa_name))
        return;
    if (text_of(i->ifa_addr, host, sizeof(host)))
        add(l, host, port);
}

static int give(struct list *l, char ***ret_addresses, struct err *err)
{
    char **copy = calloc(ADDRESSES_MAX + 1, sizeof(*copy));

    if (!copy || l->failed) {
        while (l->n > 0)
            free(l->items[--l->n]);
        free(copy);
        return err_nomem(err, sizeof(l->items));
    }
    memcpy(copy, l->items, (size_t)l->n * sizeof(*copy));
    *ret_addresses = copy;
    return 0;
}

int host_addresses_all(int port, char ***ret_addresses, struct err *err)
{
    struct ifaddrs *all = NULL, *i;
    struct list l = {.n = 0};
    char name[256] = "";

    if (getifaddrs(&all) < 0)
        return err_errno(err, "the addresses of this machine cannot be listed");
    for (i = all; i; i = i->ifa_next)
        add_interface(&l, i, port);
    freeifaddrs(all);
    if (l.n == 0)
        add(&l, "127.0.0.1", port);
    else if (gethostname(name, sizeof(name) - 1) == 0 && name[0])
        add(&l, name, port);
    return give(&l, ret_addresses, err);
}

int host_addresses_one(const char *address, char ***ret_addresses, struct err *err)
{
    struct list l = {.n = 0};

    l.items[0] = strdup(address);
    l.failed = !l.items[0];
    l.n = !l.failed;
    return give(&l, ret_addresses, err);
}

void host_addresses_free(char **addresses)
{
    int i;

    for (i = 0; addresses && addresses[i]; i++)
        free(addresses[i]);
    free(addresses);
}
