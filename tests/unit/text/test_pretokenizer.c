/* tests/unit/text/test_pretokenizer.c - where text is cut before BPE. The expected cuts are those
 * of HF's tokenizers. */
#include "tests/unit/support.h"
#include "core/buf.h"
#include "core/text/known_patterns.h"
#include "core/text/pretokenizer.h"

static int collect(void *context, const char *piece, size_t len, struct piece_map *map,
                   struct err *err)
{
    (void)map;
    struct buf *b = context;

    (void)err;
    assert_true(len > 0);
    buf_puts(b, b->len ? "|" : "");
    buf_append(b, piece, len);
    return 0;
}

static void cut_as(const struct pretokenizer *p, const char *text, const char *expected)
{
    struct pretokenizer_scratch *s;
    struct watch watch;
    struct buf b = {0};
    struct err err;

    watch_start(&watch, strlen(text));
    assert_ok(pretokenizer_scratch_new(p, strlen(text), &watch, &s, &err), err);
    assert_ok(pretokenizer_split(p, s, text, strlen(text), true, collect, &b, &err), err);
    assert_string_equal(b.data ? b.data : "", expected);
    buf_free(&b);
    pretokenizer_scratch_free(s);
}

static void add(struct pretokenizer *p, const char *pattern, enum split_behaviour behaviour)
{
    struct err err;

    assert_ok(pretokenizer_add(p, pattern, false, behaviour, false, &err), err);
}

static void gpt2_pattern_cuts_words_numbers_and_blanks(void **state)
{
    struct pretokenizer p = {0};

    (void)state;
    add(&p, known_gpt2, SPLIT_ISOLATED);
    cut_as(&p, "Hello world", "Hello| world");
    cut_as(&p, "a  b", "a| | b");
    cut_as(&p, "we've I'll 'tis", "we|'ve| I|'ll| '|tis");
    cut_as(&p, "x=12345!", "x|=|12345|!");
    cut_as(&p, "end  \n", "end|  \n");
    cut_as(&p, "na\xc3\xafve", "na\xc3\xafve");
    cut_as(&p, "\xe2\x85\xa7\xc2\xb2", "\xe2\x85\xa7\xc2\xb2");
    cut_as(&p, "", "");
    pretokenizer_free(&p);
}

static void digits_alone_come_before_words(void **state)
{
    struct pretokenizer p = {0};

    (void)state;
    add(&p, "\\p{N}", SPLIT_ISOLATED);
    add(&p, known_gpt2, SPLIT_ISOLATED);
    cut_as(&p, "in 1984, 3.5", "in| |1|9|8|4|,| |3|.|5");
    pretokenizer_free(&p);
}

static void white_space_is_unicodes_not_pcres(void **state)
{
    struct pretokenizer p = {0};

    (void)state;
    add(&p, known_gpt2, SPLIT_ISOLATED);
    /* U+0085 and U+00A0 are white space, U+180E and U+200B are not */
    cut_as(&p,
           "a\xc2\x85\xc2\xa0"
           "b",
           "a|\xc2\x85|\xc2\xa0|b");
    cut_as(&p, "a\xe1\xa0\x8e!", "a|\xe1\xa0\x8e!");
    cut_as(&p, "a\xe2\x80\x8b!", "a|\xe2\x80\x8b!");
    pretokenizer_free(&p);
}

static void removed_literal_and_inverted_patterns_work(void **state)
{
    struct pretokenizer removed = {0}, literal = {0}, inverted = {0};
    struct err err;

    (void)state;
    add(&removed, " ", SPLIT_REMOVED);
    cut_as(&removed, " a b  c", "a|b|c");
    assert_ok(pretokenizer_add(&literal, "a.", true, SPLIT_ISOLATED, false, &err), err);
    cut_as(&literal, "aba.ab", "ab|a.|ab");
    assert_ok(pretokenizer_add(&inverted, "[a-c]+", false, SPLIT_REMOVED, true, &err), err);
    cut_as(&inverted, "abxxcay", "ab|ca");
    pretokenizer_free(&removed);
    pretokenizer_free(&literal);
    pretokenizer_free(&inverted);
}

