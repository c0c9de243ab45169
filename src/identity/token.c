/*
 * Tokens: what one is worth now, and how it is shown.
 *
 * A token says who, by which methods, in which scope, until when. All else is looked up when it is
 * opened: whether user, project and domains are there and enabled, whether something happened
 * since it was issued that voids it (a password change, a disabling, a revocation), and which
 * roles there are now. So a removed role is gone from every token at once, and a token whose
 * last role has gone is worth nothing.
 */
#include "identity/internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

static int bad_token(struct fault *f)
{
    return fault_set(f, 404, "TokenNotFound",
                     "Could not find token: it is not one of this cloud, has expired or was revoked.");
}

static int get_domain(struct txn *t, const char *id, usec_t issued_at, const struct project **ret)
{
    struct project *d = NULL;
    int r = id ? txn_get(t, &IDENTITY_PROJECT_KIND, id, &d) : 0;
    *ret = d && d->is_domain && d->enabled && d->valid_from <= issued_at ? d : NULL;
    return r;
}

static int resolve_user(struct txn *t, const char *user_id, usec_t issued_at, const struct user **ret_user,
                        const struct project **ret_domain)
{
    struct user *u;
    *ret_user = NULL;
    int r = txn_get(t, &IDENTITY_USER_KIND, user_id, &u);
    if (r < 0 || !u || !u->enabled || u->valid_from > issued_at)
        return r;
    r = get_domain(t, u->domain_id, issued_at, ret_domain);
    if (r == 0 && *ret_domain)
        *ret_user = u;
    return r;
}

static int resolve_scope(struct txn *t, struct arena *a, const struct token_payload *p, struct token_info *i,
                         bool *good)
{
    struct project *project;
    const struct project *domain;
    struct results above = { 0 };
    *good = true;
    if (p->scope == SCOPE_NONE)
        return 0;
    if (p->scope == SCOPE_SYSTEM) {
        i->auth.system = true;
        return 0;
    }
    *good = false;
    if (p->scope == SCOPE_DOMAIN) {
        int r = get_domain(t, p->scope_id, p->issued_at, &domain);
        if (r < 0 || !domain)
            return r;
        i->auth.domain_id = domain->head.id;
        i->auth.domain_name = domain->name;
        *good = true;
        return 0;
    }
    int r = txn_get(t, &IDENTITY_PROJECT_KIND, p->scope_id, &project);
    if (r < 0 || !project || !project->enabled || project->valid_from > p->issued_at)
        return r;
    r = get_domain(t, project->is_domain ? project->head.id : project->domain_id, p->issued_at, &domain);
    if (r < 0 || !domain)
        return r;
    r = project_ancestors(t, a, project, &above);
    for (size_t k = 0; k < above.n; k++)
        if (!((const struct project *)above.v[k])->enabled)
            return r;
    i->auth.project_id = project->head.id;
    i->auth.project_name = project->name;
    i->auth.project_domain_id = domain->head.id;
    i->auth.project_domain_name = domain->name;
    i->project_is_domain = project->is_domain;
    *good = true;
    return r;
}

static void set_roles(struct arena *a, struct token_info *i, const struct ref_list *l)
{
    i->auth.roles = i->auth.role_ids = (struct strv){ 0 };
    i->auth.admin = false;
    for (size_t k = 0; k < l->n; k++) {
        (void)strv_add(a, &i->auth.roles, l->v[k].name);
        (void)strv_add(a, &i->auth.role_ids, l->v[k].id);
        i->auth.admin = i->auth.admin || STREQ(l->v[k].name, "admin");
    }
}

/* The roles among 'have' whose ids the list, with what it implies, names. *ret_all: none was missing. */
static int narrow_roles(struct api *api, struct txn *t, struct arena *a, const struct strv *wanted,
                        const struct ref_list *have, bool expand, struct ref_list *ret, bool *ret_all)
{
    _cleanup_(snapshot_unrefp) struct snapshot *s = NULL;
    struct strv ids = { 0 };
    for (size_t i = 0; i < wanted->n; i++)
        (void)strv_add(a, &ids, wanted->v[i]);
    int r = snapshot_get(api, t, &s);
    if (r < 0)
        return r;
    if (expand)
        snapshot_expand(s, a, &ids);
    size_t found = 0, global = 0;
    for (size_t i = 0; i < ids.n; i++) {
        const struct role_entry *e = snapshot_role(s, ids.v[i]);
        global += e && !e->domain_id;
        for (size_t k = 0; k < have->n; k++) {
            if (STREQ(have->v[k].id, ids.v[i])) {
                (void)vec_push(a, ret, have->v[k]);
                found++;
            }
        }
    }
    *ret_all = found == global;
    return 0;
}

