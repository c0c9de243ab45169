/* The life of servers from request to nothing left, with every effect failing once. */
#include "compute/world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define SERVERS "/compute/v2.1/servers"

static int url(struct world *w, const char *who, int minor, const char *method, const char *id, const char *rest,
               const char *body)
{
    char path[300];
    (void)snprintf(path, sizeof(path), SERVERS "/%s%s", id, rest);
    return world_call(w, who, minor, method, path, body);
}

static struct world *cloud(void)
{
    struct world *w = world_new();
    world_host(w, "h1", 4, 4096, 100);
    world_host(w, "h2", 4, 4096, 100);
    world_flavors(w);
    return w;
}

static void born_and_gone(void **state)
{
    (void)state;
    _cleanup_(world_freep) struct world *w = cloud();
    const char *id = world_boot(w, "one");
    assert_string_equal(world_status(w, id), "BUILD");
    world_settle(w);
    assert_string_equal(world_status(w, id), "ACTIVE");
    assert_int_equal(world_int(w, "server.OS-EXT-STS:power_state"), 1);
    assert_non_null(world_string(w, "server.OS-EXT-SRV-ATTR:host"));
    assert_string_equal(world_string(w, "server.addresses.private.0.addr"), "10.0.0.2");
    assert_int_equal(world_domains(w, "h1") + world_domains(w, "h2"), 1);
    assert_int_equal(url(w, "demo", 1, "GET", id, "", NULL), 200);
    assert_null(world_get(w, "server.OS-EXT-SRV-ATTR:host"));
    assert_int_equal(url(w, "other", 1, "GET", id, "", NULL), 404);
    assert_int_equal(url(w, "other", 1, "DELETE", id, "", NULL), 404);
    assert_int_equal(url(w, "demo", 1, "DELETE", id, "", NULL), 204);
    assert_int_equal(url(w, "demo", 1, "DELETE", id, "", NULL), 204);
    world_settle(w);
    assert_int_equal(url(w, "demo", 1, "GET", id, "", NULL), 404);
    assert_string_equal(world_string(w, "itemNotFound.message") + 0, world_string(w, "itemNotFound.message"));
    assert_int_equal(world_int(w, "itemNotFound.code"), 404);
    assert_int_equal(world_domains(w, "h1") + world_domains(w, "h2"), 0);
    assert_int_equal(world_count(w, &TEST_PORT_KIND), 0);
    assert_int_equal(world_orphans(w), 0);
    assert_int_equal(world_call(w, "admin", 1, "GET", SERVERS "?deleted=true&all_tenants=1", NULL), 200);
    assert_string_equal(world_string(w, "servers.0.id"), id);
}

static void deleted_before_a_host(void **state)
{
    (void)state;
    _cleanup_(world_freep) struct world *w = cloud();
    const char *id = world_boot(w, "one");
    assert_int_equal(url(w, "demo", 1, "DELETE", id, "", NULL), 204);
    assert_int_equal(url(w, "demo", 1, "GET", id, "", NULL), 404);
    world_settle(w);
    assert_int_equal(world_orphans(w), 0);
}

static void deleted_while_the_host_is_down(void **state)
{
    (void)state;
    _cleanup_(world_freep) struct world *w = cloud();
    const char *id = world_boot(w, "one");
    world_settle(w);
    assert_string_equal(world_status(w, id), "ACTIVE");
    const char *host = world_domains(w, "h1") ? "h1" : "h2";
    world_host_silent(w, host, true);
    world_advance(w, MINUTES(3));
    assert_int_equal(url(w, "demo", 1, "DELETE", id, "", NULL), 204);
    assert_int_equal(url(w, "demo", 1, "GET", id, "", NULL), 404);
    assert_int_equal(world_domains(w, host), 1);
    world_host_silent(w, host, false);
    world_settle(w);
    assert_int_equal(world_domains(w, host), 0);
    assert_int_equal(world_orphans(w), 0);
    assert_int_equal(world_count(w, &LEG_KIND), 0);
}

