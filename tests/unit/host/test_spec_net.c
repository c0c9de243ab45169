/* The network messages survive the way from the control process to the host, and names of
 * devices are short, stable and apart. */
#include "host/net/net_driver.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void round_trip(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct net_spec spec = { 0 };
    struct network_spec *n = vec_add(a, &spec.networks);
    *n = (struct network_spec){ .id = "n1", .type = "vxlan", .segmentation_id = 7, .mtu = 1450 };
    struct subnet_spec *s = vec_add(a, &n->subnets);
    *s = (struct subnet_spec){ .id = "s1", .ip_version = 4, .cidr = "10.0.0.0/24", .enable_dhcp = true };
    strv_add(a, &s->dns_nameservers, "8.8.8.8");
    struct security_group_spec *g = vec_add(a, &spec.security_groups);
    g->id = "g1";
    struct security_rule_spec *rule = vec_add(a, &g->rules);
    *rule = (struct security_rule_spec){ .id = "r1",
                                         .direction = "ingress",
                                         .ethertype = "IPv4",
                                         .protocol = INT_NULL,
                                         .port_range_min = 0,
                                         .port_range_max = INT_NULL };
    struct router_spec *r = vec_add(a, &spec.routers);
    r->id = "r";
    r->gateway = ARENA_NEW(a, struct router_gateway_spec);
    r->gateway->port_id = "p";
    r->gateway->enable_snat = true;

    _cleanup_(buf_done) struct buf text = BUF_MAX(1 << 20);
    struct json_out out = JSON_OUT(&text);
    const struct encode_options opt = { .stored = true };
    schema_encode(&NET_SPEC_SCHEMA, &spec, &opt, &out);
    char error[200];
    _cleanup_(json_decrefp) json_t *tree = json_parse(buf_text(&text), text.len, error, sizeof(error));
    assert_non_null(tree);
    struct net_spec back = { 0 };
    struct decode_error problem;
    assert_int_equal(schema_decode(&NET_SPEC_SCHEMA, tree, DECODE_STORED, 0, a, &back, NULL, &problem), 0);
    assert_true(schema_equal(&NET_SPEC_SCHEMA, &spec, &back));
    assert_true(back.security_groups.v[0].rules.v[0].protocol == INT_NULL);
    assert_int_equal(back.security_groups.v[0].rules.v[0].port_range_min, 0);
    assert_true(back.routers.v[0].gateway->enable_snat);
}

static void names(void **state)
{
    (void)state;
    char name[NET_NAME_SIZE], other[NET_NAME_SIZE];
    assert_string_equal(net_tap_name("AB7c0a9e-1f0b-4b7e-9c55-0a1b2c3d4e5f", name), "ytab7c0a9e1f0b");
    assert_string_equal(net_bridge_name("ab7c0a9e-1f0b-4b7e-9c55-0a1b2c3d4e5f", name), "yb-ab7c0a9e1f0");
    assert_int_equal(strlen(net_tap_name("x", name)), 14);
    assert_string_not_equal(net_tap_name("x", name), net_tap_name("y", other));
    struct port_spec p = { .id = "x", .device = "veth7" };
    assert_string_equal(port_device(&p, name), "veth7");
}

static void simulated_converges(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    _cleanup_(net_driver_closep) struct net_driver *d = NULL;
    assert_int_equal(net_driver_class_find("simulated")->open(&(struct net_config){ 0 }, &d), 0);
    struct net_spec spec = { 0 };
    *vec_add(a, &spec.networks) = (struct network_spec){ .id = "n" };
    *vec_add(a, &spec.ports) = (struct port_spec){ .id = "p", .network_id = "n" };
    *vec_add(a, &spec.ports) = (struct port_spec){ .id = "q", .network_id = "elsewhere" };
    struct net_observed seen;
    net_simulated_fail_pass(d, 1, -EIO);
    assert_int_equal(net_converge(d, &spec, a, &seen), -EIO);
    assert_int_equal(net_converge(d, &spec, a, &seen), 0);
    assert_true(seen.ports.v[0].wired);
    assert_false(seen.ports.v[1].wired);
    assert_non_null(seen.ports.v[1].reason);
    assert_int_not_equal(seen.changes, 0);
    assert_int_equal(net_converge(d, &spec, a, &seen), 0);
    assert_int_equal(seen.changes, 0);
    net_simulated_fail(d, "p", "The tap burned.");
    assert_int_equal(net_converge(d, &spec, a, &seen), 0);
    assert_false(seen.ports.v[0].wired);
    assert_string_equal(seen.ports.v[0].reason, "The tap burned.");
    net_simulated_fail(d, "p", NULL);
    assert_int_equal(net_converge(d, &spec, a, &seen), 0);
    assert_true(seen.ports.v[0].wired);
    assert_int_equal(net_simulated_ports(d), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(names),
        cmocka_unit_test(simulated_converges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
