/*
 * Proving who one is: POST /v3/auth/tokens.
 *
 * Each method named in the request is checked in turn and must prove the same user. What the
 * checks need is read in one short read transaction; passwords are hashed outside of any. Every
 * refusal says the same and takes as long: who tries names learns nothing. Only who has given
 * the right password hears that it has expired.
 */
#include "identity/internal.h"

#include "base/counter.h"
#include "base/log.h"

#include <errno.h>
#include <strings.h>

LOG_MODULE("identity.auth");
COUNTER(issued, "identity_tokens_issued_total", "Tokens issued.");
COUNTER(refused, "identity_logins_refused_total", "Attempts to authenticate that were refused.");

/* What the methods have proved so far. */
struct proof {
    struct call *c;
    struct identity *id;
    const char *user_id;
    unsigned methods;
    usec_t expires_at; /* 0: none of the methods ends earlier */
    char parent_audit_id[AUDIT_ID_SIZE];
    struct app_cred *app_cred;
    const struct token_info *token;
};

static int refuse(struct call *c, const char *why)
{
    counter_inc(&refused);
    log_info("login refused", KV("why", why), KV("peer", c->http->peer));
    return call_fault(c, 401, "Unauthorized", "The request you have made requires authentication.");
}

/* ---- finding ---- */

/* The member when it is a string. FAULT 400 when it is something else. */
static int text_member(struct call *c, const json_t *o, const char *key, const char **ret)
{
    const json_t *v = json_object_get(o, key);
    *ret = json_string_value(v);
    if (v && !*ret)
        return bad_request(c, "Invalid input for field '%s': it is not of type 'string'", key);
    if (*ret && strlen(*ret) != json_string_length(v))
        return bad_request(c, "Invalid input for field '%s': it contains a null character", key);
    return 0;
}

static int object_member(struct call *c, const json_t *o, const char *key, const json_t **ret)
{
    *ret = json_object_get(o, key);
    if (*ret && !json_is_object(*ret))
        return bad_request(c, "Invalid input for field '%s': it is not of type 'object'", key);
    return 0;
}

static int expecting(struct call *c, const char *attribute, const char *target)
{
    return bad_request(c,
                       "Expecting to find %s in %s. The server could not comply with the request since it is "
                       "either malformed or otherwise incorrect. The client is assumed to be in error.",
                       attribute, target);
}

static int find_by_name(struct txn *t, const struct kind *k, const char *domain_id, const char *name,
                        void **ret)
{
    struct arena *a = txn_arena(t);
    const char *key = folded(a, arena_printf(a, "%s/%s", domain_id, name));
    return txn_find_by_(t, k, "name_key", key, ret);
}

/* {"id": ...} or {"name": ...}; *ret null when there is none that is enabled. */
static int find_domain(struct call *c, struct txn *t, const json_t *o, struct project **ret)
{
    const char *id, *name;
    *ret = NULL;
    int r = text_member(c, o, "id", &id);
    if (r == 0)
        r = text_member(c, o, "name", &name);
    if (r)
        return r;
    if (!id && !name)
        return bad_request(c, "Invalid input for field domain: id or name must be present.");
    struct project *d = NULL;
    r = id ? txn_get(t, &IDENTITY_PROJECT_KIND, id, &d)
           : find_by_name(t, &IDENTITY_PROJECT_KIND, "-", name, (void **)&d);
    if (r == 0 && d && d->is_domain && d->enabled)
        *ret = d;
    return r;
}

/* {"id"} or {"name", "domain"}. */
static int find_user(struct call *c, struct txn *t, const json_t *o, struct user **ret)
{
    const char *id, *name;
    const json_t *domain;
    struct project *d;
    *ret = NULL;
    int r = text_member(c, o, "id", &id);
    if (r == 0)
        r = text_member(c, o, "name", &name);
    if (r == 0)
        r = object_member(c, o, "domain", &domain);
    if (r)
        return r;
    if (id)
        return txn_get(t, &IDENTITY_USER_KIND, id, ret);
    if (!name)
        return bad_request(c, "Invalid input for field identity/password/user: id or name must be present.");
    if (!domain)
        return expecting(c, "domain", "user");
    r = find_domain(c, t, domain, &d);
    return r || !d ? r : find_by_name(t, &IDENTITY_USER_KIND, d->head.id, name, (void **)ret);
}

/* ---- methods ---- */

