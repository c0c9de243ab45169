/* Logging in, scopes, and everything that ends a token. */
#include "world.h"

static const char *user_with_role(struct world *w, const char *name, const char *project, const char *role)
{
    const char *id = make(w, "users", "user", "{'name': '%s', 'password': 'pw-%s'}", name, name);
    if (project)
        grant(w, "projects", project, id, role);
    return id;
}

static void all_refusals_are_alike(void **state)
{
    struct world *w = *state;
    const char *id = user_with_role(w, "ann", NULL, NULL);
    assert_null(login(w, id, "wrong", NULL));
    assert_int_equal(w->reply.status, 401);
    const char *wrong = format(w, "%s", buf_text(&w->body));
    assert_null(login(w, "nobody", "wrong", NULL));
    assert_string_equal(buf_text(&w->body), wrong);
    EXPECT(w, 200, w->admin, "PATCH", "{'user': {'enabled': false}}", "/users/%s", id);
    assert_null(login(w, id, "pw-ann", NULL));
    assert_string_equal(buf_text(&w->body), wrong);
    EXPECT(w, 401, NULL, "GET", NULL, "/users");
    EXPECT(w, 401, "AQAAAAFnonsense", "GET", NULL, "/users");
}

static void scopes(void **state)
{
    struct world *w = *state;
    const char *p = make(w, "projects", "project", "{'name': 'p1'}");
    const char *d = make(w, "domains", "domain", "{'name': 'd1'}");
    const char *u = user_with_role(w, "bob", p, "member");
    assert_non_null(login(w, u, "pw-bob", NULL));
    assert_null(node_at(w, "token.project"));
    assert_null(node_at(w, "token.catalog"));
    const char *t = login(w, u, "pw-bob", "'project': {'id': '%s'}", p);
    assert_non_null(t);
    assert_string_equal(text_at(w, "token.project.name"), "p1");
    assert_true(list_has(w, "token.roles", "name", "member"));
    assert_true(list_has(w, "token.roles", "name", "reader")); /* implied */
    assert_false(list_has(w, "token.roles", "name", "admin"));
    assert_true(count_at(w, "token.catalog") > 0);
    assert_null(login(w, u, "pw-bob", "'domain': {'id': '%s'}", d));
    assert_null(login(w, u, "pw-bob", "'system': {'all': true}"));
    assert_null(login(w, u, "pw-bob", "'project': {'id': 'none'}"));
    grant(w, "domains", d, u, "reader");
    assert_non_null(login(w, u, "pw-bob", "'domain': {'name': 'D1'}"));
    assert_string_equal(text_at(w, "token.domain.id"), d);
    grant(w, "system", NULL, u, "reader");
    assert_non_null(login(w, u, "pw-bob", "'system': {'all': true}"));
    assert_true(json_is_true(node_at(w, "token.system.all")));
    EXPECT(w, 200, t, "GET", NULL, "/auth/projects");
    assert_int_equal(count_at(w, "projects"), 1);
    EXPECT(w, 200, t, "GET", NULL, "/auth/domains");
    assert_int_equal(count_at(w, "domains"), 1);
    EXPECT(w, 200, t, "GET", NULL, "/auth/system");
    assert_int_equal(count_at(w, "system"), 1);
    EXPECT(w, 200, t, "GET", NULL, "/auth/catalog");
    assert_non_null(strstr(buf_text(&w->body), "http://cloud.example.org:8774/identity/v3"));
    /* A default project scopes those who ask for nothing, unless they say so. */
    EXPECT(w, 200, w->admin, "PATCH", format(w, "{'user': {'default_project_id': '%s'}}", p), "/users/%s", u);
    assert_non_null(login(w, u, "pw-bob", NULL));
    assert_string_equal(text_at(w, "token.project.id"), p);
    assert_non_null(login(w, u, "pw-bob", "'unscoped': {}"));
    assert_null(node_at(w, "token.project"));
}

static void rescoping_keeps_the_end(void **state)
{
    struct world *w = *state;
    const char *p = make(w, "projects", "project", "{'name': 'p2'}");
    const char *u = user_with_role(w, "cid", p, "member");
    const char *t = login(w, u, "pw-cid", NULL);
    const char *end = text_at(w, "token.expires_at"), *audit = text_at(w, "token.audit_ids.0");
    clock_advance(MINUTES(10));
    assert_non_null(rescope(w, t, "'project': {'id': '%s'}", p));
    assert_string_equal(text_at(w, "token.expires_at"), end);
    assert_string_equal(text_at(w, "token.audit_ids.1"), audit);
    assert_int_equal(count_at(w, "token.methods"), 2);
}

