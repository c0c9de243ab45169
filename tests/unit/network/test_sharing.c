/*
 * Who sees what: a tenant never sees another's, by whatever way it asks, until somebody shares it; and
 * what is shared can be seen and used, not changed.
 */
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

static const char *make(struct world *w, const char *who, const char *path, const char *one, const char *body)
{
    char key[64];
    int status = world_call(w, who, "POST", path, "{\"%s\": %s}", one, body);
    if (status != 201)
        fail_msg("%s: %d %s", path, status, world_text());
    (void)snprintf(key, sizeof(key), "%s.id", one);
    return world_keep(w, key);
}

struct thing {
    const char *path, *one, *many, *id, *change;
    bool change_is_admins;
};

/* All that demo has. */
static size_t make_all(struct world *w, struct thing *ret)
{
    char body[300];
    size_t n = 0;
    const char *network = make(w, "demo", "/network/v2.0/networks", "network", "{\"name\": \"x\"}");
    ret[n++] = (struct thing){ "/network/v2.0/networks", "network", "networks", network,
                               "{\"name\": \"y\"}",      false };
    (void)snprintf(body, sizeof(body),
                   "{\"network_id\": \"%s\", \"cidr\": \"10.0.0.0/24\", \"ip_version\": 4}", network);
    const char *subnet = make(w, "demo", "/network/v2.0/subnets", "subnet", body);
    ret[n++] =
        (struct thing){ "/network/v2.0/subnets", "subnet", "subnets", subnet, "{\"name\": \"y\"}", false };
    (void)snprintf(body, sizeof(body), "{\"network_id\": \"%s\"}", network);
    ret[n++] = (struct thing){
        "/network/v2.0/ports", "port", "ports", make(w, "demo", "/network/v2.0/ports", "port", body),
        "{\"name\": \"y\"}",   false
    };
    ret[n++] = (struct thing){ "/network/v2.0/routers",
                               "router",
                               "routers",
                               make(w, "demo", "/network/v2.0/routers", "router", "{}"),
                               "{\"name\": \"y\"}",
                               false };
    ret[n++] = (struct thing){ "/network/v2.0/security-groups",
                               "security_group",
                               "security_groups",
                               make(w, "demo", "/network/v2.0/security-groups", "security_group",
                                    "{\"name\": \"g\"}"),
                               "{\"name\": \"y\"}",
                               false };
    ret[n++] = (struct thing){ "/network/v2.0/subnetpools",
                               "subnetpool",
                               "subnetpools",
                               make(w, "demo", "/network/v2.0/subnetpools", "subnetpool",
                                    "{\"name\": \"p\", \"prefixes\": \"10.0.0.0/8\"}"),
                               "{\"name\": \"y\"}",
                               false };
    ret[n++] = (struct thing){ "/network/v2.0/address-scopes",
                               "address_scope",
                               "address_scopes",
                               make(w, "demo", "/network/v2.0/address-scopes", "address_scope",
                                    "{\"name\": \"s\", \"ip_version\": 4}"),
                               "{\"name\": \"y\"}",
                               false };
    ret[n++] = (struct thing){ "/network/v2.0/address-groups",
                               "address_group",
                               "address_groups",
                               make(w, "demo", "/network/v2.0/address-groups", "address_group",
                                    "{\"name\": \"s\", \"addresses\": [\"10.0.0.1\"]}"),
                               "{\"name\": \"y\"}",
                               false };
    ret[n++] = (struct thing){ "/network/v2.0/qos/policies",
                               "policy",
                               "policies",
                               make(w, "admin", "/network/v2.0/qos/policies", "policy",
                                    "{\"name\": \"q\", \"project_id\": \"project-demo\"}"),
                               "{\"name\": \"y\"}",
                               true };
    return n;
}

