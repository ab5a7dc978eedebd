/* client/export_target.h - whether an export may write to a path. */
#pragma once
#include "core/err.h"
#include <limits.h>
#include <stdbool.h>

/* The path without links, which need not exist but whose folder must. */
int export_absolute(const char *path, char ret[PATH_MAX], struct err *err);

/* ERR_INVALID where something is there, unless it may be replaced (force) and is what an export
 * writes: a regular file, or a folder of files. Never where it is, or holds, one of the inputs
 * (NULL: none). */
int export_check_target(const char *path, bool folder, bool force, const char *const *inputs, int n,
                        struct err *err);
