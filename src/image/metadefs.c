/*
 * Metadata definitions: namespaces that describe which properties things can have.
 *
 * A namespace is one document with its four families inside: objects, properties, tags and
 * associations with resource types. The families are alike (named items with a body that is
 * kept as it came), so one set of verbs serves them; a row says what is special.
 *
 * A private namespace is seen by its owner's project and administrators; changing is for
 * administrators, as in Glance.
 */
#include "image/internal.h"

#include "base/macro.h"

#include <errno.h>

struct item {
    const char *name;
    const char *body; /* JSON object: the rest of it */
    usec_t created_at, updated_at;
};
struct items {
    struct item *v;
    size_t n, cap;
};

struct metadef {
    struct object head;
    const char *namespace, *display_name, *description, *visibility, *owner;
    bool protected;
    usec_t created_at, updated_at;
    struct items objects, properties, tags, types;
};

static const struct field ITEM_FIELDS[] = {
    { "name", FIELD_STRING, offsetof(struct item, name), 0, .doc = "Unique within its family." },
    { "body", FIELD_JSON, offsetof(struct item, body), 0, .doc = "What else it says." },
    { "created_at", FIELD_TIME, offsetof(struct item, created_at), 0, .doc = "When it was made." },
    { "updated_at", FIELD_TIME, offsetof(struct item, updated_at), 0, .doc = "Its last change." },
};
static SCHEMA(ITEM_SCHEMA, struct item, ITEM_FIELDS);
static const char *const VISIBILITIES[] = { "public", "private", NULL };

#define BOTH (IN_CREATE | IN_UPDATE)
static const struct field METADEF_FIELDS[] = {
    FIELD_ID(struct metadef),
    { "namespace", FIELD_STRING, offsetof(struct metadef, namespace), BOTH | REQUIRED | FILTER | SORT,
      .min = 1, .max = 80, .doc = "The unique namespace text." },
    { "display_name", FIELD_STRING, offsetof(struct metadef, display_name), BOTH | NULLABLE, .max = 80,
      .doc = "The user friendly name for the namespace." },
    { "description", FIELD_STRING, offsetof(struct metadef, description), BOTH | NULLABLE, .max = 500,
      .doc = "Provides a user friendly description of the namespace." },
    { "visibility", FIELD_STRING, offsetof(struct metadef, visibility), BOTH | FILTER, .values = VISIBILITIES,
      .otherwise = "private", .doc = "Scope of namespace accessibility." },
    { "protected", FIELD_BOOL, offsetof(struct metadef, protected), BOTH,
      .doc = "If true, namespace will not be deletable." },
    { "owner", FIELD_STRING, offsetof(struct metadef, owner), BOTH | FILTER, .max = 255,
      .doc = "Owner of the namespace." },
    { "created_at", FIELD_TIME, offsetof(struct metadef, created_at), SORT, .doc = "When it was made." },
    { "updated_at", FIELD_TIME, offsetof(struct metadef, updated_at), SORT, .doc = "Its last change." },
    { "objects", FIELD_OBJECTS, offsetof(struct metadef, objects), 0, .sub = &ITEM_SCHEMA, .doc = "Groups." },
    { "properties", FIELD_OBJECTS, offsetof(struct metadef, properties), 0, .sub = &ITEM_SCHEMA,
      .doc = "Names." },
    { "tags", FIELD_OBJECTS, offsetof(struct metadef, tags), 0, .sub = &ITEM_SCHEMA, .doc = "Words." },
    { "types", FIELD_OBJECTS, offsetof(struct metadef, types), 0, .sub = &ITEM_SCHEMA,
      .doc = "Resource types that it is for." },
};
static SCHEMA(METADEF_SCHEMA, struct metadef, METADEF_FIELDS);

