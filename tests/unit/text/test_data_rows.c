/* tests/unit/text/test_data_rows.c - every form in which rows may lie in a file gives the same
 * rows; what is not rows, damaged or cut off is refused in words, and never crashes. */
#include "tests/unit/support.h"
#include "core/text/rows.h"
#include <sys/resource.h>
#include <zlib.h>
#include <zstd.h>

/* All rows of a file: "LINE JSON", a fault as "LINE! words", the end of reading as "LINE!! words".
 */
static char *rows_of(const char *path)
{
    struct rows *r = NULL;
    struct buf b = {0};
    struct row row;
    struct err err;
    int rc = rows_open(path, &r, &err);

    if (rc < 0) {
        buf_printf(&b, "open: %s\n", err.text);
        return buf_take(&b);
    }
    while ((rc = rows_next(r, &row, &err)) > 0) {
        char *text = row.value ? json_dumps(row.value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
        assert_true(!row.value != !row.fault);
        assert_true(row.line > 0);
        buf_printf(&b, "%d%s %s\n", row.line, row.fault ? "!" : "", row.fault ? row.fault : text);
        free(text);
        json_decref(row.value);
    }
    if (rc < 0)
        buf_printf(&b, "%d!! %s\n", rows_failed_line(r), err.text);
    rows_close(r);
    buf_puts(&b, "");
    return buf_take(&b);
}

static char *rows_of_bytes(const char *name, const void *bytes, size_t len)
{
    char *folder = new_folder(), *path = file_join(folder, name), *text;

    write_file(folder, name, bytes, len);
    text = rows_of(path);
    assert_int_equal(unlink(path) | rmdir(folder), 0);
    free(path);
    free(folder);
    return text;
}

static void are(const char *name, const void *bytes, size_t len, const char *expected)
{
    char *text = rows_of_bytes(name, bytes, len);

    assert_string_equal(text, expected);
    free(text);
}

static void have(const char *name, const void *bytes, size_t len, const char *words)
{
    char *text = rows_of_bytes(name, bytes, len);

    assert_contains(text, words);
    free(text);
}

#define ARE(text, expected)     are("x", text, sizeof(text) - 1, expected)
#define ARE_CSV(text, expected) are("x.csv", text, sizeof(text) - 1, expected)
#define HAVE(text, words)       have("x", text, sizeof(text) - 1, words)
#define BOM                     "\xef\xbb\xbf"

/* ---- JSON ---- */

static void lines_are_rows(void **state)
{
    (void)state;
    ARE("{\"a\":1}\n{\"b\":[]}", "1 {\"a\":1}\n2 {\"b\":[]}\n");
    ARE(BOM "\r\n{\"a\":1}\r\n \t\r\n\n{\"b\":2}\r\n", "2 {\"a\":1}\n5 {\"b\":2}\n");
    ARE("{\"a\":\"x\xe2\x80\xa8y\"}\n7\nnot\n[1]\n{\"a\":\"\\u0000\"}\n",
        "1 {\"a\":\"x\xe2\x80\xa8y\"}\n2! is not a JSON object: '[' or '{' expected near '7'\n3! "
        "is not a JSON object: "
        "'[' or '{' expected near 'not'\n4 [1]\n5 {\"a\":\"\\u0000\"}\n");
    ARE("\n \n", "");
    ARE("not\n{\"a\":1}\n",
        "1! is not a JSON object: '[' or '{' expected near 'not'\n2 {\"a\":1}\n");
    ARE("{\"a\":1\n{\"a\":2}\n{\"a\":3}\n",
        "1! is not a JSON object: '}' expected near end of file\n2 {\"a\":2}\n3 {\"a\":3}\n");
    ARE("{\"x\":18446744073709551616}\n",
        "1 {\"x\":[\"an integer beyond 64 bits\",\"18446744073709551616\"]}\n");
}

static void elements_of_an_array_are_rows(void **state)
{
    (void)state;
    ARE("[{\"a\":\"]}\\\"\"},\n{\"b\":[1,{}]} , 7,\"x,]\",null\n]\n",
        "1 {\"a\":\"]}\\\"\"}\n2 {\"b\":[1,{}]}\n3 7\n4 \"x,]\"\n5 null\n");
    ARE(BOM " \n[ ]", "");
    ARE("[{\"a\":1},\n\n{\"a\" 2}]", "1 {\"a\":1}\n3!! is not JSON: ':' expected near '2'\n");
    ARE("[{\"a\":1}\n{\"a\":2}]",
        "1 {\"a\":1}\n2!! is not JSON: ',' or ']' is expected behind a row\n");
    ARE("[{\"a\":1}]\n{", "1 {\"a\":1}\n2!! is not JSON: something follows the end of the array\n");
    ARE("[{\"a\":1},\n",
        "1 {\"a\":1}\n2!! is not JSON: the array does not end: the file is cut off\n");
    ARE("[\n{\"a\":1",
        "2!! is not JSON: the row that begins here does not end: the file is cut off\n");
    HAVE("[{\"a\":1},]", "1!! is not JSON: ");
}

static void objects_over_several_lines_are_named(void **state)
{
    (void)state;
    HAVE("{\n  \"data\": [\n    {\"a\": 1}\n  ]\n}\n",
         "1!! is one JSON object up to line 5, not rows. If its rows are in \"data\": jq -c "
         "'.data[]'");
    HAVE("\n{\n  \"a\": 1\n}\n", "2!! is one JSON object up to line 4; each row must be one line");
    HAVE(
        "{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}\n",
        "spread over several lines, the first one up to line 3; each row must be one line. Convert "
        "it: jq -c . FILE > OUT.jsonl");
}

static void an_object_that_fills_the_first_block_is_named(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_puts(&b, "{\n\"a\": [\n");
    while (b.len < 1 << 19)
        buf_puts(&b, "\"xxxxxxxxxxxxxxxxxxxx\",\n");
    have("x", b.data, b.len, "1!! the JSON object that begins here is spread over several lines");
    buf_free(&b);
}

/* ---- CSV ---- */

static void csv_has_a_header_and_quotes(void **state)
{
    (void)state;
    ARE("prompt,completion\na,b\n", "2 {\"prompt\":\"a\",\"completion\":\"b\"}\n");
    ARE(BOM "prompt,completion\r\na,b\r\n\r\n\"c,\"\"d\"\"\r\ne\",\r\n,f",
        "2 {\"prompt\":\"a\",\"completion\":\"b\"}\n4 "
        "{\"prompt\":\"c,\\\"d\\\"\\r\\ne\",\"completion\":\"\"}\n"
        "6 {\"prompt\":\"\",\"completion\":\"f\"}\n");
    ARE("\"prompt\"\t\"completion\"\n5\" disk\t\"x\ty\"\n",
        "2 {\"prompt\":\"5\\\" disk\",\"completion\":\"x\\ty\"}\n");
    ARE("a;b\n1,5;2\n", "2 {\"a\":\"1,5\",\"b\":\"2\"}\n");
    ARE("text\nhello\n\"\"\n\n\"a\n\nb\"\n",
        "2 {\"text\":\"hello\"}\n3 {\"text\":\"\"}\n5 {\"text\":\"a\\n\\nb\"}\n");
    ARE(",prompt\n0,a\n", "2 {\"\":\"0\",\"prompt\":\"a\"}\n");
    ARE_CSV("What is it?,Is it so?\n7,\xc3\xa9\n",
            "2 {\"What is it?\":\"7\",\"Is it so?\":\"\xc3\xa9\"}\n");
    ARE_CSV("a,b\n", "");
    are("x.TSV.gz", "a, b\tc\n1\t2\n", 11, "2 {\"a, b\":\"1\",\"c\":\"2\"}\n");
}

static void faults_of_csv_are_reported_by_line(void **state)
{
    (void)state;
    ARE("a,b\n1\n1,2,3\n\"x\"y,2\n\xff,2\n3,4\n",
        "2! the row has 1 field, but the header in line 1 names 2\n"
        "3! the row has 3 fields, but the header in line 1 names 2\n"
        "4! field 1 has text behind its closing quote; a quote within a quoted field must be "
        "doubled\n"
        "5! the field \"a\" is not UTF-8. If the file is Latin-1: iconv -f LATIN1 -t UTF-8 FILE > "
        "OUT.csv\n"
        "6 {\"a\":\"3\",\"b\":\"4\"}\n");
    ARE_CSV("a,b,a\n1,2,3\n", "1!! the header names the field \"a\" twice\n");
    ARE("a,b\n1,2\n3,\"4\n5,6\n",
        "2 {\"a\":\"1\",\"b\":\"2\"}\n3!! the quote that opens a field here is never closed\n");
    HAVE("a,b\r1,2\r", "is plain text"); /* the old Macintosh's lines, without a name in .csv */
    have("x.csv", "a,b\r1,2\r", 8,
         "1!! the lines end with carriage returns alone. Convert it: tr '\\r'");
    have("x.csv", "\xe9,b\n1,2\n", 8, "1!! the header is not UTF-8");
}

/* ---- packed ---- */

static void gzip_append(struct buf *b, const void *bytes, size_t len)
{
    z_stream z = {0};
    size_t cap = compressBound(len) + 100;
    char *at = buf_grow(b, cap);

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)bytes;
    z.avail_in = (unsigned)len;
    z.next_out = (unsigned char *)at;
    z.avail_out = (unsigned)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    b->len -= z.avail_out;
    deflateEnd(&z);
}

