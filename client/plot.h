/* client/plot.h - a curve drawn with characters, for `watch --plot`.
 *
 *   2.31 ┤⢣
 *        │ ⠱⡠⣀  ⢀
 *   0.84 ┤   ⠉⠒⠊⠑⠤⠄
 */
#pragma once
#include "core/buf.h"
#include <stdbool.h>

enum { PLOT_COLUMNS_LEAST = 30 }; /* below that nothing is drawn */

struct plot {
    const double *y; /* (n) */
    int n;
    int mark; /* an index of y: a dotted line in front of it; 0: none */
    int columns, rows;
    bool utf8; /* else plain ASCII */
};

/* Appends `rows` lines, each of at most `columns` characters and with its end; nothing where there
 * is nothing to draw. */
void plot_draw(const struct plot *p, struct buf *out);
