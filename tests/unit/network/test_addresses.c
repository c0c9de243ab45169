/*
 * Addresses: no two ports ever have the same one, whoever asks at the same time; a full pool says so and
 * leaves nothing; what fails half way leaves nothing either.
 */
#include "network/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <pthread.h>
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

static const char *make_network(struct world *w, const char *who, const char *cidr)
{
    assert_int_equal(world_call(w, who, "POST", "/network/v2.0/networks", "{\"network\": {\"name\": \"n\"}}"),
                     201);
    const char *id = world_keep(w, "network.id");
    int version = strchr(cidr, ':') ? 6 : 4;
    int status = world_call(w, who, "POST", "/network/v2.0/subnets",
                            "{\"subnet\": {\"network_id\": \"%s\", \"cidr\": \"%s\","
                            "\"ip_version\": %d, \"enable_dhcp\": false}}",
                            id, cidr, version);
    if (status != 201)
        fail_msg("%d %s", status, world_text());
    return id;
}

static int make_port(struct world *w, const char *who, const char *network)
{
    return world_call(w, who, "POST", "/network/v2.0/ports", "{\"port\": {\"network_id\": \"%s\"}}", network);
}

static void test_exhausted(void **state)
{
    struct world *w = *state;
    const char *network = make_network(w, "demo", "10.1.0.0/29"); /* six, one is the gateway's */
    for (int i = 0; i < 5; i++)
        assert_int_equal(make_port(w, "demo", network), 201);
    assert_int_equal(make_port(w, "demo", network), 409);
    assert_string_equal(world_string("NeutronError.type"), "IpAddressGenerationFailure");
    assert_int_equal(world_count(w, &PORT_KIND), 5);
    assert_int_equal(world_faults(w), 0);
}

/* What is let go can be had again. */
static void test_reuse(void **state)
{
    struct world *w = *state;
    char path[128];
    const char *network = make_network(w, "demo", "10.1.0.0/30");
    assert_int_equal(make_port(w, "demo", network), 201);
    (void)snprintf(path, sizeof(path), "/network/v2.0/ports/%s", world_string("port.id"));
    const char *ip = world_keep(w, "port.fixed_ips.0.ip_address");
    assert_int_equal(make_port(w, "demo", network), 409);
    assert_int_equal(world_call(w, "demo", "DELETE", path, NULL), 204);
    assert_int_equal(make_port(w, "demo", network), 201);
    assert_string_equal(world_string("port.fixed_ips.0.ip_address"), ip);
}

#define THREADS 4
#define EACH 60

struct job {
    struct world *w;
    const char *network;
    int made, refused, other;
};

static void *take_ports(void *arg)
{
    struct job *j = arg;
    for (int i = 0; i < EACH; i++) {
        int status = make_port(j->w, "demo", j->network);
        j->made += status == 201;
        j->refused += status == 409;
        j->other += status != 201 && status != 409;
    }
    world_forget();
    return NULL;
}

/* More callers than addresses: each address is given once, all are given. */
static void test_concurrent(void **state)
{
    struct world *w = *state;
    struct job jobs[THREADS];
    pthread_t threads[THREADS];
    int made = 0, other = 0;
    const char *network = make_network(w, "demo", "10.2.0.0/25"); /* 125 free */
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){ .w = w, .network = network };
        assert_int_equal(pthread_create(&threads[i], NULL, take_ports, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        made += jobs[i].made;
        other += jobs[i].other;
    }
    assert_int_equal(other, 0);
    assert_int_equal(made, 125);
    assert_int_equal(world_count(w, &PORT_KIND), 125);
    assert_int_equal(world_faults(w), 0);
}

/* Everything that can fail fails once: the caller hears of it, and nothing is half there. */
static void scenario(struct world *w)
{
    char path[160];
    if (world_call(w, "demo", "POST", "/network/v2.0/networks", "{\"network\": {\"name\": \"x\"}}") != 201)
        return;
    const char *network = world_keep(w, "network.id");
    if (world_call(w, "demo", "POST", "/network/v2.0/subnets",
                   "{\"subnet\": {\"network_id\": \"%s\", \"cidr\": "
                   "\"10.9.0.0/24\", \"ip_version\": 4}}",
                   network) != 201)
        return;
    const char *subnet = world_keep(w, "subnet.id");
    if (make_port(w, "demo", network) != 201 ||
        world_call(w, "demo", "POST", "/network/v2.0/routers", "{\"router\": {\"name\": \"r\"}}") != 201)
        return;
    (void)snprintf(path, sizeof(path), "/network/v2.0/routers/%s/add_router_interface",
                   world_string("router.id"));
    if (world_call(w, "demo", "PUT", path, "{\"subnet_id\": \"%s\"}", subnet) != 200)
        return;
    (void)snprintf(path, sizeof(path), "/network/v2.0/networks/%s", network);
    (void)world_call(w, "demo", "DELETE", path, NULL);
}

