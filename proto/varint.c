/* proto/varint.c - see varint.h. */
#include "proto/varint.h"

void varint_put(struct buf *out, uint64_t value)
{
    unsigned char bytes[10];
    size_t n = 0;

    do {
        bytes[n] = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
        n++;
    } while (value);
    buf_append(out, bytes, n);
}
