/* core/text/jinja/attributes.c - see attributes.h. One table: a name, what it is for, and of which
 * kinds of value it is a method, data, hidden by the sandbox because it changes the value, or known
 * to Python only. */
#include "core/text/jinja/attributes.h"

enum {
    TEXT = 1 << V_STRING,
    LIST = 1 << V_LIST,
    TUPLE = 1 << V_TUPLE,
    DICT = 1 << V_DICT,
    RANGE = 1 << V_RANGE,
    INT = 1 << V_INT | 1 << V_BOOL,
    FLOAT = 1 << V_FLOAT,
    LOOP = 1 << V_LOOP,
    MACRO = 1 << V_MACRO,
    JOINER = 1 << V_JOINER,
    CYCLER = 1 << V_CYCLER,
    VIEW = 1 << V_VIEW,
    ITERATOR = 1 << V_ITERATOR,
    METHOD = 1 << V_METHOD,
    FUNCTION = 1 << V_FUNCTION,
    GROUPED = 1 << 30, /* tuples of groupby */
};

/* clang-format off */
static const struct row {
    const char *name;
    enum attribute attribute;
    int methods, data, unsafe, unsupported;
} rows[] = {
    {"append", A_NONE, 0, 0, LIST, 0},
    {"arguments", A_ARGUMENTS, 0, MACRO, 0, 0},
    {"as_integer_ratio", A_NONE, 0, 0, 0, INT | FLOAT},
    {"bit_count", A_NONE, 0, 0, 0, INT},
    {"bit_length", A_NONE, 0, 0, 0, INT},
    {"caller", A_CALLER, 0, MACRO, 0, 0},
    {"capitalize", A_CAPITALIZE, TEXT, 0, 0, 0},
    {"casefold", A_CASEFOLD, TEXT, 0, 0, 0},
    {"catch_kwargs", A_CATCH_KWARGS, 0, MACRO, 0, 0},
    {"catch_varargs", A_CATCH_VARARGS, 0, MACRO, 0, 0},
    {"center", A_CENTER, TEXT, 0, 0, 0},
    {"changed", A_CHANGED, LOOP, 0, 0, 0},
    {"clear", A_NONE, 0, 0, LIST | DICT, 0},
    {"close", A_NONE, 0, 0, 0, ITERATOR},
    {"conjugate", A_NONE, 0, 0, 0, INT | FLOAT},
    {"copy", A_COPY, LIST | DICT, 0, 0, 0},
    {"count", A_COUNT, TEXT | LIST | TUPLE | RANGE, 0, 0, 0},
    {"current", A_CURRENT, 0, CYCLER, 0, 0},
    {"cycle", A_CYCLE, LOOP, 0, 0, 0},
    {"denominator", A_NONE, 0, 0, 0, INT},
    {"depth", A_DEPTH, 0, LOOP, 0, 0},
    {"depth0", A_DEPTH0, 0, LOOP, 0, 0},
    {"encode", A_NONE, 0, 0, 0, TEXT},
    {"endswith", A_ENDSWITH, TEXT, 0, 0, 0},
    {"escape", A_NONE, 0, 0, 0, 0},
    {"expandtabs", A_EXPANDTABS, TEXT, 0, 0, 0},
    {"explicit_caller", A_NONE, 0, 0, 0, MACRO},
    {"extend", A_NONE, 0, 0, LIST, 0},
    {"find", A_FIND, TEXT, 0, 0, 0},
    {"first", A_FIRST, 0, LOOP, 0, 0},
    {"format", A_FORMAT, TEXT, 0, 0, 0},
    {"format_map", A_NONE, 0, 0, 0, TEXT},
    {"from_bytes", A_NONE, 0, 0, 0, INT},
    {"fromhex", A_NONE, 0, 0, 0, FLOAT},
    {"fromkeys", A_FROMKEYS, 0, 0, 0, DICT | FUNCTION},
    {"get", A_GET, DICT, 0, 0, 0},
    {"gi_suspended", A_NONE, 0, 0, 0, ITERATOR},
    {"grouper", A_GROUPER, 0, GROUPED, 0, 0},
    {"hex", A_NONE, 0, 0, 0, FLOAT},
    {"imag", A_NONE, 0, 0, 0, INT | FLOAT},
    {"index", A_INDEX, TEXT | LIST | TUPLE | RANGE, LOOP, 0, 0},
    {"index0", A_INDEX0, 0, LOOP, 0, 0},
    {"insert", A_NONE, 0, 0, LIST, 0},
    {"is_integer", A_NONE, 0, 0, 0, INT | FLOAT},
    {"isalnum", A_ISALNUM, TEXT, 0, 0, 0},
    {"isalpha", A_ISALPHA, TEXT, 0, 0, 0},
    {"isascii", A_ISASCII, TEXT, 0, 0, 0},
    {"isdecimal", A_ISDECIMAL, TEXT, 0, 0, 0},
    {"isdigit", A_ISDIGIT, TEXT, 0, 0, 0},
    {"isdisjoint", A_NONE, 0, 0, 0, VIEW},
    {"isidentifier", A_NONE, 0, 0, 0, TEXT},
    {"islower", A_ISLOWER, TEXT, 0, 0, 0},
    {"isnumeric", A_ISNUMERIC, TEXT, 0, 0, 0},
    {"isprintable", A_ISPRINTABLE, TEXT, 0, 0, 0},
    {"isspace", A_ISSPACE, TEXT, 0, 0, 0},
    {"istitle", A_ISTITLE, TEXT, 0, 0, 0},
    {"isupper", A_ISUPPER, TEXT, 0, 0, 0},
    {"items", A_ITEMS, DICT, CYCLER, 0, 0},
    {"join", A_JOIN, TEXT, 0, 0, 0},
    {"keys", A_KEYS, DICT, 0, 0, 0},
    {"last", A_LAST, 0, LOOP, 0, 0},
    {"length", A_LENGTH, 0, LOOP, 0, 0},
    {"list", A_LIST, 0, GROUPED, 0, 0},
    {"ljust", A_LJUST, TEXT, 0, 0, 0},
    {"lower", A_LOWER, TEXT, 0, 0, 0},
    {"lstrip", A_LSTRIP, TEXT, 0, 0, 0},
    {"maketrans", A_NONE, 0, 0, 0, TEXT},
    {"mapping", A_NONE, 0, 0, 0, VIEW},
    {"mro", A_NONE, 0, 0, 0, FUNCTION},
    {"name", A_NAME, 0, MACRO, 0, 0},
    {"next", A_NEXT, CYCLER, 0, 0, 0},
    {"nextitem", A_NEXTITEM, 0, LOOP, 0, 0},
    {"numerator", A_NONE, 0, 0, 0, INT},
    {"partition", A_PARTITION, TEXT, 0, 0, 0},
    {"pop", A_NONE, 0, 0, LIST | DICT, 0},
    {"popitem", A_NONE, 0, 0, DICT, 0},
    {"pos", A_POS, 0, CYCLER, 0, 0},
    {"previtem", A_PREVITEM, 0, LOOP, 0, 0},
    {"real", A_NONE, 0, 0, 0, INT | FLOAT},
    {"remove", A_NONE, 0, 0, LIST, 0},
    {"removeprefix", A_REMOVEPREFIX, TEXT, 0, 0, 0},
    {"removesuffix", A_REMOVESUFFIX, TEXT, 0, 0, 0},
    {"replace", A_REPLACE, TEXT, 0, 0, 0},
    {"reset", A_RESET, CYCLER, 0, 0, 0},
    {"reverse", A_NONE, 0, 0, LIST, 0},
    {"revindex", A_REVINDEX, 0, LOOP, 0, 0},
    {"revindex0", A_REVINDEX0, 0, LOOP, 0, 0},
    {"rfind", A_RFIND, TEXT, 0, 0, 0},
    {"rindex", A_RINDEX, TEXT, 0, 0, 0},
    {"rjust", A_RJUST, TEXT, 0, 0, 0},
    {"rpartition", A_RPARTITION, TEXT, 0, 0, 0},
    {"rsplit", A_RSPLIT, TEXT, 0, 0, 0},
    {"rstrip", A_RSTRIP, TEXT, 0, 0, 0},
    {"send", A_NONE, 0, 0, 0, ITERATOR},
    {"sep", A_SEP, 0, JOINER, 0, 0},
    {"setdefault", A_NONE, 0, 0, DICT, 0},
    {"sort", A_NONE, 0, 0, LIST, 0},
    {"split", A_SPLIT, TEXT, 0, 0, 0},
    {"splitlines", A_SPLITLINES, TEXT, 0, 0, 0},
    {"start", A_START, 0, RANGE, 0, 0},
    {"startswith", A_STARTSWITH, TEXT, 0, 0, 0},
    {"step", A_STEP, 0, RANGE, 0, 0},
    {"stop", A_STOP, 0, RANGE, 0, 0},
    {"strip", A_STRIP, TEXT, 0, 0, 0},
    {"striptags", A_NONE, 0, 0, 0, 0},
    {"swapcase", A_SWAPCASE, TEXT, 0, 0, 0},
    {"throw", A_NONE, 0, 0, 0, ITERATOR},
    {"title", A_TITLE, TEXT, 0, 0, 0},
    {"to_bytes", A_NONE, 0, 0, 0, INT},
    {"translate", A_NONE, 0, 0, 0, TEXT},
    {"unescape", A_NONE, 0, 0, 0, 0},
    {"update", A_NONE, 0, 0, DICT, 0},
    {"upper", A_UPPER, TEXT, 0, 0, 0},
    {"used", A_USED, 0, JOINER, 0, 0},
    {"values", A_VALUES, DICT, 0, 0, 0},
    {"zfill", A_ZFILL, TEXT, 0, 0, 0},
};
/* clang-format on */
enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