static int resolve_trust(struct api *api, struct txn *t, struct arena *a, struct token_info *i,
                         struct ref_list *roles, bool *good)
{
    const struct token_payload *p = &i->payload;
    struct trust *trust;
    const struct user *trustor, *trustee = NULL;
    const struct project *trustor_domain, *trustee_domain;
    struct ref_list have = { 0 };
    usec_t now = clock_wall();
    *good = false;
    int r = txn_get(t, &IDENTITY_TRUST_KIND, p->trust_id, &trust);
    if (r < 0 || !trust || trust->deleted_at || (trust->expires_at && trust->expires_at <= now))
        return r;
    r = resolve_user(t, trust->trustor_user_id, p->issued_at, &trustor, &trustor_domain);
    if (r == 0)
        r = resolve_user(t, trust->trustee_user_id, p->issued_at, &trustee, &trustee_domain);
    if (r < 0 || !trustor || !trustee || !STREQ(trust->trustee_user_id, p->user_id))
        return r;
    if (trust->project_id)
        r = effective_roles(api, t, a, trust->trustor_user_id, SCOPE_PROJECT, trust->project_id, &have);
    bool all = true;
    if (r == 0)
        r = narrow_roles(api, t, a, &trust->role_ids, &have, true, roles, &all);
    i->good_until = trust->expires_at;
    i->trustor_id = trust->trustor_user_id;
    i->trustee_id = trust->trustee_user_id;
    i->impersonation = trust->impersonation;
    if (trust->impersonation) {
        i->auth.user_id = trustor->head.id;
        i->auth.user_name = trustor->name;
        i->auth.user_domain_id = trustor_domain->head.id;
        i->auth.user_domain_name = trustor_domain->name;
        i->password_expires_at = trustor->password_expires_at;
    }
    *good = all;
    return r;
}

static int resolve_app_cred(struct api *api, struct txn *t, struct arena *a, struct token_info *i,
                            struct ref_list *roles, bool *good)
{
    struct app_cred *cred;
    struct ref_list have = *roles;
    bool all;
    *good = false;
    int r = txn_get(t, &IDENTITY_APP_CRED_KIND, i->payload.app_cred_id, &cred);
    if (r < 0 || !cred || (cred->expires_at && cred->expires_at <= clock_wall()) ||
        !STREQ(cred->user_id, i->payload.user_id))
        return r;
    *roles = (struct ref_list){ 0 };
    r = narrow_roles(api, t, a, &cred->role_ids, &have, true, roles, &all);
    i->good_until = cred->expires_at;
    i->app_cred_name = cred->name;
    i->app_cred_unrestricted = cred->unrestricted;
    i->has_access_rules = cred->access_rule_ids.n > 0;
    if (i->has_access_rules)
        i->auth.permits = access_rules_permit;
    for (size_t k = 0; r == 0 && k < cred->access_rule_ids.n; k++) {
        struct access_rule *rule;
        r = txn_get(t, &IDENTITY_ACCESS_RULE_KIND, cred->access_rule_ids.v[k], &rule);
        if (r == 0 && rule)
            (void)vec_push(a, &i->access_rules, *rule);
    }
    *good = true;
    return r;
}

int token_resolve(struct api *api, struct txn *t, struct arena *a, const struct token_payload *p,
                  usec_t window, struct token_info *i, struct fault *fault)
{
    const struct user *user;
    const struct project *domain;
    struct revocation *revoked;
    struct ref_list roles = { 0 };
    bool good;
    *i = (struct token_info){ .payload = *p };
    if (p->expires_at + window <= clock_wall())
        return bad_token(fault);
    int r = txn_get(t, &IDENTITY_REVOCATION_KIND, p->audit_id, &revoked);
    if (r == 0 && revoked)
        return bad_token(fault);
    if (r == 0)
        r = resolve_user(t, p->user_id, p->issued_at, &user, &domain);
    if (r < 0)
        return r;
    if (!user)
        return bad_token(fault);
    i->auth = (struct auth){ .user_id = user->head.id,
                             .user_name = user->name,
                             .user_domain_id = domain->head.id,
                             .user_domain_name = domain->name,
                             .audit_id = i->payload.audit_id,
                             .issued_at = p->issued_at,
                             .expires_at = p->expires_at,
                             .extra = i };
    i->password_expires_at = user->password_expires_at;
    r = resolve_scope(t, a, p, i, &good);
    if (r < 0)
        return r;
    if (!good)
        return bad_token(fault);
    if (p->trust_id)
        r = resolve_trust(api, t, a, i, &roles, &good);
    else
        r = effective_roles(api, t, a, p->user_id, p->scope, p->scope_id, &roles);
    if (r == 0 && good && p->app_cred_id)
        r = resolve_app_cred(api, t, a, i, &roles, &good);
    if (r < 0)
        return r;
    if (!good || (p->scope != SCOPE_NONE && roles.n == 0))
        return bad_token(fault);
    set_roles(a, i, &roles);
    return arena_failed(a) ? -ENOMEM : 0;
}

