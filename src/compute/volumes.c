/*
 * Volumes of servers: block device mappings at birth, os-volume_attachments, and what hosts say.
 *
 * The attachment is one record and the volume service keeps it; a server keeps of a volume only
 * what is compute's own: boot order, tag, device asked for, whether it goes with the server. A
 * volume is attached when the host has reported the disk, and detached when the host no longer
 * has it, so neither service can believe in a disk the other does not.
 */
#include "compute/actions.h"
#include "volume/volume.h"

#include <errno.h>
#include <stdio.h>

static struct bdm *bdm_of(const struct server *s, const char *volume_id)
{
    VEC_FOREACH(b, &s->bdms)
        if (str_eq(b->volume_id, volume_id))
            return b;
    return NULL;
}

static bool has_volumes(const struct server *s)
{
    VEC_FOREACH(b, &s->bdms)
        if (b->volume_id)
            return true;
    return false;
}

static struct attachment_view *view_of(const struct attachment_views *l, const char *volume_id)
{
    VEC_FOREACH(v, l)
        if (str_eq(v->volume_id, volume_id))
            return v;
    return NULL;
}

/* "/dev/vdb": the first letter that no other disk of the server has or asks for. */
static const char *free_device(struct arena *a, const struct server *s, size_t skip)
{
    for (int letter = 'a' + (int)skip; letter <= 'z'; letter++) {
        const char *name = arena_printf(a, "/dev/vd%c", letter);
        bool taken = str_eq(s->root_device_name, name);
        VEC_FOREACH(b, &s->bdms)
            taken = taken || str_eq(b->device_name, name);
        if (name && !taken)
            return name;
    }
    return NULL;
}

/* How many local disks come before the volumes. */
static size_t local_disks(const struct server *s)
{
    bool from_volume = false;
    VEC_FOREACH(b, &s->bdms)
        from_volume = from_volume || (b->boot_index == 0 && str_eq(b->destination_type, "volume"));
    return (from_volume ? 0 : 1) + (s->flavor && s->flavor->ephemeral ? 1 : 0) + (s->flavor && s->flavor->swap ? 1 : 0);
}

/* ---- at birth ---- */

static int make_volume(struct call *c, struct server *s, struct bdm *b)
{
    struct volume_wish w = { .project_id = s->project_id, .user_id = s->user_id, .admin = call_is_admin(c), .name = "",
                             .type = b->volume_type, .zone = s->availability_zone, .size = b->volume_size,
                             .image_id = str_eq(b->source_type, "image") ? b->uuid : NULL,
                             .snapshot_id = str_eq(b->source_type, "snapshot") ? b->uuid : NULL };
    int r = volume_make(c, &w, &b->volume_id, &c->fault);
    if (r == FAULT && c->fault.status == 404)
        c->fault.status = 400;
    if (r == FAULT && (c->fault.status == 413 || c->fault.status == 429))
        c->fault.status = 403;
    return r;
}

static int take_volume(struct call *c, struct server *s, struct bdm *b)
{
    bool made = b->volume_id == NULL;
    int r = made ? make_volume(c, s, b) : 0;
    if (r)
        return r;
    if (!made) {
        struct volume_info *v;
        struct fault fault = { 0 };
        r = volume_info(c->txn, s->project_id, call_is_admin(c), b->volume_id, &v, &fault);
        if (r == FAULT)
            return call_fault(c, 400, "InvalidBDMVolume", "Block Device Mapping is Invalid: failed to get volume %s.",
                              b->volume_id);
        if (r < 0)
            return r;
        if (b->boot_index == 0 && !v->bootable)
            return call_fault(c, 400, "InvalidBDMVolumeNotBootable", "Block Device %s is not bootable.", b->volume_id);
        if (v->multiattach && c->minor < 60 && str_eq(v->status, "in-use"))
            return call_fault(c, 400, "MultiattachNotSupportedOldMicroversion", "Multiattach volumes are only "
                              "supported starting with compute API version 2.60.");
    }
    if (!b->device_name)
        b->device_name = free_device(c->arena, s, b->boot_index == 0 ? 0 : local_disks(s));
    struct attach_wish w = { .volume_id = b->volume_id, .server_id = s->head.id, .project_id = s->project_id,
                             .admin = call_is_admin(c), .device = b->device_name, .new_volume = made, .boot = true };
    const char *attachment_id;
    r = volume_attach_begin(c->txn, &w, &attachment_id, &c->fault);
    if (r == FAULT && c->fault.status == 404)
        c->fault.status = 400;
    return r;
}

