/* Rows of all that compute keeps: see the header for what they mean. The names of a server's
 * rows are Nova's names of its columns, since its sort keys and filters are those. */
#include "compute/kinds.h"

#include <errno.h>
#include <stdio.h>

#define AT(type, member, kind_, flags_) { #member, kind_, offsetof(type, member), (flags_), .doc = #member }
#define PART_AT(type, member, schema_) \
    { #member, FIELD_OBJECT, offsetof(type, member), NULLABLE, .sub = &(schema_), .doc = #member }
#define LIST_AT(type, member, schema_) \
    { #member, FIELD_OBJECTS, offsetof(type, member), 0, .sub = &(schema_), .doc = #member }

/* ---- flavors ---- */

#define F(member, kind_, flags_) AT(struct flavor, member, kind_, flags_)
static const struct field FLAVOR_ROWS[] = {
    FIELD_ID(struct flavor),
    F(flavorid, FIELD_STRING, FILTER | SORT),
    F(name, FIELD_STRING, FILTER | SORT),
    F(description, FIELD_STRING, NULLABLE),
    F(ram, FIELD_INT, FILTER | SORT),
    F(vcpus, FIELD_INT, FILTER | SORT),
    F(disk, FIELD_INT, FILTER | SORT),
    F(ephemeral, FIELD_INT, FILTER | SORT),
    F(swap, FIELD_INT, FILTER | SORT),
    F(rxtx_factor, FIELD_DOUBLE, 0),
    F(is_public, FIELD_BOOL, FILTER | SORT),
    F(disabled, FIELD_BOOL, FILTER | SORT),
    F(extra_specs, FIELD_MAP, 0),
    F(projects, FIELD_STRINGS, INDEX),
    F(created_at, FIELD_TIME, SORT),
    F(updated_at, FIELD_TIME, SORT),
};
static SCHEMA(FLAVOR_SCHEMA, struct flavor, FLAVOR_ROWS);

static void flavor_keys(const void *object, struct key_sink *k)
{
    const struct flavor *f = object;
    key_add_unique(k, "flavorid_key", f->flavorid);
    key_add_unique(k, "name_key", f->name);
}

const struct kind FLAVOR_KIND = { .name = "compute.flavor", .schema = &FLAVOR_SCHEMA, .keys = flavor_keys };

#define C(member, kind_) AT(struct flavor_copy, member, kind_, 0)
static const struct field FLAVOR_COPY_ROWS[] = {
    C(id, FIELD_STRING), C(flavorid, FIELD_STRING), C(name, FIELD_STRING), C(ram, FIELD_INT),
    C(vcpus, FIELD_INT), C(disk, FIELD_INT), C(ephemeral, FIELD_INT), C(swap, FIELD_INT),
    C(rxtx_factor, FIELD_DOUBLE), C(extra_specs, FIELD_MAP),
};
SCHEMA(FLAVOR_COPY_SCHEMA, struct flavor_copy, FLAVOR_COPY_ROWS);

/* ---- servers ---- */

#define FA(member, kind_) AT(struct server_fault, member, kind_, 0)
static const struct field FAULT_ROWS[] = {
    FA(code, FIELD_INT), FA(message, FIELD_STRING), FA(details, FIELD_STRING), FA(created_at, FIELD_TIME),
};
static SCHEMA(FAULT_SCHEMA, struct server_fault, FAULT_ROWS);

#define B(member, kind_) AT(struct bdm, member, kind_, 0)
static const struct field BDM_ROWS[] = {
    B(source_type, FIELD_STRING), B(destination_type, FIELD_STRING), B(uuid, FIELD_STRING),
    B(volume_id, FIELD_STRING), B(boot_index, FIELD_INT), B(volume_size, FIELD_INT),
    B(device_name, FIELD_STRING), B(disk_bus, FIELD_STRING), B(device_type, FIELD_STRING),
    B(guest_format, FIELD_STRING), B(tag, FIELD_STRING), B(volume_type, FIELD_STRING),
    B(delete_on_termination, FIELD_BOOL), B(no_device, FIELD_BOOL),
};
SCHEMA(BDM_SCHEMA, struct bdm, BDM_ROWS);

#define N(member, kind_) AT(struct nic_request, member, kind_, 0)
static const struct field NIC_ROWS[] = {
    N(port_id, FIELD_STRING), N(network_id, FIELD_STRING), N(tag, FIELD_STRING), N(made_here, FIELD_BOOL),
};
static SCHEMA(NIC_SCHEMA, struct nic_request, NIC_ROWS);

static const struct field KEY_ROWS[] = {
    AT(struct server_key, name, FIELD_STRING, 0), AT(struct server_key, public_key, FIELD_STRING, 0),
    AT(struct server_key, type, FIELD_STRING, 0),
};
static SCHEMA(KEY_SCHEMA, struct server_key, KEY_ROWS);

static const struct field FILE_ROWS[] = {
    AT(struct server_file, path, FIELD_STRING, 0), AT(struct server_file, contents, FIELD_STRING, 0),
};
static SCHEMA(FILE_SCHEMA, struct server_file, FILE_ROWS);

#define S(member, kind_, flags_) AT(struct server, member, kind_, flags_)
static const struct field SERVER_ROWS[] = {
    FIELD_ID(struct server),
    S(project_id, FIELD_STRING, FILTER | SORT | INDEX),
    S(user_id, FIELD_STRING, FILTER | SORT),
    S(project_name, FIELD_STRING, 0),
    S(user_name, FIELD_STRING, 0),
    S(display_name, FIELD_STRING, FILTER | SORT),
    S(display_description, FIELD_STRING, FILTER | SORT),
    S(hostname, FIELD_STRING, FILTER | SORT),
    S(created_at, FIELD_TIME, FILTER | SORT),
    S(updated_at, FIELD_TIME, FILTER | SORT),
    S(launched_at, FIELD_TIME, FILTER | SORT),
    S(terminated_at, FIELD_TIME, FILTER | SORT),
    S(reservation_id, FIELD_STRING, FILTER),
    S(launch_index, FIELD_INT, FILTER | SORT),
    S(vm_state, FIELD_STRING, FILTER | SORT),
    S(task_state, FIELD_STRING, FILTER | SORT),
    S(power_state, FIELD_INT, FILTER | SORT),
    S(progress, FIELD_INT, FILTER | SORT),
    S(task_since, FIELD_TIME, FILTER),
    PART_AT(struct server, fault, FAULT_SCHEMA),
    S(action_id, FIELD_STRING, 0),
    S(locked, FIELD_BOOL, FILTER | SORT),
    S(locked_by, FIELD_STRING, FILTER | SORT),
    S(locked_reason, FIELD_STRING, 0),
    S(vm_state_before, FIELD_STRING, 0),
    S(delete_after, FIELD_TIME, 0),
    S(host, FIELD_STRING, FILTER | SORT | INDEX),
    S(node, FIELD_STRING, FILTER | SORT),
    S(instance_name, FIELD_STRING, 0),
    S(root_device_name, FIELD_STRING, FILTER | SORT),
    S(availability_zone, FIELD_STRING, FILTER | SORT),
    S(requested_host, FIELD_STRING, 0),
    S(requested_host_checked, FIELD_BOOL, 0),
    S(hosts_tried, FIELD_STRINGS, 0),
    S(spawn_faults, FIELD_INT, 0),
    S(hints, FIELD_JSON, 0),
    S(group_id, FIELD_STRING, FILTER | INDEX),
    S(claim_vcpus, FIELD_INT, FILTER),
    S(claim_memory_mb, FIELD_INT, FILTER),
    S(claim_disk_gb, FIELD_INT, FILTER),
    PART_AT(struct server, flavor, FLAVOR_COPY_SCHEMA),
    PART_AT(struct server, new_flavor, FLAVOR_COPY_SCHEMA),
    S(instance_type_id, FIELD_STRING, FILTER | SORT),
    S(flavor_vcpus, FIELD_INT, FILTER),
    S(flavor_ram, FIELD_INT, FILTER),
    S(image_ref, FIELD_STRING, FILTER | SORT),
    PART_AT(struct server, image, SERVER_IMAGE_SCHEMA),
    PART_AT(struct server, rescue_image, SERVER_IMAGE_SCHEMA),
    S(backups, FIELD_STRINGS, 0),
    S(shelved_image, FIELD_STRING, 0),
    S(kernel_id, FIELD_STRING, FILTER | SORT),
    S(ramdisk_id, FIELD_STRING, FILTER | SORT),
    S(key_name, FIELD_STRING, FILTER | SORT),
    LIST_AT(struct server, keys, KEY_SCHEMA),
    S(user_data, FIELD_STRING, SECRET),
    S(admin_password, FIELD_STRING, SECRET),
    S(rescue_password, FIELD_STRING, SECRET),
    S(encrypted_password, FIELD_STRING, 0),
    LIST_AT(struct server, personality, FILE_SCHEMA),
    S(config_drive, FIELD_BOOL, FILTER | SORT),
    S(auto_disk_config, FIELD_BOOL, FILTER | SORT),
    S(access_ip_v4, FIELD_STRING, FILTER | SORT),
    S(access_ip_v6, FIELD_STRING, FILTER | SORT),
    S(metadata, FIELD_MAP, 0),
    S(tags, FIELD_STRINGS, INDEX),
    S(security_groups, FIELD_STRINGS, 0),
    S(trusted_certs, FIELD_JSON, 0),
    LIST_AT(struct server, bdms, BDM_SCHEMA),
    LIST_AT(struct server, nics, NIC_SCHEMA),
    S(generation, FIELD_INT, 0),
    S(power, FIELD_STRING, 0),
    S(rescue, FIELD_BOOL, 0),
    S(deleting, FIELD_BOOL, FILTER),
    S(reboot_soft, FIELD_INT, 0),
    S(reboot_hard, FIELD_INT, 0),
    S(rebuild, FIELD_INT, 0),
    S(password, FIELD_INT, 0),
    S(nmi, FIELD_INT, 0),
    S(resize, FIELD_INT, 0),
    S(seen_power, FIELD_STRING, 0),
    S(console_host, FIELD_STRING, 0),
    S(serial_path, FIELD_STRING, 0),
    S(vnc_port, FIELD_INT, 0),
    S(spice_port, FIELD_INT, 0),
    S(spice_tls_port, FIELD_INT, 0),
};
SCHEMA(SERVER_SCHEMA, struct server, SERVER_ROWS);

/* Metadata filters look for "key=value". */
static void server_keys(const void *object, struct key_sink *k)
{
    const struct server *s = object;
    VEC_FOREACH(b, &s->bdms)
        if (b->volume_id)
            key_add(k, "volume", b->volume_id);
    VEC_FOREACH(n, &s->nics)
        if (n->port_id)
            key_add(k, "port", n->port_id);
}

/* The last is what quotas are summed from, without touching the rows. */
static const char *const SERVER_INDEXES[] = { "project_id,created_at", "created_at",
                                              "project_id,flavor_vcpus,flavor_ram", NULL };
const struct kind SERVER_KIND = { .name = "compute.server", .schema = &SERVER_SCHEMA, .indexes = SERVER_INDEXES,
                                  .keys = server_keys, .host_field = "host" };
/* Those that are gone, for a while: what lists with deleted=true and changes-since show. */
static const char *const DELETED_INDEXES[] = { "terminated_at", NULL };
const struct kind DELETED_SERVER_KIND = { .name = "compute.deleted_server", .schema = &SERVER_SCHEMA,
                                          .indexes = DELETED_INDEXES };

/* ---- what happens to servers ---- */

#define E(member, kind_) AT(struct action_event, member, kind_, 0)
static const struct field EVENT_ROWS[] = {
    E(event, FIELD_STRING), E(host, FIELD_STRING), E(result, FIELD_STRING), E(traceback, FIELD_STRING),
    E(details, FIELD_STRING), E(start_time, FIELD_TIME), E(finish_time, FIELD_TIME),
};
static SCHEMA(EVENT_SCHEMA, struct action_event, EVENT_ROWS);

#define A(member, kind_, flags_) AT(struct action, member, kind_, flags_)
static const struct field ACTION_ROWS[] = {
    FIELD_ID(struct action),
    A(server_id, FIELD_STRING, FILTER | INDEX),
    A(project_id, FIELD_STRING, 0),
    A(user_id, FIELD_STRING, 0),
    A(request_id, FIELD_STRING, FILTER),
    A(action, FIELD_STRING, 0),
    A(message, FIELD_STRING, 0),
    A(start_time, FIELD_TIME, FILTER | SORT),
    A(updated_at, FIELD_TIME, FILTER | SORT),
    LIST_AT(struct action, events, EVENT_SCHEMA),
};
static SCHEMA(ACTION_SCHEMA, struct action, ACTION_ROWS);
const struct kind ACTION_KIND = { .name = "compute.action", .schema = &ACTION_SCHEMA };

#define L(member, kind_, flags_) AT(struct leg, member, kind_, flags_)
static const struct field LEG_ROWS[] = {
    FIELD_ID(struct leg),
    L(server_id, FIELD_STRING, FILTER | INDEX),
    L(host, FIELD_STRING, FILTER | INDEX),
    L(migration_id, FIELD_STRING, FILTER),
    L(role, FIELD_STRING, FILTER),
    L(claim_vcpus, FIELD_INT, FILTER),
    L(claim_memory_mb, FIELD_INT, FILTER),
    L(claim_disk_gb, FIELD_INT, FILTER),
    L(created_at, FIELD_TIME, 0),
};
static SCHEMA(LEG_SCHEMA, struct leg, LEG_ROWS);
const struct kind LEG_KIND = { .name = "compute.leg", .schema = &LEG_SCHEMA, .host_field = "host" };

#define M(member, kind_, flags_) AT(struct migration, member, kind_, flags_)
static const struct field MIGRATION_ROWS[] = {
    FIELD_ID(struct migration),
    M(number, FIELD_INT, FILTER | SORT | INDEX),
    M(server_id, FIELD_STRING, FILTER | INDEX),
    M(project_id, FIELD_STRING, FILTER),
    M(user_id, FIELD_STRING, FILTER),
    M(migration_type, FIELD_STRING, FILTER),
    M(status, FIELD_STRING, FILTER | INDEX),
    M(source_compute, FIELD_STRING, FILTER),
    M(source_node, FIELD_STRING, 0),
    M(dest_compute, FIELD_STRING, FILTER),
    M(dest_node, FIELD_STRING, 0),
    M(dest_host, FIELD_STRING, 0),
    M(old_flavor_id, FIELD_STRING, 0),
    M(new_flavor_id, FIELD_STRING, 0),
    M(requested_host, FIELD_STRING, 0),
    M(block, FIELD_BOOL, 0),
    M(force_complete, FIELD_BOOL, 0),
    M(abort, FIELD_BOOL, 0),
    M(force, FIELD_BOOL, 0),
    M(memory_total, FIELD_INT, 0),
    M(memory_done, FIELD_INT, 0),
    M(disk_total, FIELD_INT, 0),
    M(disk_done, FIELD_INT, 0),
    M(progress, FIELD_INT, 0),
    M(created_at, FIELD_TIME, FILTER | SORT),
    M(updated_at, FIELD_TIME, FILTER | SORT),
};
static SCHEMA(MIGRATION_SCHEMA, struct migration, MIGRATION_ROWS);
/* No host_field, yet hosts need not hear of it: what they act on are server and leg. */
const struct kind MIGRATION_KIND = { .name = "compute.migration", .schema = &MIGRATION_SCHEMA };

#define T(member, kind_, flags_) AT(struct snapshot_task, member, kind_, flags_)
static const struct field SNAPSHOT_ROWS[] = {
    FIELD_ID(struct snapshot_task),
    T(server_id, FIELD_STRING, FILTER | INDEX),
    T(host, FIELD_STRING, FILTER),
    T(image_id, FIELD_STRING, FILTER),
    T(disk_id, FIELD_STRING, 0),
    T(format, FIELD_STRING, 0),
    T(purpose, FIELD_STRING, 0),
    T(quiesce, FIELD_BOOL, 0),
    T(created_at, FIELD_TIME, 0),
};
static SCHEMA(SNAPSHOT_SCHEMA, struct snapshot_task, SNAPSHOT_ROWS);
const struct kind SNAPSHOT_TASK_KIND = { .name = "compute.snapshot", .schema = &SNAPSHOT_SCHEMA,
                                         .host_field = "host" };

/* ---- where servers live ---- */

#define H(member, kind_, flags_) AT(struct compute_host, member, kind_, flags_)
static const struct field HOST_ROWS[] = {
    FIELD_ID(struct compute_host),
    H(service_id, FIELD_STRING, FILTER | INDEX),
    H(node_id, FIELD_STRING, FILTER | INDEX),
    H(number, FIELD_INT, FILTER | SORT),
    PART_AT(struct compute_host, facts, HOST_FACTS_SCHEMA),
    H(created_at, FIELD_TIME, SORT),
    H(updated_at, FIELD_TIME, SORT),
    H(last_seen, FIELD_TIME, 0),
    H(disabled, FIELD_BOOL, FILTER),
    H(forced_down, FIELD_BOOL, FILTER),
    H(disabled_reason, FIELD_STRING, 0),
    H(cpu_ratio, FIELD_DOUBLE, 0),
    H(ram_ratio, FIELD_DOUBLE, 0),
    H(disk_ratio, FIELD_DOUBLE, 0),
    H(reserved_memory_mb, FIELD_INT, 0),
    H(reserved_disk_gb, FIELD_INT, 0),
    H(reserved_vcpus, FIELD_INT, 0),
};
static SCHEMA(COMPUTE_HOST_SCHEMA, struct compute_host, HOST_ROWS);
const struct kind COMPUTE_HOST_KIND = { .name = "compute.host", .schema = &COMPUTE_HOST_SCHEMA };

#define G(member, kind_, flags_) AT(struct aggregate, member, kind_, flags_)
static const struct field AGGREGATE_ROWS[] = {
    FIELD_ID(struct aggregate),
    G(number, FIELD_INT, FILTER | SORT | INDEX),
    G(name, FIELD_STRING, FILTER | SORT),
    G(hosts, FIELD_STRINGS, INDEX),
    G(metadata, FIELD_MAP, 0),
    G(created_at, FIELD_TIME, SORT),
    G(updated_at, FIELD_TIME, SORT),
};
static SCHEMA(AGGREGATE_SCHEMA, struct aggregate, AGGREGATE_ROWS);

static void aggregate_keys(const void *object, struct key_sink *k)
{
    key_add_unique(k, "name_key", ((const struct aggregate *)object)->name);
}
const struct kind AGGREGATE_KIND = { .name = "compute.aggregate", .schema = &AGGREGATE_SCHEMA,
                                     .keys = aggregate_keys };

#define GR(member, kind_, flags_) AT(struct server_group, member, kind_, flags_)
static const struct field GROUP_ROWS[] = {
    FIELD_ID(struct server_group),
    GR(project_id, FIELD_STRING, FILTER | INDEX),
    GR(user_id, FIELD_STRING, FILTER),
    GR(name, FIELD_STRING, 0),
    GR(policy, FIELD_STRING, 0),
    GR(max_server_per_host, FIELD_INT, 0),
    GR(created_at, FIELD_TIME, SORT),
};
static SCHEMA(SERVER_GROUP_SCHEMA, struct server_group, GROUP_ROWS);
const struct kind SERVER_GROUP_KIND = { .name = "compute.server_group", .schema = &SERVER_GROUP_SCHEMA };

#define K(member, kind_, flags_) AT(struct keypair, member, kind_, flags_)
static const struct field KEYPAIR_ROWS[] = {
    FIELD_ID(struct keypair),
    K(number, FIELD_INT, SORT),
    K(user_id, FIELD_STRING, FILTER | INDEX),
    K(name, FIELD_STRING, FILTER | SORT),
    K(type, FIELD_STRING, 0),
    K(public_key, FIELD_STRING, 0),
    K(fingerprint, FIELD_STRING, 0),
    K(created_at, FIELD_TIME, SORT),
};
static SCHEMA(KEYPAIR_SCHEMA, struct keypair, KEYPAIR_ROWS);

static void keypair_keys(const void *object, struct key_sink *k)
{
    const struct keypair *key = object;
    char text[400];
    (void)snprintf(text, sizeof(text), "%s/%s", str_or(key->user_id, ""), str_or(key->name, ""));
    key_add_unique(k, "user_name", text);
}
const struct kind KEYPAIR_KIND = { .name = "compute.keypair", .schema = &KEYPAIR_SCHEMA, .keys = keypair_keys };

static const struct field SEQUENCE_ROWS[] = {
    FIELD_ID(struct sequence),
    AT(struct sequence, last, FIELD_INT, 0),
};
static SCHEMA(SEQUENCE_SCHEMA, struct sequence, SEQUENCE_ROWS);
const struct kind SEQUENCE_KIND = { .name = "compute.sequence", .schema = &SEQUENCE_SCHEMA };

int sequence_next(struct txn *t, const char *name, int64_t *ret)
{
    struct sequence *q;
    int r = txn_get(t, &SEQUENCE_KIND, name, &q);
    if (r < 0)
        return error_trace(r);
    if (!q) {
        q = ARENA_NEW(txn_arena(t), struct sequence);
        if (!q)
            return -ENOMEM;
        q->head.id = name;
    }
    q->last++;
    *ret = q->last;
    return error_trace(txn_put(t, &SEQUENCE_KIND, q));
}

const struct kind *const COMPUTE_KINDS[] = {
    &FLAVOR_KIND, &SERVER_KIND, &DELETED_SERVER_KIND, &ACTION_KIND, &LEG_KIND, &MIGRATION_KIND,
    &SNAPSHOT_TASK_KIND, &COMPUTE_HOST_KIND, &AGGREGATE_KIND, &SERVER_GROUP_KIND, &KEYPAIR_KIND, &SEQUENCE_KIND,
    &QUESTION_KIND,
    NULL,
};
