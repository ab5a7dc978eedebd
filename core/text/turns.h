/* core/text/turns.h - which bytes of a rendered conversation are trained.
 *
 * A template with {% generation %} says it itself. Of any other, a turn is what the template adds
 * for it: what it prints for the conversation up to and with the turn, behind what it prints for
 * the messages before and the generation prompt, which is what a model would be given. Both must be
 * the beginning of what it prints for the whole conversation, for else the model would be trained
 * on a text that it is never asked for. Two exceptions, which real templates make: an empty thought
 * that stands in front of an answer only while no other turn follows, and one that the generation
 * prompt begins.
 */
#pragma once
#include "core/text/chat_template.h"
#include "core/text/conversation.h"

struct turn {
    size_t begin, end; /* bytes [begin, end) of the text */
    int message;       /* index; -1: the template marked it */
};

struct turns {                 /* zero-initialise; memory is used again */
    struct jinja_output whole; /* the conversation */
    struct jinja_output before, with;
    struct turn *of;
    int n, cap;
};
void turns_free(struct turns *t);

/* Renders c and finds its trained turns, in order. empty_thoughts: those that the template inserts
 * are trained, too. ERR_INVALID: the template cannot render the conversation, or not so that its
 * turns are found, or they are too many to be found in time; the text says why. */
int turns_find(struct turns *t, const struct chat_template *template, const struct conversation *c,
               bool empty_thoughts, struct err *err);