static void dies_on_time(void **state)
{
    struct world *w = *state;
    const char *u = user_with_role(w, "dan", NULL, NULL);
    clock_advance(MINUTES(30)); /* so that the administrator's ends first */
    const char *t = login(w, u, "pw-dan", NULL);
    clock_advance(MINUTES(60) - 1);
    EXPECT(w, 200, t, "GET", NULL, "/users/%s", u);
    clock_advance(1);
    EXPECT(w, 401, t, "GET", NULL, "/users/%s", u);
    EXPECT(w, 201, NULL, "POST",
           "{'auth': {'identity': {'methods': ['password'], 'password': {'user': "
           "{'name': 'ADMIN', 'domain': {'id': 'default'}, 'password': 'secret'}}}, 'scope': {'system': "
           "{'all': true}}}}",
           "/auth/tokens");
    w->admin = format(w, "%s", strmap_get(&w->reply.headers, "x-subject-token"));
    assert_int_equal(validate(w, t), 404);
    w->subject = t;
    EXPECT(w, 200, w->admin, "GET", NULL, "/auth/tokens?allow_expired=1");
    w->subject = NULL;
}

static void revoked(void **state)
{
    struct world *w = *state;
    const char *u = user_with_role(w, "eve", NULL, NULL);
    const char *t = login(w, u, "pw-eve", NULL), *other = login(w, u, "pw-eve", NULL);
    assert_int_equal(validate(w, t), 200);
    assert_int_equal(validate(w, t), 200); /* from memory */
    w->subject = t;
    EXPECT(w, 204, t, "DELETE", NULL, "/auth/tokens");
    w->subject = NULL;
    EXPECT(w, 401, t, "GET", NULL, "/users/%s", u);
    assert_int_equal(validate(w, t), 404);
    assert_int_equal(validate(w, other), 200);
    EXPECT(w, 200, w->admin, "GET", NULL, "/OS-REVOKE/events");
    assert_int_equal(count_at(w, "events"), 1);
    EXPECT(w, 404, NULL, "POST",
           format(w, "{'auth': {'identity': {'methods': ['token'], 'token': {'id': '%s'}}}}", t),
           "/auth/tokens");
}

static void voided_by_changes(void **state)
{
    struct world *w = *state;
    const char *p = make(w, "projects", "project", "{'name': 'p3'}");
    const char *u = user_with_role(w, "fay", p, "member");
    const char *role = role_id(w, "member");
    const char *scope = format(w, "'project': {'id': '%s'}", p);
    const char *t = login(w, u, "pw-fay", "%s", scope), *bare = login(w, u, "pw-fay", NULL);

    /* a role that goes and comes */
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/projects/%s/users/%s/roles/%s", p, u, role);
    assert_int_equal(validate(w, t), 404);
    assert_int_equal(validate(w, bare), 200);
    EXPECT(w, 204, w->admin, "PUT", NULL, "/projects/%s/users/%s/roles/%s", p, u, role);
    assert_int_equal(validate(w, t), 200);

    /* a project that was disabled: its tokens stay void */
    clock_advance(1);
    EXPECT(w, 200, w->admin, "PATCH", "{'project': {'enabled': false}}", "/projects/%s", p);
    assert_int_equal(validate(w, t), 404);
    assert_null(login(w, u, "pw-fay", "%s", scope));
    EXPECT(w, 200, w->admin, "PATCH", "{'project': {'enabled': true}}", "/projects/%s", p);
    assert_int_equal(validate(w, t), 404);
    clock_advance(1);
    t = login(w, u, "pw-fay", "%s", scope);
    assert_int_equal(validate(w, t), 200);

    /* a password that changed: the old one is worth nothing, remembered or not */
    clock_advance(1);
    EXPECT(w, 204, NULL, "POST", "{'user': {'original_password': 'pw-fay', 'password': 'new'}}",
           "/users/%s/password", u);
    assert_int_equal(validate(w, t), 404);
    assert_int_equal(validate(w, bare), 404);
    assert_null(login(w, u, "pw-fay", NULL));
    clock_advance(1);
    bare = login(w, u, "new", NULL);
    assert_int_equal(validate(w, bare), 200);
    EXPECT(w, 401, NULL, "POST", "{'user': {'original_password': 'pw-fay', 'password': 'x'}}",
           "/users/%s/password", u);

    /* a user who was disabled, and deleted */
    clock_advance(1);
    EXPECT(w, 200, w->admin, "PATCH", "{'user': {'enabled': false}}", "/users/%s", u);
    EXPECT(w, 200, w->admin, "PATCH", "{'user': {'enabled': true}}", "/users/%s", u);
    assert_int_equal(validate(w, bare), 404);
    clock_advance(1);
    bare = login(w, u, "new", NULL);
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/users/%s", u);
    assert_int_equal(validate(w, bare), 404);
}

static void voided_by_the_domain(void **state)
{
    struct world *w = *state;
    const char *d = make(w, "domains", "domain", "{'name': 'd2'}");
    const char *u = make(w, "users", "user", "{'name': 'gil', 'password': 'x', 'domain_id': '%s'}", d);
    const char *t = login(w, u, "x", NULL);
    assert_int_equal(validate(w, t), 200);
    clock_advance(1);
    EXPECT(w, 200, w->admin, "PATCH", "{'domain': {'enabled': false}}", "/domains/%s", d);
    assert_int_equal(validate(w, t), 404);
    assert_null(login(w, u, "x", NULL));
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/domains/%s", d);
    EXPECT(w, 404, w->admin, "GET", NULL, "/users/%s", u);
}