static void blank_is_put_before_pieces_that_lack_one(void **state)
{
    struct pretokenizer p = {0};
    struct err err;

    (void)state;
    assert_ok(pretokenizer_add_blank(&p, &err), err);
    add(&p, known_gpt2, SPLIT_ISOLATED);
    cut_as(&p, "ab cd", " ab| cd");
    cut_as(&p, " ab", " ab");
    pretokenizer_free(&p);
}

static void patterns_that_pcre_reads_otherwise_are_refused(void **state)
{
    static const char *const patterns[] = {
        "[a-z&&[^b]]", "[a[bc]]", "\\h", "[\\S]", "a{1,2}+", "(", "a\\", "\\C",
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        struct pretokenizer p = {0};
        assert_int_equal(pretokenizer_add(&p, patterns[i], false, SPLIT_ISOLATED, false, &err),
                         ERR_UNSUPPORTED);
        assert_contains(err.text, patterns[i]);
        pretokenizer_free(&p);
    }
}

/* What a pattern of a hostile tokenizer.json may hold, and what the sentence must quote. */
static const struct {
    const char *pattern, *quoted;
} hostile[] = {
    {"(?(DEFINE)(?<x>.\\K))(?=(?&x))", "the condition '(?(DEFINE)'"},
    {"||(?R)|(?R)a", "the recursion or call of a group '(?R)'"},
    {"(?=a\\K)", "'\\K'"},
    {"(?=ab\\K)|a", "'\\K'"},
    {"\\\\\\K", "'\\K'"},
    {"a(?0)", "'(?0)'"},
    {"(a)(?1)", "'(?1)'"},
    {"(?+1)(a)", "'(?+1)'"},
    {"(a)(?-1)", "'(?-1)'"},
    {"(?<x>a)(?&x)", "'(?&x)'"},
    {"(?<x>a)(?P>x)", "'(?P>x)'"},
    {"(?P<x>a)", "'(?P'"},
    {"(?<x>a)\\g<x>", "'\\g'"},
    {"(a)\\g'1'", "'\\g'"},
    {"(a)\\g{1}", "'\\g'"},
    {"(?<x>a)\\k<x+0>", "'\\k'"},
    {"a(?C)", "the callout '(?C)'"},
    {"a(?C1)b", "'(?C1)'"},
    {"(?C\"text\")", "'(?C"},
    {"(*UTF)a", "the verb '(*UTF)'"},
    {"(*NO_JIT)a", "'(*NO_JIT)'"},
    {"(*LIMIT_MATCH=4000000000)a", "'(*LIMIT_MATCH="},
    {"(*LIMIT_HEAP=4000000000)a", "'(*LIMIT_HEAP="},
    {"a(*ACCEPT)b", "'(*ACCEPT)'"},
    {"a(*SKIP:x)b", "'(*SKIP:x)'"},
    {"(*napla:a)", "'(*napla:a)'"},
    {"(*sr:a)", "'(*sr:a)'"},
    {"[]](*F)", "'(*F)'"},
    {"[^]](?R)", "'(?R)'"},
    {"[\\]](?R)", "'(?R)'"},
    {"(?#[)(?R)", "'(?R)'"},
    {"(?#\\))(?R)", "'(?R)'"},
    {"(?#", "a comment without its end"},
    {"(a)?(?(R)b|c)", "the condition '(?(R)'"},
    {"(a)?(?(1)b|c)", "'(?(1)'"},
    {"(?(?=a)b|c)", "'(?("},
    {"(?|a|b)", "'(?|'"},
    {"(?~a)", "'(?~'"},
    {"(?'x'a)", "'(?''"},
    {"(?x) a # (?R)", "the options '(?x)'"},
    {"(?m)a.b", "'(?m)'"},
    {"(?s:a.b)", "'(?s:'"},
    {"(?i-x:a)", "'(?i-x:'"},
    {"(?^:a)", "'(?^:'"},
    {"a(?i)b|c", "'(?i)'"},
    {"\\Qa(?R)\\E", "'\\Q'"},
    {"\\C", "'\\C'"},
    {"\\N", "'\\N'"},
    {"\\G", "'\\G'"},
    {"[\\W]", "'\\W'"},
    {"\\p", "'\\p'"},
    {"\\p[a]", "'\\p'"},
    {"\\x{110000000", "'\\x'"},
    {"[\\c(]", "'\\c'"},
    {"[a", "a class without its end"},
    {"a)", "a ')' without its '('"},
    {"a{3}?", "'{3}?'"},
    {"a{99999999999999999999}", "the count '{99999999999999999999}'"},
    {"a{65535}", "the count '{65535}'"},
    {"(a{1000}){1000}", "too large"},
    {"((((a{100}){100}){100}){100}){100}", "too large"},
    {"(?:a{0,300}){0,300}", "too large"},
    {"(((a{50}b){50}c){,50}d){1,}", "too large"},
};