int token_validate(struct api *api, struct txn *t, struct arena *a, const char *token, usec_t window,
                   struct token_info *ret, struct fault *fault)
{
    struct identity *id = identity_of(api);
    /* Before anything is read: what changes from here on makes the entry stale. */
    uint64_t generation = atomic_load(&id->generation);
    struct token_payload p;
    if (token_cache_find(id->cache, generation, token, a, ret)) {
        usec_t now = clock_wall();
        bool alive = ret->payload.expires_at + window > now && (!ret->good_until || ret->good_until > now);
        ret->auth.token = token;
        return alive ? 0 : bad_token(fault);
    }
    int r = token_open(id->keys, a, token, &p);
    if (r)
        return r < 0 ? r : bad_token(fault);
    _cleanup_(txn_donep) struct txn *own = NULL;
    if (!t) {
        r = store_read(api_store(api), a, &own);
        if (r < 0)
            return r;
        t = own;
    }
    r = token_resolve(api, t, a, &p, window, ret, fault);
    ret->auth.token = token;
    if (r == 0)
        token_cache_add(id->cache, generation, token, ret);
    return r;
}

int identity_authenticate(struct api *api, struct arena *a, const char *token, struct auth *ret,
                          struct fault *fault)
{
    struct token_info *i = ARENA_NEW(a, struct token_info);
    if (!i)
        return -ENOMEM;
    int r = token_validate(api, NULL, a, token, 0, i, fault);
    if (r == FAULT)
        return fault_set(fault, 401, "Unauthorized", "The request you have made requires authentication.");
    if (r == 0)
        *ret = i->auth;
    return r;
}

/* ---- issuing ---- */

/* Who logs in again and again finds the same: what a user is worth in a scope is kept too. In a cache of
 * its own: a client may send any text for a token, this key among them. */
static const char *standing_key(struct arena *a, const struct token_payload *p)
{
    if (p->trust_id || p->app_cred_id)
        return NULL;
    return arena_printf(a, "%s/%d/%s", p->user_id, (int)p->scope, str_or(p->scope_id, ""));
}

static void dress(struct token_info *i, const struct token_payload *p)
{
    i->payload = *p;
    i->auth.audit_id = i->payload.audit_id;
    i->auth.issued_at = p->issued_at;
    i->auth.expires_at = p->expires_at;
}

int token_issue(struct api *api, struct txn *t, struct arena *a, struct token_payload *p,
                char out[TOKEN_TEXT_MAX], struct token_info *ret, struct fault *fault)
{
    struct identity *id = identity_of(api);
    uint64_t generation = atomic_load(&id->generation);
    const char *key = standing_key(a, p);
    p->issued_at = clock_wall();
    if (!p->expires_at)
        p->expires_at = p->issued_at + SECONDS(id->config->token_seconds);
    if (p->expires_at <= p->issued_at)
        return bad_token(fault);
    audit_id_new(p->audit_id);
    int r = 0;
    if (key && token_cache_find(id->standings, generation, key, a, ret)) {
        dress(ret, p);
    } else {
        r = token_resolve(api, t, a, p, 0, ret, fault);
        if (r == 0 && key)
            token_cache_add(id->standings, generation, key, ret);
    }
    if (r == 0)
        r = token_seal(id->keys, p, out);
    /* Whoever asks for a token uses it next. */
    if (r == 0)
        token_cache_add(id->cache, generation, out, ret);
    return r;
}

const char *const *token_methods(unsigned methods, const char *out[8])
{
    static const struct {
        unsigned bit;
        const char *name;
    } NAMES[] = {
        { METHOD_PASSWORD, "password" }, { METHOD_TOKEN, "token" },
        { METHOD_TOTP, "totp" },         { METHOD_APP_CRED, "application_credential" },
        { METHOD_EC2, "ec2credential" },
    };
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++)
        if (methods & NAMES[i].bit)
            out[n++] = NAMES[i].name;
    out[n] = NULL;
    return out;
}

