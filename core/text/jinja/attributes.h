/* core/text/jinja/attributes.h - names that values have as attributes in Python. */
#pragma once
#include "core/text/jinja/value.h"

enum attribute {
    A_NONE,
    A_ADD_REASONS, /* names of types that exist, but are not supported */
    A_CAPITALIZE, A_CASEFOLD, A_CENTER, A_COUNT, A_ENDSWITH, A_EXPANDTABS, A_FIND, A_FORMAT,
    A_INDEX, A_ISALNUM, A_ISALPHA, A_ISASCII, A_ISDECIMAL, A_ISDIGIT, A_ISLOWER,
    A_ISNUMERIC, A_ISPRINTABLE, A_ISSPACE, A_ISTITLE, A_ISUPPER, A_JOIN, A_LJUST, A_LOWER,
    A_LSTRIP, A_PARTITION, A_REMOVEPREFIX, A_REMOVESUFFIX, A_REPLACE, A_RFIND, A_RINDEX, A_RJUST,
    A_RPARTITION, A_RSPLIT, A_RSTRIP, A_SPLIT, A_SPLITLINES, A_STARTSWITH, A_STRIP, A_SWAPCASE,
    A_TITLE, A_UPPER, A_ZFILL,
    A_COPY, A_GET, A_ITEMS, A_KEYS, A_VALUES, A_FROMKEYS,
    A_START, A_STOP, A_STEP,
    A_GROUPER, A_LIST,
    A_NAME, A_ARGUMENTS, A_CATCH_KWARGS, A_CATCH_VARARGS, A_CALLER,
    A_SEP, A_USED, A_POS, A_CURRENT, A_NEXT, A_RESET,
    A_LENGTH, A_DEPTH, A_DEPTH0, A_INDEX0, A_REVINDEX, A_REVINDEX0, A_FIRST, A_LAST, A_PREVITEM,
    A_NEXTITEM, A_CYCLE, A_CHANGED,
};

enum access { ACCESS_NONE, ACCESS_METHOD, ACCESS_DATA, ACCESS_UNSAFE, ACCESS_UNSUPPORTED };

/* The row of a name, for attribute_access(); 0: no value has it. */
int attribute_find(struct str name);
/* What a value has by that name (row != 0), and which it is. */
enum access attribute_access(const struct value *v, int row, enum attribute *ret);
