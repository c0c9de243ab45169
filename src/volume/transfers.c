/*
 * Transfers: a volume goes to another project that knows the key. Only a salted hash of the key
 * is kept. os-volume-transfer is the path of old; volume-transfers (3.55) adds snapshots.
 */
#include "volume/internal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

static const char *digest(struct arena *a, const char *salt, const char *key)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    unsigned n = 0;
    const char *text = arena_printf(a, "%s%s", salt, key);
    if (!text || !EVP_Digest(text, strlen(text), sum, &n, EVP_sha256(), NULL))
        return NULL;
    for (unsigned i = 0; i < n; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    return arena_strdup(a, hex);
}

static bool new_path(const struct call *c)
{
    return strstr(c->route->path, "volume-transfers") != NULL;
}

static void render(struct call *c, struct json_out *o, const struct transfer *t, bool full, const char *key)
{
    json_open_object(o);
    json_put_string(o, "id", t->head.id);
    json_put_string(o, "volume_id", t->volume_id);
    json_put_string(o, "name", t->name);
    if (full)
        put_time(c, o, "created_at", t->created_at);
    if (key)
        json_put_string(o, "auth_key", key);
    if (full && new_path(c)) {
        if (c->minor >= 55)
            json_put_bool(o, "no_snapshots", t->no_snapshots);
        if (c->minor >= 57) {
            json_put_string(o, "source_project_id", t->project_id);
            json_put_string(o, "destination_project_id", t->destination_project_id);
            json_put_bool(o, "accepted", t->accepted);
        }
    }
    volume_links(c, new_path(c) ? "volume-transfers" : "os-volume-transfer", t->head.id, o);
    json_close_object(o);
}

static int render_one(struct call *c, const struct transfer *t, bool full, const char *key)
{
    json_open_object(&c->out);
    json_key(&c->out, "transfer");
    render(c, &c->out, t, full, key);
    json_close_object(&c->out);
    return 0;
}

static const struct resource TRANSFERS = { .one = "transfer", .many = "transfers", .kind = &TRANSFER_KIND,
                                           .title = "Transfer", .scope = own_scope };

static int list(struct call *c, bool full)
{
    struct results l = { 0 };
    int r = list_objects(c, &TRANSFERS, full, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "transfers");
    for (size_t i = 0; i < l.n; i++)
        render(c, &c->out, l.v[i], full, NULL);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}
static int transfers_list(struct call *c)
{
    return list(c, false);
}
static int transfers_detail(struct call *c)
{
    return list(c, true);
}

static int not_found(struct call *c)
{
    return call_fault(c, 404, "TransferNotFound", "Transfer %s could not be found.", call_param(c, "id"));
}

static int get(struct call *c, struct transfer **ret)
{
    int r = txn_get(c->txn, &TRANSFER_KIND, call_param(c, "id"), ret);
    return r == 0 && (!*ret || !own_visible(c, (*ret)->project_id)) ? not_found(c) : r;
}

static int show(struct call *c)
{
    struct transfer *t;
    int r = call_read(c);
    r = r ? r : get(c, &t);
    return r ? r : render_one(c, t, true, NULL);
}

static int create_write(struct call *c)
{
    json_t *in;
    const char *volume_id;
    struct volume *v;
    struct transfer t = { .head.id = uuid_new(c->arena), .salt = uuid_hex_new(c->arena), .created_at = clock_wall() };
    int r = body_object(c, "transfer", &in);
    r = r ? r : body_text(c, in, "volume_id", true, &volume_id);
    r = r ? r : take_name(c, in, &t.name, NULL);
    if (r == 0 && new_path(c))
        r = body_bool(c, in, "no_snapshots", &t.no_snapshots);
    r = r ? r : volume_get(c, volume_id, &v);
    if (r)
        return r;
    if (!str_eq(v->status, "available"))
        return invalid(c, "Invalid volume: status must be available");
    if (v->group_id)        /* who deletes the group deletes its volumes */
        return invalid(c, "Invalid volume: Volume %s is part of a group and can't be transferred.", v->head.id);
    const char *key = arena_strndup(c->arena, uuid_hex_new(c->arena), 16);
    t.volume_id = v->head.id;
    t.project_id = v->project_id;
    t.hash = key ? digest(c->arena, t.salt, key) : NULL;
    v->status = "awaiting-transfer";
    r = txn_put(c->txn, &TRANSFER_KIND, &t);
    r = r ? r : volume_put(c->txn, v);
    return r ? r : render_one(c, &t, true, key);
}
static int create(struct call *c)
{
    return call_write(c, create_write);
}

