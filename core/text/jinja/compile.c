/* core/text/jinja/compile.c - see jinja.h. A template becomes tokens, then a tree (parser.h), and
 * then its variables are given slots (scope.c). */
#include "core/text/jinja/jinja.h"
#include "core/text/jinja/parser.h"
#include "core/utf8.h"
#include <stdlib.h>

static const size_t TEMPLATE_MOST = 256 << 10;

static int parse(struct jinja *t, struct str source, struct err *err)
{
    struct parser p = {.t = t, .pool = &t->pool, .err = err};
    struct token *tokens = NULL;
    int rc = jinja_tokenise(t->name, source, &t->pool, &tokens, err);

    if (rc < 0)
        return rc;
    p.at = tokens;
    if (parse_template(&p, &t->body) < 0)
        return err->code;
    t->reads = pool_alloc(&t->pool, (size_t)t->n_names + 1);
    if (!t->reads)
        return err_nomem(err, (size_t)t->n_names + 1);
    memset(t->reads, 0, (size_t)t->n_names + 1);
    rc = jinja_resolve(t, err);
    if (rc == 0 && jinja_mentions(t, "self"))
        return err_set(err, ERR_UNSUPPORTED, "%s: the variable \"self\" is not supported", t->name);
    return rc;
}

int jinja_parse(const char *name, const char *text, size_t len, struct jinja **ret, struct err *err)
{
    struct err why = {0};
    struct jinja *t = NULL;
    int rc = 0;

    if (len > TEMPLATE_MOST)
        rc = err_set(&why, ERR_UNSUPPORTED, "%s has %zu bytes: at most %zu are supported", name,
                     len, TEMPLATE_MOST);
    else if (utf8_valid(text, len) < len)
        rc = err_set(&why, ERR_INVALID, "%s must be UTF-8: byte %zu is not", name,
                     utf8_valid(text, len));
    else if (!(t = calloc(1, sizeof(*t))) || !(t->name = strdup(name)))
        rc = err_nomem(&why, sizeof(*t));
    if (rc == 0)
        rc = parse(t, (struct str){text, len}, &why);
    if (rc < 0) {
        jinja_free(t);
        if (err)
            *err = why;
        return rc;
    }
    *ret = t;
    return 0;
}

void jinja_free(struct jinja *t)
{
    if (!t)
        return;
    pool_free(&t->pool);
    free(t->name);
    free(t);
}

bool jinja_has_generation(const struct jinja *t)
{
    return t->has_generation;
}

bool jinja_mentions(const struct jinja *t, const char *name)
{
    for (int i = 0; i < t->n_names; i++)
        if (t->reads[i] && str_equal(t->names[i], (struct str){name, strlen(name)}))
            return true;
    return false;
}
