/*
 * What a host is told: a router, a floating address, forwarded ports, limits, groups of all kinds, in a
 * golden file beside this one (YUNDUO_GOLDEN=write makes it anew). And how reports change what clients see.
 */
#include "network/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>

static const char *folder;

static const char *make(struct world *w, const char *who, const char *path, const char *one, const char *body)
{
    char key[64], full[256];
    (void)snprintf(full, sizeof(full), "/network/v2.0/%s", path);
    int status = world_call(w, who, "POST", full, "{\"%s\": %s}", one, body);
    if (status != 201)
        fail_msg("%s: %d %s", path, status, world_text());
    (void)snprintf(key, sizeof(key), "%s.id", one);
    return world_keep(w, key);
}

static void build(struct world *w, char port_path[128])
{
    static struct arena *a;
    a = arena_new(0);
    world_report(w, "h1", "{\"tunnel_address\": \"192.0.2.1\"}");
    world_report(w, "h2", "{\"tunnel_address\": \"192.0.2.2\"}");
    const char *public =
        make(w, "admin", "networks", "network",
             "{\"name\": \"public\", \"router:external\": true, "
             "\"provider:network_type\": \"flat\", \"provider:physical_network\": \"public\"}");
    (void)make(w, "admin", "subnets", "subnet",
               arena_printf(a,
                            "{\"network_id\": \"%s\", \"cidr\": \"172.24.4.0/24\", "
                            "\"ip_version\": 4, \"enable_dhcp\": false}",
                            public));
    const char *policy = make(w, "admin", "qos/policies", "policy", "{\"name\": \"q\", \"shared\": true}");
    (void)make(w, "admin", arena_printf(a, "qos/policies/%s/bandwidth_limit_rules", policy),
               "bandwidth_limit_rule", "{\"max_kbps\": 5000, \"max_burst_kbps\": 400}");
    (void)make(w, "admin", arena_printf(a, "qos/policies/%s/dscp_marking_rules", policy), "dscp_marking_rule",
               "{\"dscp_mark\": 10}");
    const char *network = make(w, "demo", "networks", "network", "{\"name\": \"n\"}");
    const char *subnet =
        make(w, "demo", "subnets", "subnet",
             arena_printf(
                 a,
                 "{\"network_id\": \"%s\", \"cidr\": "
                 "\"10.0.0.0/24\", \"ip_version\": 4, \"dns_nameservers\": [\"9.9.9.9\"], \"host_routes\": "
                 "[{\"destination\": \"10.7.0.0/16\", \"nexthop\": \"10.0.0.9\"}]}",
                 network));
    const char *addresses = make(w, "demo", "address-groups", "address_group",
                                 "{\"name\": \"a\", \"addresses\": "
                                 "[\"192.168.1.0/24\", \"2001:db8::/32\"]}");
    const char *group = make(w, "demo", "security-groups", "security_group", "{\"name\": \"g\"}");
    (void)make(w, "demo", "security-group-rules", "security_group_rule",
               arena_printf(a,
                            "{\"security_group_id\": \"%s\", "
                            "\"direction\": \"ingress\", \"protocol\": \"tcp\", \"port_range_min\": 22, "
                            "\"port_range_max\": 23, "
                            "\"remote_address_group_id\": \"%s\"}",
                            group, addresses));
    (void)make(w, "demo", "security-group-rules", "security_group_rule",
               arena_printf(a,
                            "{\"security_group_id\": \"%s\", "
                            "\"direction\": \"ingress\", \"ethertype\": \"IPv6\", \"protocol\": \"icmp\", "
                            "\"remote_group_id\": \"%s\"}",
                            group, group));
    const char *here = make(w, "admin", "ports", "port",
                            arena_printf(a,
                                         "{\"network_id\": \"%s\", \"project_id\": "
                                         "\"project-demo\", \"binding:host_id\": \"h1\", \"device_owner\": "
                                         "\"compute:nova\", \"device_id\": "
                                         "\"s1\", \"security_groups\": [\"%s\"], \"qos_policy_id\": \"%s\", "
                                         "\"fixed_ips\": [{\"ip_address\": "
                                         "\"10.0.0.10\"}]}",
                                         network, group, policy));
    (void)make(w, "admin", "ports", "port",
               arena_printf(a,
                            "{\"network_id\": \"%s\", \"project_id\": \"project-demo\", "
                            "\"binding:host_id\": \"h2\", \"device_owner\": \"compute:nova\", \"device_id\": "
                            "\"s2\", \"security_groups\": "
                            "[\"%s\"], \"fixed_ips\": [{\"ip_address\": \"10.0.0.11\"}], "
                            "\"allowed_address_pairs\": [{\"ip_address\": "
                            "\"10.0.0.99\"}]}",
                            network, group));
    const char *router = make(w, "demo", "routers", "router",
                              arena_printf(a,
                                           "{\"name\": \"r\", \"external_gateway_info\": "
                                           "{\"network_id\": \"%s\"}}",
                                           public));
    assert_int_equal(world_call(w, "demo", "PUT",
                                arena_printf(a, "/network/v2.0/routers/%s/add_router_interface", router),
                                "{\"subnet_id\": \"%s\"}", subnet),
                     200);
    (void)make(w, "demo", "floatingips", "floatingip",
               arena_printf(a,
                            "{\"floating_network_id\": \"%s\", \"port_id\": \"%s\", "
                            "\"qos_policy_id\": \"%s\"}",
                            public, here, policy));
    const char *forward = make(w, "demo", "floatingips", "floatingip",
                               arena_printf(a, "{\"floating_network_id\": \"%s\"}", public));
    (void)make(w, "demo", arena_printf(a, "floatingips/%s/port_forwardings", forward), "port_forwarding",
               arena_printf(
                   a,
                   "{\"protocol\": \"tcp\", \"external_port_range\": \"8000:8009\", \"internal_port_range\": "
                   "\"80:89\", \"internal_port_id\": \"%s\"}",
                   here));
    /* router and DHCP on the first host, whatever was chosen */
    assert_int_equal(world_call(w, "admin", "GET", "/network/v2.0/agents?agent_type=L3+agent&host=h1", NULL),
                     200);
    const char *l3 = world_keep(w, "agents.0.id");
    assert_int_equal(world_call(w, "admin", "POST", arena_printf(a, "/network/v2.0/agents/%s/l3-routers", l3),
                                "{\"router_id\": \"%s\"}", router),
                     201);
    assert_int_equal(
        world_call(w, "admin", "GET", "/network/v2.0/agents?agent_type=DHCP+agent&host=h1", NULL), 200);
    const char *dhcp = world_keep(w, "agents.0.id");
    int status =
        world_call(w, "admin", "POST", arena_printf(a, "/network/v2.0/agents/%s/dhcp-networks", dhcp),
                   "{\"network_id\": \"%s\"}", network);
    assert_true(status == 201 || status == 409);
    (void)snprintf(port_path, 128, "/network/v2.0/ports/%s", here);
    arena_free(a);
}

