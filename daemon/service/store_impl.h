/* daemon/service/store_impl.h - what store.c and store_file.c share. */
#pragma once
#include "daemon/service/store.h"
#include <sqlite3.h>

enum store_statement {
    STORE_BEGIN,
    STORE_COMMIT,
    STORE_ROLLBACK,
    STORE_ADD_RUN,
    STORE_SAVE_RUN,
    STORE_LOAD_RUNS,
    STORE_ADD_STEP,
    STORE_CUT_STEPS,
    STORE_READ_STEPS,
    STORE_READ_STEPS_BACK,
    STORE_SUM_STEPS,
    STORE_ADD_NOTICE,
    STORE_LOAD_NOTICES,
    STORE_ADD_EVENT,
    STORE_READ_EVENTS,
    STORE_READ_EVENTS_BACK,
    STORE_DROP_STEPS,
    STORE_DROP_NOTICES,
    STORE_DROP_EVENTS,
    STORE_DROP_RUN,
    STORE_STATEMENTS
};

struct store {
    char *path; /* of jobs.db */
    int lock;   /* of the state folder, held open; -1: none */
    sqlite3 *db;
    sqlite3_stmt *statements[STORE_STATEMENTS];
};

/* err with SQLite's words, and errno's where the disk refused. */
int store_failed(struct store *s, struct err *err);

/* Locks the folder and opens its jobs.db, which is made where there is none. */
int store_file_open(struct store *s, const char *state, struct err *err);
