/* core/text/file_kind.c - see file_kind.h. Most formats begin with bytes of their own; zip holds
 * several, which the name of its first member says; an encoding shows in where the zeros are.
 */
#include "core/text/file_kind.h"
#include "core/file.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define PANDAS(what)                                                                               \
    "Convert it: python3 -c \"import pandas; pandas.read_" what                                    \
    "('FILE').to_json('OUT.jsonl', orient='records', lines=True)\""
#define ICONV(from)  "Convert it: iconv -f " from " -t UTF-8 FILE > OUT.jsonl"
#define UNPACK(with) "Unpack it: " with " FILE > OUT.jsonl"
#define WRITE_ROWS   "Write its rows from Python with json.dumps(), one a line"

static const struct magic {
    size_t at;
    const char *bytes;
    size_t len;
    struct file_kind kind;
} magics[] = {
#define MAGIC(at, bytes, name, advice)                                                             \
    {                                                                                              \
        at, bytes, sizeof(bytes) - 1,                                                              \
        {                                                                                          \
            name, advice                                                                           \
        }                                                                                          \
    }
    MAGIC(0, "PAR1", "a Parquet file", PANDAS("parquet")),
    MAGIC(0, "PARE", "an encrypted Parquet file", "Decrypt it, and convert it to JSON lines"),
    MAGIC(0, "ARROW1\0\0", "an Arrow or Feather file", PANDAS("feather")),
    MAGIC(0, "FEA1", "a Feather file", PANDAS("feather")),
    MAGIC(0, "Obj\x01", "an Avro file", "Convert it: avrocat FILE > OUT.jsonl"),
    MAGIC(0, "\xfd\x37zXZ\0", "an xz file", UNPACK("xz -dc")),
    MAGIC(4, "1AY&SY", "a bzip2 file", UNPACK("bzip2 -dc")),
    MAGIC(0, "\x04\x22\x4d\x18", "an lz4 file", UNPACK("lz4 -dc")),
    MAGIC(0, "\x02\x21\x4c\x18", "an lz4 file", UNPACK("lz4 -dc")),
    MAGIC(0, "7z\xbc\xaf\x27\x1c", "a 7-Zip file", UNPACK("7z x -so")),
    MAGIC(0, "Rar!\x1a\x07", "a RAR file", UNPACK("unrar p -inul")),
    MAGIC(0, "\x1f\x8b", "packed twice", "Unpack it until it is JSON or CSV"),
    MAGIC(0, "\x28\xb5\x2f\xfd", "packed twice", "Unpack it until it is JSON or CSV"),
    MAGIC(257, "ustar", "a tar file", "Unpack it: tar -xf FILE, and name the files in it"),
    MAGIC(0, "SQLite format 3\0", "an SQLite database",
          "Convert a table of it: sqlite3 -json FILE 'SELECT * FROM TABLE' > OUT.json"),
    MAGIC(0, "\x93NUMPY", "a NumPy file", WRITE_ROWS),
    MAGIC(0, "\x89HDF\r\n\x1a\n", "an HDF5 file", PANDAS("hdf")),
    MAGIC(0, "\x80\x02", "a file of Python's pickle, as PyTorch's old ones are", WRITE_ROWS),
    MAGIC(0, "\x80\x03", "a file of Python's pickle", WRITE_ROWS),
    MAGIC(0, "\x80\x04", "a file of Python's pickle", WRITE_ROWS),
    MAGIC(0, "\x80\x05", "a file of Python's pickle", WRITE_ROWS),
    MAGIC(0, "%PDF-", "a PDF file", "Rows of text are needed, such as JSON lines"),
    MAGIC(0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Microsoft Office file", PANDAS("excel")),
    MAGIC(0, "GGUF", "a GGUF file, a model", "data.train and data.eval name files of rows"),
    MAGIC(0, "version https://git-lfs.github.com/spec/",
          "a pointer of Git LFS, not the file itself", "Get the file: git lfs pull"),
    MAGIC(0, "\xff\xfe\0\0", "in UTF-32", ICONV("UTF-32")),
    MAGIC(0, "\0\0\xfe\xff", "in UTF-32", ICONV("UTF-32")),
    MAGIC(0, "\xff\xfe", "in UTF-16", ICONV("UTF-16")),
    MAGIC(0, "\xfe\xff", "in UTF-16", ICONV("UTF-16")),
};

static bool contains(const char *head, size_t len, const char *words)
{
    return memmem(head, len, words, strlen(words));
}

/* What a zip file is, from the name of its first member and of others near it. */
static const struct file_kind *kind_of_zip(const char *head, size_t len)
{
    static const struct file_kind workbook = {"an Excel workbook", PANDAS("excel")};
    static const struct file_kind office = {"an office document",
                                            "Rows of text are needed, such as JSON lines"};
    static const struct file_kind torch = {"a PyTorch file", WRITE_ROWS};
    static const struct file_kind numpy = {"a NumPy file (.npz)", WRITE_ROWS};
    static const struct file_kind zip = {"a zip file", UNPACK("unzip -p")};

    if (contains(head, len, "[Content_Types].xml") || contains(head, len, "_rels/.rels"))
        return contains(head, len, "word/") ? &office : &workbook;
    if (contains(head, len, "xl/workbook.xml") || contains(head, len, "docProps/"))
        return &workbook;
    if (contains(head, len, "data.pkl"))
        return &torch;
    return contains(head, len, ".npy") ? &numpy : &zip;
}

/* The format in which Arrow streams tables, and in which the `datasets` library keeps its own
 * files: a mark, and the size of the schema. */
static bool is_arrow_stream(const char *head, size_t len)
{
    uint32_t size;

    if (len < 8 || memcmp(head, "\xff\xff\xff\xff", 4) != 0)
        return false;
    memcpy(&size, head + 4, sizeof(size));
    return size > 0 && size < 1 << 24;
}

/* UTF-16 or UTF-32 without a mark: the first characters are ASCII. */
static const struct file_kind *kind_of_zeros(const char *head, size_t len)
{
    static const struct {
        const char *zeros; /* where one is expected in four bytes */
        struct file_kind kind;
    } encodings[] = {
        {".000", {"in UTF-32", ICONV("UTF-32LE")}},
        {"000.", {"in UTF-32", ICONV("UTF-32BE")}},
        {".0.0", {"in UTF-16", ICONV("UTF-16LE")}},
        {"0.0.", {"in UTF-16", ICONV("UTF-16BE")}},
    };

    for (size_t i = 0; len >= 4 && i < sizeof(encodings) / sizeof(encodings[0]); i++) {
        bool fits = true;
        for (int k = 0; k < 4; k++)
            fits = fits && (encodings[i].zeros[k] == '0') == (head[k] == '\0');
        if (fits)
            return &encodings[i].kind;
    }
    return NULL;
}

const struct file_kind *file_kind_of_bytes(const char *head, size_t len)
{
    static const struct file_kind arrow = {
        "an Arrow file as the datasets library keeps it",
        "Convert it: python3 -c \"import datasets; datasets.Dataset.from_file('FILE').to_json"
        "('OUT.jsonl')\""};

    len = len < FILE_KIND_BYTES ? len : FILE_KIND_BYTES;
    if (len >= 4 && (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0))
        return kind_of_zip(head, len);
    if (is_arrow_stream(head, len))
        return &arrow;
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        const struct magic *m = &magics[i];
        if (len >= m->at + m->len && memcmp(head + m->at, m->bytes, m->len) == 0)
            return &m->kind;
    }
    return kind_of_zeros(head, len);
}

