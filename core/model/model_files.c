/* core/model/model_files.c - which files hold the weights, and opening them: those of a folder, or
 * the parts of a GGUF. */
#include "core/file.h"
#include "core/json_file.h"
#include "core/model/model_impl.h"
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INDEX_BYTES_MAX = 32 << 20, FILES_MAX = 1000 };

/* 1, 0, or a negative code for lack of memory. */
static int exists(const char *folder, const char *name, struct err *err)
{
    char *path = file_join(folder, name);
    bool there = path && access(path, F_OK) == 0;

    if (!path)
        return err_nomem(err, strlen(folder) + strlen(name) + 2);
    free(path);
    return there;
}

/* A file that cannot be opened is a problem; the others are looked at all the same. */
static int open_one(const char *folder, const char *name, struct model_files *files,
                    struct problems *problems, struct err *err)
{
    struct tensorfile **items =
        realloc(files->items, ((size_t)files->n + 1) * sizeof(*files->items));
    char *path = file_join(folder, name);
    struct err failed;
    int rc = 0;

    if (items)
        files->items = items;
    if (items && path && files->n >= FILES_MAX) {
        free(path);
        problems_add(problems, folder, 0, "more than %d files hold the weights", FILES_MAX);
        return err_set(err, ERR_INVALID, "%s: has too many files", folder);
    }
    if (!items || !path) {
        free(path);
        return err_nomem(err, sizeof(*items));
    }
    if (tensorfile_open(path, &files->items[files->n], &failed) < 0) {
        problems_add(problems, NULL, 0, "%s", failed.text);
        rc = err_set(err, ERR_INVALID, "%s", failed.text);
    } else {
        files->n++;
    }
    free(path);
    return rc;
}

static int worse(int rc, int other)
{
    return rc == 0 || other == ERR_NOMEM ? other : rc;
}

static int open_indexed(const char *folder, const json_t *map, struct model_files *files,
                        struct problems *problems, struct err *err)
{
    json_t *seen = json_object(), *value;
    const char *tensor;
    int rc = 0;

    json_object_foreach((json_t *)map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (!name || strchr(name, '/') || strlen(name) > NAME_MAX) {
            problems_add(problems, folder, 0,
                         "model.safetensors.index.json does not say in which file of the folder "
                         "tensor %.200s is",
                         tensor);
            rc = err_set(err, ERR_INVALID, "%s: the index is damaged", folder);
            break;
        }
        if (json_object_get(seen, name))
            continue;
        if (json_object_set_new(seen, name, json_true()) < 0)
            rc = err_nomem(err, strlen(name));
        else
            rc = worse(rc, open_one(folder, name, files, problems, err));
    }
    json_decref(seen);
    return rc;
}

static int read_index(const char *folder, struct model_files *files, struct problems *problems,
                      struct err *err)
{
    char *path = file_join(folder, "model.safetensors.index.json");
    const json_t *map;
    json_t *root = NULL;
    struct err failed;
    int rc, line;

    if (!path)
        return err_nomem(err, strlen(folder));
    rc = json_file_read_object(path, INDEX_BYTES_MAX, &root, &line, &failed);
    map = json_object_get(root, "weight_map");
    if (rc < 0) {
        problems_add(problems, line > 0 ? path : NULL, line, "%s%s",
                     line > 0 ? "is not a JSON object: " : "", failed.text);
        rc = err_set(err, rc == ERR_NOMEM ? rc : ERR_INVALID, "%s: cannot be used", path);
    } else if (!json_is_object(map) || json_object_size(map) == 0) {
        problems_add(problems, path, 0, "has no weight_map");
        rc = err_set(err, ERR_INVALID, "%s: cannot be used", path);
    } else {
        rc = open_indexed(folder, map, files, problems, err);
    }
    json_decref(root);
    free(path);
    return rc;
}

static int is_safetensors(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name), tail = strlen(".safetensors");

    return len > tail && strcmp(entry->d_name + len - tail, ".safetensors") == 0;
}

