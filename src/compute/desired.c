/*
 * What a host is told of its servers.
 *
 * A spec is computed from the server, its ports and its legs each time; nothing of it is kept.
 * A server that is to vanish is told in a few words, whatever else it has.
 */
#include "compute/internal.h"

#include <errno.h>
#include <stdio.h>

static int add_nics(struct txn *t, const struct server *s, struct server_spec *spec)
{
    struct arena *a = txn_arena(t);
    struct port_views ports = { 0 };
    int r = network_ports_of(t, s->head.id, &ports);
    if (r < 0)
        return r;
    VEC_FOREACH(p, &ports) {
        struct server_nic *nic = vec_add(a, &spec->nics);
        if (!nic)
            return -ENOMEM;
        *nic = (struct server_nic){ .port_id = p->id, .network_id = p->network_id, .network_name = p->network_name,
                                    .mac = p->mac, .tap = p->device_name, .mtu = p->mtu, .tag = p->tag };
        VEC_FOREACH(n, &s->nics)
            if (str_eq(n->port_id, p->id) && n->tag)
                nic->tag = n->tag;
        VEC_FOREACH(ip, &p->addresses) {
            struct server_address *ad = vec_add(a, &nic->addresses);
            if (!ad)
                return -ENOMEM;
            const char *slash = ip->cidr ? strchr(ip->cidr, '/') : NULL;
            *ad = (struct server_address){ .address = ip->ip, .prefix = slash ? strtoll(slash + 1, NULL, 10) : 0,
                                           .version = ip->version, .subnet_id = ip->subnet_id,
                                           .gateway = ip->gateway, .dhcp = true, .dns = ip->dns };
        }
    }
    return 0;
}

static int add_disk(struct arena *a, struct server_spec *spec, struct server_disk d)
{
    return vec_push(a, &spec->disks, d) ? 0 : -ENOMEM;
}

static int add_disks(struct txn *t, const struct server *s, const struct flavor_copy *f, struct server_spec *spec,
                     bool *ret_ready)
{
    struct arena *a = txn_arena(t);
    bool from_volume = false;
    const struct bdm *image = NULL;
    int r = 0;
    VEC_FOREACH(b, &s->bdms) {
        from_volume = from_volume || (b->boot_index == 0 && str_eq(b->destination_type, "volume"));
        if (b->boot_index == 0 && str_eq(b->destination_type, "local"))
            image = b;
    }
    if (!from_volume && s->image)
        r = add_disk(a, spec, (struct server_disk){ .id = "root", .kind = DISK_ROOT, .boot_index = 0,
                     .size_bytes = f->disk << 30, .device = image ? image->device_name : NULL,
                     .bus = image ? image->disk_bus : NULL, .tag = image ? image->tag : NULL });
    /* Ephemeral disks and swap: those that were asked for, else one of the flavor's size. */
    int64_t n = 0;
    bool swap = false;
    VEC_FOREACH(b, &s->bdms) {
        if (r < 0 || !str_eq(b->source_type, "blank") || !str_eq(b->destination_type, "local"))
            continue;
        bool is_swap = str_eq(b->guest_format, "swap");
        swap = swap || is_swap;
        r = add_disk(a, spec, (struct server_disk){
            .id = is_swap ? "swap" : arena_printf(a, "ephemeral%lld", (long long)n), .boot_index = -1,
            .kind = is_swap ? DISK_SWAP : DISK_EPHEMERAL, .device = b->device_name, .bus = b->disk_bus,
            .size_bytes = is_swap ? (b->volume_size ? b->volume_size : f->swap) << 20 :
                                    (b->volume_size ? b->volume_size : f->ephemeral) << 30,
            .guest_format = is_swap ? "swap" : b->guest_format, .tag = b->tag });
        n += !is_swap;
    }
    if (r == 0 && n == 0 && f->ephemeral)
        r = add_disk(a, spec, (struct server_disk){ .id = "ephemeral0", .kind = DISK_EPHEMERAL, .boot_index = -1,
                     .size_bytes = f->ephemeral << 30 });
    if (r == 0 && !swap && f->swap)
        r = add_disk(a, spec, (struct server_disk){ .id = "swap", .kind = DISK_SWAP, .boot_index = -1,
                     .size_bytes = f->swap << 20, .guest_format = "swap" });
    r = r < 0 ? r : volumes_disks(t, s, spec, ret_ready);
    if (r == 0 && s->config_drive)
        r = add_disk(a, spec, (struct server_disk){ .id = "config", .kind = DISK_CONFIG, .boot_index = -1,
                     .read_only = true, .device_type = "cdrom" });
    return r;
}

