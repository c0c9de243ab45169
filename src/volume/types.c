/*
 * Volume types: what tenants may choose among, with extra specs, access lists and records of
 * encryption; and the qos specs that types name.
 */
#include "volume/internal.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

#define DEFAULT_TYPE "__DEFAULT__"

/* ---- finding ---- */

static bool may_use(struct call *c, const struct volume_type *t)
{
    return t->is_public || call_is_admin(c) || strv_has(&t->projects, str_or(c->auth->project_id, ""));
}

int type_find(struct call *c, const char *id_or_name, struct volume_type **ret)
{
    struct volume_type *t;
    int r = txn_get(c->txn, &VOLUME_TYPE_KIND, id_or_name, &t);
    if (r == 0 && !t)
        r = txn_find_by(c->txn, &VOLUME_TYPE_KIND, "name", id_or_name, &t);
    *ret = r == 0 && t && may_use(c, t) ? t : NULL;
    return r;
}

static const char *cloud_default(struct call *c)
{
    const struct cloud_config *config = cloud_config(c->api);
    return config && config->volume_type ? config->volume_type : DEFAULT_TYPE;
}

int type_default(struct call *c, const char *project_id, struct volume_type **ret)
{
    struct default_type *d = NULL;
    int r = project_id ? txn_get(c->txn, &DEFAULT_TYPE_KIND, project_id, &d) : 0;
    *ret = NULL;
    if (r == 0 && d) {
        r = txn_get(c->txn, &VOLUME_TYPE_KIND, d->type_id, ret);
        if (r < 0 || *ret)
            return r;
    }
    const char *name = cloud_default(c);
    r = r ? r : txn_find_by(c->txn, &VOLUME_TYPE_KIND, "name", name, ret);
    if (r < 0 || *ret || !STREQ(name, DEFAULT_TYPE))
        return r;
    struct volume_type *t = ARENA_NEW(c->arena, struct volume_type);
    if (!t)
        return -ENOMEM;
    *t = (struct volume_type){ .head.id = uuid_new(c->arena), .name = DEFAULT_TYPE, .is_public = true,
                               .description = "Default Volume Type", .created_at = clock_wall() };
    *ret = t;
    return txn_put(c->txn, &VOLUME_TYPE_KIND, t);
}

static int get(struct call *c, const char *id, struct volume_type **ret)
{
    struct volume_type *t;
    int r = project_check(c);
    r = r ? r : txn_get(c->txn, &VOLUME_TYPE_KIND, id, &t);
    if (r == 0 && STREQ(id, "default"))
        r = txn_find_by(c->txn, &VOLUME_TYPE_KIND, "name", cloud_default(c), &t);
    if (r == 0 && (!t || !may_use(c, t)))
        return call_fault(c, 404, "VolumeTypeNotFound", "Volume type %s could not be found.", id);
    *ret = r == 0 ? t : NULL;
    return r;
}

/* ---- showing ---- */

static bool shown_to_tenants(const char *key)
{
    return STREQ(key, "multiattach") || STREQ(key, "RESKEY:availability_zones");
}

static void put_specs(struct call *c, struct json_out *o, const struct volume_type *t)
{
    json_put_object(o, "extra_specs");
    VEC_FOREACH(p, &t->extra_specs)
        if (call_is_admin(c) || shown_to_tenants(p->key))
            json_put_string(o, p->key, p->value);
    json_close_object(o);
}

/* qos_specs_id and access of new types: not in the answer to a create or update. */
static void render(struct call *c, struct json_out *o, const struct volume_type *t, bool full, bool access)
{
    json_open_object(o);
    json_put_string(o, "id", t->head.id);
    json_put_string(o, "name", t->name);
    json_put_string(o, "description", t->description);
    json_put_bool(o, "is_public", t->is_public);
    if (access)
        json_put_bool(o, "os-volume-type-access:is_public", t->is_public);
    if (full && call_is_admin(c))
        json_put_string(o, "qos_specs_id", t->qos_id);
    put_specs(c, o, t);
    json_close_object(o);
}

static int render_one(struct call *c, const struct volume_type *t, bool full, bool access)
{
    json_open_object(&c->out);
    json_key(&c->out, "volume_type");
    render(c, &c->out, t, full, access);
    json_close_object(&c->out);
    return 0;
}

