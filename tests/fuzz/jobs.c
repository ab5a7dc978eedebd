/* tests/fuzz/jobs.c - any text as a job file, and behind the first NUL an override. What is
 * accepted is written, read again and written to the same text. */
#include "core/job/job_keys.h"
#include "core/job/job_read.h"
#include "tests/fuzz/fuzz.h"

static void write_twice(const struct job *job)
{
    char *once = job_to_yaml(job), *twice;
    struct job *again = NULL;
    struct err err = {0};

    assert(once);
    if (fuzz_check(job_from_yaml(once, &again, &err), &err) == 0) {
        twice = job_to_yaml(again);
        assert(twice && strcmp(once, twice) == 0);
        free(twice);
    }
    job_free(again);
    free(once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), key[JOB_KEY_BYTES];
    size_t len = strlen(text);
    const char *const sets[] = {len < size ? text + len + 1 : ""};
    struct problems problems = {0};
    struct job *job = NULL;
    struct err err = {0};
    int rc, i;

    rc = job_parse(text, "job.yaml", "/folder", sets, len < size, &job, &problems, &err);
    assert(rc == 0 || rc == ERR_INVALID || rc == ERR_UNSUPPORTED);
    assert(rc == 0 || problems.n > 0 || err.text[0]);
    for (i = 0; i < problems.n; i++)
        job_key_of_sentence(problems.items[i].text, key);
    if (rc == 0)
        write_twice(job);
    job_free(job);
    problems_free(&problems);
    free(text);
    return 0;
}
