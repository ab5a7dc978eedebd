/* core/job/checkpoint_name.h - how the files in <output>/checkpoint are named:
 * step-00000017.checkpoint is what job and training were after step 17. */
#pragma once

enum { CHECKPOINT_NAME_BYTES = 40 };

void checkpoint_name(int step, char ret_name[CHECKPOINT_NAME_BYTES]);
/* The step of a name that is exactly as checkpoint_name() writes it; -1: another file. */
int checkpoint_name_step(const char *name);
