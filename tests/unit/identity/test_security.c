/* Password rules, lockout, expiry, history, factors: what an operator can ask for. */
#include "world.h"

static void strict(struct cloud_config *c)
{
    c->lockout_attempts = 3;
    c->lockout_seconds = 60;
    c->password_history = 2;
    c->password_expires_days = 30;
    c->password_min_age_days = 1;
    c->password_regex = "^.{4,}$";
    c->password_regex_description = "four characters";
    c->user_inactive_days = 90;
}

static void strict_first(struct cloud_config *c)
{
    strict(c);
    c->change_password_first = true;
}

static const char *new_user(struct world *w, const char *more)
{
    return make(w, "users", "user", "{'name': 'u', 'password': 'pass0'%s}", more);
}

static int change(struct world *w, const char *user, const char *old, const char *new)
{
    return call(w, NULL, "POST",
                format(w, "{'user': {'original_password': '%s', 'password': '%s'}}", old, new),
                "/users/%s/password", user);
}

static void guesses_lock(void **state)
{
    struct world *w = *state;
    const char *u = new_user(w, "");
    for (int i = 0; i < 2; i++)
        assert_null(login(w, u, "guess", NULL));
    assert_non_null(login(w, u, "pass0", NULL)); /* forgets the guesses */
    for (int i = 0; i < 3; i++)
        assert_null(login(w, u, "guess", NULL));
    assert_null(login(w, u, "pass0", NULL)); /* locked, though remembered */
    clock_advance(SECONDS(60));
    assert_non_null(login(w, u, "pass0", NULL));
    for (int i = 0; i < 3; i++)
        assert_null(login(w, u, "guess", NULL));
    EXPECT(w, 200, w->admin, "PATCH", "{'user': {'password': 'reset'}}", "/users/%s", u);
    assert_non_null(login(w, u, "reset", NULL)); /* an administrator unlocks */
    for (int i = 0; i < 3; i++)
        assert_int_equal(change(w, u, "guess", "mine"), 401);
    assert_null(login(w, u, "reset", NULL)); /* guesses count wherever they are made */
    assert_int_equal(change(w, u, "reset", "mine"), 401);
}

static void some_are_never_locked(void **state)
{
    struct world *w = *state;
    const char *u = new_user(w, ", 'options': {'ignore_lockout_failure_attempts': true}");
    for (int i = 0; i < 5; i++)
        assert_null(login(w, u, "guess", NULL));
    assert_non_null(login(w, u, "pass0", NULL));
}

static void a_guess_does_not_empty_the_cache(void **state)
{
    struct world *w = *state;
    const char *u = new_user(w, "");
    const char *t = login(w, u, "pass0", NULL);
    assert_null(login(w, u, "guess", NULL));
    assert_int_equal(validate(w, t), 200);
}

static void passwords_differ_and_age(void **state)
{
    struct world *w = *state;
    const char *u = new_user(w, "");
    assert_int_equal(change(w, u, "pass0", "pass0"), 400);
    assert_int_equal(change(w, u, "pass0", "abc"), 400);
    assert_non_null(strstr(text_at(w, "error.message"), "four characters"));
    /* set by an administrator: may be changed at once */
    assert_int_equal(change(w, u, "pass0", "pass1"), 204);
    assert_int_equal(change(w, u, "pass1", "pass2"), 400);
    assert_non_null(strstr(text_at(w, "error.message"), "minimum password age"));
    clock_advance(DAYS(1));
    assert_int_equal(change(w, u, "pass1", "pass0"), 400);
    assert_non_null(strstr(text_at(w, "error.message"), "previous password"));
    assert_int_equal(change(w, u, "pass1", "pass2"), 204);
    clock_advance(DAYS(1));
    assert_int_equal(change(w, u, "pass2", "pass0"), 204); /* two others lie between */
    clock_advance(DAYS(30));
    assert_null(login(w, u, "pass0", NULL));
    assert_non_null(strstr(text_at(w, "error.message"), "expired"));
    assert_null(login(w, u, "guess", NULL));
    assert_null(strstr(text_at(w, "error.message"), "expired")); /* that's told to who knows it only */
    assert_int_equal(change(w, u, "pass0", "pass9"), 204);
    assert_non_null(login(w, u, "pass9", NULL));
}

static void first_use_changes(void **state)
{
    struct world *w = *state;
    const char *u = new_user(w, "");
    assert_null(login(w, u, "pass0", NULL));
    assert_int_equal(change(w, u, "pass0", "mine"), 204);
    assert_non_null(login(w, u, "mine", NULL));
}

