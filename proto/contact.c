/* proto/contact.c - see contact.h. The file is secret, since it holds the token, and is replaced
 * as a whole. */
#include "proto/contact.h"
#include "core/file.h"
#include "core/json_file.h"
#include <stdlib.h>
#include <string.h>

static json_t *to_json(const struct contact *c)
{
    json_t *addresses = json_array();
    int i;

    for (i = 0; i < c->n; i++)
        json_array_append_new(addresses, json_string(c->addresses[i]));
    return json_pack("{s:s, s:s, s:o, s:s*, s:s*, s:o*}", "job", c->job, "token", c->token,
                     "addresses", addresses, "certificate", c->certificate, "died", c->died,
                     "died_at", c->died ? json_integer(c->died_at) : NULL);
}

int contact_write(const char *path, const struct contact *c, struct err *err)
{
    json_t *doc = to_json(c);
    char *text = doc ? json_dumps(doc, JSON_INDENT(1)) : NULL;
    int rc = text ? file_write_secret(path, text, strlen(text), err) : err_nomem(err, strlen(path));

    free(text);
    json_decref(doc);
    return rc;
}

static char *text_of(const json_t *doc, const char *key)
{
    const char *text = json_string_value(json_object_get(doc, key));

    return text ? strdup(text) : NULL;
}

static int take(const json_t *doc, struct contact *c)
{
    const json_t *addresses = json_object_get(doc, "addresses");
    size_t i;

    c->job = text_of(doc, "job");
    c->token = text_of(doc, "token");
    c->certificate = text_of(doc, "certificate");
    c->died = text_of(doc, "died");
    c->died_at = (int)json_integer_value(json_object_get(doc, "died_at"));
    for (i = 0; i < json_array_size(addresses) && c->n < CONTACT_ADDRESSES; i++) {
        const char *address = json_string_value(json_array_get(addresses, i));
        c->addresses[c->n] = address ? strdup(address) : NULL;
        if (!c->addresses[c->n])
            return -1;
        c->n++;
    }
    return c->job && c->token ? 0 : -1;
}

int contact_read(const char *path, struct contact *ret, struct err *err)
{
    struct contact c = {0};
    json_t *doc;
    int rc = json_file_read_no_link(path, FILE_SMALL_MAX, &doc, err);

    if (rc < 0)
        return rc;
    if (take(doc, &c) < 0)
        rc = err_set(err, ERR_INVALID, "%s lacks the job, the token or an address", path);
    json_decref(doc);
    if (rc < 0)
        contact_free(&c);
    else
        *ret = c;
    return rc;
}

void contact_free(struct contact *c)
{
    int i;

    free(c->job);
    free(c->token);
    free(c->certificate);
    free(c->died);
    for (i = 0; i < c->n; i++)
        free(c->addresses[i]);
    *c = (struct contact){0};
}