static int proved(struct proof *p, const char *user_id, unsigned method)
{
    if (p->user_id && !STREQ(p->user_id, user_id))
        return refuse(p->c, "methods prove different users");
    p->user_id = user_id;
    p->methods |= method;
    return 0;
}

static bool inactive(const struct proof *p, const struct user *u)
{
    usec_t seen = u->last_active_at ? u->last_active_at : u->created_at;
    return p->id->config->user_inactive_days > 0 && seen &&
           clock_wall() - seen > DAYS(p->id->config->user_inactive_days) &&
           !option_true(u->options, "ignore_user_inactivity");
}

static int touch_user(struct txn *t, void *arg)
{
    struct user *u;
    int r = txn_get(t, &IDENTITY_USER_KIND, (const char *)arg, &u);
    if (r < 0 || !u)
        return r;
    u->last_active_at = clock_wall();
    return txn_put(t, &IDENTITY_USER_KIND, u);
}

static int after_password(struct proof *p, struct user *u)
{
    struct call *c = p->c;
    const struct cloud_config *k = p->id->config;
    bool first_use = k->change_password_first && u->password_by_admin &&
                     !option_true(u->options, "ignore_change_password_upon_first_use");
    if ((u->password_expires_at && u->password_expires_at <= clock_wall()) || first_use) {
        counter_inc(&refused);
        return call_fault(c, 401, "PasswordExpired",
                          "The password is expired and needs to be changed for user: %s.", u->head.id);
    }
    /* Once a day is exact enough, and keeps logins free of writes. */
    if (k->user_inactive_days > 0 && clock_wall() - u->last_active_at > DAYS(1))
        return store_write(c->store, c->arena, touch_user, (void *)(uintptr_t)u->head.id);
    return 0;
}

static int method_password(struct proof *p, struct txn **t, const json_t *data)
{
    struct call *c = p->c;
    const json_t *user;
    const char *password;
    struct user *u = NULL;
    struct lockout_state lock = { 0 };
    int r = object_member(c, data, "user", &user);
    if (r)
        return r;
    if (!user)
        return expecting(c, "user", "password");
    r = text_member(c, user, "password", &password);
    if (r)
        return r;
    if (!password)
        return expecting(c, "password", "user");
    r = find_user(c, *t, user, &u);
    if (r == 0 && u)
        r = lockout_read(p->id, *t, u, &lock);
    if (r)
        return r;
    txn_done(TAKE_PTR(*t)); /* hashing takes long */
    bool right;
    r = password_check(p->id, u ? u->head.id : NULL, u ? u->password_hash : NULL, password, &right);
    if (r < 0)
        return r;
    if (!u)
        return refuse(c, "no such user");
    if (lock.locked)
        return refuse(c, "locked");
    if (!right) {
        r = lockout_failed(c, &lock, u->head.id);
        return r < 0 ? r : refuse(c, "wrong password");
    }
    if (!u->enabled || inactive(p, u))
        return refuse(c, "user is disabled");
    r = lockout_passed(c, &lock, u->head.id);
    if (r == 0)
        r = after_password(p, u);
    if (r == 0)
        r = proved(p, u->head.id, METHOD_PASSWORD);
    return r ? r : store_read(c->store, c->arena, t);
}

static int method_totp(struct proof *p, struct txn **t, const json_t *data)
{
    struct call *c = p->c;
    const json_t *user;
    const char *passcode;
    struct user *u = NULL;
    bool right = false;
    int r = object_member(c, data, "user", &user);
    if (r == 0)
        r = user ? text_member(c, user, "passcode", &passcode) : expecting(c, "user", "totp");
    if (r)
        return r;
    if (!passcode)
        return expecting(c, "passcode", "user");
    r = find_user(c, *t, user, &u);
    if (r == 0 && u)
        r = totp_check(*t, c->arena, u->head.id, passcode, &right);
    if (r)
        return r;
    return right ? proved(p, u->head.id, METHOD_TOTP) : refuse(c, "wrong passcode");
}

