/* core/text/jinja/methods_text.c - methods of texts. On Markup they give Markup; those that escape
 * their arguments then are refused. */
#include "core/text/jinja/attributes.h"
#include "core/text/jinja/data.h"
#include "core/text/jinja/methods.h"
#include "core/text/jinja/python_text.h"
#include "core/text/jinja/text_case.h"

int need_text(struct run *r, const char *what, const struct value *v)
{
    return v->kind == V_STRING ? 0 : run_fail(r, "%s needs a text, not a %s", what, kind_name(v));
}

int need_int(struct run *r, const char *what, const struct value *v)
{
    return is_integral(v) ? 0 : run_fail(r, "%s needs an integer, not a %s", what, kind_name(v));
}

static struct value like(const struct value *self, struct value text)
{
    text.flags |= self->flags & MARKUP;
    return text;
}

static bool has_char(struct str set, struct str c)
{
    return text_find(set, c, 0, set.len) != SIZE_MAX;
}

static size_t last_char(struct str s)
{
    size_t at = s.len - 1;

    while (at > 0 && ((uint8_t)s.at[at] & 0xc0) == 0x80)
        at--;
    return at;
}

int strip_text(struct run *r, const struct value *self, const struct value *chars, bool left,
               bool right, struct value *ret)
{
    struct str s = str_of(self), set;
    size_t len;
    int rc = run_steps(r, s.len / 64);

    if (chars->kind == V_MISSING || chars->kind == V_NONE) {
        s = text_strip(s, left, right);
        *ret = like(self, value_str(s));
        return rc;
    }
    rc = need_text(r, "strip", chars);
    set = str_of(chars);
    while (rc == 0 && left && s.len > 0) {
        char_at(s.at, &len);
        rc = run_steps(r, 1 + set.len / 64);
        if (!has_char(set, (struct str){s.at, len}))
            break;
        s = (struct str){s.at + len, s.len - len};
    }
    while (rc == 0 && right && s.len > 0) {
        size_t at = last_char(s);
        rc = run_steps(r, 1 + set.len / 64);
        if (!has_char(set, (struct str){s.at + at, s.len - at}))
            break;
        s.len = at;
    }
    *ret = like(self, value_str(s));
    return rc;
}

/* An empty `from` stands before each character and at the end. */
static int replace_empty(struct run *r, struct str s, struct str to, int64_t most,
                         struct value *ret)
{
    struct builder b = {0};
    size_t at = 0, len;
    int rc = 0;

    for (int64_t i = 0; rc == 0 && (most < 0 || i < most); i++) {
        rc = run_steps(r, 1);
        if (rc == 0)
            rc = builder_str(r, &b, to);
        if (rc < 0 || at == s.len)
            break;
        char_at(s.at + at, &len);
        rc = builder_add(r, &b, s.at + at, len);
        at += len;
    }
    if (rc == 0)
        rc = builder_add(r, &b, s.at + at, s.len - at);
    *ret = builder_value(&b);
    return rc;
}

int replace_text(struct run *r, struct str s, struct str from, struct str to, int64_t most,
                 struct value *ret)
{
    struct builder b = {0};
    size_t at = 0, found;
    int rc = run_steps(r, s.len / 64);

    if (from.len == 0)
        return rc < 0 ? rc : replace_empty(r, s, to, most, ret);
    for (int64_t i = 0; rc == 0 && (most < 0 || i < most); i++) {
        found = text_find(s, from, at, s.len);
        if (found == SIZE_MAX)
            break;
        rc = run_steps(r, 1);
        if (rc == 0)
            rc = builder_add(r, &b, s.at + at, found - at);
        if (rc == 0)
            rc = builder_str(r, &b, to);
        at = found + from.len;
    }
    if (rc == 0 && at == 0) {
        *ret = value_str(s);
        return 0;
    }
    if (rc == 0)
        rc = builder_add(r, &b, s.at + at, s.len - at);
    *ret = builder_value(&b);
    return rc;
}

