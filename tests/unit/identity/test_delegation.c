/* Acting for others: application credentials with access rules, trusts, signed requests. */
#include "world.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

struct people {
    const char *project, *ann, *bob, *token; /* ann is a member of the project; the token is hers */
};

static struct people people(struct world *w)
{
    struct people x = { .project = make(w, "projects", "project", "{'name': 'p'}"),
                        .ann = make(w, "users", "user", "{'name': 'ann', 'password': 'x'}"),
                        .bob = make(w, "users", "user", "{'name': 'bob', 'password': 'x'}") };
    grant(w, "projects", x.project, x.ann, "member");
    x.token = login(w, x.ann, "x", "'project': {'id': '%s'}", x.project);
    assert_non_null(x.token);
    return x;
}

static const char *by_cred(struct world *w, const char *id, const char *secret)
{
    int status = call(w, NULL, "POST",
                      format(w,
                             "{'auth': {'identity': {'methods': ['application_credential'],"
                             " 'application_credential': {'id': '%s', 'secret': '%s'}}}}",
                             id, secret),
                      "/auth/tokens");
    return status == 201 ? format(w, "%s", strmap_get(&w->reply.headers, "x-subject-token")) : NULL;
}

static void application_credentials(void **state)
{
    struct world *w = *state;
    struct people x = people(w);
    EXPECT(w, 201, x.token, "POST",
           "{'application_credential': {'name': 'c', 'roles': [{'name': 'reader'}],"
           " 'expires_at': '2027-01-15T10:00:00'}}",
           "/users/%s/application_credentials", x.ann);
    const char *id = text_at(w, "application_credential.id"),
               *secret = text_at(w, "application_credential.secret");
    assert_non_null(secret);
    assert_string_equal(text_at(w, "application_credential.expires_at"), "2027-01-15T10:00:00.000000");
    EXPECT(w, 200, x.token, "GET", NULL, "/users/%s/application_credentials/%s", x.ann, id);
    assert_null(node_at(w, "application_credential.secret"));
    EXPECT(w, 409, x.token, "POST", "{'application_credential': {'name': 'c'}}",
           "/users/%s/application_credentials", x.ann);
    EXPECT(w, 400, x.token, "POST", "{'application_credential': {'name': 'd', 'roles': [{'name': 'admin'}]}}",
           "/users/%s/application_credentials", x.ann);
    EXPECT(w, 403, w->admin, "POST", "{'application_credential': {'name': 'd'}}",
           "/users/%s/application_credentials", x.ann);
    assert_null(by_cred(w, id, "wrong"));
    const char *t = by_cred(w, id, secret);
    assert_non_null(t);
    assert_int_equal(count_at(w, "token.roles"), 1);
    assert_string_equal(text_at(w, "token.roles.0.name"), "reader");
    assert_true(json_is_true(node_at(w, "token.application_credential.restricted")));
    /* A restricted one makes no other, and no token makes it wider. */
    EXPECT(w, 403, t, "POST", "{'application_credential': {'name': 'e'}}",
           "/users/%s/application_credentials", x.ann);
    assert_null(rescope(w, t, "'project': {'id': '%s'}", x.project));
    EXPECT(w, 403, t, "POST",
           format(w,
                  "{'trust': {'trustor_user_id': '%s', 'trustee_user_id': '%s', 'project_id':"
                  " '%s', 'impersonation': false, 'roles': [{'name': 'reader'}]}}",
                  x.ann, x.bob, x.project),
           "/OS-TRUST/trusts");
    /* It ends with its time, also where it is remembered. */
    assert_int_equal(validate(w, t), 200);
    clock_advance(HOURS(2));
    EXPECT(w, 401, t, "GET", NULL, "/users/%s", x.ann);
    assert_null(by_cred(w, id, secret));
}

static void a_role_lost_is_lost_here_too(void **state)
{
    struct world *w = *state;
    struct people x = people(w);
    EXPECT(w, 201, x.token, "POST", "{'application_credential': {'name': 'c', 'secret': 's3cret'}}",
           "/users/%s/application_credentials", x.ann);
    const char *id = text_at(w, "application_credential.id"), *t = by_cred(w, id, "s3cret");
    assert_int_equal(validate(w, t), 200);
    EXPECT(w, 204, w->admin, "DELETE", NULL, "/projects/%s/users/%s/roles/%s", x.project, x.ann,
           role_id(w, "member"));
    assert_int_equal(validate(w, t), 404);
    assert_null(by_cred(w, id, "s3cret"));
}

