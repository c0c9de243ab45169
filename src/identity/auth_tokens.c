/*
 * What one may do with a token one has: validate, revoke, ask where else one could go.
 */
#include "identity/internal.h"

#include <errno.h>
#include <stdatomic.h>

static int subject_target(struct call *c, const struct token_info *i, const char *rule)
{
    struct strmap m = { 0 };
    (void)vec_push(c->arena, &m, ((struct pair){ "target.token.user_id", str_or(i->auth.user_id, "") }));
    return call_require(c, rule, &m);
}

static int subject(struct call *c, const char *rule, usec_t window, struct token_info *ret)
{
    const char *text = http_header(c->http, "X-Subject-Token");
    struct fault why = { 0 };
    int r = str_empty(text) ? fault_set(&why, 404, "TokenNotFound", "Could not find token: .")
                            : token_validate(c->api, c->txn, c->arena, text, window, ret, &why);
    if (r == FAULT)
        c->fault = why;
    return r ? r : subject_target(c, ret, rule);
}

int auth_get(struct call *c)
{
    struct identity *id = call_identity(c);
    struct token_info *i = ARENA_NEW(c->arena, struct token_info);
    const char *text = http_header(c->http, "X-Subject-Token");
    bool head = STREQ(c->http->method, "HEAD"), late = call_arg_bool(c, "allow_expired", false);
    bool catalog = call_arg(c, "nocatalog") == NULL;
    uint64_t generation = atomic_load(&id->generation);
    if (!i)
        return -ENOMEM;
    int r =
        subject(c, head ? "identity:check_token" : "identity:validate_token", late ? EXPIRED_WINDOW : 0, i);
    if (r)
        return r;
    /* A service that does not know of access rules would let through what they forbid. */
    if (i->has_access_rules && !http_header(c->http, "OpenStack-Identity-Access-Rules"))
        return not_found(c, "token", "it has access rules, which the one who asks does not support");
    http_set_header(c->http, "X-Subject-Token", text);
    http_set_header(c->http, "Vary", "X-Auth-Token");
    if (catalog && token_cache_find_answer(id->cache, generation, text, &c->buf))
        return 0;
    r = call_read(c);
    if (r == 0)
        r = token_render(c, c->txn, i, catalog, &c->out);
    if (r == 0 && catalog && !buf_error(&c->buf))
        token_cache_add_answer(id->cache, generation, text, buf_text(&c->buf), c->buf.len);
    return r;
}

static int write_revocation(struct call *c)
{
    const struct token_info *i = c->data;
    struct revocation x = { .head.id = i->payload.audit_id,
                            .revoked_at = clock_wall(),
                            .expires_at = i->payload.expires_at };
    c->status = 204;
    return txn_put(c->txn, &IDENTITY_REVOCATION_KIND, &x);
}

int auth_delete(struct call *c)
{
    struct token_info *i = ARENA_NEW(c->arena, struct token_info);
    if (!i)
        return -ENOMEM;
    int r = subject(c, "identity:revoke_token", 0, i);
    c->data = i;
    return r ? r : call_write(c, write_revocation);
}

int auth_catalog(struct call *c)
{
    _cleanup_(snapshot_unrefp) struct snapshot *s = NULL;
    if (!c->auth->project_id)
        return call_fault(c, 403, "Forbidden",
                          "A project-scoped token is required to produce a service catalog.");
    int r = call_read(c);
    if (r == 0)
        r = snapshot_get(c->api, c->txn, &s);
    if (r < 0)
        return r;
    json_open_object(&c->out);
    r = snapshot_catalog(s, c->txn, c->arena, c->auth->project_id, c->auth->user_id, &c->out);
    json_put_object(&c->out, "links");
    json_put_string(&c->out, "self", v3_url(c, "auth/catalog"));
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

static int scopes(struct call *c, bool domains)
{
    struct results l = { 0 };
    const struct resource *res = domains ? &DOMAIN_RESOURCE : &PROJECT_RESOURCE;
    int r = call_read(c);
    if (r == 0)
        r = effective_projects(c->txn, c->arena, c->auth->user_id, domains, &l);
    if (r)
        return r;
    list_open(c, res->many);
    for (size_t i = 0; i < l.n && r == 0; i++)
        if (((const struct project *)l.v[i])->enabled)
            r = resource_render(c, res, l.v[i], true, NULL, &c->out);
    list_close(c);
    return r;
}

int auth_projects(struct call *c)
{
    return scopes(c, false);
}

int auth_domains(struct call *c)
{
    return scopes(c, true);
}

int auth_system(struct call *c)
{
    struct ref_list roles = { 0 };
    int r = call_read(c);
    if (r == 0)
        r = effective_roles(c->api, c->txn, c->arena, c->auth->user_id, SCOPE_SYSTEM, NULL, &roles);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "system");
    if (roles.n) {
        json_open_object(&c->out);
        json_put_bool(&c->out, "all", true);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_put_object(&c->out, "links");
    json_put_string(&c->out, "self", v3_url(c, "auth/system"));
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

int revoke_events(struct call *c)
{
    struct query q = { .kind = &IDENTITY_REVOCATION_KIND };
    struct results l = { 0 };
    const char *since = call_arg(c, "since");
    usec_t from = 0;
    if (since && time_parse(since, &from) < 0)
        return bad_request(c, "invalid date format %s", since);
    if (from &&
        !query_where(&q, c->arena, "revoked_at", Q_GE, arena_printf(c->arena, "%lld", (long long)from)))
        return -ENOMEM;
    int r = call_read(c);
    if (r == 0)
        r = txn_list(c->txn, &q, &l);
    if (r)
        return r;
    list_open(c, "events");
    for (size_t i = 0; i < l.n; i++) {
        const struct revocation *x = l.v[i];
        char text[TIME_TEXT_SIZE];
        json_open_object(&c->out);
        json_put_string(&c->out, "audit_id", x->head.id);
        json_put_string(&c->out, "issued_before", time_format(x->revoked_at, TIME_ISO_MICRO_Z, text));
        json_close_object(&c->out);
    }
    list_close(c);
    return 0;
}