static int method_replace(struct run *r, const struct value *self, const struct args *args,
                          struct value *ret)
{
    int rc = bind_positional(r, "replace()", args, 2, 3);

    for (int i = 0; i < 2 && rc == 0; i++)
        rc = need_text(r, "replace()", &args->items[i]);
    if (rc == 0 && args->n == 3)
        rc = need_int(r, "replace()", &args->items[2]);
    if (rc == 0 && self->flags & MARKUP)
        return run_unsupported(r, "replace() of a text that was escaped is not supported");
    return rc < 0 ? rc
                  : replace_text(r, str_of(self), str_of(&args->items[0]), str_of(&args->items[1]),
                                 args->n == 3 ? args->items[2].integer : -1, ret);
}

int justify_text(struct run *r, const struct value *self, int64_t width, struct str fill, int where,
                 struct value *ret)
{
    struct str s = str_of(self);
    struct builder b = {0};
    int64_t pad = width - (int64_t)text_count(s), left;
    int rc;

    if (pad <= 0) {
        *ret = *self;
        return 0;
    }
    left = where < 0 ? 0 : where > 0 ? pad : pad / 2 + (pad & width & 1);
    rc = builder_repeat(r, &b, fill, left);
    if (rc == 0)
        rc = builder_str(r, &b, s);
    if (rc == 0)
        rc = builder_repeat(r, &b, fill, pad - left);
    *ret = like(self, builder_value(&b));
    return rc;
}

static int method_justify(struct run *r, const struct value *self, const struct args *args,
                          int where, struct value *ret)
{
    struct str fill = STR(" ");
    int rc = bind_positional(r, "center() and the like", args, 1, 2);

    if (rc == 0)
        rc = need_int(r, "center() and the like", &args->items[0]);
    if (rc == 0 && args->n == 2) {
        rc = need_text(r, "center() and the like", &args->items[1]);
        fill = str_of(&args->items[1]);
        if (rc == 0 && text_count(fill) != 1)
            return run_fail(r, "a text is filled with one character, not with %zu",
                            text_count(fill));
        if (self->flags & MARKUP)
            return run_unsupported(r, "filling a text that was escaped is not supported");
    }
    return rc < 0 ? rc : justify_text(r, self, args->items[0].integer, fill, where, ret);
}

static int method_zfill(struct run *r, const struct value *self, const struct args *args,
                        struct value *ret)
{
    struct str s = str_of(self);
    struct builder b = {0};
    int64_t pad;
    size_t sign = s.len > 0 && (s.at[0] == '-' || s.at[0] == '+');
    int rc = bind_positional(r, "zfill()", args, 1, 1);

    if (rc == 0)
        rc = need_int(r, "zfill()", &args->items[0]);
    if (rc < 0)
        return rc;
    pad = args->items[0].integer - (int64_t)text_count(s);
    if (pad <= 0) {
        *ret = *self;
        return 0;
    }
    rc = builder_add(r, &b, s.at, sign);
    if (rc == 0)
        rc = builder_repeat(r, &b, STR("0"), pad);
    if (rc == 0)
        rc = builder_add(r, &b, s.at + sign, s.len - sign);
    *ret = like(self, builder_value(&b));
    return rc;
}

/* Bytes that begin=, end= of find() and the like stand for. 0: there is no such part. */
static int part_bounds(struct run *r, const char *what, struct str s, const struct args *args,
                       size_t *from, size_t *to)
{
    int64_t n = (int64_t)text_count(s), bounds[2] = {0, n};
    int rc = 0;

    for (int i = 1; i < args->n && rc == 0; i++) {
        if (args->items[i].kind == V_NONE)
            continue;
        rc = need_int(r, what, &args->items[i]);
        bounds[i - 1] = args->items[i].integer;
        if (bounds[i - 1] < 0)
            bounds[i - 1] = bounds[i - 1] + n < 0 ? 0 : bounds[i - 1] + n;
    }
    if (rc < 0)
        return rc;
    *from = text_offset(s, (size_t)bounds[0]);
    *to = text_offset(s, (size_t)bounds[1]);
    return bounds[0] <= bounds[1] && bounds[0] <= n;
}

