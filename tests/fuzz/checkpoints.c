/* tests/fuzz/checkpoints.c - a checkpoint with some bytes changed, and perhaps cut off, as the
 * coordinator reads it. The checksum is made anew: what it finds would hide all else.
 *
 * The first byte: with directions or without; the next two: how much is cut off; then (offset u16,
 * byte) triples.
 */
#include "core/job/state.h"
#include "tests/fuzz/fuzz.h"
#include <xxhash.h>

enum { LENGTH_AT = 16, HASH_AT = 24, HEADER = 40, PRELAUNCH = 5 };

static const struct trainable_map maps[] = {
    {.layer = 0,
     .kind = 0,
     .rows = 6,
     .columns = 5,
     .rank = 2,
     .scale = 2,
     .a = 0,
     .b = 10,
     .c = 22},
    {.layer = 0,
     .kind = 1,
     .rows = 4,
     .columns = 6,
     .rank = 2,
     .scale = 2,
     .a = 24,
     .b = 36,
     .c = 44},
};
static const struct trainable layout = {
    .maps = (struct trainable_map *)maps, .n = 2, .directions = 2, .count = 46};
static const struct state_identity identity = {.steps = 9, .prelaunch_steps = PRELAUNCH};

/* Directions are known from a step on. */
static int step_of(bool identified)
{
    return identified ? PRELAUNCH : PRELAUNCH - 1;
}

static void encode(bool identified, struct buf *out)
{
    struct state s;
    struct err err = {0};
    int i, j;

    assert(state_open(&layout, &s, &err) == 0);
    s.step = step_of(identified);
    s.identified = identified;
    for (i = 0; identified && i < s.chosen.n; i++) {
        for (j = 0; j < 2; j++) {
            s.chosen.of[i].indices[j] = 1 - j;
            s.chosen.of[i].delta[j] = 2 - j;
            s.chosen.of[i].sigma[j] = 1;
        }
    }
    fuzz_check(state_encode(&s, &identity, out, &err), &err);
    state_close(&s);
}

/* Restores the header's length and checksum, which cover what follows. */
static void sign(char *bytes, size_t len)
{
    uint64_t length = len - HEADER;
    XXH128_hash_t hash = XXH3_128bits(bytes + HEADER, (size_t)length);

    memcpy(bytes + LENGTH_AT, &length, sizeof(length));
    memcpy(bytes + HASH_AT, &hash.low64, sizeof(hash.low64));
    memcpy(bytes + HASH_AT + 8, &hash.high64, sizeof(hash.high64));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct buf images[2];
    static struct state s;
    const struct buf *image;
    struct err err = {0};
    size_t len, i;
    char *bytes;

    if (size < 3)
        return 0;
    if (!images[0].len) {
        encode(false, &images[0]);
        encode(true, &images[1]);
        assert(state_open(&layout, &s, &err) == 0);
    }
    image = &images[data[0] & 1];
    len = image->len;
    if (data[0] & 2)
        len = HEADER + (data[1] | (size_t)data[2] << 8) % (image->len - HEADER + 1);
    bytes = malloc(len);
    assert(bytes);
    memcpy(bytes, image->data, len);
    for (i = 3; i + 3 <= size && len > HEADER; i += 3)
        bytes[HEADER + (data[i] | (size_t)data[i + 1] << 8) % (len - HEADER)] = (char)data[i + 2];
    sign(bytes, len);
    if (size < 6 && data[0] < 2)
        assert(state_decode(&s, &identity, step_of(data[0] & 1), bytes, len, "seed", &err) == 0);
    else
        fuzz_check(state_decode(&s, &identity, step_of(data[0] & 1), bytes, len, "it", &err), &err);
    free(bytes);
    return 0;
}
