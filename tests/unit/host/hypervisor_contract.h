/* The contract of hypervisors (host/hypervisor/hypervisor.h) as a test: the simulated driver
 * runs it in the unit tests, libvirt runs it with a real guest in tests/e2e/hypervisor_real. */
#ifndef YUNDUO_TESTS_UNIT_HOST_HYPERVISOR_CONTRACT_H
#define YUNDUO_TESTS_UNIT_HOST_HYPERVISOR_CONTRACT_H

#include "host/hypervisor/hypervisor.h"

struct contract {
    struct hypervisor *hv;
    const struct server_spec *spec;         /* bootable, disks with sources */
    const struct server_disk *extra_disk;   /* to attach and detach; or null */
    const struct server_nic *extra_nic;     /* or null */
    const char *ready;                      /* what the guest writes to its console when it is up */
    usec_t patience;                        /* for the guest to come up; 0: it is up at once */
    /* Events counted by the test's on_event, by kind. */
    _Atomic int events[DOMAIN_EVENT_RESYNC + 1];
};

/* To be given as on_event, with the contract as cookie. */
void contract_event(void *cookie, const char *id, enum domain_event event);
/* Fails by cmocka's assertions. The domain must not exist before and doesn't after. */
void hypervisor_contract(struct contract *c);
/* Waits until the console shows 'text' at least 'times' times; fails when patience is over. */
void contract_wait_console(struct contract *c, const char *text, int times);
void contract_wait_event(struct contract *c, enum domain_event event, int times);
enum domain_state contract_state(struct contract *c);

#endif
