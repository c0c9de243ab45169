/* What compute asks of the network and volume slices, in its own words. */
#include "compute/internal.h"

#include <errno.h>

int volumes_release(struct txn *t, struct server *s)
{
    (void)t;
    (void)s;
    return 0;
}

int volumes_take(struct call *c, struct server *s)
{
    VEC_FOREACH(b, &s->bdms)
        if (STREQ(b->destination_type, "volume"))
            return call_fault(c, 400, "InvalidVolume", "This cloud has no volume service.");
    return 0;
}

int volumes_disks(struct txn *t, const struct server *s, struct server_spec *spec)
{
    (void)t;
    (void)s;
    (void)spec;
    return 0;
}
