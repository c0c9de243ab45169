/*
 * The kernel's connection table: walking it, and ending flows.
 *
 * Through ctnetlink directly: an entry is deleted by giving back its own original tuple,
 * zone and id as they were listed, so nothing has to be understood that isn't judged.
 */
#ifndef YUNDUO_HOST_NET_CONNTRACK_H
#define YUNDUO_HOST_NET_CONNTRACK_H

#include "host/net/rules.h"

/* Deletes the entries of this thread's namespace for which 'keep' says false. Returns how
 * many, or negative. */
int conntrack_prune(bool (*keep)(void *arg, const struct flow *f), void *arg);

#endif