static int scope(struct call *c, struct query *q)
{
    const char *is_public = call_arg(c, "is_public");
    int r = project_check(c);
    if (r || (call_is_admin(c) && is_public && strcasecmp(is_public, "none") == 0))
        return r;
    if (call_is_admin(c) && is_public)
        return query_where(q, c->arena, "is_public", Q_EQ, call_arg_bool(c, "is_public", true) ? "true" : "false") ?
               0 : -ENOMEM;
    struct condition *a = query_where(q, c->arena, "is_public", Q_EQ, "true");
    struct condition *b = query_where(q, c->arena, "projects", Q_KEY, str_or(c->auth->project_id, ""));
    if (!a || !b)
        return -ENOMEM;
    q->where.v[q->where.n - 2].any = q->where.v[q->where.n - 1].any = 1;
    return 0;
}
static int filter(struct call *c, struct query *q, const char *name, const char *value)
{
    (void)c;
    (void)q;
    (void)value;
    return STREQ(name, "is_public") || STREQ(name, "extra_specs") || STREQ(name, "offset") ? 0 : 1;
}
static const struct resource TYPES = {
    .one = "volume_type", .many = "volume_types", .kind = &VOLUME_TYPE_KIND, .title = "Volume type", .scope = scope,
    .filter = filter,
};

static int list(struct call *c)
{
    struct results l = { 0 };
    int r = list_objects(c, &TYPES, true, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "volume_types");
    for (size_t i = 0; i < l.n; i++)
        render(c, &c->out, l.v[i], true, true);
    json_close_array(&c->out);
    c->service->list_style->links(c, &TYPES, &l, NULL, &c->out);
    json_close_object(&c->out);
    return 0;
}

static int show_write(struct call *c)
{
    struct volume_type *t;
    int r = type_default(c, c->auth->project_id, &t);
    if (r == 0 && !t)
        return call_fault(c, 404, "VolumeTypeNotFound", "Default volume type can not be found.");
    return r ? r : render_one(c, t, true, true);
}
static int show(struct call *c)
{
    struct volume_type *t;
    if (STREQ(call_param(c, "id"), "default"))
        return call_write(c, show_write);
    int r = call_read(c);
    r = r ? r : get(c, call_param(c, "id"), &t);
    return r ? r : render_one(c, t, true, true);
}

/* ---- changing ---- */

static int put(struct call *c, struct volume_type *t)
{
    t->updated_at = clock_wall();
    int r = txn_put(c->txn, &VOLUME_TYPE_KIND, t);
    return r == TXN_TAKEN ? call_fault(c, 409, "VolumeTypeExists", "Volume Type %s already exists.", t->name) : r;
}

static bool blank(const char *s)
{
    while (s && isspace((unsigned char)*s))
        s++;
    return !s || !*s;
}

