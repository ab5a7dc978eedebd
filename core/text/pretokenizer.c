/* core/text/pretokenizer.c - the steps call each other: each hands its pieces to the next, and the
 * last to the caller, so that no list of pieces is kept.
 */
#include "core/text/pretokenizer.h"
#include "core/buf.h"
#include "core/text/pattern_code.h"
#include "core/text/token_text.h"
#include "core/utf8.h"
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 64 }; /* steps call each other */

enum step_kind { STEP_SPLIT, STEP_BLANK, STEP_META };

struct split_step {
    enum step_kind kind;
    struct pattern_code code; /* STEP_SPLIT */
    enum split_behaviour behaviour;
    bool invert;
    char *by; /* STEP_META */
    enum meta_prefix prefix;
};

/* Owned by a call, one match block a step: steps are nested. */
struct pretokenizer_scratch {
    struct pattern_scratch patterns;
};

struct split { /* one call, down the steps */
    const struct pretokenizer *p;
    struct pretokenizer_scratch *s;
    bool at_start; /* the next piece is the beginning of the whole text */
    struct piece_map *map;
    piece_fn fn;
    void *context;
    struct err *err;
};

static int add_step(struct pretokenizer *p, enum step_kind kind, struct split_step **ret,
                    struct err *err)
{
    struct split_step *steps;

    if (p->n == STEPS_MAX)
        return err_set(err, ERR_UNSUPPORTED, "the pre-tokenizer has more than %d steps", STEPS_MAX);
    steps = realloc(p->steps, ((size_t)p->n + 1) * sizeof(*steps));
    if (!steps)
        return err_nomem(err, sizeof(*steps));
    p->steps = steps;
    steps[p->n] = (struct split_step){.kind = kind};
    *ret = &steps[p->n++];
    return 0;
}

int pretokenizer_add(struct pretokenizer *p, const char *pattern, bool literal,
                     enum split_behaviour behaviour, bool invert, struct err *err)
{
    struct split_step *step = NULL;
    int rc = add_step(p, STEP_SPLIT, &step, err);

    if (rc < 0)
        return rc;
    step->behaviour = behaviour;
    step->invert = invert;
    return pattern_code_compile(pattern, literal, &step->code, err);
}

int pretokenizer_add_blank(struct pretokenizer *p, struct err *err)
{
    struct split_step *step;

    return add_step(p, STEP_BLANK, &step, err);
}

int pretokenizer_add_meta(struct pretokenizer *p, const char *by, enum meta_prefix prefix,
                          struct err *err)
{
    struct split_step *step = NULL;
    int rc = add_step(p, STEP_META, &step, err);

    if (rc < 0)
        return rc;
    step->prefix = prefix;
    step->by = strdup(by);
    return step->by ? 0 : err_nomem(err, strlen(by));
}

void pretokenizer_free(struct pretokenizer *p)
{
    for (int i = 0; i < p->n; i++) {
        pattern_code_free(&p->steps[i].code);
        free(p->steps[i].by);
    }
    free(p->steps);
    *p = (struct pretokenizer){0};
}

/* Takes a character of a pattern: line ends and those outside of ASCII stand as they are, or are
 * spelled as \r, \n and \x{...}. */
static uint32_t take_character(const char **at)
{
    const uint8_t *p = (const uint8_t *)*at;
    uint32_t code;
    size_t len;
    char *end;

    if (strncmp(*at, "\\x{", 3) == 0) {
        code = (uint32_t)strtoul(*at + 3, &end, 16);
        if (*end == '}' && code > 0x7f) {
            *at = end + 1;
            return code;
        }
    }
    if (strncmp(*at, "\\r", 2) == 0 || strncmp(*at, "\\n", 2) == 0) {
        *at += 2;
        return p[1] == 'r' ? '\r' : '\n';
    }
    len = utf8_code(p, strlen(*at), &code);
    *at += len > 0 ? len : 1;
    return len > 0 ? code : *p;
}

static bool is_same_pattern(const char *a, const char *b)
{
    while (*a && *b)
        if (take_character(&a) != take_character(&b))
            return false;
    return *a == *b;
}