static void test_every_effect_fails(void **state)
{
    (void)state;
    int n = 1;
    for (bool fired = true; fired; n++) {
        struct world *w = world_new();
        effect_fail_at(n, -5);
        scenario(w);
        fired = effect_fired();
        effect_fail_at(0, 0);
        if (world_faults(w) != 0)
            fail_msg("after effect %d failed something is half there", n);
        world_free(w);
        assert_true(n < 500);
    }
    assert_true(n > 3);
}

static void test_wished(void **state)
{
    struct world *w = *state;
    const char *network = make_network(w, "demo", "10.3.0.0/24");
    static const struct {
        const char *ip;
        int status;
        const char *type;
    } CASES[] = {
        { "10.3.0.77", 201, "" },
        { "10.3.0.77", 409, "IpAddressAlreadyAllocated" },
        { "10.3.0.0", 400, "InvalidIpForSubnet" },
        { "10.3.0.255", 400, "InvalidIpForSubnet" },
        { "10.4.0.7", 400, "InvalidIpForNetwork" },
        { "10.3.0.300", 400, "HTTPBadRequest" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        int status = world_call(w, "demo", "POST", "/network/v2.0/ports",
                                "{\"port\": {\"network_id\": \"%s\", \"fixed_ips\": "
                                "[{\"ip_address\": \"%s\"}]}}",
                                network, CASES[i].ip);
        if (status != CASES[i].status || !STREQ(world_string("NeutronError.type"), CASES[i].type))
            fail_msg("%s: %d %s", CASES[i].ip, status, world_text());
    }
}

static void test_slaac(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_call(w, "demo", "POST", "/network/v2.0/networks", "{\"network\": {}}"), 201);
    const char *network = world_keep(w, "network.id");
    assert_int_equal(world_call(w, "demo", "POST", "/network/v2.0/subnets",
                                "{\"subnet\": {\"network_id\": \"%s\", \"cidr\": "
                                "\"fd00:1::/64\", \"ip_version\": 6, \"ipv6_ra_mode\": \"slaac\", "
                                "\"ipv6_address_mode\": \"slaac\"}}",
                                network),
                     201);
    assert_int_equal(world_call(w, "demo", "POST", "/network/v2.0/ports",
                                "{\"port\": {\"network_id\": \"%s\", "
                                "\"mac_address\": \"fa:16:3e:00:00:01\"}}",
                                network),
                     201);
    assert_string_equal(world_string("port.fixed_ips.0.ip_address"), "fd00:1::f816:3eff:fe00:1");
}

/* Subnets cut from a pool never overlap, and the pool is used to its end. */
static void test_pool(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_call(w, "demo", "POST", "/network/v2.0/subnetpools",
                                "{\"subnetpool\": {\"name\": \"p\", \"prefixes\":"
                                "[\"10.8.0.0/22\"], \"min_prefixlen\": 20, \"default_prefixlen\": 24}}"),
                     201);
    const char *pool = world_keep(w, "subnetpool.id");
    struct cidr seen[4];
    for (int i = 0; i < 5; i++) {
        assert_int_equal(world_call(w, "demo", "POST", "/network/v2.0/networks", "{\"network\": {}}"), 201);
        const char *network = world_keep(w, "network.id");
        int status = world_call(w, "demo", "POST", "/network/v2.0/subnets",
                                "{\"subnet\": {\"network_id\": \"%s\", "
                                "\"ip_version\": 4, \"subnetpool_id\": \"%s\"}}",
                                network, pool);
        if (i == 4) {
            assert_int_equal(status, 503);
            break;
        }
        if (status != 201)
            fail_msg("%d %s", status, world_text());
        assert_true(cidr_parse(world_string("subnet.cidr"), true, &seen[i]));
        for (int j = 0; j < i; j++)
            assert_false(cidr_overlap(seen[i], seen[j]));
    }
    char path[128];
    (void)snprintf(path, sizeof(path), "/network/v2.0/subnetpools/%s", pool);
    assert_int_equal(world_call(w, "demo", "DELETE", path, NULL), 409);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exhausted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reuse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_concurrent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wished, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slaac, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pool, setup, teardown),
        cmocka_unit_test(test_every_effect_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
