/* core/file_version.h - whether a file is still the one that was read: a program that runs for long
 * finds out by this, at the cost of one stat(2), that another has replaced it.
 *
 * Files that are replaced by rename (core/file.h) differ at least in their number.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

struct file_version { /* all 0: none is there */
    dev_t device;
    ino_t number;
    off_t size;
    struct timespec changed;
};

struct file_version file_version_of(const char *path);
bool file_version_equal(const struct file_version *a, const struct file_version *b);
