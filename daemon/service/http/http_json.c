/* daemon/service/http/http_json.c - see http_json.h. */
#include "daemon/service/http/http_json.h"
#include "core/json_file.h"
#include "core/utf8.h"
#include <stdlib.h>
#include <string.h>

/* Every value but the first comes after one of these. */
static int count_values(const char *bytes, size_t len)
{
    bool in_string = false;
    int n = 1;
    size_t i;

    for (i = 0; i < len && n <= HTTP_JSON_VALUES_MAX; i++)
        if (bytes[i] == '"')
            in_string = !in_string;
        else if (in_string)
            i += bytes[i] == '\\';
        else
            n += bytes[i] == ',' || bytes[i] == '[' || bytes[i] == '{';
    return n;
}

int http_json_parse(const char *bytes, size_t len, json_t **ret, struct err *err)
{
    if (count_values(bytes, len) > HTTP_JSON_VALUES_MAX)
        return err_set(err, ERR_INVALID, "the request has more than %d values: send less at a time",
                       HTTP_JSON_VALUES_MAX);
    return json_file_parse(bytes, len, "the request", ret, err);
}

json_t *http_json_text(const char *text)
{
    size_t len = strlen(text);
    char *valid;
    json_t *string;

    if (utf8_is_valid(text))
        return json_stringn(text, len);
    valid = strndup(text, len);
    if (!valid)
        return NULL;
    utf8_make_valid(valid, len);
    string = json_stringn(valid, len);
    free(valid);
    return string;
}