bool pretokenizer_is_patterns(const struct pretokenizer *p, const char *const *patterns)
{
    int n = 0;

    for (; patterns[n]; n++) {
        const struct split_step *step = &p->steps[n];
        if (n == p->n || step->kind != STEP_SPLIT ||
            !is_same_pattern(step->code.pattern, patterns[n]))
            return false;
        if (step->behaviour == SPLIT_REMOVED && step->invert && n == 0 && !patterns[1])
            continue; /* nothing lies between the matches of a pattern for all texts */
        if (step->behaviour != SPLIT_ISOLATED || step->invert)
            return false;
    }
    return n == p->n;
}

bool pretokenizer_is_meta(const struct pretokenizer *p, enum meta_prefix *ret, bool *ret_splits)
{
    const struct split_step *split = p->n == 2 ? &p->steps[1] : NULL;

    if (p->n < 1 || p->n > 2 || p->steps[0].kind != STEP_META ||
        strcmp(p->steps[0].by, token_blank) != 0)
        return false;
    if (split && (split->kind != STEP_SPLIT || strcmp(split->code.pattern, token_blank) != 0 ||
                  split->behaviour != SPLIT_WITH_NEXT || split->invert))
        return false;
    *ret = p->steps[0].prefix;
    *ret_splits = split != NULL;
    return true;
}

bool pretokenizer_is_blanks(const struct pretokenizer *p)
{
    for (int i = 0; i < p->n; i++)
        if (p->steps[i].kind != STEP_SPLIT || strcmp(p->steps[i].code.pattern, " ") != 0)
            return false;
    return true;
}

int pretokenizer_scratch_new(const struct pretokenizer *p, size_t text_len, struct watch *watch,
                             struct pretokenizer_scratch **ret, struct err *err)
{
    struct pretokenizer_scratch *s = calloc(1, sizeof(*s));
    const struct pattern_code *codes[STEPS_MAX];
    int rc;