static void metadef_keys(const void *object, struct key_sink *k)
{
    const struct metadef *m = object;
    key_add_unique(k, "name", m->namespace);
    VEC_FOREACH (i, &m->types)
        key_add(k, "type", i->name);
}
const struct kind METADEF_KIND = { .name = "image.metadef", .schema = &METADEF_SCHEMA, .keys = metadef_keys };

/* The resource types that clients know; others come to be by being associated. */
static const char *const TYPES[] = {
    "OS::Glance::Image",   "OS::Cinder::Volume", "OS::Nova::Flavor",
    "OS::Nova::Aggregate", "OS::Nova::Server",   "OS::Trove::Instance",
};

static const struct family {
    const char *many, *one;
    size_t offset;
    bool dictionary; /* lists are {"name": {...}} */
    bool linked;     /* items have self and schema */
} FAMILIES[] = {
    { "objects", "object", offsetof(struct metadef, objects), .linked = true },
    { "properties", "property", offsetof(struct metadef, properties), .dictionary = true },
    { "tags", "tag", offsetof(struct metadef, tags) },
    { "resource_types", "resource_type", offsetof(struct metadef, types) },
};

static struct items *items_of(struct metadef *m, const struct family *f)
{
    return (struct items *)(void *)((char *)m + f->offset);
}

static const struct family *family_named(const char *many)
{
    for (size_t k = 0; k < ARRAY_SIZE(FAMILIES); k++)
        if (STREQ(FAMILIES[k].many, many))
            return &FAMILIES[k];
    return NULL;
}

static struct item *item_named(struct items *l, const char *name)
{
    VEC_FOREACH (i, l)
        if (str_eq(i->name, name))
            return i;
    return NULL;
}

/* ---- rendering ---- */

static void put_time(struct json_out *o, const char *key, usec_t t)
{
    char text[TIME_TEXT_SIZE];
    json_put_string(o, key, time_format(t, TIME_ISO_Z, text));
}

static void item_render(struct call *c, const struct metadef *m, const struct family *f, const struct item *i,
                        struct json_out *o)
{
    json_open_object(o);
    if (!f->dictionary || !c)
        json_put_string(o, "name", i->name);
    char why[64];
    _cleanup_(json_decrefp) json_t *body =
        json_parse(str_or(i->body, "{}"), strlen(str_or(i->body, "{}")), why, sizeof(why));
    const char *key;
    json_t *v;
    json_object_foreach(body, key, v)
    {
        json_key(o, key);
        json_tree_out(o, v);
    }
    if (!f->dictionary) {
        put_time(o, "created_at", i->created_at);
        put_time(o, "updated_at", i->updated_at);
    }
    if (f->linked) {
        _cleanup_(buf_done) struct buf b = BUF_MAX(4096);
        buf_adds(&b, "/v2/metadefs/namespaces/");
        url_encode(&b, m->namespace, ":");
        buf_printf(&b, "/%s/", f->many);
        url_encode(&b, i->name, ":");
        json_put_string(o, "self", buf_text(&b));
        json_put_string(o, "schema", "/v2/schemas/metadefs/object");
    }
    json_close_object(o);
}

static void items_render(struct call *c, const struct metadef *m, const struct family *f, const char *key,
                         struct json_out *o)
{
    const struct items *l = items_of((struct metadef *)(uintptr_t)m, f);
    if (f->dictionary)
        json_put_object(o, key);
    else
        json_put_array(o, key);
    VEC_FOREACH (i, l) {
        if (f->dictionary)
            json_key(o, i->name);
        item_render(c, m, f, i, o);
    }
    if (f->dictionary)
        json_close_object(o);
    else
        json_close_array(o);
}

