/* core/model/merge_folder.c - see merge.h: folders in Hugging Face's layout, out of one or of a
 * GGUF (merge_from_gguf.c).
 *
 * Of a folder weights keep the names of their files and their places among them, so that a model in
 * parts stays one, with a new index. Every other file of the base is copied but weights in other
 * forms. Where types change, config.json must say so, because transformers casts to what it says:
 * the value is replaced in the text, and nothing else of it.
 */
#include "core/json_scan.h"
#include "core/model/json_description.h"
#include "core/model/merge.h"
#include "core/model/merge_impl.h"
#include "core/tensor/dequant.h"
#include "core/tensor/quant.h"
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIDE_FILE_MAX = 1 << 28, NAME_BYTES = 60 };

struct folder {
    const struct merge *m;
    struct merge_plan plan; /* file by file */
    const char *to;         /* the folder that is written */
    uint64_t done, total;   /* bytes of tensors */
};

static int write_in(const char *folder, const char *name, const void *bytes, size_t len,
                    struct err *err)
{
    char *path = file_join(folder, name);
    int rc = path ? file_write_durably(path, bytes, len, err) : err_nomem(err, strlen(folder));

    free(path);
    return rc;
}

/* ---- types ---- */

static int choose_types(struct folder *f, struct err *err)
{
    const struct merge *m = f->m;

    for (int i = 0; i < f->plan.n; i++) {
        struct merge_tensor *t = &f->plan.of[i];
        enum tensor_type from = t->source.tensor->type;
        bool floats = from != TENSOR_I32 && from != TENSOR_I64;
        if (from == TENSOR_UNSUPPORTED)
            return err_set(err, ERR_UNSUPPORTED,
                           "%s: tensor %.200s has type %.60s, which cannot be "
                           "written",
                           tensorfile_path(t->file), t->source.tensor->name,
                           t->source.tensor->type_name);
        if (m->keep)
            t->type = t->map && !quant_can(from) ? TENSOR_F32 : from;
        else
            t->type = floats ? m->type : from;
    }
    return 0;
}

/* ---- weights ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Of the file with the weights of one of the base's. */
static const char *name_of(const struct folder *f, const struct tensorfile *file,
                           char text[NAME_BYTES])
{
    const struct model_files *files = &f->m->model->files;
    int i = 0;

    if (files->n == 1)
        return "model.safetensors";
    if (!f->m->model->gguf)
        return base_name(tensorfile_path(file));
    while (files->items[i] != file)
        i++;
    snprintf(text, NAME_BYTES, "model-%05d-of-%05d.safetensors", i + 1, files->n);
    return text;
}

/* The tensors of a file, which are n from `first` on in the plan. */
static int encode_header(const struct merge_tensor *first, int n, int *order, struct buf *out,
                         struct err *err)
{
    static const char *const metadata[] = {"format", "pt"};
    struct tensor_out *tensors = calloc((size_t)n + 1, sizeof(*tensors));
    int rc;

    if (!tensors)
        return err_nomem(err, (size_t)n * sizeof(*tensors));
    for (int i = 0; i < n; i++) {
        const struct tensor *from = first[i].source.tensor;
        tensors[i] = (struct tensor_out){
            .name = first[i].name, .type = first[i].type, .n_dims = from->n_dims};
        memcpy(tensors[i].shape, from->shape, sizeof(from->shape));
    }
    rc = safetensors_encode_header(tensors, n, metadata, 1, order, out, err);
    free(tensors);
    return rc;
}

static int write_tensors(struct folder *f, const struct merge_tensor *first, int n,
                         const char *path, struct err *err)
{
    struct file_writer w = {0};
    struct buf header = {0};
    int *order = calloc((size_t)n + 1, sizeof(*order));
    int rc = order ? encode_header(first, n, order, &header, err)
                   : err_nomem(err, (size_t)n * sizeof(*order));

    if (rc == 0)
        rc = file_writer_open(path, 0666, &w, err);
    if (rc == 0)
        rc = file_writer_add(&w, header.data, header.len, err);
    for (int i = 0; i < n && rc == 0; i++)
        rc = merge_write(f->m, &first[order[i]], &w, &f->done, f->total, err);
    if (rc == 0)
        rc = file_writer_commit(&w, err);
    file_writer_abandon(&w);
    buf_free(&header);
    free(order);
    return rc;
}

