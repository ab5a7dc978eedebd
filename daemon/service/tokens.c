/* daemon/service/tokens.c - see tokens.h. A change is read, changed, written as a whole (rename),
 * all under tokens.lock: of two that change at once none is lost, and who reads needs no lock. */
#include "daemon/service/tokens.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/hex.h"
#include "core/json_file.h"
#include "core/random.h"
#include "proto/openssl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_WAIT_MS = 5000, SECRET_BYTES = 32 };

static const char prefix[] = "dash_";

char *tokens_path(const char *state)
{
    return file_join(state, "tokens.json");
}

void tokens_free(struct tokens *t)
{
    free(t->items);
    *t = (struct tokens){0};
}

bool token_has_expired(const struct token *t, int64_t now_ms)
{
    return t->expires_ms && now_ms >= t->expires_ms;
}

int tokens_check_name(const char *name, bool certificate, struct err *err)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@";
    size_t len = strlen(name), i;

    if (!len || len > TOKEN_NAME_MAX)
        return err_set(err, ERR_INVALID, "a name has 1 to %d characters, not %zu", TOKEN_NAME_MAX,
                       len);
    if (!certificate && strspn(name, plain) != len)
        return err_set(err, ERR_INVALID,
                       "'%s': a name has letters, digits, '.', '_', '-' and '@' alone", name);
    for (i = 0; i < len; i++)
        if (name[i] < 0x20 || name[i] > 0x7e)
            return err_set(err, ERR_INVALID,
                           "the common name of a certificate must be printable ASCII");
    return 0;
}

/* ---- the file ---- */

static bool copy_text(const json_t *doc, const char *key, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(doc, key));

    if (!text || strlen(text) >= size)
        return false;
    strcpy(to, text);
    return true;
}

static bool read_entry(const json_t *doc, struct token *t)
{
    char kind[16], role[16];

    *t = (struct token){0};
    if (!copy_text(doc, "name", t->name, sizeof(t->name)) ||
        !copy_text(doc, "kind", kind, sizeof(kind)) ||
        !copy_text(doc, "role", role, sizeof(role)) || !role_from_name(role, &t->role) ||
        !json_is_integer(json_object_get(doc, "created_ms")) ||
        !json_is_integer(json_object_get(doc, "expires_ms")))
        return false;
    t->certificate = strcmp(kind, "certificate") == 0;
    t->created_ms = json_integer_value(json_object_get(doc, "created_ms"));
    t->expires_ms = json_integer_value(json_object_get(doc, "expires_ms"));
    if (t->certificate)
        return true;
    return strcmp(kind, "token") == 0 && copy_text(doc, "sha256", t->hash, sizeof(t->hash)) &&
           strspn(t->hash, "0123456789abcdef") == TOKEN_HASH_SIZE - 1;
}

static int read_entries(const json_t *root, const char *path, struct tokens *ret, struct err *err)
{
    const json_t *entries = json_object_get(root, "entries");
    size_t n = json_array_size(entries), i;
    struct tokens t = {0};

    if (!json_is_array(entries) || n > TOKENS_MAX)
        return err_set(err, ERR_INVALID, "%s must hold a list `entries`, of at most %d", path,
                       TOKENS_MAX);
    t.items = calloc(n + 1, sizeof(*t.items));
    if (!t.items)
        return err_nomem(err, n * sizeof(*t.items));
    for (i = 0; i < n; i++, t.n++)
        if (!read_entry(json_array_get(entries, i), &t.items[i])) {
            tokens_free(&t);
            return err_set(err, ERR_INVALID,
                           "%s: entry %zu lacks a name, kind, role, time or sha256, or has a wrong "
                           "one",
                           path, i + 1);
        }
    *ret = t;
    return 0;
}

static int read_file(const char *path, struct tokens *ret, struct err *err)
{
    json_t *root = NULL;
    struct stat st;
    int rc;

    if (lstat(path, &st) < 0 && errno == ENOENT) {
        *ret = (struct tokens){0};
        return 0;
    }
    if (lstat(path, &st) == 0 && ((st.st_mode & 077) || st.st_uid != geteuid()))
        return err_set(err, ERR_INVALID,
                       "%s must be this user's, with mode 0600: whoever writes it can call dashd",
                       path);
    rc = json_file_read_no_link(path, FILE_SMALL_MAX, &root, err);
    if (rc < 0)
        return rc;
    rc = read_entries(root, path, ret, err);
    json_decref(root);
    return rc;
}

int tokens_read(const char *state, struct tokens *ret, struct err *err)
{
    char *path = tokens_path(state);
    int rc = path ? read_file(path, ret, err) : err_nomem(err, strlen(state));

    free(path);
    return rc;
}

static json_t *entry_to_json(const struct token *t)
{
    json_t *doc =
        json_pack("{s:s, s:s, s:s, s:I, s:I}", "name", t->name, "kind",
                  t->certificate ? "certificate" : "token", "role", role_name(t->role),
                  "created_ms", (json_int_t)t->created_ms, "expires_ms", (json_int_t)t->expires_ms);

    if (doc && !t->certificate)
        json_object_set_new(doc, "sha256", json_string(t->hash));
    return doc;
}

static int write_json(const char *path, json_t *doc, struct err *err)
{
    char *text = doc ? json_dumps(doc, JSON_INDENT(1)) : NULL;
    int rc = text ? file_write_secret(path, text, strlen(text), err) : err_nomem(err, strlen(path));

    free(text);
    json_decref(doc);
    return rc;
}

