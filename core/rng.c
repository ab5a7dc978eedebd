/* core/rng.c - see rng.h. Constants are those of the paper. */
#include "core/rng.h"

enum { ROUNDS = 10 };
#define MULTIPLIER_0 0xD2511F53u
#define MULTIPLIER_1 0xCD9E8D57u
#define WEYL_0       0x9E3779B9u
#define WEYL_1       0xBB67AE85u

struct rng_key rng_key(uint64_t seed, enum rng_purpose purpose)
{
    struct rng_key key = {{(uint32_t)seed ^ ((uint32_t)purpose * WEYL_1), (uint32_t)(seed >> 32)}};

    return key;
}

void rng_draw(struct rng_key key, const uint32_t counter[4], uint32_t ret[4])
{
    uint32_t x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3];
    uint32_t k0 = key.k[0], k1 = key.k[1];
    int i;

    for (i = 0; i < ROUNDS; i++) {
        uint64_t p0 = (uint64_t)MULTIPLIER_0 * x0, p1 = (uint64_t)MULTIPLIER_1 * x2;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)p1;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)p0;
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    ret[0] = x0;
    ret[1] = x1;
    ret[2] = x2;
    ret[3] = x3;
}

float rng_unit(uint32_t word)
{
    return (float)(word >> 8) * 0x1p-24f;
}
