/* tests/bench/tokenize.c - how long a tokenizer takes to load and to encode a text.
 *
 * usage: bench_tokenize TOKENIZER TEXT [ROUNDS]
 *
 * A line a round: seconds of loading, megabytes a second of encoding, tokens. TOKENIZER is what
 * `dashctl tokenize --tokenizer` takes.
 */
#include "core/clock.h"
#include "core/file.h"
#include "core/text/tokenizer.h"
#include <stdio.h>
#include <stdlib.h>

static int run_round(const char *path, const char *text, size_t len, struct err *err)
{
    struct tokenizer *t = NULL;
    struct token_list ids = {0};
    double start = clock_s(), loaded;
    int rc = tokenizer_from_path(path, &t, err);

    loaded = clock_s();
    if (rc == 0)
        rc = tokenizer_encode(t, text, len, &ids, err);
    if (rc == 0)
        printf("%.3f %.2f %d\n", loaded - start, (double)len / 1e6 / (clock_s() - loaded), ids.n);
    fflush(stdout);
    tokenizer_free(t);
    free(ids.ids);
    return rc;
}

int main(int argc, char **argv)
{
    int rounds = argc > 3 ? atoi(argv[3]) : 1, rc = 0;
    char *text = NULL;
    struct err err;
    size_t len;

    if (argc < 3) {
        fprintf(stderr, "usage: bench_tokenize TOKENIZER TEXT [ROUNDS]\n");
        return 2;
    }
    rc = file_read(argv[2], (size_t)1 << 30, &text, &len, &err);
    for (int i = 0; rc == 0 && i < rounds; i++)
        rc = run_round(argv[1], text, len, &err);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    free(text);
    return rc < 0;
}