static int method_token(struct proof *p, struct txn **t, const json_t *data)
{
    struct call *c = p->c;
    const char *text;
    int r = text_member(c, data, "id", &text);
    if (r)
        return r;
    if (!text)
        return expecting(c, "id", "token");
    struct token_info *i = ARENA_NEW(c->arena, struct token_info);
    if (!i)
        return -ENOMEM;
    r = token_validate(c->api, *t, c->arena, text, 0, i, &c->fault);
    if (r == FAULT)
        counter_inc(&refused);
    if (r)
        return r;
    if (i->payload.trust_id)
        return call_fault(c, 403, "Forbidden",
                          "Using trust-scoped token to create another token. Create a new "
                          "trust-scoped token instead");
    if (i->payload.app_cred_id)
        return call_fault(c, 403, "Forbidden",
                          "Application credential tokens can't be used to get other tokens.");
    p->token = i;
    p->expires_at = i->payload.expires_at;
    memcpy(p->parent_audit_id, *i->payload.parent_audit_id ? i->payload.parent_audit_id : i->payload.audit_id,
           AUDIT_ID_SIZE);
    return proved(p, i->payload.user_id, METHOD_TOKEN | i->payload.methods);
}

static int find_app_cred(struct proof *p, struct txn *t, const json_t *data, struct app_cred **ret)
{
    struct call *c = p->c;
    const char *id, *name;
    const json_t *user;
    struct user *u;
    *ret = NULL;
    int r = text_member(c, data, "id", &id);
    if (r == 0)
        r = text_member(c, data, "name", &name);
    if (r == 0)
        r = object_member(c, data, "user", &user);
    if (r)
        return r;
    if (id)
        return txn_get(t, &IDENTITY_APP_CRED_KIND, id, ret);
    if (!name)
        return expecting(c, "name or ID", "application credential");
    if (!user)
        return expecting(c, "user", "application credential");
    r = find_user(c, t, user, &u);
    if (r || !u)
        return r;
    return txn_find_by(t, &IDENTITY_APP_CRED_KIND, "user_name",
                       arena_printf(c->arena, "%s/%s", u->head.id, name), ret);
}

static int method_app_cred(struct proof *p, struct txn **t, const json_t *data)
{
    struct call *c = p->c;
    const char *secret;
    struct app_cred *cred;
    int r = text_member(c, data, "secret", &secret);
    if (r)
        return r;
    if (!secret)
        return expecting(c, "secret", "application credential");
    r = find_app_cred(p, *t, data, &cred);
    if (r)
        return r;
    txn_done(TAKE_PTR(*t));
    bool right;
    r = password_check(p->id, cred ? cred->head.id : NULL, cred ? cred->secret_hash : NULL, secret, &right);
    if (r < 0)
        return r;
    if (!right || (cred->expires_at && cred->expires_at <= clock_wall()))
        return refuse(c, right ? "application credential has expired" : "wrong secret");
    p->app_cred = cred;
    if (cred->expires_at)
        p->expires_at = MIN(cred->expires_at, clock_wall() + SECONDS(p->id->config->token_seconds));
    r = proved(p, cred->user_id, METHOD_APP_CRED);
    return r ? r : store_read(c->store, c->arena, t);
}

static const struct {
    const char *name;
    int (*check)(struct proof *p, struct txn **t, const json_t *data);
} METHODS[] = {
    { "password", method_password },
    { "token", method_token },
    { "totp", method_totp },
    { "application_credential", method_app_cred },
};

static int check_methods(struct proof *p, struct txn **t)
{
    struct call *c = p->c;
    const json_t *identity, *item;
    struct strv seen = { 0 };
    size_t i;
    int r = object_member(c, c->body, "identity", &identity);
    if (r)
        return r;
    if (!identity)
        return bad_request(c, "Invalid input: 'identity' is a required property");
    const json_t *list = json_object_get(identity, "methods");
    if (!json_is_array(list))
        return bad_request(c, list ? "Invalid input for field 'methods': it is not of type 'array'"
                                   : "Invalid input: 'methods' is a required property");
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        size_t k = 0;
        if (!name)
            return bad_request(c, "Invalid input for field 'methods': an element is not of type 'string'");
        if (strv_has(&seen, name))
            continue;
        (void)strv_add(c->arena, &seen, name);
        while (k < ARRAY_SIZE(METHODS) && !STREQ(METHODS[k].name, name))
            k++;
        const json_t *data;
        r = object_member(c, identity, name, &data);
        if (r)
            return r;
        if (!data)
            return expecting(c, name, "identity");
        if (k == ARRAY_SIZE(METHODS))
            return call_fault(c, 401, "AuthMethodNotSupported",
                              "Attempted to authenticate with an unsupported method.");
        r = METHODS[k].check(p, t, data);
        if (r)
            return r;
    }
    return p->user_id ? 0 : refuse(c, "no method");
}

