/* core/text/chat_source.c - see chat_source.h. Files of their own come first: where a folder has
 * any, what tokenizer_config.json says is not looked at. */
#include "core/text/chat_source.h"
#include "core/file.h"
#include "core/json_file.h"
#include "core/tensor/tensorfile.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEMPLATE_BYTES_MAX = 1 << 20, TEMPLATES_MAX = 64 };

static int add(struct chat_text **list, int *n, const char *name, const char *text,
               const char *from, struct err *err)
{
    struct chat_text *bigger = realloc(*list, ((size_t)*n + 1) * sizeof(*bigger)), *made;

    if (!bigger)
        return err_nomem(err, sizeof(*bigger));
    *list = bigger;
    made = &bigger[(*n)++];
    *made = (struct chat_text){strdup(name), strdup(text), from ? strdup(from) : NULL};
    return made->name && made->text && (made->from || !from) ? 0 : err_nomem(err, strlen(text));
}

static int add_template(struct chat_source *s, const char *name, const char *text, const char *from,
                        struct err *err)
{
    if (s->n_templates == TEMPLATES_MAX)
        return err_set(err, ERR_UNSUPPORTED, "%s: more than %d chat templates are not supported",
                       from, TEMPLATES_MAX);
    return add(&s->templates, &s->n_templates, name, text, from, err);
}

int chat_source_add_special(struct chat_source *s, const char *name, const char *text,
                            struct err *err)
{
    return text ? add(&s->specials, &s->n_specials, name, text, NULL, err) : 0;
}

static int read_file(struct chat_source *s, const char *path, const char *name, struct err *err)
{
    char *text;
    size_t len;
    int rc = file_read(path, TEMPLATE_BYTES_MAX, &text, &len, err);

    if (rc < 0)
        return rc;
    rc = strlen(text) == len
             ? add_template(s, name, text, path, err)
             : err_set(err, ERR_INVALID, "%s: holds a NUL, which no template has", path);
    free(text);
    return rc;
}

/* 1: it is a template's file, of this name. */
static int is_template(const char *file, char **ret_name)
{
    size_t len = strlen(file);

    if (len <= 6 || strcmp(file + len - 6, ".jinja") != 0)
        return 0;
    *ret_name = strndup(file, len - 6);
    return *ret_name ? 1 : -1;
}

static int read_named(struct chat_source *s, const char *folder, const char *file, struct err *err)
{
    char *name = NULL, *path = NULL;
    int rc = is_template(file, &name);

    if (rc > 0)
        path = file_join(folder, file);
    if (rc < 0 || (rc > 0 && !path))
        rc = err_nomem(err, strlen(file));
    else if (rc > 0)
        rc = chat_source_find(s, name) ? 0 : read_file(s, path, name, err);
    free(name);
    free(path);
    return rc;
}

/* Whatever order the folder has them in, a name has one template. */
static int read_names(struct chat_source *s, const char *path, const char *name, struct err *err)
{
    char *folder = file_beside(path, name);
    DIR *d = folder ? opendir(folder) : NULL;
    struct dirent *entry;
    int rc = folder ? 0 : err_nomem(err, strlen(path));

    while (d && rc == 0 && (entry = readdir(d)))
        rc = read_named(s, folder, entry->d_name, err);
    if (d)
        closedir(d);
    free(folder);
    return rc;
}

static int wrong_template(const char *from, struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "%s: \"chat_template\" must be a text, a list of {\"name\", \"template\"} or an "
                   "object of texts by their names",
                   from);
}

/* {"name": name, "template": text}, ...; of two with the same name the last counts. */
static int add_list(struct chat_source *s, const json_t *list, const char *from, struct err *err)
{
    int rc = 0;

    for (size_t i = json_array_size(list); i > 0 && rc == 0; i--) {
        const json_t *each = json_array_get(list, i - 1);
        const char *name = json_string_value(json_object_get(each, "name"));
        const char *text = json_string_value(json_object_get(each, "template"));
        if (!name || !text)
            rc = wrong_template(from, err);
        else if (!chat_source_find(s, name))
            rc = add_template(s, name, text, from, err);
    }
    return rc;
}