static void metadef_render(struct call *c, const struct metadef *m, bool whole, struct json_out *o)
{
    json_open_object(o);
    json_put_string(o, "namespace", m->namespace);
    if (m->display_name)
        json_put_string(o, "display_name", m->display_name);
    if (m->description)
        json_put_string(o, "description", m->description);
    json_put_string(o, "visibility", m->visibility);
    json_put_bool(o, "protected", m->protected);
    json_put_string(o, "owner", m->owner);
    put_time(o, "created_at", m->created_at);
    put_time(o, "updated_at", m->updated_at);
    _cleanup_(buf_done) struct buf b = BUF_MAX(4096);
    buf_adds(&b, "/v2/metadefs/namespaces/");
    url_encode(&b, m->namespace, ":");
    json_put_string(o, "self", buf_text(&b));
    json_put_string(o, "schema", "/v2/schemas/metadefs/namespace");
    if (m->types.n)
        items_render(c, m, &FAMILIES[3], "resource_type_associations", o);
    for (size_t k = 0; whole && k < 3; k++)
        if (items_of((struct metadef *)(uintptr_t)m, &FAMILIES[k])->n)
            items_render(c, m, &FAMILIES[k], FAMILIES[k].many, o);
    json_close_object(o);
}

/* ---- finding ---- */

static bool visible(const struct call *c, const struct metadef *m)
{
    return call_is_admin(c) || str_eq(m->visibility, "public") ||
           (c->auth->project_id && str_eq(m->owner, c->auth->project_id));
}

static int metadef_find(struct call *c, struct metadef **ret)
{
    const char *name = call_param(c, "namespace");
    struct metadef *m;
    int r = txn_find_by(c->txn, &METADEF_KIND, "name", name, &m);
    if (r < 0)
        return r;
    if (!m || !visible(c, m))
        return call_fault(c, 404, "NotFound", "Metadata definition namespace=%s was not found.", name);
    *ret = m;
    return 0;
}

static int family_find(struct call *c, struct metadef **ret, const struct family **ret_family)
{
    const struct family *f = family_named(call_param(c, "family"));
    if (!f)
        return call_fault(c, 404, "NotFound", "The resource could not be found.");
    *ret_family = f;
    return metadef_find(c, ret);
}

static int no_item(struct call *c, const struct family *f, const char *name)
{
    return call_fault(c, 404, "NotFound",
                      "The metadata definition %s with name=%s was not found in namespace=%s.", f->one, name,
                      call_param(c, "namespace"));
}

/* ---- reading bodies ---- */

/* Takes a name and the rest of a body. */
static int item_read(struct call *c, const struct family *f, json_t *v, const char *name, struct item *ret)
{
    if (!json_is_object(v))
        return call_fault(c, 400, "BadRequest",
                          "Provided object does not match schema '%s': it is not an object.", f->one);
    name = name ? name : json_get_string(v, "name");
    if (str_empty(name))
        return call_fault(c, 400, "BadRequest",
                          "Provided object does not match schema '%s': 'name' is a required "
                          "property",
                          f->one);
    size_t max = STREQ(f->one, "tag") || STREQ(f->one, "resource_type") ? 80 : 255;
    if (strlen(name) > max)
        return call_fault(c, 400, "BadRequest",
                          "Provided object does not match schema '%s': '%s' is too long", f->one, name);
    static const char *const OURS[] = { "self", "schema", "created_at", "updated_at" };
    for (size_t k = 0; k < ARRAY_SIZE(OURS); k++)
        if (json_object_get(v, OURS[k]))
            return call_fault(c, 403, "Forbidden", "Attribute '%s' is read-only.", OURS[k]);
    if (f->dictionary) {
        const char *type = json_get_string(v, "type");
        if (!json_get_string(v, "title") || !type)
            return call_fault(c, 400, "BadRequest",
                              "Provided object does not match schema 'property': '%s' is a "
                              "required property",
                              type ? "title" : "type");
        static const char *const KNOWN[] = { "array", "boolean", "integer", "number", "object", "string" };
        bool known = false;
        for (size_t k = 0; k < ARRAY_SIZE(KNOWN); k++)
            known = known || STREQ(KNOWN[k], type);
        if (!known)
            return call_fault(c, 400, "BadRequest",
                              "Provided object does not match schema 'property': '%s' is not a "
                              "type",
                              type);
    }
    _cleanup_(json_decrefp) json_t *rest = json_copy(v);
    json_object_del(rest, "name");
    *ret = (struct item){ .name = arena_strdup(c->arena, name),
                          .body = json_text(c->arena, rest),
                          .created_at = clock_wall(),
                          .updated_at = clock_wall() };
    return 0;
}

