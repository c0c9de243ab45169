/* See hypervisor_contract.h. */
#include "hypervisor_contract.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

void contract_event(void *cookie, const char *id, enum domain_event event)
{
    struct contract *c = cookie;
    if (!id || (c->spec && str_eq(id, c->spec->id)))
        c->events[event]++;
}

static void nap(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = 100 * 1000 * 1000 }, NULL);
}

static void good(int r, const struct fault *f, const char *what)
{
    if (r)
        fail_msg("%s: %d %s", what, r, r > 0 ? f->message : "");
}
#define GOOD(call) good((call), &f, #call)

void contract_wait_console(struct contract *c, const char *text, int times)
{
    usec_t end = clock_mono() + c->patience;
    for (;;) {
        _cleanup_(arena_freep) struct arena *a = arena_new(0);
        const char *log;
        size_t n;
        assert_int_equal(c->hv->class->console_log(c->hv, c->spec->id, a, 1 << 20, &log, &n), 0);
        int seen = 0;
        for (const char *p = n ? log : ""; (p = strstr(p, text)); p += strlen(text))
            seen++;
        if (seen >= times)
            return;
        if (clock_mono() >= end)
            fail_msg("the console does not show '%s' %d times:\n%s", text, times, log);
        nap();
    }
}

void contract_wait_event(struct contract *c, enum domain_event event, int times)
{
    usec_t end = clock_mono() + c->patience;
    while (c->events[event] < times) {
        if (clock_mono() >= end)
            fail_msg("event %d came %d times instead of %d", event, c->events[event], times);
        nap();
    }
}

enum domain_state contract_state(struct contract *c)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct domain_info info;
    assert_int_equal(c->hv->class->observe(c->hv, c->spec->id, a, &info), 0);
    return info.state;
}

static size_t listed(struct contract *c)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct domain_list l = { 0 };
    size_t n = 0;
    assert_int_equal(c->hv->class->list(c->hv, a, &l), 0);
    for (size_t i = 0; i < l.n; i++)
        if (str_eq(l.v[i].id, c->spec->id)) {
            n++;
            assert_string_equal(l.v[i].fingerprint, hypervisor_fingerprint(c->spec, a));
        }
    return n;
}

static void devices(struct contract *c)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    const struct hypervisor_class *k = c->hv->class;
    const char *id = c->spec->id, *device = NULL, *again = NULL;
    struct domain_info info;
    struct fault f = { 0 };
    if (c->extra_disk) {
        GOOD(k->attach_disk(c->hv, id, c->extra_disk, a, &device, &f));
        assert_non_null(device);
        GOOD(k->attach_disk(c->hv, id, c->extra_disk, a, &again, &f));
        assert_string_equal(device, again);
        assert_int_equal(k->observe(c->hv, id, a, &info), 0);
        assert_int_equal(info.disks.n, c->spec->disks.n + 1);
        bool found = false;
        VEC_FOREACH (d, &info.disks)
            found |= str_eq(d->id, c->extra_disk->id) && str_eq(d->device, device);
        assert_true(found);
        struct disk_qos q = { .total_iops = 1000 };
        GOOD(k->limit_disk(c->hv, id, c->extra_disk->id, &q, &f));
        GOOD(k->detach_disk(c->hv, id, c->extra_disk->id, &f));
        GOOD(k->detach_disk(c->hv, id, c->extra_disk->id, &f));
        assert_int_equal(k->observe(c->hv, id, a, &info), 0);
        assert_int_equal(info.disks.n, c->spec->disks.n);
    }
    if (c->extra_nic) {
        GOOD(k->attach_nic(c->hv, id, c->extra_nic, &f));
        GOOD(k->attach_nic(c->hv, id, c->extra_nic, &f));
        assert_int_equal(k->observe(c->hv, id, a, &info), 0);
        assert_int_equal(info.nics.n, c->spec->nics.n + 1);
        GOOD(k->detach_nic(c->hv, id, c->extra_nic->mac, &f));
        GOOD(k->detach_nic(c->hv, id, c->extra_nic->mac, &f));
        assert_int_equal(k->observe(c->hv, id, a, &info), 0);
        assert_int_equal(info.nics.n, c->spec->nics.n);
    }
}

void hypervisor_contract(struct contract *c)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct hypervisor *hv = c->hv;
    const struct hypervisor_class *k = hv->class;
    const char *id = c->spec->id;
    struct domain_info info;
    struct domain_diagnostics g;
    struct fault f = { 0 };

    /* Nothing there. */
    assert_int_equal(contract_state(c), DOMAIN_ABSENT);
    assert_int_equal(k->stop(hv, id, 0), 0);
    assert_int_equal(k->destroy(hv, id), 0);
    assert_int_equal(k->start(hv, id, &f), -ENOENT);
    assert_int_equal(listed(c), 0);

    GOOD(k->define(hv, c->spec, &f));
    GOOD(k->define(hv, c->spec, &f));
    assert_int_equal(listed(c), 1);
    assert_int_equal(contract_state(c), DOMAIN_SHUTOFF);
    assert_int_equal(k->diagnostics(hv, id, a, &g, &f), FAULT);

    GOOD(k->start(hv, id, &f));
    GOOD(k->start(hv, id, &f));
    assert_int_equal(k->observe(hv, id, a, &info), 0);
    assert_int_equal(info.state, DOMAIN_RUNNING);
    assert_true(info.vnc_port > 0);
    assert_int_equal(info.disks.n, c->spec->disks.n);
    assert_int_equal(info.nics.n, c->spec->nics.n);
    contract_wait_event(c, DOMAIN_EVENT_STARTED, 1);
    contract_wait_console(c, c->ready, 1);

    /* A new definition leaves the running machine alone. */
    GOOD(k->define(hv, c->spec, &f));
    assert_int_equal(contract_state(c), DOMAIN_RUNNING);

    GOOD(k->pause(hv, id, &f));
    GOOD(k->pause(hv, id, &f));
    assert_int_equal(contract_state(c), DOMAIN_PAUSED);
    GOOD(k->resume(hv, id, &f));
    GOOD(k->resume(hv, id, &f));
    assert_int_equal(contract_state(c), DOMAIN_RUNNING);

    devices(c);
    GOOD(k->diagnostics(hv, id, a, &g, &f));
    assert_int_equal(g.cpus.n, c->spec->vcpus);
    assert_int_equal(g.disks.n, c->spec->disks.n);
    assert_int_equal(g.memory_max_kb, c->spec->memory_mb * 1024);

    GOOD(k->suspend(hv, id, &f));
    assert_int_equal(contract_state(c), DOMAIN_SUSPENDED);
    GOOD(k->suspend(hv, id, &f));
    GOOD(k->start(hv, id, &f));
    assert_int_equal(contract_state(c), DOMAIN_RUNNING);

    GOOD(k->reboot(hv, id, &f));
    contract_wait_event(c, DOMAIN_EVENT_REBOOTED, 1);
    contract_wait_console(c, c->ready, 2);

    assert_int_equal(k->stop(hv, id, c->patience), 0);
    assert_int_equal(k->stop(hv, id, 0), 0);
    assert_int_equal(contract_state(c), DOMAIN_SHUTOFF);
    contract_wait_event(c, DOMAIN_EVENT_STOPPED, 1);
    devices(c); /* attach and detach work on a stopped one, too */

    GOOD(k->start(hv, id, &f));
    assert_int_equal(k->destroy(hv, id), 0);
    assert_int_equal(k->destroy(hv, id), 0);
    assert_int_equal(contract_state(c), DOMAIN_ABSENT);
    assert_int_equal(listed(c), 0);
}
