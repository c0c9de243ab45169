/* Trees of projects, tags, domains, lists, names; the catalog and what narrows it; limits. */
#include "world.h"

static void trees(void **state)
{
    struct world *w = *state;
    const char *a = make(w, "projects", "project", "{'name': 'a'}");
    const char *b = make(w, "projects", "project", "{'name': 'b', 'parent_id': '%s'}", a);
    const char *c = make(w, "projects", "project", "{'name': 'c', 'parent_id': '%s'}", b);
    EXPECT(w, 200, w->admin, "GET", NULL, "/projects/%s?parents_as_ids&subtree_as_ids", b);
    assert_non_null(node_at(w, format(w, "project.parents.%s.default", a)));
    assert_true(json_is_null(node_at(w, format(w, "project.subtree.%s", c))));
    EXPECT(w, 200, w->admin, "GET", NULL, "/projects/%s?subtree_as_list", a);
    assert_int_equal(count_at(w, "project.subtree"), 2);
    EXPECT(w, 200, w->admin, "GET", NULL, "/projects?parent_id=%s", a);
    assert_int_equal(count_at(w, "projects"), 1);
    const char *above = c;
    for (int depth = 4; depth <= 5; depth++)
        above = make(w, "projects", "project", "{'name': 'deep%d', 'parent_id': '%s'}", depth, above);
    EXPECT(w, 403, w->admin, "POST", format(w, "{'project': {'name': 'deeper', 'parent_id': '%s'}}", above),
           "/projects");
    EXPECT(w, 403, w->admin, "DELETE", NULL, "/projects/%s", a);
    EXPECT(w, 403, w->admin, "PATCH", "{'project': {'enabled': false}}", "/projects/%s", a);
    EXPECT(w, 403, w->admin, "PATCH", format(w, "{'project': {'parent_id': '%s'}}", c), "/projects/%s", a);
    EXPECT(w, 400, w->admin, "PATCH", "{'project': {'domain_id': 'other'}}", "/projects/%s", a);
    EXPECT(w, 404, w->admin, "POST", "{'project': {'name': 'x', 'parent_id': 'none'}}", "/projects");
    EXPECT(w, 409, w->admin, "POST", "{'project': {'name': 'A'}}", "/projects");
}

