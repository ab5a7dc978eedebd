/* core/text/stand_in.h - which part of a rendered conversation comes from what one message says.
 *
 * Words may also stand in what a template prints around them, so looking for them is not enough. A
 * second text shows it: that of the same conversation, in which the message says something else.
 */
#pragma once
#include "core/text/chat_template.h"
#include "core/text/conversation.h"

enum stand_in {
    STAND_IN_UNKNOWN, /* the template cannot render the other conversation */
    STAND_IN_SAME,    /* it prints the same text, whatever the message says */
    STAND_IN_FOUND,
};

struct stand_in_place {
    enum stand_in kind;
    size_t at; /* the first byte that depends on what the message says */
};

/* whole: what the template prints for c. scratch: its memory is used again. ERR_NOMEM alone. */
int stand_in_find(const struct chat_template *template, const struct conversation *c, int message,
                  const struct buf *whole, struct jinja_output *scratch, struct stand_in_place *ret,
                  struct err *err);

struct words { /* borrowed */
    const char *at;
    size_t len;
};
/* What a message says, without blanks around it: its text, or that of its first part. */
struct words message_words(const json_t *message);