static int method_find(struct run *r, const struct value *self, int attribute,
                       const struct args *args, struct value *ret)
{
    bool last = attribute == A_RFIND || attribute == A_RINDEX;
    struct str s = str_of(self), part;
    size_t from = 0, to = 0, at = SIZE_MAX;
    int rc = bind_positional(r, "find() and the like", args, 1, 3);

    if (rc == 0)
        rc = need_text(r, "find() and the like", &args->items[0]);
    if (rc == 0)
        rc = part_bounds(r, "find() and the like", s, args, &from, &to);
    if (rc < 0)
        return rc;
    part = str_of(&args->items[0]);
    if (run_steps(r, s.len / 64 + (last ? s.len / 64 * (part.len / 64) : 0)) < 0)
        return run_code(r);
    if (rc > 0)
        at = last ? text_rfind(s, part, from, to) : text_find(s, part, from, to);
    if (at == SIZE_MAX && (attribute == A_INDEX || attribute == A_RINDEX))
        return run_fail(r, "the text is not in the other one");
    *ret = value_int(at == SIZE_MAX ? -1 : (int64_t)text_count((struct str){s.at, at}));
    return 0;
}

static int method_count(struct run *r, const struct value *self, const struct args *args,
                        struct value *ret)
{
    struct str s = str_of(self), part;
    size_t from = 0, to = 0;
    int64_t n = 0;
    int rc = bind_positional(r, "count()", args, 1, 3);

    if (rc == 0)
        rc = need_text(r, "count()", &args->items[0]);
    if (rc == 0)
        rc = part_bounds(r, "count()", s, args, &from, &to);
    if (rc < 0)
        return rc;
    part = str_of(&args->items[0]);
    if (rc > 0 && part.len == 0)
        n = (int64_t)text_count((struct str){s.at + from, to - from}) + 1;
    for (; rc > 0 && part.len > 0; from += part.len, n++) {
        from = text_find(s, part, from, to);
        if (from == SIZE_MAX)
            break;
    }
    *ret = value_int(n);
    return run_steps(r, s.len / 64);
}

static bool has_end(struct str s, struct str end, bool begin, size_t from, size_t to)
{
    if (from > to || end.len > to - from)
        return false;
    return str_equal(end, (struct str){s.at + (begin ? from : to - end.len), end.len});
}

static int method_ends(struct run *r, const struct value *self, bool begin, const struct args *args,
                       struct value *ret)
{
    const char *what = begin ? "startswith()" : "endswith()";
    struct str s = str_of(self);
    const struct value *ends;
    size_t from = 0, to = 0;
    int rc = bind_positional(r, what, args, 1, 3), inside = 0;
    bool found = false;

    if (rc == 0)
        rc = inside = part_bounds(r, what, s, args, &from, &to);
    if (rc < 0)
        return rc;
    ends = args->items;
    if (ends->kind != V_TUPLE)
        rc = need_text(r, what, ends);
    else
        rc = 0;
    if (rc == 0 && ends->kind == V_STRING)
        found = inside && has_end(s, str_of(ends), begin, from, to);
    for (size_t i = 0; ends->kind == V_TUPLE && i < ends->len && rc == 0 && !found; i++) {
        rc = need_text(r, what, &ends->items[i]);
        found = rc == 0 && inside && has_end(s, str_of(&ends->items[i]), begin, from, to);
    }
    *ret = value_bool(found);
    return rc;
}

