/* core/clock.h - what time it is. */
#pragma once
#include <stdint.h>

/* Of a clock that only goes forward; its zero is nothing to rely on. */
double clock_s(void);
int64_t clock_ms(void);
/* Since 1970; may be set back. */
int64_t clock_unix_ms(void);
/* Processor time of this thread. */
int64_t clock_thread_ns(void);
/* Today here, "2026-11-26"; returns text. */
const char *clock_today(char text[16]);
