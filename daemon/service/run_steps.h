/* daemon/service/run_steps.h - the steps of one job: what the store has of them, and what waits to
 * be written there. Knows the store, and nothing of the job's state.
 */
#pragma once
#include "daemon/service/store.h"

enum { STEPS_RECENT = 10 };

struct run_steps {
    int done;                             /* number of the last committed step */
    struct step_row recent[STEPS_RECENT]; /* the last committed steps, oldest first */
    int n_recent;
    int64_t tokens, trained_tokens; /* of all committed steps */
    struct step_row *pending;       /* reported, not yet committed */
    int n_pending, cap_pending;
    int64_t metrics_read; /* bytes of its metrics.jsonl that are known; see catch_up.h */
};

/* Number of the last step, committed or not. */
int run_steps_last(const struct run_steps *s);
/* Reads what the store has. */
int run_steps_load(struct run_steps *s, struct store *store, long id, struct err *err);
/* Cuts those after `last` off, in the store too: they come again. */
int run_steps_cut(struct run_steps *s, struct store *store, long id, int last, struct err *err);
/* Adds one to those that wait. */
int run_steps_add(struct run_steps *s, const struct step_row *step, struct err *err);
/* Commits those that wait; on failure they are dropped. */
int run_steps_commit(struct run_steps *s, struct store *store, long id, struct err *err);
/* The room for those that wait, when no more can come: there are many jobs, and few that run. */
void run_steps_free_pending(struct run_steps *s);