static void test_matrix(void **state)
{
    struct world *w = *state;
    struct thing things[16];
    char path[256];
    size_t n = make_all(w, things);
    for (size_t i = 0; i < n; i++) {
        const struct thing *t = &things[i];
        (void)snprintf(path, sizeof(path), "%s?id=%s", t->path, t->id);
        assert_int_equal(world_call(w, "other", "GET", path, NULL), 200);
        if (world_size(t->many) != 0)
            fail_msg("other lists demo's %s", t->one);
        (void)snprintf(path, sizeof(path), "%s?project_id=project-demo", t->path);
        assert_int_equal(world_call(w, "other", "GET", path, NULL), 200);
        if (world_size(t->many) != 0)
            fail_msg("other lists demo's %s by project", t->one);
        (void)snprintf(path, sizeof(path), "%s/%s", t->path, t->id);
        if (world_call(w, "other", "GET", path, NULL) != 404)
            fail_msg("other sees demo's %s", t->one);
        int status = world_call(w, "other", "PUT", path, "{\"%s\": %s}", t->one, t->change);
        if (status != 404 && !(t->change_is_admins && status == 403))
            fail_msg("other changes demo's %s: %d", t->one, status);
        status = world_call(w, "other", "DELETE", path, NULL);
        if (status != 404 && !(t->change_is_admins && status == 403))
            fail_msg("other deletes demo's %s: %d", t->one, status);
        if (world_call(w, "demo", "GET", path, NULL) != 200)
            fail_msg("demo does not see its %s", t->one);
    }
    /* nor can it be used: ports on the network, legs in the subnet, the group of a port */
    assert_int_equal(world_call(w, "other", "POST", "/network/v2.0/ports",
                                "{\"port\": {\"network_id\": \"%s\"}}", things[0].id),
                     404);
    assert_int_equal(world_call(w, "other", "POST", "/network/v2.0/subnets",
                                "{\"subnet\": {\"network_id\": \"%s\", "
                                "\"cidr\": \"10.5.0.0/24\", \"ip_version\": 4}}",
                                things[0].id),
                     404);
    const char *router = make(w, "other", "/network/v2.0/routers", "router", "{}");
    (void)snprintf(path, sizeof(path), "/network/v2.0/routers/%s/add_router_interface", router);
    assert_int_equal(world_call(w, "other", "PUT", path, "{\"subnet_id\": \"%s\"}", things[1].id), 404);
    assert_int_equal(world_call(w, "other", "PUT", path, "{\"port_id\": \"%s\"}", things[2].id), 404);
    (void)snprintf(path, sizeof(path), "/network/v2.0/routers/%s/add_router_interface", things[3].id);
    assert_int_equal(world_call(w, "other", "PUT", path, "{\"subnet_id\": \"%s\"}", things[1].id), 404);
    assert_int_equal(world_call(w, "other", "POST", "/network/v2.0/security-group-rules",
                                "{\"security_group_rule\": "
                                "{\"security_group_id\": \"%s\", \"direction\": \"ingress\"}}",
                                things[4].id),
                     404);
    assert_int_equal(world_call(w, "other", "POST", "/network/v2.0/networks",
                                "{\"network\": {\"tenant_id\": "
                                "\"project-demo\"}}"),
                     403);
    assert_int_equal(
        world_call(w, "other", "POST", "/network/v2.0/networks", "{\"network\": {\"shared\": true}}"), 403);
}

static const char *grant(struct world *w, const char *who, const char *type, const char *id,
                         const char *target)
{
    int status =
        world_call(w, who, "POST", "/network/v2.0/rbac-policies",
                   "{\"rbac_policy\": {\"object_type\": \"%s\", "
                   "\"object_id\": \"%s\", \"action\": \"access_as_shared\", \"target_tenant\": \"%s\"}}",
                   type, id, target);
    if (status != 201)
        fail_msg("rbac: %d %s", status, world_text());
    return world_keep(w, "rbac_policy.id");
}

