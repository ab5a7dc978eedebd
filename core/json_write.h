/* core/json_write.h - JSON as text, value by value: for files that people read, whose numbers have
 * no more digits than they need, and for vocabularies, which as jansson's values take ten times
 * their memory.
 *
 * Members and elements stand on lines of their own. A refused allocation is found in the buf.
 */
#pragma once
#include "core/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_writer { /* out is the caller's; the rest is zero */
    struct buf *out;
    int depth;
    bool follows, keyed; /* something in front on this level; a key */
};

void json_write_begin(struct json_writer *w, char bracket); /* '{' or '[' */
void json_write_end(struct json_writer *w, char bracket);
/* Of the next value, in an object. Texts must be UTF-8, and may hold NUL. */
void json_write_key(struct json_writer *w, const char *key, size_t len);

void json_write_text(struct json_writer *w, const char *text, size_t len);
void json_write_int(struct json_writer *w, int64_t value);
void json_write_bool(struct json_writer *w, bool value);
void json_write_null(struct json_writer *w);
/* A finite number by the fewest digits that give it back, or that give back its f32. */
void json_write_number(struct json_writer *w, double value);
void json_write_f32(struct json_writer *w, double value);

/* Members of an object. */
void json_put_text(struct json_writer *w, const char *key, const char *text);
void json_put_int(struct json_writer *w, const char *key, int64_t value);
void json_put_bool(struct json_writer *w, const char *key, bool value);
void json_put_null(struct json_writer *w, const char *key);
void json_put_number(struct json_writer *w, const char *key, double value);
void json_put_f32(struct json_writer *w, const char *key, double value);
/* An object or a list begins. */
void json_put_begin(struct json_writer *w, const char *key, char bracket);
