/* daemon/service/labels.c - see labels.h. A line of the text is found by comparing whole lines:
 * names have no '=', values no line's end. */
#include "daemon/service/labels.h"
#include "core/buf.h"
#include "core/utf8.h"
#include <stdlib.h>
#include <string.h>

static bool is_name(const char *name)
{
    size_t len = strlen(name), i;

    for (i = 0; i < len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/", name[i]))
            return false;
    return len > 0 && len <= LABEL_NAME_MAX;
}

static bool is_value(const char *value)
{
    size_t i;

    for (i = 0; value[i]; i++)
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
            return false;
    return i <= LABEL_VALUE_MAX && utf8_is_valid(value);
}

static int check(const struct label *l, struct err *err)
{
    if (!is_name(l->name))
        return err_set(err, ERR_INVALID,
                       "labels: '%.80s' is not a name: it must have 1 to %d letters, digits, '.', "
                       "'_', '-' or '/'",
                       utf8_is_valid(l->name) ? l->name : "?", LABEL_NAME_MAX);
    if (!is_value(l->value))
        return err_set(err, ERR_INVALID,
                       "labels: the value of '%s' must be UTF-8 without control characters, of at "
                       "most %d bytes",
                       l->name, LABEL_VALUE_MAX);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static int encode_sorted(const struct label *labels, size_t n, char **ret_text, struct err *err)
{
    struct buf b = {0};
    size_t i;

    for (i = 0; i < n; i++) {
        int rc = check(&labels[i], err);
        if (rc == 0 && i > 0 && by_name(&labels[i - 1], &labels[i]) == 0)
            rc = err_set(err, ERR_INVALID, "labels: '%s' is there twice", labels[i].name);
        if (rc < 0) {
            buf_free(&b);
            return rc;
        }
        buf_printf(&b, "%s=%s\n", labels[i].name, labels[i].value);
    }
    *ret_text = buf_take(&b);
    return *ret_text ? 0 : err_nomem(err, 1);
}

int labels_encode(const struct label *labels, size_t n, char **ret_text, struct err *err)
{
    struct label sorted[LABELS_MAX];

    if (n > LABELS_MAX)
        return err_set(err, ERR_INVALID, "labels: a job has at most %d, not %zu", LABELS_MAX, n);
    if (n > 0) {
        memcpy(sorted, labels, n * sizeof(*labels));
        qsort(sorted, n, sizeof(*sorted), by_name);
    }
    return encode_sorted(sorted, n, ret_text, err);
}

size_t labels_split(char *text, struct label labels[LABELS_MAX])
{
    char *end, *equals;
    size_t n = 0;

    while (n < LABELS_MAX && (end = strchr(text, '\n')) && (equals = strchr(text, '='))) {
        *end = *equals = '\0';
        labels[n++] = (struct label){text, equals + 1};
        text = end + 1;
    }
    return n;
}

bool labels_have(const char *text, const struct label *label)
{
    size_t name = strlen(label->name), value = strlen(label->value);

    for (; *text; text = strchr(text, '\n') + 1)
        if (strncmp(text, label->name, name) == 0 && text[name] == '=' &&
            strncmp(text + name + 1, label->value, value) == 0 && text[name + 1 + value] == '\n')
            return true;
    return false;
}
