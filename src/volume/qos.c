/*
 * Qos specs: limits that a type's volumes have in guests ("front-end"), by Cinder's key names.
 */
#include "volume/internal.h"

#include <errno.h>

/* ---- what guests get ---- */

int qos_of_type(struct txn *t, const char *type_id, struct disk_qos **ret)
{
    struct volume_type *type;
    struct qos_spec *q = NULL;
    *ret = NULL;
    int r = txn_get(t, &VOLUME_TYPE_KIND, type_id, &type);
    if (r == 0 && type && type->qos_id)
        r = txn_get(t, &QOS_SPEC_KIND, type->qos_id, &q);
    if (r < 0 || !q || str_eq(q->consumer, "back-end"))
        return r;
    const struct { const char *key; size_t at; } KEYS[] = {
        { "total_iops_sec", offsetof(struct disk_qos, total_iops) },
        { "read_iops_sec", offsetof(struct disk_qos, read_iops) },
        { "write_iops_sec", offsetof(struct disk_qos, write_iops) },
        { "total_bytes_sec", offsetof(struct disk_qos, total_bytes) },
        { "read_bytes_sec", offsetof(struct disk_qos, read_bytes) },
        { "write_bytes_sec", offsetof(struct disk_qos, write_bytes) },
        { "total_iops_sec_max", offsetof(struct disk_qos, total_iops_max) },
        { "total_bytes_sec_max", offsetof(struct disk_qos, total_bytes_max) },
    };
    struct disk_qos *d = ARENA_NEW(txn_arena(t), struct disk_qos);
    if (!d)
        return -ENOMEM;
    for (size_t i = 0; i < ARRAY_SIZE(KEYS); i++) {
        const char *value = strmap_get(&q->specs, KEYS[i].key);
        int64_t n = value ? strtoll(value, NULL, 10) : 0;
        if (n <= 0)
            continue;
        *(int64_t *)(void *)((char *)d + KEYS[i].at) = n;
        *ret = d;
    }
    return 0;
}

/* ---- the API ---- */

static int get(struct call *c, struct qos_spec **ret)
{
    const char *id = call_param(c, "id");
    int r = txn_get(c->txn, &QOS_SPEC_KIND, id, ret);
    if (r == 0 && !*ret)
        return call_fault(c, 404, "QoSSpecsNotFound", "No such QoS spec %s.", id);
    return r;
}

static void render(struct json_out *o, const struct qos_spec *q)
{
    json_open_object(o);
    json_put_string(o, "id", q->head.id);
    json_put_string(o, "name", q->name);
    json_put_string(o, "consumer", q->consumer);
    json_put_map(o, "specs", &q->specs);
    json_close_object(o);
}

static int render_one(struct call *c, const struct qos_spec *q)
{
    json_open_object(&c->out);
    json_key(&c->out, "qos_specs");
    render(&c->out, q);
    volume_links(c, "qos_specs", q->head.id, &c->out);
    json_close_object(&c->out);
    return 0;
}

static const struct resource QOS = { .one = "qos_specs", .many = "qos_specs", .kind = &QOS_SPEC_KIND,
                                     .title = "QoS specs" };

static int list(struct call *c)
{
    struct results l = { 0 };
    int r = list_objects(c, &QOS, true, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "qos_specs");
    for (size_t i = 0; i < l.n; i++)
        render(&c->out, l.v[i]);
    json_close_array(&c->out);
    c->service->list_style->links(c, &QOS, &l, NULL, &c->out);
    json_close_object(&c->out);
    return 0;
}

static int show(struct call *c)
{
    struct qos_spec *q;
    int r = call_read(c);
    r = r ? r : get(c, &q);
    return r ? r : render_one(c, q);
}

static int take(struct call *c, const json_t *in, struct qos_spec *q)
{
    struct strmap m = { 0 };
    int r = take_metadata(c, in, &m);
    if (r)
        return r;
    VEC_FOREACH(p, &m) {
        if (STREQ(p->key, "name"))
            continue;
        if (STREQ(p->key, "consumer"))
            q->consumer = p->value;
        else if (!strmap_set(c->arena, &q->specs, p->key, p->value))
            return -ENOMEM;
    }
    if (!STREQ(q->consumer, "front-end") && !STREQ(q->consumer, "back-end") && !STREQ(q->consumer, "both"))
        return invalid(c, "Invalid qos specs: Valid consumer of QoS specs are: ['front-end', 'back-end', 'both']");
    return 0;
}

static int create_write(struct call *c)
{
    json_t *in;
    const char *name;
    struct qos_spec *q = ARENA_NEW(c->arena, struct qos_spec);
    int r = body_object(c, "qos_specs", &in);
    r = r ? r : body_text(c, in, "name", true, &name);
    if (r || !q)
        return r ? r : -ENOMEM;
    if (!*name)
        return bad_body(c, "Invalid input for field/attribute name. It can not be blank");
    *q = (struct qos_spec){ .head.id = uuid_new(c->arena), .name = name, .consumer = "back-end",
                            .created_at = clock_wall() };
    r = take(c, in, q);
    r = r ? r : txn_put(c->txn, &QOS_SPEC_KIND, q);
    if (r == TXN_TAKEN)
        return call_fault(c, 409, "QoSSpecsExists", "QoS Specs %s already exists.", name);
    return r ? r : render_one(c, q);
}
static int create(struct call *c)
{
    return call_write(c, create_write);
}

