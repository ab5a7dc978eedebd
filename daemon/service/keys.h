/* daemon/service/keys.h - the files of `dashd init`, in <state>/tls (0700), each 0600 and PEM:
 *
 *   ca.pem       key and certificate of a CA that signs this dashd's certificates and no others
 *   ca.crt       its certificate alone, for clients
 *   server.pem   the server's key, its certificate and that of the CA: replaced as a whole, so that
 *                a dashd that runs never sees a key without its certificate
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>

enum keys_file { KEYS_CA, KEYS_CA_CERTIFICATE, KEYS_SERVER };
enum { KEYS_HOSTS_MAX = 64, KEYS_SERVER_DAYS = 397, KEYS_CA_DAYS = 3650 };

char *keys_path(const char *state, enum keys_file file); /* caller frees; NULL for lack of memory */
/* server.pem is there: it is the last to be made. */
bool keys_exist(const char *state);
/* Makes all of them, for a server with these names and addresses. */
int keys_make(const char *state, const char *const *hosts, int n_hosts, struct err *err);
/* Makes server.pem anew, for its names of before and these. The CA stays, so clients notice
 * nothing. */
int keys_renew(const char *state, const char *const *hosts, int n_hosts, struct err *err);
/* A key's text, NULL-safe: overwritten, then freed. */
void keys_erase(char *pem);