static void hostile_patterns_are_refused_by_name(void **state)
{
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        struct pretokenizer p = {0};
        if (pretokenizer_add(&p, hostile[i].pattern, false, SPLIT_ISOLATED, false, &err) !=
            ERR_UNSUPPORTED)
            fail_msg("'%s' was not refused", hostile[i].pattern);
        assert_contains(err.text, hostile[i].quoted);
        pretokenizer_free(&p);
    }
}

/* What looks like the above and is not. */
static void harmless_patterns_cut_as_they_say(void **state)
{
    static const struct {
        const char *pattern, *text, *pieces;
    } cases[] = {
        {"\\\\K", "a\\Kb", "a|\\K|b"},
        {"\\(\\?R\\)", "a(?R)", "a|(?R)"},
        {"[\\K]", "aKb", "a|K|b"},
        {"[(*]", "a(*b", "a|(|*|b"},
        {"[(?R)]+", "a(?R)b", "a|(?R)|b"},
        {"[]a]+", "xa]y", "x|a]|y"},
        {"[^]a]+", "xa]y", "x|a]|y"},
        {"a(?#(?R \\) \\K [)b", "xaby", "x|ab|y"},
        {"((?#)a)", "xay", "x|a|y"},
        {"a]}", "xa]}y", "x|a]}|y"},
        {"a{x", "xa{xy", "x|a{x|y"},
        {"a{,2}b", "aaab", "a|aab"},
        {"(?i)ab", "xAby", "x|Ab|y"},
        {"x(?i:a(?-i:b))c", "yxAbcy", "y|xAbc|y"},
        {"(?<n>a)\\k<n>", "xaay", "x|aa|y"},
        {"(?<=a)b(?!c)(?=d)", "abdabc", "a|b|dabc"},
        {"(?<!a)b", "abbb", "ab|b|b"},
        {"(?>a+)b", "aab", "aab"},
        {"\\v", "a\x0b\n", "a|\x0b|\n"},
        {"\\x{61}\\x62", "xaby", "x|ab|y"},
        {"#.", "a# b", "a|# |b"},
        {"\\w+", "a\xcc\x81_\xe2\x80\xbf\xc2\xbd-", "a\xcc\x81_\xe2\x80\xbf\xc2\xbd|-"},
        {"[\\w.]+", "a.\xc2\xbd", "a.|\xc2\xbd"}, /* in a class, U+00BD is none */
        {"\\W", "a\xcc\x81-b", "a\xcc\x81|-|b"},
        {"a\\b", "a\xcc\x81 a a", "a\xcc\x81 |a| |a"},
        {".\\Ba", "-a\xcc\x81 aa\n", "-a\xcc\x81 |aa|\n"},
        {"(a{10}){10}b?", "x", "x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pretokenizer p = {0};
        add(&p, cases[i].pattern, SPLIT_ISOLATED);
        cut_as(&p, cases[i].text, cases[i].pieces);
        pretokenizer_free(&p);
    }
}

static void refused_with(const char *pattern, bool literal, const char *words)
{
    struct pretokenizer p = {0};
    struct err err;

    assert_int_equal(pretokenizer_add(&p, pattern, literal, SPLIT_ISOLATED, false, &err),
                     ERR_UNSUPPORTED);
    assert_contains(err.text, words);
    pretokenizer_free(&p);
}

/* Of DeepSeek, Mistral's Tekken, o200k, cl100k and Exaone, in part: what they use is supported. */
static void patterns_of_other_models_are_supported(void **state)
{
    static const struct {
        const char *pattern, *text, *pieces;
    } cases[] = {
        {"[!\"#$%&'()*+,\\-./"
         ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
         "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
         "a [b ]c\n .", "a| [|b| ]|c|\n| ."},
        {"[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f]+", "a\xe4\xb8\x80\xe4\xb8\x80z",
         "a|\xe4\xb8\x80\xe4\xb8\x80|z"},
        {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
         "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| "
         "?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s+(?!\\S)|\\s+",
         "HelloWorld it'S 1234", "Hello|World| it'S| |123|4"},
        {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+?| "
         "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+",
         NULL, NULL},
        {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}| "
         "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+",
         "it'S 1234", "it|'S| |123|4"},
        {"\\p{N}{1,3}(?=(?:\\p{N}{3})*(?!\\p{N}))", "1234567", "1|234|567"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pretokenizer p = {0};
        struct err err;
        if (!cases[i].pieces) {
            assert_int_equal(
                pretokenizer_add(&p, cases[i].pattern, false, SPLIT_ISOLATED, false, &err),
                ERR_UNSUPPORTED);
        } else {
            add(&p, cases[i].pattern, SPLIT_ISOLATED);
            cut_as(&p, cases[i].text, cases[i].pieces);
        }
        pretokenizer_free(&p);
    }
}

static char *pieces_of(const char *pattern, const char *text, size_t len)
{
    struct pretokenizer_scratch *s;
    struct watch watch;
    struct pretokenizer p = {0};
    struct buf b = {0};
    struct err err;

    add(&p, pattern, SPLIT_ISOLATED);
    watch_start(&watch, len);
    assert_ok(pretokenizer_scratch_new(&p, len, &watch, &s, &err), err);
    assert_ok(pretokenizer_split(&p, s, text, len, true, collect, &b, &err), err);
    pretokenizer_scratch_free(s);
    pretokenizer_free(&p);
    return buf_take(&b);
}

/* With a comment in it, a pattern is no longer one of the well-known ones, and is watched. */
static void watched_patterns_cut_as_others_do(void **state)
{
    static const char *const patterns[] = {known_gpt2, known_llama3, known_qwen2, "\\p{N}{1,3}"};
    static const char *const parts[] = {"a",     "I'll",     " ", "  ", "\n",
                                        "12345", "\xc3\xa9", ".", "\r"};
    enum { PARTS = sizeof(parts) / sizeof(parts[0]), LENGTH = 5000 };
    uint64_t random = 3;
    struct buf text = {0};

    (void)state;
    for (int i = 0; i < LENGTH; i++)
        buf_puts(&text, parts[next_random(&random) % PARTS]);
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        char *watched = NULL, *one, *two;
        assert_true(asprintf(&watched, "%s(?#)", patterns[i]) > 0);
        one = pieces_of(patterns[i], text.data, text.len);
        two = pieces_of(watched, text.data, text.len);
        assert_string_equal(one, two);
        free(watched);
        free(one);
        free(two);
    }
    buf_free(&text);
}

