/* core/model/description_compare.h - whether two descriptions compute the same: for the checks that
 * read a description back which was written in other words.
 */
#pragma once
#include "core/model/architecture.h"

/* The numbers of architecture.h's formulas, by what a config.json calls them. */
enum { DESCRIPTION_NUMBERS = 7 };
struct description_number {
    const char *name;
    double value;
};
void description_numbers(const struct model_config *c,
                         struct description_number ret[DESCRIPTION_NUMBERS]);

/* But for what is lost where a file has a number as f32. */
bool description_is_near(double a, double b);
bool description_same_angles(const struct model_config *a, const struct model_config *b,
                             enum rope_kind kind);
/* All kinds of angles that the first one uses. */
bool description_same_rope(const struct model_config *a, const struct model_config *b);
