/* tests/fuzz/ranks.c - any bytes as the body of a message between MPI ranks: the first byte says of
 * which kind. */
#include "proto/rank_bodies.h"
#include "tests/fuzz/fuzz.h"

enum { PARAMS = 3, VOCAB = 100 };

static int read_setup(const struct buf *body, struct err *err)
{
    struct rank_setup_parts parts;
    struct rank_setup setup;
    int rc = rank_setup_read(body, 1, 3, &setup, &parts, err);

    if (rc == 0)
        rank_setup_parts_free(&parts);
    return rc;
}

static int read_step(const struct buf *body, struct err *err)
{
    struct rank_cursor c = rank_cursor(body);
    struct rank_micro_view micro;
    struct rank_step step;
    const float *params;
    int rc = rank_step_read(&c, PARAMS, &step, &params, err), i;

    for (i = 0; rc == 0 && i < step.n_micro; i++)
        rc = rank_micro_read(&c, VOCAB, &micro, err);
    return rc == 0 ? rank_end(&c, err) : rc;
}

static int read_any(int kind, const struct buf *body, struct err *err)
{
    struct rank_gradients gradients;
    struct rank_progress progress;
    struct rank_ready ready;
    const double *losses;
    const float *numbers;
    char text[300];

    switch (kind) {
    case 0:
        return read_setup(body, err);
    case 1:
        return read_step(body, err);
    case 2:
        return rank_ready_read(body, &ready, err);
    case 3:
        return rank_progress_read(body, &progress, err);
    case 4:
        return rank_gradients_read(body, 1, 2, PARAMS, &gradients, &losses, &numbers, err);
    case 5:
        return rank_params_read(body, PARAMS, &numbers, err);
    default:
        rank_error_read(body, text, sizeof(text));
        assert(strlen(text) < sizeof(text));
        return 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf body = {0};
    struct err err = {0};

    if (size == 0)
        return 0;
    buf_append(&body, data + 1, size - 1); /* aligned as a message is */
    fuzz_check(read_any(data[0] % 7, &body, &err), &err);
    buf_free(&body);
    return 0;
}
