/* core/hex.c - see hex.h. */
#include "core/hex.h"

void hex_print(const void *bytes, size_t n, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;
    size_t i;

    for (i = 0; i < n; i++) {
        ret[2 * i] = digits[from[i] >> 4];
        ret[2 * i + 1] = digits[from[i] & 15];
    }
    ret[2 * n] = '\0';
}
