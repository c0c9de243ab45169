/* Roles in effect: direct, by group, inherited, implied, of a domain; and the matrix of who may do what. */
#include "world.h"

static const char *scoped(struct world *w, const char *u, const char *project)
{
    return login(w, u, "x", "'project': {'id': '%s'}", project);
}

static void by_group(void **state)
{
    struct world *w = *state;
    const char *p = make(w, "projects", "project", "{'name': 'p'}");
    const char *u = make(w, "users", "user", "{'name': 'u', 'password': 'x'}");
    const char *g = make(w, "groups", "group", "{'name': 'g'}");
    const char *role = role_id(w, "member");
    EXPECT(w, 204, w->admin, "PUT", NULL, "/projects/%s/groups/%s/roles/%s", p, g, role);
    assert_null(scoped(w, u, p));
    EXPECT(w, 204, w->admin, "PUT", NULL, "/groups/%s/users/%s", g, u);
    EXPECT(w, 204, w->admin, "HEAD", NULL, "/groups/%s/users/%s", g, u);
    const char *t = scoped(w, u, p);
    assert_int_equal(validate(w, t), 200);
    EXPECT(w, 200, w->admin, "GET", NULL, "/role_assignments?user.id=%s&effective", u);
    assert_int_equal(count_at(w, "role_assignments"), 2); /* member and the reader it implies */
    assert_non_null(node_at(w, "role_assignments.0.links.membership"));
    EXPECT(w, 200, w->admin, "GET", NULL, "/role_assignments?user.id=%s", u);
    assert_int_equal(count_at(w, "role_assignments"), 0);
    EXPECT(w, 200, w->admin, "GET", NULL, "/role_assignments?group.id=%s&include_names", g);
    assert_string_equal(text_at(w, "role_assignments.0.group.name"), "g");
    assert_string_equal(text_at(w, "role_assignments.0.scope.project.domain.name"), "Default");
    EXPECT(w, 400, w->admin, "GET", NULL, "/role_assignments?group.id=%s&effective", g);
    clock_advance(1);
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/groups/%s/users/%s", g, u);
    assert_int_equal(validate(w, t), 404);
    EXPECT(w, 404, w->admin, "HEAD", NULL, "/groups/%s/users/%s", g, u);
}

static void inherited(void **state)
{
    struct world *w = *state;
    const char *top = make(w, "projects", "project", "{'name': 'top'}");
    const char *sub = make(w, "projects", "project", "{'name': 'sub', 'parent_id': '%s'}", top);
    const char *u = make(w, "users", "user", "{'name': 'u', 'password': 'x'}");
    const char *role = role_id(w, "reader");
    EXPECT(w, 204, w->admin, "PUT", NULL, "/OS-INHERIT/projects/%s/users/%s/roles/%s/inherited_to_projects",
           top, u, role);
    assert_null(scoped(w, u, top)); /* below it, not on it */
    const char *t = scoped(w, u, sub);
    assert_non_null(t);
    EXPECT(w, 200, t, "GET", NULL, "/auth/projects");
    assert_int_equal(count_at(w, "projects"), 1);
    EXPECT(w, 204, w->admin, "DELETE", NULL,
           "/OS-INHERIT/projects/%s/users/%s/roles/%s/inherited_to_projects", top, u, role);
    EXPECT(w, 204, w->admin, "PUT", NULL,
           "/OS-INHERIT/domains/default/users/%s/roles/%s/inherited_to_projects", u, role);
    assert_non_null(scoped(w, u, top));
    assert_non_null(scoped(w, u, sub));
    EXPECT(w, 200, w->admin, "GET", NULL, "/role_assignments?user.id=%s&effective&scope.project.id=%s", u,
           sub);
    assert_int_equal(count_at(w, "role_assignments"), 1);
    assert_string_equal(text_at(w, "role_assignments.0.scope.project.id"), sub);
    EXPECT(w, 200, w->admin, "GET", NULL, "/OS-INHERIT/domains/default/users/%s/roles/inherited_to_projects",
           u);
    assert_int_equal(count_at(w, "roles"), 1);
    EXPECT(w, 200, w->admin, "GET", NULL, "/domains/default/users/%s/roles", u);
    assert_int_equal(count_at(w, "roles"), 0);
}

