/*
 * What hosts are told of volumes and what they tell.
 *
 * The list is computed from the store each time. A report is judged by what it is about: the state
 * that the item waits in, and the revision that it answers; repeated and late ones change nothing.
 */
#include "volume/internal.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

LOG_MODULE("volume.section");

#define GIB(n) ((int64_t)(n) << 30)

/* ---- told ---- */

static bool in_the_making(const struct volume *v)
{
    return !v->made && (str_eq(v->status, "creating") || str_eq(v->status, "downloading"));
}

static int name_of_volume(struct txn *t, const char *id, const char **ret)
{
    struct volume *v;
    int r = id ? txn_get(t, &VOLUME_KIND, id, &v) : 0;
    *ret = r == 0 && id && v ? volume_name(v) : id;
    return r;
}

/* 'attached': all attachments on the host; one query for all volumes. */
static int put_volume(struct txn *t, const struct results *attached, const struct volume *v, struct json_out *o)
{
    const struct encode_options opt = { .stored = true };
    struct volume_spec s = { .id = volume_name(v), .kind = ITEM_VOLUME, .revision = v->generation, .deleted = v->deleting,
                             .size_bytes = GIB(v->size), .disk_id = v->head.id,
                             .made = !in_the_making(v) };
    int r = 0;
    if (str_eq(v->status, "error") && !v->deleting)
        return 0;                   /* what was not made is not tried for ever */
    if (in_the_making(v)) {
        if (v->snapshot_id) {
            struct snapshot *of;
            s.origin = ORIGIN_OF_SNAPSHOT;
            r = txn_get(t, &VSNAPSHOT_KIND, v->snapshot_id, &of);
            s.origin_id = r == 0 && of ? snapshot_name(of) : v->snapshot_id;
        } else if (v->source_volid) {
            s.origin = ORIGIN_OF_VOLUME;
            r = name_of_volume(t, v->source_volid, &s.origin_id);
        } else if (v->image) {
            s.origin = ORIGIN_OF_IMAGE;
            s.image = v->image;
        }
    }
    if (r < 0)
        return r;
    for (size_t i = 0; i < attached->n; i++) {
        const struct attachment *a = attached->v[i];
        if (a->compute && str_eq(a->volume_id, v->head.id) && !strv_add(txn_arena(t), &s.servers, a->server_id))
            return -ENOMEM;
    }
    schema_encode(&VOLUME_SPEC_SCHEMA, &s, &opt, o);
    return 0;
}

static int put_snapshot(struct txn *t, const struct snapshot *sn, struct json_out *o)
{
    const struct encode_options opt = { .stored = true };
    struct volume_spec s = { .id = snapshot_name(sn), .kind = ITEM_SNAPSHOT, .revision = 1, .deleted = sn->deleting };
    if (!sn->deleting && (sn->made || !str_eq(sn->status, "creating")))
        return 0;
    int r = name_of_volume(t, sn->volume_id, &s.volume_id);
    if (r == 0)
        schema_encode(&VOLUME_SPEC_SCHEMA, &s, &opt, o);
    return r;
}

static int put_backup(struct txn *t, const struct backup *b, struct json_out *o)
{
    const struct encode_options opt = { .stored = true };
    struct volume_spec s = { .id = backup_name(b), .kind = ITEM_BACKUP, .revision = 1, .deleted = b->deleting };
    if (!b->deleting && (b->made || !str_eq(b->status, "creating")))
        return 0;
    int r = name_of_volume(t, b->volume_id, &s.volume_id);
    if (r == 0 && b->snapshot_id) {
        struct snapshot *sn;
        r = txn_get(t, &VSNAPSHOT_KIND, b->snapshot_id, &sn);
        s.origin_id = r == 0 && sn ? snapshot_name(sn) : b->snapshot_id;
    }
    if (r == 0)
        schema_encode(&VOLUME_SPEC_SCHEMA, &s, &opt, o);
    return r;
}

static int put_errand(struct txn *t, const struct errand *e, struct json_out *o)
{
    const struct encode_options opt = { .stored = true };
    struct volume_spec s = { .id = e->head.id, .kind = e->kind, .revision = 1, .format = e->format };
    int r = name_of_volume(t, e->volume_id, &s.volume_id);
    if (r == 0 && STREQ(e->kind, ITEM_UPLOAD)) {
        s.image_id = e->other_id;
    } else if (r == 0 && STREQ(e->kind, ITEM_RESTORE)) {
        struct backup *b;
        r = txn_get(t, &BACKUP_KIND, e->other_id, &b);
        s.origin_id = r == 0 && b ? backup_name(b) : e->other_id;
        s.hash = r == 0 && b ? b->hash : NULL;
    } else if (r == 0) {
        struct snapshot *sn;
        r = txn_get(t, &VSNAPSHOT_KIND, e->other_id, &sn);
        s.origin_id = r == 0 && sn ? snapshot_name(sn) : e->other_id;
    }
    if (r == 0)
        schema_encode(&VOLUME_SPEC_SCHEMA, &s, &opt, o);
    return r;
}