static void tags(void **state)
{
    struct world *w = *state;
    const char *a = make(w, "projects", "project", "{'name': 'a', 'tags': ['red', 'big']}");
    const char *b = make(w, "projects", "project", "{'name': 'b', 'tags': ['red']}");
    EXPECT(w, 201, w->admin, "PUT", NULL, "/projects/%s/tags/new", b);
    EXPECT(w, 204, w->admin, "GET", NULL, "/projects/%s/tags/new", b);
    EXPECT(w, 404, w->admin, "GET", NULL, "/projects/%s/tags/none", b);
    EXPECT(w, 400, w->admin, "PUT", "{'tags': ['x', 'x']}", "/projects/%s/tags", b);
    EXPECT(w, 400, w->admin, "PUT", "{'tags': ['a/b']}", "/projects/%s/tags", b);
    EXPECT(w, 400, w->admin, "POST", "{'project': {'name': 'x', 'tags': ['t', 't']}}", "/projects");
    static const struct {
        const char *filter;
        size_t n;
    } CASES[] = {
        { "tags=red", 2 },
        { "tags=red,big", 1 },
        { "tags-any=big,new", 2 },
        { "name=a&not-tags=red", 0 },
        { "name=b&not-tags=red,big", 1 },
        { "name=a&not-tags-any=new", 1 },
        { "name=b&not-tags-any=new,big", 0 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        EXPECT(w, 200, w->admin, "GET", NULL, "/projects?%s", CASES[i].filter);
        if (count_at(w, "projects") != CASES[i].n)
            fail_msg("%s: %zu", CASES[i].filter, count_at(w, "projects"));
    }
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/projects/%s/tags/red", a);
    EXPECT(w, 200, w->admin, "GET", NULL, "/projects/%s/tags", a);
    assert_int_equal(count_at(w, "tags"), 1);
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/projects/%s/tags", a);
    EXPECT(w, 200, w->admin, "GET", NULL, "/projects/%s/tags", a);
    assert_int_equal(count_at(w, "tags"), 0);
}

static void domains_hold_what_is_theirs(void **state)
{
    struct world *w = *state;
    const char *d = make(w, "domains", "domain", "{'name': 'd', 'colour': 'blue'}");
    EXPECT(w, 200, w->admin, "GET", NULL, "/domains/%s", d);
    assert_string_equal(text_at(w, "domain.colour"), "blue");
    assert_null(node_at(w, "domain.parent_id"));
    EXPECT(w, 200, w->admin, "GET", NULL, "/projects/%s", d);
    assert_true(json_is_true(node_at(w, "project.is_domain")));
    EXPECT(w, 404, w->admin, "GET", NULL, "/domains/%s", make(w, "projects", "project", "{'name': 'p'}"));
    const char *p = make(w, "projects", "project", "{'name': 'p', 'domain_id': '%s'}", d);
    const char *g = make(w, "groups", "group", "{'name': 'g', 'domain_id': '%s'}", d);
    const char *r = make(w, "roles", "role", "{'name': 'r', 'domain_id': '%s'}", d);
    EXPECT(w, 409, w->admin, "POST", "{'domain': {'name': 'DEFAULT'}}", "/domains");
    EXPECT(w, 403, w->admin, "DELETE", NULL, "/domains/%s", d);
    EXPECT(w, 200, w->admin, "PATCH", "{'domain': {'enabled': false}}", "/domains/%s", d);
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/domains/%s", d);
    EXPECT(w, 404, w->admin, "GET", NULL, "/projects/%s", p);
    EXPECT(w, 404, w->admin, "GET", NULL, "/groups/%s", g);
    EXPECT(w, 404, w->admin, "GET", NULL, "/roles/%s", r);
    EXPECT(w, 404, w->admin, "DELETE", NULL, "/domains/%s", d);
}

static void lists(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 5; i++)
        make(w, "users", "user", "{'name': 'User%d', 'enabled': %s}", i, i % 2 ? "true" : "false");
    EXPECT(w, 200, w->admin, "GET", NULL, "/users?enabled=false");
    assert_int_equal(count_at(w, "users"), 3);
    EXPECT(w, 200, w->admin, "GET", NULL, "/users?name__istartswith=user");
    assert_int_equal(count_at(w, "users"), 5);
    EXPECT(w, 200, w->admin, "GET", NULL, "/users?name__startswith=user");
    assert_int_equal(count_at(w, "users"), 0);
    EXPECT(w, 200, w->admin, "GET", NULL, "/users?limit=4");
    assert_int_equal(count_at(w, "users"), 4);
    const char *next = text_at(w, "links.next");
    assert_non_null(next);
    EXPECT(w, 200, w->admin, "GET", NULL, "/users%s", strchr(next, '?'));
    assert_int_equal(count_at(w, "users"), 2);
    assert_true(json_is_null(node_at(w, "links.next")));
    EXPECT(w, 200, w->admin, "GET", NULL, "/users?no_such_filter=1");
    assert_int_equal(count_at(w, "users"), 6);
}

static void the_body_is_read_strictly(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *path, *body, *says;
    } CASES[] = {
        { "/projects", "{'project': {}}", "name" },
        { "/projects", "{'project': {'name': ''}}", "name" },
        { "/projects", "{'project': {'name': '   '}}", "name" },
        { "/projects", "{'project': {'name': 7}}", "name" },
        { "/projects", "{'project': {'name': 'x', 'enabled': 'yes'}}", "enabled" },
        { "/projects", "{'project': {'name': 'x', 'options': {'other': true}}}", "options" },
        { "/projects",
          "{'project': {'name': '"
          "0123456789012345678901234567890123456789012345678901234567890123456789'}}",
          "name" },
        { "/projects", "{'other': {}}", "project" },
        { "/projects", "{", "JSON" },
        { "/endpoints",
          "{'endpoint': {'service_id': 'x', 'interface': 'public', 'url': 'http://a', "
          "'enabled': 'False'}}",
          "enabled" },
        { "/endpoints", "{'endpoint': {'service_id': 'x', 'interface': 'inner', 'url': 'http://a'}}",
          "interface" },
        { "/endpoints", "{'endpoint': {'service_id': 'none', 'interface': 'public', 'url': 'http://a'}}",
          "service" },
        { "/limits", "{'limits': []}", "limits" },
        { "/limits", "{'limits': [{'resource_name': 'x'}]}", "limits/0" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        EXPECT(w, 400, w->admin, "POST", CASES[i].body, "%s", CASES[i].path);
        if (!strstr(text_at(w, "error.message"), CASES[i].says))
            fail_msg("%s: %s", CASES[i].body, text_at(w, "error.message"));
    }
}

