/* daemon/service/memory_group.h - a control group (cgroups(7), version 2) that limits the memory of
 * a launch.
 *
 * dashd may make such groups beside its own where systemd has delegated the group above it
 * (Delegate=memory, DelegateSubgroup=dashd: systemd.resource-control(5)): the groups of launches
 * stand beside the one of dashd, so that no group has both processes and groups. Nowhere else does
 * it touch the tree, whose owner is another. A group is named by the mark of its launch, by which
 * the next dashd finds it again.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>

/* The folder in which this process may make groups that limit memory; NULL: nowhere. root: where
 * the tree is mounted, "/sys/fs/cgroup". Caller frees. */
char *memory_group_parent(const char *root);

/* Makes the group of a launch. On failure there is none. */
int memory_group_make(const char *parent, const char *mark, double bytes, struct err *err);
/* Moves a process, and what it starts from then on, into it. */
int memory_group_join(const char *parent, const char *mark, long pid, struct err *err);
/* Whether the kernel has ended processes of it for lack of memory. */
bool memory_group_killed(const char *parent, const char *mark);
/* Removes all groups but those that `is_used` by a launch. Whether some stay, for now, since a
 * process in them is about to end: what was killed with much memory takes a while. */
bool memory_groups_sweep(const char *parent, bool (*is_used)(const void *arg, const char *mark),
                         const void *arg);
