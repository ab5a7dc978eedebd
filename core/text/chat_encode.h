/* core/text/chat_encode.h - a conversation as ids and labels.
 *
 * The text that the template prints is tokenised as a whole, without further tokens, as
 * transformers does. A token is trained that holds a byte of a trained turn. The blanks that a
 * template prints behind the token that ends a turn are not trained.
 */
#pragma once
#include "core/text/chat_template.h"
#include "core/text/conversation.h"
#include "core/text/template.h"
#include "core/text/turns.h"

struct chat_rules {
    bool all;            /* every token is trained */
    bool empty_thoughts; /* those that the template inserts, too */
};

enum { CHAT_ROLES_MAX = 16, CHAT_ROLE_BYTES = 32 };

struct chat_scratch { /* zero-initialise; what calls use again */
    struct turns turns;
    size_t *at; /* marks */
    int *tokens;
    int cap;
    char printed[CHAT_ROLES_MAX][CHAT_ROLE_BYTES]; /* roles of which the template prints messages */
    int n_printed;
    int costly; /* the last conversations that the template failed to render after much work */
    bool ends;  /* the last trained turn ended in a token at which the model stops */
};
void chat_scratch_free(struct chat_scratch *s);

/* Appends to out. Parts of contents are joined first where the template does not take them.
 * ERR_INVALID, with the kind of fault, where the template cannot render the conversation, leaves
 * out what the conversation says (tools, calls of tools, a message), or hides where turns begin and
 * end. */
int chat_encode(const struct chat_template *template, const struct tokenizer *t,
                struct conversation *c, const struct chat_rules *rules, struct chat_scratch *s,
                struct tokenised *out, enum row_fault *ret_fault, struct err *err);
/* ERR_INVALID where the template would leave out tools, or calls of tools. */
int chat_check_tools(const struct chat_template *template, const struct conversation *c,
                     struct err *err);
/* Removes blanks behind the last trained token: nothing is learned from them. */
int chat_trim(const struct tokenizer *t, struct tokenised *row, struct err *err);