static int update_write(struct call *c)
{
    json_t *in;
    struct qos_spec *q;
    int r = body_object(c, "qos_specs", &in);
    r = r ? r : get(c, &q);
    r = r ? r : take(c, in, q);
    r = r ? r : txn_put(c->txn, &QOS_SPEC_KIND, q);
    json_open_object(&c->out);
    json_key(&c->out, "qos_specs");
    json_tree_out(&c->out, in);
    json_close_object(&c->out);
    return r;
}
static int update(struct call *c)
{
    return call_write(c, update_write);
}

static int unset_write(struct call *c)
{
    struct qos_spec *q;
    size_t i;
    json_t *key;
    int r = get(c, &q);
    if (r)
        return r;
    if (!json_is_array(json_object_get(c->body, "keys")))
        return bad_body(c, "'keys' is a required property");
    json_array_foreach(json_object_get(c->body, "keys"), i, key)
        if (!strmap_drop(&q->specs, str_or(json_string_value(key), "")))
            return invalid(c, "QoS spec %s has no spec with key %s.", q->head.id, str_or(json_string_value(key), ""));
    return txn_put(c->txn, &QOS_SPEC_KIND, q);
}
static int unset(struct call *c)
{
    return call_write(c, unset_write);
}

static int drop_from_types(struct call *c, const char *id, size_t *ret_n)
{
    struct results l;
    int r = list_by(c->txn, &VOLUME_TYPE_KIND, "qos_id", id, &l);
    *ret_n = r == 0 ? l.n : 0;
    for (size_t i = 0; i < *ret_n && r == 0; i++) {
        ((struct volume_type *)l.v[i])->qos_id = NULL;
        r = txn_put(c->txn, &VOLUME_TYPE_KIND, l.v[i]);
    }
    return r;
}

static int delete_write(struct call *c)
{
    struct qos_spec *q;
    struct results l;
    size_t n;
    int r = get(c, &q);
    r = r ? r : list_by(c->txn, &VOLUME_TYPE_KIND, "qos_id", q->head.id, &l);
    if (r)
        return r;
    if (l.n && !call_arg_bool(c, "force", false))
        return invalid(c, "QoS Specs %s is still associated with entities.", q->head.id);
    r = drop_from_types(c, q->head.id, &n);
    return r ? r : txn_delete(c->txn, &QOS_SPEC_KIND, q->head.id);
}
static int delete_(struct call *c)
{
    return call_write(c, delete_write);
}

static int associations(struct call *c)
{
    struct qos_spec *q;
    struct results l;
    int r = call_read(c);
    r = r ? r : get(c, &q);
    r = r ? r : list_by(c->txn, &VOLUME_TYPE_KIND, "qos_id", q->head.id, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "qos_associations");
    for (size_t i = 0; i < l.n; i++) {
        const struct volume_type *t = l.v[i];
        json_open_object(&c->out);
        json_put_string(&c->out, "association_type", "volume_type");
        json_put_string(&c->out, "name", t->name);
        json_put_string(&c->out, "id", t->head.id);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int associate_write(struct call *c)
{
    struct qos_spec *q;
    struct volume_type *t;
    bool on = strstr(c->route->path, "/associate") != NULL, all = strstr(c->route->path, "disassociate_all") != NULL;
    const char *id = call_arg(c, "vol_type_id");
    size_t n;
    int r = get(c, &q);
    if (r || all)
        return r ? r : drop_from_types(c, q->head.id, &n);
    if (!id)
        return bad_body(c, "Volume Type id must not be None.");
    r = txn_get(c->txn, &VOLUME_TYPE_KIND, id, &t);
    if (r == 0 && !t)
        return call_fault(c, 404, "VolumeTypeNotFound", "Volume type %s could not be found.", id);
    if (r < 0)
        return r;
    if (on && t->qos_id && !STREQ(t->qos_id, q->head.id))
        return invalid(c, "Invalid volume type: Type %s is already associated with another qos specs: %s", id, t->qos_id);
    t->qos_id = on ? q->head.id : NULL;
    return txn_put(c->txn, &VOLUME_TYPE_KIND, t);
}
static int associate(struct call *c)
{
    return call_write(c, associate_write);
}

#define Q P "/qos-specs"
static const struct route ROUTES[] = {
    { "GET", Q, list, "volume:admin", .doc = "Qos specs." },
    { "POST", Q, create, "volume:admin", .doc = "Makes one." },
    { "GET", Q "/{id}", show, "volume:admin", .doc = "One." },
    { "PUT", Q "/{id}", update, "volume:admin", .doc = "Changes one." },
    { "DELETE", Q "/{id}", delete_, "volume:admin", .status = 202, .doc = "Deletes one." },
    { "PUT", Q "/{id}/delete_keys", unset, "volume:admin", .status = 202, .doc = "Drops keys." },
    { "GET", Q "/{id}/associations", associations, "volume:admin", .doc = "Types that have it." },
    { "GET", Q "/{id}/associate", associate, "volume:admin", ROUTE_WORKER, .status = 202, .doc = "Gives it to a type." },
    { "GET", Q "/{id}/disassociate", associate, "volume:admin", ROUTE_WORKER, .status = 202, .doc = "Takes it away." },
    { "GET", Q "/{id}/disassociate_all", associate, "volume:admin", ROUTE_WORKER, .status = 202, .doc = "From all." },
};
VOLUME_PART(QOS_PART, ROUTES);