/* Rules that a user's options hold: lists of methods, one of which must be met whole. */
static int check_factors(struct proof *p, struct txn *t)
{
    struct user *u;
    int r = txn_get(t, &IDENTITY_USER_KIND, p->user_id, &u);
    if (r < 0 || !u || !u->options)
        return r;
    char why[200];
    const char *names[8];
    _cleanup_(json_decrefp) json_t *options = json_parse(u->options, strlen(u->options), why, sizeof(why));
    const json_t *rules = json_object_get(options, "multi_factor_auth_rules"), *rule, *name;
    if (!json_array_size(rules) || json_is_false(json_object_get(options, "multi_factor_auth_enabled")))
        return 0;
    const char *const *have = token_methods(p->methods, names);
    size_t i, k;
    json_array_foreach(rules, i, rule)
    {
        bool met = json_array_size(rule) > 0;
        json_array_foreach(rule, k, name)
        {
            bool found = false;
            for (size_t m = 0; have[m]; m++)
                found = found || str_eq(have[m], json_string_value(name));
            met = met && found;
        }
        if (met)
            return 0;
    }
    return refuse(p->c, "more factors are needed");
}

/* ---- scope ---- */

static int scope_project(struct call *c, struct txn *t, const json_t *o, struct token_payload *p)
{
    const char *id, *name;
    const json_t *domain;
    struct project *d, *project = NULL;
    int r = text_member(c, o, "id", &id);
    if (r == 0)
        r = text_member(c, o, "name", &name);
    if (r == 0)
        r = object_member(c, o, "domain", &domain);
    if (r)
        return r;
    if (!id && !name)
        return bad_request(c, "Invalid input for field scope/project: id or name must be present.");
    if (name && !id) {
        if (!domain)
            return expecting(c, "domain", "project");
        r = find_domain(c, t, domain, &d);
        if (r == 0 && d)
            r = find_by_name(t, &IDENTITY_PROJECT_KIND, d->head.id, name, (void **)&project);
        /* a domain may be named as a project */
        if (r == 0 && d && !project && strcasecmp(d->name, name) == 0)
            project = d;
    } else {
        r = txn_get(t, &IDENTITY_PROJECT_KIND, id, &project);
    }
    if (r)
        return r;
    if (!project)
        return refuse(c, "no such project");
    p->scope = SCOPE_PROJECT;
    p->scope_id = project->head.id;
    return 0;
}

static int use_trust(struct txn *t, void *arg)
{
    struct trust *trust;
    int r = txn_get(t, &IDENTITY_TRUST_KIND, arg, &trust);
    if (r < 0)
        return r;
    if (!trust || trust->deleted_at || trust->remaining_uses == 0)
        return FAULT;
    if (trust->remaining_uses != INT_NULL)
        trust->remaining_uses--;
    return txn_put(t, &IDENTITY_TRUST_KIND, trust);
}

static int scope_trust(struct proof *x, struct txn **t, const json_t *o, struct token_payload *p)
{
    struct call *c = x->c;
    const char *id;
    struct trust *trust;
    int r = text_member(c, o, "id", &id);
    if (r)
        return r;
    if (!id)
        return expecting(c, "trust_id", "trust");
    r = txn_get(*t, &IDENTITY_TRUST_KIND, id, &trust);
    if (r < 0)
        return r;
    if (!trust || trust->deleted_at)
        return not_found(c, "trust", id);
    if (!STREQ(trust->trustee_user_id, x->user_id))
        return call_fault(c, 403, "Forbidden", "You are not authorized to perform the requested action.");
    p->trust_id = trust->head.id;
    p->scope = trust->project_id ? SCOPE_PROJECT : SCOPE_NONE;
    p->scope_id = trust->project_id;
    if (trust->expires_at && (!p->expires_at || trust->expires_at < p->expires_at))
        p->expires_at = MIN(trust->expires_at, clock_wall() + SECONDS(x->id->config->token_seconds));
    if (trust->remaining_uses == INT_NULL)
        return 0;
    txn_done(TAKE_PTR(*t));
    r = store_write(c->store, c->arena, use_trust, (void *)(uintptr_t)trust->head.id);
    if (r == FAULT)
        return call_fault(c, 403, "TrustUseLimitReached", "No remaining uses for trust: %s.", id);
    return r ? r : store_read(c->store, c->arena, t);
}

