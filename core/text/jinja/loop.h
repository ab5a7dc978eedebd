/* core/text/jinja/loop.h - loops, cyclers and joiners: the values that count. */
#pragma once
#include "core/text/jinja/data.h"

struct loop { /* what `loop` is in the body of a for */
    const struct node *node;
    struct activation *outer; /* around the for, for recursive calls */
    struct value iterable;
    struct cursor cursor;
    int64_t index0, length; /* length -1: not asked for yet */
    struct value before, current, after;
    struct value changed; /* a tuple: what changed() had last; or missing */
    int64_t depth0;
};

struct joiner {
    struct value sep;
    bool used;
};

struct cycler {
    struct value items; /* a tuple */
    size_t at;
};

struct method { /* an attribute that was not called at once */
    struct value self;
    int attribute;
};
