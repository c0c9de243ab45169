/*
 * Users: their accounts, their passwords, the groups they are in.
 *
 * Passwords are hashed before the transaction begins and put in by its closure. A change of
 * password, or disabling, voids the tokens issued before.
 */
#include "identity/internal.h"

#include <errno.h>

static const char *const USER_OPTIONS[] = {
    "ignore_change_password_upon_first_use",
    "ignore_password_expiry",
    "ignore_lockout_failure_attempts",
    "ignore_user_inactivity",
    "lock_password",
    "multi_factor_auth_enabled",
    "multi_factor_auth_rules",
    NULL,
};

/* From before the transaction to its closure. */
struct new_password {
    const char *hash;      /* null: none was given */
    const char *seen_hash; /* what the old one was checked against */
    bool given;            /* null may be given: no password */
};

static int user_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    const struct user *u = object;
    (void)full;
    put_options(o, u->options);
    put_extra(o, u->extra);
    put_self(c, o, "users", u->head.id);
    return 0;
}

static int user_scope(struct call *c, struct query *q)
{
    return scope_domain(c, q, "identity:list_users");
}

static int user_filter(struct call *c, struct query *q, const char *name, const char *value)
{
    static const struct {
        const char *prefix;
        enum query_op op;
    } OPS[] = {
        { "lte:", Q_LE }, { "lt:", Q_LT }, { "gte:", Q_GE },
        { "gt:", Q_GT },  { "eq:", Q_EQ }, { "neq:", Q_NE },
    };
    if (!STREQ(name, "password_expires_at"))
        return filter_operators(c, q, name, value);
    for (size_t i = 0; i < ARRAY_SIZE(OPS); i++) {
        usec_t when;
        if (!str_starts(value, OPS[i].prefix))
            continue;
        if (time_parse(value + strlen(OPS[i].prefix), &when) < 0)
            break;
        const char *text = arena_printf(c->arena, "%lld", (long long)when);
        /* 0 stands for never */
        return query_where(q, c->arena, name, OPS[i].op, text) && query_where(q, c->arena, name, Q_NE, "0")
                   ? 0
                   : -ENOMEM;
    }
    return bad_request(
        c,
        "The given operator %s is not valid. It must be one of the following: 'eq', 'neq', 'lt', "
        "'lte', 'gt', or 'gte'.",
        value);
}

static int domain_of(struct call *c, const char **domain_id)
{
    struct project *d;
    if (!*domain_id)
        *domain_id = domain_for_create(c);
    int r = need(c, &IDENTITY_PROJECT_KIND, "domain", *domain_id, &d);
    return r ? r : d->is_domain ? 0 : not_found(c, "domain", *domain_id);
}

static int user_check(struct call *c, const struct user *u)
{
    struct project *p;
    if (!u->default_project_id)
        return 0;
    int r = txn_get(c->txn, &IDENTITY_PROJECT_KIND, u->default_project_id, &p);
    if (r == 0 && p && p->is_domain)
        return bad_request(c, "User's default project ID cannot be a domain ID: %s", u->default_project_id);
    return r;
}

static int user_create_in(struct call *c, void *object)
{
    struct user *u = object;
    const struct new_password *n = c->data;
    int r = domain_of(c, &u->domain_id);
    if (r == 0)
        r = options_merge(c, NULL, &u->options, USER_OPTIONS);
    if (r == 0)
        r = extra_merge(c, &USER_SCHEMA, NULL, &u->extra);
    if (r == 0)
        r = user_check(c, u);
    if (r == 0 && n->hash)
        password_set(call_identity(c), c->arena, u, n->hash, true);
    u->valid_from = 0;
    return r;
}

static int user_update_in(struct call *c, const void *before, void *object)
{
    const struct user *old = before;
    struct user *u = object;
    const struct new_password *n = c->data;
    int r = 0;
    if (!str_eq(u->domain_id, old->domain_id))
        return bad_request(c, "Cannot change Domain ID");
    if (GIVEN(&c->given, &USER_SCHEMA, struct user, options))
        r = options_merge(c, old->options, &u->options, USER_OPTIONS);
    if (r == 0)
        r = extra_merge(c, &USER_SCHEMA, old->extra, &u->extra);
    if (r == 0 && GIVEN(&c->given, &USER_SCHEMA, struct user, default_project_id))
        r = user_check(c, u);
    if (r)
        return r;
    if (n->given)
        password_set(call_identity(c), c->arena, u, n->hash, true);
    if (!u->enabled && old->enabled)
        u->valid_from = clock_wall();
    if (u->enabled && !old->enabled)
        u->last_active_at = clock_wall(); /* who is enabled again begins anew */
    if (n->given)
        r = txn_delete(c->txn, &IDENTITY_LOCKOUT_KIND, u->head.id);
    return r;
}

