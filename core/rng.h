/* core/rng.h - random numbers without state: each is a function of a key and a counter, so that it
 * does not matter who draws it, in which order, or how often (Philox4x32-10: Salmon et al. 2011,
 * "Parallel random numbers: as easy as 1, 2, 3").
 */
#pragma once
#include <stdint.h>

/* What a number is drawn for: keeps the streams of one seed apart. */
enum rng_purpose { RNG_INIT = 1, RNG_SHUFFLE, RNG_DROPOUT, RNG_SAMPLE };

struct rng_key {
    uint32_t k[2];
};

struct rng_key rng_key(uint64_t seed, enum rng_purpose purpose);
/* Four independent uniform 32-bit words. */
void rng_draw(struct rng_key key, const uint32_t counter[4], uint32_t ret[4]);
/* Uniform in [0, 1), 24 bits. */
float rng_unit(uint32_t word);
