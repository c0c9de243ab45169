/*
 * Credentials: secrets that belong to a user, such as EC2 keys and TOTP seeds.
 *
 * EC2 keys have an API of their own too; both see the same objects. A key that was made with a
 * token of a trust or an application credential stays bound to it: tokens got by the key carry no
 * more than that token did.
 */
#include "identity/internal.h"

#include <errno.h>

static bool delegated(const struct call *c)
{
    const struct token_info *i = auth_info(c->auth);
    return i && (i->payload.trust_id || i->payload.app_cred_id);
}

/* A delegated token stays within its project. */
static int within_scope(struct call *c, const char *project_id)
{
    if (!delegated(c) || str_eq(project_id, c->auth->project_id))
        return 0;
    return forbidden(c, "Credential project does not match the project scope of the delegated token");
}

static int allowed(struct call *c, const char *rule, const char *user_id)
{
    struct strmap m = { 0 };
    (void)vec_push(c->arena, &m, ((struct pair){ "target.credential.user_id", str_or(user_id, "") }));
    return call_require(c, rule, &m);
}

static int credential_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    const struct credential *x = object;
    (void)full;
    json_put_string(o, "blob", x->blob);
    put_extra(o, x->extra);
    put_self(c, o, "credentials", x->head.id);
    return 0;
}

static int credential_scope(struct call *c, struct query *q)
{
    int r = allowed(c, "identity:list_credentials", c->auth->user_id);
    struct strmap nobody = { 0 };
    (void)vec_push(c->arena, &nobody, ((struct pair){ "target.credential.user_id", "" }));
    if (r == 0 && !call_allowed(c, "identity:get_credential", &nobody) &&
        !query_where(q, c->arena, "user_id", Q_EQ, c->auth->user_id))
        return -ENOMEM;
    if (r == 0 && delegated(c) &&
        !query_where(q, c->arena, "project_id", Q_EQ, str_or(c->auth->project_id, "")))
        return -ENOMEM;
    return r;
}

static bool any_credential(struct call *c, const void *object)
{
    (void)c;
    (void)object;
    return true;
}

/* Reads an ec2 blob. FAULT 400 when it is none. */
static int read_blob(struct call *c, struct credential *x, json_t **ret)
{
    char why[200];
    *ret = json_parse(str_or(x->blob, ""), strlen(str_or(x->blob, "")), why, sizeof(why));
    if (!json_is_object(*ret))
        return bad_request(c, "Invalid blob in credential");
    x->access_key = json_get_string(*ret, "access");
    if (str_empty(x->access_key))
        return bad_request(c, "Expecting to find access in credential.");
    x->access_key = arena_strdup(c->arena, x->access_key);
    return 0;
}

static int refuse_taken(struct call *c, const char *access_key)
{
    struct credential *other;
    int r = txn_find_by(c->txn, &IDENTITY_CREDENTIAL_KIND, "access_key", access_key, &other);
    if (r == 0 && other)
        return conflict(c, "Conflict occurred attempting to store credential - Duplicate entry.");
    return r;
}

/* Binds an ec2 key to what its maker's token is bound to. */
static int bind(struct call *c, struct credential *x)
{
    const struct token_info *i = auth_info(c->auth);
    _cleanup_(json_decrefp) json_t *blob = NULL;
    if (!x->project_id)
        return bad_request(c, "EC2 credentials require a project_id");
    int r = refuse_restricted(c);
    if (r == 0)
        r = read_blob(c, x, &blob);
    if (r)
        return r;
    r = refuse_taken(c, x->access_key);
    if (r == 0 && i) {
        x->trust_id = i->payload.trust_id;
        x->app_cred_id = i->payload.app_cred_id;
    }
    return r;
}

static int credential_create(struct call *c, void *object)
{
    struct credential *x = object;
    struct user *u;
    if (!GIVEN(&c->given, &CREDENTIAL_SCHEMA, struct credential, project_id))
        x->project_id = NULL; /* the caller's own project is no default here */
    int r = allowed(c, "identity:create_credential", x->user_id);
    if (r == 0)
        r = need(c, &IDENTITY_USER_KIND, "user", x->user_id, &u);
    if (r == 0)
        r = within_scope(c, x->project_id);
    if (r == 0 && STREQ(x->type, "ec2"))
        r = bind(c, x);
    return r ? r : extra_merge(c, &CREDENTIAL_SCHEMA, NULL, &x->extra);
}

static int credential_update(struct call *c, const void *before, void *object)
{
    const struct credential *old = before;
    struct credential *x = object;
    int r = allowed(c, "identity:update_credential", old->user_id);
    if (r == 0)
        r = allowed(c, "identity:update_credential", x->user_id);
    if (r == 0)
        r = within_scope(c, old->project_id);
    if (r == 0)
        r = within_scope(c, x->project_id);
    if (r == 0 && STREQ(x->type, "ec2")) {
        _cleanup_(json_decrefp) json_t *blob = NULL;
        r = read_blob(c, x, &blob);
        if (r == 0 && !str_eq(x->access_key, old->access_key))
            r = refuse_taken(c, x->access_key);
    }
    return r ? r : extra_merge(c, &CREDENTIAL_SCHEMA, old->extra, &x->extra);
}

static int credential_remove(struct call *c, void *object)
{
    const struct credential *x = object;
    int r = allowed(c, "identity:delete_credential", x->user_id);
    return r ? r : within_scope(c, x->project_id);
}

