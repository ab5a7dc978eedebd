/* client/token_input.h - a token from its user: never from the command line, which every user of
 * the machine can read. */
#pragma once
#include "core/err.h"

/* file: its path, "-" for standard input, or NULL to ask on the terminal, without an echo. Caller
 * frees *ret_token. ERR_INVALID where it is not a token of dashd. */
int token_input(const char *file, const char *server, char **ret_token, struct err *err);
