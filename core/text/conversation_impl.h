/* core/text/conversation_impl.h - what conversation.c (one message; what is trained) shares with
 * conversation_formats.c (the messages of a row). */
#pragma once
#include "core/buf.h"
#include "core/text/conversation.h"

enum choice { BY_ROLE, NOT_TRAINED, TRAINED };

struct reading {
    struct conversation *c;
    enum choice *choices; /* (n) */
    bool sharegpt;        /* roles have its names */
    bool says_no;         /* a message says itself that it is not trained */
    int cap;
    enum row_fault *fault;
    struct err *err;
};

/* Sets the fault and the sentence; returns ERR_INVALID. */
int conversation_wrong(struct reading *r, enum row_fault fault, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes message; NULL is a lack of memory. */
int conversation_add(struct reading *r, json_t *message, enum choice choice);
/* Checks a message of the row and adds it, or a copy that has what templates read. */
int conversation_read_message(struct reading *r, const json_t *message, enum choice default_choice);

void json_text_append(struct buf *b, const json_t *text);
json_t *json_text_take(struct buf *b);

int conversation_read_prompt(struct reading *r, const json_t *row);
int conversation_read_instruction(struct reading *r, const json_t *row);
int conversation_read_messages(struct reading *r, const json_t *row);
