/* core/text/row_encoder.h - rows of texts as ids and labels: the one place that decides by which
 * template, for training, evaluation and generation.
 *
 * data.template        messages    instruction   prompt        text
 *   auto               model       model         plain         plain
 *                      (chatml where the model has no template and its tokens are there; else, for
 *                      instructions, alpaca)
 *   model, chatml      as conversations: an instruction or a prompt is a user's words
 *   plain, alpaca      by template.h
 */
#pragma once
#include "core/text/chat_encode.h"

struct row_encoder;

/* lists: a row's prompt and completion are lists of messages. t and data must outlive the encoder.
 * ERR_INVALID and ERR_UNSUPPORTED where such rows cannot be encoded: no template for messages, no
 * end token, a template that cannot be read. */
int row_encoder_open(const struct tokenizer *t, const struct data_options *data,
                     enum data_format format, bool lists, struct row_encoder **ret,
                     struct err *err);
void row_encoder_free(struct row_encoder *e); /* NULL-safe */

/* The template used, never auto; and in words: "plain", or "chat_template of FILE". */
enum data_template row_encoder_template(const struct row_encoder *e);
const char *row_encoder_source(const struct row_encoder *e);
/* NULL unless the template is model or chatml. */
const struct chat_template *row_encoder_chat(const struct row_encoder *e);

enum { UNUSED_FIELDS_MAX = 16 };
struct row_notes { /* of one row */
    bool stops;    /* the last trained token is one at which the model stops */
    /* Fields of messages that neither this program nor the template names; the texts are the row's.
     */
    const char *unused[UNUSED_FIELDS_MAX];
    int n_unused;
};

/* Appends a row's ids and labels, uncut. ERR_INVALID with the kind of fault and a sentence about
 * the row. */
int row_encoder_row(struct row_encoder *e, const json_t *row, struct tokenised *out,
                    struct row_notes *ret_notes, enum row_fault *ret_fault, struct err *err);
/* Appends the ids of what a model is given to answer the row: what training sees of it, up to the
 * last answer, whatever that is. Errors as row_encoder_row(). */
int row_encoder_prompt(struct row_encoder *e, const json_t *row, struct token_list *out,
                       struct err *err);
