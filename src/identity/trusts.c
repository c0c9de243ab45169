/*
 * Trusts: one user lets another act with some of his roles on one project.
 *
 * A trust made with a token of a trust passes it on: it can't reach further, live longer or hold
 * more roles than the one it comes from, and it ends with it. Deleted trusts are gone.
 */
#include "identity/internal.h"

#include <errno.h>

#define REDELEGATION_MAX 3

static int refuse_app_creds(struct call *c)
{
    const struct token_info *i = auth_info(c->auth);
    if (!i || !i->payload.app_cred_id)
        return 0;
    return forbidden(c, "Using method 'application_credential' is not allowed for managing trusts");
}

static int allowed(struct call *c, const char *rule, const struct trust *x)
{
    struct strmap m = { 0 };
    (void)vec_push(c->arena, &m,
                   ((struct pair){ "target.trust.trustor_user_id", str_or(x->trustor_user_id, "") }));
    (void)vec_push(c->arena, &m,
                   ((struct pair){ "target.trust.trustee_user_id", str_or(x->trustee_user_id, "") }));
    int r = call_require(c, rule, &m);
    return r ? r : refuse_app_creds(c);
}

/* ---- rendering ---- */

static int put_role(struct call *c, const char *id)
{
    struct role *x;
    int r = txn_get(c->txn, &IDENTITY_ROLE_KIND, id, &x);
    return r < 0 || !x ? r : resource_render(c, &ROLE_RESOURCE, x, true, NULL, &c->out);
}

static void put_links(struct call *c, const char *key, const char *url)
{
    json_put_object(&c->out, key);
    json_put_string(&c->out, "self", url);
    json_put_null(&c->out, "next");
    json_put_null(&c->out, "previous");
    json_close_object(&c->out);
}

static int put_trust(struct call *c, const struct trust *x, bool roles)
{
    struct encode_options opt = call_encoding(c);
    char text[TIME_TEXT_SIZE];
    int r = 0;
    json_open_object(&c->out);
    schema_encode_members(&TRUST_SCHEMA, x, &opt, &c->out);
    json_put_string(&c->out, "expires_at",
                    x->expires_at ? time_format(x->expires_at, TIME_ISO_MICRO_Z, text) : NULL);
    if (roles) {
        json_put_array(&c->out, "roles");
        for (size_t i = 0; i < x->role_ids.n && r == 0; i++)
            r = put_role(c, x->role_ids.v[i]);
        json_close_array(&c->out);
        put_links(c, "roles_links", v3_url(c, "OS-TRUST/trusts/%s/roles", x->head.id));
    }
    put_self(c, &c->out, "OS-TRUST/trusts", x->head.id);
    json_close_object(&c->out);
    return r;
}

static int put_one(struct call *c, const struct trust *x)
{
    json_open_object(&c->out);
    json_key(&c->out, "trust");
    int r = put_trust(c, x, true);
    json_close_object(&c->out);
    return r;
}

/* ---- read ---- */

static bool alive(const struct trust *x)
{
    return x && !x->deleted_at && x->remaining_uses != 0 && (!x->expires_at || x->expires_at > clock_wall());
}

static int find(struct call *c, const char *rule, struct trust **ret)
{
    int r = call_read(c);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_TRUST_KIND, call_param(c, "id"), ret);
    if (r == 0 && !alive(*ret))
        return not_found(c, "trust", call_param(c, "id"));
    return r ? r : allowed(c, rule, *ret);
}

int trust_show(struct call *c)
{
    struct trust *x;
    int r = find(c, "identity:get_trust", &x);
    return r ? r : put_one(c, x);
}

