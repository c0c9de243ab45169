/* Effects that tests can make fail: see the header. */
#include "base/effect.h"
#include "base/log.h"

LOG_MODULE("effect");

_Atomic int effect_countdown;
static _Atomic int error_to_give;
static _Atomic bool fired;

int effect_slow(const char *name)
{
    if (atomic_fetch_sub(&effect_countdown, 1) != 1)
        return 0;
    fired = true;
    log_debug("effect made to fail", KV("effect", name));
    return error_to_give;
}

void effect_fail_at(int n, int error)
{
    error_to_give = error;
    fired = false;
    effect_countdown = n;
}

bool effect_fired(void)
{
    return fired;
}
