/*
 * Application credentials: secrets of programs, with some of their maker's roles on one project,
 * and access rules: what such a program may call.
 *
 * The secret is shown once. Rules are objects of their user's, shared by credentials that name
 * the same service, method and path.
 */
#include "identity/internal.h"

#include <errno.h>

static int refuse_trusts(struct call *c)
{
    const struct token_info *i = auth_info(c->auth);
    if (!i || !i->payload.trust_id)
        return 0;
    return forbidden(c, "Cannot manage application credentials with a token issued via delegation");
}

static int allowed(struct call *c, const char *rule, const char *user_id)
{
    struct strmap m = { 0 };
    (void)vec_push(c->arena, &m, ((struct pair){ "user_id", str_or(user_id, "") }));
    (void)vec_push(c->arena, &m, ((struct pair){ "target.user.id", str_or(user_id, "") }));
    int r = call_require(c, rule, &m);
    return r ? r : refuse_trusts(c);
}

/* ---- rendering ---- */

static int put_roles(struct call *c, const struct strv *ids)
{
    json_put_array(&c->out, "roles");
    for (size_t i = 0; i < ids->n; i++) {
        struct role *x;
        int r = txn_get(c->txn, &IDENTITY_ROLE_KIND, ids->v[i], &x);
        if (r < 0)
            return r;
        if (!x)
            continue;
        json_open_object(&c->out);
        json_put_string(&c->out, "id", x->head.id);
        json_put_string(&c->out, "name", x->name);
        json_put_string(&c->out, "domain_id", x->domain_id);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    return 0;
}

static int put_rules(struct call *c, const struct strv *ids)
{
    struct encode_options opt = call_encoding(c);
    json_put_array(&c->out, "access_rules");
    for (size_t i = 0; i < ids->n; i++) {
        struct access_rule *x;
        int r = txn_get(c->txn, &IDENTITY_ACCESS_RULE_KIND, ids->v[i], &x);
        if (r < 0)
            return r;
        if (x)
            schema_encode(&ACCESS_RULE_SCHEMA, x, &opt, &c->out);
    }
    json_close_array(&c->out);
    return 0;
}

static int put_cred(struct call *c, const struct app_cred *x, const char *secret)
{
    struct encode_options opt = call_encoding(c);
    json_open_object(&c->out);
    schema_encode_members(&APP_CRED_SCHEMA, x, &opt, &c->out);
    json_put_null(&c->out, "system");
    json_put_string(&c->out, "user_id", x->user_id);
    if (secret)
        json_put_string(&c->out, "secret", secret);
    int r = put_roles(c, &x->role_ids);
    if (r == 0 && x->access_rule_ids.n)
        r = put_rules(c, &x->access_rule_ids);
    json_put_object(&c->out, "links");
    json_put_string(&c->out, "self",
                    v3_url(c, "users/%s/application_credentials/%s", x->user_id, x->head.id));
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

static int put_one(struct call *c, const struct app_cred *x, const char *secret)
{
    json_open_object(&c->out);
    json_key(&c->out, "application_credential");
    int r = put_cred(c, x, secret);
    json_close_object(&c->out);
    return r;
}

/* ---- list and show ---- */

int app_cred_list(struct call *c)
{
    struct results l = { 0 };
    struct query q = { .kind = &IDENTITY_APP_CRED_KIND };
    const char *name = call_arg(c, "name");
    int r = allowed(c, "identity:list_application_credentials", call_param(c, "user_id"));
    if (r == 0)
        r = call_read(c);
    if (r)
        return r;
    if (!query_where(&q, c->arena, "user_id", Q_EQ, call_param(c, "user_id")) ||
        (name && !query_where(&q, c->arena, "name", Q_EQ, name)))
        return -ENOMEM;
    r = txn_list(c->txn, &q, &l);
    list_open(c, "application_credentials");
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = put_cred(c, l.v[i], NULL);
    list_close(c);
    return r;
}

/* The rule is asked about whose it is, whatever user the path names. */
static int find(struct call *c, const char *rule, struct app_cred **ret)
{
    int r = call_read(c);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_APP_CRED_KIND, call_param(c, "id"), ret);
    if (r == 0)
        r = allowed(c, rule, *ret ? (*ret)->user_id : call_param(c, "user_id"));
    return r ? r : *ret ? 0 : not_found(c, "application credential", call_param(c, "id"));
}

int app_cred_show(struct call *c)
{
    struct app_cred *x;
    int r = find(c, "identity:get_application_credential", &x);
    return r ? r : put_one(c, x, NULL);
}

static int drop(struct call *c)
{
    struct app_cred *x;
    int r = find(c, "identity:delete_application_credential", &x);
    if (r == 0)
        r = refuse_restricted(c);
    /* Keys that were made with it go along. */
    if (r == 0)
        r = delete_where(c->txn, &IDENTITY_CREDENTIAL_KIND, "app_cred_id", x->head.id);
    c->status = 204;
    return r ? r : txn_delete(c->txn, &IDENTITY_APP_CRED_KIND, x->head.id);
}

int app_cred_delete(struct call *c)
{
    return call_write(c, drop);
}

/* ---- create ---- */

struct making {
    const char *secret, *hash;
};

/* Those asked for, which must be among the token's; or all of the token's. */
static int choose_roles(struct call *c, struct app_cred *x)
{
    VEC_FOREACH (want, &x->roles) {
        size_t i = 0;
        if (!want->id == !want->name)
            return bad_request(c, "Invalid input for field 'roles': a role is named by its id or its name");
        while (i < c->auth->roles.n &&
               !(want->id ? STREQ(want->id, c->auth->role_ids.v[i]) : STREQ(want->name, c->auth->roles.v[i])))
            i++;
        if (i == c->auth->roles.n)
            return call_fault(c, 400, "ApplicationCredentialValidationError",
                              "Invalid application credential: "
                              "Cannot create an application credential with unassigned role");
        (void)strv_add(c->arena, &x->role_ids, c->auth->role_ids.v[i]);
    }
    for (size_t i = 0; !x->roles.n && i < c->auth->role_ids.n; i++)
        (void)strv_add(c->arena, &x->role_ids, c->auth->role_ids.v[i]);
    return 0;
}

/* Finds a rule like this one among the user's, or makes it. */
static int settle_rule(struct call *c, const struct access_rule *want, const char **ret_id)
{
    struct access_rule *old;
    if (want->head.id) {
        int r = need(c, &IDENTITY_ACCESS_RULE_KIND, "access rule", want->head.id, &old);
        if (r == 0 && !STREQ(old->user_id, c->auth->user_id))
            return not_found(c, "access rule", want->head.id);
        *ret_id = want->head.id;
        return r;
    }
    if (!want->service || !want->method || !want->path)
        return bad_request(c,
                           "Invalid input for field 'access_rules': service, method and path are required");
    struct results l = { 0 };
    int r = list_where(c->txn, &IDENTITY_ACCESS_RULE_KIND, "user_id", c->auth->user_id, &l);
    for (size_t i = 0; i < l.n; i++) {
        old = l.v[i];
        if (STREQ(old->service, want->service) && STREQ(old->method, want->method) &&
            STREQ(old->path, want->path)) {
            *ret_id = old->head.id;
            return r;
        }
    }
    struct access_rule made = *want;
    made.user_id = c->auth->user_id;
    *ret_id = made.head.id = uuid_hex_new(c->arena);
    return r ? r : txn_put(c->txn, &IDENTITY_ACCESS_RULE_KIND, &made);
}

static int make(struct call *c)
{
    const struct making *m = c->data;
    struct app_cred x = *(struct app_cred *)c->in;
    x.head.id = uuid_hex_new(c->arena);
    x.user_id = c->auth->user_id;
    x.project_id = c->auth->project_id;
    x.secret_hash = m->hash;
    x.role_ids = x.access_rule_ids = (struct strv){ 0 };
    int r = choose_roles(c, &x);
    VEC_FOREACH (rule, &x.access_rules) {
        const char *id = NULL;
        if (r == 0)
            r = settle_rule(c, rule, &id);
        if (r == 0)
            (void)strv_add(c->arena, &x.access_rule_ids, id);
    }
    if (r == 0)
        r = txn_put(c->txn, &IDENTITY_APP_CRED_KIND, &x);
    if (r == TXN_TAKEN)
        return conflict(
            c,
            "Conflict occurred attempting to store application_credential - Duplicate entry found "
            "with name %s.",
            x.name);
    return r ? r : put_one(c, &x, m->secret);
}

int app_cred_create(struct call *c)
{
    struct app_cred *in = c->in;
    struct making *m = ARENA_NEW(c->arena, struct making);
    if (!m)
        return -ENOMEM;
    m->secret = in->secret;
    int r = allowed(c, "identity:create_application_credential", call_param(c, "user_id"));
    if (r == 0)
        r = refuse_restricted(c);
    if (r)
        return r;
    if (!c->auth->project_id)
        return call_fault(c, 403, "Forbidden",
                          "An application credential needs a project: the token has none.");
    if (in->expires_at && in->expires_at <= clock_wall())
        return call_fault(
            c, 400, "ValidationExpirationError",
            "The 'expires_at' must not be before now. The server could not comply with the request "
            "since it is either malformed or otherwise incorrect. The client is assumed to be in "
            "error.");
    if (str_empty(m->secret)) {
        unsigned char raw[64];
        char text[96];
        random_bytes(raw, sizeof(raw));
        base64url_encode(raw, sizeof(raw), text);
        m->secret = arena_strdup(c->arena, text);
    }
    r = m->secret ? password_hash(call_identity(c), c->arena, m->secret, &m->hash) : -ENOMEM;
    c->data = m;
    return r ? r : call_write(c, make);
}

/* ---- access rules ---- */

static int put_rule(struct call *c, const struct access_rule *x)
{
    struct encode_options opt = call_encoding(c);
    json_open_object(&c->out);
    schema_encode_members(&ACCESS_RULE_SCHEMA, x, &opt, &c->out);
    json_put_object(&c->out, "links");
    json_put_string(&c->out, "self", v3_url(c, "users/%s/access_rules/%s", x->user_id, x->head.id));
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

int access_rule_list(struct call *c)
{
    static const char *const FILTERS[] = { "service", "path", "method" };
    struct query q = { .kind = &IDENTITY_ACCESS_RULE_KIND };
    struct results l = { 0 };
    int r = allowed(c, "identity:list_access_rules", call_param(c, "user_id"));
    if (r == 0)
        r = call_read(c);
    if (r)
        return r;
    (void)query_where(&q, c->arena, "user_id", Q_EQ, call_param(c, "user_id"));
    for (size_t i = 0; i < ARRAY_SIZE(FILTERS); i++)
        if (call_arg(c, FILTERS[i]))
            (void)query_where(&q, c->arena, FILTERS[i], Q_EQ, call_arg(c, FILTERS[i]));
    r = txn_list(c->txn, &q, &l);
    list_open(c, "access_rules");
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = put_rule(c, l.v[i]);
    list_close(c);
    return r;
}

static int rule_find(struct call *c, const char *rule, struct access_rule **ret)
{
    int r = call_read(c);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_ACCESS_RULE_KIND, call_param(c, "id"), ret);
    if (r == 0)
        r = allowed(c, rule, *ret ? (*ret)->user_id : call_param(c, "user_id"));
    return r ? r : *ret ? 0 : not_found(c, "access rule", call_param(c, "id"));
}

int access_rule_show(struct call *c)
{
    struct access_rule *x;
    int r = rule_find(c, "identity:get_access_rule", &x);
    if (r)
        return r;
    json_open_object(&c->out);
    json_key(&c->out, "access_rule");
    r = put_rule(c, x);
    json_close_object(&c->out);
    return r;
}

static int rule_drop(struct call *c)
{
    struct access_rule *x;
    struct app_cred *user;
    struct query q = { .kind = &IDENTITY_APP_CRED_KIND };
    int r = rule_find(c, "identity:delete_access_rule", &x);
    if (r == 0)
        r = query_where(&q, c->arena, "access_rule_ids", Q_KEY, x->head.id) ? txn_find(c->txn, &q, &user)
                                                                            : -ENOMEM;
    if (r)
        return r;
    if (user)
        return call_fault(c, 403, "Forbidden",
                          "You are not authorized to perform the requested action: May not "
                          "delete access rule in use by application credential %s.",
                          user->head.id);
    c->status = 204;
    return txn_delete(c->txn, &IDENTITY_ACCESS_RULE_KIND, x->head.id);
}

int access_rule_delete(struct call *c)
{
    return call_write(c, rule_drop);
}
