/* core/text/jinja/methods_split.c - methods that take a text apart. The parts lie in the text. */
#include "core/text/jinja/attributes.h"
#include "core/text/jinja/data.h"
#include "core/text/jinja/methods.h"
#include "core/text/jinja/python_text.h"

bool is_text_part_method(int attribute)
{
    return attribute == A_SPLIT || attribute == A_RSPLIT || attribute == A_SPLITLINES ||
           attribute == A_PARTITION || attribute == A_RPARTITION;
}

struct parts {
    struct run *r;
    const struct value *self;
    struct vector items;
};

static int add_part(struct parts *p, size_t from, size_t to)
{
    struct value part = value_text(p->self->text + from, to - from);

    part.flags = p->self->flags;
    return vector_push(p->r, &p->items, &part);
}

/* Parted by white space, of which none is left; the last part holds the rest. */
static int split_space(struct parts *p, int64_t most)
{
    struct str s = str_of(p->self);
    size_t at = 0, n, begin;
    int rc = 0;

    for (int64_t i = 0; rc == 0; i++) {
        while (at < s.len && (n = text_space_at(s, at)) > 0)
            at += n;
        if (at == s.len)
            break;
        if (most >= 0 && i >= most) {
            rc = add_part(p, at, s.len);
            break;
        }
        for (begin = at; at < s.len && text_space_at(s, at) == 0; at++)
            ;
        rc = add_part(p, begin, at);
    }
    return rc;
}

static void reverse(struct vector *v)
{
    for (size_t i = 0; i < v->n / 2; i++) {
        struct value item = v->items[i];
        v->items[i] = v->items[v->n - 1 - i];
        v->items[v->n - 1 - i] = item;
    }
}

/* Where the character before `at` begins. */
static size_t before(struct str s, size_t at)
{
    for (at--; at > 0 && ((uint8_t)s.at[at] & 0xc0) == 0x80; at--)
        ;
    return at;
}

static int rsplit_space(struct parts *p, int64_t most)
{
    struct str s = str_of(p->self);
    size_t end = s.len, begin;
    int rc = 0;

    for (int64_t i = 0; rc == 0; i++) {
        end = text_strip((struct str){s.at, end}, false, true).len;
        if (end == 0)
            break;
        if (most >= 0 && i >= most) {
            rc = add_part(p, 0, end);
            break;
        }
        for (begin = end; begin > 0 && text_space_at(s, before(s, begin)) == 0;)
            begin = before(s, begin);
        rc = add_part(p, begin, end);
        end = begin;
    }
    reverse(&p->items);
    return rc;
}

static int split_by(struct parts *p, struct str sep, int64_t most)
{
    struct str s = str_of(p->self);
    size_t at = 0, found = SIZE_MAX;
    int rc = 0;

    for (int64_t i = 0; rc == 0 && (most < 0 || i < most); i++) {
        found = text_find(s, sep, at, s.len);
        if (found == SIZE_MAX)
            break;
        rc = add_part(p, at, found);
        at = found + sep.len;
    }
    return rc < 0 ? rc : add_part(p, at, s.len);
}

static int rsplit_by(struct parts *p, struct str sep, int64_t most)
{
    struct str s = str_of(p->self);
    size_t end = s.len, found;
    int rc = run_steps(p->r, s.len / 64 * (sep.len / 64));

    for (int64_t i = 0; rc == 0 && (most < 0 || i < most); i++) {
        found = text_rfind(s, sep, 0, end);
        if (found == SIZE_MAX)
            break;
        rc = add_part(p, found + sep.len, end);
        end = found;
    }
    if (rc == 0)
        rc = add_part(p, 0, end);
    reverse(&p->items);
    return rc;
}

static int split(struct run *r, const struct value *self, bool from_right, const struct args *args,
                 struct value *ret)
{
    static const char *const names[] = {"sep", "maxsplit"};
    struct parts p = {r, self, {0}};
    struct value in[2];
    int64_t most = -1;
    int rc = bind_args(r, "split()", args, names, 2, 0, in);