const struct resource CREDENTIAL_RESOURCE = {
    .one = "credential",
    .many = "credentials",
    .kind = &IDENTITY_CREDENTIAL_KIND,
    .title = "Credential",
    .not_found = "NotFound",
    .not_found_noun = "credential",
    .scope = credential_scope,
    .visible = any_credential,
    .filter = filter_operators,
    .render = credential_render,
    .create = credential_create,
    .update = credential_update,
    .remove = credential_remove,
    .hex_ids = true,
};

int credential_show(struct call *c)
{
    struct credential *x;
    int r = call_read(c);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_CREDENTIAL_KIND, call_param(c, "id"), &x);
    if (r == 0)
        r = allowed(c, "identity:get_credential", x ? x->user_id : NULL);
    if (r == 0 && !x)
        return not_found(c, "credential", call_param(c, "id"));
    if (r == 0)
        r = within_scope(c, x->project_id);
    return r ? r : resource_render_one(c, &CREDENTIAL_RESOURCE, x);
}

/* ---- the EC2 face ---- */

static void put_ec2(struct call *c, const struct credential *x)
{
    char why[200];
    _cleanup_(json_decrefp) json_t *blob = json_parse(x->blob, strlen(x->blob), why, sizeof(why));
    json_open_object(&c->out);
    json_put_string(&c->out, "user_id", x->user_id);
    json_put_string(&c->out, "tenant_id", x->project_id);
    json_put_string(&c->out, "access", x->access_key);
    json_put_string(&c->out, "secret", json_get_string(blob, "secret"));
    json_put_string(&c->out, "trust_id", x->trust_id);
    json_put_object(&c->out, "links");
    json_put_string(&c->out, "self", v3_url(c, "users/%s/credentials/OS-EC2/%s", x->user_id, x->access_key));
    json_close_object(&c->out);
    json_close_object(&c->out);
}

static void put_ec2_one(struct call *c, const struct credential *x)
{
    json_open_object(&c->out);
    json_key(&c->out, "credential");
    put_ec2(c, x);
    json_close_object(&c->out);
}

static int make_ec2(struct call *c)
{
    const char *user_id = call_param(c, "user_id"), *project_id = json_get_string(c->body, "tenant_id");
    const struct token_info *i = auth_info(c->auth);
    struct user *u;
    struct project *p;
    if (!project_id)
        return bad_request(c, "Expecting to find tenant_id in request body.");
    int r = need(c, &IDENTITY_USER_KIND, "user", user_id, &u);
    if (r == 0)
        r = need(c, &IDENTITY_PROJECT_KIND, "project", project_id, &p);
    if (r == 0)
        r = within_scope(c, project_id);
    if (r)
        return r;
    struct credential x = {
        .user_id = user_id, .project_id = project_id, .type = "ec2", .access_key = uuid_hex_new(c->arena)
    };
    x.blob = arena_printf(c->arena, "{\"access\": \"%s\", \"secret\": \"%s\"}", x.access_key,
                          uuid_hex_new(c->arena));
    x.head.id = uuid_hex_new(c->arena);
    if (i) {
        x.trust_id = i->payload.trust_id;
        x.app_cred_id = i->payload.app_cred_id;
    }
    r = txn_put(c->txn, &IDENTITY_CREDENTIAL_KIND, &x);
    if (r == 0)
        put_ec2_one(c, &x);
    return r;
}

int ec2_create(struct call *c)
{
    int r = allowed(c, "identity:ec2_create_credential", call_param(c, "user_id"));
    if (r == 0)
        r = refuse_restricted(c);
    return r ? r : call_write(c, make_ec2);
}

int ec2_list(struct call *c)
{
    struct query q = { .kind = &IDENTITY_CREDENTIAL_KIND };
    struct results l = { 0 };
    struct user *u;
    int r = allowed(c, "identity:ec2_list_credentials", call_param(c, "user_id"));
    if (r == 0)
        r = call_read(c);
    if (r == 0)
        r = need(c, &IDENTITY_USER_KIND, "user", call_param(c, "user_id"), &u);
    if (r)
        return r;
    if (!query_where(&q, c->arena, "user_id", Q_EQ, u->head.id) ||
        !query_where(&q, c->arena, "type", Q_EQ, "ec2"))
        return -ENOMEM;
    r = txn_list(c->txn, &q, &l);
    list_open(c, "credentials");
    for (size_t i = 0; i < l.n; i++)
        if (!delegated(c) || str_eq(((struct credential *)l.v[i])->project_id, c->auth->project_id))
            put_ec2(c, l.v[i]);
    list_close(c);
    return r;
}

/* The key of the path, of whoever it is: the rule is asked about its owner, not about the path. */
static int ec2_find(struct call *c, const char *rule, struct credential **ret)
{
    int r = call_read(c);
    if (r == 0)
        r = txn_find_by(c->txn, &IDENTITY_CREDENTIAL_KIND, "access_key", call_param(c, "access"), ret);
    if (r == 0)
        r = allowed(c, rule, *ret ? (*ret)->user_id : call_param(c, "user_id"));
    if (r == 0 && (!*ret || !STREQ((*ret)->user_id, call_param(c, "user_id"))))
        return not_found(c, "credential", call_param(c, "access"));
    return r ? r : within_scope(c, (*ret)->project_id);
}

int ec2_show(struct call *c)
{
    struct credential *x;
    int r = ec2_find(c, "identity:ec2_get_credential", &x);
    if (r == 0)
        put_ec2_one(c, x);
    return r;
}

static int drop_ec2(struct call *c)
{
    struct credential *x;
    int r = ec2_find(c, "identity:ec2_delete_credential", &x);
    c->status = 204;
    return r ? r : txn_delete(c->txn, &IDENTITY_CREDENTIAL_KIND, x->head.id);
}

int ec2_delete(struct call *c)
{
    return call_write(c, drop_ec2);
}