static void test_rbac(void **state)
{
    struct world *w = *state;
    struct thing things[16];
    static const char *const TYPES[] = {
        "network",       NULL,        NULL, NULL, "security_group", "subnetpool", "address_scope",
        "address_group", "qos_policy"
    };
    char path[256], policy_path[256];
    size_t n = make_all(w, things);
    for (size_t i = 0; i < n; i++) {
        const struct thing *t = &things[i];
        if (!TYPES[i])
            continue;
        const char *policy = grant(w, "demo", TYPES[i], t->id, "project-other");
        (void)snprintf(policy_path, sizeof(policy_path), "/network/v2.0/rbac-policies/%s", policy);
        (void)snprintf(path, sizeof(path), "%s/%s", t->path, t->id);
        if (world_call(w, "other", "GET", path, NULL) != 200)
            fail_msg("other does not see the shared %s: %s", t->one, world_text());
        char shared[64];
        (void)snprintf(shared, sizeof(shared), "%s.shared", t->one);
        assert_int_equal(world_int(shared), 1);
        if (world_call(w, "other", "PUT", path, "{\"%s\": %s}", t->one, t->change) != 403)
            fail_msg("other changes the shared %s", t->one);
        assert_int_equal(world_call(w, "other", "DELETE", path, NULL), 403);
        (void)snprintf(path, sizeof(path), "%s?id=%s", t->path, t->id);
        assert_int_equal(world_call(w, "other", "GET", path, NULL), 200);
        assert_int_equal(world_size(t->many), 1);
        assert_int_equal(world_call(w, "other", "GET", policy_path, NULL), 404);
        assert_int_equal(world_call(w, "demo", "DELETE", policy_path, NULL), 204);
        assert_int_equal(world_call(w, "other", "GET", path, NULL), 200);
        assert_int_equal(world_size(t->many), 0);
    }
    /* a policy can't be taken back while others have ports by it */
    const char *policy = grant(w, "demo", "network", things[0].id, "project-other");
    assert_int_equal(world_call(w, "other", "POST", "/network/v2.0/ports",
                                "{\"port\": {\"network_id\": \"%s\"}}", things[0].id),
                     201);
    (void)snprintf(policy_path, sizeof(policy_path), "/network/v2.0/rbac-policies/%s", policy);
    assert_int_equal(world_call(w, "demo", "DELETE", policy_path, NULL), 409);
    /* all projects: administrators only; the flag says the same */
    assert_int_equal(
        world_call(w, "demo", "POST", "/network/v2.0/rbac-policies",
                   "{\"rbac_policy\": {\"object_type\": "
                   "\"network\", \"object_id\": \"%s\", \"action\": \"access_as_shared\", \"target_tenant\": "
                   "\"*\"}}",
                   things[0].id),
        403);
    (void)grant(w, "admin", "network", things[0].id, "*");
    (void)snprintf(path, sizeof(path), "/network/v2.0/networks/%s", things[0].id);
    assert_int_equal(world_call(w, "admin", "GET", path, NULL), 200);
    assert_int_equal(world_int("network.shared"), 1);
}

static int server_project(struct txn *t, const char *server_id, const char **ret)
{
    (void)t;
    *ret = STREQ(server_id, "demos-server") ? "project-demo" : NULL;
    return 0;
}

/* A port names its device: nobody gets into another's server or router by naming it, and a guest on a network
 * that others share can't pose as one of them. */
static void test_posing(void **state)
{
    struct world *w = *state;
    struct thing things[16];
    char path[256], body[400];
    (void)make_all(w, things);
    const char *mine = make(w, "other", "/network/v2.0/networks", "network", "{\"name\": \"mine\"}");
    (void)snprintf(body, sizeof(body), "{\"network_id\": \"%s\"}", mine);
    const char *port = make(w, "other", "/network/v2.0/ports", "port", body);
    const struct {
        const char *device, *owner;
        int status;
    } DEVICES[] = {
        { things[3].id, "", 409 },
        { "demos-server", "compute:nova", 409 },
        { "demos-server", "", 409 },
        { things[3].id, "network:router_interface", 403 },
        { "x", "network:router_gateway", 403 },
        { "x", "network:floatingip", 403 },
        { "x", "network:dhcp", 403 },
        { "my-own", "compute:nova", 200 },
    };
    network_server_project = server_project;
    for (size_t i = 0; i < ARRAY_SIZE(DEVICES); i++) {
        int status = world_call(w, "other", "POST", "/network/v2.0/ports",
                                "{\"port\": {\"network_id\": \"%s\", "
                                "\"device_id\": \"%s\", \"device_owner\": \"%s\"}}",
                                mine, DEVICES[i].device, DEVICES[i].owner);
        assert_int_equal(status, DEVICES[i].status == 200 ? 201 : DEVICES[i].status);
        (void)snprintf(path, sizeof(path), "/network/v2.0/ports/%s", port);
        status = world_call(w, "other", "PUT", path,
                            "{\"port\": {\"device_id\": \"%s\", \"device_owner\": \"%s\"}}",
                            DEVICES[i].device, DEVICES[i].owner);
        assert_int_equal(status, DEVICES[i].status);
    }
    network_server_project = NULL;

    (void)grant(w, "admin", "network", things[0].id, "*");
    static const struct {
        const char *members;
        int status;
    } WISHES[] = {
        { "\"port_security_enabled\": false", 403 },
        { "\"mac_address\": \"fa:16:3e:00:00:01\"", 403 },
        { "\"allowed_address_pairs\": [{\"ip_address\": \"10.0.0.1\"}]", 403 },
        { "\"fixed_ips\": [{\"ip_address\": \"10.0.0.1\"}]", 403 },
    };
    (void)snprintf(body, sizeof(body), "{\"network_id\": \"%s\"}", things[0].id);
    port = make(w, "other", "/network/v2.0/ports", "port", body);
    (void)snprintf(path, sizeof(path), "/network/v2.0/ports/%s", port);
    for (size_t i = 0; i < ARRAY_SIZE(WISHES); i++) {
        assert_int_equal(world_call(w, "other", "POST", "/network/v2.0/ports",
                                    "{\"port\": {\"network_id\": \"%s\", "
                                    "%s}}",
                                    things[0].id, WISHES[i].members),
                         WISHES[i].status);
        assert_int_equal(world_call(w, "other", "PUT", path, "{\"port\": {%s}}", WISHES[i].members),
                         WISHES[i].status);
        assert_int_equal(world_call(w, "demo", "POST", "/network/v2.0/ports",
                                    "{\"port\": {\"network_id\": \"%s\", "
                                    "\"security_groups\": [], %s}}",
                                    things[0].id, WISHES[i].members),
                         201);
    }
    /* the gateway of a network for all is its owner's to place */
    (void)snprintf(path, sizeof(path), "/network/v2.0/routers/%s/add_router_interface",
                   make(w, "other", "/network/v2.0/routers", "router", "{}"));
    assert_int_equal(world_call(w, "other", "PUT", path, "{\"subnet_id\": \"%s\"}", things[1].id), 400);
}

