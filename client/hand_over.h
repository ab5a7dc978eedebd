/* client/hand_over.h - commands that another program runs. */
#pragma once

/* Becomes `dash-worker MODE`, with the arguments after argv[0]. Returns EXIT_FAILED, with words,
 * where that fails. */
int hand_over(char *mode, int argc, char **argv);