static void another_host_is_tried(void **state)
{
    (void)state;
    _cleanup_(world_freep) struct world *w = cloud();
    world_host_breaks(w, "h1", 100, true);
    for (int i = 0; i < 3; i++) {
        const char *id = world_boot(w, "x");
        world_settle(w);
        assert_string_equal(world_status(w, id), "ACTIVE");
        assert_string_equal(world_string(w, "server.OS-EXT-SRV-ATTR:host"), "h2");
    }
    world_host_breaks(w, "h2", 100, true);
    const char *id = world_boot(w, "y");
    world_settle(w);
    assert_string_equal(world_status(w, id), "ERROR");
    assert_non_null(strstr(world_string(w, "server.fault.details"), "RetryFilter refused 2"));
    assert_int_equal(url(w, "demo", 1, "DELETE", id, "", NULL), 204);
    world_settle(w);
    assert_int_equal(world_count(w, &LEG_KIND), 0);
    assert_int_equal(world_orphans(w), 0);
}

static void no_host_fits(void **state)
{
    (void)state;
    _cleanup_(world_freep) struct world *w = world_new();
    world_host(w, "h1", 1, 600, 100);
    world_flavors(w);
    const char *first = world_boot(w, "one");
    world_settle(w);
    assert_string_equal(world_status(w, first), "ACTIVE");
    const char *second = world_boot(w, "two");
    world_settle(w);
    assert_string_equal(world_status(w, second), "ERROR");
    assert_non_null(strstr(world_string(w, "server.fault.details"), "RamFilter refused 1"));
    assert_int_equal(url(w, "demo", 1, "GET", second, "", NULL), 200);
    assert_null(world_get(w, "server.fault.details"));
    assert_non_null(strstr(world_string(w, "server.fault.message"), "No valid host"));
}

static void hosts_fill_up_exactly(void **state)
{
    (void)state;
    _cleanup_(world_freep) struct world *w = cloud();
    assert_int_equal(world_call(w, "demo", 1, "POST", SERVERS, "{\"server\": {\"name\": \"m\", \"imageRef\": \""
                                WORLD_IMAGE "\", \"flavorRef\": \"1\", \"max_count\": 8, \"min_count\": 8, "
                                "\"return_reservation_id\": true}}"), 202);
    assert_non_null(world_string(w, "reservation_id"));
    world_settle(w);
    assert_int_equal(world_domains(w, "h1"), 4);
    assert_int_equal(world_domains(w, "h2"), 4);
    assert_int_equal(world_call(w, "demo", 1, "GET", SERVERS "/detail?status=active", NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "servers")), 8);
    assert_int_equal(world_call(w, "demo", 1, "POST", SERVERS, "{\"server\": {\"name\": \"m\", \"imageRef\": \""
                                WORLD_IMAGE "\", \"flavorRef\": \"1\", \"min_count\": 3}}"), 403);
    assert_non_null(strstr(world_string(w, "forbidden.message"), "Quota exceeded for instances"));
    assert_int_equal(world_count(w, &SERVER_KIND), 8);
}

