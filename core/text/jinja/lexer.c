/* core/text/jinja/lexer.c - see lexer.h. Between tags there is data; a tag is found by its first
 * two bytes, and what its signs take away of the data before it is cut as the tag begins, what they
 * take behind it is skipped as it ends. Within a tag a closing mark counts only where no bracket is
 * open. */
#include "core/text/jinja/lexer.h"
#include "core/text/jinja/lexer_strings.h"
#include "core/text/jinja/python_text.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BRACKETS_MOST = 200 };

struct lexer {
    const char *name;
    struct str s;
    size_t at;
    uint32_t line;
    size_t counted; /* lines and columns are counted up to there */
    uint32_t column;
    bool line_starting; /* the last thing read ended a line */
    struct pool *pool;
    struct token *tokens;
    size_t n, cap;
    char brackets[BRACKETS_MOST]; /* those that are open, as what closes them */
    int n_brackets;
    struct err *err;
};

/* Counts lines up to `at`, which never lies before what was counted. */
static void place(struct lexer *l, size_t at, uint32_t *line, uint32_t *column)
{
    for (; l->counted < at; l->counted++) {
        if (l->s.at[l->counted] == '\n') {
            l->line++;
            l->column = 0;
        } else if (((uint8_t)l->s.at[l->counted] & 0xc0) != 0x80) {
            l->column++;
        }
    }
    *line = l->line;
    *column = l->column + 1;
}

static int fail_at(struct lexer *l, size_t at, int code, const char *why)
{
    uint32_t line, column;

    place(l, at, &line, &column);
    return err_set(l->err, code, "%s, line %u, column %u: %s", l->name, line, column, why);
}

static struct token *push(struct lexer *l, enum token_kind kind, size_t at)
{
    struct token *t, *more;

    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        more = pool_alloc(l->pool, cap * sizeof(*more));
        if (!more) {
            err_nomem(l->err, cap * sizeof(*more));
            return NULL;
        }
        if (l->n)
            memcpy(more, l->tokens, l->n * sizeof(*more));
        l->tokens = more;
        l->cap = cap;
    }
    t = &l->tokens[l->n++];
    *t = (struct token){.kind = kind};
    place(l, at, &t->line, &t->column);
    return t;
}

static bool looking_at(const struct lexer *l, size_t at, const char *what)
{
    size_t len = strlen(what);

    return len <= l->s.len - at && memcmp(l->s.at + at, what, len) == 0;
}

static size_t skip_space(const struct lexer *l, size_t at)
{
    size_t n;

    while (at < l->s.len && (n = text_space_at(l->s, at)) > 0)
        at += n;
    return at;
}

static void move_to(struct lexer *l, size_t at)
{
    if (at > l->at)
        l->line_starting = l->s.at[at - 1] == '\n';
    l->at = at;
}

/* Bytes of what closes a comment, block or raw block at `at`, with the white space that it takes;
 * 0: nothing closes here. */
static size_t closing(const struct lexer *l, size_t at, const char *mark)
{
    char sign = l->s.at[at];
    size_t begin = at;

    if (sign == '-' || sign == '+')
        at++;
    if (!looking_at(l, at, mark))
        return 0;
    at += 2;
    if (sign == '-')
        at = skip_space(l, at);
    else if (sign != '+' && at < l->s.len && l->s.at[at] == '\n')
        at++;
    return at - begin;
}

/* Data up to a tag, less what the tag's sign and lstrip_blocks take. */
static int push_data(struct lexer *l, size_t end, char sign, bool variable)
{
    struct str data = {l->s.at + l->at, end - l->at};
    struct token *t;

    if (sign == '-') {
        data = text_strip(data, false, true);
    } else if (sign != '+' && !variable) {
        size_t line = data.len;
        while (line > 0 && data.at[line - 1] != '\n')
            line--;
        if ((line > 0 || l->line_starting) &&
            text_strip((struct str){data.at + line, data.len - line}, true, false).len == 0)
            data.len = line;
    }
    if (data.len == 0)
        return 0;
    t = push(l, T_DATA, l->at);
    if (!t)
        return ERR_NOMEM;
    t->text = data;
    return 0;
}

