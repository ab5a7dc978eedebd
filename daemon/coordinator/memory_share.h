/* daemon/coordinator/memory_share.h - limits.memory, shared out among the processes of a machine.
 *
 * Where a control group allows the processes no more than the limit, it holds already. Else each
 * process gets a share in proportion to what the plan says that it needs, and keeps to it by itself
 * (memory_keep_to()); while rows are still being read, the coordinator gets half of what is left.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "daemon/coordinator/load.h"
#include "daemon/coordinator/workers.h"

struct memory_share {
    double coordinator, worker; /* bytes; 0: no limit of this kind */
};

/* Appends a notice that says which of the two it is. ERR_INVALID where the limit is less than what
 * the processes need. */
int memory_share_choose(const struct loaded *l, const struct workers *w, struct buf *notices,
                        struct memory_share *ret, struct err *err);
/* Between two steps of the coordinator: memory_keep_to() its share. */
int memory_share_keep(const struct memory_share *share, struct err *err);
/* ERR_NOMEM of a coordinator that has a share becomes ERR_INVALID: it would be met again. Other
 * codes stay. */
int memory_share_explain(const struct memory_share *share, int rc, struct err *err);
