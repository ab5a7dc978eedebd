/* core/memory.h - the memory that this process may use: of the node, or of its control group where
 * that allows less (Slurm, systemd, containers). */
#pragma once

/* Bytes in all, and bytes that are free or can be made free; 0 where nothing can be learned. */
double memory_total(void);
double memory_available(void);