static int items_read(struct call *c, struct metadef *m, const struct family *f, json_t *list)
{
    struct items *l = items_of(m, f);
    struct item i;
    size_t k;
    json_t *v;
    const char *key;
    if (f->dictionary) {
        json_object_foreach(list, key, v)
        {
            int r = item_read(c, f, v, key, &i);
            if (r != 0)
                return r;
            if (!vec_push(c->arena, l, i))
                return -ENOMEM;
        }
        return 0;
    }
    json_array_foreach(list, k, v)
    {
        int r = item_read(c, f, v, NULL, &i);
        if (r != 0)
            return r;
        if (item_named(l, i.name))
            return call_fault(c, 409, "Conflict",
                              "A metadata definition %s with name=%s already exists in "
                              "namespace=%s.",
                              f->one, i.name, str_or(m->namespace, ""));
        if (!vec_push(c->arena, l, i))
            return -ENOMEM;
    }
    return 0;
}

/* The namespace's own members from the body; families are read apart. */
static int metadef_read(struct call *c, struct metadef *m, enum decode_mode mode)
{
    static const char *const OURS[] = { "self", "schema", "created_at", "updated_at" };
    static const char *const APART[] = { "objects", "properties", "tags", "resource_type_associations" };
    if (!json_is_object(c->body))
        return call_fault(c, 400, "BadRequest", "Body expected in request.");
    for (size_t k = 0; k < ARRAY_SIZE(OURS); k++)
        if (json_object_get(c->body, OURS[k]))
            return call_fault(c, 403, "Forbidden", "Attribute '%s' is read-only.", OURS[k]);
    _cleanup_(json_decrefp) json_t *own = json_copy(c->body);
    for (size_t k = 0; k < ARRAY_SIZE(APART); k++)
        json_object_del(own, APART[k]);
    struct decode_error e;
    int r = schema_decode(&METADEF_SCHEMA, own, mode, 0, c->arena, m, NULL, &e);
    if (r == FAULT)
        return call_fault(c, 400, "BadRequest", "Provided object does not match schema 'namespace': %s",
                          e.message);
    return r;
}

/* ---- namespaces ---- */

static int put(struct call *c, struct metadef *m)
{
    int r = txn_put(c->txn, &METADEF_KIND, m);
    if (r == TXN_TAKEN)
        return call_fault(c, 409, "Duplicate", "The metadata definition namespace=%s already exists.",
                          m->namespace);
    return r;
}

static int create_write(struct call *c)
{
    struct metadef *m = c->data;
    int r = put(c, m);
    if (r == 0)
        metadef_render(c, m, true, &c->out);
    return r;
}

int metadef_namespaces_create(struct call *c)
{
    struct metadef *m = ARENA_NEW(c->arena, struct metadef);
    if (!m)
        return -ENOMEM;
    int r = metadef_read(c, m, DECODE_CREATE);
    if (r == 0)
        r = items_read(c, m, &FAMILIES[3], json_get_array(c->body, "resource_type_associations"));
    if (r == 0)
        r = items_read(c, m, &FAMILIES[0], json_get_array(c->body, "objects"));
    if (r == 0)
        r = items_read(c, m, &FAMILIES[1], json_get_object(c->body, "properties"));
    if (r == 0)
        r = items_read(c, m, &FAMILIES[2], json_get_array(c->body, "tags"));
    if (r != 0)
        return r;
    m->head.id = uuid_new(c->arena);
    m->owner = str_or(m->owner, c->auth->project_id);
    m->created_at = m->updated_at = clock_wall();
    c->data = m;
    r = call_write(c, create_write);
    if (r == 0)
        http_set_header(c->http, "Location",
                        arena_printf(c->arena, "/v2/metadefs/namespaces/%s", m->namespace));
    return r;
}

