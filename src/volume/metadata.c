/*
 * Metadata of volumes, snapshots and backups: the same five verbs on a map of each.
 */
#include "volume/internal.h"

#include <errno.h>

/* The object of the path with its map. */
struct target {
    struct volume *volume;
    struct snapshot *snapshot;
    struct strmap *map;
};

static int get(struct call *c, struct target *t)
{
    *t = (struct target){ 0 };
    bool snapshot = strstr(c->route->path, "/snapshots/") != NULL;
    int r = snapshot ? vsnapshot_get(c, call_param(c, "id"), &t->snapshot) : volume_get(c, call_param(c, "id"), &t->volume);
    if (r == 0)
        t->map = snapshot ? &t->snapshot->metadata : &t->volume->metadata;
    return r;
}

static int put(struct call *c, struct target *t)
{
    if (t->volume && str_eq(t->volume->status, "error_deleting"))
        return invalid(c, "Invalid volume: its status is %s.", t->volume->status);
    return t->volume ? volume_put(c->txn, t->volume) : vsnapshot_put(c->txn, t->snapshot);
}

static int answer(struct call *c, const struct strmap *m)
{
    json_open_object(&c->out);
    json_put_map(&c->out, "metadata", m);
    json_close_object(&c->out);
    return 0;
}

static int missing(struct call *c, const char *key)
{
    bool snapshot = strstr(c->route->path, "/snapshots/") != NULL;
    return call_fault(c, 404, snapshot ? "SnapshotMetadataNotFound" : "VolumeMetadataNotFound",
                      "%s %s has no metadata with key %s.", snapshot ? "Snapshot" : "Volume", call_param(c, "id"), key);
}

static int all_show(struct call *c)
{
    struct target t;
    int r = call_read(c);
    r = r ? r : get(c, &t);
    return r ? r : answer(c, t.map);
}

/* POST adds, PUT replaces. */
static int all_write(struct call *c)
{
    struct target t;
    json_t *in;
    struct strmap m = { 0 };
    int r = get(c, &t);
    r = r ? r : body_object(c, "metadata", &in);
    r = r ? r : take_metadata(c, in, &m);
    if (r)
        return r;
    if (STREQ(c->http->method, "PUT")) {
        *t.map = m;
    } else {
        VEC_FOREACH(p, &m)
            if (!strmap_set(c->arena, t.map, p->key, p->value))
                return -ENOMEM;
    }
    r = put(c, &t);
    return r ? r : answer(c, t.map);
}
static int all_change(struct call *c)
{
    return call_write(c, all_write);
}

static int put_meta(struct call *c, const char *key, const char *value)
{
    json_open_object(&c->out);
    json_put_object(&c->out, "meta");
    json_put_string(&c->out, key, value);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int item_show(struct call *c)
{
    struct target t;
    const char *key = call_param(c, "key");
    int r = call_read(c);
    r = r ? r : get(c, &t);
    if (r)
        return r;
    const char *value = strmap_get(t.map, key);
    return value ? put_meta(c, key, value) : missing(c, key);
}

static int item_write(struct call *c)
{
    struct target t;
    json_t *in;
    struct strmap m = { 0 };
    const char *key = call_param(c, "key");
    int r = get(c, &t);
    r = r ? r : body_object(c, "meta", &in);
    r = r ? r : take_metadata(c, in, &m);
    if (r)
        return r;
    if (m.n != 1)
        return bad_body(c, "Request body contains too many items");
    if (!STREQ(m.v[0].key, key))
        return bad_body(c, "Request body and URI mismatch");
    if (!strmap_set(c->arena, t.map, key, m.v[0].value))
        return -ENOMEM;
    r = put(c, &t);
    return r ? r : put_meta(c, key, m.v[0].value);
}
static int item_change(struct call *c)
{
    return call_write(c, item_write);
}

static int item_delete_write(struct call *c)
{
    struct target t;
    const char *key = call_param(c, "key");
    int r = get(c, &t);
    if (r)
        return r;
    return strmap_drop(t.map, key) ? put(c, &t) : missing(c, key);
}
static int item_delete(struct call *c)
{
    return call_write(c, item_delete_write);
}

#define ROUTES_OF(what) \
    { "GET", P what "/metadata", all_show, "volume:read", .doc = "All of it." }, \
    { "POST", P what "/metadata", all_change, "volume:write", .doc = "Adds." }, \
    { "PUT", P what "/metadata", all_change, "volume:write", .doc = "Replaces all." }, \
    { "GET", P what "/metadata/{key}", item_show, "volume:read", .doc = "One." }, \
    { "PUT", P what "/metadata/{key}", item_change, "volume:write", .doc = "Sets one." }, \
    { "DELETE", P what "/metadata/{key}", item_delete, "volume:write", .doc = "Drops one." }

static const struct route ROUTES[] = { ROUTES_OF("/volumes/{id}"), ROUTES_OF("/snapshots/{id}") };
VOLUME_PART(METADATA_PART, ROUTES);