int user_purge(struct txn *t, struct arena *a, const char *id)
{
    (void)a;
    static const struct {
        const struct kind *kind;
        const char *field;
    } HANGING[] = {
        { &IDENTITY_ASSIGNMENT_KIND, "actor_id" },   { &IDENTITY_MEMBERSHIP_KIND, "user_id" },
        { &IDENTITY_CREDENTIAL_KIND, "user_id" },    { &IDENTITY_APP_CRED_KIND, "user_id" },
        { &IDENTITY_ACCESS_RULE_KIND, "user_id" },   { &IDENTITY_TRUST_KIND, "trustor_user_id" },
        { &IDENTITY_TRUST_KIND, "trustee_user_id" },
    };
    int r = txn_delete(t, &IDENTITY_LOCKOUT_KIND, id);
    for (size_t i = 0; i < ARRAY_SIZE(HANGING) && r == 0; i++)
        r = delete_where(t, HANGING[i].kind, HANGING[i].field, id);
    return r;
}

static int user_remove(struct call *c, void *object)
{
    return user_purge(c->txn, c->arena, ((const struct object *)object)->id);
}

static int user_taken(struct call *c, const void *object)
{
    const struct user *u = object;
    return conflict(
        c,
        "Conflict occurred attempting to store user - Duplicate entry found with name %s at domain ID "
        "%s.",
        u->name, u->domain_id);
}

static bool any_user(struct call *c, const void *object)
{
    (void)c;
    (void)object;
    return true;
}

const struct resource USER_RESOURCE = {
    .one = "user",
    .many = "users",
    .kind = &IDENTITY_USER_KIND,
    .title = "User",
    .not_found = "NotFound",
    .not_found_noun = "user",
    .scope = user_scope,
    .visible = any_user,
    .filter = user_filter,
    .render = user_render,
    .create = user_create_in,
    .update = user_update_in,
    .remove = user_remove,
    .taken = user_taken,
    .hex_ids = true,
};

static int user_get(struct call *c, const char *param, const char *rule, struct user **ret)
{
    struct strmap m = { 0 };
    int r = call_read(c);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_USER_KIND, call_param(c, param), ret);
    if (r)
        return r;
    target_user(c, &m, *ret);
    r = call_require(c, rule, &m);
    return r ? r : *ret ? 0 : not_found(c, "user", call_param(c, param));
}

int user_show(struct call *c)
{
    struct user *u;
    int r = user_get(c, "id", "identity:get_user", &u);
    return r ? r : resource_render_one(c, &USER_RESOURCE, u);
}

int user_create(struct call *c)
{
    struct user *in = c->in;
    struct new_password n = { .given = in->password != NULL };
    if (in->password) {
        int r = password_rules(c, in->password);
        if (r == 0)
            r = password_hash(call_identity(c), c->arena, in->password, &n.hash);
        if (r)
            return r;
    }
    c->data = &n;
    return resource_create(c);
}

int user_update(struct call *c)
{
    struct user *in = c->in;
    struct new_password n = { .given = GIVEN(&c->given, &USER_SCHEMA, struct user, password) };
    if (in->password) {
        int r = password_rules(c, in->password);
        if (r == 0)
            r = password_hash(call_identity(c), c->arena, in->password, &n.hash);
        if (r)
            return r;
    }
    c->data = &n;
    return resource_update(c);
}

/* ---- one's own password ---- */

static int set_own_password(struct call *c)
{
    const struct new_password *n = c->data;
    struct user *u;
    int r = need(c, &IDENTITY_USER_KIND, "user", call_param(c, "id"), &u);
    if (r)
        return r;
    /* Somebody else was quicker: the old password that was checked isn't the old one any more. */
    if (!str_eq(u->password_hash, n->seen_hash))
        return conflict(c, "The password of user %s was changed meanwhile.", u->head.id);
    password_set(call_identity(c), c->arena, u, n->hash, false);
    c->status = 204;
    r = txn_delete(c->txn, &IDENTITY_LOCKOUT_KIND, u->head.id);
    return r ? r : txn_put(c->txn, &IDENTITY_USER_KIND, u);
}