int trust_list(struct call *c)
{
    const char *trustor = call_arg(c, "trustor_user_id"), *trustee = call_arg(c, "trustee_user_id");
    struct trust asked = { .trustor_user_id = trustor, .trustee_user_id = trustee };
    struct query q = { .kind = &IDENTITY_TRUST_KIND };
    struct results l = { 0 };
    int r = 0;
    if (trustor)
        r = allowed(c, "identity:list_trusts_for_trustor", &asked);
    if (r == 0 && trustee)
        r = allowed(c, "identity:list_trusts_for_trustee", &asked);
    if (r == 0 && !trustor && !trustee)
        r = allowed(c, "identity:list_trusts", &asked);
    if (r == 0)
        r = call_read(c);
    if (r)
        return r;
    if (trustor)
        (void)query_where(&q, c->arena, "trustor_user_id", Q_EQ, trustor);
    if (trustee)
        (void)query_where(&q, c->arena, "trustee_user_id", Q_EQ, trustee);
    r = txn_list(c->txn, &q, &l);
    list_open(c, "trusts");
    for (size_t i = 0; i < l.n && r == 0; i++)
        if (alive(l.v[i]))
            r = put_trust(c, l.v[i], false);
    list_close(c);
    return r;
}

int trust_roles(struct call *c)
{
    struct trust *x;
    int r = find(c, "identity:list_roles_for_trust", &x);
    if (r)
        return r;
    list_open(c, "roles");
    for (size_t i = 0; i < x->role_ids.n && r == 0; i++)
        r = put_role(c, x->role_ids.v[i]);
    list_close(c);
    return r;
}

int trust_role(struct call *c)
{
    struct trust *x;
    struct role *role;
    int r = find(c, "identity:get_role_for_trust", &x);
    if (r)
        return r;
    if (!strv_has(&x->role_ids, call_param(c, "role_id")))
        return not_found(c, "role", call_param(c, "role_id"));
    r = need(c, &IDENTITY_ROLE_KIND, "role", call_param(c, "role_id"), &role);
    if (r || STREQ(c->http->method, "HEAD"))
        return r;
    return resource_render_one(c, &ROLE_RESOURCE, role);
}

/* ---- create ---- */

static int deny(struct call *c, const char *message)
{
    return call_fault(c, 403, "Forbidden", "%s", message);
}

/* The new trust against one that it comes from. */
static int within_parent(struct call *c, const struct trust *parent, struct trust *x)
{
    if (parent->redelegation_count <= 0 || parent->redelegation_count > REDELEGATION_MAX)
        return deny(c, "Remaining redelegation depth of 0 out of allowed range of [0..3]");
    if (x->remaining_uses != INT_NULL)
        return deny(
            c, "Field \"remaining_uses\" is set while it must not be set in order to redelegate a trust");
    if (!x->expires_at)
        x->expires_at = parent->expires_at;
    else if (parent->expires_at && parent->expires_at < x->expires_at)
        return deny(c, "Requested expiration time is more than redelegated trust can provide");
    for (size_t i = 0; i < x->role_ids.n; i++)
        if (!strv_has(&parent->role_ids, x->role_ids.v[i]))
            return deny(c, "Some of requested roles are not in redelegated trust");
    if (!parent->impersonation && x->impersonation)
        return deny(c,
                    "Impersonation is not allowed because redelegated trust does not specify impersonation.");
    return 0;
}

static int settle_redelegation(struct call *c, struct trust *x, const struct trust *parent)
{
    bool asked = x->redelegation_count != INT_NULL;
    int64_t left = parent ? parent->redelegation_count - 1 : REDELEGATION_MAX;
    if (!x->allow_redelegation || x->redelegation_count == 0) {
        x->redelegation_count = 0;
        return 0;
    }
    if (x->remaining_uses != INT_NULL)
        return bad_request(c, "remaining_uses must not be set if redelegation is allowed");
    if (asked && x->redelegation_count > REDELEGATION_MAX)
        return call_fault(c, 403, "Forbidden",
                          "Requested redelegation depth of %lld is greater than allowed %d",
                          (long long)x->redelegation_count, REDELEGATION_MAX);
    if (parent && asked && x->redelegation_count != left)
        return deny(
            c, "Modifying \"redelegation_count\" upon redelegation is forbidden. Omitting this parameter is "
               "advised.");
    if (!asked)
        x->redelegation_count = left;
    return 0;
}

