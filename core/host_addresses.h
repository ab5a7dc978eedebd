/* core/host_addresses.h - the addresses under which coordinators on other nodes may reach this
 * machine. */
#pragma once
#include "core/err.h"

/* "host:port" for each address of this machine that others may know it by, those of its interfaces
 * first, then its name; those of bridges to containers and virtual machines are left out, loopback
 * unless there is nothing else. Caller frees with host_addresses_free(). */
int host_addresses_all(int port, char ***ret_addresses, struct err *err);
/* The one address that was named. */
int host_addresses_one(const char *address, char ***ret_addresses, struct err *err);
void host_addresses_free(char **addresses); /* NULL-safe */
