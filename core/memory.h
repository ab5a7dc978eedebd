/* core/memory.h - the memory that this process may use: of the node, or of its control group where
 * that allows less (Slurm, systemd, containers). */
#pragma once
#include "core/err.h"
#include <stdbool.h>

/* Bytes in all, and bytes that are free or can be made free; 0 where nothing can be learned. */
double memory_total(void);
double memory_available(void);

/* Keeps what this process has of its own (anonymous memory that it uses; not files that are mapped)
 * to that many bytes: called again and again, it fails with ERR_NOMEM once there is more, and in
 * between an allocation fails (RLIMIT_DATA) that would reach beyond them by more than `reserve`,
 * which is for what is mapped and never used: stacks of threads, buffers of libraries. */
int memory_keep_to(double bytes, double reserve, struct err *err);
/* The reserve of that many threads, which may decompose matrices. */
double memory_reserve(int threads, bool decompose);