int volumes_take(struct call *c, struct server *s)
{
    VEC_FOREACH(b, &s->bdms) {
        if (!str_eq(b->destination_type, "volume"))
            continue;
        int r = take_volume(c, s, b);
        if (r)
            return r;
        if (b->boot_index == 0)
            s->root_device_name = b->device_name;
    }
    return 0;
}

/* ---- life ---- */

int volumes_release(struct txn *t, struct server *s)
{
    int r = 0;
    VEC_FOREACH(b, &s->bdms)
        if (b->volume_id && r == 0)
            r = volume_detached(t, s->head.id, b->volume_id, b->delete_on_termination);
    return error_trace(r);
}

int volumes_moved(struct txn *t, const struct server *s, const char *host)
{
    return has_volumes(s) ? error_trace(volume_server_moved(t, s->head.id, host)) : 0;
}

int volumes_place(struct txn *t, const struct server *s, const char **ret_host)
{
    *ret_host = NULL;
    return has_volumes(s) ? error_trace(volume_server_place(t, s->head.id, ret_host)) : 0;
}

int volumes_disks(struct txn *t, const struct server *s, struct server_spec *spec, bool *ret_ready)
{
    struct attachment_views l = { 0 };
    *ret_ready = true;
    if (!has_volumes(s))
        return 0;
    int r = volume_attachments_of(t, s->head.id, &l);
    if (r < 0)
        return error_trace(r);
    VEC_FOREACH(b, &s->bdms) {
        const struct attachment_view *v = b->volume_id ? view_of(&l, b->volume_id) : NULL;
        if (!b->volume_id)
            continue;
        if (!v || !v->source) {
            *ret_ready = false;
            continue;
        }
        if (str_eq(v->status, "detaching"))
            continue;
        struct server_disk *d = vec_add(txn_arena(t), &spec->disks);
        if (!d)
            return -ENOMEM;
        const char *device = b->device_name ? b->device_name : v->device;
        if (str_starts(device, "/dev/"))
            device += strlen("/dev/");
        *d = (struct server_disk){ .id = b->volume_id, .kind = DISK_VOLUME, .device = device, .bus = b->disk_bus,
                                   .device_type = b->device_type, .boot_index = b->boot_index,
                                   .source = (struct disk_source *)(uintptr_t)v->source, .read_only = v->read_only,
                                   .multiattach = v->multiattach, .serial = b->volume_id, .tag = b->tag,
                                   .qos = v->qos };
    }
    return 0;
}

int volumes_broken(struct txn *t, const struct server *s, const char **ret_id)
{
    struct attachment_views l = { 0 };
    *ret_id = NULL;
    if (!has_volumes(s))
        return 0;
    int r = volume_attachments_of(t, s->head.id, &l);
    VEC_FOREACH(v, &l)
        if (r == 0 && !v->source && str_starts(str_or(v->volume_status, ""), "error"))
            *ret_id = v->volume_id;
    return error_trace(r);
}

/* ---- what hosts say ---- */

static const struct observed_disk *disk_seen(const struct server_observed *o, const char *volume_id)
{
    VEC_FOREACH(d, &o->disks)
        if (str_eq(d->id, volume_id))
            return d;
    return NULL;
}

/* What the report means for this volume: 1 it is in now, -1 it is out now, 0 no news. */
static int news_of(const struct server *s, const struct attachment_view *v, const struct server_observed *o)
{
    bool in = disk_seen(o, v->volume_id) != NULL;
    if (str_eq(v->status, "detaching"))
        return !in && o->revision >= s->generation && !str_eq(o->power, POWER_ABSENT) ? -1 : 0;
    /* The host says why it can't plug it in: as in Nova the volume is free again. */
    if (!in && str_eq(v->status, "attaching") && o->fault_code && o->revision >= s->generation)
        return -1;
    return in && !str_eq(v->status, "attached") ? 1 : 0;
}

int volumes_news(struct txn *t, const struct server *s, const struct server_observed *o, bool *ret_news)
{
    struct attachment_views l = { 0 };
    *ret_news = false;
    if (!has_volumes(s))
        return 0;
    int r = volume_attachments_of(t, s->head.id, &l);
    VEC_FOREACH(v, &l)
        if (r == 0 && news_of(s, v, o))
            *ret_news = true;
    return error_trace(r);
}

static void forget_volume(struct server *s, const char *volume_id)
{
    for (size_t i = 0; i < s->bdms.n; i++)
        if (str_eq(s->bdms.v[i].volume_id, volume_id)) {
            vec_remove(&s->bdms, i);
            return;
        }
}

