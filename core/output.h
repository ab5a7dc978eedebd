/* core/output.h - results that do not arrive are an error: a full disk must not end with status 0.
 */
#pragma once

/* Called once, first in main(). When the program ends, by exit() too, and something that it printed
 * to standard output could not be written, it says so and exits with status 1. */
void output_check_at_exit(void);
