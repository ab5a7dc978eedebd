/* client/interrupt.c - see interrupt.h. The counter is the one mutable global of dashctl: a signal
 * handler has no other place for it. */
#include "client/interrupt.h"
#include <signal.h>
#include <stddef.h>
#include <time.h>

static volatile sig_atomic_t interrupts;

static void on_signal(int number)
{
    (void)number;
    interrupts++;
}

void interrupt_catch(void)
{
    struct sigaction act = {.sa_handler = on_signal};

    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
}

int interrupt_count(void)
{
    return interrupts;
}

void interrupt_sleep_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};

    nanosleep(&t, NULL);
}
