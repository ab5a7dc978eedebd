/* daemon/service/address.h - what dashd may listen on.
 *
 *   unix:/path   a socket for its owner alone; a stale one is replaced, a live one is refused
 *   host:port    nobody is asked who he is: loopback only, unless insecure_tcp says otherwise
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>

int address_check(const char *address, bool insecure_tcp, struct err *err);
/* The address by which a job on this machine reaches the listener: another host for "any", the port
 * that was given for port 0. Caller frees; NULL for lack of memory. */
char *address_for_clients(const char *address, int port);
bool address_is_unix(const char *address);

/* The port of "host:port". */
int address_port(const char *address, int *ret_port, struct err *err);
