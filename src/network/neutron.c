/* Neutron's way of the generic verbs: see the header. */
#include "network/neutron.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct standard *neutron_standard(const struct resource *r, const void *object)
{
    const struct field *f = schema_field(r->kind->schema, "revision_number");
    return f ? CONTAINER_OF((int64_t *)field_at(f, object), struct standard, revision_number) : NULL;
}

int neutron_tell(struct call *c, int r, const struct fault *f)
{
    if (r == FAULT)
        c->fault = *f;
    return r;
}

int neutron_absent(struct call *c, const struct resource *r, const char *id)
{
    return call_fault(c, 404, r->not_found, "%s %s could not be found.", r->title, id);
}

int neutron_invalid(struct call *c, const char *format, ...)
{
    char text[700];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    return call_fault(c, 400, "InvalidInput", "Invalid input for operation: %s.", text);
}

const char *neutron_mac_prefix(const struct call *c)
{
    const struct cloud_config *o = cloud_config(c->api);
    return o && o->mac_prefix ? o->mac_prefix : "fa:16:3e";
}

int neutron_own(struct call *c, const struct resource *r, const void *object)
{
    const struct standard *s = neutron_standard(r, object);
    if (!s || call_is_admin(c) || str_eq(s->project_id, c->auth->project_id))
        return 0;
    return call_fault(c, 403, "PolicyNotAuthorized", "rule:%s_%s is disallowed by policy", c->http->method,
                      r->one);
}

/* ---- reading bodies ---- */

struct item {
    void *object;
    struct given given;
};
struct items {
    struct item *v;
    size_t n, cap;
    bool bulk;
};

/* What only administrators may set must be left alone, or at its default, by others. */
static int check_admin_rows(struct call *c, const struct resource *r, const struct item *item)
{
    const struct schema *s = r->kind->schema;
    if (call_is_admin(c))
        return 0;
    void *plain = arena_alloc(c->arena, s->size);
    if (!plain || schema_defaults(s, c->arena, plain) < 0)
        return -ENOMEM;
    struct encode_options opt = { .stored = true };
    for (size_t i = 0; i < s->n; i++) {
        if (!(s->fields[i].flags & ADMIN_SETS) || !given_has(&item->given, i))
            continue;
        _cleanup_(buf_done) struct buf x = BUF_MAX(65536);
        _cleanup_(buf_done) struct buf y = BUF_MAX(65536);
        struct json_out ox = JSON_OUT(&x), oy = JSON_OUT(&y);
        field_encode(&s->fields[i], item->object, &opt, &ox);
        field_encode(&s->fields[i], plain, &opt, &oy);
        if (!STREQ(buf_text(&x), buf_text(&y)))
            return call_fault(
                c, 403, "PolicyNotAuthorized", "(rule:%s_%s and rule:%s_%s:%s) is disallowed by policy",
                STREQ(c->http->method, "POST") ? "create" : "update", r->one,
                STREQ(c->http->method, "POST") ? "create" : "update", r->one, s->fields[i].name);
    }
    return 0;
}

static int check_project(struct call *c, const struct resource *r, const void *object)
{
    const struct standard *s = neutron_standard(r, object);
    if (!s || !s->project_id || call_is_admin(c) || str_eq(s->project_id, c->auth->project_id))
        return 0;
    return call_fault(c, 403, "PolicyNotAuthorized",
                      "Specifying 'project_id' or 'tenant_id' other than the "
                      "authenticated project in request requires admin privileges");
}

static int bad_value(struct call *c, const struct decode_error *e)
{
    switch (e->problem) {
    case PROBLEM_REQUIRED:
        return call_fault(c, 400, "HTTPBadRequest",
                          "Failed to parse request. Required attribute '%s' not specified", e->path);
    case PROBLEM_UNKNOWN:
        return call_fault(c, 400, "HTTPBadRequest", "Unrecognized attribute(s) '%s'", e->path);
    case PROBLEM_READ_ONLY:
        return call_fault(c, 400, "HTTPBadRequest", "Attribute '%s' not allowed in %s", e->path,
                          str_or(c->http->method, ""));
    default:
        return call_fault(c, 400, "HTTPBadRequest", "Invalid input for %s. Reason: %s.", e->path, e->message);
    }
}