static void patterns_steps_and_groups_have_a_limit(void **state)
{
    enum { LONG = 20000, STEPS = 64 };
    static char text[LONG + 1];
    struct pretokenizer p = {0};
    struct err err;

    (void)state;
    memset(text, 'a', LONG);
    refused_with(text, false, "more than 16384 bytes");
    refused_with(text, true, "more than 16384 bytes");
    memset(text, '(', LONG);
    text[10000] = '\0';
    refused_with(text, false, "more than 100 deep");
    for (int i = 0; i < STEPS; i++)
        add(&p, "a", SPLIT_ISOLATED);
    assert_int_equal(pretokenizer_add(&p, "a", false, SPLIT_ISOLATED, false, &err),
                     ERR_UNSUPPORTED);
    assert_contains(err.text, "more than 64 steps");
    assert_int_equal(pretokenizer_add_blank(&p, &err), ERR_UNSUPPORTED);
    cut_as(&p, "bab", "b|a|b");
    pretokenizer_free(&p);
}

static int ignore(void *context, const char *piece, size_t len, struct piece_map *map,
                  struct err *err)
{
    (void)map;
    (void)context;
    (void)piece;
    (void)len;
    (void)err;
    return 0;
}

/* The texts are runs of 'a' and, at their ends, a 'c'. */
static void every_pattern_stops_in_time(void **state)
{
    static const struct {
        const char *pattern;
        size_t len;
        bool literal;
    } cases[] = {
        {"(?:a|a)*[bd]", 100000, false},
        {"(?:a+)+[bd]", 100000, false},
        {"(?:a{1,9}){1,9}[bd]", 100000, false},
        {"(?=(?:a*)*[bd])", 50000, false},
        {"a*a*a*a*[bd]", 3000, false},
        {"(a*)\\1[bd]", 400000, false},
        {"a*[bd]", 1000000, false},
        {"a*+[bd]", 1000000, false},
        {"(?<=a{5000})[bd]|a(?!a*+[d])[bd]", 300000, false},
        {"(?:\\X*)[bd]", 300000, false},
        {NULL, 1200000, true}, /* 8000 times 'a' and a 'b' */
    };
    static char many[8001];
    struct pretokenizer_scratch *s;
    struct watch watch;
    struct err err;

    (void)state;
    memset(many, 'a', sizeof(many) - 1);
    many[sizeof(many) - 2] = 'b';
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *pattern = cases[i].literal ? many : cases[i].pattern;
        struct pretokenizer p = {0};
        char *text = malloc(cases[i].len);
        int rc;
        assert_non_null(text);
        memset(text, 'a', cases[i].len);
        text[cases[i].len - 1] = 'c';
        assert_ok(pretokenizer_add(&p, pattern, cases[i].literal, SPLIT_ISOLATED, false, &err),
                  err);
        watch_start(&watch, cases[i].len);
        assert_ok(pretokenizer_scratch_new(&p, cases[i].len, &watch, &s, &err), err);
        err.text[0] = '\0';
        rc = pretokenizer_split(&p, s, text, cases[i].len, true, ignore, NULL, &err);
        assert_int_equal(rc, ERR_UNSUPPORTED);
        assert_contains(err.text, cases[i].literal ? "aaaa" : pattern);
        pretokenizer_scratch_free(s);
        pretokenizer_free(&p);
        free(text);
    }
}