/* What "chat_template" of a file may be. */
static int add_value(struct chat_source *s, const json_t *value, const char *from, struct err *err)
{
    const char *name;
    json_t *text;
    int rc = 0;

    if (!value || json_is_null(value))
        return 0;
    if (json_is_string(value))
        return add_template(s, "default", json_string_value(value), from, err);
    if (json_is_array(value))
        return add_list(s, value, from, err);
    if (!json_is_object(value))
        return wrong_template(from, err);
    json_object_foreach((json_t *)value, name, text)
    {
        if (rc == 0)
            rc = json_is_string(text) ? add_template(s, name, json_string_value(text), from, err)
                                      : wrong_template(from, err);
    }
    return rc;
}

/* chat_template.jinja, or the older chat_template.json {"chat_template": text}. */
static int read_one(struct chat_source *s, const char *path, const char *name, struct err *err)
{
    char *beside = file_beside(path, name);
    json_t *root = NULL;
    int rc = beside ? 0 : err_nomem(err, strlen(path)), line = 0;

    if (rc == 0 && access(beside, F_OK) == 0 && strstr(name, ".json")) {
        rc = json_file_read_object(beside, TEMPLATE_BYTES_MAX, &root, &line, err);
        if (rc < 0 && line > 0)
            err_prefix(err, "%s:%d: is not a JSON object", beside, line);
        if (rc == 0)
            rc = add_value(s, json_object_get(root, "chat_template"), beside, err);
    } else if (rc == 0 && access(beside, F_OK) == 0) {
        rc = read_file(s, beside, "default", err);
    }
    json_decref(root);
    free(beside);
    return rc;
}

static int read_config(struct chat_source *s, const char *path, const json_t *config,
                       struct err *err)
{
    char *from = file_beside(path, "tokenizer_config.json");
    int rc = from ? add_value(s, json_object_get(config, "chat_template"), from, err)
                  : err_nomem(err, strlen(path));

    free(from);
    return rc;
}

int chat_source_read_folder(struct chat_source *s, const char *path, const json_t *config,
                            struct err *err)
{
    int rc = read_one(s, path, "chat_template.jinja", err);

    if (rc == 0)
        rc = read_names(s, path, "additional_chat_templates", err);
    if (rc == 0)
        rc = read_names(s, path, "chat_templates", err);
    if (rc == 0 && s->n_templates == 0)
        rc = read_config(s, path, config, err);
    if (rc == 0 && s->n_templates == 0)
        rc = read_one(s, path, "chat_template.json", err);
    return rc;
}

static int read_gguf_name(struct chat_source *s, const struct tensorfile *file, const char *name,
                          struct err *err)
{
    const char *text;
    char *key;

    if (asprintf(&key, "tokenizer.chat_template.%s", name) < 0)
        return err_nomem(err, strlen(name));
    text = tensorfile_kv_string(file, key);
    free(key);
    return text ? add_template(s, name, text, tensorfile_path(file), err) : 0;
}

int chat_source_read_gguf(struct chat_source *s, const struct tensorfile *file, struct err *err)
{
    const struct gguf_array *names = tensorfile_kv_array(file, "tokenizer.chat_templates");
    const char *text = tensorfile_kv_string(file, "tokenizer.chat_template");
    int rc = text ? add_template(s, "default", text, tensorfile_path(file), err) : 0;
    const uint8_t *at = NULL;
    const char *bytes;
    size_t len;

    while (names && names->strings && rc == 0 && gguf_next_text(names, &at, &bytes, &len)) {
        char *name = strndup(bytes, len);
        rc = name ? read_gguf_name(s, file, name, err) : err_nomem(err, len);
        free(name);
    }
    return rc;
}

static void free_list(struct chat_text *list, int n)
{
    for (int i = 0; i < n; i++) {
        free(list[i].name);
        free(list[i].text);
        free(list[i].from);
    }
    free(list);
}

void chat_source_free(struct chat_source *s)
{
    free_list(s->templates, s->n_templates);
    free_list(s->specials, s->n_specials);
    *s = (struct chat_source){0};
}

const struct chat_text *chat_source_find(const struct chat_source *s, const char *name)
{
    for (int i = 0; i < s->n_templates; i++)
        if (strcmp(s->templates[i].name, name) == 0)
            return &s->templates[i];
    return NULL;
}
