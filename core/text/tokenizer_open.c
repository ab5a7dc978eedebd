/* core/text/tokenizer_open.c - which file has the tokenizer. */
#include "core/file.h"
#include "core/tensor/tensorfile.h"
#include "core/text/tokenizer.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int (*from_fn)(const char *path, int bos_id, int eos_id, struct tokenizer **ret,
                       struct err *err);

static const struct {
    const char *name;
    from_fn from;
} names[] = {
    {"tokenizer.json", tokenizer_from_json},
    {"tokenizer.model", tokenizer_from_pieces},
    {"vocab.json", tokenizer_from_vocab}, /* with merges.txt */
};
enum { N_NAMES = sizeof(names) / sizeof(names[0]) };

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* 1: it was tried, *rc says how; 0: there is no such file. */
static int try_name(const char *folder, int i, int bos_id, int eos_id, struct tokenizer **ret,
                    int *rc, struct err *err)
{
    char *path = file_join(folder, names[i].name), *merges = file_join(folder, "merges.txt");
    bool there = path && is_there(path);

    if (names[i].from == tokenizer_from_vocab)
        there = there && merges && is_there(merges);
    if (!path || !merges)
        *rc = err_nomem(err, strlen(folder));
    else if (there)
        *rc = names[i].from(path, bos_id, eos_id, ret, err);
    there = there || !path || !merges;
    free(path);
    free(merges);
    return there;
}

int tokenizer_from_folder(const char *folder, int bos_id, int eos_id,
                          struct tokenizer **ret_tokenizer, struct err *err)
{
    int rc = 0;

    for (int i = 0; i < N_NAMES; i++)
        if (try_name(folder, i, bos_id, eos_id, ret_tokenizer, &rc, err))
            return rc;
    *ret_tokenizer = NULL;
    return 0;
}

static int from_gguf_file(const char *path, struct tokenizer **ret, struct err *err)
{
    struct tensorfile *file;
    int rc = tensorfile_open(path, &file, err);

    if (rc < 0)
        return rc;
    rc = tokenizer_from_gguf(file, ret, err);
    tensorfile_close(file);
    return rc;
}

/* The first bytes of a file: what is not there is NUL. */
static int read_magic(const char *path, char magic[4], struct err *err)
{
    int64_t size;
    int fd, rc = file_open(path, &fd, &size, err);

    if (rc < 0)
        return rc;
    memset(magic, 0, 4);
    if (pread(fd, magic, 4, 0) < 0)
        rc = err_errno(err, "%s cannot be read", path);
    close(fd);
    return rc;
}

static from_fn kind_of(const char *path, const char magic[4])
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    if (strcmp(name, "vocab.json") == 0)
        return tokenizer_from_vocab;
    return magic[0] == '{' || strstr(name, ".json") ? tokenizer_from_json : tokenizer_from_pieces;
}

int tokenizer_from_path(const char *path, struct tokenizer **ret_tokenizer, struct err *err)
{
    struct stat st;
    char magic[4];
    int rc;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        rc = tokenizer_from_folder(path, -1, -1, ret_tokenizer, err);
        if (rc < 0 || *ret_tokenizer)
            return rc;
        return err_set(
            err, ERR_INVALID,
            "%s: the folder has no tokenizer.json, no tokenizer.model, and no vocab.json "
            "with merges.txt",
            path);
    }
    rc = read_magic(path, magic, err);
    if (rc < 0)
        return rc;
    if (memcmp(magic, "GGUF", 4) == 0)
        return from_gguf_file(path, ret_tokenizer, err);
    return kind_of(path, magic)(path, -1, -1, ret_tokenizer, err);
}
