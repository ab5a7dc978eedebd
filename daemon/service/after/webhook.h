/* daemon/service/after/webhook.h - the end of a job, as a request to a server. */
#pragma once
#include "core/err.h"
#include <stdatomic.h>

/* The key in <state>/webhook.key, made if it is not there; 64 hex digits. */
int webhook_key(const char *state, char ret_key[65], struct err *err);
/* Sends the body, signed. Blocks. */
int webhook_send(const char *url, const char *key, const char *body, const atomic_bool *stop,
                 struct err *err);
