/*
 * Where everything is: regions, services, endpoints, and which of them a project sees.
 *
 * A region's id is its maker's choice. An endpoint group is a filter; a project that endpoints or
 * groups are associated with has only those in its catalog.
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

/* ---- regions ---- */

static int region_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    const struct region *x = object;
    (void)full;
    put_extra(o, x->extra);
    put_self(c, o, "regions", x->head.id);
    return 0;
}

static int check_parent_region(struct call *c, const struct region *x)
{
    const char *parent = x->parent_region_id;
    for (int depth = 0; parent && depth < 64; depth++) {
        struct region *p;
        if (STREQ(parent, x->head.id))
            return bad_request(c, "The specified parent region %s would create a circular region hierarchy.",
                               x->parent_region_id);
        int r = need(c, &IDENTITY_REGION_KIND, "region", parent, &p);
        if (r)
            return r;
        parent = p->parent_region_id;
    }
    return 0;
}

static int region_create(struct call *c, void *object)
{
    struct region *x = object, *other;
    const struct region *in = c->in;
    const char *path = strmap_get(&c->params, "id");
    if (path && in->head.id && !STREQ(in->head.id, path))
        return bad_request(c, "The id of the region in the URL and that in the body differ.");
    if (path || !str_empty(in->head.id))
        x->head.id = path ? path : in->head.id;
    if (strlen(x->head.id) > 63)
        return bad_request(c, "Invalid input for field 'id': it is too long");
    int r = txn_get(c->txn, &IDENTITY_REGION_KIND, x->head.id, &other);
    if (r == 0 && other)
        return conflict(c, "Conflict occurred attempting to store region - Duplicate ID, %s.", x->head.id);
    if (r == 0)
        r = check_parent_region(c, x);
    return r ? r : extra_merge(c, &REGION_SCHEMA, NULL, &x->extra);
}

static int region_update(struct call *c, const void *before, void *object)
{
    struct region *x = object;
    int r = extra_merge(c, &REGION_SCHEMA, ((const struct region *)before)->extra, &x->extra);
    return r ? r : check_parent_region(c, x);
}

static int count_where(struct txn *t, const struct kind *k, const char *field, const char *value,
                       uint64_t *ret)
{
    struct query q = { .kind = k };
    return query_where(&q, txn_arena(t), field, Q_EQ, value) ? txn_count(t, &q, ret) : -ENOMEM;
}

/* Child regions go along; endpoints stop it. */
static int region_empty(struct call *c, const char *id, const char *asked)
{
    struct results below = { 0 };
    uint64_t n = 0;
    int r = count_where(c->txn, &IDENTITY_ENDPOINT_KIND, "region_id", id, &n);
    if (r == 0 && n)
        return call_fault(
            c, 403, "RegionDeletionError",
            "Unable to delete region %s because it or its child regions have associated endpoints.", asked);
    if (r == 0)
        r = list_where(c->txn, &IDENTITY_REGION_KIND, "parent_region_id", id, &below);
    for (size_t i = 0; i < below.n && r == 0; i++) {
        const char *child = ((const struct object *)below.v[i])->id;
        r = region_empty(c, child, asked);
        if (r == 0)
            r = txn_delete(c->txn, &IDENTITY_REGION_KIND, child);
    }
    return r;
}

static int region_remove(struct call *c, void *object)
{
    const struct region *x = object;
    return region_empty(c, x->head.id, x->head.id);
}

const struct resource REGION_RESOURCE = {
    .one = "region",
    .many = "regions",
    .kind = &IDENTITY_REGION_KIND,
    .title = "Region",
    .not_found = "NotFound",
    .not_found_noun = "region",
    .scope = everything,
    .visible = anything,
    .render = region_render,
    .create = region_create,
    .update = region_update,
    .remove = region_remove,
    .hex_ids = true,
};

int region_put(struct call *c)
{
    return resource_create(c);
}

/* ---- services ---- */

static int service_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    const struct catalog_service *x = object;
    (void)full;
    put_extra(o, x->extra);
    put_self(c, o, "services", x->head.id);
    return 0;
}

