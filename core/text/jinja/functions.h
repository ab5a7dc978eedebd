/* core/text/jinja/functions.h - the functions that the environment has beside the caller's
 * variables. */
#pragma once
#include "core/text/jinja/value.h"

enum function {
    FUNCTION_NONE,
    FUNCTION_RANGE,
    FUNCTION_DICT,
    FUNCTION_NAMESPACE,
    FUNCTION_JOINER,
    FUNCTION_CYCLER,
    FUNCTION_RAISE,
    FUNCTION_STRFTIME,
    FUNCTION_LIPSUM,
};

int function_find(struct str name); /* an enum function */
