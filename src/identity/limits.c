/*
 * Unified limits: what services may let projects use. Registered limits are the defaults of a
 * service (in a region); limits override them for a project or a domain. Identity keeps them,
 * services enforce them.
 *
 * Under the model "strict_two_level" a project's limit may not be more than its domain's, which
 * is the limit of the tree.
 */
#include "identity/internal.h"

#include <errno.h>

static bool anything(struct call *c, const void *object)
{
    (void)c;
    (void)object;
    return true;
}

static int everything(struct call *c, struct query *q)
{
    (void)c;
    (void)q;
    return 0;
}

/* An empty filter value stands for null. */
static int null_filter(struct call *c, struct query *q, const char *name, const char *value)
{
    if (STREQ(name, "region_id") && (!*value || STREQ(value, "None")))
        return query_where(q, c->arena, name, Q_NULL, NULL) ? 0 : -ENOMEM;
    return 1;
}

static int check_place(struct call *c, const char *service_id, const char *region_id)
{
    struct catalog_service *s;
    struct region *r;
    int result = txn_get(c->txn, &IDENTITY_SERVICE_KIND, service_id, &s);
    if (result == 0 && !s)
        return bad_request(c, "Could not find service: %s.", service_id);
    if (result == 0 && region_id) {
        result = txn_get(c->txn, &IDENTITY_REGION_KIND, region_id, &r);
        if (result == 0 && !r)
            return bad_request(c, "Could not find region: %s.", region_id);
    }
    return result;
}

/* ---- registered limits ---- */

static int registered_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    (void)full;
    put_self(c, o, "registered_limits", ((const struct object *)object)->id);
    return 0;
}

/* How many limits stand on it. */
static int in_use(struct call *c, const struct registered_limit *x, uint64_t *ret)
{
    struct query q = { .kind = &IDENTITY_LIMIT_KIND };
    (void)query_where(&q, c->arena, "service_id", Q_EQ, x->service_id);
    (void)query_where(&q, c->arena, "resource_name", Q_EQ, x->resource_name);
    struct condition *w = query_where(&q, c->arena, "region_id", x->region_id ? Q_EQ : Q_NULL, x->region_id);
    return w ? txn_count(c->txn, &q, ret) : -ENOMEM;
}

static int used_fault(struct call *c, const struct registered_limit *x)
{
    return call_fault(c, 403, "RegisteredLimitError",
                      "Unable to update or delete registered limit %s because there "
                      "are project limits associated with it.",
                      x->head.id);
}

static int registered_update(struct call *c, const void *before, void *object)
{
    const struct registered_limit *old = before, *x = object;
    uint64_t n = 0;
    bool moved = !str_eq(old->service_id, x->service_id) || !str_eq(old->region_id, x->region_id) ||
                 !str_eq(old->resource_name, x->resource_name);
    int r = in_use(c, old, &n);
    if (r == 0 && n && moved)
        return used_fault(c, old);
    return r ? r : check_place(c, x->service_id, x->region_id);
}

static int registered_remove(struct call *c, void *object)
{
    uint64_t n = 0;
    int r = in_use(c, object, &n);
    return r ? r : n ? used_fault(c, object) : 0;
}

static int registered_taken(struct call *c, const void *object)
{
    (void)object;
    return conflict(c, "Conflict occurred attempting to store registered_limit - Duplicate entry.");
}

const struct resource REGISTERED_LIMIT_RESOURCE = {
    .one = "registered_limit",
    .many = "registered_limits",
    .kind = &IDENTITY_REGISTERED_LIMIT_KIND,
    .title = "Registered limit",
    .not_found = "NotFound",
    .not_found_noun = "registered limit",
    .scope = everything,
    .visible = anything,
    .filter = null_filter,
    .render = registered_render,
    .update = registered_update,
    .remove = registered_remove,
    .taken = registered_taken,
    .hex_ids = true,
};

/* ---- limits ---- */

static int limit_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    (void)full;
    put_self(c, o, "limits", ((const struct object *)object)->id);
    return 0;
}

