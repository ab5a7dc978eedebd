/* worker/stream.h - an answer as it grows, token by token: the text that is certain, and the texts
 * at which it ends.
 *
 * A token can hold a part of a character, and a stop text can lie in several tokens: what may still
 * become either is held back.
 */
#pragma once
#include "core/buf.h"
#include "core/text/tokenizer.h"
#include <stdbool.h>

struct stops {
    const char *const *texts; /* (n), borrowed, none empty */
    int n;
};

struct stream { /* zero-initialise, with tokenizer and stops */
    const struct tokenizer *tokenizer;
    struct stops stops;
    struct token_list ids;
    struct buf text; /* of all ids; cut in front of the stop text once it has ended */
    size_t given;    /* bytes that stream_take() has given */
    bool ended;      /* by a stop text */
};
void stream_free(struct stream *s); /* what it owns */

int stream_add(struct stream *s, int32_t id, struct err *err);
/* The bytes that are certain and have not been given yet; all that is left where no token follows.
 */
const char *stream_take(struct stream *s, bool last, size_t *ret_len);