static void zstd_append(struct buf *b, const void *bytes, size_t len)
{
    size_t cap = ZSTD_compressBound(len), n;
    char *at = buf_grow(b, cap);

    n = ZSTD_compress(at, cap, bytes, len, 3);
    assert_false(ZSTD_isError(n));
    b->len -= cap - n;
}

typedef void (*pack_fn)(struct buf *b, const void *bytes, size_t len);
static const pack_fn packers[] = {gzip_append, zstd_append};

static void packed_files_are_read_as_what_is_in_them(void **state)
{
    static const char one[] = "{\"a\":1}\n{\"a\":", two[] = "2}\n", csv[] = "a,b\n1,2\n";

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct buf b = {0};
        packers[i](&b, one, strlen(one));
        packers[i](&b, "", 0);
        packers[i](&b, two, strlen(two)); /* the rows go across members */
        are("x", b.data, b.len, "1 {\"a\":1}\n2 {\"a\":2}\n");
        b.len = 0;
        packers[i](&b, csv, strlen(csv));
        are("x", b.data, b.len, "2 {\"a\":\"1\",\"b\":\"2\"}\n");
        b.len = 0;
        packers[i](&b, "PAR1", 4);
        have("x", b.data, b.len, "is a Parquet file");
        b.len = 0;
        packers[i](&b, "", 0);
        are("x", b.data, b.len, "0!! the file is empty: the data set has no rows\n");
        buf_free(&b);
    }
}