static int limit_scope(struct call *c, struct query *q)
{
    struct results l = { 0 };
    if (c->auth->system || call_is_admin(c))
        return 0;
    if (!c->auth->domain_id)
        return query_where(q, c->arena, "project_id", Q_EQ, str_or(c->auth->project_id, "")) ? 0 : -ENOMEM;
    int r = list_where(c->txn, &IDENTITY_PROJECT_KIND, "domain_id", c->auth->domain_id, &l);
    struct condition *own = query_where(q, c->arena, "domain_id", Q_EQ, c->auth->domain_id);
    if (!own)
        return -ENOMEM;
    own->any = 1;
    struct condition *inside = query_where(q, c->arena, "project_id", Q_IN, NULL);
    if (!inside)
        return -ENOMEM;
    inside->any = 1;
    for (size_t i = 0; i < l.n; i++)
        (void)strv_add(c->arena, &inside->list, ((const struct object *)l.v[i])->id);
    return r;
}

static int find_limit(struct call *c, const struct limit *like, const char *project_id, const char *domain_id,
                      struct limit **ret)
{
    struct query q = { .kind = &IDENTITY_LIMIT_KIND };
    (void)query_where(&q, c->arena, "service_id", Q_EQ, like->service_id);
    (void)query_where(&q, c->arena, "resource_name", Q_EQ, like->resource_name);
    (void)query_where(&q, c->arena, "region_id", like->region_id ? Q_EQ : Q_NULL, like->region_id);
    (void)query_where(&q, c->arena, project_id ? "project_id" : "domain_id", Q_EQ,
                      project_id ? project_id : domain_id);
    return txn_find(c->txn, &q, ret);
}

static int find_registered(struct call *c, const struct limit *like, struct registered_limit **ret)
{
    struct query q = { .kind = &IDENTITY_REGISTERED_LIMIT_KIND };
    (void)query_where(&q, c->arena, "service_id", Q_EQ, like->service_id);
    (void)query_where(&q, c->arena, "resource_name", Q_EQ, like->resource_name);
    (void)query_where(&q, c->arena, "region_id", like->region_id ? Q_EQ : Q_NULL, like->region_id);
    return txn_find(c->txn, &q, ret);
}

static int too_much(struct call *c, const char *reason)
{
    return call_fault(c, 403, "InvalidLimit", "Invalid resource limit: %s.", reason);
}

/* The tree: a project's limit fits into that of its domain, a domain's holds those of its projects. */
static int fits_tree(struct call *c, const struct limit *x, const struct registered_limit *standard)
{
    struct limit *other;
    struct project *p;
    struct results projects = { 0 };
    if (!STREQ(call_identity(c)->config->limit_model, "strict_two_level"))
        return 0;
    if (x->project_id) {
        int r = need(c, &IDENTITY_PROJECT_KIND, "project", x->project_id, &p);
        if (r == 0)
            r = find_limit(c, x, NULL, p->domain_id, &other);
        if (r)
            return r;
        int64_t most = other ? other->resource_limit : standard->default_limit;
        return most >= 0 && (x->resource_limit < 0 || x->resource_limit > most)
                   ? too_much(c, "the project's limit is more than its domain's")
                   : 0;
    }
    int r = list_where(c->txn, &IDENTITY_PROJECT_KIND, "domain_id", x->domain_id, &projects);
    for (size_t i = 0; i < projects.n && r == 0; i++) {
        r = find_limit(c, x, ((const struct object *)projects.v[i])->id, NULL, &other);
        if (r == 0 && other && x->resource_limit >= 0 &&
            (other->resource_limit < 0 || other->resource_limit > x->resource_limit))
            return too_much(c, "a project of the domain has a higher limit");
    }
    return r;
}

static int limit_check(struct call *c, const struct limit *x)
{
    struct registered_limit *standard;
    struct project *p;
    if (!x->project_id == !x->domain_id)
        return bad_request(c, "Invalid input: exactly one of project_id and domain_id is required");
    int r = txn_get(c->txn, &IDENTITY_PROJECT_KIND, x->project_id ? x->project_id : x->domain_id, &p);
    if (r == 0 && (!p || (x->domain_id && !p->is_domain)))
        return bad_request(c, "Could not find %s: %s.", x->project_id ? "project" : "domain",
                           x->project_id ? x->project_id : x->domain_id);
    if (r == 0)
        r = find_registered(c, x, &standard);
    if (r)
        return r;
    if (!standard)
        return call_fault(c, 403, "NoLimitReference",
                          "Unable to create a limit that has no corresponding registered "
                          "limit.");
    return fits_tree(c, x, standard);
}

