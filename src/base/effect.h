/*
 * Effects: the points where the world can fail, so that tests can make each fail once.
 *
 *     int r = effect("store.commit");
 *     if (r < 0)
 *         return r;
 *
 * A test arms the n-th effect, runs its scenario, and goes on with n + 1 until nothing fired.
 * Not armed, an effect costs one load.
 */
#ifndef YUNDUO_BASE_EFFECT_H
#define YUNDUO_BASE_EFFECT_H

#include <stdatomic.h>
#include <stdbool.h>

extern _Atomic int effect_countdown;    /* 0: not armed */
int effect_slow(const char *name);

static inline int effect(const char *name)
{
    return atomic_load_explicit(&effect_countdown, memory_order_relaxed) ? effect_slow(name) : 0;
}

/* The n-th effect from now (1 is the next one) fails with 'error'; n of 0 disarms. */
void effect_fail_at(int n, int error);
/* Whether the armed one has fired. */
bool effect_fired(void);

#endif