static int service_create(struct call *c, void *object)
{
    struct catalog_service *x = object;
    return extra_merge(c, &CATALOG_SERVICE_SCHEMA, NULL, &x->extra);
}

static int service_update(struct call *c, const void *before, void *object)
{
    struct catalog_service *x = object;
    return extra_merge(c, &CATALOG_SERVICE_SCHEMA, ((const struct catalog_service *)before)->extra,
                       &x->extra);
}

static int endpoint_purge(struct txn *t, const char *id)
{
    int r = delete_where(t, &IDENTITY_CATALOG_LINK_KIND, "endpoint_id", id);
    return r ? r : delete_where(t, &IDENTITY_POLICY_LINK_KIND, "endpoint_id", id);
}

static int service_remove(struct call *c, void *object)
{
    const char *id = ((const struct object *)object)->id;
    struct results l = { 0 };
    int r = list_where(c->txn, &IDENTITY_ENDPOINT_KIND, "service_id", id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        r = endpoint_purge(c->txn, ((const struct object *)l.v[i])->id);
        if (r == 0)
            r = txn_delete(c->txn, &IDENTITY_ENDPOINT_KIND, ((const struct object *)l.v[i])->id);
    }
    return r ? r : delete_where(c->txn, &IDENTITY_POLICY_LINK_KIND, "service_id", id);
}

const struct resource SERVICE_RESOURCE = {
    .one = "service",
    .many = "services",
    .kind = &IDENTITY_SERVICE_KIND,
    .title = "Service",
    .not_found = "NotFound",
    .not_found_noun = "service",
    .scope = everything,
    .visible = anything,
    .filter = filter_operators,
    .render = service_render,
    .create = service_create,
    .update = service_update,
    .remove = service_remove,
    .hex_ids = true,
};

/* ---- endpoints ---- */

static int endpoint_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    const struct endpoint *x = object;
    (void)full;
    json_put_string(o, "region", x->region_id);
    put_extra(o, x->extra);
    put_self(c, o, "endpoints", x->head.id);
    return 0;
}

/* Reads the service and the region, which is made when it is named by its older name. */
static int endpoint_check(struct call *c, struct endpoint *x)
{
    struct catalog_service *service;
    struct region *region;
    int r = txn_get(c->txn, &IDENTITY_SERVICE_KIND, str_or(x->service_id, ""), &service);
    if (r == 0 && !service)
        return bad_request(c, "Could not find service: %s.", x->service_id);
    if (r || !x->region_id)
        return r;
    r = txn_get(c->txn, &IDENTITY_REGION_KIND, x->region_id, &region);
    if (r || region)
        return r;
    if (!x->region)
        return bad_request(c, "Could not find region: %s.", x->region_id);
    struct region made = { .head.id = x->region_id, .description = "" };
    return strlen(x->region_id) > 63 ? bad_request(c, "Invalid input for field 'region': it is too long")
                                     : txn_put(c->txn, &IDENTITY_REGION_KIND, &made);
}

static int endpoint_create(struct call *c, void *object)
{
    struct endpoint *x = object;
    if (!x->region_id)
        x->region_id = x->region;
    int r = endpoint_check(c, x);
    return r ? r : extra_merge(c, &ENDPOINT_SCHEMA, NULL, &x->extra);
}

static int endpoint_update(struct call *c, const void *before, void *object)
{
    struct endpoint *x = object;
    const struct endpoint *in = c->in;
    x->region = in->region;
    if (in->region && !in->region_id)
        x->region_id = in->region;
    int r = endpoint_check(c, x);
    return r ? r : extra_merge(c, &ENDPOINT_SCHEMA, ((const struct endpoint *)before)->extra, &x->extra);
}

static int endpoint_remove(struct call *c, void *object)
{
    return endpoint_purge(c->txn, ((const struct object *)object)->id);
}

static int endpoint_filter(struct call *c, struct query *q, const char *name, const char *value)
{
    if (STREQ(name, "region"))
        return query_where(q, c->arena, "region_id", Q_EQ, value) ? 0 : -ENOMEM;
    return filter_operators(c, q, name, value);
}

