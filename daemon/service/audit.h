/* daemon/service/audit.h - who changed what: <state>/audit.jsonl (0600), a line for each call that
 * changes something, or was refused.
 *
 *   {"time": "2026-11-27T04:37:22.118Z", "caller": "token:ci", "peer": "10.1.0.4:50211",
 *    "method": "/dash.v1.FineTuning/CancelJob", "job": "12", "outcome": "OK"}
 *
 * outcome: a gRPC status, with "reason" where it is not OK. "job" is missing where none is known. A
 * line is appended before the call is answered. Of a call that changed something it is also synced;
 * the last lines of refused ones may be lost with the machine. A file that has grown to AUDIT_BYTES
 * is renamed to audit.jsonl.1, that one to .2 and so on; AUDIT_FILES are kept.
 *
 * A line that cannot be written (the disk is full) does not stop the call. It is reported in the
 * log, and the next line that can be written says how many are missing ("lost": 3). Of calls
 * that were refused, a limited number is written down a minute, one for known callers and one for
 * all others, so that they cannot push out the rest; more are counted ("refused_besides").
 */
#pragma once
#include "core/err.h"

enum { AUDIT_BYTES = 8 << 20, AUDIT_FILES = 8 };

struct audit;

struct audit_line {
    const char *caller; /* "": nobody is known */
    const char *peer, *method;
    const char *job; /* NULL: none */
    const char *outcome;
    const char *reason; /* why it was refused; NULL: it was not */
};

int audit_open(const char *state, struct audit **ret_audit, struct err *err);
void audit_close(struct audit *a); /* NULL-safe */
void audit_write(struct audit *a, const struct audit_line *line);
