/* client/plot.c - see plot.h. A character of Braille is a grid of 2 x 4 dots, one of ASCII a single
 * one. Each column of dots stands for a run of values: the dots from the least to the greatest of
 * them are set, and those up to the column before, so that the curve has no gaps.
 */
#include "client/plot.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum { LABEL = 9, DOTS_X = 2, DOTS_Y = 4, BRAILLE = 0x2800 };

struct canvas {
    bool *dots; /* (height, width) */
    int width, height;
    double least, most;
};

static bool range_of(const struct plot *p, struct canvas *c)
{
    int i;

    c->least = INFINITY;
    c->most = -INFINITY;
    for (i = 0; i < p->n; i++)
        if (isfinite(p->y[i])) {
            c->least = fmin(c->least, p->y[i]);
            c->most = fmax(c->most, p->y[i]);
        }
    if (!(c->least <= c->most))
        return false;
    if (c->least == c->most) {
        c->least -= 0.5;
        c->most += 0.5;
    }
    return true;
}

/* From the top. */
static int row_of(const struct canvas *c, double y)
{
    return (int)lround((c->most - y) / (c->most - c->least) * (c->height - 1));
}

/* The first value that a column stands for. */
static int first_of(const struct plot *p, const struct canvas *c, int x)
{
    return (int)((int64_t)p->n * x / c->width);
}

/* Top and bottom dot of the values of a column; false where it has none. */
static bool span_of(const struct plot *p, const struct canvas *c, int x, int *top, int *bottom)
{
    int from = first_of(p, c, x), to = first_of(p, c, x + 1), i;
    bool any = false;

    for (i = from; i < (to > from ? to : from + 1) && i < p->n; i++) {
        int row = isfinite(p->y[i]) ? row_of(c, p->y[i]) : -1;
        if (row < 0)
            continue;
        *top = any && *top < row ? *top : row;
        *bottom = any && *bottom > row ? *bottom : row;
        any = true;
    }
    return any;
}

static void set_dots(const struct plot *p, struct canvas *c)
{
    int x, y, top = 0, bottom = 0, before_top = -1, before_bottom = -1;

    for (x = 0; x < c->width; x++) {
        int from, to;
        if (!span_of(p, c, x, &top, &bottom)) {
            before_top = -1;
            continue;
        }
        from = before_top >= 0 && before_bottom < top ? before_bottom + 1 : top;
        to = before_top >= 0 && before_top > bottom ? before_top - 1 : bottom;
        for (y = from; y <= to; y++)
            c->dots[(size_t)y * (size_t)c->width + (size_t)x] = true;
        before_top = top;
        before_bottom = bottom;
    }
}

static bool dot(const struct canvas *c, int x, int y)
{
    return c->dots[(size_t)y * (size_t)c->width + (size_t)x];
}

/* The bits of a Braille character: 1 2 3 7 down its left side, 4 5 6 8 down its right one. */
static void put_braille(const struct canvas *c, int column, int row, bool marked, struct buf *out)
{
    static const unsigned char bits[DOTS_Y][DOTS_X] = {
        {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    unsigned code = 0;
    char text[3];
    int x, y;

    for (y = 0; y < DOTS_Y; y++)
        for (x = 0; x < DOTS_X; x++)
            if (dot(c, column * DOTS_X + x, row * DOTS_Y + y))
                code |= bits[y][x];
    if (!code) {
        buf_puts(out, marked ? "┊" : " ");
        return;
    }
    code += BRAILLE;
    text[0] = (char)(0xe0 | code >> 12);
    text[1] = (char)(0x80 | (code >> 6 & 63));
    text[2] = (char)(0x80 | (code & 63));
    buf_append(out, text, 3);
}

static void put_label(const struct plot *p, const struct canvas *c, int row, struct buf *out)
{
    double label = row == 0 ? c->most : c->least;

    if (row == 0 || row == p->rows - 1)
        buf_printf(out, "%*.3g %s", LABEL, label, p->utf8 ? "┤" : "+");
    else
        buf_printf(out, "%*s %s", LABEL, "", p->utf8 ? "│" : "|");
}

static void put_row(const struct plot *p, const struct canvas *c, int row, struct buf *out)
{
    int columns = p->columns - LABEL - 2, mark = -1, column;

    if (p->mark > 0 && p->mark < p->n)
        mark = (int)((int64_t)p->mark * columns / p->n);
    put_label(p, c, row, out);
    for (column = 0; column < columns; column++)
        if (p->utf8)
            put_braille(c, column, row, column == mark, out);
        else
            buf_puts(out, dot(c, column, row) ? "*" : column == mark ? ":" : " ");
    buf_puts(out, "\n");
}

void plot_draw(const struct plot *p, struct buf *out)
{
    int columns = p->columns - LABEL - 2, row;
    struct canvas c = {.width = p->utf8 ? columns * DOTS_X : columns,
                       .height = p->utf8 ? p->rows * DOTS_Y : p->rows};

    if (p->columns < PLOT_COLUMNS_LEAST || p->rows < 2 || !range_of(p, &c))
        return;
    c.dots = calloc((size_t)c.width * (size_t)c.height, sizeof(*c.dots));
    if (!c.dots)
        return;
    set_dots(p, &c);
    for (row = 0; row < p->rows; row++)
        put_row(p, &c, row, out);
    free(c.dots);
}
