/* core/text/pieces.h - SentencePiece's BPE: of all adjacent pairs whose joined text is a piece, the
 * one of the highest score is merged, the leftmost of equals (sentencepiece's bpe_model.cc).
 *
 * The text is normalised already: its blanks are U+2581. Pieces that the user defined are found in
 * it first, the longest at each place, and are never merged with anything.
 */
#pragma once
#include "core/text/added_tokens.h"
#include "core/text/breaks.h"
#include "core/text/merge.h"
#include "core/text/token_list.h"
#include "core/text/vocab.h"

struct pieces {
    uint32_t *ranks;          /* by id: the order of scores, MERGE_NEVER: never made by merging */
    struct added_tokens user; /* found first */
    int32_t byte_ids[256];    /* of the pieces <0x00> to <0xFF>, which spell an unknown character */
    bool has_bytes;           /* all of them are there */
    int unknown;              /* else it is this one; -1: left out */
    struct breaks breaks;
};

/* For the ids of v. Undone by pieces_free(), on failure too. */
int pieces_init(struct pieces *p, const struct vocab *v, struct err *err);
void pieces_free(struct pieces *p);
/* Merging can make the piece. The score must be a number. */
void pieces_set_score(struct pieces *p, const struct vocab *v, int id, float score);
/* The score that was set; 0: none was. */
float pieces_score(const struct pieces *p, int id);
/* To be called when all pieces are there. */
void pieces_finish(struct pieces *p, const struct vocab *v);

/* Appends the ids of a text (valid UTF-8). ERR_UNSUPPORTED where it takes longer than the watch
 * allows. */
int pieces_encode(const struct pieces *p, const struct vocab *v, struct merge_scratch *s,
                  const char *text, size_t len, struct token_list *out, struct watch *watch,
                  struct err *err);
