/* core/tensor/tensorfile.c - see tensorfile.h. Owns the map and the lookup; the two formats are
 * parsed in gguf.c and safetensors.c. Lookup by name is a binary search in an index sorted once at
 * open. */
#include "core/tensor/tensorfile.h"
#include "core/tensor/dequant.h"
#include "core/file.h"
#include "core/tensor/tensorfile_impl.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool starts_with(const struct tensorfile *f, const char *magic)
{
    size_t len = strlen(magic);

    return f->len >= len && memcmp(f->bytes, magic, len) == 0;
}

static int map_file(struct tensorfile *f, struct err *err)
{
    off_t bytes = 0;
    int fd = -1, rc = file_open(f->path, &fd, &bytes, err);

    if (rc < 0)
        return rc;
    if (bytes <= 0) {
        rc = err_set(err, ERR_INVALID, "%s: the file is empty", f->path);
    } else {
        f->len = (size_t)bytes;
        f->map = mmap(NULL, f->len, PROT_READ, MAP_PRIVATE, fd, 0);
        f->bytes = f->map;
        if (f->map == MAP_FAILED) {
            f->map = NULL;
            rc = err_errno(err, "%s: cannot be mapped", f->path);
        }
    }
    close(fd);
    return rc;
}

void tensorfile_release(const struct tensorfile *file)
{
    if (file->map)
        madvise(file->map, file->len, MADV_DONTNEED);
}

static int compare_names(const void *a, const void *b, void *tensors)
{
    const struct tensor *t = tensors;

    return strcmp(t[*(const int *)a].name, t[*(const int *)b].name);
}

static int index_names(struct tensorfile *f, struct err *err)
{
    size_t bytes = (size_t)f->n * sizeof(*f->by_name);
    int i;

    f->by_name = pool_alloc(&f->pool, bytes);
    if (!f->by_name)
        return err_nomem(err, bytes);
    for (i = 0; i < f->n; i++)
        f->by_name[i] = i;
    if (f->n > 0)
        qsort_r(f->by_name, (size_t)f->n, sizeof(*f->by_name), compare_names, f->tensors);
    for (i = 1; i < f->n; i++) {
        const char *name = f->tensors[f->by_name[i]].name;
        if (strcmp(name, f->tensors[f->by_name[i - 1]].name) == 0)
            return err_set(err, ERR_INVALID, "two tensors have the name '%.200s': a duplicate",
                           name);
    }
    return 0;
}

static int compare_places(const void *a, const void *b, void *tensors)
{
    const struct tensor *x = (struct tensor *)tensors + *(const int *)a;
    const struct tensor *y = (struct tensor *)tensors + *(const int *)b;

    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int check_overlap(const struct tensorfile *f, struct err *err)
{
    int *order = malloc(((size_t)f->n + 1) * sizeof(*order));
    int rc = 0, i;

    if (!order)
        return err_nomem(err, (size_t)f->n * sizeof(*order));
    for (i = 0; i < f->n; i++)
        order[i] = i;
    qsort_r(order, (size_t)f->n, sizeof(*order), compare_places, f->tensors);
    for (i = 1; i < f->n && rc == 0; i++) {
        const struct tensor *a = &f->tensors[order[i - 1]], *b = &f->tensors[order[i]];
        if ((const char *)a->data + a->bytes > (const char *)b->data)
            rc = err_set(err, ERR_INVALID, "the data of tensors '%.200s' and '%.200s' overlap",
                         a->name, b->name);
    }
    free(order);
    return rc;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct file_kv *)a)->key, ((const struct file_kv *)b)->key);
}

static int sort_keys(struct tensorfile *f, struct err *err)
{
    int i;

    if (f->n_kvs > 0)
        qsort(f->kvs, (size_t)f->n_kvs, sizeof(*f->kvs), compare_keys);
    for (i = 1; i < f->n_kvs; i++)
        if (strcmp(f->kvs[i].key, f->kvs[i - 1].key) == 0)
            return err_set(err, ERR_INVALID, "the key '%.200s' appears twice", f->kvs[i].key);
    return 0;
}

static int parse(struct tensorfile *f, struct err *err)
{
    int rc;

    if (starts_with(f, "GGUF"))
        rc = gguf_parse(f, err);
    else if (starts_with(f, "PK\3\4") || starts_with(f, "\x80\x02\x8a"))
        rc = err_set(err, ERR_UNSUPPORTED,
                     "is a PyTorch pickle, which is never read here: convert it to safetensors");
    else if (starts_with(f, "version https://git-lfs"))
        rc = err_set(err, ERR_INVALID,
                     "is only a Git LFS pointer: fetch the real file (git lfs pull)");
    else
        rc = safetensors_parse(f, err);
    if (rc == 0)
        rc = index_names(f, err);
    if (rc == 0)
        rc = check_overlap(f, err);
    if (rc == 0)
        rc = sort_keys(f, err);
    return rc;
}

static int open_with(const char *name, const void *bytes, size_t len, struct tensorfile **ret_file,
                     struct err *err)
{
    struct tensorfile *f = calloc(1, sizeof(*f));
    int rc = 0;

    if (!f || !(f->path = strdup(name))) {
        rc = err_nomem(err, sizeof(*f));
        goto fail;
    }
    f->bytes = bytes;
    f->len = len;
    if (!bytes)
        rc = map_file(f, err);
    if (rc < 0)
        goto fail;
    rc = parse(f, err);
    if (rc < 0) {
        err_prefix(err, "%s", name);
        goto fail;
    }
    *ret_file = f;
    return 0;
fail:
    tensorfile_close(f);
    return rc;
}

