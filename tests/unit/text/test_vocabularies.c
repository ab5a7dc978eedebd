/* tests/unit/text/test_vocabularies.c - the vocabularies of real models give the ids of the
 * libraries that the models were trained with: those in tests/golden/vocab, and those in
 * $DASH_VOCABULARIES or ../shared/vocab, if they are there. So do those of GGUFs once they are
 * tokenizer.json. */
#include "tests/unit/written_tokenizers.h"
#include "core/buf.h"
#include "core/text/tokenizer.h"
#include <dirent.h>

static const char between[] = "\n__ggml_vocab_test__\n";

static char *read_text(const char *path, const char *tail, size_t *ret_len)
{
    char *name = NULL, *bytes = NULL;
    struct err err;

    assert_true(asprintf(&name, "%s%s", path, tail) > 0);
    assert_ok(file_read(name, 16 << 20, &bytes, ret_len, &err), err);
    free(name);
    return bytes;
}

static char *shown(const struct token_list *list)
{
    struct buf b = {0};

    for (int i = 0; i < list->n; i++)
        buf_printf(&b, "%s%d", i ? " " : "", list->ids[i]);
    buf_puts(&b, "");
    return buf_take(&b);
}

static char *trimmed(char *line)
{
    size_t len;

    line += strspn(line, " ");
    for (len = strlen(line); len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\r'); len--)
        ;
    line[len] = '\0';
    return line;
}

static void encodes_as(const struct tokenizer *t, const char *path, const char *text, size_t len,
                       char *expected)
{
    struct token_list list = {0};
    struct err err;
    char *got;

    assert_ok(tokenizer_encode_raw(t, text, len, &list, &err), err);
    got = shown(&list);
    if (strcmp(got, trimmed(expected)) != 0)
        fail_msg("%s: '%s'\nis        %s\nbut it is %s", path, text, trimmed(expected), got);
    free(got);
    free(list.ids);
}

/* Decoding gives back the text, but for the blanks that a normalizer changes. */
static void comes_back(const struct tokenizer *t, const char *text, size_t len)
{
    struct token_list list = {0};
    struct buf back = {0};
    struct err err;

    if (memmem(text, len, "  ", 2) || text[0] == ' ' || (len > 0 && text[len - 1] == ' '))
        return;
    assert_ok(tokenizer_encode_raw(t, text, len, &list, &err), err);
    assert_ok(tokenizer_decode(t, list.ids, list.n, false, &back, &err), err);
    if (back.len != len || memcmp(back.data ? back.data : "", text, len) != 0)
        fail_msg("'%s' comes back as '%s'", text, back.data);
    buf_free(&back);
    free(list.ids);
}

static bool is_gguf(const char *path)
{
    return strcmp(path + strlen(path) - 5, ".gguf") == 0;
}

static void agrees(const char *path)
{
    struct tokenizer *t = NULL, *written;
    size_t len, unused;
    char *texts = read_text(path, ".inp", &len), *ids = read_text(path, ".out", &unused);
    char *at = texts, *line = ids, *end;
    struct err err;
    int n = 0;

    assert_ok(tokenizer_from_path(path, &t, &err), err);
    written = is_gguf(path) ? through_folder(t) : NULL;
    for (; at; at = end ? end + strlen(between) : NULL, n++) {
        size_t left = len - (size_t)(at - texts), text_len;
        char *next = strchr(line, '\n');
        end = memmem(at, left, between, strlen(between));
        text_len = end ? (size_t)(end - at) : left;
        at[text_len] = '\0';
        if (next)
            *next = '\0';
        encodes_as(t, path, at, text_len, line);
        if (written)
            encodes_as(written, path, at, text_len, line);
        comes_back(t, at, text_len);
        line = next ? next + 1 : line + strlen(line);
    }
    assert_true(n >= 46);
    tokenizer_free(written);
    tokenizer_free(t);
    free(texts);
    free(ids);
}

/* Returns how many there were. */
static int folder_agrees(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *entry;
    int n = 0;

    while (d && (entry = readdir(d))) {
        size_t len = strlen(entry->d_name);
        char *path;
        if (len < 5 || strcmp(entry->d_name + len - 4, ".inp") != 0)
            continue;
        entry->d_name[len - 4] = '\0';
        path = file_join(folder, entry->d_name);
        print_message("%s\n", path);
        agrees(path);
        free(path);
        n++;
    }
    if (d)
        closedir(d);
    return n;
}

static void golden_vocabularies_agree(void **state)
{
    (void)state;
    assert_int_equal(folder_agrees(GOLDEN("vocab")), 2);
}

static void other_vocabularies_agree(void **state)
{
    const char *named = getenv("DASH_VOCABULARIES");

    (void)state;
    if (folder_agrees(named ? named : DASH_SOURCE_DIR "/../shared/vocab") > 0)
        return;
    print_message("skipped: there are no vocabularies in ../shared/vocab or $DASH_VOCABULARIES\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_vocabularies_agree),
        cmocka_unit_test(other_vocabularies_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
