/* core/text/data_files.h - which files a list of names means.
 *
 * A name is a path, or a pattern of glob(7), such as data/train-*.jsonl; a file whose own name has
 * such signs is meant first. The files of a pattern follow one another in the order of their bytes;
 * names keep theirs.
 */
#pragma once
#include "core/err.h"
#include "core/problems.h"

enum { DATA_FILES_MAX = 100000 };

struct data_files {
    char **paths;
    int n;
};

/* Problems: a pattern that no file has, a file that is named twice, be it by another path, and more
 * than DATA_FILES_MAX files. A path that leads to no file stays in the list: whoever reads it
 * reports why. ERR_INVALID where there are problems, ERR_NOMEM, or 0: undo by data_files_free(). */
int data_files_find(const char *const *names, int n, struct data_files *ret,
                    struct problems *problems, struct err *err);
void data_files_free(struct data_files *f);