static size_t endpoints_seen(struct world *w, const char *token)
{
    size_t n = 0, i;
    json_t *entry;
    EXPECT(w, 200, token, "GET", NULL, "/auth/catalog");
    json_array_foreach(node_at(w, "catalog"), i, entry) n +=
        json_array_size(json_object_get(entry, "endpoints"));
    return n;
}

static void the_catalog(void **state)
{
    struct world *w = *state;
    const char *p = text_at(w, "token.project.id");
    const char *s = make(w, "services", "service", "{'type': 'things', 'name': 'th'}");
    const char *e = make(w, "endpoints", "endpoint",
                         "{'service_id': '%s', 'interface': 'public', 'region': 'R9',"
                         " 'url': 'http://t/v1/$(project_id)s/%%(user_id)s'}",
                         s);
    assert_int_equal(endpoints_seen(w, w->admin), 4);
    assert_non_null(strstr(buf_text(&w->body), format(w, "http://t/v1/%s/", p)));
    EXPECT(w, 200, w->admin, "GET", NULL, "/regions/R9");
    EXPECT(w, 403, w->admin, "DELETE", NULL, "/regions/R9");
    const char *unusable = make(w, "endpoints", "endpoint",
                                "{'service_id': '%s', 'interface': 'admin',"
                                " 'url': 'http://t/$(password)s'}",
                                s);
    assert_int_equal(endpoints_seen(w, w->admin), 4);
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/endpoints/%s", unusable);
    /* associations narrow it */
    EXPECT(w, 204, w->admin, "PUT", NULL, "/OS-EP-FILTER/projects/%s/endpoints/%s", p, e);
    assert_int_equal(endpoints_seen(w, w->admin), 1);
    const char *g = make(w, "OS-EP-FILTER/endpoint_groups", "endpoint_group",
                         "{'name': 'inner', 'filters': {'interface': 'internal'}}");
    EXPECT(w, 204, w->admin, "PUT", NULL, "/OS-EP-FILTER/endpoint_groups/%s/projects/%s", g, p);
    assert_int_equal(endpoints_seen(w, w->admin), 2);
    EXPECT(w, 200, w->admin, "GET", NULL, "/OS-EP-FILTER/projects/%s/endpoints", p);
    assert_int_equal(count_at(w, "endpoints"), 2);
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/OS-EP-FILTER/endpoint_groups/%s", g);
    EXPECT(w, 200, w->admin, "PATCH", "{'endpoint': {'enabled': false}}", "/endpoints/%s", e);
    assert_int_equal(endpoints_seen(w, w->admin), 0);
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/services/%s", s);
    EXPECT(w, 404, w->admin, "GET", NULL, "/endpoints/%s", e);
    assert_int_equal(endpoints_seen(w, w->admin), 3);
}