static void implied(void **state)
{
    struct world *w = *state;
    const char *p = make(w, "projects", "project", "{'name': 'p'}");
    const char *u = make(w, "users", "user", "{'name': 'u', 'password': 'x'}");
    const char *a = make(w, "roles", "role", "{'name': 'a'}"), *b = make(w, "roles", "role", "{'name': 'b'}");
    const char *mine = make(w, "roles", "role", "{'name': 'own', 'domain_id': 'default'}");
    EXPECT(w, 204, w->admin, "PUT", NULL, "/projects/%s/users/%s/roles/%s", p, u, mine);
    assert_null(scoped(w, u, p)); /* a domain's own role alone is nothing */
    EXPECT(w, 201, w->admin, "PUT", NULL, "/roles/%s/implies/%s", mine, a);
    EXPECT(w, 201, w->admin, "PUT", NULL, "/roles/%s/implies/%s", a, b);
    EXPECT(w, 403, w->admin, "PUT", NULL, "/roles/%s/implies/%s", b, a);
    EXPECT(w, 403, w->admin, "PUT", NULL, "/roles/%s/implies/%s", a, mine);
    assert_non_null(scoped(w, u, p));
    assert_int_equal(count_at(w, "token.roles"), 2);
    assert_false(list_has(w, "token.roles", "name", "own"));
    EXPECT(w, 204, w->admin, "HEAD", NULL, "/roles/%s/implies/%s", a, b);
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/roles/%s/implies/%s", a, b);
    EXPECT(w, 404, w->admin, "HEAD", NULL, "/roles/%s/implies/%s", a, b);
    assert_non_null(scoped(w, u, p));
    assert_int_equal(count_at(w, "token.roles"), 1);
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/roles/%s", a);
    assert_null(scoped(w, u, p));
}

static void immutable_roles_stay(void **state)
{
    struct world *w = *state;
    const char *id = role_id(w, "admin");
    EXPECT(w, 403, w->admin, "DELETE", NULL, "/roles/%s", id);
    EXPECT(w, 403, w->admin, "PATCH", "{'role': {'name': 'x'}}", "/roles/%s", id);
    EXPECT(w, 200, w->admin, "PATCH", "{'role': {'options': {'immutable': false}}}", "/roles/%s", id);
    EXPECT(w, 200, w->admin, "PATCH", "{'role': {'description': 'x'}}", "/roles/%s", id);
    EXPECT(w, 409, w->admin, "POST", "{'role': {'name': 'ADMIN'}}", "/roles");
}

/* What each may do: columns are an administrator of a project, a member of a project, readers of the
 * system, of the domain, and somebody without any role. */
enum { ROOT, MEMBER, SYSTEM, DOMAIN, NOBODY, N_CALLERS };

