/* proto/varint.h - an integer as Protocol Buffers write it: seven bits a byte, the lowest first. */
#pragma once
#include "core/buf.h"
#include <stdint.h>

void varint_put(struct buf *out, uint64_t value);
