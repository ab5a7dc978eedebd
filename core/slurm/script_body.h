/* core/slurm/script_body.h - the text of script_body.sh, made part of the program by the build. */
#pragma once
#include <stddef.h>

extern const unsigned char script_body[];
extern const size_t script_body_len;