static int may_change_now(struct call *c, const struct user *u)
{
    const struct cloud_config *k = call_identity(c)->config;
    if (option_true(u->options, "lock_password"))
        return call_fault(
            c, 400, "PasswordSelfServiceDisabled",
            "You cannot change your password at this time due "
            "to password policy disallowing password changes. Please contact your administrator to "
            "reset your password.");
    usec_t until = u->password_created_at + DAYS(k->password_min_age_days);
    bool must = u->password_by_admin || (u->password_expires_at && u->password_expires_at <= clock_wall());
    if (k->password_min_age_days > 0 && until > clock_wall() && !must)
        return call_fault(
            c, 400, "PasswordAgeValidationError",
            "You cannot change your password at this time due to the minimum password age. Once you "
            "change your password, it must be used for %lld day(s) before it can be changed. Please "
            "try again in %lld day(s) or contact your administrator to reset your password.",
            (long long)k->password_min_age_days, (long long)((until - clock_wall()) / DAYS(1) + 1));
    return 0;
}

int user_password(struct call *c)
{
    struct identity *id = call_identity(c);
    const char *old = json_get_string(c->body, "original_password"),
               *new = json_get_string(c->body, "password");
    struct user *u;
    struct new_password n = { .given = true };
    struct lockout_state lock = { 0 };
    bool right, used;
    if (!old || !new)
        return bad_request(c, "Invalid input: '%s' is a required property",
                           old ? "password" : "original_password");
    int r = call_read(c);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_USER_KIND, call_param(c, "id"), &u);
    if (r == 0 && u)
        r = lockout_read(id, c->txn, u, &lock);
    if (r)
        return r;
    txn_done(TAKE_PTR(c->txn)); /* hashing takes long */
    n.seen_hash = u ? u->password_hash : NULL;
    r = password_check(id, call_param(c, "id"), n.seen_hash, old, &right);
    if (r)
        return r;
    if (u && !right && !lock.locked)
        r = lockout_failed(c, &lock, u->head.id);
    if (r)
        return r;
    if (!right || !u->enabled || lock.locked)
        return call_fault(c, 401, "Unauthorized", "The request you have made requires authentication.");
    r = may_change_now(c, u);
    if (r == 0)
        r = password_rules(c, new);
    if (r == 0)
        r = password_used_before(id, u, new, &used);
    if (r)
        return r;
    if (used)
        return call_fault(
            c, 400, "PasswordHistoryValidationError",
            "The new password cannot be identical to a previous password. The total number which "
            "includes the new password must be unique is %lld.",
            (long long)id->config->password_history);
    r = password_hash(id, c->arena, new, &n.hash);
    if (r)
        return r;
    c->data = &n;
    return call_write(c, set_own_password);
}

int user_projects(struct call *c)
{
    struct user *u;
    struct results l = { 0 };
    int r = user_get(c, "id", "identity:list_user_projects", &u);
    if (r == 0)
        r = effective_projects(c->txn, c->arena, u->head.id, false, &l);
    if (r)
        return r;
    list_open(c, "projects");
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = resource_render(c, &PROJECT_RESOURCE, l.v[i], true, NULL, &c->out);
    list_close(c);
    return r;
}

int user_groups(struct call *c)
{
    struct user *u;
    struct strv ids = { 0 };
    int r = user_get(c, "id", "identity:list_groups_for_user", &u);
    if (r == 0)
        r = groups_of_user(c->txn, c->arena, u->head.id, &ids);
    if (r)
        return r;
    const char *name = call_arg(c, "name");
    list_open(c, "groups");
    for (size_t i = 0; i < ids.n && r == 0; i++) {
        struct user_group *g;
        r = txn_get(c->txn, &IDENTITY_GROUP_KIND, ids.v[i], &g);
        if (r == 0 && g && (!name || STREQ(name, g->name)))
            r = resource_render(c, &GROUP_RESOURCE, g, true, NULL, &c->out);
    }
    list_close(c);
    return r;
}
