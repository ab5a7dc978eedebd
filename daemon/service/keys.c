/* daemon/service/keys.c - see keys.h. The CA is a file of its own, made once: what clients trust is
 * the CA, so the server's key can be made anew as often as one likes. */
#include "daemon/service/keys.h"
#include "core/buf.h"
#include "core/file.h"
#include "daemon/service/certificate_make.h"
#include "proto/certificate.h"
#include "proto/openssl.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char folder_name[] = "tls";

char *keys_path(const char *state, enum keys_file file)
{
    static const char *const names[] = {[KEYS_CA] = "tls/ca.pem",
                                        [KEYS_CA_CERTIFICATE] = "tls/ca.crt",
                                        [KEYS_SERVER] = "tls/server.pem"};

    return file_join(state, names[file]);
}

void keys_erase(char *pem)
{
    if (pem)
        OPENSSL_cleanse(pem, strlen(pem));
    free(pem);
}

bool keys_exist(const char *state)
{
    char *path = keys_path(state, KEYS_SERVER);
    bool yes = path && access(path, F_OK) == 0;

    free(path);
    return yes;
}

/* The texts one after the other. */
static int write_texts(const char *state, enum keys_file file, const char *const texts[3],
                       struct err *err)
{
    char *path = keys_path(state, file);
    struct buf all = {0};
    int rc, i;

    for (i = 0; i < 3 && texts[i]; i++)
        buf_puts(&all, texts[i]);
    rc = path && !all.failed ? file_write_secret(path, all.data, all.len, err)
                             : err_nomem(err, all.len);
    if (all.data)
        OPENSSL_cleanse(all.data, all.len);
    buf_free(&all);
    free(path);
    return rc;
}

static int read_text(const char *state, enum keys_file file, char **ret_text, struct err *err)
{
    char *path = keys_path(state, file);
    size_t len;
    int rc = path ? file_read_no_link(path, FILE_SMALL_MAX, ret_text, &len, err)
                  : err_nomem(err, strlen(state));

    free(path);
    return rc;
}

static int make_server(const char *state, const char *ca, const char *ca_certificate,
                       const char *const *hosts, int n_hosts, struct err *err)
{
    const struct certificate_spec spec = {
        .name = hosts[0], .hosts = hosts, .n_hosts = n_hosts, .days = KEYS_SERVER_DAYS};
    char *key = NULL, *certificate = NULL;
    int rc = certificate_make(&spec, ca, &key, &certificate, err);

    if (rc == 0)
        rc = write_texts(state, KEYS_SERVER,
                         (const char *const[]){key, certificate, ca_certificate}, err);
    keys_erase(key);
    free(certificate);
    return rc;
}

static int make_ca(const char *state, char **ret_ca, char **ret_certificate, struct err *err)
{
    const struct certificate_spec spec = {
        .name = "dashd's own CA", .days = KEYS_CA_DAYS, .is_ca = true};
    char *key = NULL, *certificate = NULL, *ca = NULL;
    int rc = certificate_make(&spec, NULL, &key, &certificate, err);

    if (rc == 0)
        rc = write_texts(state, KEYS_CA, (const char *const[]){key, certificate, NULL}, err);
    if (rc == 0)
        rc = write_texts(state, KEYS_CA_CERTIFICATE, (const char *const[]){certificate, NULL, NULL},
                         err);
    if (rc == 0 && asprintf(&ca, "%s%s", key, certificate) < 0)
        rc = err_nomem(err, strlen(key));
    keys_erase(key);
    if (rc < 0) {
        free(certificate);
        return rc;
    }
    *ret_ca = ca;
    *ret_certificate = certificate;
    return 0;
}

int keys_make(const char *state, const char *const *hosts, int n_hosts, struct err *err)
{
    char *folder = file_join(state, folder_name), *ca = NULL, *certificate = NULL;
    int rc = folder ? file_make_private_folder(folder, err) : err_nomem(err, strlen(state));

    free(folder);
    if (rc == 0)
        rc = make_ca(state, &ca, &certificate, err);
    if (rc == 0)
        rc = make_server(state, ca, certificate, hosts, n_hosts, err);
    keys_erase(ca);
    free(certificate);
    return rc;
}

static bool has(const char *const *hosts, int n, const char *host)
{
    int i;

    for (i = 0; i < n; i++)
        if (strcasecmp(hosts[i], host) == 0)
            return true;
    return false;
}

int keys_renew(const char *state, const char *const *hosts, int n_hosts, struct err *err)
{
    const char *all[KEYS_HOSTS_MAX];
    char *ca = NULL, *certificate = NULL, *before = NULL, **had = NULL;
    int rc, n = 0, i;

    rc = read_text(state, KEYS_CA, &ca, err);
    if (rc == 0)
        rc = read_text(state, KEYS_CA_CERTIFICATE, &certificate, err);
    if (rc == 0)
        rc = read_text(state, KEYS_SERVER, &before, err);
    if (rc == 0)
        rc = certificate_hosts(before, &had, err);
    for (i = 0; rc == 0 && had[i] && n < KEYS_HOSTS_MAX; i++)
        all[n++] = had[i];
    for (i = 0; rc == 0 && i < n_hosts && n < KEYS_HOSTS_MAX; i++)
        if (!has(all, n, hosts[i]))
            all[n++] = hosts[i];
    if (rc == 0)
        rc = n ? make_server(state, ca, certificate, all, n, err)
               : err_set(err, ERR_INVALID, "the certificate before has no names: give --name");
    keys_erase(ca);
    keys_erase(before);
    free(certificate);
    certificate_free_hosts(had);
    return rc;
}