int metadef_namespaces_list(struct call *c)
{
    struct query q = { .kind = &METADEF_KIND };
    struct results l = {};
    int64_t limit;
    int r = call_arg_int(c, "limit", 0, INT32_MAX, 25, &limit);
    if (r == 0)
        r = call_read(c);
    if (r != 0)
        return r;
    const char *visibility = call_arg(c, "visibility"), *types = call_arg(c, "resource_types"),
               *marker = call_arg(c, "marker"), *dir = str_or(call_arg(c, "sort_dir"), "desc");
    if (visibility && !STREQ(visibility, "public") && !STREQ(visibility, "private"))
        return call_fault(c, 400, "BadRequest", "Invalid visibility value: %s", visibility);
    if (!STREQ(dir, "asc") && !STREQ(dir, "desc"))
        return call_fault(c, 400, "BadRequest", "Invalid sort direction: %s", dir);
    struct condition *w;
    if (!call_is_admin(c)) {
        if (!(w = query_where(&q, c->arena, "visibility", Q_EQ, "public")))
            return -ENOMEM;
        w->any = 1;
        if (!(w = query_where(&q, c->arena, "owner", Q_EQ, str_or(c->auth->project_id, ""))))
            return -ENOMEM;
        w->any = 1;
    }
    if (visibility && !query_where(&q, c->arena, "visibility", Q_EQ, visibility))
        return -ENOMEM;
    if (types) {
        if (!(w = query_where(&q, c->arena, "type", Q_KEY, NULL)))
            return -ENOMEM;
        strv_split(c->arena, &w->list, types, ",");
    }
    if (marker) {
        struct metadef *at;
        r = txn_find_by(c->txn, &METADEF_KIND, "name", marker, &at);
        if (r < 0)
            return r;
        if (!at)
            return call_fault(c, 404, "NotFound", "Metadata definition namespace=%s was not found.", marker);
        q.marker = at->head.id;
    }
    q.limit = (size_t)MIN(MAX(limit, (int64_t)1), (int64_t)1000);
    const char *key = str_or(call_arg(c, "sort_key"), "created_at");
    const struct field *f = schema_field(&METADEF_SCHEMA, key);
    if (!f || !(f->flags & SORT))
        return call_fault(c, 400, "BadRequest", "Invalid sort key: %s", key);
    if (!query_sort(&q, c->arena, key, STREQ(dir, "desc")))
        return -ENOMEM;
    r = txn_list(c->txn, &q, &l);
    if (r != 0)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "namespaces");
    for (size_t k = 0; limit && k < l.n; k++)
        metadef_render(c, l.v[k], false, &c->out);
    json_close_array(&c->out);
    json_put_string(&c->out, "first", "/v2/metadefs/namespaces");
    json_put_string(&c->out, "schema", "/v2/schemas/metadefs/namespaces");
    if (limit && l.more)
        json_put_string(&c->out, "next",
                        arena_printf(c->arena,
                                     "/v2/metadefs/namespaces?limit=%zu&sort_key=%s&sort_dir=%s"
                                     "&marker=%s",
                                     q.limit, key, dir, ((struct metadef *)l.v[l.n - 1])->namespace));
    json_close_object(&c->out);
    return 0;
}

int metadef_namespaces_show(struct call *c)
{
    struct metadef *m;
    int r = call_read(c);
    if (r == 0)
        r = metadef_find(c, &m);
    if (r == 0)
        metadef_render(c, m, true, &c->out);
    return r;
}

