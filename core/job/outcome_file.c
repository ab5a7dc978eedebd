/* core/job/outcome_file.c - see outcome_file.h. */
#include "core/job/outcome_file.h"
#include "core/file.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int outcome_write(const char *output, const char *how, bool asked, const char *reason,
                  struct err *err)
{
    json_t *o = json_pack("{s:s, s:b, s:s}", "how", how, "asked", asked, "reason", reason);
    char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
    int rc = text ? file_write_in(output, "outcome.json", text, strlen(text), err)
                  : err_nomem(err, strlen(reason));

    free(text);
    json_decref(o);
    return rc;
}