static void bad_requests_leave_nothing(void **state)
{
    (void)state;
    _cleanup_(world_freep) struct world *w = cloud();
    static const struct { const char *body, *says; } BAD[] = {
        { "{\"server\": {\"name\": \"x\", \"flavorRef\": \"1\"}}", "imageRef" },
        { "{\"server\": {\"name\": \"x\", \"imageRef\": \"" WORLD_IMAGE "\", \"flavorRef\": \"9\"}}", "Flavor 9" },
        { "{\"server\": {\"name\": \"x\", \"imageRef\": \"5\", \"flavorRef\": \"1\"}}", "imageRef" },
        { "{\"server\": {\"name\": \"x\", \"imageRef\": \"" WORLD_NETWORK "\", \"flavorRef\": \"1\"}}", "image" },
        { "{\"server\": {\"name\": \"\", \"imageRef\": \"" WORLD_IMAGE "\", \"flavorRef\": \"1\"}}", "name" },
        { "{\"server\": {\"name\": \"x\", \"imageRef\": \"" WORLD_IMAGE "\", \"flavorRef\": \"1\", \"nome\": 1}}", "nome" },
        { "{\"server\": {\"name\": \"x\", \"imageRef\": \"" WORLD_IMAGE "\", \"flavorRef\": \"1\", "
          "\"networks\": [{\"uuid\": \"" WORLD_IMAGE "\"}]}}", "Network" },
        { "{\"server\": {\"name\": \"x\", \"imageRef\": \"" WORLD_IMAGE "\", \"flavorRef\": \"1\", "
          "\"security_groups\": [{\"name\": \"nope\"}]}}", "nope" },
        { "{\"server\": {\"name\": \"x\", \"imageRef\": \"" WORLD_IMAGE "\", \"flavorRef\": \"1\", "
          "\"key_name\": \"nope\"}}", "key_name" },
        { "{\"server\": {\"name\": \"x\", \"imageRef\": \"" WORLD_IMAGE "\", \"flavorRef\": \"1\", "
          "\"user_data\": \"!\"}}", "user_data" },
        { "{\"server\": {\"name\": \"x\", \"imageRef\": \"" WORLD_IMAGE "\", \"flavorRef\": \"1\", "
          "\"min_count\": 3, \"max_count\": 2}}", "min_count" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++) {
        assert_int_equal(world_call(w, "demo", 1, "POST", SERVERS, BAD[i].body), 400);
        if (!strstr(world_text(w), BAD[i].says))
            fail_msg("%s: %s", BAD[i].says, world_text(w));
    }
    assert_int_equal(world_count(w, &SERVER_KIND), 0);
    assert_int_equal(world_count(w, &TEST_PORT_KIND), 0);
    assert_int_equal(world_count(w, &ACTION_KIND), 0);
}

static void lists(void **state)
{
    (void)state;
    _cleanup_(world_freep) struct world *w = cloud();
    for (int i = 0; i < 3; i++) {
        world_boot(w, i == 1 ? "web" : "db");
        world_advance(w, SECONDS(1));
    }
    world_settle(w);
    assert_int_equal(world_call(w, "demo", 1, "GET", SERVERS "?limit=2", NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "servers")), 2);
    assert_string_equal(world_string(w, "servers.1.name"), "web");
    const char *next = world_string(w, "servers_links.0.href");
    assert_non_null(strstr(next, "marker="));
    char path[200];
    (void)snprintf(path, sizeof(path), "%s", strstr(next, "/compute"));
    assert_int_equal(world_call(w, "demo", 1, "GET", path, NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "servers")), 1);
    assert_int_equal(world_call(w, "demo", 1, "GET", SERVERS "?name=^w", NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "servers")), 1);
    assert_int_equal(world_call(w, "demo", 1, "GET", SERVERS "?flavor=1&status=ACTIVE", NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "servers")), 3);
    assert_int_equal(world_call(w, "demo", 1, "GET", SERVERS "?status=nonsense", NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "servers")), 0);
    assert_int_equal(world_call(w, "demo", 38, "GET", SERVERS "?status=nonsense", NULL), 400);
    assert_int_equal(world_call(w, "demo", 1, "GET", SERVERS "?limit=-1", NULL), 400);
    assert_int_equal(world_call(w, "demo", 1, "GET", SERVERS "?marker=nope", NULL), 400);
    assert_int_equal(world_call(w, "demo", 1, "GET", SERVERS "?all_tenants=1", NULL), 403);
    assert_int_equal(world_call(w, "other", 1, "GET", SERVERS, NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "servers")), 0);
    assert_int_equal(world_call(w, "demo", 75, "GET", SERVERS "?nonsense=1", NULL), 400);
    assert_int_equal(world_call(w, "demo", 1, "GET", SERVERS "?ip=10.0.0.3", NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "servers")), 1);
}

static void metadata_and_tags(void **state)
{
    (void)state;
    _cleanup_(world_freep) struct world *w = cloud();
    const char *id = world_boot(w, "one");
    world_settle(w);
    assert_int_equal(url(w, "demo", 1, "POST", id, "/metadata", "{\"metadata\": {\"a\": \"1\", \"b\": \"2\"}}"), 200);
    assert_int_equal(url(w, "demo", 1, "PUT", id, "/metadata/a", "{\"meta\": {\"a\": \"3\"}}"), 200);
    assert_int_equal(url(w, "demo", 1, "PUT", id, "/metadata/a", "{\"meta\": {\"c\": \"3\"}}"), 400);
    assert_int_equal(url(w, "demo", 1, "DELETE", id, "/metadata/b", NULL), 204);
    assert_int_equal(url(w, "demo", 1, "DELETE", id, "/metadata/b", NULL), 404);
    assert_int_equal(url(w, "demo", 1, "GET", id, "/metadata", NULL), 200);
    assert_string_equal(world_text(w), "{\"metadata\":{\"a\":\"3\"}}");
    assert_int_equal(url(w, "demo", 26, "PUT", id, "/tags", "{\"tags\": [\"x\", \"y\", \"x\"]}"), 200);
    assert_int_equal(json_array_size(world_get(w, "tags")), 2);
    assert_int_equal(url(w, "demo", 26, "PUT", id, "/tags/z", NULL), 201);
    assert_int_equal(url(w, "demo", 26, "PUT", id, "/tags/z", NULL), 204);
    assert_int_equal(url(w, "demo", 26, "GET", id, "/tags/q", NULL), 404);
    assert_int_equal(world_call(w, "demo", 26, "GET", SERVERS "?tags=x,z", NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "servers")), 1);
    assert_int_equal(world_call(w, "demo", 26, "GET", SERVERS "?not-tags=x,q", NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "servers")), 1);
    assert_int_equal(world_call(w, "demo", 26, "GET", SERVERS "?not-tags-any=x,q", NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "servers")), 0);
    assert_int_equal(url(w, "demo", 19, "PUT", id, "", "{\"server\": {\"name\": \"two\", \"description\": null}}"), 200);
    assert_string_equal(world_string(w, "server.name"), "two");
    assert_int_equal(url(w, "demo", 1, "PUT", id, "", "{\"server\": {\"name\": \"\"}}"), 400);
}

