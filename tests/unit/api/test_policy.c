/* Policy: the language, overrides by a file, and the errors that name file and line. */
#include "api/internal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct policy_rule RULES[] = {
    { "admin", "role:admin" },
    { "owner", "project_id:%(project_id)s" },
    { "admin_or_owner", "rule:admin or rule:owner" },
    { "reader_here", "role:reader and project_id:%(project_id)s" },
    { "not_reader", "not role:reader" },
    { "grouped", "(role:a or role:b) and not (role:c or !)" },
    { "always", "" },
    { "at", "@" },
    { "never", "!" },
    { "literal", "\"public\":%(visibility)s" },
    { "system", "role:reader and system_scope:all" },
    { "none_owner", "None:%(owner)s" },
};
static const struct service SERVICE = { .name = "test", .prefix = "/test", .rules = RULES, .n_rules = ARRAY_SIZE(RULES) };
static const struct service *const SERVICES[] = { &SERVICE, NULL };

static struct policy *make(const char *file)
{
    struct policy *p = NULL;
    struct fault f = { 0 };
    int r = policy_new(SERVICES, file, &p, &f);
    if (r)
        print_message("%s\n", f.message);
    assert_int_equal(r, 0);
    return p;
}

/* Roles in one word, separated by commas. */
static bool may(const struct policy *p, const char *rule, const char *roles, const char *project, const char *target,
                bool system)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct auth auth = { .project_id = project, .system = system };
    assert_true(!*roles || strv_split(a, &auth.roles, roles, ","));
    struct strmap m = { 0 };
    if (target)
        strmap_set(a, &m, "project_id", target);
    return policy_check(p, rule, &auth, &m);
}

static void language(void **state)
{
    (void)state;
    struct policy *p = make(NULL);
    assert_true(may(p, "admin", "admin", "p", NULL, false));
    assert_true(may(p, "admin", "Admin", "p", NULL, false));
    assert_false(may(p, "admin", "member", "p", NULL, false));
    assert_true(may(p, "owner", "", "p", "p", false));
    assert_false(may(p, "owner", "", "p", "q", false));
    assert_false(may(p, "owner", "", NULL, NULL, false));       /* nothing equals nothing is no match */
    assert_true(may(p, "admin_or_owner", "admin", "p", "q", false));
    assert_true(may(p, "admin_or_owner", "", "p", "p", false));
    assert_false(may(p, "admin_or_owner", "", "p", "q", false));
    assert_true(may(p, "reader_here", "reader", "p", "p", false));
    assert_false(may(p, "reader_here", "member", "p", "p", false));
    assert_true(may(p, "not_reader", "member", "p", NULL, false));
    assert_false(may(p, "not_reader", "reader", "p", NULL, false));
    assert_true(may(p, "grouped", "a", "p", NULL, false));
    assert_true(may(p, "grouped", "b", "p", NULL, false));
    assert_false(may(p, "grouped", "a,c", "p", NULL, false));
    assert_false(may(p, "grouped", "d", "p", NULL, false));
    assert_true(may(p, "always", "", NULL, NULL, false));
    assert_true(may(p, "at", "", NULL, NULL, false));
    assert_false(may(p, "never", "admin", "p", "p", true));
    assert_true(may(p, "system", "reader", NULL, NULL, true));
    assert_false(may(p, "system", "reader", NULL, NULL, false));
    assert_true(may(p, "none_owner", "", "p", NULL, false));
    policy_free(p);
}

static void literals(void **state)
{
    (void)state;
    struct policy *p = make(NULL);
    struct auth auth = { 0 };
    struct pair public = { "visibility", "public" }, private = { "visibility", "private" };
    struct strmap yes = { &public, 1, 1 }, no = { &private, 1, 1 };
    assert_true(policy_check(p, "literal", &auth, &yes));
    assert_false(policy_check(p, "literal", &auth, &no));
    assert_false(policy_check(p, "literal", &auth, NULL));
    policy_free(p);
}

static const char *write_file(const char *text)
{
    static char path[64];
    (void)snprintf(path, sizeof(path), "/tmp/yunduo-policy-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    return path;
}

static void overrides(void **state)
{
    (void)state;
    const char *path = write_file("# ours\n\n\"admin\": \"role:operator\"\n'never' : 'rule:admin'\n");
    struct policy *p = make(path);
    assert_true(may(p, "admin", "operator", "p", NULL, false));
    assert_false(may(p, "admin", "admin", "p", NULL, false));
    assert_true(may(p, "never", "operator", "p", NULL, false));
    assert_true(may(p, "admin_or_owner", "operator", "p", "q", false));
    policy_free(p);
    assert_int_equal(unlink(path), 0);
}

static void refused(const char *text, const char *line, const char *says)
{
    const char *path = write_file(text);
    struct policy *p = NULL;
    struct fault f = { 0 };
    char where[96];
    (void)snprintf(where, sizeof(where), "%s:%s:", path, line);
    assert_int_equal(policy_new(SERVICES, path, &p, &f), FAULT);
    assert_null(p);
    if (*line)
        assert_non_null(strstr(f.message, where));
    assert_non_null(strstr(f.message, says));
    assert_int_equal(unlink(path), 0);
}

static void errors(void **state)
{
    (void)state;
    refused("\"admin\": \"role:x\"\n\"nobody:knows\": \"@\"\n", "2", "nobody:knows");
    refused("\"admin\": \"role:x and\"\n", "1", "can't be read");
    refused("\"admin\": \"(role:x\"\n", "1", "can't be read");
    refused("\"admin\": \"role:x role:y\"\n", "1", "can't be read");
    refused("admin: role:x\n", "1", "expected");
    refused("\"admin\": \"rule:gone\"\n", "", "\"gone\", which there is not");
    struct policy *p = NULL;
    struct fault f = { 0 };
    assert_int_equal(policy_new(SERVICES, "/nonexistent/policy", &p, &f), FAULT);
    assert_non_null(strstr(f.message, "/nonexistent/policy"));
}

static void loops_end(void **state)
{
    (void)state;
    const char *path = write_file("\"admin\": \"rule:owner\"\n\"owner\": \"rule:admin\"\n");
    struct policy *p = make(path);
    assert_false(may(p, "admin", "admin", "p", "p", false));
    policy_free(p);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(language), cmocka_unit_test(literals), cmocka_unit_test(overrides),
        cmocka_unit_test(errors),   cmocka_unit_test(loops_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