/* The roles by id, all of which the first trustor has on the project. */
static int settle_roles(struct call *c, struct trust *x, const char *first_trustor)
{
    struct ref_list have = { 0 };
    int r = x->project_id ? effective_roles(c->api, c->txn, c->arena, first_trustor, SCOPE_PROJECT,
                                            x->project_id, &have)
                          : 0;
    x->role_ids = (struct strv){ 0 };
    VEC_FOREACH (want, &x->roles) {
        const char *id = want->id;
        if (!id && want->name && r == 0) {
            struct role *role;
            r = txn_find_by(c->txn, &IDENTITY_ROLE_KIND, "name_key",
                            folded(c->arena, arena_printf(c->arena, "-/%s", want->name)), &role);
            if (r == 0 && !role)
                return not_found(c, "role", want->name);
            id = r == 0 ? role->head.id : NULL;
        }
        if (r)
            return r;
        if (!id)
            return bad_request(c, "Invalid input for field 'roles': a role is named by its id or its name");
        if (!ref_list_has(&have, id))
            return not_found(c, "role", id);
        if (!strv_has(&x->role_ids, id))
            (void)strv_add(c->arena, &x->role_ids, id);
    }
    return r;
}

static int make(struct call *c)
{
    struct trust x = *(struct trust *)c->in;
    const struct token_info *i = auth_info(c->auth);
    struct trust *parent = NULL;
    struct user *trustee;
    struct project *p;
    const char *first = x.trustor_user_id;
    int r = need(c, &IDENTITY_USER_KIND, "user", x.trustee_user_id, &trustee);
    if (r == 0 && x.project_id)
        r = need(c, &IDENTITY_PROJECT_KIND, "project", x.project_id, &p);
    if (r == 0 && i && i->payload.trust_id)
        r = need(c, &IDENTITY_TRUST_KIND, "trust", i->payload.trust_id, &parent);
    for (const struct trust *t = parent; t && r == 0;) {
        struct trust *above = NULL;
        first = t->trustor_user_id;
        r = t->redelegated_trust_id ? txn_get(c->txn, &IDENTITY_TRUST_KIND, t->redelegated_trust_id, &above)
                                    : 0;
        t = above;
    }
    if (r == 0)
        r = settle_roles(c, &x, first);
    if (r == 0)
        r = settle_redelegation(c, &x, parent);
    if (r == 0 && parent) {
        x.redelegated_trust_id = parent->head.id;
        r = within_parent(c, parent, &x);
    } else if (r == 0 && x.redelegated_trust_id) {
        return deny(c, "Redelegation allowed for delegated by trust only");
    }
    x.head.id = uuid_hex_new(c->arena);
    x.deleted_at = 0;
    if (r == 0)
        r = txn_put(c->txn, &IDENTITY_TRUST_KIND, &x);
    return r ? r : put_one(c, &x);
}

int trust_create(struct call *c)
{
    const struct trust *in = c->in;
    int r = allowed(c, "identity:create_trust", in);
    if (r)
        return r;
    if (in->project_id && !in->roles.n)
        return call_fault(c, 403, "Forbidden", "At least one role should be specified.");
    if (in->roles.n && !in->project_id)
        return bad_request(c, "Expecting to find project_id in trust.");
    if (in->expires_at && in->expires_at <= clock_wall())
        return call_fault(
            c, 400, "ValidationExpirationError",
            "The 'expires_at' must not be before now. The server could not comply with the request "
            "since it is either malformed or otherwise incorrect. The client is assumed to be in "
            "error.");
    return call_write(c, make);
}

/* ---- delete ---- */

/* It, and those that come from it. */
static int drop_tree(struct call *c, const char *id)
{
    struct results below = { 0 };
    int r = list_where(c->txn, &IDENTITY_TRUST_KIND, "redelegated_trust_id", id, &below);
    for (size_t i = 0; i < below.n && r == 0; i++)
        r = drop_tree(c, ((const struct object *)below.v[i])->id);
    if (r == 0)
        r = delete_where(c->txn, &IDENTITY_CREDENTIAL_KIND, "trust_id", id);
    return r ? r : txn_delete(c->txn, &IDENTITY_TRUST_KIND, id);
}

static int drop(struct call *c)
{
    struct trust *x;
    int r = find(c, "identity:delete_trust", &x);
    c->status = 204;
    return r ? r : drop_tree(c, x->head.id);
}

int trust_delete(struct call *c)
{
    return call_write(c, drop);
}