const struct resource ENDPOINT_RESOURCE = {
    .one = "endpoint",
    .many = "endpoints",
    .kind = &IDENTITY_ENDPOINT_KIND,
    .title = "Endpoint",
    .not_found = "NotFound",
    .not_found_noun = "endpoint",
    .scope = everything,
    .visible = anything,
    .filter = endpoint_filter,
    .render = endpoint_render,
    .create = endpoint_create,
    .update = endpoint_update,
    .remove = endpoint_remove,
    .hex_ids = true,
};

/* ---- endpoint groups ---- */

static int group_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    (void)full;
    put_self(c, o, "OS-EP-FILTER/endpoint_groups", ((const struct object *)object)->id);
    return 0;
}

static int check_filters(struct call *c, const struct endpoint_group *g)
{
    static const char *const KNOWN[] = { "service_id", "region_id", "interface", "enabled" };
    char why[200];
    _cleanup_(json_decrefp) json_t *filters =
        json_parse(str_or(g->filters, ""), strlen(str_or(g->filters, "")), why, sizeof(why));
    const char *key;
    json_t *value;
    if (!json_is_object(filters))
        return bad_request(c, "Invalid input for field 'filters': it is not of type 'object'");
    json_object_foreach(filters, key, value)
    {
        bool known = false;
        for (size_t i = 0; i < ARRAY_SIZE(KNOWN); i++)
            known = known || STREQ(KNOWN[i], key);
        if (!known)
            return bad_request(
                c,
                "Endpoint group filters: '%.64s' is not one of service_id, region_id, interface, "
                "enabled.",
                key);
    }
    return 0;
}

static int group_create(struct call *c, void *object)
{
    return check_filters(c, object);
}

static int group_update(struct call *c, const void *before, void *object)
{
    (void)before;
    return check_filters(c, object);
}

static int group_remove(struct call *c, void *object)
{
    return delete_where(c->txn, &IDENTITY_CATALOG_LINK_KIND, "endpoint_group_id",
                        ((const struct object *)object)->id);
}

const struct resource ENDPOINT_GROUP_RESOURCE = {
    .one = "endpoint_group",
    .many = "endpoint_groups",
    .kind = &IDENTITY_ENDPOINT_GROUP_KIND,
    .title = "Endpoint group",
    .not_found = "NotFound",
    .not_found_noun = "endpoint group",
    .scope = everything,
    .visible = anything,
    .filter = filter_operators,
    .render = group_render,
    .create = group_create,
    .update = group_update,
    .remove = group_remove,
    .hex_ids = true,
};

bool endpoint_fits(const struct endpoint *e, const json_t *filters)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)filters, key, value)
    {
        const char *text = json_string_value(value);
        bool fits = STREQ(key, "service_id")  ? str_eq(text, e->service_id)
                    : STREQ(key, "region_id") ? str_eq(text, e->region_id)
                    : STREQ(key, "interface") ? str_eq(text, e->interface)
                                              : json_is_true(value) == e->enabled;
        if (!fits)
            return false;
    }
    return true;
}

/* ---- for other services ---- */

int identity_endpoint(struct txn *t, const char *type, const char *interface, const char *region_id,
                      const char **ret_url)
{
    struct arena *a = txn_arena(t);
    struct query services = { .kind = &IDENTITY_SERVICE_KIND };
    struct results l = { 0 };
    *ret_url = NULL;
    if (!query_where(&services, a, "type", Q_EQ, type))
        return -ENOMEM;
    int r = txn_list(t, &services, &l);
    for (size_t i = 0; r == 0 && i < l.n && !*ret_url; i++) {
        const struct catalog_service *s = l.v[i];
        struct query q = { .kind = &IDENTITY_ENDPOINT_KIND };
        struct results ends = { 0 };
        if (!query_where(&q, a, "service_id", Q_EQ, s->head.id))
            return -ENOMEM;
        r = s->enabled ? txn_list(t, &q, &ends) : 0;
        for (size_t j = 0; r == 0 && j < ends.n && !*ret_url; j++) {
            const struct endpoint *e = ends.v[j];
            if (e->enabled && str_eq(e->interface, interface) && str_eq(e->region_id, region_id))
                *ret_url = e->url;
        }
    }
    return r;
}