int volumes_judge(struct txn *t, struct server *s, const struct server_observed *o, bool *ret_changed)
{
    struct attachment_views l = { 0 };
    if (!has_volumes(s))
        return 0;
    int r = volume_attachments_of(t, s->head.id, &l);
    VEC_FOREACH(v, &l) {
        int news = r == 0 ? news_of(s, v, o) : 0;
        if (news > 0) {
            const struct observed_disk *d = disk_seen(o, v->volume_id);
            const char *device = d->device ? arena_printf(txn_arena(t), "/dev/%s", d->device) : v->device;
            bool changed;
            r = volume_attached(t, s->head.id, v->volume_id, s->host, device, &changed);
            struct bdm *b = bdm_of(s, v->volume_id);
            if (b && device)
                b->device_name = device;
            *ret_changed = true;
        } else if (news < 0) {
            r = volume_detached(t, s->head.id, v->volume_id, false);
            forget_volume(s, v->volume_id);
            *ret_changed = true;
        }
    }
    return error_trace(r);
}

/* ---- the API ---- */

static void render(struct call *c, const struct server *s, const struct bdm *b, const char *attachment_id)
{
    struct json_out *o = &c->out;
    json_open_object(o);
    if (c->minor < 89)
        json_put_string(o, "id", b->volume_id);
    json_put_string(o, "volumeId", b->volume_id);
    json_put_string(o, "serverId", s->head.id);
    json_put_string(o, "device", b->device_name);
    if (c->minor >= 70)
        json_put_string(o, "tag", b->tag);
    if (c->minor >= 79)
        json_put_bool(o, "delete_on_termination", b->delete_on_termination);
    if (c->minor >= 89) {
        json_put_string(o, "attachment_id", attachment_id);
        json_put_string(o, "bdm_uuid", attachment_id);
    }
    json_close_object(o);
}