static bool begins(const char *at, const char *end, const char *words)
{
    size_t len = strlen(words);

    return (size_t)(end - at) >= len && strncasecmp(at, words, len) == 0;
}

/* "- item", "--- ", or "key: value" of a key that is one word. */
static bool looks_like_yaml(const char *at, const char *end)
{
    size_t n = 0;

    if (begins(at, end, "---") || begins(at, end, "- ") || begins(at, end, "%YAML"))
        return true;
    while (at + n < end && at[n] &&
           (strchr("_-", at[n]) || ((at[n] | 32) >= 'a' && (at[n] | 32) <= 'z')))
        n++;
    return n > 0 && at + n + 1 < end && at[n] == ':' && (at[n + 1] == ' ' || at[n + 1] == '\n');
}

const struct file_kind *file_kind_of_text(const char *head, size_t len)
{
    static const struct file_kind html = {
        "an HTML page, as a server sends instead of a file that it does not give out",
        "Get the file itself"};
    static const struct file_kind xml = {"an XML file", WRITE_ROWS};
    static const struct file_kind yaml = {
        "YAML, as it seems", "Convert a list of rows: yq -o=json -I=0 '.[]' FILE > OUT.jsonl"};
    static const struct file_kind binary = {"not text: it has bytes of zero", WRITE_ROWS};
    static const struct file_kind plain = {
        "plain text, as it seems, and not rows of JSON or CSV",
        "To make each of its lines a row of text: jq -Rc '{text: .}' FILE > OUT.jsonl"};
    const char *end = head + len;

    while (head < end && strchr(" \t\r\n", *head) && *head)
        head++;
    if (begins(head, end, "<!doctype html") || begins(head, end, "<html"))
        return &html;
    if (begins(head, end, "<?xml") || begins(head, end, "<!--"))
        return &xml;
    if (memchr(head, 0, (size_t)(end - head)))
        return &binary;
    return looks_like_yaml(head, end) ? &yaml : &plain;
}

static bool has_file(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    bool there = path && access(path, F_OK) == 0;

    free(path);
    return there;
}

const struct file_kind *file_kind_of_folder(const char *path)
{
    static const struct file_kind one = {
        "a folder that the datasets library has saved",
        "Convert it: python3 -c \"import datasets; datasets.load_from_disk('FOLDER').to_json"
        "('OUT.jsonl')\""};
    static const struct file_kind several = {
        "a folder that the datasets library has saved, with several splits",
        "Convert one: python3 -c \"import datasets; datasets.load_from_disk('FOLDER')['train']"
        ".to_json('OUT.jsonl')\""};

    if (has_file(path, "dataset_dict.json"))
        return &several;
    return has_file(path, "dataset_info.json") && has_file(path, "state.json") ? &one : NULL;
}