static int add_snapshots(struct txn *t, const struct server *s, struct server_spec *spec)
{
    struct query q = { .kind = &SNAPSHOT_TASK_KIND };
    query_where(&q, txn_arena(t), "server_id", Q_EQ, s->head.id);
    struct results l;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const struct snapshot_task *task = l.v[i];
        struct server_snapshot *snapshot = vec_add(txn_arena(t), &spec->snapshots);
        if (!snapshot)
            return -ENOMEM;
        *snapshot = (struct server_snapshot){ .id = task->head.id, .disk_id = task->disk_id, .format = task->format,
                                              .image_id = task->image_id, .quiesce = task->quiesce };
    }
    return r;
}

static int add_migration(struct txn *t, const struct leg *leg, const char *role, struct server_spec *spec)
{
    struct migration *m;
    struct compute_host *dest;
    int r = leg->migration_id ? txn_get(t, &MIGRATION_KIND, leg->migration_id, &m) : 0;
    if (r < 0 || !leg->migration_id || !m)
        return r;
    r = txn_get(t, &COMPUTE_HOST_KIND, str_or(m->dest_compute, ""), &dest);
    if (r < 0)
        return r;
    spec->migration = ARENA_NEW(txn_arena(t), struct server_migration);
    if (!spec->migration)
        return -ENOMEM;
    *spec->migration = (struct server_migration){
        .id = m->head.id, .role = role, .source_host = m->source_compute, .dest_host = m->dest_compute,
        .kind = str_eq(m->migration_type, "live-migration") ? "live" : str_eq(m->migration_type, "resize") ? "resize" :
                str_eq(m->migration_type, "evacuation") ? "evacuate" : "cold",
        .dest_address = dest && dest->facts ? dest->facts->host_ip : NULL,
        .block = m->block, .force_complete = m->force_complete, .abort = m->abort,
    };
    return 0;
}

static struct server_spec vanish(const char *id, int64_t revision)
{
    return (struct server_spec){ .id = id, .revision = revision, .power = POWER_SHUTOFF, .deleted = true };
}

/* The server as 'flavor' makes it. *ret_ready: all its volumes are there. */
static int build(struct txn *t, const struct server *s, const struct flavor_copy *f, struct server_spec *ret,
                 bool *ret_ready)
{
    const char *groups = s->security_groups.n ? strv_join(txn_arena(t), &s->security_groups, ",") : "default";
    *ret = (struct server_spec){
        .id = s->head.id, .revision = s->generation, .name = s->display_name, .hostname = s->hostname,
        .project_id = s->project_id, .user_id = s->user_id, .project_name = s->project_name,
        .user_name = s->user_name, .availability_zone = str_or(s->availability_zone, "nova"),
        .reservation_id = s->reservation_id, .launch_index = s->launch_index, .created_at = s->created_at,
        .reboot_soft = s->reboot_soft, .reboot_hard = s->reboot_hard, .rebuild = s->rebuild,
        .password = s->password, .nmi = s->nmi, .resize = s->resize, .power = s->power, .rescue = s->rescue,
        .stop_timeout = INT_NULL, .vcpus = f->vcpus, .memory_mb = f->ram, .root_gb = f->disk,
        .ephemeral_gb = f->ephemeral, .swap_mb = f->swap, .flavor_id = f->flavorid, .flavor_name = f->name,
        .extra_specs = f->extra_specs, .image = s->image, .rescue_image = s->rescue_image,
        .rescue_password = s->rescue_password, .config_drive = s->config_drive, .user_data = s->user_data,
        .metadata = s->metadata, .tags = s->tags, .admin_password = s->admin_password,
        .security_groups = groups, .encrypted_password = s->encrypted_password,
    };
    VEC_FOREACH(k, &s->keys)
        if (!vec_push(txn_arena(t), &ret->keys, *k))
            return -ENOMEM;
    VEC_FOREACH(p, &s->personality)
        if (!vec_push(txn_arena(t), &ret->personality, *p))
            return -ENOMEM;
    int r = add_nics(t, s, ret);
    r = r < 0 ? r : add_disks(t, s, f, ret, ret_ready);
    return r < 0 ? r : add_snapshots(t, s, ret);
}