static int list(struct call *c)
{
    static const char *const ARGS[] = { "limit", "offset", NULL };
    struct server *s;
    struct attachment_views l = { 0 };
    int64_t limit, offset;
    int r = compute_known_args(c, 75, ARGS);
    r = r ? r : call_arg_int(c, "limit", 0, 1000, 1000, &limit);
    r = r ? r : call_arg_int(c, "offset", 0, 1000000, 0, &offset);
    r = r ? r : server_get(c, call_param(c, "id"), "os_compute_api:os-volumes-attachments:index", &s);
    if (!r && has_volumes(s))
        r = volume_attachments_of(c->txn, s->head.id, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "volumeAttachments");
    VEC_FOREACH(b, &s->bdms) {
        if (!b->volume_id || offset-- > 0 || limit-- <= 0)
            continue;
        const struct attachment_view *v = view_of(&l, b->volume_id);
        render(c, s, b, v ? v->id : NULL);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int not_attached(struct call *c, const struct server *s, const char *volume_id)
{
    return call_fault(c, 404, "VolumeNotFound", "Instance %s is not attached to volume %s", s->head.id, volume_id);
}

static int show(struct call *c)
{
    struct server *s;
    struct attachment_views l = { 0 };
    int r = server_get(c, call_param(c, "id"), "os_compute_api:os-volumes-attachments:show", &s);
    if (r)
        return r;
    const struct bdm *b = bdm_of(s, call_param(c, "volume"));
    if (!b)
        return not_attached(c, s, call_param(c, "volume"));
    r = volume_attachments_of(c->txn, s->head.id, &l);
    if (r < 0)
        return r;
    const struct attachment_view *v = view_of(&l, b->volume_id);
    json_open_object(&c->out);
    json_key(&c->out, "volumeAttachment");
    render(c, s, b, v ? v->id : NULL);
    json_close_object(&c->out);
    return 0;
}

static const char *check_device(const char *s)
{
    const char *rest = str_starts(s, "/dev/") ? s + strlen("/dev/") : NULL;
    size_t letters = rest ? strspn(rest, "abcdefghijklmnopqrstuvwxyz") : 0;
    return letters && rest[letters + strspn(rest + letters, "0123456789")] == 0 ? NULL :
           "does not match '(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$'";
}
struct attach_in { const char *volume, *device, *tag, *server, *attachment; bool remove; };
#define A(key, member, kind_, flags_, ...) \
    { key, kind_, offsetof(struct attach_in, member), (flags_), ##__VA_ARGS__, .doc = key }
static const struct field ATTACH_ROWS[] = {
    A("volumeId", volume, FIELD_STRING, IN_CREATE | REQUIRED, .check = check_uuid),
    A("device", device, FIELD_STRING, IN_CREATE | NULLABLE, .check = check_device),
    A("tag", tag, FIELD_STRING, IN_CREATE, .min = 1, .max = 60, .check = check_tag, .since = 49),
    A("delete_on_termination", remove, FIELD_BOOL, IN_CREATE | LOOSE, .since = 79),
};
static SCHEMA(ATTACH_SCHEMA, struct attach_in, ATTACH_ROWS);
static const struct field UPDATE_ROWS[] = {
    A("volumeId", volume, FIELD_STRING, IN_CREATE | REQUIRED, .check = check_uuid),
    A("device", device, FIELD_STRING, IN_CREATE | NULLABLE, .check = check_device, .since = 85),
    A("tag", tag, FIELD_STRING, IN_CREATE | NULLABLE, .max = 60, .since = 85),
    A("delete_on_termination", remove, FIELD_BOOL, IN_CREATE | LOOSE, .since = 85),
    A("serverId", server, FIELD_STRING, IN_CREATE, .check = check_uuid, .since = 85),
    A("id", attachment, FIELD_STRING, IN_CREATE, .check = check_uuid, .since = 85),
};
static SCHEMA(UPDATE_SCHEMA, struct attach_in, UPDATE_ROWS);

#define VOLUME_STATES (IN_ACTIVE | IN_PAUSED | IN_STOPPED | IN_RESIZED | IN_SOFT_DELETED | IN_SHELVED | IN_OFFLOADED)

static int attach_write(struct call *c)
{
    const struct attach_in *in = c->in;
    struct server *s;
    struct volume_info *v;
    int r = server_get_unlocked(c, call_param(c, "id"), "os_compute_api:os-volumes-attachments:create", &s);
    if (r)
        return r;
    bool shelved = STREQ(s->vm_state, VM_SHELVED) || STREQ(s->vm_state, VM_SHELVED_OFFLOADED);
    if (shelved && c->minor < 20)
        return action_wrong_state(c, s, "attach_volume", "vm_state", s->vm_state);
    r = action_state(c, s, VOLUME_STATES, 0, "attach_volume");
    r = r ? r : volume_info(c->txn, s->project_id, call_is_admin(c), in->volume, &v, &c->fault);
    if (r)
        return r;
    if (bdm_of(s, in->volume))
        return call_fault(c, 400, "InvalidVolume", "Invalid volume: volume %s already attached", in->volume);
    if (v->multiattach && c->minor < 60)
        return call_fault(c, 400, "MultiattachNotSupportedOldMicroversion", "Multiattach volumes are only supported "
                          "starting with compute API version 2.60.");
    VEC_FOREACH(b, &s->bdms)
        if (in->device && str_eq(b->device_name, in->device))
            return call_fault(c, 409, "DevicePathInUse", "The supplied device path (%s) is in use.", in->device);
    struct bdm b = { .source_type = "volume", .destination_type = "volume", .uuid = in->volume,
                     .volume_id = in->volume, .boot_index = -1, .tag = in->tag, .device_name = in->device,
                     .delete_on_termination = in->remove };
    if (!b.device_name)
        b.device_name = free_device(c->arena, s, local_disks(s));
    struct attach_wish w = { .volume_id = in->volume, .server_id = s->head.id, .project_id = s->project_id,
                             .admin = call_is_admin(c), .host = s->host, .device = b.device_name };
    const char *attachment_id;
    r = action_begin_call(c, s, "attach_volume");
    r = r ? r : volume_attach_begin(c->txn, &w, &attachment_id, &c->fault);
    if (r)
        return r;
    if (!vec_push(c->arena, &s->bdms, b))
        return -ENOMEM;
    /* No host will tell of it while the server has none: it is attached by being promised. */
    bool changed;
    if (str_empty(s->host))
        r = volume_attached(c->txn, s->head.id, in->volume, "", b.device_name, &changed);
    server_order(s);
    r = r ? r : action_end(c->txn, s, NULL);
    r = r ? r : server_put(c->txn, s);
    json_open_object(&c->out);
    json_put_object(&c->out, "volumeAttachment");
    json_put_string(&c->out, "id", b.volume_id);
    json_put_string(&c->out, "serverId", s->head.id);
    json_put_string(&c->out, "volumeId", b.volume_id);
    json_put_string(&c->out, "device", b.device_name);
    if (c->minor >= 70)
        json_put_string(&c->out, "tag", b.tag);
    if (c->minor >= 79)
        json_put_bool(&c->out, "delete_on_termination", b.delete_on_termination);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

static int attach(struct call *c)
{
    return call_write(c, attach_write);
}

static int detach_write(struct call *c)
{
    struct server *s;
    const char *id = call_param(c, "volume");
    int r = server_get_unlocked(c, call_param(c, "id"), "os_compute_api:os-volumes-attachments:delete", &s);
    if (r)
        return r;
    if ((STREQ(s->vm_state, VM_SHELVED) || STREQ(s->vm_state, VM_SHELVED_OFFLOADED)) && c->minor < 20)
        return action_wrong_state(c, s, "detach_volume", "vm_state", s->vm_state);
    const struct bdm *b = bdm_of(s, id);
    if (!b)
        return not_attached(c, s, id);
    if (b->boot_index == 0)
        return call_fault(c, 403, "Forbidden", "Cannot detach a root device volume");
    r = action_state(c, s, VOLUME_STATES | IN_SUSPENDED, 0, "detach_volume");
    r = r ? r : action_begin_call(c, s, "detach_volume");
    r = r ? r : volume_detach_begin(c->txn, s->head.id, id, &c->fault);
    if (r)
        return r;
    if (str_empty(s->host)) {
        r = volume_detached(c->txn, s->head.id, id, false);
        forget_volume(s, id);
    }
    server_order(s);
    r = r ? r : action_end(c->txn, s, NULL);
    return r ? r : server_put(c->txn, s);
}

static int detach(struct call *c)
{
    return call_write(c, detach_write);
}

static int update_write(struct call *c)
{
    const struct attach_in *in = c->in;
    struct server *s;
    const char *id = call_param(c, "volume");
    int r = server_get_unlocked(c, call_param(c, "id"), c->minor >= 85 && STREQ(in->volume, id) ?
                                "os_compute_api:os-volumes-attachments:update" :
                                "os_compute_api:os-volumes-attachments:swap", &s);
    if (r)
        return r;
    struct bdm *b = bdm_of(s, id);
    if (!b)
        return not_attached(c, s, id);
    if (!STREQ(in->volume, id)) {
        struct volume_info *from, *to;
        r = volume_info(c->txn, s->project_id, call_is_admin(c), in->volume, &to, &c->fault);
        r = r ? r : volume_info(c->txn, s->project_id, call_is_admin(c), id, &from, &c->fault);
        if (r)
            return r;
        if (from->multiattach)
            return call_fault(c, 400, "MultiattachSwapVolumeNotSupported", "Swapping multi-attach volumes with more "
                              "than one read/write attachment is not supported.");
        return call_fault(c, 501, "NotImplemented", "Volumes can't be swapped.");
    }
    if ((in->device && !str_eq(in->device, b->device_name)) || (in->tag && !str_eq(in->tag, b->tag)) ||
        (in->server && !STREQ(in->server, s->head.id)))
        return call_fault(c, 400, "BadRequest", "Only delete_on_termination can be changed.");
    if (GIVEN(&c->given, &UPDATE_SCHEMA, struct attach_in, remove))
        b->delete_on_termination = in->remove;
    return server_put(c->txn, s);
}

static int update(struct call *c)
{
    return call_write(c, update_write);
}

#define P "/v2.1/servers/{id}/os-volume_attachments"
static const struct route VOLUME_ROUTES[] = {
    { "GET", P, list, NULL, 0, .doc = "Volumes of a server." },
    { "POST", P, attach, NULL, .wrap = "volumeAttachment", .body = &ATTACH_SCHEMA, .mode = DECODE_CREATE,
      .doc = "Attaches a volume." },
    { "GET", P "/{volume}", show, NULL, 0, .doc = "One attachment." },
    { "PUT", P "/{volume}", update, NULL, .status = 202, .wrap = "volumeAttachment", .body = &UPDATE_SCHEMA,
      .mode = DECODE_CREATE, .doc = "Whether the volume goes with the server." },
    { "DELETE", P "/{volume}", detach, NULL, .status = 202, .doc = "Detaches a volume." },
};
static const struct policy_rule VOLUME_RULES[] = {
    { "os_compute_api:os-volumes-attachments:index", RULE_READER, "List volumes of a server." },
    { "os_compute_api:os-volumes-attachments:show", RULE_READER, "Show a volume of a server." },
    { "os_compute_api:os-volumes-attachments:create", RULE_MEMBER, "Attach a volume." },
    { "os_compute_api:os-volumes-attachments:update", RULE_MEMBER, "Change an attachment." },
    { "os_compute_api:os-volumes-attachments:swap", RULE_ADMIN, "Swap a volume." },
    { "os_compute_api:os-volumes-attachments:delete", RULE_MEMBER, "Detach a volume." },
};
COMPUTE_PART(VOLUME_PART, VOLUME_ROUTES, VOLUME_RULES);