static int write_weights(struct folder *f, struct err *err)
{
    const struct merge_tensor *at = f->plan.of, *end = at + f->plan.n;
    char name[NAME_BYTES];
    int rc = 0, n;

    for (; at < end && rc == 0; at += n) {
        char *path = file_join(f->to, name_of(f, at->file, name));
        for (n = 1; at + n < end && at[n].file == at->file;)
            n++;
        rc = path ? write_tensors(f, at, n, path, err) : err_nomem(err, strlen(f->to));
        free(path);
    }
    return rc;
}

static int write_index(const struct folder *f, struct err *err)
{
    json_t *map = json_object();
    json_t *root = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)f->total,
                             "weight_map", map);
    bool failed = !root;
    char *text, name[NAME_BYTES];
    int rc;

    for (int i = 0; i < f->plan.n && !failed; i++)
        failed = json_object_set_new(map, f->plan.of[i].name,
                                     json_string(name_of(f, f->plan.of[i].file, name))) < 0;
    text = failed ? NULL : json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    rc = text ? write_in(f->to, "model.safetensors.index.json", text, strlen(text), err)
              : err_nomem(err, (size_t)f->plan.n * sizeof(*f->plan.of));
    free(text);
    json_decref(root);
    return rc;
}

/* ---- config.json ---- */

static bool key_is(const char *raw, size_t len, const char *key)
{
    return len == strlen(key) && memcmp(raw, key, len) == 0;
}

/* Copies an object, whose opening brace was taken, with another type of numbers. *copied is up to
 * where the text has been copied. False where the text is no JSON. */
static bool retype(struct json_scan *s, const char *type, const char **copied, struct buf *out)
{
    const char *key;
    size_t len;
    bool first = true;
    int more;

    while ((more = json_scan_member(s, &first, &key, &len)) > 0) {
        bool is_type = key_is(key, len, "torch_dtype") || key_is(key, len, "dtype");
        if (key_is(key, len, "text_config") && json_scan_accept(s, '{')) {
            if (!retype(s, type, copied, out))
                return false;
            continue;
        }
        if (is_type && json_scan_peek(s) == '"') {
            buf_append(out, *copied, (size_t)(s->at - *copied));
            buf_printf(out, "\"%s\"", type);
        }
        is_type &= json_scan_peek(s) == '"';
        if (!json_scan_skip(s))
            return false;
        if (is_type)
            *copied = s->at;
    }
    return more == 0;
}

static int write_config(const struct folder *f, const char *text, size_t len, struct err *err)
{
    struct json_scan s = {.start = text, .at = text, .end = text + len};
    const char *copied = text;
    struct buf out = {0};
    int rc = 0;

    if (!json_scan_accept(&s, '{') || !retype(&s, model_torch_dtype(f->m->type), &copied, &out))
        rc = err_set(err, ERR_INVALID, "%s/config.json: is not a JSON object", f->m->model->path);
    buf_append(&out, copied, (size_t)(text + len - copied));
    if (rc == 0 && out.failed)
        rc = err_nomem(err, len);
    if (rc == 0)
        rc = write_in(f->to, "config.json", out.data, out.len, err);
    buf_free(&out);
    return rc;
}

/* ---- the other files ---- */

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

/* Weights, which are written anew, or are in a form that is not. */
static bool is_weights(const char *name)
{
    static const char *const ends[] = {".safetensors", ".index.json", ".bin",   ".pt",
                                       ".pth",         ".gguf",       ".onnx",  ".h5",
                                       ".msgpack",     ".ckpt",       ".tflite"};

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (ends_with(name, ends[i]))
            return true;
    return false;
}

static bool holds_templates(const char *name)
{
    return strcmp(name, "additional_chat_templates") == 0 || strcmp(name, "chat_templates") == 0;
}

static int copy_file(const struct folder *f, const char *from, const char *to, const char *name,
                     struct err *err)
{
    bool is_config = strcmp(name, "config.json") == 0 && to == f->to;
    char *path = file_join(from, name), *bytes = NULL;
    size_t len = 0;
    int rc =
        path ? file_read(path, SIDE_FILE_MAX, &bytes, &len, err) : err_nomem(err, strlen(from));

    if (rc == 0 && is_config && !f->m->keep)
        rc = write_config(f, bytes, len, err);
    else if (rc == 0)
        rc = write_in(to, name, bytes, len, err);
    free(bytes);
    free(path);
    return rc;
}

