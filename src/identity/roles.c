/*
 * Roles, and which role implies which.
 *
 * A role may belong to a domain: then it never appears in a token, it only stands for the global
 * roles it implies.
 */
#include "identity/internal.h"

#include <errno.h>

static const char *const ROLE_OPTIONS[] = { "immutable", NULL };

static int role_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    const struct role *r = object;
    (void)full;
    put_options(o, r->options);
    put_extra(o, r->extra);
    put_self(c, o, "roles", r->head.id);
    return 0;
}

/* Without domain_id: the global ones. */
static int role_scope(struct call *c, struct query *q)
{
    if (call_arg(c, "domain_id"))
        return 0;
    return query_where(q, c->arena, "domain_id", Q_NULL, NULL) ? 0 : -ENOMEM;
}

static bool any_role(struct call *c, const void *object)
{
    (void)c;
    (void)object;
    return true;
}

static int role_create(struct call *c, void *object)
{
    struct role *x = object;
    struct project *d;
    int r = 0;
    if (x->domain_id) {
        r = need(c, &IDENTITY_PROJECT_KIND, "domain", x->domain_id, &d);
        if (r == 0 && !d->is_domain)
            return not_found(c, "domain", x->domain_id);
    }
    if (r == 0)
        r = options_merge(c, NULL, &x->options, ROLE_OPTIONS);
    return r ? r : extra_merge(c, &ROLE_SCHEMA, NULL, &x->extra);
}

static int role_update(struct call *c, const void *before, void *object)
{
    const struct role *old = before;
    struct role *x = object;
    const char *domain = json_get_string(c->body, "domain_id");
    int r = 0;
    if (domain && !str_eq(domain, old->domain_id))
        return bad_request(c, "Update of `domain_id` is not allowed.");
    if (GIVEN(&c->given, &ROLE_SCHEMA, struct role, options))
        r = options_merge(c, old->options, &x->options, ROLE_OPTIONS);
    if (r == 0)
        r = refuse_immutable(c, old->options, str_or(x->options, "{}"), "role", x->head.id);
    return r ? r : extra_merge(c, &ROLE_SCHEMA, old->extra, &x->extra);
}

int role_purge(struct txn *t, struct arena *a, const char *id)
{
    struct results l = { 0 };
    int r = delete_where(t, &IDENTITY_ASSIGNMENT_KIND, "role_id", id);
    if (r == 0)
        r = delete_where(t, &IDENTITY_IMPLIED_ROLE_KIND, "prior_role_id", id);
    if (r == 0)
        r = delete_where(t, &IDENTITY_IMPLIED_ROLE_KIND, "implied_role_id", id);
    struct query q = { .kind = &IDENTITY_APP_CRED_KIND };
    if (r == 0)
        r = query_where(&q, a, "role_ids", Q_KEY, id) ? txn_list(t, &q, &l) : -ENOMEM;
    for (size_t i = 0; i < l.n && r == 0; i++) {
        struct app_cred *cred = l.v[i];
        (void)strv_drop(&cred->role_ids, id);
        r = cred->role_ids.n ? txn_put(t, &IDENTITY_APP_CRED_KIND, cred)
                             : txn_delete(t, &IDENTITY_APP_CRED_KIND, cred->head.id);
    }
    return r;
}

static int role_remove(struct call *c, void *object)
{
    const struct role *x = object;
    int r = refuse_immutable(c, x->options, NULL, "role", x->head.id);
    return r ? r : role_purge(c->txn, c->arena, x->head.id);
}

static int role_taken(struct call *c, const void *object)
{
    return conflict(c, "Conflict occurred attempting to store role - Duplicate entry found with name %s.",
                    ((const struct role *)object)->name);
}

const struct resource ROLE_RESOURCE = {
    .one = "role",
    .many = "roles",
    .kind = &IDENTITY_ROLE_KIND,
    .title = "Role",
    .not_found = "NotFound",
    .not_found_noun = "role",
    .scope = role_scope,
    .visible = any_role,
    .filter = filter_operators,
    .render = role_render,
    .create = role_create,
    .update = role_update,
    .remove = role_remove,
    .taken = role_taken,
    .hex_ids = true,
};

/* ---- implied roles ---- */

static void put_role(struct call *c, const char *key, const struct role *r)
{
    json_put_object(&c->out, key);
    json_put_string(&c->out, "id", r->head.id);
    json_put_string(&c->out, "name", r->name);
    put_self(c, &c->out, "roles", r->head.id);
    json_close_object(&c->out);
}

static void put_role_item(struct call *c, const struct role *r)
{
    json_open_object(&c->out);
    json_put_string(&c->out, "id", r->head.id);
    json_put_string(&c->out, "name", r->name);
    put_self(c, &c->out, "roles", r->head.id);
    json_close_object(&c->out);
}