static int compare(struct str name, const char *row)
{
    size_t len = strlen(row), least = len < name.len ? len : name.len;
    int c = least ? memcmp(name.at, row, least) : 0;

    return c ? c : (name.len > len) - (name.len < len);
}

int attribute_find(struct str name)
{
    int low = 0, high = N_ROWS;

    while (low < high) {
        int mid = (low + high) / 2, c = compare(name, rows[mid].name);
        if (c == 0)
            return mid + 1;
        if (c > 0)
            low = mid + 1;
        else
            high = mid;
    }
    return 0;
}

enum access attribute_access(const struct value *v, int row, enum attribute *ret)
{
    const struct row *found = &rows[row - 1];
    int kind = 1 << v->kind;

    if (v->kind == V_TUPLE && v->flags & GROUP)
        kind |= GROUPED;
    *ret = found->attribute;
    /* Markup has more methods, which begin with the names of rows without a kind. */
    if (v->kind == V_STRING && v->flags & MARKUP &&
        !(found->methods | found->data | found->unsafe | found->unsupported))
        return ACCESS_UNSUPPORTED;
    return found->methods & kind       ? ACCESS_METHOD
           : found->data & kind        ? ACCESS_DATA
           : found->unsafe & kind      ? ACCESS_UNSAFE
           : found->unsupported & kind ? ACCESS_UNSUPPORTED
                                       : ACCESS_NONE;
}