static int give(struct call *c, struct transfer *t, struct volume *v)
{
    struct results l;
    struct volume_type *type = NULL;
    const char *to = c->auth->project_id;
    int r = v->type_id ? txn_get(c->txn, &VOLUME_TYPE_KIND, v->type_id, &type) : 0;
    if (!str_eq(to, v->project_id))
        r = r ? r : quota_check(c, to, "volumes", 1, v->size, type);
    r = r ? r : list_by(c->txn, &VSNAPSHOT_KIND, "volume_id", v->head.id, &l);
    for (size_t i = 0; r == 0 && i < l.n && !t->no_snapshots; i++) {
        struct snapshot *s = l.v[i];
        s->project_id = to;
        s->user_id = c->auth->user_id;
        r = vsnapshot_put(c->txn, s);
    }
    v->project_id = to;
    v->user_id = c->auth->user_id;
    v->status = "available";
    r = r ? r : volume_put(c->txn, v);
    return r ? r : txn_delete(c->txn, &TRANSFER_KIND, t->head.id);
}

static int accept_write(struct call *c)
{
    json_t *in;
    const char *key, *sum;
    struct transfer *t;
    struct volume *v;
    int r = body_object(c, "accept", &in);
    r = r ? r : body_text(c, in, "auth_key", true, &key);
    r = r ? r : txn_get(c->txn, &TRANSFER_KIND, call_param(c, "id"), &t);
    if (r)
        return r;
    if (!t)
        return not_found(c);
    sum = digest(c->arena, t->salt, key);
    if (!str_eq(sum, t->hash))
        return invalid(c, "Invalid auth key: Attempt to transfer %s with invalid auth key.", t->head.id);
    r = txn_get(c->txn, &VOLUME_KIND, t->volume_id, &v);
    if (r == 0 && !v)
        return not_found(c);
    if (r == 0 && !str_eq(v->status, "awaiting-transfer"))
        return invalid(c, "Invalid volume: Volume %s is in status %s, not awaiting-transfer.", v->head.id, v->status);
    r = r ? r : give(c, t, v);
    return r ? r : render_one(c, t, false, NULL);
}
static int accept_(struct call *c)
{
    return call_write(c, accept_write);
}

static int delete_write(struct call *c)
{
    struct transfer *t;
    struct volume *v;
    int r = get(c, &t);
    r = r ? r : txn_get(c->txn, &VOLUME_KIND, t->volume_id, &v);
    if (r == 0 && v && str_eq(v->status, "awaiting-transfer")) {
        v->status = "available";
        r = volume_put(c->txn, v);
    }
    return r ? r : txn_delete(c->txn, &TRANSFER_KIND, t->head.id);
}
static int delete_(struct call *c)
{
    return call_write(c, delete_write);
}

#define ROUTES_OF(path, from) \
    { "GET", P path, transfers_list, "volume:read", .since = from, .doc = "Transfers." }, \
    { "GET", P path "/detail", transfers_detail, "volume:read", .since = from, .doc = "With all members." }, \
    { "POST", P path, create, "volume:write", .since = from, .status = 202, .doc = "Offers a volume." }, \
    { "GET", P path "/{id}", show, "volume:read", .since = from, .doc = "One transfer." }, \
    { "POST", P path "/{id}/accept", accept_, "volume:write", .since = from, .status = 202, .doc = "Takes it." }, \
    { "DELETE", P path "/{id}", delete_, "volume:write", .since = from, .status = 202, .doc = "Takes back the offer." }

static const struct route ROUTES[] = { ROUTES_OF("/os-volume-transfer", 0), ROUTES_OF("/volume-transfers", 55) };
VOLUME_PART(TRANSFERS_PART, ROUTES);