static void zeros_may_follow_gzip_and_empty_frames_precede_zstd(void **state)
{
    static const char skipped[] = "\x53\x2a\x4d\x18\x03\0\0\0abc";
    struct buf b = {0};

    (void)state;
    gzip_append(&b, "{\"a\":1}\n", 8);
    buf_append(&b, "\0\0\0\0\0\0", 6);
    are("x", b.data, b.len, "1 {\"a\":1}\n");
    buf_append(&b, "x", 1);
    have("x", b.data, b.len, "behind its gzip data the file has others");
    b.len = 0;
    buf_append(&b, skipped, sizeof(skipped) - 1);
    zstd_append(&b, "{\"a\":1}\n", 8);
    buf_append(&b, skipped, sizeof(skipped) - 1);
    are("x", b.data, b.len, "1 {\"a\":1}\n");
    buf_free(&b);
}

/* The line is known where the first block of rows could be read. */
static void cut_is_refused(const struct buf *packed, const char *format)
{
    for (size_t len = 4; len < packed->len; len += 1 + len / 20) {
        char *said = rows_of_bytes("x", packed->data, len), words[100];
        int line = 0;
        for (const char *c = said; *c; c++)
            line += *c == '\n';
        snprintf(words, sizeof(words), "%d!! the file is cut off: its %s data", line > 1 ? line : 0,
                 format);
        assert_contains(said, words);
        free(said);
    }
}

static void cut_and_damaged_files_are_refused(void **state)
{
    struct buf text = {0}, gzip = {0}, zstd = {0};
    uint64_t random = 3;

    (void)state;
    for (int i = 0; i < 15000; i++)
        buf_printf(&text, "{\"a\":\"%d %llx\"}\n", i, (unsigned long long)next_random(&random));
    gzip_append(&gzip, text.data, text.len);
    zstd_append(&zstd, text.data, text.len);
    cut_is_refused(&gzip, "gzip");
    cut_is_refused(&zstd, "zstd");
    gzip.data[gzip.len / 2] ^= 0x55;
    have("x", gzip.data, gzip.len, "the gzip data are damaged (");
    zstd.data[5] ^= 0x55;
    have("x", zstd.data, zstd.len, "the zstd data are damaged (");
    buf_free(&text);
    buf_free(&gzip);
    buf_free(&zstd);
}