static int write_file(const char *path, const struct tokens *t, struct err *err)
{
    json_t *entries = json_array();
    int i;

    for (i = 0; i < t->n; i++)
        json_array_append_new(entries, entry_to_json(&t->items[i]));
    return write_json(path, json_pack("{s:o}", "entries", entries), err);
}

/* ---- changes ---- */

static int find_name(const struct tokens *t, const char *name, bool certificate)
{
    int i;

    for (i = 0; i < t->n; i++)
        if (t->items[i].certificate == certificate && strcmp(t->items[i].name, name) == 0)
            return i;
    return -1;
}

static int add(struct tokens *t, const struct token *entry, struct err *err)
{
    struct token *items;

    if (find_name(t, entry->name, entry->certificate) >= 0)
        return err_set(err, ERR_STATE, "there is a %s %s: revoke it first",
                       entry->certificate ? "certificate" : "token", entry->name);
    if (t->n == TOKENS_MAX)
        return err_set(err, ERR_STATE, "there are %d entries, which is the most: revoke one",
                       TOKENS_MAX);
    items = realloc(t->items, (size_t)(t->n + 1) * sizeof(*items));
    if (!items)
        return err_nomem(err, (size_t)(t->n + 1) * sizeof(*items));
    t->items = items;
    t->items[t->n++] = *entry;
    return 0;
}

static int remove_entry(struct tokens *t, const struct token *entry, struct err *err)
{
    int at = find_name(t, entry->name, entry->certificate);

    if (at < 0 || !t->items)
        return err_set(err, ERR_NOT_FOUND, "there is no %s %s: `dashd token list` shows all",
                       entry->certificate ? "certificate" : "token", entry->name);
    t->items[at] = t->items[--t->n];
    return 0;
}

static int change(const char *state, const struct token *entry,
                  int (*apply)(struct tokens *t, const struct token *entry, struct err *err),
                  struct err *err)
{
    char *path = tokens_path(state), *lock_path = file_join(state, "tokens.lock");
    struct tokens t = {0};
    int lock = -1, rc;

    rc = path && lock_path ? file_lock(lock_path, LOCK_WAIT_MS, &lock, err)
                           : err_nomem(err, strlen(state));
    if (rc == 0)
        rc = read_file(path, &t, err);
    if (rc == 0)
        rc = apply(&t, entry, err);
    if (rc == 0)
        rc = write_file(path, &t, err);
    tokens_free(&t);
    if (lock >= 0)
        close(lock);
    free(path);
    free(lock_path);
    return rc;
}

void tokens_hash(const char *secret, char ret_hash[TOKEN_HASH_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)secret, strlen(secret), digest);
    hex_print(digest, sizeof(digest), ret_hash);
}

int tokens_add(const char *state, struct token *entry, char ret_secret[TOKEN_SECRET_SIZE],
               struct err *err)
{
    int rc = tokens_check_name(entry->name, entry->certificate, err);

    entry->created_ms = clock_unix_ms();
    ret_secret[0] = '\0';
    if (rc == 0 && !entry->certificate) {
        strcpy(ret_secret, prefix);
        rc = random_hex(ret_secret + strlen(prefix), SECRET_BYTES, err);
        if (rc == 0)
            tokens_hash(ret_secret, entry->hash);
    }
    return rc == 0 ? change(state, entry, add, err) : rc;
}

int tokens_remove(const char *state, const char *name, bool certificate, struct err *err)
{
    struct token entry = {.certificate = certificate};

    snprintf(entry.name, sizeof(entry.name), "%s", name);
    return change(state, &entry, remove_entry, err);
}

/* ---- finding ---- */

struct token *tokens_find_hash(const struct tokens *t, const char hash[TOKEN_HASH_SIZE])
{
    struct token *found = NULL;
    int i;

    for (i = 0; i < t->n; i++) /* all of them, whether or not one has been found */
        if (!t->items[i].certificate &&
            CRYPTO_memcmp(t->items[i].hash, hash, TOKEN_HASH_SIZE - 1) == 0)
            found = &t->items[i];
    return found;
}

struct token *tokens_find_certificate(const struct tokens *t, const char *name)
{
    int at = find_name(t, name, true);

    return at >= 0 ? &t->items[at] : NULL;
}

/* ---- uses ---- */

static char *uses_path(const char *state)
{
    return file_join(state, "token-uses.json");
}

/* Tokens and certificates may have one name. */
static void use_key(const struct token *t, char *key, size_t size)
{
    snprintf(key, size, "%s:%s", t->certificate ? "cert" : "token", t->name);
}

void tokens_read_uses(const char *state, struct tokens *t)
{
    char *path = uses_path(state), key[TOKEN_NAME_MAX + 8];
    json_t *root = NULL;
    int i;

    if (path && json_file_read_no_link(path, FILE_SMALL_MAX, &root, NULL) == 0)
        for (i = 0; i < t->n; i++) {
            use_key(&t->items[i], key, sizeof(key));
            t->items[i].used_ms = json_integer_value(json_object_get(root, key));
        }
    json_decref(root);
    free(path);
}

int tokens_write_uses(const char *state, const struct tokens *t, struct err *err)
{
    char *path = uses_path(state), key[TOKEN_NAME_MAX + 8];
    json_t *root = json_object();
    int i, rc;

    for (i = 0; i < t->n; i++) {
        use_key(&t->items[i], key, sizeof(key));
        json_object_set_new(root, key, json_integer(t->items[i].used_ms));
    }
    if (path) {
        rc = write_json(path, root, err);
    } else {
        json_decref(root);
        rc = err_nomem(err, strlen(state));
    }
    free(path);
    return rc;
}
