/* The rest of the API: each resource once through its life, and what it must refuse. */
#include "network/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>

static int setup(void **state)
{
    *state = world_new();
    return 0;
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

static char text[8][400];
static int at;
static _printf_(1, 2) const char *say(const char *format, ...)
{
    va_list ap;
    char *out = text[at++ % 8];
    va_start(ap, format);
    (void)vsnprintf(out, sizeof(text[0]), format, ap);
    va_end(ap);
    return out;
}

static const char *make(struct world *w, const char *who, const char *path, const char *one, const char *body)
{
    int status = world_call(w, who, "POST", say("/network/v2.0/%s", path), "{\"%s\": %s}", one, body);
    if (status != 201)
        fail_msg("%s: %d %s", path, status, world_text());
    return world_keep(w, say("%s.id", one));
}

static void expect(struct world *w, const char *who, const char *method, const char *path, const char *body,
                   int status, const char *type)
{
    int got = body ? world_call(w, who, method, say("/network/v2.0/%s", path), "%s", body)
                   : world_call(w, who, method, say("/network/v2.0/%s", path), NULL);
    if (got != status || (type && !STREQ(world_string("NeutronError.type"), type)))
        fail_msg("%s %s: %d %s, not %d", method, path, got, world_text(), status);
}

struct site {
    const char *public, *network, *subnet, *router, *port;
};

static struct site make_site(struct world *w)
{
    struct site s;
    s.public = make(w, "admin", "networks", "network",
                    "{\"name\": \"public\", \"router:external\": true, \"is_default\": true}");
    (void)make(w, "admin", "subnets", "subnet",
               say("{\"network_id\": \"%s\", \"cidr\": \"172.24.4.0/24\", \"ip_version\": 4, "
                   "\"enable_dhcp\": false}",
                   s.public));
    s.network = make(w, "demo", "networks", "network", "{\"name\": \"n\"}");
    s.subnet = make(w, "demo", "subnets", "subnet",
                    say("{\"network_id\": \"%s\", \"cidr\": \"10.0.0.0/24\", \"ip_version\": 4}", s.network));
    s.router = make(w, "demo", "routers", "router", "{\"name\": \"r\"}");
    expect(w, "demo", "PUT", say("routers/%s/add_router_interface", s.router),
           say("{\"subnet_id\": \"%s\"}", s.subnet), 200, NULL);
    s.port =
        make(w, "demo", "ports", "port",
             say("{\"network_id\": \"%s\", \"fixed_ips\": [{\"ip_address\": \"10.0.0.10\"}]}", s.network));
    return s;
}

static void test_gateway(void **state)
{
    struct world *w = *state;
    struct site s = make_site(w);
    const char *path = say("routers/%s", s.router);
    char router[64];
    (void)snprintf(router, sizeof(router), "%s", path);
    expect(w, "demo", "PUT", router,
           say("{\"router\": {\"external_gateway_info\": {\"network_id\": \"%s\"}}}", s.public), 200, NULL);
    assert_int_equal(world_size("router.external_gateway_info.external_fixed_ips"), 1);
    assert_int_equal(world_int("router.external_gateway_info.enable_snat"), 1);
    expect(w, "demo", "PUT", router,
           say("{\"router\": {\"external_gateway_info\": {\"network_id\": \"%s\", \"enable_snat\": "
               "false}}}",
               s.public),
           403, "PolicyNotAuthorized");
    expect(w, "admin", "PUT", router,
           say("{\"router\": {\"external_gateway_info\": {\"network_id\": \"%s\", \"enable_snat\": "
               "false}}}",
               s.public),
           200, NULL);
    expect(w, "demo", "GET", router, NULL, 200, NULL);
    assert_int_equal(world_int("router.external_gateway_info.enable_snat"), 0);
    const char *fip = make(w, "demo", "floatingips", "floatingip",
                           say("{\"floating_network_id\": \"%s\", \"port_id\": \"%s\"}", s.public, s.port));
    expect(w, "demo", "PUT", router, "{\"router\": {\"external_gateway_info\": {}}}", 409,
           "RouterExternalGatewayInUseByFloatingIp");
    expect(w, "admin", "DELETE", say("networks/%s", s.public), NULL, 409, "NetworkInUse");
    expect(w, "demo", "DELETE", say("floatingips/%s", fip), NULL, 204, NULL);
    expect(w, "demo", "PUT", router, "{\"router\": {\"external_gateway_info\": {}}}", 200, NULL);
    expect(w, "demo", "PUT", router,
           "{\"router\": {\"external_gateway_info\": {\"network_id\": "
           "\"11111111-1111-4111-8111-111111111111\"}}}",
           404, "NetworkNotFound");
    /* routes one by one */
    expect(w, "demo", "PUT", say("routers/%s/add_extraroutes", s.router),
           "{\"router\": {\"routes\": [{\"destination\": "
           "\"10.7.0.0/16\", \"nexthop\": \"10.0.0.9\"}]}}",
           200, NULL);
    assert_int_equal(world_size("router.routes"), 1);
    expect(w, "demo", "PUT", say("routers/%s/add_extraroutes", s.router),
           "{\"router\": {\"routes\": [{\"destination\": "
           "\"10.8.0.0/16\", \"nexthop\": \"10.99.0.9\"}]}}",
           400, "InvalidRoutes");
    expect(w, "demo", "PUT", say("routers/%s/remove_router_interface", s.router),
           say("{\"subnet_id\": \"%s\"}", s.subnet), 409, "RouterInterfaceInUseByRoute");
    expect(w, "demo", "PUT", say("routers/%s/remove_extraroutes", s.router),
           "{\"router\": {\"routes\": [{\"destination\": "
           "\"10.7.0.0/16\", \"nexthop\": \"10.0.0.9\"}]}}",
           200, NULL);
    assert_int_equal(world_size("router.routes"), 0);
    /* a floating address that leads nowhere goes with its network */
    (void)make(w, "demo", "floatingips", "floatingip", say("{\"floating_network_id\": \"%s\"}", s.public));
    expect(w, "admin", "DELETE", say("networks/%s", s.public), NULL, 204, NULL);
    assert_int_equal(world_count(w, &FLOATING_IP_KIND), 0);
    assert_int_equal(world_faults(w), 0);
}

static void test_forwarding(void **state)
{
    struct world *w = *state;
    struct site s = make_site(w);
    const char *fip =
        make(w, "demo", "floatingips", "floatingip", say("{\"floating_network_id\": \"%s\"}", s.public));
    char list[128], body[300];
    (void)snprintf(list, sizeof(list), "floatingips/%s/port_forwardings", fip);
    (void)snprintf(
        body, sizeof(body),
        "{\"port_forwarding\": {\"protocol\": \"tcp\", \"external_port\": 2222, \"internal_port\": "
        "22, \"internal_port_id\": \"%s\"}}",
        s.port);
    expect(w, "demo", "POST", list, body, 404, "ExternalGatewayForFloatingIPNotFound");
    expect(w, "demo", "PUT", say("routers/%s", s.router),
           say("{\"router\": {\"external_gateway_info\": {\"network_id\": "
               "\"%s\"}}}",
               s.public),
           200, NULL);
    expect(w, "demo", "POST", list, body, 201, NULL);
    const char *id = world_keep(w, "port_forwarding.id");
    assert_string_equal(world_string("port_forwarding.internal_ip_address"), "10.0.0.10");
    assert_string_equal(world_string("port_forwarding.external_port_range"), "2222");
    expect(w, "demo", "POST", list, body, 400, NULL);
    expect(w, "other", "GET", list, NULL, 404, NULL);
    expect(w, "demo", "GET", list, NULL, 200, NULL);
    assert_int_equal(world_size("port_forwardings"), 1);
    expect(w, "demo", "PUT", say("floatingips/%s", fip),
           say("{\"floatingip\": {\"port_id\": \"%s\"}}", s.port), 409, NULL);
    expect(w, "demo", "PUT", say("%s/%s", list, id), "{\"port_forwarding\": {\"external_port\": 2223}}", 200,
           NULL);
    assert_int_equal(world_int("port_forwarding.external_port"), 2223);
    expect(w, "demo", "DELETE", say("%s/%s", list, id), NULL, 204, NULL);
    expect(w, "demo", "GET", say("floatingips/%s", fip), NULL, 200, NULL);
    assert_string_equal(world_string("floatingip.status"), "DOWN");
}

static void test_qos(void **state)
{
    struct world *w = *state;
    expect(w, "demo", "POST", "qos/policies", "{\"policy\": {\"name\": \"q\"}}", 403, "PolicyNotAuthorized");
    const char *policy = make(w, "admin", "qos/policies", "policy", "{\"name\": \"q\", \"shared\": true}");
    char rules[128];
    (void)snprintf(rules, sizeof(rules), "qos/policies/%s/bandwidth_limit_rules", policy);
    const char *rule = make(w, "admin", rules, "bandwidth_limit_rule", "{\"max_kbps\": 100}");
    expect(w, "admin", "POST", rules, "{\"bandwidth_limit_rule\": {\"max_kbps\": 5}}", 409,
           "QoSRulesConflict");
    expect(w, "admin", "POST", say("qos/policies/%s/dscp_marking_rules", policy),
           "{\"dscp_marking_rule\": {\"dscp_mark\": 3}}", 400, NULL);
    expect(w, "admin", "PUT", say("qos/alias-bandwidth_limit_rules/%s", rule),
           "{\"bandwidth_limit_rule\": {\"max_kbps\": 7}}", 200, NULL);
    expect(w, "demo", "GET", say("qos/policies/%s", policy), NULL, 200, NULL);
    assert_int_equal(world_int("policy.rules.0.max_kbps"), 7);
    const char *network = make(w, "demo", "networks", "network", say("{\"qos_policy_id\": \"%s\"}", policy));
    expect(w, "admin", "DELETE", say("qos/policies/%s", policy), NULL, 409, "QosPolicyInUse");
    expect(w, "demo", "DELETE", say("networks/%s", network), NULL, 204, NULL);
    expect(w, "admin", "DELETE", say("qos/policies/%s", policy), NULL, 204, NULL);
    assert_int_equal(world_count(w, &QOS_BANDWIDTH_KIND), 0);
    assert_int_equal(world_count(w, &RBAC_KIND), 0);
}

static void test_topology(void **state)
{
    struct world *w = *state;
    const char *path = "auto-allocated-topology/project-demo";
    expect(w, "demo", "GET", path, NULL, 409, "AutoAllocationFailure");
    assert_int_equal(world_count(w, &NETWORK_KIND), 0);
    (void)make_site(w);
    (void)make(w, "admin", "subnetpools", "subnetpool",
               "{\"name\": \"p\", \"prefixes\": [\"10.64.0.0/16\"], \"is_default\": true, "
               "\"shared\": true, \"default_prefixlen\": 26}");
    expect(w, "demo", "GET", say("%s?fields=dry-run", path), NULL, 200, NULL);
    assert_string_equal(world_string("auto_allocated_topology.id"), "dry-run=pass");
    expect(w, "demo", "GET", path, NULL, 200, NULL);
    const char *id = world_keep(w, "auto_allocated_topology.id");
    expect(w, "demo", "GET", path, NULL, 200, NULL);
    assert_string_equal(world_string("auto_allocated_topology.id"), id);
    expect(w, "demo", "GET", say("networks/%s", id), NULL, 200, NULL);
    assert_int_equal(world_size("network.subnets"), 1);
    expect(w, "other", "GET", path, NULL, 403, NULL);
    assert_int_equal(world_faults(w), 0);
    expect(w, "demo", "DELETE", path, NULL, 204, NULL);
    expect(w, "demo", "GET", say("networks/%s", id), NULL, 404, NULL);
    expect(w, "demo", "DELETE", path, NULL, 404, NULL);
    assert_int_equal(world_count(w, &ROUTER_KIND), 1);
    assert_int_equal(world_faults(w), 0);
}

static void test_agents(void **state)
{
    struct world *w = *state;
    world_report(w, "h1", "{}");
    expect(w, "demo", "GET", "agents", NULL, 200, NULL);
    assert_int_equal(world_size("agents"), 0);
    expect(w, "admin", "GET", "agents", NULL, 200, NULL);
    assert_int_equal(world_size("agents"), 4);
    const char *id = world_keep(w, "agents.1.id");
    assert_string_equal(world_string("agents.1.agent_type"), "DHCP agent");
    assert_int_equal(strlen(world_string("agents.1.heartbeat_timestamp")), strlen("2026-01-01 10:00:00"));
    expect(w, "admin", "DELETE", say("agents/%s", id), NULL, 409, "AgentInUse");
    expect(w, "admin", "PUT", say("agents/%s", id), "{\"agent\": {\"admin_state_up\": false}}", 200, NULL);
    assert_int_equal(world_int("agent.admin_state_up"), 0);
    expect(w, "admin", "GET", "agents/11111111-1111-4111-8111-111111111111", NULL, 404, "AgentNotFound");
    expect(w, "demo", "GET", "availability_zones", NULL, 200, NULL);
    assert_string_equal(world_string("availability_zones.0.name"), "nova");
}

static void test_counts(void **state)
{
    struct world *w = *state;
    struct site s = make_site(w);
    expect(w, "demo", "GET", "network-ip-availabilities", NULL, 403, NULL);
    expect(w, "admin", "GET", say("network-ip-availabilities/%s", s.network), NULL, 200, NULL);
    assert_int_equal(world_int("network_ip_availability.total_ips"), 253);
    assert_int_equal(world_int("network_ip_availability.used_ips"), 3); /* DHCP, the router, the port */
    const char *label = make(w, "admin", "metering/metering-labels", "metering_label", "{\"name\": \"l\"}");
    (void)make(w, "admin", "metering/metering-label-rules", "metering_label_rule",
               say("{\"metering_label_id\": \"%s\", "
                   "\"remote_ip_prefix\": \"10.0.0.0/24\"}",
                   label));
    expect(w, "admin", "POST", "metering/metering-label-rules",
           say("{\"metering_label_rule\": {\"metering_label_id\": \"%s\", "
               "\"remote_ip_prefix\": \"10.0.0.0/25\"}}",
               label),
           409, "MeteringLabelRuleOverlaps");
    expect(w, "admin", "DELETE", say("metering/metering-labels/%s", label), NULL, 204, NULL);
    assert_int_equal(world_count(w, &METERING_RULE_KIND), 0);
}

/* Neutron's words for what can't be. */
static void test_refusals(void **state)
{
    struct world *w = *state;
    struct site s = make_site(w);
    const struct {
        const char *body;
        int status;
        const char *type;
    } CASES[] = {
        { "\"cidr\": \"10.0.0.128/25\", \"ip_version\": 4", 400, "InvalidInput" },
        { "\"cidr\": \"10.1.0.0/24\", \"ip_version\": 4, \"gateway_ip\": \"10.1.0.5\", \"allocation_pools\": "
          "[{\"start\": "
          "\"10.1.0.2\", \"end\": \"10.1.0.9\"}]",
          409, "GatewayConflictWithAllocationPools" },
        { "\"cidr\": \"10.1.0.0/24\", \"ip_version\": 4, \"allocation_pools\": [{\"start\": \"10.1.0.9\", "
          "\"end\": "
          "\"10.1.0.2\"}]",
          400, "InvalidAllocationPool" },
        { "\"cidr\": \"10.1.0.0/24\", \"ip_version\": 4, \"allocation_pools\": [{\"start\": \"10.2.0.2\", "
          "\"end\": "
          "\"10.2.0.9\"}]",
          400, "OutOfBoundsAllocationPool" },
        { "\"cidr\": \"10.1.0.0/24\", \"ip_version\": 4, \"allocation_pools\": [{\"start\": \"10.1.0.2\", "
          "\"end\": "
          "\"10.1.0.9\"}, {\"start\": \"10.1.0.9\", \"end\": \"10.1.0.12\"}]",
          409, "OverlappingAllocationPools" },
        { "\"cidr\": \"10.1.0.0/24\", \"ip_version\": 6", 400, "InvalidInput" },
        { "\"cidr\": \"10.1.0.0/33\", \"ip_version\": 4", 400, "HTTPBadRequest" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++)
        expect(w, "demo", "POST", "subnets",
               say("{\"subnet\": {\"network_id\": \"%s\", %s}}", s.network, CASES[i].body), CASES[i].status,
               CASES[i].type);
    assert_int_equal(world_count(w, &SUBNET_KIND), 2);
    expect(w, "demo", "DELETE", say("subnets/%s", s.subnet), NULL, 409, "SubnetInUse");
    expect(w, "demo", "DELETE", say("networks/%s", s.network), NULL, 409, "NetworkInUse");
    expect(w, "demo", "DELETE", say("routers/%s", s.router), NULL, 409, "RouterInUse");
    assert_int_equal(world_faults(w), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gateway, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forwarding, setup, teardown),
        cmocka_unit_test_setup_teardown(test_qos, setup, teardown),
        cmocka_unit_test_setup_teardown(test_topology, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