/* A hundred megabytes in a file of less than one: they are read in blocks, and a row of them is
 * refused. */
static void a_bomb_is_bounded(void **state)
{
    enum { MEGABYTE = 1 << 20 };
    char *zeros = malloc(MEGABYTE);
    struct buf b = {0};

    (void)state;
    memset(zeros, 'x', MEGABYTE);
    gzip_append(&b, "{\"a\":1}\n{\"a\":\"", 14);
    for (int i = 0; i < 100; i++)
        gzip_append(&b, zeros, MEGABYTE);
    assert_true(b.len < MEGABYTE);
    are("x", b.data, b.len, "1 {\"a\":1}\n2!! the row has more than 64 MiB\n");
    b.len = 0;
    gzip_append(&b, "a,b\n1,2\n3,\"", 11);
    for (int i = 0; i < 100; i++)
        gzip_append(&b, zeros, MEGABYTE);
    have("x", b.data, b.len, "3!! the row has more than 64 MiB, or a quote in it is not closed\n");
    b.len = 0;
    gzip_append(&b, "[7,\n{\"a\":\"", 10);
    for (int i = 0; i < 100; i++)
        gzip_append(&b, zeros, MEGABYTE);
    have("x", b.data, b.len, "1 7\n2!! the row has more than 64 MiB\n");
    buf_free(&b);
    free(zeros);
}

/* ---- blocks ---- */

/* Rows of many lengths, so that every kind of byte comes to lie at the end of a block. */
static void rows_across_blocks_are_whole(void **state)
{
    struct buf lines = {0}, array = {0}, csv = {0}, expected[3] = {0};
    uint64_t random = 17;
    char *fill = malloc(300000);

    (void)state;
    memset(fill, 'y', 300000);
    buf_puts(&array, "[");
    buf_puts(&csv, "a,b\n");
    for (int i = 0, line = 2; i < 700; i++) {
        int n = (int)(next_random(&random) % (i % 50 ? 2000 : 290000));
        buf_printf(&lines, "{\"a\":\"%.*s\\\"\",\"b\":\"\\n\xc3\xa9\"}\r\n", n, fill);
        buf_printf(&array, "%s{\"a\":\"%.*s\\\"\",\"b\":\"\\n\xc3\xa9\"}", i ? ",\n" : "", n, fill);
        buf_printf(&csv, "\"%.*s\"\"\",\"\n\xc3\xa9\"\r\n", n, fill);
        for (int k = 0; k < 3; k++)
            buf_printf(&expected[k], "%d {\"a\":\"%.*s\\\"\",\"b\":\"\\n\xc3\xa9\"}\n",
                       k == 2 ? line : i + 1, n, fill);
        line += 2;
    }
    buf_puts(&array, "]");
    are("x", lines.data, lines.len, expected[0].data);
    are("x", array.data, array.len, expected[1].data);
    are("x", csv.data, csv.len, expected[2].data);
    buf_free(&lines);
    buf_free(&array);
    buf_free(&csv);
    for (int k = 0; k < 3; k++)
        buf_free(&expected[k]);
    free(fill);
}

static void an_array_is_read_a_row_at_a_time(void **state)
{
    enum { ROWS = 500000 };
    char *folder = new_folder(), *path = file_join(folder, "x");
    struct rusage before, after;
    struct rows *r = NULL;
    struct buf b = {0};
    struct row row;
    struct err err;
    int n = 0;

    (void)state;
    for (int i = 0; i < ROWS; i++)
        buf_puts(&b, i ? ",{\"a\":[1,2,3]}" : "[{\"a\":[1,2,3]}");
    buf_puts(&b, "]");
    write_file(folder, "x", b.data, b.len);
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    assert_ok(rows_open(path, &r, &err), err);
    for (; rows_next(r, &row, &err) > 0; n++)
        json_decref(row.value);
    rows_close(r);
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    assert_int_equal(n, ROWS);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
    assert_true(after.ru_maxrss - before.ru_maxrss < 2 << 10);
#endif
    buf_free(&b);
    free(path);
    remove_folder(folder);
}

/* ---- what is not rows ---- */

