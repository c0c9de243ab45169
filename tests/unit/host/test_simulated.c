/* The simulated hypervisor keeps the contract, fails where it is told, and is only chosen by name. */
#include "host/hypervisor/simulated.h"

#include "base/effect.h"
#include "golden.h"
#include "hypervisor_contract.h"

#include <errno.h>

static struct hypervisor *open_one(struct contract *c)
{
    struct fault f;
    struct hypervisor *hv = NULL;
    struct hypervisor_config config = { .host_name = "sim", .on_event = contract_event, .cookie = c };
    assert_int_equal(HYPERVISOR_SIMULATED.open(&config, &hv, &f), 0);
    return hv;
}

static void contract(void **state _unused_)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct server_spec *s = spec_load("minimal-tcg", a);
    struct server_disk disk = { .id = "vol-x", .kind = DISK_VOLUME, .boot_index = -1, .device = "vda" };
    struct server_nic nic = { .port_id = "p9", .mac = "fa:16:3e:00:00:99", .tap = "yt9" };
    struct contract c = { .spec = s, .extra_disk = &disk, .extra_nic = &nic, .ready = "SIMULATED-READY" };
    c.hv = open_one(&c);
    hypervisor_contract(&c);
    assert_int_equal(simulated_domains(c.hv), 0);
    hypervisor_close(c.hv);
}

static void guest_stops_by_itself(void **state _unused_)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct fault f;
    struct contract c = { .spec = spec_load("minimal-tcg", a) };
    c.hv = open_one(&c);
    assert_int_equal(c.hv->class->define(c.hv, c.spec, &f), 0);
    assert_int_equal(simulated_guest_stops(c.hv, c.spec->id, false), -EINVAL);
    assert_int_equal(c.hv->class->start(c.hv, c.spec->id, &f), 0);
    assert_int_equal(simulated_guest_stops(c.hv, c.spec->id, false), 0);
    assert_int_equal(c.events[DOMAIN_EVENT_STOPPED], 1);
    assert_int_equal(contract_state(&c), DOMAIN_SHUTOFF);
    assert_int_equal(c.hv->class->start(c.hv, c.spec->id, &f), 0);
    assert_int_equal(simulated_guest_stops(c.hv, c.spec->id, true), 0);
    assert_int_equal(contract_state(&c), DOMAIN_CRASHED);
    assert_int_equal(simulated_starts(c.hv, c.spec->id), 2);
    hypervisor_close(c.hv);
}

static void faults(void **state _unused_)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct fault f = { 0 };
    struct contract c = { .spec = spec_load("minimal-tcg", a) };
    c.hv = open_one(&c);
    effect_fail_at(1, -EIO);
    assert_int_equal(c.hv->class->define(c.hv, c.spec, &f), -EIO);
    effect_fail_at(0, 0);
    assert_int_equal(simulated_domains(c.hv), 0);
    /* What a kind can't do is said so. */
    assert_null(c.hv->class->screenshot);
    const char *mime;
    assert_int_equal(HYPERVISOR_CALL(c.hv, screenshot, &f, c.spec->id, -1, &mime), FAULT);
    assert_int_equal(f.status, 501);
    hypervisor_close(c.hv);
}

static void never_by_itself(void **state _unused_)
{
    assert_ptr_equal(hypervisor_class_find(NULL), &HYPERVISOR_LIBVIRT);
    assert_ptr_equal(hypervisor_class_find(""), &HYPERVISOR_LIBVIRT);
    assert_ptr_equal(hypervisor_class_find("simulated"), &HYPERVISOR_SIMULATED);
    assert_null(hypervisor_class_find("sim"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contract),
        cmocka_unit_test(guest_stops_by_itself),
        cmocka_unit_test(faults),
        cmocka_unit_test(never_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