static void test_tags(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *query;
        int n;
    } CASES[] = {
        { "tags=red", 2 },          { "tags=red,blue", 1 },         { "tags-any=red,blue", 3 },
        { "not-tags=red,blue", 3 }, { "not-tags-any=red,blue", 1 }, { "tags=none", 0 },
    };
    static const char *const TAGS[] = { "[\"red\"]", "[\"red\", \"blue\"]", "[\"blue\"]", "[]" };
    char path[256];
    for (size_t i = 0; i < ARRAY_SIZE(TAGS); i++) {
        const char *id = make(w, "demo", "/network/v2.0/networks", "network", "{}");
        (void)snprintf(path, sizeof(path), "/network/v2.0/networks/%s/tags", id);
        assert_int_equal(world_call(w, "demo", "PUT", path, "{\"tags\": %s}", TAGS[i]), 200);
        assert_int_equal(world_call(w, "other", "PUT", path, "{\"tags\": []}"), 404);
    }
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        (void)snprintf(path, sizeof(path), "/network/v2.0/networks?%s", CASES[i].query);
        assert_int_equal(world_call(w, "demo", "GET", path, NULL), 200);
        if (world_size("networks") != CASES[i].n)
            fail_msg("%s: %d, not %d", CASES[i].query, world_size("networks"), CASES[i].n);
    }
}

static void test_quota(void **state)
{
    struct world *w = *state;
    const char *path = "/network/v2.0/quotas/project-demo";
    assert_int_equal(world_call(w, "demo", "PUT", path, "{\"quota\": {\"network\": 5}}"), 403);
    assert_int_equal(world_call(w, "admin", "PUT", path, "{\"quota\": {\"network\": 1}}"), 200);
    assert_int_equal(world_call(w, "admin", "PUT", path, "{\"quota\": {\"network\": -2}}"), 400);
    assert_int_equal(world_call(w, "admin", "PUT", path, "{\"quota\": {\"nonsense\": 1}}"), 400);
    (void)make(w, "demo", "/network/v2.0/networks", "network", "{}");
    assert_int_equal(world_call(w, "demo", "POST", "/network/v2.0/networks", "{\"network\": {}}"), 409);
    assert_string_equal(world_string("NeutronError.type"), "OverQuota");
    /* a bulk is made whole or not at all */
    assert_int_equal(world_call(w, "admin", "PUT", path, "{\"quota\": {\"network\": 3}}"), 200);
    assert_int_equal(world_call(w, "demo", "POST", "/network/v2.0/networks", "{\"networks\": [{}, {}, {}]}"),
                     409);
    assert_int_equal(world_count(w, &NETWORK_KIND), 1);
    assert_int_equal(world_call(w, "demo", "GET", "/network/v2.0/quotas/project-demo/details", NULL), 200);
    assert_int_equal(world_int("quota.network.used"), 1);
    assert_int_equal(world_call(w, "other", "GET", path, NULL), 403);
    assert_int_equal(world_call(w, "admin", "DELETE", path, NULL), 204);
    assert_int_equal(world_call(w, "demo", "GET", path, NULL), 200);
    assert_int_equal(world_int("quota.network"), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_matrix, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rbac, setup, teardown),
        cmocka_unit_test_setup_teardown(test_posing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tags, setup, teardown),
        cmocka_unit_test_setup_teardown(test_quota, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
