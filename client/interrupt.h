/* client/interrupt.h - Ctrl-C (and SIGTERM, SIGHUP), counted: what it means is up to the command.
 */
#pragma once

void interrupt_catch(void);
int interrupt_count(void);
/* Sleeps, less where an interrupt comes. */
void interrupt_sleep_ms(int ms);