/* Bytes of "{%- raw %}" at `at`, without the white space before the sign; 0: it is none. */
static size_t raw_begin(const struct lexer *l, size_t at)
{
    size_t p = at + 2;

    if (p < l->s.len && (l->s.at[p] == '-' || l->s.at[p] == '+'))
        p++;
    p = skip_space(l, p);
    if (!looking_at(l, p, "raw"))
        return 0;
    p = skip_space(l, p + 3);
    if (looking_at(l, p, "-%}"))
        return skip_space(l, p + 3) - at;
    return looking_at(l, p, "%}") ? p + 2 - at : 0;
}

/* The same for "{% endraw %}". */
static size_t raw_end(const struct lexer *l, size_t at)
{
    size_t p = at + 2, n;

    if (p < l->s.len && (l->s.at[p] == '-' || l->s.at[p] == '+'))
        p++;
    p = skip_space(l, p);
    if (!looking_at(l, p, "endraw"))
        return 0;
    p = skip_space(l, p + 6);
    n = p < l->s.len ? closing(l, p, "%}") : 0;
    return n ? p + n - at : 0;
}

static char sign_at(const struct lexer *l, size_t at)
{
    char c = at < l->s.len ? l->s.at[at] : 0;

    return c == '-' || c == '+' ? c : 0;
}

static int read_raw(struct lexer *l, size_t begin)
{
    size_t n;
    int rc;

    for (size_t at = l->at; at + 1 < l->s.len; at++) {
        if (!looking_at(l, at, "{%") || (n = raw_end(l, at)) == 0)
            continue;
        rc = push_data(l, at, sign_at(l, at + 2), false);
        move_to(l, at + n);
        return rc;
    }
    return fail_at(l, begin, ERR_INVALID, "the tag raw has no endraw");
}

static int read_comment(struct lexer *l, size_t begin)
{
    size_t n;

    for (size_t at = l->at; at < l->s.len; at++)
        if ((n = closing(l, at, "#}")) > 0) {
            move_to(l, at + n);
            return 0;
        }
    return fail_at(l, begin, ERR_INVALID, "the comment has no end");
}

static int number(struct lexer *l)
{
    struct token *t = push(l, T_INTEGER, l->at);
    const char *why = NULL;
    bool real = false;
    size_t n;

    if (!t)
        return ERR_NOMEM;
    n = jinja_read_number(l->s, l->at, &real, &t->integer, &t->real, &why);
    if (why)
        return fail_at(l, l->at, ERR_UNSUPPORTED, why);
    t->kind = real ? T_FLOAT : T_INTEGER;
    move_to(l, l->at + n);
    return 0;
}