static int copy_files(const struct folder *f, const char *from, const char *to, struct err *err);

static int copy_entry(const struct folder *f, const char *from, const char *to, const char *name,
                      struct err *err)
{
    char *path = file_join(from, name), *below = file_join(to, name);
    struct stat st;
    int rc = path && below ? 0 : err_nomem(err, strlen(from));

    if (rc == 0 && stat(path, &st) < 0)
        rc = err_errno(err, "%s: cannot be examined", path);
    if (rc == 0 && S_ISREG(st.st_mode) && !is_weights(name))
        rc = copy_file(f, from, to, name, err);
    if (rc == 0 && S_ISDIR(st.st_mode) && to == f->to && holds_templates(name)) {
        rc = file_make_folders(below, err);
        if (rc == 0)
            rc = copy_files(f, path, below, err);
    }
    free(below);
    free(path);
    return rc;
}

/* Hidden files belong to whoever downloaded the model. */
static int copy_files(const struct folder *f, const char *from, const char *to, struct err *err)
{
    DIR *dir = opendir(from);
    struct dirent *entry;
    int rc = 0;

    if (!dir)
        return err_errno(err, "%s: the folder cannot be read", from);
    while (rc == 0 && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            rc = copy_entry(f, from, to, entry->d_name, err);
    closedir(dir);
    return rc;
}

static int write_all_weights(struct folder *f, struct err *err)
{
    int rc = write_weights(f, err);

    return rc == 0 && f->m->model->files.n > 1 ? write_index(f, err) : rc;
}

/* Out of a folder. */
static int write_copy(struct folder *f, struct err *err)
{
    const char *text = f->m->chat_template;
    int rc = copy_files(f, f->m->model->path, f->to, err);

    if (rc == 0 && text)
        rc = write_in(f->to, "chat_template.jinja", text, strlen(text), err);
    return rc < 0 ? rc : write_all_weights(f, err);
}

/* Out of a GGUF. */
static int write_parts(struct folder *f, const struct merge_folder_parts *p, struct err *err)
{
    int rc = 0;

    for (int i = 0; i < p->n_files && rc == 0; i++)
        rc = write_in(f->to, p->files[i].name, p->files[i].text.data, p->files[i].text.len, err);
    return rc < 0 ? rc : write_all_weights(f, err);
}

/* parts: of a GGUF; else NULL. */
static int write_folder(struct folder *f, const struct merge_folder_parts *parts, const char *path,
                        struct err *err)
{
    struct folder_writer w = {0};
    int rc;

    for (int i = 0; i < f->plan.n; i++)
        f->total += merge_tensor_bytes(&f->plan.of[i]);
    rc = file_check_space(path, f->total, err);
    if (rc == 0)
        rc = folder_writer_open(path, &w, err);
    f->to = w.temporary;
    if (rc == 0)
        rc = parts ? write_parts(f, parts, err) : write_copy(f, err);
    if (rc == 0)
        rc = folder_writer_commit(&w, err);
    folder_writer_abandon(&w);
    return rc;
}

static int of_folder(const struct merge *m, const char *path, struct err *err)
{
    struct folder f = {.m = m};
    int rc = merge_plan_open(m, &f.plan, err);

    if (rc == 0)
        rc = choose_types(&f, err);
    if (rc == 0)
        rc = write_folder(&f, NULL, path, err);
    merge_plan_close(&f.plan);
    return rc;
}

static int of_gguf(const struct merge *m, const char *path, struct buf *notices,
                   struct problems *problems, struct err *err)
{
    struct merge_folder_parts parts = {0};
    struct folder f = {.m = m};
    int before = problems_count(problems);
    int rc = merge_folder_parts_open(m, &parts, notices, problems, err);

    f.plan = parts.plan;
    if (rc == 0 && problems_count(problems) > before)
        rc = err_set(err, ERR_INVALID, "%s cannot become a folder", m->model->path);
    if (rc == 0)
        rc = write_folder(&f, &parts, path, err);
    merge_folder_parts_close(&parts);
    return rc;
}

int merge_folder(const struct merge *m, const char *path, struct buf *notices,
                 struct problems *problems, struct err *err)
{
    return m->model->gguf ? of_gguf(m, path, notices, problems, err) : of_folder(m, path, err);
}