static int method_remove(struct run *r, const struct value *self, bool begin,
                         const struct args *args, struct value *ret)
{
    struct str s = str_of(self), end;
    int rc = bind_positional(r, "removeprefix() and removesuffix()", args, 1, 1);

    if (rc == 0)
        rc = need_text(r, "removeprefix() and removesuffix()", &args->items[0]);
    if (rc < 0)
        return rc;
    end = str_of(&args->items[0]);
    if (has_end(s, end, begin, 0, s.len))
        s = begin ? (struct str){s.at + end.len, s.len - end.len}
                  : (struct str){s.at, s.len - end.len};
    *ret = like(self, value_str(s));
    return 0;
}

static int method_join(struct run *r, const struct value *self, const struct args *args,
                       struct value *ret)
{
    struct builder b = {0};
    struct vector items = {0};
    int rc = bind_positional(r, "join()", args, 1, 1);

    if (rc == 0 && self->flags & MARKUP)
        return run_unsupported(r, "join() of a text that was escaped is not supported");
    if (rc == 0)
        rc = vector_of(r, &args->items[0], &items);
    for (size_t i = 0; i < items.n && rc == 0; i++) {
        rc = need_text(r, "join()", &items.items[i]);
        if (rc == 0 && i > 0)
            rc = builder_str(r, &b, str_of(self));
        if (rc == 0)
            rc = builder_str(r, &b, str_of(&items.items[i]));
    }
    *ret = builder_value(&b);
    return rc;
}

static int method_case(struct run *r, const struct value *self, enum text_case wanted,
                       const struct args *args, struct value *ret)
{
    struct builder b = {0};
    int rc = bind_positional(r, "upper() and the like", args, 0, 0);

    if (rc == 0)
        rc = text_to_case(r, str_of(self), wanted, &b);
    *ret = like(self, builder_value(&b));
    return rc;
}

static bool is_ascii(struct str s)
{
    return text_count(s) == s.len;
}

static int method_casefold(struct run *r, const struct value *self, const struct args *args,
                           struct value *ret)
{
    if (!is_ascii(str_of(self)))
        return run_unsupported(r, "casefold() of a text that is not ASCII is not supported");
    return method_case(r, self, TEXT_LOWER, args, ret);
}

static int method_expandtabs(struct run *r, const struct value *self, const struct args *args,
                             struct value *ret)
{
    static const char *const names[] = {"tabsize"};
    struct str s = str_of(self);
    struct builder b = {0};
    struct value size;
    int64_t column = 0, tab;
    int rc = bind_args(r, "expandtabs()", args, names, 1, 0, &size);

    if (rc == 0 && size.kind != V_MISSING)
        rc = need_int(r, "expandtabs()", &size);
    tab = size.kind == V_MISSING ? 8 : size.integer;
    for (size_t i = 0; i < s.len && rc == 0; i++) {
        if (s.at[i] == '\t') {
            int64_t pad = tab > 0 ? tab - column % tab : 0;
            rc = builder_repeat(r, &b, STR(" "), pad);
            column += pad;
            continue;
        }
        column = s.at[i] == '\n' || s.at[i] == '\r'  ? 0
                 : ((uint8_t)s.at[i] & 0xc0) != 0x80 ? column + 1
                                                     : column;
        rc = builder_add(r, &b, s.at + i, 1);
    }
    *ret = like(self, builder_value(&b));
    return rc;
}

