/* core/model/description_compare.h - whether two descriptions compute the same: for the checks that
 * read a description back which was written in other words.
 */
#pragma once
#include "core/model/architecture.h"
#include "core/problems.h"

struct description_check {              /* borrowed */
    const char *path;                   /* of the model that is described in other words */
    const char *form;                   /* of those words: "a GGUF", "a folder" */
    const char *name;                   /* by which they call the model's kind */
    const char *place;                  /* where they stand: "there", "in config.json" */
    const struct model_config *is;      /* the model's */
    const struct model_config *becomes; /* as it was read back */
    struct problems *problems;
};
/* Adds a problem: "cannot become a GGUF of llama: ...". */
void description_check_fault(const struct description_check *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds a problem for each number of architecture.h's formulas that becomes another, by what a
 * config.json calls it. What is lost where a file has a number as f32 does not count, here and
 * below. */
void description_same_numbers(const struct description_check *k);
bool description_same_angles(const struct model_config *a, const struct model_config *b,
                             enum rope_kind kind);
/* All kinds of angles that the first one uses. */
bool description_same_rope(const struct model_config *a, const struct model_config *b);
