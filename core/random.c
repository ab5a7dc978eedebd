/* core/random.c - see random.h. From the kernel, for names and tokens; the numbers of training are
 * in rng.h. */
#include "core/random.h"
#include <stdio.h>
#include <sys/random.h>

int random_hex(char *ret_hex, size_t n_bytes, struct err *err)
{
    unsigned char byte;
    size_t i;

    for (i = 0; i < n_bytes; i++) {
        if (getrandom(&byte, 1, 0) != 1)
            return err_errno(err, "cannot get random numbers");
        snprintf(ret_hex + 2 * i, 3, "%02x", byte);
    }
    return 0;
}
