/* daemon/service/store_file.c - the store's file: its lock, its schema, its first making and its
 * checks.
 *
 * A new database is made under another name and renamed, so that jobs.db, once it is there, is
 * whole: an empty one is damage, not a beginning.
 */
#include "daemon/service/store_impl.h"
#include "core/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { APPLICATION_ID = 0x44617368 /* "Dash" */, SCHEMA_VERSION = 5 };

#define EVENTS                                                                                     \
    "CREATE TABLE events ("                                                                        \
    " id INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL REFERENCES jobs,"                 \
    " at_ms INTEGER NOT NULL, kind INTEGER NOT NULL, state INTEGER NOT NULL,"                      \
    " phase INTEGER NOT NULL, text TEXT NOT NULL);"                                                \
    "CREATE INDEX events_of_job ON events (job, id);"

static const char schema[] =
    "CREATE TABLE jobs ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, state INTEGER NOT NULL,"
    " reason TEXT NOT NULL, created_ms INTEGER NOT NULL, queued_ms INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL, finished_ms INTEGER NOT NULL, steps_total INTEGER NOT NULL,"
    " phase INTEGER NOT NULL, workers INTEGER NOT NULL, restarts INTEGER NOT NULL,"
    " output TEXT NOT NULL, job_yaml TEXT NOT NULL, stop_wanted INTEGER NOT NULL,"
    " launch INTEGER NOT NULL, token TEXT NOT NULL, pid INTEGER NOT NULL,"
    " pid_start INTEGER NOT NULL, boot_id TEXT NOT NULL, log_offset INTEGER NOT NULL,"
    " max_restarts INTEGER NOT NULL, deaths INTEGER NOT NULL, death_step INTEGER NOT NULL,"
    " death_reason TEXT NOT NULL, not_before_ms INTEGER NOT NULL, slurm INTEGER NOT NULL,"
    " external INTEGER NOT NULL, slurm_job INTEGER NOT NULL, mark TEXT NOT NULL,"
    " labels TEXT NOT NULL, priority INTEGER NOT NULL, request_id TEXT NOT NULL,"
    " request_hash TEXT NOT NULL, created_by TEXT NOT NULL, nodes TEXT NOT NULL,"
    " restore_step INTEGER NOT NULL, memory_bytes INTEGER NOT NULL, kind INTEGER NOT NULL);"
    "CREATE TABLE steps ("
    " job INTEGER NOT NULL REFERENCES jobs, step INTEGER NOT NULL, loss REAL, grad_norm REAL,"
    " learning_rate REAL, tokens INTEGER NOT NULL, trained_tokens INTEGER NOT NULL, seconds REAL,"
    " phase INTEGER NOT NULL, eval_loss REAL, at_ms INTEGER NOT NULL DEFAULT 0,"
    " after_event INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (job, step)) WITHOUT ROWID;"
    "CREATE TABLE notices ("
    " id INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs, text TEXT NOT NULL);"
    "CREATE INDEX notices_of_job ON notices (job);" EVENTS;

static int damaged(const struct store *s, const char *how, struct err *err)
{
    return err_set(
        err, ERR_INVALID,
        "%s is damaged (%s): it was left as it is. Restore it from a copy, or move it away to "
        "start with no jobs; the jobs' output folders are not touched",
        s->path, how);
}

int store_failed(struct store *s, struct err *err)
{
    int why = sqlite3_system_errno(s->db);
    int code = sqlite3_errcode(s->db);
    int kind = code == SQLITE_NOMEM ? ERR_NOMEM : ERR_IO;

    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        return damaged(s, sqlite3_errmsg(s->db), err);
    if (why && (code == SQLITE_IOERR || code == SQLITE_CANTOPEN || code == SQLITE_FULL))
        return err_set(err, kind, "%s: %s (%s)", s->path, sqlite3_errmsg(s->db), strerror(why));
    return err_set(err, kind, "%s: %s", s->path, sqlite3_errmsg(s->db));
}

static int run_sql(struct store *s, const char *sql, struct err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_failed(s, err);
}

static void write_pid(struct store *s)
{
    char pid[32];
    int n = snprintf(pid, sizeof(pid), "%d", (int)getpid());

    if (ftruncate(s->lock, 0) < 0 || pwrite(s->lock, pid, (size_t)n, 0) < 0)
        return; /* only the other dashd's message is the poorer */
}

static int lock_folder(struct store *s, const char *state, struct err *err)
{
    char *path = file_join(state, "dashd.lock"), pid[32] = "";
    int rc = 0;

    if (!path)
        return err_nomem(err, strlen(state));
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock < 0)
        rc = err_errno(err, "%s cannot be opened", path);
    else if (flock(s->lock, LOCK_EX | LOCK_NB) == 0)
        write_pid(s);
    else if (errno == EWOULDBLOCK && read(s->lock, pid, sizeof(pid) - 1) >= 0)
        rc = err_set(err, ERR_STATE, "another dashd (process %s) uses the state folder %s",
                     pid[0] ? pid : "unknown", state);
    else
        rc = err_errno(err, "%s cannot be locked", path);
    free(path);
    return rc;
}

static int open_file(struct store *s, const char *path, int flags, struct err *err)
{
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | flags, NULL) != SQLITE_OK)
        return store_failed(s, err);
    sqlite3_extended_result_codes(s->db, 0);
    return 0;
}