static void the_matrix(void **state)
{
    struct world *w = *state;
    const char *d = make(w, "domains", "domain", "{'name': 'd'}");
    const char *p = make(w, "projects", "project", "{'name': 'p', 'domain_id': '%s'}", d);
    const char *other = make(w, "projects", "project", "{'name': 'elsewhere'}");
    const char *u[N_CALLERS], *t[N_CALLERS] = { w->admin };
    for (int i = 1; i < N_CALLERS; i++)
        u[i] = make(w, "users", "user", "{'name': 'u%d', 'password': 'x', 'domain_id': '%s'}", i, d);
    const char *stranger = make(w, "users", "user", "{'name': 'stranger'}");
    grant(w, "projects", p, u[MEMBER], "member");
    grant(w, "system", NULL, u[SYSTEM], "reader");
    grant(w, "domains", d, u[DOMAIN], "reader");
    t[MEMBER] = scoped(w, u[MEMBER], p);
    t[SYSTEM] = login(w, u[SYSTEM], "x", "'system': {'all': true}");
    t[DOMAIN] = login(w, u[DOMAIN], "x", "'domain': {'id': '%s'}", d);
    t[NOBODY] = login(w, u[NOBODY], "x", NULL);
    const struct {
        const char *method, *body, *path;
        int status[N_CALLERS];
    } ROWS[] = {
        { "GET", NULL, "/users", { 200, 403, 200, 200, 403 } },
        { "GET", NULL, format(w, "/users/%s", u[MEMBER]), { 200, 200, 200, 200, 403 } },
        { "GET", NULL, format(w, "/users/%s", stranger), { 200, 403, 200, 403, 403 } },
        { "GET", NULL, "/users/none", { 404, 403, 404, 403, 403 } },
        { "GET", NULL, "/projects", { 200, 403, 200, 200, 403 } },
        { "GET", NULL, format(w, "/projects/%s", p), { 200, 200, 200, 200, 403 } },
        { "GET", NULL, format(w, "/projects/%s", other), { 200, 403, 200, 403, 403 } },
        { "GET", NULL, "/projects/none", { 404, 403, 404, 403, 403 } },
        { "GET", NULL, format(w, "/projects/%s/tags", p), { 200, 200, 200, 200, 403 } },
        { "GET", NULL, "/domains", { 200, 403, 200, 403, 403 } },
        { "GET", NULL, format(w, "/domains/%s", d), { 200, 200, 200, 200, 404 } },
        { "GET", NULL, "/groups", { 200, 403, 200, 200, 403 } },
        { "GET", NULL, "/roles", { 200, 403, 200, 403, 403 } },
        { "GET", NULL, "/role_assignments", { 200, 403, 200, 200, 403 } },
        { "GET", NULL, "/regions", { 200, 200, 200, 200, 200 } },
        { "GET", NULL, "/services", { 200, 403, 200, 403, 403 } },
        { "GET", NULL, "/endpoints", { 200, 403, 200, 403, 403 } },
        { "GET", NULL, "/credentials", { 200, 200, 200, 200, 200 } },
        { "GET",
          NULL,
          format(w, "/users/%s/application_credentials", u[MEMBER]),
          { 200, 200, 200, 403, 403 } },
        { "GET", NULL, "/OS-TRUST/trusts", { 200, 403, 200, 403, 403 } },
        { "GET", NULL, "/registered_limits", { 200, 200, 200, 200, 200 } },
        { "GET", NULL, "/limits", { 200, 200, 200, 200, 200 } },
        { "GET", NULL, "/policies", { 200, 403, 200, 403, 403 } },
        { "GET", NULL, "/auth/projects", { 200, 200, 200, 200, 200 } },
        { "POST", "{'user': {'name': 'n'}}", "/users", { 201, 403, 403, 403, 403 } },
        { "POST", "{'project': {'name': 'n'}}", "/projects", { 201, 403, 403, 403, 403 } },
        { "POST", "{'domain': {'name': 'n'}}", "/domains", { 201, 403, 403, 403, 403 } },
        { "POST", "{'role': {'name': 'n'}}", "/roles", { 201, 403, 403, 403, 403 } },
        { "POST", "{'group': {'name': 'n'}}", "/groups", { 201, 403, 403, 403, 403 } },
        { "POST", "{'region': {}}", "/regions", { 201, 403, 403, 403, 403 } },
        { "POST", "{'service': {'type': 'n'}}", "/services", { 201, 403, 403, 403, 403 } },
        { "PATCH",
          "{'user': {'name': 'renamed'}}",
          format(w, "/users/%s", stranger),
          { 200, 403, 403, 403, 403 } },
        { "PATCH",
          "{'project': {'description': 'x'}}",
          format(w, "/projects/%s", p),
          { 200, 403, 403, 403, 403 } },
        { "PUT",
          NULL,
          format(w, "/projects/%s/users/%s/roles/%s", p, u[NOBODY], role_id(w, "admin")),
          { 204, 403, 403, 403, 403 } },
        { "POST", "{}", "/ec2tokens", { 401, 403, 403, 403, 403 } },
    };
    /* Those who may not go first: what the administrator does would change what the others find. */
    for (int c = N_CALLERS; c-- > 0;)
        for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
            int status = call(w, t[c], ROWS[i].method, ROWS[i].body, "%s", ROWS[i].path);
            if (status != ROWS[i].status[c])
                fail_msg("caller %d: %s %s: %d, not %d: %s", c, ROWS[i].method, ROWS[i].path, status,
                         ROWS[i].status[c], buf_text(&w->body));
        }
    /* A domain's reader sees the domain's own. */
    EXPECT(w, 200, t[DOMAIN], "GET", NULL, "/projects");
    assert_int_equal(count_at(w, "projects"), 1);
    EXPECT(w, 200, t[DOMAIN], "GET", NULL, "/users");
    assert_false(list_has(w, "users", "name", "admin"));
    EXPECT(w, 200, t[DOMAIN], "GET", NULL, "/users?domain_id=default");
    assert_int_equal(count_at(w, "users"), 0); /* a filter narrows what one sees, it never widens it */
    EXPECT(w, 200, t[DOMAIN], "GET", NULL, "/projects?domain_id=default&domain_id=%s", d);
    assert_int_equal(count_at(w, "projects"), 1);
    EXPECT(w, 200, t[MEMBER], "GET", NULL, "/credentials?user_id=%s", stranger);
    assert_int_equal(count_at(w, "credentials"), 0);
}

static int up(void **state)
{
    *state = world_new(NULL);
    return 0;
}

static int down(void **state)
{
    world_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(by_group, up, down),
        cmocka_unit_test_setup_teardown(inherited, up, down),
        cmocka_unit_test_setup_teardown(implied, up, down),
        cmocka_unit_test_setup_teardown(immutable_roles_stay, up, down),
        cmocka_unit_test_setup_teardown(the_matrix, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
