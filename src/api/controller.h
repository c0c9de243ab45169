/*
 * Controllers: decisions outside of requests.
 *
 * A controller is a thread that is called with what changed among its kinds, and now and then
 * without changes to look at everything (the truth is in the store, a change may be missed). It
 * compares what should be with what is and writes the difference; each step may be repeated.
 */
#ifndef YUNDUO_API_CONTROLLER_H
#define YUNDUO_API_CONTROLLER_H

#include "api/api.h"

struct controller_class {
    const char *name;                       /* "compute.scheduler" */
    const struct kind *const *kinds;        /* that wake it; ends with null */
    usec_t interval;                        /* of the full passes; 0: every 30 s */
    /* n = 0: a full pass. The arena is fresh. A negative return is logged and the work comes again
     * with the next full pass, which is then brought forward. */
    int (*step)(struct api *api, struct arena *a, const struct change *changes, size_t n);
};

struct controller;
int controller_start(struct api *api, const struct controller_class *k, struct controller **ret);
void controller_stop(struct controller *c);
/* Brings a full pass forward. */
void controller_kick(struct controller *c);

#endif