static void access_rules_bind(void **state)
{
    struct world *w = *state;
    struct people x = people(w);
    EXPECT(w, 201, x.token, "POST",
           "{'application_credential': {'name': 'c', 'secret': 's', 'access_rules': ["
           "{'service': 'identity', 'method': 'GET', 'path': '/v3/users/{id}'},"
           "{'service': 'identity', 'method': 'GET', 'path': '/v3/auth/**'}]}}",
           "/users/%s/application_credentials", x.ann);
    const char *id = text_at(w, "application_credential.id");
    const char *rule = text_at(w, "application_credential.access_rules.0.id");
    const char *t = by_cred(w, id, "s");
    EXPECT(w, 200, t, "GET", NULL, "/users/%s", x.ann);
    EXPECT(w, 200, t, "GET", NULL, "/auth/projects");
    EXPECT(w, 401, t, "GET", NULL, "/users/%s/projects", x.ann);
    EXPECT(w, 401, t, "GET", NULL, "/projects/%s", x.project);
    EXPECT(w, 401, t, "PATCH", "{'user': {'name': 'y'}}", "/users/%s", x.ann);
    assert_int_equal(validate(w, t), 404); /* by a service that knows nothing of rules */
    EXPECT(w, 200, x.token, "GET", NULL, "/users/%s/access_rules", x.ann);
    assert_int_equal(count_at(w, "access_rules"), 2);
    EXPECT(w, 403, x.token, "DELETE", NULL, "/users/%s/access_rules/%s", x.ann, rule);
    EXPECT(w, 204, x.token, "DELETE", NULL, "/users/%s/application_credentials/%s", x.ann, id);
    EXPECT(w, 204, x.token, "DELETE", NULL, "/users/%s/access_rules/%s", x.ann, rule);
    EXPECT(w, 401, t, "GET", NULL, "/users/%s", x.ann);
}

static void trusts(void **state)
{
    struct world *w = *state;
    struct people x = people(w);
    static const char TRUST[] =
        "{'trust': {'trustor_user_id': '%s', 'trustee_user_id': '%s', 'project_id': '%s',"
        " 'impersonation': %s, 'roles': [{'name': '%s'}]%s}}";
    const char *bobs = login(w, x.bob, "x", NULL);
    EXPECT(w, 403, bobs, "POST", format(w, TRUST, x.ann, x.bob, x.project, "true", "member", ""),
           "/OS-TRUST/trusts");
    EXPECT(w, 404, x.token, "POST", format(w, TRUST, x.ann, x.bob, x.project, "true", "admin", ""),
           "/OS-TRUST/trusts");
    EXPECT(w, 201, x.token, "POST",
           format(w, TRUST, x.ann, x.bob, x.project, "true", "member", ", 'remaining_uses': 1"),
           "/OS-TRUST/trusts");
    const char *id = text_at(w, "trust.id");
    EXPECT(w, 200, bobs, "GET", NULL, "/OS-TRUST/trusts/%s", id);
    EXPECT(w, 403, login(w, make(w, "users", "user", "{'name': 'cid', 'password': 'x'}"), "x", NULL), "GET",
           NULL, "/OS-TRUST/trusts/%s", id);
    assert_null(login(w, x.ann, "x", "'OS-TRUST:trust': {'id': '%s'}", id));
    const char *t = login(w, x.bob, "x", "'OS-TRUST:trust': {'id': '%s'}", id);
    assert_non_null(t);
    assert_string_equal(text_at(w, "token.user.id"), x.ann);
    assert_string_equal(text_at(w, "token.OS-TRUST:trust.trustee_user.id"), x.bob);
    assert_null(login(w, x.bob, "x", "'OS-TRUST:trust': {'id': '%s'}", id)); /* its one use */
    assert_null(rescope(w, t, "'project': {'id': '%s'}", x.project));
    assert_int_equal(w->reply.status, 403);
    EXPECT(w, 403, t, "POST", "{'application_credential': {'name': 'c'}}",
           "/users/%s/application_credentials", x.ann);
    assert_int_equal(validate(w, t), 200);
    clock_advance(1);
    EXPECT(w, 200, w->admin, "PATCH", "{'user': {'enabled': false}}", "/users/%s", x.ann);
    assert_int_equal(validate(w, t), 404);
}

static void trusts_are_passed_on(void **state)
{
    struct world *w = *state;
    struct people x = people(w);
    const char *cid = make(w, "users", "user", "{'name': 'cid', 'password': 'x'}");
    static const char TRUST[] =
        "{'trust': {'trustor_user_id': '%s', 'trustee_user_id': '%s', 'project_id': '%s',"
        " 'impersonation': true, 'allow_redelegation': %s, 'roles': [{'name': '%s'}]}}";
    EXPECT(w, 201, x.token, "POST", format(w, TRUST, x.ann, x.bob, x.project, "true", "reader"),
           "/OS-TRUST/trusts");
    const char *first = text_at(w, "trust.id");
    const char *t = login(w, x.bob, "x", "'OS-TRUST:trust': {'id': '%s'}", first);
    EXPECT(w, 403, t, "POST", format(w, TRUST, x.ann, cid, x.project, "false", "member"), "/OS-TRUST/trusts");
    EXPECT(w, 201, t, "POST", format(w, TRUST, x.ann, cid, x.project, "false", "reader"), "/OS-TRUST/trusts");
    const char *second = text_at(w, "trust.id");
    assert_string_equal(text_at(w, "trust.redelegated_trust_id"), first);
    t = login(w, cid, "x", "'OS-TRUST:trust': {'id': '%s'}", second);
    assert_int_equal(validate(w, t), 200);
    EXPECT(w, 403, t, "POST", format(w, TRUST, x.ann, x.bob, x.project, "false", "reader"),
           "/OS-TRUST/trusts");
    EXPECT(w, 204, x.token, "DELETE", NULL, "/OS-TRUST/trusts/%s", first);
    assert_int_equal(validate(w, t), 404);
    EXPECT(w, 404, w->admin, "GET", NULL, "/OS-TRUST/trusts/%s", second);
}