static int scope_default(struct proof *x, struct txn *t, struct token_payload *p)
{
    struct user *u;
    struct project *project = NULL;
    struct ref_list roles = { 0 };
    int r = txn_get(t, &IDENTITY_USER_KIND, x->user_id, &u);
    if (r == 0 && u && u->default_project_id)
        r = txn_get(t, &IDENTITY_PROJECT_KIND, u->default_project_id, &project);
    if (r < 0 || !project || !project->enabled)
        return r;
    r = effective_roles(x->c->api, t, x->c->arena, x->user_id, SCOPE_PROJECT, project->head.id, &roles);
    if (r == 0 && roles.n) {
        p->scope = SCOPE_PROJECT;
        p->scope_id = project->head.id;
    }
    return r;
}

static int settle_scope(struct proof *x, struct txn **t, struct token_payload *p)
{
    struct call *c = x->c;
    const json_t *scope = json_object_get(c->body, "scope"), *o;
    static const char *const NAMES[] = { "project", "domain", "system", "unscoped", "OS-TRUST:trust" };
    if (x->app_cred) {
        if (scope)
            return call_fault(c, 401, "ApplicationCredentialAuthError",
                              "Error authenticating with application "
                              "credential: Application credentials cannot request a scope.");
        p->scope = SCOPE_PROJECT;
        p->scope_id = x->app_cred->project_id;
        p->app_cred_id = x->app_cred->head.id;
        return 0;
    }
    if (!scope)
        return scope_default(x, *t, p);
    if (json_is_string(scope) && STREQ(json_string_value(scope), "unscoped"))
        return 0;
    if (!json_is_object(scope))
        return bad_request(c, "Invalid input for field 'scope': it is not of type 'object', 'string'");
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++)
        n += json_object_get(scope, NAMES[i]) != NULL;
    if (n != 1)
        return expecting(c, "system, project, domain, OS-TRUST:trust or unscoped", "scope");
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++) {
        int r = object_member(c, scope, NAMES[i], &o);
        if (r)
            return r;
        if (o && i == 0)
            return scope_project(c, *t, o, p);
        if (o && i == 4)
            return scope_trust(x, t, o, p);
        if (o && i == 2) {
            if (!json_is_true(json_object_get(o, "all")))
                return bad_request(c, "Invalid input for field 'scope/system': 'all' must be true");
            p->scope = SCOPE_SYSTEM;
        }
        if (o && i == 1) {
            struct project *d;
            r = find_domain(c, *t, o, &d);
            if (r)
                return r;
            if (!d)
                return refuse(c, "no such domain");
            p->scope = SCOPE_DOMAIN;
            p->scope_id = d->head.id;
        }
    }
    return 0;
}

/* ---- the verb ---- */

int auth_post(struct call *c)
{
    struct proof x = { .c = c, .id = call_identity(c) };
    struct token_payload p = { 0 };
    struct token_info *i = ARENA_NEW(c->arena, struct token_info);
    struct fault why = { 0 };
    char text[TOKEN_TEXT_MAX];
    _cleanup_(txn_donep) struct txn *t = NULL;
    if (!i)
        return -ENOMEM;
    if (!json_is_object(c->body))
        return expecting(c, "auth", "request body");
    int r = store_read(c->store, c->arena, &t);
    if (r == 0)
        r = check_methods(&x, &t);
    if (r == 0)
        r = check_factors(&x, t);
    if (r == 0) {
        p.user_id = x.user_id;
        p.methods = x.methods;
        p.expires_at = x.expires_at;
        memcpy(p.parent_audit_id, x.parent_audit_id, AUDIT_ID_SIZE);
        r = settle_scope(&x, &t, &p);
    }
    if (r)
        return r;
    r = token_issue(c->api, t, c->arena, &p, text, i, &why);
    if (r == FAULT)
        return refuse(c, p.scope == SCOPE_NONE ? "user or domain is disabled" : "no role in this scope");
    if (r == 0)
        r = token_render(c, t, i, call_arg(c, "nocatalog") == NULL, &c->out);
    if (r < 0)
        return r;
    counter_inc(&issued);
    http_set_header(c->http, "X-Subject-Token", text);
    http_set_header(c->http, "Vary", "X-Auth-Token");
    return 0;
}
