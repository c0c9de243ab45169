/* Moves of servers between hosts. */
#include "compute/internal.h"

#include <errno.h>

int migration_judge(struct txn *t, struct server *s, const struct server_observed *o, bool *ret_changed)
{
    (void)t;
    (void)s;
    (void)o;
    (void)ret_changed;
    return 0;
}

int migration_leg_judge(struct txn *t, struct server *s, struct leg *leg, const struct server_observed *o)
{
    (void)t;
    (void)s;
    (void)leg;
    (void)o;
    return 0;
}

int snapshot_judge(struct txn *t, struct server *s, const struct server_observed *o, bool *ret_changed)
{
    (void)t;
    (void)s;
    (void)o;
    (void)ret_changed;
    return 0;
}
