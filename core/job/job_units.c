/* core/job/job_units.c - see job_units.h. Both kinds are a number and the name of a unit. */
#include "core/job/job_units.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    double size;
};

static const struct unit byte_units[] = {
    {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"KB", 1e3}, {"MB", 1e6},
    {"GB", 1e9},     {"TB", 1e12},    {"B", 1},        {"", 1},         {NULL, 0}};
static const struct unit second_units[] = {
    {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {NULL, 0}};

static double read_with(const struct unit *units, const char *text)
{
    char *end;
    double x = strtod(text, &end);

    if (end == text || !(x >= 0))
        return -1;
    while (*end == ' ')
        end++;
    for (; units->name; units++)
        if (strcmp(units->name, end) == 0)
            return isfinite(x * units->size) ? floor(x * units->size) : -1;
    return -1;
}

double bytes_read(const char *text)
{
    return read_with(byte_units, text);
}

double duration_read(const char *text)
{
    return read_with(second_units, text);
}

static void print_with(double x, double thousand, const char *const *names, char *out)
{
    int i = 0;

    for (; i < 3 && x > 0 && fmod(x, thousand) == 0; i++)
        x /= thousand;
    snprintf(out, UNIT_TEXT_MAX, "%.0f%s", x, names[i]);
}

void bytes_print(double bytes, char out[UNIT_TEXT_MAX])
{
    static const char *const binary[] = {"", "KiB", "MiB", "GiB"};
    static const char *const decimal[] = {"", "KB", "MB", "GB"};
    char other[UNIT_TEXT_MAX];

    print_with(bytes, 1024, binary, out);
    print_with(bytes, 1000, decimal, other);
    if (strlen(other) < strlen(out))
        strcpy(out, other);
}

void duration_print(double seconds, char out[UNIT_TEXT_MAX])
{
    static const struct unit largest_first[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
    const struct unit *u = largest_first;

    while (u->size > 1 && fmod(seconds, u->size) != 0)
        u++;
    snprintf(out, UNIT_TEXT_MAX, "%.0f%s", seconds / u->size, u->name);
}