static void other_formats_are_refused_by_name(void **state)
{
#define CASE(bytes, words)                                                                         \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, words                                                            \
    }
    static const struct {
        const char *bytes;
        size_t len;
        const char *words;
    } cases[] = {
        CASE("", "0!! the file is empty: the data set has no rows"),
        CASE("PAR1\x15\0\0", "is a Parquet file. Convert it: python3 -c \"import pandas; "
                             "pandas.read_parquet('FILE')"),
        CASE("ARROW1\0\0\xff\xff", "is an Arrow or Feather file"),
        CASE("\xff\xff\xff\xff\x10\x02\0\0\x10\0",
             "is an Arrow file as the datasets library keeps it"),
        CASE("\xff\xfe{\0\"\0",
             "is in UTF-16. Convert it: iconv -f UTF-16 -t UTF-8 FILE > OUT.jsonl"),
        CASE("\xfe\xff\0{\0\"", "iconv -f UTF-16 "),
        CASE("{\0\"\0a\0\"\0", "iconv -f UTF-16LE "),
        CASE("\0{\0\"\0a\0\"", "iconv -f UTF-16BE "),
        CASE("\xff\xfe\0\0{\0\0\0", "iconv -f UTF-32 "),
        CASE("\0\0\xfe\xff\0\0\0{", "iconv -f UTF-32 "),
        CASE("{\0\0\0\"\0\0\0", "iconv -f UTF-32LE "),
        CASE("\0\0\0{\0\0\0\"", "iconv -f UTF-32BE "),
        CASE("\xfd\x37zXZ\0\0\4", "is an xz file. Unpack it: xz -dc FILE > OUT.jsonl"),
        CASE("BZh91AY&SY\x01", "is a bzip2 file. Unpack it: bzip2 -dc"),
        CASE("\x04\x22\x4d\x18\x64", "is an lz4 file. Unpack it: lz4 -dc"),
        CASE("PK\3\4\x14\0\0\0\x08\0aaaaaaaaaaaaaaaa\x0a\0\0\0rows.jsonl",
             "is a zip file. Unpack it: unzip -p"),
        CASE("PK\3\4\x14\0\0\0\x08\0aaaaaaaaaaaaaaaa\x13\0\0\0[Content_Types].xml xl/workbook.xml",
             "is an Excel workbook. Convert it: python3 -c \"import pandas; "
             "pandas.read_excel('FILE')"),
        CASE("PK\3\4\0\0\0\0\0\0aaaaaaaaaaaaaaaa\x10\0\0\0archive/data.pkl", "is a PyTorch file"),
        CASE("PK\3\4\0\0\0\0\0\0aaaaaaaaaaaaaaaa\x05\0\0\0x.npy", "is a NumPy file (.npz)"),
        CASE("SQLite format 3\0\x10",
             "is an SQLite database. Convert a table of it: sqlite3 -json"),
        CASE("\x80\4\x95\x10\0", "is a file of Python's pickle"),
        CASE("\x80\2\x8a\nl\xfc", "PyTorch"),
        CASE("\x93NUMPY\1\0v", "is a NumPy file"),
        CASE("\x89HDF\r\n\x1a\n\0", "is an HDF5 file"),
        CASE("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
             "is a pointer of Git LFS, not the file itself"),
        CASE("\n<!DOCTYPE html>\n<html>", "is an HTML page"),
        CASE("<HTML><body>", "is an HTML page"),
        CASE("<?xml version=\"1.0\"?>", "is an XML file"),
        CASE("- prompt: a\n  completion: b\n", "is YAML, as it seems. Convert a list of rows: yq "),
        CASE("prompt: a\ncompletion: b\n", "is YAML"),
        CASE("---\nx\n", "is YAML"),
        CASE("It was a dark and stormy night; the rain fell in torrents.\nExcept at times.\n",
             "is plain text, as it seems, and not rows of JSON or CSV. To make each of its lines a "
             "row "
             "of text: jq -Rc '{text: .}' FILE"),
        CASE("Hello, world\nThis is it\n", "is plain text"),
        CASE("abc\0def\n", "is not text: it has bytes of zero"),
        CASE("\177ELF\2\1\1\0", "is not text: it has bytes of zero"),
    };
    struct buf b = {0};
    char tar[512] = "rows.jsonl";

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        have("x", cases[i].bytes, cases[i].len, cases[i].words);
    memcpy(tar + 257, "ustar", 5);
    gzip_append(&b, tar, sizeof(tar));
    have("x.tar.gz", b.data, b.len, "is a tar file. Unpack it: tar -xf FILE");
    b.len = 0;
    gzip_append(&b, "\x1f\x8b\x08", 3);
    have("x", b.data, b.len, "is packed twice");
    buf_free(&b);
}