/* Where a row is loose, "prefixes": "10.0.0.0/8" is a list of one, and "protocol": 17 is text. */
static int loosen(struct arena *a, const struct schema *s, json_t *body)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct field *f = &s->fields[i];
        json_t *value = f->flags & LOOSE ? json_object_get(body, f->name) : NULL, *other = NULL;
        if (f->type == FIELD_STRINGS && json_is_string(value))
            other = json_pack("[O]", value);
        else if (f->type == FIELD_STRING && json_is_integer(value))
            other = json_string(str_or(arena_printf(a, "%lld", (long long)json_integer_value(value)), ""));
        else
            continue;
        if (json_object_set_new(body, f->name, other) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int read_one(struct call *c, const struct resource *r, json_t *body, enum decode_mode mode,
                    struct items *items)
{
    struct decode_error e;
    struct item *item = vec_add(c->arena, items);
    if (!item || !(item->object = arena_alloc(c->arena, r->kind->schema->size)))
        return -ENOMEM;
    if (!json_is_object(body))
        return call_fault(c, 400, "HTTPBadRequest", "Unable to find '%s' in request body", r->one);
    int result = loosen(c->arena, r->kind->schema, body);
    if (result < 0)
        return result;
    result = schema_decode(r->kind->schema, body, mode, 0, c->arena, item->object, &item->given, &e);
    if (result == FAULT)
        return bad_value(c, &e);
    if (result == 0)
        result = check_project(c, r, item->object);
    return result ? result : check_admin_rows(c, r, item);
}

static int read_items(struct call *c, const struct resource *r, enum decode_mode mode, struct items *items)
{
    json_t *one = json_is_object(c->body) ? json_object_get(c->body, r->one) : NULL;
    const json_t *many =
        json_is_object(c->body) && mode == DECODE_CREATE ? json_object_get(c->body, r->many) : NULL;
    if (one)
        return read_one(c, r, one, mode, items);
    if (!json_is_array(many) || !json_array_size(many))
        return call_fault(c, 400, "HTTPBadRequest", "Unable to find '%s' in request body", r->one);
    items->bulk = true;
    size_t i;
    json_t *each;
    json_array_foreach(many, i, each)
    {
        int result = read_one(c, r, each, mode, items);
        if (result)
            return result;
    }
    return 0;
}

/* ---- verbs ---- */

static int taken(struct call *c, const struct resource *r, const void *object)
{
    if (r->taken)
        return r->taken(c, object);
    return call_fault(c, 409, "Conflict", "A %s like this exists already.", r->one);
}

static int create_item(struct call *c, const struct resource *r, const struct item *item)
{
    /* each attempt begins from what the body gave */
    void *object = arena_memdup(c->arena, item->object, r->kind->schema->size);
    if (!object)
        return -ENOMEM;
    c->given = item->given;
    struct standard *s = neutron_standard(r, object);
    if (s)
        standard_new(c->arena, object, s, s->project_id ? s->project_id : str_or(c->auth->project_id, ""));
    else
        ((struct object *)object)->id = uuid_new(c->arena);
    int result = r->create ? r->create(c, object) : 0;
    if (result == 0)
        result = txn_put(c->txn, r->kind, object);
    if (result == TXN_TAKEN)
        return taken(c, r, object);
    return result ? result : resource_render(c, r, object, true, NULL, &c->out);
}

static int create_items(struct call *c)
{
    const struct resource *r = c->route->resource;
    const struct items *items = c->data;
    json_open_object(&c->out);
    if (items->bulk)
        json_put_array(&c->out, r->many);
    else
        json_key(&c->out, r->one);
    VEC_FOREACH (item, items) {
        int result = create_item(c, r, item);
        if (result)
            return result;
    }
    if (items->bulk)
        json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

int neutron_create(struct call *c)
{
    struct items items = { 0 };
    int r = read_items(c, c->route->resource, DECODE_CREATE, &items);
    if (r)
        return r;
    c->data = &items;
    return call_write(c, create_items);
}

/* RFC 9110 13.1.1, with Neutron's "revision_number=N" as the tag. */
static int check_revision(struct call *c, const struct resource *r, const void *object)
{
    const char *header = http_header(c->http, "If-Match");
    const struct standard *s = neutron_standard(r, object);
    long long wanted;
    if (!header || !s)
        return 0;
    if (sscanf(header, "revision_number=%lld", &wanted) != 1)
        return call_fault(c, 400, "HTTPBadRequest", "Invalid If-Match header: %s", header);
    if (wanted == s->revision_number)
        return 0;
    return call_fault(c, 412, "RevisionNumberConstraintFailed",
                      "Constrained to %lld, but current revision is %lld", wanted,
                      (long long)s->revision_number);
}

static int update_item(struct call *c)
{
    const struct resource *r = c->route->resource;
    const struct item *item = ((struct items *)c->data)->v;
    void *before;
    int result = resource_get(c, r, call_param(c, "id"), &before);
    if (result == 0)
        result = neutron_own(c, r, before);
    if (result == 0)
        result = check_revision(c, r, before);
    if (result)
        return result;
    void *object = arena_memdup(c->arena, before, r->kind->schema->size);
    if (!object)
        return -ENOMEM;
    c->given = item->given;
    schema_apply(r->kind->schema, &item->given, item->object, object);
    struct standard *s = neutron_standard(r, object);
    if (s)
        standard_touch(s);
    result = r->update ? r->update(c, before, object) : 0;
    if (result == 0)
        result = txn_put(c->txn, r->kind, object);
    if (result == TXN_TAKEN)
        return taken(c, r, object);
    return result ? result : resource_render_one(c, r, object);
}

int neutron_update(struct call *c)
{
    struct items items = { 0 };
    int r = read_items(c, c->route->resource, DECODE_UPDATE, &items);
    if (r)
        return r;
    c->data = &items;
    return call_write(c, update_item);
}

static int delete_item(struct call *c)
{
    const struct resource *r = c->route->resource;
    void *object;
    int result = resource_get(c, r, call_param(c, "id"), &object);
    if (result == 0)
        result = neutron_own(c, r, object);
    if (result == 0)
        result = check_revision(c, r, object);
    if (result == 0 && r->remove)
        result = r->remove(c, object);
    if (result == 0)
        result = txn_delete(c->txn, r->kind, ((struct object *)object)->id);
    c->status = 204;
    return result;
}

int neutron_delete(struct call *c)
{
    return call_write(c, delete_item);
}
