/* core/text/jinja/jinja.h - chat templates, rendered as transformers' apply_chat_template does.
 *
 * The language is Jinja 3.1 in the environment that transformers 5 sets up: trim_blocks and
 * lstrip_blocks, break and continue, {% generation %}, its tojson, raise_exception, strftime_now,
 * namespace and dict; sandboxed, so that lists and dicts cannot be changed. A template either
 * renders to the text that Python gives, or is refused: what is not supported (include, import,
 * block, extends and the filters urlize, wordwrap, pprint, random, ...) is named with its line.
 *
 * Where Python has more than this program, rendering fails rather than give another text: integers
 * beyond 64 bits, texts with an address in them (the text of a generator or a method), str.encode
 * and the like. Characters are those of Unicode 14, as in Python 3.11. The reverse is rare: jinja2
 * fails on constant expressions that are infinite, which are rendered here.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct jinja; /* a parsed template, which does not change: threads may share it */

/* Parses len bytes of UTF-8. name stands in messages: a file, or "the chat template of X". On
 * success the caller frees *ret with jinja_free(). ERR_INVALID: not a template; ERR_UNSUPPORTED: it
 * uses what this program lacks. The text says where: "NAME, line 3, column 12: ...". */
int jinja_parse(const char *name, const char *text, size_t len, struct jinja **ret,
                struct err *err);
void jinja_free(struct jinja *t);

bool jinja_has_generation(const struct jinja *t);
/* Whether the template reads a variable of this name that it does not set itself. */
bool jinja_mentions(const struct jinja *t, const char *name);

struct jinja_variable { /* borrowed until the render ends */
    const char *name;
    const json_t *json; /* NULL: a text, below, which is valid UTF-8 */
    const char *text;
    size_t len;
};

struct jinja_options {
    uint64_t steps;      /* parts of a template evaluated, items visited, 64 bytes copied */
    int depth;           /* of what is evaluated within each other; 1000 need 1 MiB of stack */
    size_t output_bytes; /* of the text */
    size_t memory_bytes; /* of all that is built on the way */
    int64_t now;         /* of strftime_now(): seconds since 1970 UTC; JINJA_NO_DATE: refused */
    int utc_offset;      /* of strftime_now(), in seconds, east of Greenwich positive */
};
#define JINJA_NO_DATE INT64_MIN
extern const struct jinja_options jinja_defaults;

struct jinja_span { /* bytes [begin, end) of the text */
    size_t begin, end;
};

struct jinja_output { /* zero-initialise; free with jinja_output_free() */
    struct buf text;
    struct jinja_span *spans; /* of {% generation %}, in the order in which they ended */
    int n_spans, cap_spans;
    uint64_t steps; /* that the render took, also one that failed */
    bool raised; /* the template called raise_exception(): err has its message, and nothing else */
};

/* Renders to out, whose former text and spans are dropped but whose memory is used again. On
 * failure text and spans are empty. ERR_INVALID: the template cannot render these values;
 * ERR_UNSUPPORTED: as above; ERR_NOMEM: out of memory. Exceeding a limit is ERR_INVALID.
 *
 * JSON is read where the template reads it and never copied. A value for which json_parse.h keeps
 * a number that is not finite is that number; an integer beyond 64 bits is refused where it is
 * read. */
int jinja_render(const struct jinja *t, const struct jinja_variable *variables, int n,
                 const struct jinja_options *options, struct jinja_output *out, struct err *err);
void jinja_output_free(struct jinja_output *out);
