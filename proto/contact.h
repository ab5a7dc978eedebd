/* proto/contact.h - where a job's coordinator finds its dashd, and how it proves that it is the
 * job's: a file in the output folder, which dashd writes before a launch and whenever its addresses
 * change, and the coordinator reads before it dials.
 *
 *   <output>/logs/dashd.json   {"job": "12", "token": "...", "addresses": ["10.1.0.4:40123", ...],
 *                               "certificate": "-----BEGIN CERTIFICATE...",
 *                               "died": "a worker (rank 1) was ended by signal 9 (Killed)",
 *                               "died_at": 41}
 *
 * The token is the launch's: whoever reads it can report in the job's name, so the file is its
 * owner's alone (mode 0600). The certificate is dashd's own, of the port for coordinators: it signs
 * itself, so whoever answers with it has its key, which is dashd's, made when it started. Without
 * one, the addresses are reached in plain text: unix sockets, and loopback.
 */
#pragma once
#include "core/err.h"

enum { CONTACT_ADDRESSES = 16 };
#define CONTACT_FILE        "logs/dashd.json"
#define CONTACT_SERVER_NAME "dashd" /* in the certificate, whatever the address */

struct contact {
    char *job, *token;
    char *certificate;                  /* PEM; NULL: none */
    char *addresses[CONTACT_ADDRESSES]; /* "unix:/path" or "host:port", the likeliest first */
    int n;
    char *died;  /* how the launch before ended, where dashd had to find out; NULL: it did not */
    int died_at; /* how many steps it had done */
};

int contact_write(const char *path, const struct contact *c, struct err *err);
/* On success the caller frees *ret with contact_free(). */
int contact_read(const char *path, struct contact *ret, struct err *err);
void contact_free(struct contact *c);