    if (!s)
        return err_nomem(err, sizeof(*s));
    for (int i = 0; i < p->n; i++)
        codes[i] = p->steps[i].kind == STEP_SPLIT ? &p->steps[i].code : NULL;
    rc = pattern_scratch_init(&s->patterns, codes, p->n, text_len, watch, err);
    if (rc < 0) {
        pretokenizer_scratch_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void pretokenizer_scratch_free(struct pretokenizer_scratch *s)
{
    if (!s)
        return;
    pattern_scratch_free(&s->patterns);
    free(s);
}

static int run_step(struct split *x, int i, const char *text, size_t len);

size_t piece_map_find(struct piece_map *map, const char *place)
{
    size_t to = (size_t)(place - map->buffer);

    if (!map->raw)
        return map->at + to;
    if (map->to == 0)
        map->to = map->in_front;
    while (map->to < to)
        map->to += map->raw[map->from++] == ' ' ? map->blank : 1;
    return map->at + map->from;
}

/* The next step for a buffer that was made from text: its pieces are those of the buffer. */
static int run_made(struct split *x, int i, struct piece_map made, const char *text, size_t len)
{
    struct piece_map *outer = x->map;
    int rc;

    made.at = piece_map_find(outer, text);
    made.raw = text;
    x->map = &made;
    rc = run_step(x, i + 1, made.buffer, len);
    x->map = outer;
    return rc;
}

static int blank_step(struct split *x, int i, const char *text, size_t len)
{
    char *longer;
    int rc;

    if (text[0] == ' ')
        return run_step(x, i + 1, text, len);
    longer = malloc(len + 1);
    if (!longer)
        return err_nomem(x->err, len + 1);
    longer[0] = ' ';
    memcpy(longer + 1, text, len);
    rc = run_made(x, i, (struct piece_map){.buffer = longer, .in_front = 1, .blank = 1}, text,
                  len + 1);
    free(longer);
    return rc;
}

static int meta_step(struct split *x, int i, const char *text, size_t len)
{
    const struct split_step *step = &x->p->steps[i];
    size_t by_len = strlen(step->by), done = 0;
    bool has = text[0] == ' ' || (len >= by_len && memcmp(text, step->by, by_len) == 0);
    bool wants = step->prefix == META_ALWAYS || (step->prefix == META_FIRST && x->at_start);
    size_t front = wants && !has ? by_len : 0;
    struct piece_map made;
    struct buf b = {0};
    int rc;

    x->at_start = false;
    if (front)
        buf_append(&b, step->by, by_len);
    for (size_t at = 0; at < len; at++) {
        if (text[at] != ' ')
            continue;
        buf_append(&b, text + done, at - done);
        buf_append(&b, step->by, by_len);
        done = at + 1;
    }
    buf_append(&b, text + done, len - done);
    made = (struct piece_map){.buffer = b.data, .in_front = front, .blank = by_len};
    rc = b.failed ? err_nomem(x->err, len) : run_made(x, i, made, text, b.len);
    buf_free(&b);
    return rc;
}

/* What a SPLIT step makes of its matches and of what is between them. */
struct parts {
    struct split *x;
    int i;
    const char *begin; /* of the piece that waits for its end; NULL: none does */
    size_t len;
    bool match; /* it is one match, or for SPLIT_CONTIGUOUS several */
};

static int flush(struct parts *p)
{
    const char *begin = p->begin;

    p->begin = NULL;
    return begin ? run_step(p->x, p->i + 1, begin, p->len) : 0;
}

/* Whether the part belongs to the piece that waits. */
static bool joins(const struct parts *p, enum split_behaviour behaviour, bool match)
{
    switch (behaviour) {
    case SPLIT_WITH_PREVIOUS:
        return match && !p->match;
    case SPLIT_WITH_NEXT:
        return p->match && !match;
    case SPLIT_CONTIGUOUS:
        return match == p->match;
    default:
        return false;
    }
}

static int part(struct parts *p, const char *text, size_t len, bool match)
{
    const struct split_step *step = &p->x->p->steps[p->i];
    int rc = 0;

    match = match != step->invert;
    if (len == 0 || (step->behaviour == SPLIT_REMOVED && match))
        return 0;
    if (step->behaviour == SPLIT_ISOLATED || step->behaviour == SPLIT_REMOVED)
        return run_step(p->x, p->i + 1, text, len);
    if (p->begin && joins(p, step->behaviour, match)) {
        p->len += len;
    } else {
        rc = flush(p);
        p->begin = text;
        p->len = len;
    }
    p->match = match;
    return rc;
}

static int split_step(struct split *x, int i, const char *text, size_t len)
{
    struct parts parts = {.x = x, .i = i};
    size_t done = 0, start = 0, end = 0;
    int rc;

    while (done < len) {
        start = done;
        rc = pattern_code_find(&x->p->steps[i].code, &x->s->patterns, i, text, len, &start, &end,
                               x->err);
        if (rc == 0)
            break;
        if (rc > 0)
            rc = part(&parts, text + done, start - done, false);
        if (rc == 0)
            rc = part(&parts, text + start, end - start, true);
        if (rc < 0)
            return rc;
        done = end;
    }
    rc = part(&parts, text + done, len - done, false);
    return rc < 0 ? rc : flush(&parts);
}

static int run_step(struct split *x, int i, const char *text, size_t len)
{
    if (i == x->p->n)
        return x->fn(x->context, text, len, x->map, x->err);
    if (x->p->steps[i].kind == STEP_BLANK)
        return blank_step(x, i, text, len);
    if (x->p->steps[i].kind == STEP_META)
        return meta_step(x, i, text, len);
    return split_step(x, i, text, len);
}

int pretokenizer_split(const struct pretokenizer *p, struct pretokenizer_scratch *s,
                       const char *text, size_t len, bool at_start, piece_fn fn, void *context,
                       struct err *err)
{
    struct piece_map map = {.buffer = text};
    struct split x = {p, s, at_start, &map, fn, context, err};

    return len ? run_step(&x, 0, text, len) : 0;
}
