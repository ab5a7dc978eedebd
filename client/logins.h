/* client/logins.h - the dashd that a person has logged in to: ~/.config/dash/servers.json (0600, in
 * a folder with mode 0700).
 *
 *   {"login.example.org:7700": {"ca": "-----BEGIN CERTIFICATE...", "token": "dash_..."}}
 *
 * In place of the token, or beside it, an entry may have the "certificate" and the "key" of a
 * client, in PEM, or "munge": the socket of munged by which each command signs in (sign_in.h).
 * Token and key are secrets: the file is refused where others can read it.
 */
#pragma once
#include "core/err.h"

struct login {
    char *address; /* "host:port", as it is given to --server */
    char *ca;      /* PEM: what must have signed dashd's certificate, or that one itself */
    char *token;   /* NULL: none */
    char *certificate, *key; /* PEM; both or none */
    char *munge;             /* socket of munged, "" for the usual one; NULL: not by MUNGE */
};

/* ERR_NOT_FOUND where there is none. On success the caller calls login_free(). */
int login_find(const char *address, struct login *ret, struct err *err);
void login_free(struct login *l);
/* In place of what was there for the address. */
int login_save(const struct login *l, struct err *err);
/* ERR_NOT_FOUND where there is none. */
int login_forget(const char *address, struct err *err);