/* ---- signatures: made here as the protocols' documents say ---- */

static const char *sign_2(struct world *w, const char *secret, const char *text)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n;
    char out[64];
    assert_non_null(
        HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text, strlen(text), mac, &n));
    EVP_EncodeBlock((unsigned char *)out, mac, (int)n);
    return format(w, "%s", out);
}

static void signatures(void **state)
{
    struct world *w = *state;
    struct people x = people(w);
    EXPECT(w, 201, x.token, "POST", format(w, "{'tenant_id': '%s'}", x.project),
           "/users/%s/credentials/OS-EC2", x.ann);
    const char *access = text_at(w, "credential.access"), *secret = text_at(w, "credential.secret");
    EXPECT(w, 200, x.token, "GET", NULL, "/users/%s/credentials/OS-EC2", x.ann);
    assert_int_equal(count_at(w, "credentials"), 1);
    EXPECT(w, 200, x.token, "GET", NULL, "/credentials?type=ec2");
    assert_int_equal(count_at(w, "credentials"), 1);
    EXPECT(w, 403, login(w, x.bob, "x", NULL), "GET", NULL, "/users/%s/credentials/OS-EC2/%s", x.ann, access);

    static const char BODY[] =
        "{'credentials': {'access': '%s', 'signature': '%s', 'host': 'h:8773', 'verb': 'GET',"
        " 'path': '/', 'params': {'Action': 'A b', 'SignatureVersion': '2'}}}";
    const char *right = sign_2(w, secret, "GET\nh\n/\nAction=A%20b&SignatureVersion=2");
    EXPECT(w, 200, w->admin, "POST", format(w, BODY, access, right), "/ec2tokens");
    assert_string_equal(text_at(w, "token.user.id"), x.ann);
    assert_string_equal(text_at(w, "token.methods.0"), "ec2credential");
    const char *t = format(w, "%s", strmap_get(&w->reply.headers, "x-subject-token"));
    assert_int_equal(validate(w, t), 200);
    EXPECT(w, 401, w->admin, "POST", format(w, BODY, access, sign_2(w, "other", "GET\nh\n/\n")),
           "/ec2tokens");
    EXPECT(w, 401, w->admin, "POST", format(w, BODY, "nobody", right), "/ec2tokens");
    EXPECT(w, 403, x.token, "POST", format(w, BODY, access, right), "/ec2tokens");

    /* S3, old style: HMAC-SHA-1 over what "token" says in base64. */
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n;
    char text[64], sum[64];
    EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)"PUT\n\n\n/b/o", 11);
    assert_non_null(
        HMAC(EVP_sha1(), secret, (int)strlen(secret), (const unsigned char *)"PUT\n\n\n/b/o", 11, mac, &n));
    EVP_EncodeBlock((unsigned char *)sum, mac, (int)n);
    EXPECT(
        w, 200, w->admin, "POST",
        format(w, "{'credentials': {'access': '%s', 'token': '%s', 'signature': '%s'}}", access, text, sum),
        "/s3tokens");
    assert_string_equal(text_at(w, "token.project.id"), x.project);

    EXPECT(w, 204, x.token, "DELETE", NULL, "/users/%s/credentials/OS-EC2/%s", x.ann, access);
    EXPECT(w, 401, w->admin, "POST", format(w, BODY, access, right), "/ec2tokens");
}

static void keys_made_by_delegates_stay_bound(void **state)
{
    struct world *w = *state;
    struct people x = people(w);
    EXPECT(w, 201, x.token, "POST",
           "{'application_credential': {'name': 'c', 'secret': 's', 'unrestricted': true}}",
           "/users/%s/application_credentials", x.ann);
    const char *id = text_at(w, "application_credential.id"), *t = by_cred(w, id, "s");
    const char *other = make(w, "projects", "project", "{'name': 'other'}");
    EXPECT(w, 403, t, "POST", format(w, "{'tenant_id': '%s'}", other), "/users/%s/credentials/OS-EC2", x.ann);
    EXPECT(w, 201, t, "POST", format(w, "{'tenant_id': '%s'}", x.project), "/users/%s/credentials/OS-EC2",
           x.ann);
    const char *access = text_at(w, "credential.access");
    EXPECT(w, 204, x.token, "DELETE", NULL, "/users/%s/application_credentials/%s", x.ann, id);
    EXPECT(w, 404, x.token, "GET", NULL, "/users/%s/credentials/OS-EC2/%s", x.ann, access);
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
        WORLD_TEST(application_credentials),
        WORLD_TEST(a_role_lost_is_lost_here_too),
        WORLD_TEST(access_rules_bind),
        WORLD_TEST(trusts),
        WORLD_TEST(trusts_are_passed_on),
        WORLD_TEST(signatures),
        WORLD_TEST(keys_made_by_delegates_stay_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
