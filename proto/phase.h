/* proto/phase.h - the phases of a job, by their numbers in dash.proto and by the names that users
 * see: in metrics.jsonl, in `show` and `watch`. */
#pragma once

enum phase {
    PHASE_NONE,
    PHASE_PRELAUNCH, /* plain LoRA before the directions are known */
    PHASE_IDENTIFICATION,
    PHASE_DASH,
    PHASE_LORA, /* method: lora, all the way */
    PHASE_EXPORT,
    PHASES
};

/* "prelaunch" and so on; "" for PHASE_NONE and for what is not a phase. */
const char *phase_name(int phase);
/* PHASE_NONE where no phase has this name; name may be NULL. */
enum phase phase_by_name(const char *name);
