/* daemon/service/address.h - what dashd may listen on.
 *
 *   unix:/path   a socket for its owner alone (0600, in a folder with mode 0700), or for a group
 *                (0660, in a folder of that group with mode 0750); a stale one is replaced, a live
 * one is refused host:port    with TLS; without it whoever reaches the port can do what the owner
 * can, so that is for loopback addresses alone, and only where insecure_tcp says so
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <sys/types.h>

/* group: NULL for a socket of its owner's alone. */
int address_check(const char *address, bool insecure_tcp, const gid_t *group, struct err *err);
bool address_is_unix(const char *address);
/* Whether "host:port" is this machine's alone, by its name or number. */
bool address_is_loopback(const char *address);

enum { ADDRESS_SOCKETS_MAX = 8 };
/* Makes sockets bound to the address: one, or one for each address that a host's name has.
 * *ret_port is their TCP port, also where 0 was asked for. On failure none is left open. */
int address_bind(const char *address, const gid_t *group, int ret_fds[ADDRESS_SOCKETS_MAX],
                 int *ret_n, int *ret_port, struct err *err);

/* ERR_INVALID where a name leads to nothing but this machine itself: no other could reach it. An
 * address, or "localhost", is accepted as it is. */
int address_check_reach(const char *address, struct err *err);

/* Whether "host:port" stands for all addresses of the machine. */
bool address_is_any(const char *address);

/* The address by which a job on this machine reaches the listener: another host for "any", the port
 * that was given for port 0. Caller frees; NULL for lack of memory. */
char *address_for_clients(const char *address, int port);