static int make_schema(struct store *s, const char *path, struct err *err)
{
    char sql[4096];
    int rc;

    rc = open_file(s, path, SQLITE_OPEN_CREATE, err);
    if (rc < 0)
        return rc;
    snprintf(sql, sizeof(sql),
             "BEGIN; %s PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;", schema,
             APPLICATION_ID, SCHEMA_VERSION);
    rc = run_sql(s, sql, err);
    sqlite3_close(s->db);
    s->db = NULL;
    return rc;
}

static int sync_folder(const char *folder, struct err *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

    if (fd < 0 || fsync(fd) < 0)
        rc = err_errno(err, "%s: the folder cannot be synced", folder);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int make_file(struct store *s, const char *state, struct err *err)
{
    char *path = file_join(state, "jobs.db.new");
    int rc;

    if (!path)
        return err_nomem(err, strlen(state));
    unlink(path);
    rc = make_schema(s, path, err);
    if (rc == 0 && rename(path, s->path) < 0)
        rc = err_errno(err, "%s cannot be renamed to jobs.db", path);
    if (rc == 0)
        rc = sync_folder(state, err);
    free(path);
    return rc;
}

static int read_number(struct store *s, const char *sql, long *ret, struct err *err)
{
    sqlite3_stmt *q = NULL;
    int rc;

    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK)
        return store_failed(s, err);
    rc = sqlite3_step(q) == SQLITE_ROW ? 0 : store_failed(s, err);
    *ret = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return rc;
}

static int check_whole(struct store *s, struct err *err)
{
    sqlite3_stmt *q = NULL;
    const char *said = "";
    int rc = 0;

    if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &q, NULL) != SQLITE_OK)
        return store_failed(s, err);
    if (sqlite3_step(q) != SQLITE_ROW)
        rc = store_failed(s, err);
    else
        said = (const char *)sqlite3_column_text(q, 0);
    if (rc == 0 && (!said || strcmp(said, "ok") != 0))
        rc = damaged(s, "its pages do not fit together", err);
    sqlite3_finalize(q);
    return rc;
}

/* What makes a store of schema i + 1 one of schema i + 2. Schema 1 knew of no Slurm: a job that an
 * older dashd left running is not recognised, its outcome decides, and a second launch waits for
 * the folder's lock. Schema 2 knew no events, schema 3 no evaluations, schema 4 not when a
 * step was: those of a job are taken to be of the last start, behind the last event that says that
 * it runs. */
static const char *const upgrades[SCHEMA_VERSION - 1] = {
    "ALTER TABLE jobs ADD COLUMN slurm INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN external INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN slurm_job INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN mark TEXT NOT NULL DEFAULT '';",
    "ALTER TABLE jobs ADD COLUMN labels TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN request_id TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE jobs ADD COLUMN request_hash TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE jobs ADD COLUMN created_by TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE jobs ADD COLUMN nodes TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE jobs ADD COLUMN restore_step INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN memory_bytes INTEGER NOT NULL DEFAULT 0;" EVENTS,
    "ALTER TABLE jobs ADD COLUMN kind INTEGER NOT NULL DEFAULT 1;",
    "ALTER TABLE steps ADD COLUMN at_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE steps ADD COLUMN after_event INTEGER NOT NULL DEFAULT 0;"
    "UPDATE steps SET at_ms = (SELECT started_ms FROM jobs WHERE id = steps.job), after_event ="
    " (SELECT coalesce(max(id), 0) FROM events"
    "  WHERE job = steps.job AND kind = 1 AND state = 3);",
};

static int upgrade(struct store *s, long version, struct err *err)
{
    char number[64];
    int rc = run_sql(s, "BEGIN", err);

    for (; rc == 0 && version < SCHEMA_VERSION; version++)
        rc = run_sql(s, upgrades[version - 1], err);
    snprintf(number, sizeof(number), "PRAGMA user_version=%d; COMMIT;", SCHEMA_VERSION);
    if (rc == 0)
        rc = run_sql(s, number, err);
    if (rc < 0)
        run_sql(s, "ROLLBACK", NULL);
    return rc;
}

static int check_file(struct store *s, struct err *err)
{
    long application = 0, version = 0;
    struct stat st;
    int rc;

    if (stat(s->path, &st) == 0 && st.st_size == 0)
        return damaged(s, "it is empty", err);
    rc = read_number(s, "PRAGMA application_id", &application, err);
    if (rc == 0)
        rc = read_number(s, "PRAGMA user_version", &version, err);
    if (rc < 0)
        return rc;
    if (application != APPLICATION_ID)
        return err_set(err, ERR_INVALID, "%s is not a job store of dashd: it was left as it is",
                       s->path);
    if (version >= 1 && version < SCHEMA_VERSION)
        rc = upgrade(s, version, err);
    else if (version != SCHEMA_VERSION)
        return err_set(
            err, ERR_UNSUPPORTED,
            "%s was written by another version of dashd (schema %ld, this one knows %d): it "
            "was left as it is",
            s->path, version, SCHEMA_VERSION);
    return rc < 0 ? rc : check_whole(s, err);
}

int store_file_open(struct store *s, const char *state, struct err *err)
{
    int rc;

    rc = lock_folder(s, state, err);
    if (rc < 0)
        return rc;
    if (access(s->path, F_OK) < 0) {
        rc = make_file(s, state, err);
        if (rc < 0)
            return rc;
    }
    rc = open_file(s, s->path, 0, err);
    if (rc == 0)
        rc = check_file(s, err);
    if (rc == 0)
        rc = run_sql(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
                     err);
    return rc;
}