int server_spec_build(struct txn *t, const struct server *s, struct server_spec *ret)
{
    bool ready;
    return build(t, s, s->flavor, ret, &ready);
}

static int put_server(struct txn *t, const struct server *s, struct json_out *o)
{
    const struct encode_options opt = { .stored = true };
    struct server_spec spec;
    bool ready = true;
    int r = 0;
    if (s->deleting)
        spec = vanish(s->head.id, s->generation);
    else
        r = build(t, s, s->flavor, &spec, &ready);
    /* What is being made waits for all its volumes: one of them may be its root. */
    if (r == 0 && !ready && (str_eq(s->task_state, TASK_SPAWNING) || str_eq(s->task_state, TASK_UNSHELVING)))
        return 0;
    if (r == 0 && !s->deleting) {
        struct query q = { .kind = &LEG_KIND };
        query_where(&q, txn_arena(t), "server_id", Q_EQ, s->head.id);
        struct results legs;
        r = txn_list(t, &q, &legs);
        for (size_t i = 0; i < legs.n && r == 0; i++) {
            const struct leg *leg = legs.v[i];
            bool to = STREQ(leg->role, LEG_DESTINATION), from = STREQ(leg->role, LEG_SOURCE);
            if (to || from)
                r = add_migration(t, leg, to ? "source" : "destination", &spec);
        }
    }
    if (r == 0)
        schema_encode(&SERVER_SPEC_SCHEMA, &spec, &opt, o);
    return r;
}

static int put_leg(struct txn *t, const struct leg *leg, struct json_out *o)
{
    const struct encode_options opt = { .stored = true };
    struct server_spec spec = vanish(leg->server_id, (int64_t)leg->head.revision);
    if (!STREQ(leg->role, LEG_CLEANUP)) {
        struct server *s;
        int r = txn_get(t, &SERVER_KIND, leg->server_id, &s);
        if (r < 0 || !s)
            return r;
        bool to = STREQ(leg->role, LEG_DESTINATION);
        bool ready;
        r = build(t, s, s->new_flavor ? s->new_flavor : s->flavor, &spec, &ready);
        r = r < 0 ? r : add_migration(t, leg, to ? "destination" : "source", &spec);
        if (r < 0)
            return r;
        if (!to)
            spec.power = POWER_SHUTOFF;
    }
    schema_encode(&SERVER_SPEC_SCHEMA, &spec, &opt, o);
    return 0;
}

/* Adds those of one kind that are on the host. */
static int list_on(struct txn *t, const struct kind *k, const char *host, struct results *ret)
{
    struct query q = { .kind = k };
    query_where(&q, txn_arena(t), "host", Q_EQ, host);
    return txn_list(t, &q, ret);
}

static int servers_desired(struct api *api, struct txn *t, const char *host, struct json_out *o)
{
    struct results servers, legs;
    host_seen(api, host);
    int r = list_on(t, &SERVER_KIND, host, &servers);
    r = r < 0 ? r : list_on(t, &LEG_KIND, host, &legs);
    if (r < 0)
        return r;
    json_open_array(o);
    for (size_t i = 0; i < servers.n && r == 0; i++)
        r = put_server(t, servers.v[i], o);
    for (size_t i = 0; i < legs.n && r == 0; i++) {
        const struct leg *leg = legs.v[i];
        bool lives_here = false;        /* came back to a host that was still cleaning up */
        for (size_t k = 0; k < servers.n; k++)
            lives_here = lives_here || STREQ(((struct server *)servers.v[k])->head.id, leg->server_id);
        if (!lives_here)
            r = put_leg(t, leg, o);
    }
    json_close_array(o);
    return r;
}

static const struct kind *const SERVERS_KINDS[] = { &SERVER_KIND, &LEG_KIND, &SNAPSHOT_TASK_KIND, NULL };
const struct agent_section SERVERS_SECTION = {
    .name = "servers", .kinds = SERVERS_KINDS, .desired = servers_desired, .observed = servers_observed,
};
