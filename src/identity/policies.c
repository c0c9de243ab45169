/*
 * Policies: texts that other software keeps here, with what they are for; and OAuth consumers,
 * which are kept but can't log in (there is no OAuth1 authentication here).
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

/* ---- policies ---- */

static int policy_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    const struct policy_blob *x = object;
    (void)full;
    put_extra(o, x->extra);
    put_self(c, o, "policies", x->head.id);
    return 0;
}

static int policy_create(struct call *c, void *object)
{
    struct policy_blob *x = object;
    return extra_merge(c, &POLICY_BLOB_SCHEMA, NULL, &x->extra);
}

static int policy_update(struct call *c, const void *before, void *object)
{
    struct policy_blob *x = object;
    return extra_merge(c, &POLICY_BLOB_SCHEMA, ((const struct policy_blob *)before)->extra, &x->extra);
}

static int policy_remove(struct call *c, void *object)
{
    return delete_where(c->txn, &IDENTITY_POLICY_LINK_KIND, "policy_id", ((const struct object *)object)->id);
}

const struct resource POLICY_RESOURCE = {
    .one = "policy",
    .many = "policies",
    .kind = &IDENTITY_POLICY_KIND,
    .title = "Policy",
    .not_found = "NotFound",
    .not_found_noun = "policy",
    .scope = everything,
    .visible = anything,
    .filter = filter_operators,
    .render = policy_render,
    .create = policy_create,
    .update = policy_update,
    .remove = policy_remove,
    .hex_ids = true,
};

/* ---- what a policy is for ---- */

static int read_link(struct call *c, struct policy_link *x)
{
    struct policy_blob *p;
    struct endpoint *e;
    struct catalog_service *s;
    struct region *g;
    *x = (struct policy_link){ .policy_id = call_param(c, "id"),
                               .endpoint_id = strmap_get(&c->params, "endpoint_id"),
                               .service_id = strmap_get(&c->params, "service_id"),
                               .region_id = strmap_get(&c->params, "region_id") };
    int r = call_read(c);
    if (r == 0)
        r = need(c, &IDENTITY_POLICY_KIND, "policy", x->policy_id, &p);
    if (r == 0 && x->endpoint_id)
        r = need(c, &IDENTITY_ENDPOINT_KIND, "endpoint", x->endpoint_id, &e);
    if (r == 0 && x->service_id)
        r = need(c, &IDENTITY_SERVICE_KIND, "service", x->service_id, &s);
    if (r == 0 && x->region_id)
        r = need(c, &IDENTITY_REGION_KIND, "region", x->region_id, &g);
    /* One policy for each: the id is made of what it is for. */
    x->head.id = PAIR_ID(c->arena, "policy", x->endpoint_id, x->service_id, x->region_id);
    return r;
}

static int put_link(struct call *c)
{
    struct policy_link x;
    int r = read_link(c, &x);
    c->status = 204;
    return r ? r : txn_put(c->txn, &IDENTITY_POLICY_LINK_KIND, &x);
}

int policy_link_put(struct call *c)
{
    return call_write(c, put_link);
}

static int find_link(struct call *c, struct policy_link *x)
{
    struct policy_link *there;
    int r = read_link(c, x);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_POLICY_LINK_KIND, x->head.id, &there);
    if (r)
        return r;
    if (!there || !STREQ(there->policy_id, x->policy_id))
        return call_fault(c, 404, "PolicyAssociationNotFound", "Could not find policy association.");
    c->status = 204;
    return 0;
}

int policy_link_check(struct call *c)
{
    struct policy_link x;
    return find_link(c, &x);
}

static int drop_link(struct call *c)
{
    struct policy_link x;
    int r = find_link(c, &x);
    return r ? r : txn_delete(c->txn, &IDENTITY_POLICY_LINK_KIND, x.head.id);
}

int policy_link_delete(struct call *c)
{
    return call_write(c, drop_link);
}

/* The policy for one endpoint: its own, or its service's in its region or a region above, or its service's.
 */
