/* core/job/job_keys.h - the table of a job file's keys: one row a key says everything there is to
 * know about it. Reading, writing and the identity of a job all walk this table.
 */
#pragma once
#include "core/job/job.h"

enum key_kind {
    KEY_STRING,
    KEY_PATH,  /* made absolute against the job file's folder */
    KEY_FILES, /* a path, or a list of paths and of {file, weight}: struct data_names */
    KEY_BOOL,
    KEY_INT,
    KEY_SEED, /* uint64 */
    KEY_DOUBLE,
    KEY_BYTES,    /* a double: 20GiB, 512MB, or a number of bytes */
    KEY_SECONDS,  /* a double: 90s, 30m, 12h or 2d */
    KEY_ENUM,     /* an int holding an enum, by `names` */
    KEY_TARGETS,  /* of struct job_lora: target_modules, target_pattern, all_linear */
    KEY_STRINGS,  /* a list: char **, NULL-terminated */
    KEY_NUMBERS,  /* a list of integers, or one: struct job_numbers */
    KEY_OBJECT,   /* a mapping of whatever JSON can hold: json_t *, NULL where empty */
    KEY_PATTERNS, /* a mapping of patterns to numbers: struct job_patterns */
};

enum {
    KEY_NULLABLE = 1, /* null means absent: 0 or NULL */
    KEY_AUTO = 2,     /* "auto" means 0 */
    KEY_REQUIRED = 4,
    KEY_OPEN = 8,      /* the lower bound itself is refused */
    KEY_OPEN_TOP = 16, /* the upper bound itself is refused */
    KEY_NEUTRAL = 32,  /* does not decide the numbers: left out of the identity */
    KEY_WHOLE = 64,    /* the numbers of KEY_PATTERNS are integers */
    KEY_TEXTS = 128,   /* KEY_OBJECT holds strings alone */
};

struct job_key {
    const char *path; /* "lora.rank" */
    enum key_kind kind;
    size_t offset; /* in struct job */
    int flags;
    double lowest, highest;   /* of numbers */
    const char *const *names; /* of KEY_ENUM, NULL-terminated; "" is not offered */
};

extern const struct job_key job_keys[];
extern const int n_job_keys;

/* The row of a path, or NULL. */
const struct job_key *job_key_find(const char *path);
/* True where path is a section: "lora". */
bool job_key_is_section(const char *path);
/* The key or section nearest to a mistyped path, or NULL where none is near. */
const char *job_key_suggest(const char *path);

enum { JOB_KEY_BYTES = 64 };
/* The key that a sentence about a job begins with ("lora.rank must be ..." or "output: ..."); ""
 * where it begins otherwise. */
void job_key_of_sentence(const char *text, char ret_key[JOB_KEY_BYTES]);

/* Edit distance of two words, for "did you mean" (Levenshtein 1966); `most` where it is as much. */
int word_distance(const char *a, const char *b, int most);

/* The line of a key ("lora.rank") in the job file, for messages; 0 where it has none. */
int job_line(const struct job *job, const char *path);
/* Whether the file or an override gave the key. */
bool job_is_given(const struct job *job, const char *path);
