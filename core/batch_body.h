/* core/batch_body.h - the text of batch_body.sh, made part of the program by the build. */
#pragma once
#include <stddef.h>

extern const unsigned char batch_body[];
extern const size_t batch_body_len;