/* ---- showing ---- */

static void put_domain(struct json_out *o, const char *id, const char *name)
{
    json_put_object(o, "domain");
    json_put_string(o, "id", id);
    json_put_string(o, "name", name);
    json_close_object(o);
}

static void put_time(struct json_out *o, const char *key, usec_t t)
{
    char text[TIME_TEXT_SIZE];
    json_put_string(o, key, t ? time_format(t, TIME_ISO_MICRO_Z, text) : NULL);
}

static void put_user(struct json_out *o, const struct token_info *i)
{
    char text[TIME_TEXT_SIZE];
    json_put_object(o, "user");
    put_domain(o, i->auth.user_domain_id, i->auth.user_domain_name);
    json_put_string(o, "id", i->auth.user_id);
    json_put_string(o, "name", i->auth.user_name);
    json_put_string(o, "password_expires_at",
                    i->password_expires_at ? time_format(i->password_expires_at, TIME_ISO_MICRO, text)
                                           : NULL);
    json_close_object(o);
}

static void put_scope(struct json_out *o, const struct token_info *i)
{
    const struct auth *x = &i->auth;
    if (i->payload.trust_id) {
        json_put_object(o, "OS-TRUST:trust");
        json_put_string(o, "id", i->payload.trust_id);
        json_put_object(o, "trustor_user");
        json_put_string(o, "id", i->trustor_id);
        json_close_object(o);
        json_put_object(o, "trustee_user");
        json_put_string(o, "id", i->trustee_id);
        json_close_object(o);
        json_put_bool(o, "impersonation", i->impersonation);
        json_close_object(o);
    }
    if (x->system) {
        json_put_object(o, "system");
        json_put_bool(o, "all", true);
        json_close_object(o);
    } else if (x->domain_id) {
        put_domain(o, x->domain_id, x->domain_name);
    } else if (x->project_id) {
        json_put_object(o, "project");
        put_domain(o, x->project_domain_id, x->project_domain_name);
        json_put_string(o, "id", x->project_id);
        json_put_string(o, "name", x->project_name);
        json_close_object(o);
        json_put_bool(o, "is_domain", i->project_is_domain);
    }
    if (i->payload.scope == SCOPE_NONE && !i->payload.trust_id)
        return;
    json_put_array(o, "roles");
    for (size_t k = 0; k < x->roles.n; k++) {
        json_open_object(o);
        json_put_string(o, "id", x->role_ids.v[k]);
        json_put_string(o, "name", x->roles.v[k]);
        json_close_object(o);
    }
    json_close_array(o);
}

static void put_app_cred(struct json_out *o, const struct token_info *i)
{
    json_put_object(o, "application_credential");
    json_put_string(o, "id", i->payload.app_cred_id);
    json_put_string(o, "name", i->app_cred_name);
    json_put_bool(o, "restricted", !i->app_cred_unrestricted);
    if (i->has_access_rules) {
        json_put_array(o, "access_rules");
        VEC_FOREACH (x, &i->access_rules)
            schema_encode(&ACCESS_RULE_SCHEMA, x, &(struct encode_options){ .time_style = TIME_ISO_MICRO_Z },
                          o);
        json_close_array(o);
    }
    json_close_object(o);
}

int token_render(struct call *c, struct txn *t, const struct token_info *i, bool catalog, struct json_out *o)
{
    const char *methods[8];
    json_open_object(o);
    json_put_object(o, "token");
    json_put_array(o, "methods");
    for (const char *const *m = token_methods(i->payload.methods, methods); *m; m++)
        json_string_out(o, *m);
    json_close_array(o);
    put_user(o, i);
    json_put_array(o, "audit_ids");
    json_string_out(o, i->payload.audit_id);
    if (*i->payload.parent_audit_id)
        json_string_out(o, i->payload.parent_audit_id);
    json_close_array(o);
    put_time(o, "expires_at", i->payload.expires_at);
    put_time(o, "issued_at", i->payload.issued_at);
    put_scope(o, i);
    if (i->payload.app_cred_id)
        put_app_cred(o, i);
    int r = 0;
    if (catalog && (i->payload.scope != SCOPE_NONE || i->payload.trust_id)) {
        _cleanup_(snapshot_unrefp) struct snapshot *s = NULL;
        r = snapshot_get(c->api, t, &s);
        if (r == 0)
            r = snapshot_catalog(s, t, c->arena, i->auth.project_id, i->auth.user_id, o);
    }
    json_close_object(o);
    json_close_object(o);
    return r;
}
