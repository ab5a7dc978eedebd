/* client/doctor/listen.h - a TCP port that sends a word to whoever connects. It takes the place of
 * dashd's port for coordinators, to which the nodes must be able to connect.
 */
#pragma once
#include "core/err.h"
#include <sys/types.h>

struct listener {
    pid_t pid;        /* 0: none */
    char **addresses; /* "host:port" of each address of this machine; ends with NULL */
};

/* On success the caller calls listener_close(). */
int listener_open(const char *word, struct listener *ret, struct err *err);
void listener_close(struct listener *l);
