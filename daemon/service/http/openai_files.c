/* daemon/service/http/openai_files.c - see openai_files.h. The list is kept in memory: there are
 * few, and each has one line. */
#include "daemon/service/http/openai_files.h"
#include "core/file.h"
#include "core/json_file.h"
#include "core/log.h"
#include "core/random.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ID_LEN = OPENAI_FILE_ID_SIZE - 1 };

static char *path_of(const struct openai_files *f, const char *id, const char *ending)
{
    char *path;

    return asprintf(&path, "%s/%s%s", f->folder, id, ending) < 0 ? NULL : path;
}

char *openai_files_path(const struct openai_files *f, const char *id)
{
    return path_of(f, id, ".jsonl");
}

static void free_file(struct openai_file *file)
{
    free(file->filename);
    free(file->purpose);
    free(file->owner);
}

bool openai_files_has_room(const struct openai_files *f, struct err *err)
{
    if (f->n < OPENAI_FILES_MAX)
        return true;
    err_set(err, ERR_NOMEM, "there are %d files: delete some", f->n);
    return false;
}

/* A place behind the last, which counts once n does; NULL: there is none. */
static struct openai_file *next_place(struct openai_files *f, struct err *err)
{
    struct openai_file *more;

    if (!openai_files_has_room(f, err))
        return NULL;
    more = realloc(f->items, ((size_t)f->n + 1) * sizeof(*more));
    if (!more) {
        err_nomem(err, sizeof(*more));
        return NULL;
    }
    f->items = more;
    f->items[f->n] = (struct openai_file){0};
    return &f->items[f->n];
}

int openai_files_add(struct openai_files *f, const struct openai_file *file, struct err *err)
{
    struct openai_file *place = next_place(f, err);

    if (!place)
        return err->code;
    *place = *file;
    f->n++;
    return 0;
}

static bool is_id(const char *id, size_t len)
{
    return len == ID_LEN && strncmp(id, "file-", 5) == 0 &&
           strspn(id + 5, "0123456789abcdef") >= ID_LEN - 5;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text ? text : "";
}

static int load_one(struct openai_files *f, const char *id, struct err *err)
{
    char *path = path_of(f, id, ".json");
    json_t *o = NULL;
    struct openai_file *file = NULL;
    int rc = path ? json_file_read(path, FILE_SMALL_MAX, &o, err) : err_nomem(err, ID_LEN);

    if (rc == 0) {
        file = next_place(f, err);
        rc = file ? 0 : err->code;
    }
    if (rc == 0) {
        snprintf(file->id, sizeof(file->id), "%s", id);
        file->filename = strdup(text_of(o, "filename"));
        file->purpose = strdup(text_of(o, "purpose"));
        file->owner = strdup(text_of(o, "owner"));
        file->bytes = json_integer_value(json_object_get(o, "bytes"));
        file->rows = json_integer_value(json_object_get(o, "rows"));
        file->created_s = json_integer_value(json_object_get(o, "created_at"));
        if (file->filename && file->purpose && file->owner) {
            f->n++;
        } else {
            free_file(file);
            rc = err_nomem(err, ID_LEN);
        }
    }
    json_decref(o);
    free(path);
    return rc;
}

static int by_age(const void *a, const void *b)
{
    const struct openai_file *x = a, *y = b;

    if (x->created_s != y->created_s)
        return x->created_s < y->created_s ? -1 : 1;
    return strcmp(x->id, y->id);
}

/* Bytes of an upload or a deletion that a dashd did not end. */
static void remove_lone(const struct openai_files *f, const char *id)
{
    char *entry = path_of(f, id, ".json"), *bytes = openai_files_path(f, id);

    if (entry && bytes && access(entry, F_OK) < 0 && errno == ENOENT && unlink(bytes) == 0)
        log_info("%s is removed: nobody knows it", bytes);
    free(entry);
    free(bytes);
}

