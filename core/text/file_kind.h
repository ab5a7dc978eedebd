/* core/text/file_kind.h - what a file is that holds no rows as this program reads them, found from
 * its first bytes.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { FILE_KIND_BYTES = 4096 }; /* that many first bytes are enough */

struct file_kind {
    const char *name;   /* "a Parquet file" */
    const char *advice; /* what to do, with a command where there is one */
};

/* Of a file whose format does not hold text, or text in another encoding than UTF-8; NULL: none is
 * recognised. */
const struct file_kind *file_kind_of_bytes(const char *head, size_t len);
/* Of a text that is neither JSON nor CSV: HTML, YAML and the like, at last plain text. */
const struct file_kind *file_kind_of_text(const char *head, size_t len);
/* Of a folder; NULL: of no special kind. */
const struct file_kind *file_kind_of_folder(const char *path);