static int put_inference(struct call *c, const struct role *prior, const struct role *implied)
{
    json_open_object(&c->out);
    json_put_object(&c->out, "role_inference");
    put_role(c, "prior_role", prior);
    put_role(c, "implies", implied);
    json_close_object(&c->out);
    json_put_object(&c->out, "links");
    json_put_string(&c->out, "self", v3_url(c, "roles/%s/implies/%s", prior->head.id, implied->head.id));
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int both_roles(struct call *c, struct role **prior, struct role **implied)
{
    int r = call_read(c);
    if (r == 0)
        r = need(c, &IDENTITY_ROLE_KIND, "role", call_param(c, "id"), prior);
    return r ? r : need(c, &IDENTITY_ROLE_KIND, "role", call_param(c, "implied_id"), implied);
}

static int not_implied(struct call *c, const struct role *prior, const struct role *implied)
{
    return call_fault(c, 404, "ImpliedRoleNotFound", "%s does not imply %s.", prior->head.id,
                      implied->head.id);
}

int implied_get(struct call *c)
{
    struct role *prior, *implied;
    struct implied_role *x;
    int r = both_roles(c, &prior, &implied);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_IMPLIED_ROLE_KIND, PAIR_ID(c->arena, prior->head.id, implied->head.id),
                    &x);
    if (r)
        return r;
    if (!x)
        return not_implied(c, prior, implied);
    if (STREQ(c->http->method, "HEAD")) {
        c->status = 204;
        return 0;
    }
    return put_inference(c, prior, implied);
}

/* Whether 'from' implies 'to', by any number of steps. */
static int reaches(struct txn *t, struct arena *a, const char *from, const char *to, bool *ret)
{
    struct strv ids = { 0 };
    (void)strv_add(a, &ids, from);
    for (size_t i = 0; i < ids.n; i++) {
        struct results l = { 0 };
        int r = list_where(t, &IDENTITY_IMPLIED_ROLE_KIND, "prior_role_id", ids.v[i], &l);
        if (r < 0)
            return r;
        for (size_t k = 0; k < l.n; k++) {
            const char *id = ((const struct implied_role *)l.v[k])->implied_role_id;
            if (!strv_has(&ids, id))
                (void)strv_add(a, &ids, id);
        }
    }
    *ret = strv_has(&ids, to);
    return 0;
}

static int imply(struct call *c)
{
    struct role *prior, *implied;
    bool circle;
    int r = both_roles(c, &prior, &implied);
    if (r)
        return r;
    if (implied->domain_id && !prior->domain_id)
        return call_fault(c, 403, "InvalidImpliedRole", "Global role cannot imply a domain-specific role");
    r = reaches(c->txn, c->arena, implied->head.id, prior->head.id, &circle);
    if (r)
        return r;
    if (circle)
        return call_fault(c, 403, "InvalidImpliedRole", "%s can't imply %s: that would be a circle.",
                          prior->head.id, implied->head.id);
    struct implied_role x = { .head.id = PAIR_ID(c->arena, prior->head.id, implied->head.id),
                              .prior_role_id = prior->head.id,
                              .implied_role_id = implied->head.id };
    r = txn_put(c->txn, &IDENTITY_IMPLIED_ROLE_KIND, &x);
    c->status = 201;
    return r ? r : put_inference(c, prior, implied);
}

int implied_put(struct call *c)
{
    return call_write(c, imply);
}

static int unimply(struct call *c)
{
    struct role *prior, *implied;
    struct implied_role *x;
    int r = both_roles(c, &prior, &implied);
    const char *id = r ? NULL : PAIR_ID(c->arena, prior->head.id, implied->head.id);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_IMPLIED_ROLE_KIND, id, &x);
    if (r)
        return r;
    if (!x)
        return not_implied(c, prior, implied);
    c->status = 204;
    return txn_delete(c->txn, &IDENTITY_IMPLIED_ROLE_KIND, id);
}

int implied_delete(struct call *c)
{
    return call_write(c, unimply);
}

/* {"prior_role": ..., "implies": [...]} */
static int put_implications(struct call *c, const struct role *prior, bool even_empty)
{
    struct results l = { 0 };
    int r = list_where(c->txn, &IDENTITY_IMPLIED_ROLE_KIND, "prior_role_id", prior->head.id, &l);
    if (r || (!l.n && !even_empty))
        return r;
    json_open_object(&c->out);
    put_role(c, "prior_role", prior);
    json_put_array(&c->out, "implies");
    for (size_t i = 0; i < l.n && r == 0; i++) {
        struct role *x;
        r = txn_get(c->txn, &IDENTITY_ROLE_KIND, ((const struct implied_role *)l.v[i])->implied_role_id, &x);
        if (r == 0 && x)
            put_role_item(c, x);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return r;
}

int implied_list(struct call *c)
{
    struct role *prior;
    int r = call_read(c);
    if (r == 0)
        r = need(c, &IDENTITY_ROLE_KIND, "role", call_param(c, "id"), &prior);
    if (r)
        return r;
    json_open_object(&c->out);
    json_key(&c->out, "role_inference");
    r = put_implications(c, prior, true);
    json_put_object(&c->out, "links");
    json_put_string(&c->out, "self", v3_url(c, "roles/%s/implies", prior->head.id));
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

int inferences_list(struct call *c)
{
    struct results roles = { 0 };
    int r = call_read(c);
    if (r == 0)
        r = txn_list(c->txn, &(struct query){ .kind = &IDENTITY_ROLE_KIND }, &roles);
    if (r)
        return r;
    list_open(c, "role_inferences");
    for (size_t i = 0; i < roles.n && r == 0; i++)
        r = put_implications(c, roles.v[i], false);
    list_close(c);
    return r;
}
