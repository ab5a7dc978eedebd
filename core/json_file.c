/* core/json_file.c - see json_file.h. jansson's messages end in "near '<text>'", which is cut off. */
#include "core/json_file.h"
#include "core/file.h"
#include <stdlib.h>
#include <string.h>

int json_file_parse(const char *bytes, size_t len, const char *name, json_t **ret_root,
                    struct err *err)
{
    json_error_t why;
    json_t *root = json_loadb(bytes, len, 0, &why);
    const char *near;

    if (root) {
        *ret_root = root;
        return 0;
    }
    if (json_error_code(&why) == json_error_out_of_memory)
        return err_nomem(err, len);
    near = strstr(why.text, " near ");
    return err_set(err, ERR_INVALID, "%s:%d: is not valid JSON: %.*s", name, why.line,
                   near ? (int)(near - why.text) : (int)strlen(why.text), why.text);
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