    if (rc == 0 && in[1].kind != V_MISSING) {
        rc = need_int(r, "split()", &in[1]);
        most = in[1].integer;
    }
    if (rc == 0 && in[0].kind != V_MISSING && in[0].kind != V_NONE)
        rc = need_text(r, "split()", &in[0]);
    if (rc == 0)
        rc = run_steps(r, self->len / 64);
    if (rc < 0)
        return rc;
    if (in[0].kind != V_STRING)
        rc = from_right ? rsplit_space(&p, most) : split_space(&p, most);
    else if (in[0].len == 0)
        return run_fail(r, "a text cannot be split at an empty one");
    else
        rc = from_right ? rsplit_by(&p, str_of(&in[0]), most) : split_by(&p, str_of(&in[0]), most);
    *ret = vector_list(&p.items, V_LIST);
    return rc;
}

/* Bytes of the end of a line at `at`; 0: the line continues. */
static size_t line_end(struct str s, size_t at)
{
    size_t len;
    uint32_t c = char_at(s.at + at, &len);

    if (c == '\r' && at + 1 < s.len && s.at[at + 1] == '\n')
        return 2;
    return (c >= '\n' && c <= '\r') || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
                   c == 0x2029
               ? len
               : 0;
}

int split_lines(struct run *r, const struct value *self, bool keep_ends, struct value *ret)
{
    struct parts p = {r, self, {0}};
    struct str s = str_of(self);
    size_t begin = 0, len, end;
    int rc = run_steps(r, s.len / 64);

    for (size_t i = 0; i < s.len && rc == 0;) {
        end = line_end(s, i);
        if (end == 0) {
            char_at(s.at + i, &len);
            i += len;
            continue;
        }
        rc = add_part(&p, begin, keep_ends ? i + end : i);
        begin = i += end;
    }
    if (rc == 0 && begin < s.len)
        rc = add_part(&p, begin, s.len);
    *ret = vector_list(&p.items, V_LIST);
    return rc;
}

static int method_splitlines(struct run *r, const struct value *self, const struct args *args,
                             struct value *ret)
{
    static const char *const names[] = {"keepends"};
    struct value keep;
    int rc = bind_args(r, "splitlines()", args, names, 1, 0, &keep);

    if (rc == 0 && keep.kind != V_MISSING)
        rc = need_int(r, "splitlines()", &keep);
    return rc < 0 ? rc : split_lines(r, self, is_true(&keep), ret);
}

static int partition(struct run *r, const struct value *self, bool from_right,
                     const struct args *args, struct value *ret)
{
    struct parts p = {r, self, {0}};
    struct str s = str_of(self), sep;
    size_t at, cuts[4] = {0};
    int rc = bind_positional(r, "partition()", args, 1, 1);

    if (rc == 0)
        rc = need_text(r, "partition()", &args->items[0]);
    if (rc < 0)
        return rc;
    sep = str_of(&args->items[0]);
    if (sep.len == 0)
        return run_fail(r, "a text cannot be split at an empty one");
    rc = run_steps(r, s.len / 64 + (from_right ? s.len / 64 * (sep.len / 64) : 0));
    at = from_right ? text_rfind(s, sep, 0, s.len) : text_find(s, sep, 0, s.len);
    cuts[1] = at != SIZE_MAX ? at : from_right ? 0 : s.len;
    cuts[2] = at != SIZE_MAX ? at + sep.len : cuts[1];
    cuts[3] = s.len;
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = add_part(&p, cuts[i], cuts[i + 1]);
    *ret = vector_list(&p.items, V_TUPLE);
    return rc;
}

int text_part_method(struct run *r, const struct value *self, int attribute,
                     const struct args *args, struct value *ret)
{
    switch ((enum attribute)attribute) {
    case A_SPLITLINES:
        return method_splitlines(r, self, args, ret);
    case A_PARTITION:
    case A_RPARTITION:
        return partition(r, self, attribute == A_RPARTITION, args, ret);
    default:
        return split(r, self, attribute == A_RSPLIT, args, ret);
    }
}