static void folders_are_refused_by_name(void **state)
{
    char *folder = new_folder(), *text;

    (void)state;
    text = rows_of(folder);
    assert_contains(text, ": is a folder, not a regular file");
    free(text);
    write_text(folder, "dataset_info.json", "{}");
    write_text(folder, "state.json", "{}");
    text = rows_of(folder);
    assert_contains(text, ": is a folder that the datasets library has saved. Convert it: python3");
    free(text);
    write_text(folder, "dataset_dict.json", "{}");
    text = rows_of(folder);
    assert_contains(text, "with several splits. Convert one: ");
    free(text);
    text = rows_of("/nowhere/at all");
    assert_contains(text, "/nowhere/at all: cannot be opened: No such file");
    free(text);
    remove_folder(folder);
}

/* ---- damage ---- */

static void damaged_files_never_crash(void **state)
{
    static const char *const texts[] = {
        "{\"a\":\"hi \\u00e9\\n\",\"b\":[1,2.5,{}]}\n{\"a\":\"\xe6\x97\xa5\"}\r\n\n{\"a\":null}\n",
        "[{\"a\":\"]\\\"\"},\n{\"b\":[[],{}]},7,\"x\"]\n",
        "a,b,c\n\"x,\"\"y\"\"\n\",2,3\r\n,,\n4,5,6",
        "{\n \"a\": [{\n \"b\": 1}]\n}\n",
    };
    uint64_t random = 23;

    (void)state;
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 600; k++) {
            size_t len = strlen(texts[i]);
            char *damaged = damaged_copy(texts[i], len, len, &random);
            struct buf b = {0};
            free(rows_of_bytes(k % 2 ? "x.csv" : "x", damaged, k % 3 ? len : (size_t)k % len));
            packers[k % 2](&b, texts[i], len);
            free(damaged);
            damaged = damaged_copy(b.data, b.len, b.len, &random);
            free(rows_of_bytes("x", damaged, k % 3 ? b.len : (size_t)k % b.len));
            free(damaged);
            buf_free(&b);
        }
}

/* A file that becomes shorter or other while it is read. */
static void files_that_change_are_read_or_refused(void **state)
{
    char *folder = new_folder(), *path = file_join(folder, "x"), *text = NULL;
    struct rows *r = NULL;
    struct buf b = {0};
    struct row row;
    struct err err;
    int rc;

    (void)state;
    while (b.len < 1 << 20)
        buf_puts(&b, "{\"a\":1}\n");
    write_file(folder, "x", b.data, b.len);
    assert_ok(rows_open(path, &r, &err), err);
    assert_int_equal(rows_next(r, &row, &err), 1);
    json_decref(row.value);
    assert_int_equal(truncate(path, 600000), 0);
    while ((rc = rows_next(r, &row, &err)) > 0)
        json_decref(row.value);
    assert_int_equal(rc, ERR_INVALID);
    assert_string_equal(err.text, "the file became shorter while it was read");
    rows_close(r);
    buf_free(&b);
    free(text);
    free(path);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_array_is_read_a_row_at_a_time), /* before others take memory */
        cmocka_unit_test(lines_are_rows),
        cmocka_unit_test(elements_of_an_array_are_rows),
        cmocka_unit_test(objects_over_several_lines_are_named),
        cmocka_unit_test(an_object_that_fills_the_first_block_is_named),
        cmocka_unit_test(csv_has_a_header_and_quotes),
        cmocka_unit_test(faults_of_csv_are_reported_by_line),
        cmocka_unit_test(packed_files_are_read_as_what_is_in_them),
        cmocka_unit_test(zeros_may_follow_gzip_and_empty_frames_precede_zstd),
        cmocka_unit_test(cut_and_damaged_files_are_refused),
        cmocka_unit_test(a_bomb_is_bounded),
        cmocka_unit_test(rows_across_blocks_are_whole),
        cmocka_unit_test(other_formats_are_refused_by_name),
        cmocka_unit_test(folders_are_refused_by_name),
        cmocka_unit_test(damaged_files_never_crash),
        cmocka_unit_test(files_that_change_are_read_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