static int update_write(struct call *c)
{
    struct metadef *m;
    int r = metadef_find(c, &m);
    if (r == 0)
        r = metadef_read(c, m, DECODE_UPDATE);
    if (r != 0)
        return r;
    m->updated_at = clock_wall();
    r = put(c, m);
    if (r == 0)
        metadef_render(c, m, false, &c->out);
    return r;
}

int metadef_namespaces_update(struct call *c)
{
    return call_write(c, update_write);
}

static int delete_write(struct call *c)
{
    struct metadef *m;
    int r = metadef_find(c, &m);
    if (r != 0)
        return r;
    if (m->protected)
        return call_fault(c, 403, "Forbidden",
                          "Metadata definition namespace %s is protected and cannot be deleted.",
                          m->namespace);
    return txn_delete(c->txn, &METADEF_KIND, m->head.id);
}

int metadef_namespaces_delete(struct call *c)
{
    return call_write(c, delete_write);
}

/* ---- families ---- */

int metadef_items_list(struct call *c)
{
    struct metadef *m;
    const struct family *f;
    int r = call_read(c);
    if (r == 0)
        r = family_find(c, &m, &f);
    if (r != 0)
        return r;
    bool types = STREQ(f->many, "resource_types");
    json_open_object(&c->out);
    items_render(c, m, f, types ? "resource_type_associations" : f->many, &c->out);
    if (!types && !f->dictionary) {
        json_put_string(&c->out, "first",
                        arena_printf(c->arena, "/v2/metadefs/namespaces/%s/%s", m->namespace, f->many));
        json_put_string(&c->out, "schema", arena_printf(c->arena, "/v2/schemas/metadefs/%s", f->many));
    }
    json_close_object(&c->out);
    return 0;
}

int metadef_items_show(struct call *c)
{
    struct metadef *m;
    const struct family *f;
    int r = call_read(c);
    if (r == 0)
        r = family_find(c, &m, &f);
    if (r != 0)
        return r;
    const struct item *i = item_named(items_of(m, f), call_param(c, "name"));
    if (!i)
        return no_item(c, f, call_param(c, "name"));
    item_render(f->dictionary ? NULL : c, m, f, i, &c->out);
    return 0;
}

/* POST of a family: one item; for tags a list that replaces all (or is appended). */
static int add_write(struct call *c)
{
    struct metadef *m;
    const struct family *f;
    int r = family_find(c, &m, &f);
    if (r != 0)
        return r;
    m->updated_at = clock_wall();
    if (STREQ(f->many, "tags")) {
        if (!str_eq(http_header(c->http, "X-Openstack-Append"), "true"))
            m->tags = (struct items){};
        if (!json_get_array(c->body, "tags"))
            return call_fault(c, 400, "BadRequest",
                              "Provided object does not match schema 'tags': 'tags' is a required "
                              "property");
        r = items_read(c, m, f, json_get_array(c->body, "tags"));
        if (r == 0)
            r = put(c, m);
        if (r == 0) {
            json_open_object(&c->out);
            items_render(c, m, f, f->many, &c->out);
            json_close_object(&c->out);
        }
        return r;
    }
    struct item i;
    r = item_read(c, f, c->body, NULL, &i);
    if (r != 0)
        return r;
    struct items *l = items_of(m, f);
    if (item_named(l, i.name))
        return call_fault(c, 409, "Duplicate",
                          "A metadata definition %s with name=%s already exists in namespace=%s.", f->one,
                          i.name, m->namespace);
    if (!vec_push(c->arena, l, i))
        return -ENOMEM;
    r = put(c, m);
    if (r == 0)
        item_render(f->dictionary ? NULL : c, m, f, &i, &c->out);
    return r;
}

int metadef_items_add(struct call *c)
{
    return call_write(c, add_write);
}

