/* The generic verbs: see the header. Queries and lists stand in resource_query.c. */
#include "api/resource.h"

#include <errno.h>

/* ---- the rows that every resource may have ---- */

static const struct field *row(const struct resource *r, const char *name, enum field_type type)
{
    const struct field *f = schema_field(r->kind->schema, name);
    return f && f->type == type ? f : NULL;
}

static const char *text_of(const struct resource *r, const void *object, const char *name)
{
    const struct field *f = row(r, name, FIELD_STRING);
    return f ? *(const char **)field_at(f, object) : NULL;
}

static void set_text(const struct resource *r, void *object, const char *name, const char *value)
{
    const struct field *f = row(r, name, FIELD_STRING);
    if (f)
        *(const char **)field_at(f, object) = value;
}

static void set_time(const struct resource *r, void *object, const char *name, usec_t value)
{
    const struct field *f = row(r, name, FIELD_TIME);
    if (f)
        *(usec_t *)field_at(f, object) = value;
}

static bool sees(struct call *c, const struct resource *r, const void *object)
{
    if (r->visible)
        return r->visible(c, object);
    if (!row(r, "project_id", FIELD_STRING) || call_is_admin(c))
        return true;
    return c->auth && str_eq(text_of(r, object, "project_id"), c->auth->project_id);
}

static int not_found(struct call *c, const struct resource *r, const char *id)
{
    if (r->not_found_noun)
        return call_fault(c, 404, r->not_found, "Could not find %s: %s.", r->not_found_noun, id);
    return call_fault(c, 404, r->not_found, "%s %s could not be found.", r->title, id);
}

int resource_get(struct call *c, const struct resource *r, const char *id, void **ret)
{
    void *object;
    int result = txn_get(c->txn, r->kind, id, &object);
    if (result < 0)
        return result;
    if (!object || !sees(c, r, object))
        return not_found(c, r, id);
    *ret = object;
    return 0;
}

/* ---- rendering ---- */

static bool brief_has(const struct resource *r, const char *name)
{
    for (size_t i = 0; r->brief[i]; i++)
        if (STREQ(r->brief[i], name))
            return true;
    return false;
}

bool resource_wants(struct call *c, const char *name)
{
    const struct list_style *s = c->service->list_style;
    bool any = false;
    if (!s || !s->fields_arg || !STREQ(c->http->method, "GET"))
        return true;
    VEC_FOREACH(arg, &c->http->args) {
        if (!STREQ(arg->key, s->fields_arg))
            continue;
        if (STREQ(arg->value, name))
            return true;
        any = true;
    }
    return !any;
}

int resource_render(struct call *c, const struct resource *r, const void *object, bool full,
                    const struct given *only, struct json_out *o)
{
    struct encode_options opt = call_encoding(c);
    const struct schema *s = r->kind->schema;
    struct given chosen = { 0 };
    for (size_t i = 0; i < s->n; i++)
        if ((full || !r->brief || brief_has(r, s->fields[i].name)) && (!only || given_has(only, i)) &&
            resource_wants(c, s->fields[i].name))
            given_add(&chosen, i);
    opt.only = &chosen;
    json_open_object(o);
    schema_encode_members(s, object, &opt, o);
    int result = r->render ? r->render(c, object, o, full) : 0;
    json_close_object(o);
    return result;
}

int resource_render_one(struct call *c, const struct resource *r, const void *object)
{
    json_open_object(&c->out);
    json_key(&c->out, r->one);
    int result = resource_render(c, r, object, true, NULL, &c->out);
    json_close_object(&c->out);
    return result;
}

/* ---- verbs ---- */

int resource_show(struct call *c)
{
    void *object;
    int r = call_read(c);
    if (r == 0)
        r = resource_get(c, c->route->resource, call_param(c, "id"), &object);
    return r ? r : resource_render_one(c, c->route->resource, object);
}

static int list(struct call *c, bool full)
{
    const struct resource *res = c->route->resource;
    struct query q = { .kind = res->kind };
    struct results l = { 0 };
    int r = call_read(c);
    if (r == 0)
        r = resource_query(c, res, &q);
    if (r == 0)
        r = txn_list(c->txn, &q, &l);
    if (r == 0 && l.marker_lost)
        r = call_fault(c, 400, "MarkerNotFound", "The marker %s could not be found.", q.marker);
    return r ? r : resource_render_list(c, res, &l, &q, full);
}

int resource_list(struct call *c)
{
    return list(c, c->route->resource->brief == NULL);
}

int resource_list_detail(struct call *c)
{
    return list(c, true);
}

static int put(struct call *c, const struct resource *res, const void *object)
{
    int r = txn_put(c->txn, res->kind, object);
    if (r == TXN_TAKEN)
        return res->taken ? res->taken(c, object)
                          : call_fault(c, 409, "Conflict", "A %s like this exists already.", res->one);
    return r;
}

static int create_one(struct call *c)
{
    const struct resource *res = c->route->resource;
    /* each attempt begins from what the body gave */
    void *object = arena_memdup(c->arena, c->in, res->kind->schema->size);
    if (!object)
        return -ENOMEM;
    struct object *head = object;
    head->id = res->hex_ids ? uuid_hex_new(c->arena) : uuid_new(c->arena);
    if (!text_of(res, object, "project_id") && c->auth)
        set_text(res, object, "project_id", c->auth->project_id);
    usec_t now = clock_wall();
    set_time(res, object, "created_at", now);
    set_time(res, object, "updated_at", now);
    int r = res->create ? res->create(c, object) : 0;
    if (r == 0)
        r = put(c, res, object);
    return r ? r : resource_render_one(c, res, object);
}

int resource_create(struct call *c)
{
    return call_write(c, create_one);
}

static int update_one(struct call *c)
{
    const struct resource *res = c->route->resource;
    void *before;
    int r = resource_get(c, res, call_param(c, "id"), &before);
    if (r)
        return r;
    void *object = arena_memdup(c->arena, before, res->kind->schema->size);
    if (!object)
        return -ENOMEM;
    schema_apply(res->kind->schema, &c->given, c->in, object);
    set_time(res, object, "updated_at", clock_wall());
    r = res->update ? res->update(c, before, object) : 0;
    if (r == 0)
        r = put(c, res, object);
    return r ? r : resource_render_one(c, res, object);
}

int resource_update(struct call *c)
{
    return call_write(c, update_one);
}

static int delete_one(struct call *c)
{
    const struct resource *res = c->route->resource;
    void *object;
    int r = resource_get(c, res, call_param(c, "id"), &object);
    if (r == 0 && res->remove)
        r = res->remove(c, object);
    if (r == 0)
        r = txn_delete(c->txn, res->kind, ((struct object *)object)->id);
    if (r == 0 && !c->route->status)
        c->status = 204;
    return r;
}

int resource_delete(struct call *c)
{
    return call_write(c, delete_one);
}
