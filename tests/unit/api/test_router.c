/* Routes: which row a path and a method and a version lead to. */
#include "api/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int verb(struct call *c)
{
    (void)c;
    return 0;
}

static const struct route ROUTES[] = {
    { "GET", "/", verb },
    { "GET", "/v2/servers", verb },
    { "POST", "/v2/servers", verb },
    { "GET", "/v2/servers/detail", verb },
    { "GET", "/v2/servers/{id}", verb },
    { "PUT", "/v2/servers/{id}/metadata/{key}", verb },
    { "GET", "/v2/servers/{id}/old", verb, .until = 20 },
    { "GET", "/v2/servers/{id}/old", verb, .since = 21, .until = 30 },
    { "GET", "/v2/{project}/things", verb },
    { "GET", "/v1/{account}/{container}/{object}", verb, NULL, ROUTE_TAIL },
};
static const struct service SERVICE = { .name = "s", .prefix = "/s", .routes = ROUTES, .n_routes = ARRAY_SIZE(ROUTES) };
static const struct service DEEPER = { .name = "d", .prefix = "/s/deeper", .routes = ROUTES, .n_routes = 1 };
static const struct service *const SERVICES[] = { &SERVICE, &DEEPER, NULL };

static struct router *router;
static struct arena *arena;

static const char *go(const char *method, const char *path, int minor, struct router_match *m)
{
    assert_ptr_equal(router_service(router, path), &SERVICE);
    assert_int_equal(router_find(router, &SERVICE, method, path, minor, arena, m), 0);
    return m->route ? m->route->path : NULL;
}

static void paths(void **state)
{
    (void)state;
    struct router_match m;
    assert_string_equal(go("GET", "/s", 0, &m), "/");
    assert_string_equal(go("GET", "/s/v2/servers", 0, &m), "/v2/servers");
    assert_string_equal(go("HEAD", "/s/v2/servers", 0, &m), "/v2/servers");
    assert_string_equal(go("GET", "/s/v2/servers/detail", 0, &m), "/v2/servers/detail");
    assert_string_equal(go("GET", "/s/v2/servers/x", 0, &m), "/v2/servers/{id}");
    assert_string_equal(strmap_get(&m.params, "id"), "x");
    assert_string_equal(go("PUT", "/s/v2/servers/x/metadata/k", 0, &m), "/v2/servers/{id}/metadata/{key}");
    assert_string_equal(strmap_get(&m.params, "id"), "x");
    assert_string_equal(strmap_get(&m.params, "key"), "k");
    /* a literal that leads nowhere gives way to a parameter */
    assert_string_equal(go("GET", "/s/v2/servers/things", 0, &m), "/v2/servers/{id}");
    assert_string_equal(go("GET", "/s/v2/p/things", 0, &m), "/v2/{project}/things");
    assert_null(go("GET", "/s/v2/servers/x/", 0, &m));
    assert_null(go("GET", "/s/v2//things", 0, &m));
    assert_null(go("GET", "/s/nothing", 0, &m));
    assert_false(m.path_known);
}

static void methods(void **state)
{
    (void)state;
    struct router_match m;
    assert_null(go("DELETE", "/s/v2/servers", 0, &m));
    assert_true(m.path_known);
    assert_non_null(strstr(m.allow, "GET"));
    assert_non_null(strstr(m.allow, "POST"));
}

static void versions(void **state)
{
    (void)state;
    struct router_match m;
    assert_ptr_equal((go("GET", "/s/v2/servers/x/old", 20, &m), m.route), &ROUTES[6]);
    assert_ptr_equal((go("GET", "/s/v2/servers/x/old", 21, &m), m.route), &ROUTES[7]);
    assert_null(go("GET", "/s/v2/servers/x/old", 31, &m));
}

static void tails(void **state)
{
    (void)state;
    struct router_match m;
    assert_non_null(go("GET", "/s/v1/a/c/one/two/three", 0, &m));
    assert_string_equal(strmap_get(&m.params, "container"), "c");
    assert_string_equal(strmap_get(&m.params, "object"), "one/two/three");
}

static void services(void **state)
{
    (void)state;
    assert_ptr_equal(router_service(router, "/s/deeper/x"), &DEEPER);
    assert_ptr_equal(router_service(router, "/s/deep"), &SERVICE);
    assert_null(router_service(router, "/sx"));
}

static void twins_are_refused(void **state)
{
    (void)state;
    static const struct route TWINS[] = { { "GET", "/a/{x}", verb }, { "GET", "/a/{y}", verb, .since = 5 } };
    static const struct service TWIN = { .name = "t", .prefix = "/t", .routes = TWINS, .n_routes = 2 };
    static const struct service *const LIST[] = { &TWIN, NULL };
    struct router *r = NULL;
    struct fault f = { 0 };
    assert_int_equal(router_new(LIST, &r, &f), FAULT);
    assert_non_null(strstr(f.message, "/t/a/{y}"));
}

static int setup(void **state)
{
    (void)state;
    struct fault f = { 0 };
    arena = arena_new(0);
    return router_new(SERVICES, &router, &f);
}

static int teardown(void **state)
{
    (void)state;
    router_free(router);
    arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths), cmocka_unit_test(methods),  cmocka_unit_test(versions),
        cmocka_unit_test(tails), cmocka_unit_test(services), cmocka_unit_test(twins_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