static int check_specs(struct call *c, const struct strmap *specs)
{
    VEC_FOREACH(p, specs) {
        if (!*p->key || strspn(p->key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.: ") !=
                        strlen(p->key))
            return bad_body(c, "Key '%s' can only contain alphanumeric characters, underscores, periods, colons and "
                               "hyphens.", p->key);
    }
    return 0;
}

static int create_write(struct call *c)
{
    json_t *in;
    struct volume_type *t = ARENA_NEW(c->arena, struct volume_type);
    if (!t)
        return -ENOMEM;
    *t = (struct volume_type){ .head.id = uuid_new(c->arena), .is_public = true, .created_at = clock_wall() };
    int r = body_object(c, "volume_type", &in);
    r = r ? r : take_name(c, in, &t->name, &t->description);
    r = r ? r : body_bool(c, in, "os-volume-type-access:is_public", &t->is_public);
    r = r ? r : take_metadata(c, json_object_get(in, "extra_specs"), &t->extra_specs);
    r = r ? r : check_specs(c, &t->extra_specs);
    if (r == 0 && blank(t->name))
        return bad_body(c, "Invalid input for field/attribute name. Value: %s. It can not be blank", str_or(t->name, ""));
    r = r ? r : put(c, t);
    return r ? r : render_one(c, t, false, true);
}
static int create(struct call *c)
{
    return call_write(c, create_write);
}

static int update_write(struct call *c)
{
    json_t *in;
    struct volume_type *t;
    int r = body_object(c, "volume_type", &in);
    r = r ? r : get(c, call_param(c, "id"), &t);
    if (r)
        return r;
    if (!json_object_get(in, "name") && !json_object_get(in, "description") && !json_object_get(in, "is_public"))
        return bad_body(c, "Specify volume type name, description, is_public or a combination thereof.");
    if (json_is_string(json_object_get(in, "name")) && blank(json_get_string(in, "name")))
        return bad_body(c, "Volume type name can not be empty.");
    if (json_is_null(json_object_get(in, "name")))
        json_object_del(in, "name");
    r = take_name(c, in, &t->name, &t->description);
    r = r ? r : body_bool(c, in, "is_public", &t->is_public);
    r = r ? r : put(c, t);
    return r ? r : render_one(c, t, false, false);
}
static int update(struct call *c)
{
    return call_write(c, update_write);
}

static int delete_write(struct call *c)
{
    struct volume_type *t;
    uint64_t used = 0;
    int r = get(c, call_param(c, "id"), &t);
    r = r ? r : count_by(c->txn, &VOLUME_KIND, "type_id", t->head.id, &used);
    if (r)
        return r;
    if (used)
        return invalid(c, "Target volume type is still in use.");
    if (STREQ(t->name, cloud_default(c)))
        return invalid(c, "Volume type %s is the default and can't be deleted.", t->name);
    return txn_delete(c->txn, &VOLUME_TYPE_KIND, t->head.id);
}
static int delete_(struct call *c)
{
    return call_write(c, delete_write);
}

/* ---- extra specs ---- */

static int specs_list(struct call *c)
{
    struct volume_type *t;
    int r = call_read(c);
    r = r ? r : get(c, call_param(c, "id"), &t);
    if (r)
        return r;
    json_open_object(&c->out);
    put_specs(c, &c->out, t);
    json_close_object(&c->out);
    return 0;
}

static int specs_create_write(struct call *c)
{
    struct volume_type *t;
    struct strmap specs = { 0 };
    json_t *in;
    int r = get(c, call_param(c, "id"), &t);
    r = r ? r : body_object(c, "extra_specs", &in);
    r = r ? r : take_metadata(c, in, &specs);
    r = r ? r : check_specs(c, &specs);
    if (r)
        return r;
    VEC_FOREACH(p, &specs)
        strmap_set(c->arena, &t->extra_specs, p->key, p->value);
    r = put(c, t);
    json_open_object(&c->out);
    json_put_map(&c->out, "extra_specs", &specs);
    json_close_object(&c->out);
    return r;
}
static int specs_create(struct call *c)
{
    return call_write(c, specs_create_write);
}

static int spec_missing(struct call *c, const char *key)
{
    return call_fault(c, 404, "VolumeTypeExtraSpecsNotFound", "Volume Type %s has no extra specs with key %s.",
                      call_param(c, "id"), key);
}

static int put_pair(struct call *c, const char *key, const char *value)
{
    json_open_object(&c->out);
    json_put_string(&c->out, key, value);
    json_close_object(&c->out);
    return 0;
}

static int spec_show(struct call *c)
{
    struct volume_type *t;
    const char *key = call_param(c, "key");
    int r = call_read(c);
    r = r ? r : get(c, call_param(c, "id"), &t);
    if (r)
        return r;
    const char *value = strmap_get(&t->extra_specs, key);
    return value ? put_pair(c, key, value) : spec_missing(c, key);
}

static int spec_update_write(struct call *c)
{
    struct volume_type *t;
    struct strmap specs = { 0 };
    const char *key = call_param(c, "key");
    int r = get(c, call_param(c, "id"), &t);
    if (r)
        return r;
    if (!json_is_object(c->body) || !json_object_get(c->body, key))
        return bad_body(c, "Request body and URI mismatch");
    if (json_object_size(c->body) > 1)
        return bad_body(c, "Request body contains too many items");
    r = take_metadata(c, c->body, &specs);
    r = r ? r : check_specs(c, &specs);
    if (r)
        return r;
    strmap_set(c->arena, &t->extra_specs, key, specs.v[0].value);
    r = put(c, t);
    return r ? r : put_pair(c, key, specs.v[0].value);
}
static int spec_update(struct call *c)
{
    return call_write(c, spec_update_write);
}

static int spec_delete_write(struct call *c)
{
    struct volume_type *t;
    const char *key = call_param(c, "key");
    int r = get(c, call_param(c, "id"), &t);
    if (r)
        return r;
    return strmap_drop(&t->extra_specs, key) ? put(c, t) : spec_missing(c, key);
}
static int spec_delete(struct call *c)
{
    return call_write(c, spec_delete_write);
}

/* ---- access ---- */

static int access_list(struct call *c)
{
    struct volume_type *t;
    int r = call_read(c);
    r = r ? r : get(c, call_param(c, "id"), &t);
    if (r)
        return r;
    if (t->is_public)
        return call_fault(c, 404, "VolumeTypeAccessNotFound", "Access list not available for public volume types.");
    json_open_object(&c->out);
    json_put_array(&c->out, "volume_type_access");
    VEC_FOREACH(project, &t->projects) {
        json_open_object(&c->out);
        json_put_string(&c->out, "volume_type_id", t->head.id);
        json_put_string(&c->out, "project_id", *project);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int action_write(struct call *c)
{
    struct volume_type *t;
    const char *name = json_object_iter_key(json_object_iter(c->body)), *project;
    bool add = str_eq(name, "addProjectAccess");
    int r = get(c, call_param(c, "id"), &t);
    if (r)
        return r;
    if (!add && !str_eq(name, "removeProjectAccess"))
        return bad_body(c, "There is no such action: %s", str_or(name, ""));
    r = body_text(c, json_object_get(c->body, name), "project", true, &project);
    if (r)
        return r;
    if (t->is_public)
        return call_fault(c, 409, "Conflict", "Type access modification is not applicable to public volume type.");
    if (add && strv_has(&t->projects, project))
        return call_fault(c, 409, "VolumeTypeAccessExists", "Volume type access for %s / %s combination already exists.",
                          t->head.id, project);
    if (add)
        strv_add(c->arena, &t->projects, project);
    else if (!strv_drop(&t->projects, project))
        return call_fault(c, 404, "VolumeTypeAccessNotFound", "Volume type access not found for %s / %s combination.",
                          t->head.id, project);
    return put(c, t);
}
static int action(struct call *c)
{
    return call_write(c, action_write);
}

/* ---- encryption ---- */

static void render_encryption(struct json_out *o, const struct volume_type *t)
{
    const struct volume_encryption *e = t->encryption;
    json_put_string(o, "volume_type_id", t->head.id);
    json_put_string(o, "encryption_id", e->id);
    json_put_string(o, "provider", e->provider);
    json_put_string(o, "control_location", e->control_location);
    json_put_string(o, "cipher", e->cipher);
    if (e->key_size == INT_NULL)
        json_put_null(o, "key_size");
    else
        json_put_int(o, "key_size", e->key_size);
}

static int encryption_show(struct call *c)
{
    struct volume_type *t;
    int r = call_read(c);
    r = r ? r : get(c, call_param(c, "id"), &t);
    if (r)
        return r;
    json_open_object(&c->out);
    if (t->encryption) {
        char text[TIME_TEXT_SIZE];
        render_encryption(&c->out, t);
        json_put_string(&c->out, "created_at", time_format(t->encryption->created_at, TIME_ISO_MICRO, text));
        json_put_null(&c->out, "updated_at");
        json_put_bool(&c->out, "deleted", false);
        json_put_null(&c->out, "deleted_at");
    }
    json_close_object(&c->out);
    return 0;
}

static int encryption_item(struct call *c)
{
    struct volume_type *t;
    const char *key = call_param(c, "key");
    int r = call_read(c);
    r = r ? r : get(c, call_param(c, "id"), &t);
    if (r)
        return r;
    const struct volume_encryption *e = t->encryption;
    const char *value = !e ? NULL : STREQ(key, "cipher") ? e->cipher : STREQ(key, "provider") ? e->provider :
                        STREQ(key, "control_location") ? e->control_location : STREQ(key, "encryption_id") ? e->id : NULL;
    if (e && STREQ(key, "key_size") && e->key_size != INT_NULL) {
        json_open_object(&c->out);
        json_put_int(&c->out, key, e->key_size);
        json_close_object(&c->out);
        return 0;
    }
    return value ? put_pair(c, key, value) : spec_missing(c, key);
}

static int encryption_take(struct call *c, const json_t *in, struct volume_encryption *e, bool create_)
{
    const char *text;
    int r = body_text(c, in, "provider", create_, &text);
    e->provider = text ? text : e->provider;
    if (r == 0 && json_object_get(in, "cipher"))
        r = body_text(c, in, "cipher", false, &e->cipher);
    r = r ? r : body_text(c, in, "control_location", create_, &text);
    e->control_location = text ? text : e->control_location;
    r = r ? r : body_int(c, in, "key_size", false, 0, 1 << 20, &e->key_size);
    if (r == 0 && !str_eq(e->control_location, "front-end") && !str_eq(e->control_location, "back-end"))
        return bad_body(c, "Invalid input received: Valid control location are: ['front-end', 'back-end']");
    return r;
}

static int encryption_write(struct call *c)
{
    struct volume_type *t;
    json_t *in;
    uint64_t used = 0;
    bool create_ = STREQ(c->http->method, "POST"), drop = STREQ(c->http->method, "DELETE");
    int r = get(c, call_param(c, "id"), &t);
    r = r ? r : count_by(c->txn, &VOLUME_KIND, "type_id", t->head.id, &used);
    if (r)
        return r;
    if (used)
        return bad_body(c, "Cannot change encryption specs. Volume type in use.");
    if (drop) {
        if (!t->encryption)
            return call_fault(c, 404, "VolumeTypeEncryptionNotFound", "Volume type encryption for type %s does not exist.",
                              t->head.id);
        t->encryption = NULL;
        return put(c, t);
    }
    r = body_object(c, "encryption", &in);
    if (r)
        return r;
    if (create_ && t->encryption)
        return bad_body(c, "Volume type encryption for type %s already exists.", t->head.id);
    if (!create_ && !t->encryption)
        return call_fault(c, 404, "VolumeTypeEncryptionNotFound", "Volume type encryption for type %s does not exist.",
                          t->head.id);
    if (create_) {
        t->encryption = ARENA_NEW(c->arena, struct volume_encryption);
        if (!t->encryption)
            return -ENOMEM;
        *t->encryption = (struct volume_encryption){ .id = uuid_new(c->arena), .key_size = INT_NULL,
                                                     .created_at = clock_wall() };
    }
    r = encryption_take(c, in, t->encryption, create_);
    r = r ? r : put(c, t);
    if (r)
        return r;
    json_open_object(&c->out);
    if (create_) {
        json_put_object(&c->out, "encryption");
        render_encryption(&c->out, t);
        json_close_object(&c->out);
    } else {
        json_key(&c->out, "encryption");
        json_tree_out(&c->out, in);
    }
    json_close_object(&c->out);
    return 0;
}
static int encryption_change(struct call *c)
{
    return call_write(c, encryption_write);
}

#define T P "/types"
static const struct route ROUTES[] = {
    { "GET", T, list, "volume:read", .doc = "Volume types." },
    { "POST", T, create, "volume:admin", .doc = "Makes a type." },
    { "GET", T "/{id}", show, "volume:read", ROUTE_WORKER, .doc = "One type, or the default." },
    { "PUT", T "/{id}", update, "volume:admin", .doc = "Changes a type." },
    { "DELETE", T "/{id}", delete_, "volume:admin", .status = 202, .doc = "Deletes a type." },
    { "GET", T "/{id}/extra_specs", specs_list, "volume:read", .doc = "Its extra specs." },
    { "POST", T "/{id}/extra_specs", specs_create, "volume:admin", .doc = "Sets some." },
    { "GET", T "/{id}/extra_specs/{key}", spec_show, "volume:read", .doc = "One." },
    { "PUT", T "/{id}/extra_specs/{key}", spec_update, "volume:admin", .doc = "Sets one." },
    { "DELETE", T "/{id}/extra_specs/{key}", spec_delete, "volume:admin", .status = 202, .doc = "Drops one." },
    { "GET", T "/{id}/os-volume-type-access", access_list, "volume:admin", .doc = "Who may use it." },
    { "POST", T "/{id}/action", action, "volume:admin", .status = 202, .doc = "Lets projects use it." },
    { "GET", T "/{id}/encryption", encryption_show, "volume:admin", .doc = "How its volumes are encrypted." },
    { "POST", T "/{id}/encryption", encryption_change, "volume:admin", .doc = "Says how." },
    { "GET", T "/{id}/encryption/{key}", encryption_item, "volume:admin", .doc = "One of it." },
    { "PUT", T "/{id}/encryption/{key}", encryption_change, "volume:admin", .doc = "Changes it." },
    { "DELETE", T "/{id}/encryption/{key}", encryption_change, "volume:admin", .status = 202, .doc = "Drops it." },
};
VOLUME_PART(TYPES_PART, ROUTES);