/* A file that cannot be read is left out, and said. */
static int load(struct openai_files *f, struct err *err)
{
    DIR *dir = opendir(f->folder);
    struct dirent *entry;
    struct err why;
    char id[OPENAI_FILE_ID_SIZE];

    if (!dir)
        return err_errno(err, "%s", f->folder);
    while ((entry = readdir(dir))) {
        const char *ending = strrchr(entry->d_name, '.');
        if (!ending || !is_id(entry->d_name, (size_t)(ending - entry->d_name)))
            continue;
        snprintf(id, sizeof(id), "%.*s", ID_LEN, entry->d_name);
        if (strcmp(ending, ".jsonl") == 0)
            remove_lone(f, id);
        else if (strcmp(ending, ".json") == 0 && load_one(f, id, &why) < 0)
            log_error("an uploaded file is left out: %s", why.text);
    }
    closedir(dir);
    if (f->n)
        qsort(f->items, (size_t)f->n, sizeof(*f->items), by_age);
    return 0;
}

int openai_files_open(uv_loop_t *loop, const char *state, struct openai_files **ret,
                      struct err *err)
{
    struct openai_files *f = calloc(1, sizeof(*f));
    int rc;

    if (!f || asprintf(&f->folder, "%s/files", state) < 0) {
        free(f);
        return err_nomem(err, sizeof(*f));
    }
    f->loop = loop;
    rc = file_make_folders(f->folder, err);
    if (rc == 0) {
        file_remove_temporaries(f->folder); /* uploads that did not come whole */
        rc = load(f, err);
    }
    if (rc < 0) {
        openai_files_close(f);
        return rc;
    }
    *ret = f;
    return 0;
}

void openai_files_close(struct openai_files *f)
{
    int i;

    if (!f)
        return;
    for (i = 0; i < f->n; i++)
        free_file(&f->items[i]);
    free(f->items);
    free(f->folder);
    free(f);
}

const struct openai_file *openai_files_find(const struct openai_files *f,
                                            const struct caller *caller, const char *id)
{
    int i;

    for (i = 0; i < f->n; i++)
        if (strcmp(f->items[i].id, id) == 0 &&
            (caller->role >= ROLE_ADMIN || strcmp(f->items[i].owner, caller->name) == 0))
            return &f->items[i];
    return NULL;
}

/* "<folder>/file-1.json" of the ".jsonl" there. */
static char *entry_of(const char *path)
{
    return strndup(path, strlen(path) - 1);
}

int openai_files_write(const char *path, const struct openai_file *file, struct err *err)
{
    json_t *o =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "filename", file->filename, "purpose",
                  file->purpose, "bytes", (json_int_t)file->bytes, "rows", (json_int_t)file->rows,
                  "created_at", (json_int_t)file->created_s, "owner", file->owner);
    char *text = o ? json_dumps(o, 0) : NULL, *entry = entry_of(path);
    int rc =
        text && entry ? file_write_durably(entry, text, strlen(text), err) : err_nomem(err, ID_LEN);

    free(text);
    free(entry);
    json_decref(o);
    return rc;
}

void openai_files_erase(const char *path)
{
    char *entry = entry_of(path);

    if (entry)
        unlink(entry);
    free(entry);
    unlink(path);
}

int openai_files_new_id(char ret_id[OPENAI_FILE_ID_SIZE], struct err *err)
{
    memcpy(ret_id, "file-", 5);
    return random_hex(ret_id + 5, (ID_LEN - 5) / 2, err);
}

int openai_files_remove(struct openai_files *f, const char *id, struct err *err)
{
    char *entry = path_of(f, id, ".json"), *bytes = openai_files_path(f, id);
    int rc = 0, i;

    if (!entry || !bytes)
        rc = err_nomem(err, ID_LEN);
    else if (unlink(entry) < 0)
        rc = err_errno(err, "cannot delete the file");
    else
        unlink(bytes);
    for (i = 0; rc == 0 && i < f->n; i++)
        if (strcmp(f->items[i].id, id) == 0) {
            free_file(&f->items[i]);
            memmove(f->items + i, f->items + i + 1, (size_t)(f->n - i - 1) * sizeof(*f->items));
            f->n--;
            break;
        }
    free(entry);
    free(bytes);
    return rc;
}

json_t *openai_files_json(const struct openai_file *file)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:n, s:n}", "id", file->id, "object",
                     "file", "bytes", (json_int_t)file->bytes, "created_at",
                     (json_int_t)file->created_s, "filename", file->filename, "purpose",
                     file->purpose, "status", "processed", "status_details", "expires_at");
}