static void policies_follow_regions(void **state)
{
    struct world *w = *state;
    const char *s = make(w, "services", "service", "{'type': 'things'}");
    make(w, "regions", "region", "{'id': 'north'}");
    make(w, "regions", "region", "{'id': 'north-1', 'parent_region_id': 'north'}");
    EXPECT(w, 400, w->admin, "PATCH", "{'region': {'parent_region_id': 'north-1'}}", "/regions/north");
    EXPECT(w, 409, w->admin, "POST", "{'region': {'id': 'north'}}", "/regions");
    const char *e = make(w, "endpoints", "endpoint",
                         "{'service_id': '%s', 'interface': 'public', 'region_id':"
                         " 'north-1', 'url': 'http://t'}",
                         s);
    const char *a = make(w, "policies", "policy", "{'blob': 'a', 'type': 'text/plain'}");
    const char *b = make(w, "policies", "policy", "{'blob': 'b', 'type': 'text/plain'}");
    EXPECT(w, 404, w->admin, "GET", NULL, "/endpoints/%s/OS-ENDPOINT-POLICY/policy", e);
    EXPECT(w, 204, w->admin, "PUT", NULL, "/policies/%s/OS-ENDPOINT-POLICY/services/%s", a, s);
    EXPECT(w, 200, w->admin, "GET", NULL, "/endpoints/%s/OS-ENDPOINT-POLICY/policy", e);
    assert_string_equal(text_at(w, "policy.blob"), "a");
    EXPECT(w, 204, w->admin, "PUT", NULL, "/policies/%s/OS-ENDPOINT-POLICY/services/%s/regions/north", b, s);
    EXPECT(w, 200, w->admin, "GET", NULL, "/endpoints/%s/OS-ENDPOINT-POLICY/policy", e);
    assert_string_equal(text_at(w, "policy.blob"), "b");
    EXPECT(w, 200, w->admin, "GET", NULL, "/policies/%s/OS-ENDPOINT-POLICY/endpoints", b);
    assert_int_equal(count_at(w, "endpoints"), 1);
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/policies/%s", b);
    EXPECT(w, 200, w->admin, "GET", NULL, "/endpoints/%s/OS-ENDPOINT-POLICY/policy", e);
    assert_string_equal(text_at(w, "policy.blob"), "a");
}

static void limits_of_trees(void **state)
{
    struct world *w = *state;
    const char *s = make(w, "services", "service", "{'type': 'things'}");
    const char *p = make(w, "projects", "project", "{'name': 'p'}");
    static const char LIMIT[] =
        "{'limits': [{'%s': '%s', 'service_id': '%s', 'resource_name': 'n', 'resource_limit': %d}]}";
    EXPECT(w, 403, w->admin, "POST", format(w, LIMIT, "project_id", p, s, 5), "/limits");
    EXPECT(w, 201, w->admin, "POST",
           format(w,
                  "{'registered_limits': [{'service_id': '%s', 'resource_name': 'n',"
                  " 'default_limit': 10}]}",
                  s),
           "/registered_limits");
    const char *standard = text_at(w, "registered_limits.0.id");
    EXPECT(w, 403, w->admin, "POST", format(w, LIMIT, "project_id", p, s, 11), "/limits");
    EXPECT(w, 201, w->admin, "POST", format(w, LIMIT, "project_id", p, s, 5), "/limits");
    const char *l = text_at(w, "limits.0.id");
    EXPECT(w, 409, w->admin, "POST", format(w, LIMIT, "project_id", p, s, 5), "/limits");
    EXPECT(w, 403, w->admin, "POST", format(w, LIMIT, "domain_id", "default", s, 4), "/limits");
    EXPECT(w, 201, w->admin, "POST", format(w, LIMIT, "domain_id", "default", s, 20), "/limits");
    EXPECT(w, 200, w->admin, "PATCH", "{'limit': {'resource_limit': 15}}", "/limits/%s", l);
    EXPECT(w, 403, w->admin, "PATCH", "{'limit': {'resource_limit': 21}}", "/limits/%s", l);
    EXPECT(w, 403, w->admin, "DELETE", NULL, "/registered_limits/%s", standard);
    EXPECT(w, 200, w->admin, "GET", NULL, "/limits?project_id=%s", p);
    assert_int_equal(count_at(w, "limits"), 1);
    EXPECT(w, 200, w->admin, "GET", NULL, "/limits/model");
    assert_string_equal(text_at(w, "model.name"), "strict_two_level");
}

static void two_levels(struct cloud_config *c)
{
    c->limit_model = "strict_two_level";
}

static int up(void **state)
{
    *state = world_new(NULL);
    return 0;
}

static int up_two_levels(void **state)
{
    *state = world_new(two_levels);
    return 0;
}

static int down(void **state)
{
    world_free(*state);
    return 0;
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(trees),
        WORLD_TEST(tags),
        WORLD_TEST(domains_hold_what_is_theirs),
        WORLD_TEST(lists),
        WORLD_TEST(the_body_is_read_strictly),
        WORLD_TEST(the_catalog),
        WORLD_TEST(policies_follow_regions),
        cmocka_unit_test_setup_teardown(limits_of_trees, up_two_levels, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
