/* What tests do to simulated guests. Faults come from base/effect.h: each call of the
 * driver passes the effect "hypervisor.<call>" first. */
#ifndef YUNDUO_HOST_HYPERVISOR_SIMULATED_H
#define YUNDUO_HOST_HYPERVISOR_SIMULATED_H

#include "host/hypervisor/hypervisor.h"

/* The guest powers itself off; or crashes. -ENOENT, -EINVAL when it doesn't run. */
int simulated_guest_stops(struct hypervisor *hv, const char *id, bool crash);
/* The guest writes to its console. */
int simulated_guest_prints(struct hypervisor *hv, const char *id, const char *text);
/* How many domains there are, and how often each was started. */
size_t simulated_domains(struct hypervisor *hv);
int64_t simulated_starts(struct hypervisor *hv, const char *id);

#endif