static int limit_update(struct call *c, const void *before, void *object)
{
    (void)before;
    return limit_check(c, object);
}

static int limit_taken(struct call *c, const void *object)
{
    (void)object;
    return conflict(c, "Conflict occurred attempting to store limit - Duplicate entry.");
}

const struct resource LIMIT_RESOURCE = {
    .one = "limit",
    .many = "limits",
    .kind = &IDENTITY_LIMIT_KIND,
    .title = "Limit",
    .not_found = "NotFound",
    .not_found_noun = "limit",
    .scope = limit_scope,
    .visible = anything,
    .filter = null_filter,
    .render = limit_render,
    .update = limit_update,
    .taken = limit_taken,
    .hex_ids = true,
};

int limit_show(struct call *c)
{
    struct limit *x;
    struct project *p = NULL;
    struct strmap m = { 0 };
    int r = call_read(c);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_LIMIT_KIND, call_param(c, "id"), &x);
    if (r == 0 && x && x->project_id)
        r = txn_get(c->txn, &IDENTITY_PROJECT_KIND, x->project_id, &p);
    if (r)
        return r;
    if (x) {
        (void)vec_push(c->arena, &m,
                       ((struct pair){ "target.limit.project_id", str_or(x->project_id, "None") }));
        (void)vec_push(c->arena, &m,
                       ((struct pair){ "target.limit.domain.id", str_or(x->domain_id, "None") }));
        (void)vec_push(
            c->arena, &m,
            ((struct pair){ "target.limit.project.domain_id", p ? str_or(p->domain_id, "None") : "None" }));
    }
    r = call_require(c, "identity:get_limit", &m);
    if (r)
        return r;
    return x ? resource_render_one(c, &LIMIT_RESOURCE, x) : not_found(c, "limit", call_param(c, "id"));
}

int limit_model(struct call *c)
{
    bool flat = STREQ(call_identity(c)->config->limit_model, "flat");
    json_open_object(&c->out);
    json_put_object(&c->out, "model");
    json_put_string(&c->out, "name", call_identity(c)->config->limit_model);
    json_put_string(
        &c->out, "description",
        flat ? "Limit enforcement and validation does not take project hierarchy into consideration."
             : "Limits of projects fit into the limit of their domain; trees are two levels deep.");
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

/* ---- several at once ---- */

/* {"limits": [...]}: all or none of them. */
static int create_each(struct call *c)
{
    const struct resource *res = c->route->resource;
    const struct schema *s = res->kind->schema;
    size_t i;
    json_t *item;
    json_open_object(&c->out);
    json_put_array(&c->out, res->many);
    json_array_foreach(c->body, i, item)
    {
        struct decode_error e;
        void *x = arena_alloc(c->arena, s->size);
        if (!x)
            return -ENOMEM;
        int r = schema_decode(s, item, DECODE_CREATE, 0, c->arena, x, NULL, &e);
        if (r)
            return r < 0 ? r : bad_request(c, "Invalid input for field %s/%zu: %s", res->many, i, e.message);
        ((struct object *)x)->id = uuid_hex_new(c->arena);
        if (res == &LIMIT_RESOURCE)
            r = limit_check(c, x);
        else
            r = check_place(c, ((struct registered_limit *)x)->service_id,
                            ((struct registered_limit *)x)->region_id);
        if (r == 0)
            r = txn_put(c->txn, res->kind, x);
        if (r == TXN_TAKEN)
            r = res->taken(c, x);
        if (r == 0)
            r = resource_render(c, res, x, true, NULL, &c->out);
        if (r)
            return r;
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

int limit_create(struct call *c)
{
    if (!json_is_array(c->body) || !json_array_size(c->body))
        return bad_request(c, "Invalid input for field '%s': it is not a list with elements", c->route->wrap);
    return call_write(c, create_each);
}

int registered_limit_create(struct call *c)
{
    return limit_create(c);
}
