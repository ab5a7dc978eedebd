/* core/text/jinja/lexer.h - a template as tokens. White space that trim_blocks, lstrip_blocks and
 * the signs - and + take away is already gone from the data, and escapes of strings are resolved.
 */
#pragma once
#include "core/err.h"
#include "core/pool.h"
#include "core/text/jinja/value.h"

enum token_kind {
    T_EOF,
    T_DATA,
    T_BLOCK_BEGIN,
    T_BLOCK_END,
    T_VARIABLE_BEGIN,
    T_VARIABLE_END,
    T_NAME,
    T_STRING,
    T_INTEGER,
    T_FLOAT,
    T_ADD,
    T_SUB,
    T_MUL,
    T_DIV,
    T_FLOORDIV,
    T_MOD,
    T_POW,
    T_TILDE,
    T_EQ,
    T_NE,
    T_LT,
    T_LTEQ,
    T_GT,
    T_GTEQ,
    T_ASSIGN,
    T_DOT,
    T_COLON,
    T_PIPE,
    T_COMMA,
    T_SEMICOLON,
    T_LPAREN,
    T_RPAREN,
    T_LBRACKET,
    T_RBRACKET,
    T_LBRACE,
    T_RBRACE,
};

struct token {
    uint8_t kind;
    uint32_t line, column; /* of the first byte, from 1; columns count characters */
    union {
        struct str text; /* T_DATA, T_NAME, T_STRING */
        int64_t integer;
        double real;
    };
};

/* The tokens of a text, the last one T_EOF, in memory of the pool. `name` as of jinja_parse(). */
int jinja_tokenise(const char *name, struct str source, struct pool *pool, struct token **ret,
                   struct err *err);
/* What a message calls the token. */
const char *jinja_token_words(const struct token *t, char *buf, size_t len);