static int desired(struct api *api, struct txn *t, const char *host, struct json_out *o)
{
    struct results volumes, attached, l;
    (void)api;
    int r = list_by(t, &VOLUME_KIND, "host", host, &volumes);
    r = r ? r : list_by(t, &ATTACHMENT_KIND, "host", host, &attached);
    if (r < 0)
        return r;
    json_open_array(o);
    for (size_t i = 0; i < volumes.n && r == 0; i++)
        r = put_volume(t, &attached, volumes.v[i], o);
    r = r ? r : list_by(t, &VSNAPSHOT_KIND, "host", host, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = put_snapshot(t, l.v[i], o);
    r = r ? r : list_by(t, &BACKUP_KIND, "host", host, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = put_backup(t, l.v[i], o);
    r = r ? r : list_by(t, &ERRAND_KIND, "host", host, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = put_errand(t, l.v[i], o);
    json_close_array(o);
    return r;
}

/* ---- heard ---- */

struct report {
    const char *host;
    struct volume_observed *v;
    size_t n, cap;
    bool dry, meant;
};

static bool is(const struct volume_observed *o, const char *state)
{
    return str_eq(o->state, state);
}

static int note(struct txn *t, const char *project_id, const char *type, const char *id, const char *event,
                const struct volume_observed *o)
{
    log_warning("the host could not carry it out", KV("kind", type), KV("id", id), KV("reason", o->fault_message));
    return message_add(t, project_id, NULL, type, id, event, str_or(o->fault_message, "The host failed."));
}

/* A snapshot, backup or server may wait for it: those that hold it are told by their own records. */
static int wake_attachments(struct txn *t, const struct volume *v)
{
    struct results l;
    int r = list_by(t, &ATTACHMENT_KIND, "volume_id", v->head.id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = txn_put(t, &ATTACHMENT_KIND, l.v[i]);
    return r;
}

static int volume_made(struct txn *t, struct volume *v, const struct volume_observed *o)
{
    v->status = "available";
    v->made = true;
    v->image = NULL;
    v->source = o->source;
    v->launched_at = clock_wall();
    int r = volume_settle(t, v);
    r = r ? r : wake_attachments(t, v);
    return r ? r : volume_put(t, v);
}

static int judge_volume(struct report *rep, struct txn *t, struct volume *v, const struct volume_observed *o)
{
    if (v->deleting) {
        if (is(o, ITEM_READY) || o->revision < v->generation)
            return 0;
        rep->meant = true;
        if (rep->dry)
            return 0;
        if (is(o, ITEM_GONE))
            return volume_remove(t, v);
        v->status = "error_deleting";
        v->deleting = false;
        int r = note(t, v->project_id, "VOLUME", v->head.id, "VOLUME_VOLUME_004_009", o);
        return r ? r : volume_put(t, v);
    }
    if (o->revision < v->generation || is(o, ITEM_GONE))
        return 0;
    bool moved = is(o, ITEM_READY) && o->source &&
                 (!v->source || !schema_equal(&DISK_SOURCE_SCHEMA, v->source, o->source));
    bool making = in_the_making(v), extending = str_eq(v->status, "extending");
    if (!making && !extending && !moved)
        return 0;
    rep->meant = true;
    if (rep->dry)
        return 0;
    if (making && is(o, ITEM_READY))
        return volume_made(t, v, o);
    int r = 0;
    if (is(o, ITEM_FAILED)) {
        v->status = making ? "error" : extending ? "error_extending" : v->status;
        r = note(t, v->project_id, "VOLUME", v->head.id, making ? "VOLUME_VOLUME_002_003" : "VOLUME_VOLUME_007_003", o);
    } else {
        v->source = o->source;
        if (extending) {
            v->status = "available";
            r = volume_settle(t, v);
        }
        r = r ? r : wake_attachments(t, v);
    }
    return r ? r : volume_put(t, v);
}

static int judge_snapshot(struct report *rep, struct txn *t, struct snapshot *s, const struct volume_observed *o)
{
    bool going = s->deleting && !is(o, ITEM_READY);
    if (!going && !(str_eq(s->status, "creating") && !s->made && !s->deleting && !is(o, ITEM_GONE)))
        return 0;
    rep->meant = true;
    if (rep->dry)
        return 0;
    int r = 0;
    if (going && is(o, ITEM_GONE))
        return txn_delete(t, &VSNAPSHOT_KIND, s->head.id);
    if (is(o, ITEM_FAILED)) {
        s->status = going ? "error_deleting" : "error";
        s->deleting = false;
        r = note(t, s->project_id, "VOLUME_SNAPSHOT", s->head.id, "VOLUME_VOLUME_SNAPSHOT_009_003", o);
    } else {
        s->made = true;
        s->status = "available";
    }
    return r ? r : vsnapshot_put(t, s);
}

static int judge_backup(struct report *rep, struct txn *t, struct backup *b, const struct volume_observed *o)
{
    bool going = b->deleting && !is(o, ITEM_READY);
    if (!going && !(str_eq(b->status, "creating") && !b->made && !b->deleting && !is(o, ITEM_GONE)))
        return 0;
    rep->meant = true;
    if (rep->dry)
        return 0;
    if (going && is(o, ITEM_GONE))
        return txn_delete(t, &BACKUP_KIND, b->head.id);
    int r = 0;
    struct volume *v;
    if (is(o, ITEM_FAILED)) {
        b->status = going ? "error_deleting" : "error";
        b->fail_reason = o->fault_message;
        b->deleting = false;
        r = note(t, b->project_id, "VOLUME_BACKUP", b->head.id, "VOLUME_VOLUME_BACKUP_013_003", o);
    } else {
        b->made = true;
        b->status = "available";
        b->hash = o->hash;
        b->object_count = 1;
    }
    r = r ? r : going ? 0 : txn_get(t, &VOLUME_KIND, b->volume_id, &v);
    if (r == 0 && !going && v && str_eq(v->status, "backing-up")) {
        v->status = "available";
        r = volume_settle(t, v);
        r = r ? r : volume_put(t, v);
    }
    return r ? r : backup_put(t, b);
}

static int take_one(struct report *rep, struct txn *t, const struct volume_observed *o)
{
    struct volume *v = NULL;
    struct snapshot *s = NULL;
    struct backup *b = NULL;
    struct errand *e = NULL;
    int r = 0;
    if (str_eq(o->kind, ITEM_VOLUME)) {
        r = txn_get(t, &VOLUME_KIND, o->id, &v);
        if (r == 0 && (!v || v->name_id))
            r = txn_find_by(t, &VOLUME_KIND, "name_id", o->id, &v);
        return r || !v || !str_eq(v->host, rep->host) ? r : judge_volume(rep, t, v, o);
    }
    if (str_eq(o->kind, ITEM_SNAPSHOT)) {
        r = txn_get(t, &VSNAPSHOT_KIND, o->id, &s);
        if (r == 0 && (!s || s->name_id))
            r = txn_find_by(t, &VSNAPSHOT_KIND, "name_id", o->id, &s);
        return r || !s || !str_eq(s->host, rep->host) ? r : judge_snapshot(rep, t, s, o);
    }
    if (str_eq(o->kind, ITEM_BACKUP)) {
        r = txn_get(t, &BACKUP_KIND, o->id, &b);
        if (r == 0 && !b)
            r = txn_find_by(t, &BACKUP_KIND, "file_id", o->id, &b);
        return r || !b || !str_eq(b->host, rep->host) ? r : judge_backup(rep, t, b, o);
    }
    r = txn_get(t, &ERRAND_KIND, o->id, &e);
    if (r || !e || !str_eq(e->host, rep->host) || is(o, ITEM_GONE))
        return r;
    rep->meant = true;
    return rep->dry ? 0 : errand_end(t, e, o);
}

static int take_all(struct txn *t, void *arg)
{
    struct report *rep = arg;
    int r = 0;
    for (size_t i = 0; i < rep->n && r == 0; i++)
        r = take_one(rep, t, &rep->v[i]);
    return r;
}

static int observed(struct api *api, struct arena *a, const char *host, const json_t *value)
{
    struct report rep = { .host = host, .dry = true };
    VEC_OF(struct volume_observed) list = { 0 };
    struct decode_error e;
    size_t i;
    json_t *item;
    if (!json_is_array(value))
        return -EBADMSG;
    json_array_foreach(value, i, item) {
        struct volume_observed *o = vec_add(a, &list);
        int r = o ? schema_decode(&VOLUME_OBSERVED_SCHEMA, item, DECODE_STORED, 0, a, o, NULL, &e) : -ENOMEM;
        if (r || !o->id || !o->kind)
            return r < 0 ? r : -EBADMSG;
    }
    rep.v = list.v;
    rep.n = list.n;
    struct txn *t;
    int r = store_read(api_store(api), a, &t);
    if (r < 0)
        return r;
    r = take_all(t, &rep);
    txn_done(t);
    rep.dry = false;
    return r < 0 || !rep.meant ? r : store_write(api_store(api), a, take_all, &rep);
}

static const struct kind *const KINDS[] = { &VOLUME_KIND, &VSNAPSHOT_KIND, &BACKUP_KIND, &ERRAND_KIND, &ATTACHMENT_KIND,
                                            NULL };
const struct agent_section VOLUMES_SECTION = { .name = "volumes", .kinds = KINDS, .desired = desired,
                                               .observed = observed };

/* ---- backends ---- */

struct backend_report {
    const char *host;
    struct volume_backend_facts *v;
    size_t n;
};

static int backends_write(struct txn *t, void *arg)
{
    struct backend_report *rep = arg;
    int r = 0;
    for (size_t i = 0; i < rep->n && r == 0; i++) {
        struct backend *b;
        const char *id = arena_printf(txn_arena(t), "%s@%s", rep->host, str_or(rep->v[i].name, "local"));
        r = id ? txn_get(t, &BACKEND_KIND, id, &b) : -ENOMEM;
        if (r == 0 && !b) {
            b = ARENA_NEW(txn_arena(t), struct backend);
            if (!b)
                return -ENOMEM;
            *b = (struct backend){ .head.id = id, .host = rep->host, .created_at = clock_wall() };
        }
        if (r == 0) {
            b->facts = &rep->v[i];
            b->updated_at = clock_wall();
            r = txn_put(t, &BACKEND_KIND, b);
        }
    }
    return r;
}

static int backends_observed(struct api *api, struct arena *a, const char *host, const json_t *value)
{
    VEC_OF(struct volume_backend_facts) list = { 0 };
    struct decode_error e;
    size_t i;
    json_t *item;
    if (!json_is_array(value))
        return -EBADMSG;
    json_array_foreach(value, i, item) {
        struct volume_backend_facts *f = vec_add(a, &list);
        int r = f ? schema_decode(&VOLUME_BACKEND_SCHEMA, item, DECODE_STORED, 0, a, f, NULL, &e) : -ENOMEM;
        if (r)
            return r < 0 ? r : -EBADMSG;
        if (!f->name)
            f->name = "local";
    }
    struct backend_report rep = { host, list.v, list.n };
    return store_write(api_store(api), a, backends_write, &rep);
}

const struct agent_section BACKENDS_SECTION = { .name = "volume_backends", .observed = backends_observed };

bool backend_up(const struct backend *b)
{
    return clock_wall() - b->updated_at < BACKEND_DOWN_AFTER;
}

/* Thin: more may be promised than there is, but not once the disk is nearly full. */
#define OVERSUBSCRIBED 20
#define KEPT_FREE_PERCENT 5

/* Extra specs without a scope, or of the scope "capabilities", are asked of the backend. */
static bool capable(const struct volume_backend_facts *f, const struct volume_type *type)
{
    const struct { const char *key, *value; } HAS[] = {
        { "volume_backend_name", f->name }, { "pool_name", f->name }, { "vendor_name", VENDOR },
        { "storage_protocol", f->protocol }, { "multiattach", "<is> True" }, { "QoS_support", "<is> True" },
        { "thin_provisioning_support", "<is> True" }, { "thick_provisioning_support", "<is> False" },
    };
    VEC_FOREACH(p, &type->extra_specs) {
        const char *key = str_starts(p->key, "capabilities:") ? p->key + strlen("capabilities:") : p->key;
        bool has = strchr(key, ':') != NULL || (STREQ(key, "multiattach") && strcasecmp(p->value, "<is> False") == 0);
        for (size_t i = 0; i < ARRAY_SIZE(HAS) && !has; i++)
            has = STREQ(key, HAS[i].key) && HAS[i].value && strcasecmp(p->value, HAS[i].value) == 0;
        if (!has)
            return false;
    }
    return true;
}

static bool takes(const struct backend *b, const struct volume_type *type, int64_t size)
{
    const struct volume_backend_facts *f = b->facts;
    if (b->disabled || b->frozen || !backend_up(b) || !f || (type && !capable(f, type)))
        return false;
    if (f->total_bytes <= 0)
        return true;
    return f->free_bytes > f->total_bytes / 100 * KEPT_FREE_PERCENT && size <= f->total_bytes >> 30 &&
           f->provisioned_bytes / OVERSUBSCRIBED + GIB(size) / OVERSUBSCRIBED <= f->total_bytes;
}

int backend_choose(struct txn *t, const struct volume_type *type, int64_t size, const char *host,
                   struct backend **ret)
{
    struct query q = { .kind = &BACKEND_KIND };
    struct results l;
    int r = txn_list(t, &q, &l);
    *ret = NULL;
    for (size_t i = 0; i < l.n && r == 0; i++) {
        struct backend *b = l.v[i];
        if ((!str_empty(host) && !str_eq(host, b->host)) || !takes(b, type, size))
            continue;
        if (!*ret || b->facts->free_bytes > (*ret)->facts->free_bytes)
            *ret = b;
    }
    return r;
}
