/* core/job/job_units.h - sizes and durations as a job file has them: "20GiB", "90s". What is
 * printed reads back as the same number. */
#pragma once
#include <stddef.h>

enum { UNIT_TEXT_MAX = 32 };

/* Bytes of "20GiB", "500MB" or a bare number; -1 where the text is no size. */
double bytes_read(const char *text);
/* In the largest unit up to GiB, or GB where that is shorter, of which it is a
 * multiple: "20GiB", "1500MB". */
void bytes_print(double bytes, char out[UNIT_TEXT_MAX]);

/* Whole seconds of "90s", "30m", "12h" or "2d"; -1 where the text is no duration. */
double duration_read(const char *text);
/* In the largest unit of which it is a multiple: "12h", "90s". */
void duration_print(double seconds, char out[UNIT_TEXT_MAX]);