static int policy_of(struct call *c, const struct endpoint *e, const char **ret)
{
    struct policy_link *x;
    *ret = NULL;
    int r =
        txn_get(c->txn, &IDENTITY_POLICY_LINK_KIND, PAIR_ID(c->arena, "policy", e->head.id, NULL, NULL), &x);
    const char *region = e->region_id;
    for (int depth = 0; r == 0 && !x && region && depth < 64; depth++) {
        struct region *above;
        r = txn_get(c->txn, &IDENTITY_POLICY_LINK_KIND,
                    PAIR_ID(c->arena, "policy", NULL, e->service_id, region), &x);
        if (r == 0 && !x)
            r = txn_get(c->txn, &IDENTITY_REGION_KIND, region, &above);
        region = r == 0 && !x && above ? above->parent_region_id : NULL;
    }
    if (r == 0 && !x)
        r = txn_get(c->txn, &IDENTITY_POLICY_LINK_KIND,
                    PAIR_ID(c->arena, "policy", NULL, e->service_id, NULL), &x);
    if (r == 0 && x)
        *ret = x->policy_id;
    return r;
}

int endpoint_policy(struct call *c)
{
    struct endpoint *e;
    struct policy_blob *p;
    const char *id = NULL;
    int r = call_read(c);
    if (r == 0)
        r = need(c, &IDENTITY_ENDPOINT_KIND, "endpoint", call_param(c, "endpoint_id"), &e);
    if (r == 0)
        r = policy_of(c, e, &id);
    if (r)
        return r;
    if (!id)
        return call_fault(c, 404, "PolicyAssociationNotFound", "Could not find policy association.");
    r = need(c, &IDENTITY_POLICY_KIND, "policy", id, &p);
    return r ? r : resource_render_one(c, &POLICY_RESOURCE, p);
}

int policy_endpoints(struct call *c)
{
    struct policy_blob *p;
    struct results l = { 0 };
    int r = call_read(c);
    if (r == 0)
        r = need(c, &IDENTITY_POLICY_KIND, "policy", call_param(c, "id"), &p);
    if (r == 0)
        r = txn_list(c->txn, &(struct query){ .kind = &IDENTITY_ENDPOINT_KIND }, &l);
    if (r)
        return r;
    list_open(c, "endpoints");
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const char *id;
        r = policy_of(c, l.v[i], &id);
        if (r == 0 && str_eq(id, p->head.id))
            r = resource_render(c, &ENDPOINT_RESOURCE, l.v[i], true, NULL, &c->out);
    }
    list_close(c);
    return r;
}

/* ---- consumers ---- */

static int consumer_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    const struct consumer *x = object;
    (void)full;
    /* Once, when it is made. */
    if (STREQ(c->route->method, "POST"))
        json_put_string(o, "secret", x->secret);
    put_extra(o, x->extra);
    put_self(c, o, "OS-OAUTH1/consumers", x->head.id);
    return 0;
}

static int consumer_make(struct call *c, void *object)
{
    struct consumer *x = object;
    x->secret = uuid_hex_new(c->arena);
    return extra_merge(c, &CONSUMER_SCHEMA, NULL, &x->extra);
}

static int consumer_update(struct call *c, const void *before, void *object)
{
    struct consumer *x = object;
    if (json_object_get(c->body, "secret"))
        return bad_request(c, "Cannot change consumer secret");
    return extra_merge(c, &CONSUMER_SCHEMA, ((const struct consumer *)before)->extra, &x->extra);
}

const struct resource CONSUMER_RESOURCE = {
    .one = "consumer",
    .many = "consumers",
    .kind = &IDENTITY_CONSUMER_KIND,
    .title = "Consumer",
    .not_found = "NotFound",
    .not_found_noun = "consumer",
    .scope = everything,
    .visible = anything,
    .render = consumer_render,
    .create = consumer_make,
    .update = consumer_update,
    .hex_ids = true,
};