static bool is_name_char(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int name(struct lexer *l)
{
    struct token *t = push(l, T_NAME, l->at);
    size_t end = l->at;

    if (!t)
        return ERR_NOMEM;
    while (end < l->s.len && is_name_char(l->s.at[end]))
        end++;
    if (end < l->s.len && (uint8_t)l->s.at[end] >= 0x80)
        return fail_at(l, end, ERR_UNSUPPORTED, "names must be ASCII");
    t->text = (struct str){l->s.at + l->at, end - l->at};
    move_to(l, end);
    return 0;
}

static int string(struct lexer *l)
{
    struct token *t = push(l, T_STRING, l->at);
    const char *why = NULL;
    size_t end = l->at + 1;

    if (!t)
        return ERR_NOMEM;
    while (end < l->s.len && l->s.at[end] != l->s.at[l->at])
        end += l->s.at[end] == '\\' ? 2 : 1;
    if (end >= l->s.len)
        return fail_at(l, l->at, ERR_INVALID, "the string has no end");
    t->text = (struct str){l->s.at + l->at + 1, end - l->at - 1};
    if (memchr(t->text.at, '\\', t->text.len)) {
        char *out = pool_alloc(l->pool, 2 * t->text.len + 16);
        if (!out)
            return err_nomem(l->err, 2 * t->text.len + 16);
        t->text = (struct str){out, jinja_unescape(t->text, out, &why)};
    }
    if (why)
        return fail_at(l, l->at, ERR_INVALID, why);
    move_to(l, end + 1);
    return 0;
}

static const struct {
    char text[3];
    uint8_t kind;
} operators[] = {
    {"//", T_FLOORDIV}, {"**", T_POW},   {"==", T_EQ},      {"!=", T_NE},      {">=", T_GTEQ},
    {"<=", T_LTEQ},     {"+", T_ADD},    {"-", T_SUB},      {"/", T_DIV},      {"*", T_MUL},
    {"%", T_MOD},       {"~", T_TILDE},  {"[", T_LBRACKET}, {"]", T_RBRACKET}, {"(", T_LPAREN},
    {")", T_RPAREN},    {"{", T_LBRACE}, {"}", T_RBRACE},   {">", T_GT},       {"<", T_LT},
    {"=", T_ASSIGN},    {".", T_DOT},    {":", T_COLON},    {"|", T_PIPE},     {",", T_COMMA},
    {";", T_SEMICOLON},
};
enum { N_OPERATORS = sizeof(operators) / sizeof(operators[0]) };

static int balance(struct lexer *l, enum token_kind kind)
{
    char c = l->s.at[l->at];

    if (kind == T_LPAREN || kind == T_LBRACKET || kind == T_LBRACE) {
        if (l->n_brackets == BRACKETS_MOST)
            return fail_at(l, l->at, ERR_UNSUPPORTED, "more than 200 brackets are open");
        l->brackets[l->n_brackets++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (kind == T_RPAREN || kind == T_RBRACKET || kind == T_RBRACE) {
        if (l->n_brackets == 0 || l->brackets[l->n_brackets - 1] != c)
            return fail_at(l, l->at, ERR_INVALID, "this bracket closes none that is open");
        l->n_brackets--;
    }
    return 0;
}

static int operator(struct lexer *l)
{
    int i, rc;

    for (i = 0; i < N_OPERATORS && !looking_at(l, l->at, operators[i].text); i++)
        ;
    if (i == N_OPERATORS)
        return fail_at(l, l->at, (uint8_t)l->s.at[l->at] < 0x80 ? ERR_INVALID : ERR_UNSUPPORTED,
                       "this character cannot stand in a tag");
    rc = balance(l, operators[i].kind);
    if (rc < 0)
        return rc;
    if (!push(l, operators[i].kind, l->at))
        return ERR_NOMEM;
    move_to(l, l->at + strlen(operators[i].text));
    return 0;
}

static int token(struct lexer *l)
{
    char c = l->s.at[l->at];

    if (c >= '0' && c <= '9')
        return number(l);
    if (is_name_char(c))
        return name(l);
    if (c == '"' || c == '\'')
        return string(l);
    return operator(l);
}

/* Bytes of what closes the tag here; 0: nothing does. */
static size_t tag_end(const struct lexer *l, bool variable)
{
    if (l->n_brackets > 0)
        return 0;
    if (!variable)
        return closing(l, l->at, "%}");
    if (looking_at(l, l->at, "-}}"))
        return skip_space(l, l->at + 3) - l->at;
    return looking_at(l, l->at, "}}") ? 2 : 0;
}

static int read_tag(struct lexer *l, bool variable)
{
    size_t n, space;
    int rc;

    l->n_brackets = 0;
    while (l->at < l->s.len) {
        n = tag_end(l, variable);
        if (n > 0) {
            if (!push(l, variable ? T_VARIABLE_END : T_BLOCK_END, l->at))
                return ERR_NOMEM;
            move_to(l, l->at + n);
            return 0;
        }
        space = skip_space(l, l->at);
        if (space > l->at) {
            move_to(l, space);
            continue;
        }
        rc = token(l);
        if (rc < 0)
            return rc;
    }
    return 0; /* the parser finds that an end lacks */
}

/* Reads the tag at `at`, and the data before it. */
static int read_markup(struct lexer *l, size_t at)
{
    char what = l->s.at[at + 1], sign = sign_at(l, at + 2);
    size_t raw = what == '%' ? raw_begin(l, at) : 0;
    int rc = push_data(l, at, sign, what == '{');

    if (rc < 0)
        return rc;
    move_to(l, raw ? at + raw : at + 2 + (sign != 0));
    if (raw)
        return read_raw(l, at);
    if (what == '#')
        return read_comment(l, at);
    if (!push(l, what == '{' ? T_VARIABLE_BEGIN : T_BLOCK_BEGIN, at))
        return ERR_NOMEM;
    return read_tag(l, what == '{');
}

static bool is_markup(char c)
{
    return c == '{' || c == '%' || c == '#';
}

static int read_all(struct lexer *l)
{
    int rc;

    while (l->at < l->s.len) {
        size_t at = l->at;
        while (at + 1 < l->s.len && !(l->s.at[at] == '{' && is_markup(l->s.at[at + 1])))
            at++;
        if (at + 1 >= l->s.len) {
            rc = push_data(l, l->s.len, '+', false);
            l->at = l->s.len;
        } else {
            rc = read_markup(l, at);
        }
        if (rc < 0)
            return rc;
    }
    return push(l, T_EOF, l->s.len) ? 0 : ERR_NOMEM;
}

/* Line ends become \n, and the last one is dropped. */
static int normalise(struct lexer *l, struct str source)
{
    char *out = pool_alloc(l->pool, source.len + 1);
    size_t n = 0;

    if (!out)
        return err_nomem(l->err, source.len + 1);
    for (size_t i = 0; i < source.len; i++) {
        if (source.at[i] == '\r' && i + 1 < source.len && source.at[i + 1] == '\n')
            continue;
        out[n++] = source.at[i] == '\r' ? '\n' : source.at[i];
    }
    if (n > 0 && out[n - 1] == '\n')
        n--;
    l->s = (struct str){out, n};
    return 0;
}

int jinja_tokenise(const char *name, struct str source, struct pool *pool, struct token **ret,
                   struct err *err)
{
    struct lexer l = {.name = name, .line = 1, .line_starting = true, .pool = pool, .err = err};
    int rc = normalise(&l, source);

    if (rc == 0)
        rc = read_all(&l);
    if (rc == 0)
        *ret = l.tokens;
    return rc;
}

const char *jinja_token_words(const struct token *t, char *buf, size_t len)
{
    static const char *const words[] = {[T_EOF] = "the end of the template",
                                        [T_DATA] = "text",
                                        [T_BLOCK_BEGIN] = "{%",
                                        [T_BLOCK_END] = "the end of the tag",
                                        [T_VARIABLE_BEGIN] = "{{",
                                        [T_VARIABLE_END] = "the end of the tag",
                                        [T_STRING] = "a string",
                                        [T_INTEGER] = "an integer",
                                        [T_FLOAT] = "a number"};

    if (t->kind == T_NAME)
        snprintf(buf, len, "\"%.*s\"", t->text.len > 60 ? 60 : (int)t->text.len, t->text.at);
    else if (t->kind <= T_FLOAT)
        snprintf(buf, len, "%s", words[t->kind]);
    else
        for (int i = 0; i < N_OPERATORS; i++)
            if (operators[i].kind == t->kind)
                snprintf(buf, len, "\"%s\"", operators[i].text);
    return buf;
}