static void guest_powers_off(void **state)
{
    (void)state;
    _cleanup_(world_freep) struct world *w = cloud();
    const char *id = world_boot(w, "one");
    world_settle(w);
    world_guest_off(w, id);
    world_settle(w);
    assert_string_equal(world_status(w, id), "SHUTOFF");
    assert_int_equal(world_int(w, "server.OS-EXT-STS:power_state"), 4);
}

static void stuck_tasks_end(void **state)
{
    (void)state;
    _cleanup_(world_freep) struct world *w = cloud();
    world_host_silent(w, "h1", true);
    world_host_silent(w, "h2", true);
    const char *id = world_boot(w, "one");
    world_settle(w);
    assert_string_equal(world_status(w, id), "BUILD");
    world_advance(w, MINUTES(31));
    world_settle(w);
    assert_string_equal(world_status(w, id), "ERROR");
    world_host_silent(w, "h1", false);
    world_host_silent(w, "h2", false);
    world_settle(w);
    assert_int_equal(url(w, "demo", 1, "DELETE", id, "", NULL), 204);
    world_settle(w);
    assert_int_equal(world_orphans(w), 0);
    assert_int_equal(world_count(w, &SERVER_KIND), 0);
}

/* Boot and delete with the first effect failing, then the second, until all pass. */
static void survives_any_fault(void **state)
{
    (void)state;
    bool fired = true;
    int n = 0;
    while (fired) {
        _cleanup_(world_freep) struct world *w = cloud();
        effect_fail_at(++n, -EIO);
        int status = world_call(w, "demo", 1, "POST", SERVERS, "{\"server\": {\"name\": \"x\", \"imageRef\": \""
                                WORLD_IMAGE "\", \"flavorRef\": \"1\"}}");
        assert_true(status == 202 || (effect_fired() && status >= 500));
        char id[64] = "";
        if (status == 202)
            (void)snprintf(id, sizeof(id), "%s", world_string(w, "server.id"));
        world_settle(w);
        if (status == 202) {
            assert_string_equal(world_status(w, id), "ACTIVE");
            int gone = url(w, "demo", 1, "DELETE", id, "", NULL);
            assert_true(gone == 204 || (effect_fired() && gone >= 500));
            if (gone != 204)
                assert_int_equal(url(w, "demo", 1, "DELETE", id, "", NULL), 204);
        }
        world_settle(w);
        fired = effect_fired();
        assert_int_equal(world_count(w, &SERVER_KIND), 0);
        assert_int_equal(world_orphans(w), 0);
        assert_true(n < 200);
    }
    assert_true(n > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(born_and_gone), cmocka_unit_test(deleted_before_a_host),
        cmocka_unit_test(deleted_while_the_host_is_down), cmocka_unit_test(another_host_is_tried),
        cmocka_unit_test(no_host_fits), cmocka_unit_test(hosts_fill_up_exactly),
        cmocka_unit_test(bad_requests_leave_nothing), cmocka_unit_test(lists), cmocka_unit_test(metadata_and_tags),
        cmocka_unit_test(guest_powers_off), cmocka_unit_test(stuck_tasks_end), cmocka_unit_test(survives_any_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