static int method_is(struct run *r, const struct value *self, int attribute,
                     const struct args *args, struct value *ret)
{
    struct str s = str_of(self);
    bool is = false;
    int rc = bind_positional(r, "isalpha() and the like", args, 0, 0);

    if (rc == 0)
        rc = run_steps(r, s.len / 8);
    if (rc < 0)
        return rc;
    switch ((enum attribute)attribute) {
    case A_ISALNUM:
        is = text_is_all(s, CHAR_ALPHA | CHAR_DECIMAL | CHAR_DIGIT | CHAR_NUMERIC);
        break;
    case A_ISALPHA:
        is = text_is_all(s, CHAR_ALPHA);
        break;
    case A_ISASCII:
        is = is_ascii(s);
        break;
    case A_ISDECIMAL:
        is = text_is_all(s, CHAR_DECIMAL);
        break;
    case A_ISDIGIT:
        is = text_is_all(s, CHAR_DIGIT);
        break;
    case A_ISNUMERIC:
        is = text_is_all(s, CHAR_NUMERIC);
        break;
    case A_ISSPACE:
        is = text_is_all(s, CHAR_SPACE);
        break;
    case A_ISPRINTABLE:
        is = s.len == 0 || text_is_all(s, CHAR_PRINTABLE);
        break;
    case A_ISLOWER:
        is = text_is_lower(s);
        break;
    case A_ISUPPER:
        is = text_is_upper(s);
        break;
    default:
        is = text_is_title(s);
    }
    *ret = value_bool(is);
    return rc;
}

static int method_strip(struct run *r, const struct value *self, int attribute,
                        const struct args *args, struct value *ret)
{
    int rc = bind_positional(r, "strip()", args, 0, 1);
    struct value chars = rc == 0 && args->n ? args->items[0] : value_none();

    return rc < 0 ? rc
                  : strip_text(r, self, &chars, attribute != A_RSTRIP, attribute != A_LSTRIP, ret);
}

static int method_format(struct run *r, const struct value *self, const struct args *args,
                         struct value *ret)
{
    if (self->flags & MARKUP)
        return run_unsupported(r, "format() of a text that was escaped is not supported");
    return format_braces(r, str_of(self), args, ret);
}

int text_method(struct run *r, const struct value *self, int attribute, const struct args *args,
                struct value *ret)
{
    if (run_steps(r, self->len / 64) < 0)
        return run_code(r);
    switch ((enum attribute)attribute) {
    case A_STRIP:
    case A_LSTRIP:
    case A_RSTRIP:
        return method_strip(r, self, attribute, args, ret);
    case A_STARTSWITH:
    case A_ENDSWITH:
        return method_ends(r, self, attribute == A_STARTSWITH, args, ret);
    case A_REPLACE:
        return method_replace(r, self, args, ret);
    case A_JOIN:
        return method_join(r, self, args, ret);
    case A_LOWER:
        return method_case(r, self, TEXT_LOWER, args, ret);
    case A_UPPER:
        return method_case(r, self, TEXT_UPPER, args, ret);
    case A_TITLE:
        return method_case(r, self, TEXT_TITLE, args, ret);
    case A_CAPITALIZE:
        return method_case(r, self, TEXT_CAPITALIZE, args, ret);
    case A_SWAPCASE:
        return method_case(r, self, TEXT_SWAP, args, ret);
    case A_CASEFOLD:
        return method_casefold(r, self, args, ret);
    case A_FIND:
    case A_RFIND:
    case A_INDEX:
    case A_RINDEX:
        return method_find(r, self, attribute, args, ret);
    case A_COUNT:
        return method_count(r, self, args, ret);
    case A_REMOVEPREFIX:
    case A_REMOVESUFFIX:
        return method_remove(r, self, attribute == A_REMOVEPREFIX, args, ret);
    case A_CENTER:
        return method_justify(r, self, args, 0, ret);
    case A_LJUST:
        return method_justify(r, self, args, -1, ret);
    case A_RJUST:
        return method_justify(r, self, args, 1, ret);
    case A_ZFILL:
        return method_zfill(r, self, args, ret);
    case A_EXPANDTABS:
        return method_expandtabs(r, self, args, ret);
    case A_FORMAT:
        return method_format(r, self, args, ret);
    default:
        return is_text_part_method(attribute) ? text_part_method(r, self, attribute, args, ret)
                                              : method_is(r, self, attribute, args, ret);
    }
}