static int refuse_second(void *context, const char *piece, size_t len, struct piece_map *map,
                         struct err *err)
{
    (void)map;
    int *n = context;

    (void)piece;
    (void)len;
    return ++*n == 2 ? err_set(err, ERR_STATE, "no more") : 0;
}

static void refusal_by_the_caller_stops_the_cutting(void **state)
{
    struct pretokenizer p = {0};
    struct pretokenizer_scratch *s;
    struct watch watch;
    struct err err;
    int n = 0;

    (void)state;
    add(&p, known_gpt2, SPLIT_ISOLATED);
    watch_start(&watch, 7);
    assert_ok(pretokenizer_scratch_new(&p, 7, &watch, &s, &err), err);
    assert_int_equal(pretokenizer_split(&p, s, "a b c d", 7, true, refuse_second, &n, &err),
                     ERR_STATE);
    assert_int_equal(n, 2);
    pretokenizer_scratch_free(s);
    pretokenizer_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_pattern_cuts_words_numbers_and_blanks),
        cmocka_unit_test(digits_alone_come_before_words),
        cmocka_unit_test(white_space_is_unicodes_not_pcres),
        cmocka_unit_test(removed_literal_and_inverted_patterns_work),
        cmocka_unit_test(blank_is_put_before_pieces_that_lack_one),
        cmocka_unit_test(patterns_that_pcre_reads_otherwise_are_refused),
        cmocka_unit_test(hostile_patterns_are_refused_by_name),
        cmocka_unit_test(harmless_patterns_cut_as_they_say),
        cmocka_unit_test(patterns_of_other_models_are_supported),
        cmocka_unit_test(watched_patterns_cut_as_others_do),
        cmocka_unit_test(patterns_steps_and_groups_have_a_limit),
        cmocka_unit_test(every_pattern_stops_in_time),
        cmocka_unit_test(refusal_by_the_caller_stops_the_cutting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
