/* proto/phase.h - the phases of a job by their numbers in dash.proto, for code that does not speak protobuf. */
#pragma once

enum phase {
    PHASE_PRELAUNCH = 1,
    PHASE_IDENTIFICATION,
    PHASE_DASH,
    PHASE_LORA,
    PHASE_EXPORT,
};
