/* tests/fuzz/answers.c - what dashd reads that others have written: the first byte says what (0:
 * squeue's table, 1: words of a Slurm command, 2: metrics.jsonl, 3: outcome.json, 4: the contact
 * file, 5: HTTP/2 frames, 6: labels). */
#include "core/slurm/state.h"
#include "daemon/service/catch_up.h"
#include "daemon/service/http2_limits.h"
#include "daemon/service/labels.h"
#include "daemon/service/outcome.h"
#include "proto/contact.h"
#include "tests/fuzz/fuzz.h"

enum { METRICS, OUTCOME, FILES };

static struct fuzz_file files[FILES], contact_file = {-1, ""};
static char folder[40];

static void read_table(const char *text)
{
    struct slurm_row row;
    char words[300];

    if (slurm_find(text, "0123456789abcdef", 17, &row))
        slurm_describe(&row, words, sizeof(words));
}

static void read_words(const char *text)
{
    char words[300];

    slurm_words(text, words, sizeof(words));
    slurm_may_pass(text);
}

static void read_metrics(const uint8_t *data, size_t size)
{
    struct step_row *rows = NULL;
    struct err err = {0};
    int64_t offset = 0;
    int n = 0, i;

    fuzz_file_write(&files[METRICS], data, size);
    if (fuzz_check(catch_up_read(folder, 0, 1000, &offset, &rows, &n, &err), &err) < 0)
        return;
    for (i = 0; i < n; i++)
        assert(rows[i].step == i + 1);
    free(rows);
}

static void read_outcome(const uint8_t *data, size_t size)
{
    enum run_event event;
    char *reason = NULL;
    struct err err = {0};

    fuzz_file_write(&files[OUTCOME], data, size);
    if (fuzz_check(outcome_read(folder, &event, &reason, &err), &err) == 0)
        free(reason);
}

static void read_contact(const uint8_t *data, size_t size)
{
    struct contact contact;
    struct err err = {0};

    fuzz_file_write(&contact_file, data, size);
    if (fuzz_check(contact_read(contact_file.path, &contact, &err), &err) == 0)
        contact_free(&contact);
}

/* The verdict does not depend on how the bytes are cut. */
static void read_frames(const uint8_t *data, size_t size)
{
    struct http2_limits whole = {0}, cut = {0};
    size_t i = 0;
    bool passes = true;

    while (passes && i < size)
        passes = http2_limits_allow(&cut, data + i++, 1, 1000);
    assert(passes == http2_limits_allow(&whole, data, size, 1000));
}

static void read_labels(char *text)
{
    struct label labels[LABELS_MAX], one = {text, "value"};
    char *encoded = NULL;
    struct err err = {0};
    size_t n;

    if (fuzz_check(labels_encode(&one, 1, &encoded, &err), &err) < 0)
        return;
    assert(labels_have(encoded, &one));
    n = labels_split(encoded, labels);
    assert(n == 1 && strcmp(labels[0].name, text) == 0);
    free(encoded);
}

static void set_up(void)
{
    static const char *const names[] = {"metrics.jsonl", "outcome.json", NULL};

    fuzz_folder_open(names, files, folder);
    fuzz_file_open(&contact_file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size == 0)
        return 0;
    if (contact_file.fd < 0)
        set_up();
    text = fuzz_text(data + 1, size - 1);
    switch (data[0] % 7) {
    case 0:
        read_table(text);
        break;
    case 1:
        read_words(text);
        break;
    case 2:
        read_metrics(data + 1, size - 1);
        break;
    case 3:
        read_outcome(data + 1, size - 1);
        break;
    case 4:
        read_contact(data + 1, size - 1);
        break;
    case 5:
        read_frames(data + 1, size - 1);
        break;
    default:
        read_labels(text);
        break;
    }
    free(text);
    return 0;
}