static int tag_write(struct call *c)
{
    struct metadef *m;
    const struct family *f;
    const char *name = call_param(c, "name");
    int r = family_find(c, &m, &f);
    if (r != 0)
        return r;
    if (!STREQ(f->many, "tags"))
        return call_fault(c, 405, "MethodNotAllowed", "The method POST is not allowed for this resource.");
    if (strlen(name) > 80)
        return call_fault(c, 400, "BadRequest", "The name of a tag has at most 80 characters.");
    if (item_named(&m->tags, name))
        return call_fault(c, 409, "Duplicate", "A metadata tag with name=%s already exists in namespace=%s.",
                          name, m->namespace);
    struct item i = { .name = name, .body = "{}", .created_at = clock_wall(), .updated_at = clock_wall() };
    if (!vec_push(c->arena, &m->tags, i))
        return -ENOMEM;
    r = put(c, m);
    if (r == 0)
        item_render(c, m, f, &i, &c->out);
    return r;
}

int metadef_items_add_tag(struct call *c)
{
    return call_write(c, tag_write);
}

static int change_write(struct call *c)
{
    struct metadef *m;
    const struct family *f;
    const char *name = call_param(c, "name");
    struct item i;
    int r = family_find(c, &m, &f);
    if (r != 0)
        return r;
    struct items *l = items_of(m, f);
    struct item *old = item_named(l, name);
    if (!old)
        return no_item(c, f, name);
    r = item_read(c, f, c->body, NULL, &i);
    if (r != 0)
        return r;
    if (!STREQ(i.name, name) && item_named(l, i.name))
        return call_fault(c, 409, "Duplicate",
                          "A metadata definition %s with name=%s already exists in namespace=%s.", f->one,
                          i.name, m->namespace);
    i.created_at = old->created_at;
    *old = i;
    r = put(c, m);
    if (r == 0)
        item_render(f->dictionary ? NULL : c, m, f, &i, &c->out);
    return r;
}

int metadef_items_change(struct call *c)
{
    return call_write(c, change_write);
}

static int drop_write(struct call *c)
{
    struct metadef *m;
    const struct family *f;
    const char *name = call_param(c, "name");
    int r = family_find(c, &m, &f);
    if (r != 0)
        return r;
    struct items *l = items_of(m, f);
    struct item *i = item_named(l, name);
    if (!i)
        return no_item(c, f, name);
    if (m->protected)
        return call_fault(c, 403, "Forbidden",
                          "Metadata definition %s %s of a protected namespace cannot be deleted.", f->one,
                          name);
    vec_remove(l, (size_t)(i - l->v));
    return put(c, m);
}

int metadef_items_drop(struct call *c)
{
    return call_write(c, drop_write);
}

static int clear_write(struct call *c)
{
    struct metadef *m;
    const struct family *f;
    int r = family_find(c, &m, &f);
    if (r != 0)
        return r;
    if (m->protected)
        return call_fault(c, 403, "Forbidden", "The %s of a protected namespace cannot be deleted.", f->many);
    *items_of(m, f) = (struct items){};
    return put(c, m);
}

int metadef_items_clear(struct call *c)
{
    return call_write(c, clear_write);
}

int metadef_types_list(struct call *c)
{
    struct query q = { .kind = &METADEF_KIND };
    struct results l = {};
    struct strv names = {};
    int r = call_read(c);
    if (r == 0)
        r = txn_list(c->txn, &q, &l);
    if (r != 0)
        return r;
    for (size_t k = 0; k < ARRAY_SIZE(TYPES); k++)
        strv_add(c->arena, &names, TYPES[k]);
    for (size_t k = 0; k < l.n; k++) {
        const struct metadef *m = l.v[k];
        if (visible(c, m))
            VEC_FOREACH (i, &m->types)
                if (!strv_has(&names, i->name))
                    strv_add(c->arena, &names, i->name);
    }
    json_open_object(&c->out);
    json_put_array(&c->out, "resource_types");
    VEC_FOREACH (n, &names) {
        json_open_object(&c->out);
        json_put_string(&c->out, "name", *n);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}