static int open_every(const char *folder, struct model_files *files, struct problems *problems,
                      struct err *err)
{
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, is_safetensors, alphasort), rc = 0, failed = errno;

    for (int i = 0; i < n; i++) {
        rc = worse(rc, open_one(folder, entries[i]->d_name, files, problems, err));
        free(entries[i]);
    }
    free(entries);
    if (n > 0)
        return rc;
    if (n < 0) {
        problems_add(problems, folder, 0, "the folder cannot be read: %s", strerror(failed));
        return err_set(err, failed == ENOMEM ? ERR_NOMEM : ERR_IO, "%s: cannot be read", folder);
    }
    problems_add(problems, folder, 0, "the folder has no *.safetensors%s",
                 exists(folder, "pytorch_model.bin", NULL) > 0 ||
                         exists(folder, "pytorch_model.bin.index.json", NULL) > 0
                     ? ": pytorch_model.bin is never read here, convert it to safetensors"
                     : "");
    return err_set(err, ERR_INVALID, "%s: the folder has no *.safetensors", folder);
}

int model_files_open(const char *folder, struct model_files *files, struct problems *problems,
                     struct err *err)
{
    int there = exists(folder, "model.safetensors", err);

    if (there > 0)
        return open_one(folder, "model.safetensors", files, problems, err);
    if (there == 0)
        there = exists(folder, "model.safetensors.index.json", err);
    if (there > 0)
        return read_index(folder, files, problems, err);
    return there < 0 ? there : open_every(folder, files, problems, err);
}

/* ---- GGUF ---- */

enum { PART_NAME_LEN = sizeof("-00001-of-00002.gguf") - 1 };

/* Whether a path ends as that of a part does. */
static bool parse_part(const char *path, int *ret_count)
{
    size_t len = strlen(path);
    int no, used = 0;

    return len > PART_NAME_LEN &&
           sscanf(path + len - PART_NAME_LEN, "-%5d-of-%5d.gguf%n", &no, ret_count, &used) == 2 &&
           used == PART_NAME_LEN && no >= 1 && *ret_count >= no && *ret_count <= FILES_MAX;
}

/* The keys of a part must say what its name says. */
static int check_part(const struct tensorfile *f, int no, int count, struct problems *problems,
                      struct err *err)
{
    double says_no = 0, says_count = 1;

    tensorfile_kv_number(f, "split.no", &says_no);
    tensorfile_kv_number(f, "split.count", &says_count);
    if (says_no == no && says_count == count)
        return 0;
    problems_add(problems, tensorfile_path(f), 0,
                 "is part %g of %g by its keys: the name of a part must end in "
                 "-00001-of-00002.gguf and the like",
                 says_no + 1, says_count);
    return err_set(err, ERR_INVALID, "%s: cannot be used", tensorfile_path(f));
}

int model_files_open_gguf(const char *path, struct model_files *files, struct problems *problems,
                          struct err *err)
{
    int count = 1, rc = 0;
    bool is_part = parse_part(path, &count);
    char *name = strdup(path), end[40];

    if (!name)
        return err_nomem(err, strlen(path));
    for (int i = 0; i < count && rc != ERR_NOMEM; i++) {
        int opened = files->n;
        if (is_part) {
            snprintf(end, sizeof(end), "-%05d-of-%05d.gguf", i + 1, count);
            memcpy(name + strlen(path) - PART_NAME_LEN, end, PART_NAME_LEN);
        }
        rc = worse(rc, open_one(NULL, name, files, problems, err));
        if (files->n > opened && tensorfile_is_gguf(files->items[opened]))
            rc = worse(rc, check_part(files->items[opened], i, count, problems, err));
    }
    free(name);
    return rc;
}

void model_files_close(struct model_files *files)
{
    for (int i = 0; i < files->n; i++)
        tensorfile_close(files->items[i]);
    free(files->items);
    *files = (struct model_files){0};
}