static void who_stays_away_is_out(void **state)
{
    struct world *w = *state;
    const char *u = new_user(w, ", 'options': {'ignore_password_expiry': true}");
    clock_advance(DAYS(80));
    assert_non_null(login(w, u, "pass0", NULL));
    clock_advance(DAYS(80));
    assert_non_null(login(w, u, "pass0", NULL));
    clock_advance(DAYS(91));
    assert_null(login(w, u, "pass0", NULL));
}

static void locked_passwords_stay(void **state)
{
    struct world *w = *state;
    const char *u = new_user(w, ", 'options': {'lock_password': true}");
    assert_int_equal(change(w, u, "pass0", "pass1"), 400);
    EXPECT(w, 400, w->admin, "PATCH", "{'user': {'options': {'no_such': true}}}", "/users/%s", u);
    EXPECT(w, 200, w->admin, "PATCH", "{'user': {'options': {'lock_password': null}}}", "/users/%s", u);
    assert_int_equal(change(w, u, "pass0", "pass1"), 204);
}

/* RFC 6238's secret, "12345678901234567890"; the codes are those of an independent implementation. */
static void two_factors(void **state)
{
    struct world *w = *state;
    const char *u = new_user(w, ", 'options': {'multi_factor_auth_enabled': true,"
                                " 'multi_factor_auth_rules': [['password', 'totp']]}");
    make(w, "credentials", "credential",
         "{'type': 'totp', 'user_id': '%s', 'blob': "
         "'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'}",
         u);
    static const char BOTH[] =
        "{'auth': {'identity': {'methods': ['password', 'totp'], 'password': {'user': {'id': "
        "'%s', 'password': 'pass0'}}, 'totp': {'user': {'id': '%s', 'passcode': '%s'}}}}}";
    clock_fake(SECONDS(1111111109)); /* RFC 6238, appendix B: 07081804 */
    assert_null(login(w, u, "pass0", NULL));
    EXPECT(w, 401, NULL, "POST", format(w, BOTH, u, u, "081805"), "/auth/tokens");
    EXPECT(w, 201, NULL, "POST", format(w, BOTH, u, u, "081804"), "/auth/tokens");
    assert_int_equal(count_at(w, "token.methods"), 2);
    clock_advance(SECONDS(2)); /* the next interval; the last one's code is still taken */
    EXPECT(w, 201, NULL, "POST", format(w, BOTH, u, u, "081804"), "/auth/tokens");
    clock_advance(SECONDS(30));
    EXPECT(w, 401, NULL, "POST", format(w, BOTH, u, u, "081804"), "/auth/tokens");
}

static void no_secret_is_shown(void **state)
{
    struct world *w = *state;
    const char *u = new_user(w, ", 'email': 'a@example.org'");
    EXPECT(w, 200, w->admin, "GET", NULL, "/users/%s", u);
    assert_string_equal(text_at(w, "user.email"), "a@example.org");
    assert_null(strstr(buf_text(&w->body), "pass"
                                           "word\""));
    assert_null(strstr(buf_text(&w->body), "$2b$"));
    assert_null(node_at(w, "user.valid_from"));
    EXPECT(w, 400, w->admin, "POST", "{'user': {'name': 'v', 'password': 77777}}", "/users");
    assert_null(strstr(buf_text(&w->body), "77777"));
}

static int strict_up(void **state)
{
    *state = world_new(strict);
    return 0;
}

static int first_up(void **state)
{
    *state = world_new(strict_first);
    return 0;
}

static int plain_up(void **state)
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
        cmocka_unit_test_setup_teardown(guesses_lock, strict_up, down),
        cmocka_unit_test_setup_teardown(some_are_never_locked, strict_up, down),
        cmocka_unit_test_setup_teardown(a_guess_does_not_empty_the_cache, strict_up, down),
        cmocka_unit_test_setup_teardown(passwords_differ_and_age, strict_up, down),
        cmocka_unit_test_setup_teardown(first_use_changes, first_up, down),
        cmocka_unit_test_setup_teardown(who_stays_away_is_out, strict_up, down),
        cmocka_unit_test_setup_teardown(locked_passwords_stay, plain_up, down),
        cmocka_unit_test_setup_teardown(two_factors, plain_up, down),
        cmocka_unit_test_setup_teardown(no_secret_is_shown, plain_up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