/* Whoever logs in twice is served from memory; what is kept there for it must not pass for a token. */
static void logging_in_twice(void **state)
{
    struct world *w = *state;
    const char *p = make(w, "projects", "project", "{'name': 'p4'}");
    const char *u = user_with_role(w, "kim", p, "member");
    const char *scope = format(w, "'project': {'id': '%s'}", p);
    const char *a = login(w, u, "pw-kim", "%s", scope);
    const char *first = text_at(w, "token.audit_ids.0");
    clock_advance(SECONDS(1));
    const char *b = login(w, u, "pw-kim", "%s", scope);
    assert_string_not_equal(text_at(w, "token.audit_ids.0"), first);
    assert_string_equal(text_at(w, "token.issued_at"), "2027-01-15T08:00:01.000000Z");
    assert_string_equal(text_at(w, "token.expires_at"), "2027-01-15T09:00:01.000000Z");
    EXPECT(w, 401, format(w, "%s/1/%s", u, p), "GET", NULL, "/auth/projects");
    EXPECT(w, 401, format(w, "=%s/1/%s", u, p), "GET", NULL, "/auth/projects");
    w->subject = a;
    EXPECT(w, 204, a, "DELETE", NULL, "/auth/tokens");
    w->subject = NULL;
    assert_int_equal(validate(w, b), 200);
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/projects/%s/users/%s/roles/%s", p, u, role_id(w, "member"));
    assert_null(login(w, u, "pw-kim", "%s", scope));
}

static void bad_requests_are_named(void **state)
{
    struct world *w = *state;
    static const struct {
        int status;
        const char *body, *says;
    } CASES[] = {
        { 400, "{}", "auth" },
        { 400, "{'auth': 3}", "auth" },
        { 400, "{'auth': {}}", "identity" },
        { 400, "{'auth': {'identity': []}}", "identity" },
        { 400, "{'auth': {'identity': {}}}", "methods" },
        { 400, "{'auth': {'identity': {'methods': 'password'}}}", "methods" },
        { 400, "{'auth': {'identity': {'methods': [7]}}}", "methods" },
        { 400, "{'auth': {'identity': {'methods': ['password']}}}", "password" },
        { 400, "{'auth': {'identity': {'methods': ['password'], 'password': {}}}}", "user" },
        { 400,
          "{'auth': {'identity': {'methods': ['password'], 'password': {'user': {'id': 7, 'password': "
          "'x'}}}}}",
          "id" },
        { 400, "{'auth': {'identity': {'methods': ['password'], 'password': {'user': {'password': 'x'}}}}}",
          "name" },
        { 400,
          "{'auth': {'identity': {'methods': ['password'], 'password': {'user': {'name': 'a', 'password': "
          "'x'}}}}}",
          "domain" },
        { 401, "{'auth': {'identity': {'methods': ['magic'], 'magic': {}}}}", "unsupported" },
        { 401, "{'auth': {'identity': {'methods': []}}}", "requires authentication" },
        { 400, "{'auth': {'identity': {'methods': ['token'], 'token': {}}}}", "id" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        EXPECT(w, CASES[i].status, NULL, "POST", CASES[i].body, "/auth/tokens");
        assert_non_null(strstr(text_at(w, "error.message"), CASES[i].says));
        assert_int_equal(json_integer_value(node_at(w, "error.code")), CASES[i].status);
    }
    const char *u = user_with_role(w, "hal", NULL, NULL);
    assert_null(login(w, u, "pw-hal", "'project': {'id': 'a'}, 'system': {'all': true}"));
    assert_int_equal(w->reply.status, 400);
    assert_null(login(w, u, "pw-hal", "'system': {'all': false}"));
    assert_int_equal(w->reply.status, 400);
}

static void one_may_look_at_ones_own(void **state)
{
    struct world *w = *state;
    const char *a = user_with_role(w, "ida", NULL, NULL), *b = user_with_role(w, "jon", NULL, NULL);
    const char *ta = login(w, a, "pw-ida", NULL), *tb = login(w, b, "pw-jon", NULL);
    w->subject = ta;
    EXPECT(w, 200, ta, "GET", NULL, "/auth/tokens");
    EXPECT(w, 200, ta, "HEAD", NULL, "/auth/tokens");
    EXPECT(w, 403, tb, "GET", NULL, "/auth/tokens");
    EXPECT(w, 403, tb, "DELETE", NULL, "/auth/tokens");
    EXPECT(w, 200, w->admin, "GET", NULL, "/auth/tokens?nocatalog");
    w->subject = NULL;
    EXPECT(w, 404, w->admin, "GET", NULL, "/auth/tokens");
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

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(all_refusals_are_alike),
        WORLD_TEST(scopes),
        WORLD_TEST(rescoping_keeps_the_end),
        WORLD_TEST(dies_on_time),
        WORLD_TEST(revoked),
        WORLD_TEST(voided_by_changes),
        WORLD_TEST(voided_by_the_domain),
        WORLD_TEST(bad_requests_are_named),
        WORLD_TEST(logging_in_twice),
        WORLD_TEST(one_may_look_at_ones_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