int tensorfile_open(const char *path, struct tensorfile **ret_file, struct err *err)
{
    return open_with(path, NULL, 0, ret_file, err);
}

int tensorfile_from_memory(const void *bytes, size_t len, const char *name,
                           struct tensorfile **ret_file, struct err *err)
{
    if (len == 0)
        return err_set(err, ERR_INVALID, "%s: is empty", name);
    return open_with(name, bytes, len, ret_file, err);
}

void tensorfile_close(struct tensorfile *file)
{
    if (!file)
        return;
    if (file->map)
        munmap(file->map, file->len);
    pool_free(&file->pool);
    free(file->path);
    free(file);
}

const char *tensorfile_path(const struct tensorfile *file)
{
    return file->path;
}

int tensorfile_count(const struct tensorfile *file)
{
    return file->n;
}

const struct tensor *tensorfile_at(const struct tensorfile *file, int i)
{
    return &file->tensors[i];
}

bool tensorfile_is_gguf(const struct tensorfile *file)
{
    return file->gguf;
}

const struct tensor *tensorfile_find(const struct tensorfile *file, const char *name)
{
    int low = 0, high = file->n;

    while (low < high) {
        int middle = low + (high - low) / 2;
        const struct tensor *t = &file->tensors[file->by_name[middle]];
        int order = strcmp(name, t->name);
        if (order == 0)
            return t;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static const struct file_kv *find_key(const struct tensorfile *file, const char *key)
{
    struct file_kv wanted = {.key = key};

    return file->n_kvs > 0
               ? bsearch(&wanted, file->kvs, (size_t)file->n_kvs, sizeof(*file->kvs), compare_keys)
               : NULL;
}

static const struct file_kv *find_kv(const struct tensorfile *file, const char *key,
                                     enum kv_kind kind)
{
    const struct file_kv *kv = find_key(file, key);

    return kv && kv->kind == kind ? kv : NULL;
}

const char *tensorfile_metadata(const struct tensorfile *file, const char *key)
{
    const struct file_kv *kv = file->gguf ? NULL : find_kv(file, key, KV_STRING);

    return kv ? kv->text : NULL;
}

enum kv_kind tensorfile_kv_kind(const struct tensorfile *file, const char *key)
{
    const struct file_kv *kv = file->gguf ? find_key(file, key) : NULL;

    return kv ? kv->kind : KV_ABSENT;
}

const char *tensorfile_kv_string(const struct tensorfile *file, const char *key)
{
    const struct file_kv *kv = file->gguf ? find_kv(file, key, KV_STRING) : NULL;

    return kv ? kv->text : NULL;
}

bool tensorfile_kv_number(const struct tensorfile *file, const char *key, double *ret)
{
    const struct file_kv *kv = find_kv(file, key, KV_NUMBER);

    if (kv)
        *ret = kv->number;
    return kv != NULL;
}

bool tensorfile_kv_bool(const struct tensorfile *file, const char *key, bool *ret)
{
    const struct file_kv *kv = find_kv(file, key, KV_BOOL);

    if (kv)
        *ret = kv->truth;
    return kv != NULL;
}

const struct gguf_array *tensorfile_kv_array(const struct tensorfile *file, const char *key)
{
    const struct file_kv *kv = find_kv(file, key, KV_ARRAY);

    return kv ? &kv->array : NULL;
}

bool shape_elements(const int64_t *shape, int n_dims, int64_t *ret)
{
    int64_t n = 1;
    bool zero = false;

    for (int i = 0; i < n_dims; i++) {
        zero |= shape[i] == 0;
        if (shape[i] > 0 && __builtin_mul_overflow(n, shape[i], &n))
            return false;
    }
    *ret = zero ? 0 : n;
    return true;
}

int64_t tensor_elements(const struct tensor *t)
{
    int64_t n = 0;

    shape_elements(t->shape, t->n_dims, &n);
    return n;
}

int64_t tensor_row_elements(const struct tensor *t)
{
    int64_t n = 0;

    if (t->n_dims < 2)
        return tensor_elements(t);
    shape_elements(t->shape + 1, t->n_dims - 1, &n);
    return n;
}

const char *tensor_type_name(enum tensor_type type)
{
    return type == TENSOR_UNSUPPORTED ? "unsupported" : tensor_layout(type)->name;
}

int tensor_check_readable(const struct tensor *t, struct err *err)
{
    if (t->type == TENSOR_UNSUPPORTED)
        return err_set(err, ERR_UNSUPPORTED,
                       "tensor '%.200s' has type %.60s, which this program does not read", t->name,
                       t->type_name);
    if (t->type == TENSOR_I32 || t->type == TENSOR_I64)
        return err_set(err, ERR_INVALID, "tensor '%.200s' holds integers (%s), not weights",
                       t->name, t->type_name);
    return 0;
}

int tensor_read_f32(const struct tensor *t, int64_t row, int64_t n_rows, float *out,
                    struct err *err)
{
    int64_t rows = t->n_dims < 2 ? 1 : t->shape[0], width = tensor_row_elements(t);
    const struct tensor_layout *l;
    int rc = tensor_check_readable(t, err);

    if (rc < 0)
        return rc;
    if (row < 0 || n_rows < 0 || row > rows || n_rows > rows - row)
        return err_set(err, ERR_INVALID,
                       "tensor '%.200s' has %lld rows: %lld from row %lld on were asked for",
                       t->name, (long long)rows, (long long)n_rows, (long long)row);
    l = tensor_layout(t->type);
    dequant(t->type, (const char *)t->data + row * (width / l->block_elements) * l->block_bytes,
            n_rows * width, out);
    return 0;
}
