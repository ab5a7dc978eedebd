/* daemon/service/servers.h - the gRPC servers of one dashd, each with what it needs to know who
 * calls.
 *
 *   local     unix sockets, and loopback with --insecure-tcp    the kernel names the user   all
 * methods remote    --listen host:port                                TLS, token or certificate all
 * but reports reports   --reports                                         TLS, token of a launch
 * reports
 *
 * They share nothing but their handlers: connections, memory and descriptors of strangers are
 * limited apart from those of this machine's users, whom nobody on the network can hold up.
 *
 * The key of `remote` is the operator's, from files that are read again when they change. That of
 * `reports` is made at each start, in memory; its certificate is in the contact file of each launch
 * (proto/contact.h).
 */
#pragma once
#include "core/err.h"
#include "daemon/service/options.h"
#include "daemon/service/runs.h"
#include <uv.h>

struct servers;

/* Binds and listens; nothing is accepted before servers_start(). The options must outlive it. */
int servers_open(uv_loop_t *loop, const struct options *options, struct servers **ret_servers,
                 struct err *err);
/* Fills what jobs are given; borrowed from s. */
void servers_addresses(struct servers *s, struct runs_options *ret);
/* The addresses in words, for people; borrowed. */
const char *servers_words(const struct servers *s);
int servers_register(struct servers *s, struct runs *runs, struct err *err);
int servers_start(struct servers *s, struct err *err);
/* Calls done when all have stopped, at once where none has started. */
void servers_stop(struct servers *s, void (*done)(void *arg), void *arg);
void servers_close(struct servers *s); /* NULL-safe; the loop runs once more after it */