static void compare(const char *name, json_t *tree)
{
    char path[512];
    _cleanup_(freep) char *text = json_dumps(tree, JSON_INDENT(1) | JSON_SORT_KEYS);
    (void)snprintf(path, sizeof(path), "%s/%s.golden", folder, name);
    if (getenv("YUNDUO_GOLDEN")) {
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        (void)fprintf(out, "%s\n", text);
        (void)fclose(out);
    }
    json_t *golden = json_load_file(path, 0, NULL);
    if (!golden || !json_equal(golden, tree))
        fail_msg("%s differs; now it is\n%s", path, text);
    json_decref(golden);
}

static void test_golden(void **state)
{
    (void)state;
    char port[128];
    struct world *w = world_new();
    build(w, port);
    json_t *here = world_section(w, "h1"), *there = world_section(w, "h2"), *nowhere = world_section(w, "h3");
    compare("section_h1", here);
    compare("section_h2", there);
    assert_int_equal(json_array_size(json_object_get(nowhere, "networks")), 0);
    assert_int_equal(json_array_size(json_object_get(nowhere, "ports")), 0);
    json_decref(here);
    json_decref(there);
    json_decref(nowhere);
    world_free(w);
}

static void test_reports(void **state)
{
    (void)state;
    char path[128], text[300];
    struct world *w = world_new();
    build(w, path);
    assert_int_equal(world_call(w, "demo", "GET", path, NULL), 200);
    assert_string_equal(world_string("port.status"), "DOWN");
    const char *id = world_keep(w, "port.id");
    (void)snprintf(text, sizeof(text), "{\"ports\": [{\"id\": \"%s\", \"wired\": true}]}", id);
    world_report(w, "h2", text); /* not its port */
    assert_int_equal(world_call(w, "demo", "GET", path, NULL), 200);
    assert_string_equal(world_string("port.status"), "DOWN");
    world_report(w, "h1", text);
    assert_int_equal(world_call(w, "demo", "GET", path, NULL), 200);
    assert_string_equal(world_string("port.status"), "ACTIVE");
    world_report(w, "h1",
                 "{\"ports\": [{\"id\": null}, {\"id\": \"nonsense\", \"wired\": true}], \"networks\": [{}], "
                 "\"routers\": [{\"up\": true}]}");
    world_free(w);
}

int main(int argc, char **argv)
{
    folder = argc > 1 ? argv[1] : ".";
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_golden), cmocka_unit_test(test_reports) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
