/* core/json_file.c - see json_file.h. jansson's messages end in "near '<text>'", which is cut off.
 */
#include "core/json_file.h"
#include "core/file.h"
#include "core/json_parse.h"
#include <stdlib.h>
#include <string.h>

/* Where an allocation inside of a value fails, jansson says nothing at all. */
bool json_is_set(const json_t *value)
{
    return value && !json_is_null(value);
}

bool json_file_out_of_memory(const json_error_t *why)
{
    return json_error_code(why) == json_error_out_of_memory || !why->text[0];
}

/* jansson's words without what they quote. */
static int length_of(const char *words)
{
    const char *near = strstr(words, " near ");

    return near ? (int)(near - words) : (int)strlen(words);
}

static int parse(const char *bytes, size_t len, json_error_t *why, json_t **ret_root,
                 struct err *err)
{
    json_t *root = json_parse(bytes, len, 0, why);

    if (root) {
        *ret_root = root;
        return 0;
    }
    if (json_file_out_of_memory(why))
        return err_set(err, ERR_NOMEM, "not enough memory for its JSON");
    return err_set(err, ERR_INVALID, "is not valid JSON: %.*s", length_of(why->text), why->text);
}

int json_file_parse(const char *bytes, size_t len, const char *name, json_t **ret_root,
                    struct err *err)
{
    json_error_t why;
    int rc = parse(bytes, len, &why, ret_root, err);

    if (rc == ERR_INVALID)
        err_prefix(err, "%s:%d", name, why.line);
    else if (rc < 0)
        err_prefix(err, "%s", name);
    return rc;
}

static int parse_and_free(int rc, char *bytes, size_t len, const char *path, json_t **ret_root,
                          struct err *err)
{
    if (rc == 0)
        rc = json_file_parse(bytes, len, path, ret_root, err);
    free(bytes);
    return rc;
}

int json_file_read(const char *path, size_t max, json_t **ret_root, struct err *err)
{
    char *bytes = NULL;
    size_t len = 0;
    int rc = file_read(path, max, &bytes, &len, err);

    return parse_and_free(rc, bytes, len, path, ret_root, err);
}

int json_file_read_no_link(const char *path, size_t max, json_t **ret_root, struct err *err)
{
    char *bytes = NULL;
    size_t len = 0;
    int rc = file_read_no_link(path, max, &bytes, &len, err);

    return parse_and_free(rc, bytes, len, path, ret_root, err);
}

int json_file_read_object(const char *path, size_t max, json_t **ret_root, int *ret_line,
                          struct err *err)
{
    json_error_t why;
    json_t *root = NULL;
    char *bytes = NULL;
    size_t len = 0;
    int rc = file_read(path, max, &bytes, &len, err);

    *ret_line = 0;
    if (rc < 0)
        return rc;
    rc = parse(bytes, len, &why, &root, err);
    free(bytes);
    if (rc == 0 && json_is_object(root)) {
        *ret_root = root;
        return 0;
    }
    if (rc == ERR_NOMEM)
        return err_prefix(err, "%s", path);
    *ret_line = root || why.line < 1 ? 1 : why.line;
    if (root)
        rc = err_set(err, ERR_INVALID, "it is some other value");
    else
        rc = err_set(err, ERR_INVALID, "%.*s", length_of(why.text), why.text);
    json_decref(root);
    return rc;
}
