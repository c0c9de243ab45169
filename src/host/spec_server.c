/*
 * The rows of the wire structs; spec_server.h says what each member means.
 *
 * Rows of the wire have no limits and no request flags: both ends are ours. What counts is
 * that a secret is marked, so that it is masked wherever a spec is logged, and that a key is
 * never reused for something else: an agent may be a version behind.
 */
#include "host/spec_server.h"

const char *const POWER_WANTED[] = {
    POWER_RUNNING, POWER_SHUTOFF, POWER_PAUSED, POWER_SUSPENDED, NULL,
};
const char *const POWER_OBSERVED[] = {
    POWER_RUNNING, POWER_SHUTOFF, POWER_PAUSED, POWER_SUSPENDED, POWER_ABSENT, POWER_CRASHED, NULL,
};
const char *const DISK_KINDS[] = {
    DISK_ROOT, DISK_EPHEMERAL, DISK_SWAP, DISK_CONFIG, DISK_VOLUME, DISK_RESCUE, DISK_ISO, NULL,
};

/* A member whose key is its name. */
#define ROW(owner, member, kind) \
    { .name = #member, .type = (kind), .offset = offsetof(owner, member), .items_max = 65536 }
#define SECRET_ROW(owner, member, kind) \
    { .name = #member, .type = (kind), .offset = offsetof(owner, member), .flags = SECRET }
#define PART(owner, member, schema) \
    { .name = #member, .type = FIELD_OBJECT, .offset = offsetof(owner, member), .sub = &(schema) }
#define LIST(owner, member, schema) \
    { .name = #member, .type = FIELD_OBJECTS, .offset = offsetof(owner, member), .sub = &(schema), \
      .items_max = 65536 }

static const struct field SERVER_ROUTE_ROWS[] = {
    ROW(struct server_route, destination, FIELD_STRING),
    ROW(struct server_route, gateway, FIELD_STRING),
};
static SCHEMA(SERVER_ROUTE_SCHEMA, struct server_route, SERVER_ROUTE_ROWS);

static const struct field SERVER_ADDRESS_ROWS[] = {
    ROW(struct server_address, address, FIELD_STRING),
    ROW(struct server_address, prefix, FIELD_INT),
    ROW(struct server_address, version, FIELD_INT),
    ROW(struct server_address, subnet_id, FIELD_STRING),
    ROW(struct server_address, gateway, FIELD_STRING),
    ROW(struct server_address, ipv6_mode, FIELD_STRING),
    ROW(struct server_address, dhcp, FIELD_BOOL),
    ROW(struct server_address, dns, FIELD_STRINGS),
    LIST(struct server_address, routes, SERVER_ROUTE_SCHEMA),
};
static SCHEMA(SERVER_ADDRESS_SCHEMA, struct server_address, SERVER_ADDRESS_ROWS);

static const struct field SERVER_NIC_ROWS[] = {
    ROW(struct server_nic, port_id, FIELD_STRING),
    ROW(struct server_nic, network_id, FIELD_STRING),
    ROW(struct server_nic, network_name, FIELD_STRING),
    ROW(struct server_nic, mac, FIELD_STRING),
    ROW(struct server_nic, tap, FIELD_STRING),
    ROW(struct server_nic, bridge, FIELD_STRING),
    ROW(struct server_nic, mtu, FIELD_INT),
    ROW(struct server_nic, model, FIELD_STRING),
    ROW(struct server_nic, tag, FIELD_STRING),
    ROW(struct server_nic, type, FIELD_STRING),
    ROW(struct server_nic, pci_address, FIELD_STRING),
    ROW(struct server_nic, offload_off, FIELD_BOOL),
    ROW(struct server_nic, trusted, FIELD_BOOL),
    LIST(struct server_nic, addresses, SERVER_ADDRESS_SCHEMA),
};
SCHEMA(SERVER_NIC_SCHEMA, struct server_nic, SERVER_NIC_ROWS);

static const struct field DISK_SOURCE_ROWS[] = {
    ROW(struct disk_source, driver, FIELD_STRING),
    ROW(struct disk_source, format, FIELD_STRING),
    ROW(struct disk_source, path, FIELD_STRING),
    ROW(struct disk_source, target, FIELD_STRING),
    ROW(struct disk_source, lun, FIELD_INT),
    ROW(struct disk_source, hosts, FIELD_STRINGS),
    ROW(struct disk_source, user, FIELD_STRING),
    SECRET_ROW(struct disk_source, secret, FIELD_STRING),
    ROW(struct disk_source, config, FIELD_STRING),
};
SCHEMA(DISK_SOURCE_SCHEMA, struct disk_source, DISK_SOURCE_ROWS);

static const struct field DISK_QOS_ROWS[] = {
    ROW(struct disk_qos, total_iops, FIELD_INT),
    ROW(struct disk_qos, read_iops, FIELD_INT),
    ROW(struct disk_qos, write_iops, FIELD_INT),
    ROW(struct disk_qos, total_bytes, FIELD_INT),
    ROW(struct disk_qos, read_bytes, FIELD_INT),
    ROW(struct disk_qos, write_bytes, FIELD_INT),
    ROW(struct disk_qos, total_iops_max, FIELD_INT),
    ROW(struct disk_qos, total_bytes_max, FIELD_INT),
};
SCHEMA(DISK_QOS_SCHEMA, struct disk_qos, DISK_QOS_ROWS);

static const struct field SERVER_DISK_ROWS[] = {
    ROW(struct server_disk, id, FIELD_STRING),
    ROW(struct server_disk, kind, FIELD_STRING),
    ROW(struct server_disk, device, FIELD_STRING),
    ROW(struct server_disk, bus, FIELD_STRING),
    ROW(struct server_disk, device_type, FIELD_STRING),
    ROW(struct server_disk, boot_index, FIELD_INT),
    ROW(struct server_disk, size_bytes, FIELD_INT),
    PART(struct server_disk, source, DISK_SOURCE_SCHEMA),
    ROW(struct server_disk, read_only, FIELD_BOOL),
    ROW(struct server_disk, multiattach, FIELD_BOOL),
    ROW(struct server_disk, serial, FIELD_STRING),
    ROW(struct server_disk, tag, FIELD_STRING),
    ROW(struct server_disk, guest_format, FIELD_STRING),
    ROW(struct server_disk, cache, FIELD_STRING),
    ROW(struct server_disk, io, FIELD_STRING),
    ROW(struct server_disk, discard, FIELD_BOOL),
    SECRET_ROW(struct server_disk, encryption_secret, FIELD_STRING),
    ROW(struct server_disk, encryption_format, FIELD_STRING),
    PART(struct server_disk, qos, DISK_QOS_SCHEMA),
};
SCHEMA(SERVER_DISK_SCHEMA, struct server_disk, SERVER_DISK_ROWS);

static const struct field SERVER_KEY_ROWS[] = {
    ROW(struct server_key, name, FIELD_STRING),
    ROW(struct server_key, public_key, FIELD_STRING),
    ROW(struct server_key, type, FIELD_STRING),
};
static SCHEMA(SERVER_KEY_SCHEMA, struct server_key, SERVER_KEY_ROWS);

static const struct field SERVER_IMAGE_ROWS[] = {
    ROW(struct server_image, id, FIELD_STRING),
    ROW(struct server_image, name, FIELD_STRING),
    ROW(struct server_image, hash_algorithm, FIELD_STRING),
    ROW(struct server_image, hash, FIELD_STRING),
    ROW(struct server_image, disk_format, FIELD_STRING),
    ROW(struct server_image, container_format, FIELD_STRING),
    ROW(struct server_image, size, FIELD_INT),
    ROW(struct server_image, min_disk_gb, FIELD_INT),
    ROW(struct server_image, kernel_id, FIELD_STRING),
    ROW(struct server_image, ramdisk_id, FIELD_STRING),
    ROW(struct server_image, properties, FIELD_MAP),
};
SCHEMA(SERVER_IMAGE_SCHEMA, struct server_image, SERVER_IMAGE_ROWS);

static const struct field SERVER_SNAPSHOT_ROWS[] = {
    ROW(struct server_snapshot, id, FIELD_STRING),
    ROW(struct server_snapshot, disk_id, FIELD_STRING),
    ROW(struct server_snapshot, format, FIELD_STRING),
    ROW(struct server_snapshot, image_id, FIELD_STRING),
    ROW(struct server_snapshot, target_path, FIELD_STRING),
    ROW(struct server_snapshot, quiesce, FIELD_BOOL),
};
static SCHEMA(SERVER_SNAPSHOT_SCHEMA, struct server_snapshot, SERVER_SNAPSHOT_ROWS);

static const struct field SERVER_MIGRATION_ROWS[] = {
    ROW(struct server_migration, id, FIELD_STRING),
    ROW(struct server_migration, kind, FIELD_STRING),
    ROW(struct server_migration, role, FIELD_STRING),
    ROW(struct server_migration, source_host, FIELD_STRING),
    ROW(struct server_migration, dest_host, FIELD_STRING),
    ROW(struct server_migration, dest_uri, FIELD_STRING),
    ROW(struct server_migration, dest_address, FIELD_STRING),
    ROW(struct server_migration, block, FIELD_BOOL),
    ROW(struct server_migration, force_complete, FIELD_BOOL),
    ROW(struct server_migration, abort, FIELD_BOOL),
};
static SCHEMA(SERVER_MIGRATION_SCHEMA, struct server_migration, SERVER_MIGRATION_ROWS);

static const struct field SERVER_FILE_ROWS[] = {
    ROW(struct server_file, path, FIELD_STRING),
    ROW(struct server_file, contents, FIELD_STRING),
};
static SCHEMA(SERVER_FILE_SCHEMA, struct server_file, SERVER_FILE_ROWS);

static const struct field SERVER_SPEC_ROWS[] = {
    ROW(struct server_spec, id, FIELD_STRING),
    ROW(struct server_spec, revision, FIELD_INT),
    ROW(struct server_spec, name, FIELD_STRING),
    ROW(struct server_spec, hostname, FIELD_STRING),
    ROW(struct server_spec, project_id, FIELD_STRING),
    ROW(struct server_spec, user_id, FIELD_STRING),
    ROW(struct server_spec, project_name, FIELD_STRING),
    ROW(struct server_spec, user_name, FIELD_STRING),
    ROW(struct server_spec, availability_zone, FIELD_STRING),
    ROW(struct server_spec, reservation_id, FIELD_STRING),
    ROW(struct server_spec, launch_index, FIELD_INT),
    ROW(struct server_spec, created_at, FIELD_TIME),
    ROW(struct server_spec, reboot_soft, FIELD_INT),
    ROW(struct server_spec, reboot_hard, FIELD_INT),
    ROW(struct server_spec, rebuild, FIELD_INT),
    ROW(struct server_spec, password, FIELD_INT),
    ROW(struct server_spec, nmi, FIELD_INT),
    ROW(struct server_spec, resize, FIELD_INT),
    ROW(struct server_spec, power, FIELD_STRING),
    ROW(struct server_spec, deleted, FIELD_BOOL),
    ROW(struct server_spec, rescue, FIELD_BOOL),
    ROW(struct server_spec, offloaded, FIELD_BOOL),
    ROW(struct server_spec, stop_timeout, FIELD_INT),
    ROW(struct server_spec, vcpus, FIELD_INT),
    ROW(struct server_spec, memory_mb, FIELD_INT),
    ROW(struct server_spec, root_gb, FIELD_INT),
    ROW(struct server_spec, ephemeral_gb, FIELD_INT),
    ROW(struct server_spec, swap_mb, FIELD_INT),
    ROW(struct server_spec, flavor_id, FIELD_STRING),
    ROW(struct server_spec, flavor_name, FIELD_STRING),
    ROW(struct server_spec, extra_specs, FIELD_MAP),
    PART(struct server_spec, image, SERVER_IMAGE_SCHEMA),
    PART(struct server_spec, rescue_image, SERVER_IMAGE_SCHEMA),
    SECRET_ROW(struct server_spec, rescue_password, FIELD_STRING),
    ROW(struct server_spec, config_drive, FIELD_BOOL),
    SECRET_ROW(struct server_spec, user_data, FIELD_STRING),
    ROW(struct server_spec, vendor_data, FIELD_STRING),
    ROW(struct server_spec, metadata, FIELD_MAP),
    ROW(struct server_spec, tags, FIELD_STRINGS),
    LIST(struct server_spec, keys, SERVER_KEY_SCHEMA),
    LIST(struct server_spec, personality, SERVER_FILE_SCHEMA),
    SECRET_ROW(struct server_spec, admin_password, FIELD_STRING),
    ROW(struct server_spec, security_groups, FIELD_STRING),
    ROW(struct server_spec, public_ipv4, FIELD_STRING),
    ROW(struct server_spec, encrypted_password, FIELD_STRING),
    LIST(struct server_spec, nics, SERVER_NIC_SCHEMA),
    LIST(struct server_spec, disks, SERVER_DISK_SCHEMA),
    LIST(struct server_spec, snapshots, SERVER_SNAPSHOT_SCHEMA),
    PART(struct server_spec, migration, SERVER_MIGRATION_SCHEMA),
    ROW(struct server_spec, pinned_cpus, FIELD_STRINGS),
    ROW(struct server_spec, numa_topology, FIELD_STRING),
    ROW(struct server_spec, pci_devices, FIELD_STRINGS),
};
SCHEMA(SERVER_SPEC_SCHEMA, struct server_spec, SERVER_SPEC_ROWS);

static const struct field OBSERVED_DISK_ROWS[] = {
    ROW(struct observed_disk, id, FIELD_STRING),
    ROW(struct observed_disk, device, FIELD_STRING),
    ROW(struct observed_disk, size_bytes, FIELD_INT),
};
static SCHEMA(OBSERVED_DISK_SCHEMA, struct observed_disk, OBSERVED_DISK_ROWS);

static const struct field OBSERVED_NIC_ROWS[] = {
    ROW(struct observed_nic, port_id, FIELD_STRING),
    ROW(struct observed_nic, mac, FIELD_STRING),
    ROW(struct observed_nic, tap, FIELD_STRING),
};
static SCHEMA(OBSERVED_NIC_SCHEMA, struct observed_nic, OBSERVED_NIC_ROWS);

static const struct field OBSERVED_TASK_ROWS[] = {
    ROW(struct observed_task, id, FIELD_STRING),
    ROW(struct observed_task, kind, FIELD_STRING),
    ROW(struct observed_task, state, FIELD_STRING),
    ROW(struct observed_task, progress, FIELD_INT),
    ROW(struct observed_task, message, FIELD_STRING),
    ROW(struct observed_task, size_bytes, FIELD_INT),
    ROW(struct observed_task, path, FIELD_STRING),
};
static SCHEMA(OBSERVED_TASK_SCHEMA, struct observed_task, OBSERVED_TASK_ROWS);

static const struct field SERVER_OBSERVED_ROWS[] = {
    ROW(struct server_observed, id, FIELD_STRING),
    ROW(struct server_observed, revision, FIELD_INT),
    ROW(struct server_observed, power, FIELD_STRING),
    ROW(struct server_observed, converged, FIELD_BOOL),
    ROW(struct server_observed, known, FIELD_BOOL),
    ROW(struct server_observed, instance_name, FIELD_STRING),
    ROW(struct server_observed, hypervisor_hostname, FIELD_STRING),
    ROW(struct server_observed, root_device, FIELD_STRING),
    ROW(struct server_observed, console_host, FIELD_STRING),
    ROW(struct server_observed, vnc_port, FIELD_INT),
    ROW(struct server_observed, spice_port, FIELD_INT),
    ROW(struct server_observed, spice_tls_port, FIELD_INT),
    ROW(struct server_observed, serial_path, FIELD_STRING),
    ROW(struct server_observed, reboot_soft, FIELD_INT),
    ROW(struct server_observed, reboot_hard, FIELD_INT),
    ROW(struct server_observed, rebuild, FIELD_INT),
    ROW(struct server_observed, password, FIELD_INT),
    ROW(struct server_observed, nmi, FIELD_INT),
    ROW(struct server_observed, resize, FIELD_INT),
    ROW(struct server_observed, rescue, FIELD_BOOL),
    ROW(struct server_observed, fault_code, FIELD_INT),
    ROW(struct server_observed, fault_message, FIELD_STRING),
    ROW(struct server_observed, fault_details, FIELD_STRING),
    ROW(struct server_observed, fault_at, FIELD_TIME),
    ROW(struct server_observed, fault_retry, FIELD_BOOL),
    ROW(struct server_observed, disk_bytes, FIELD_INT),
    ROW(struct server_observed, launched_at, FIELD_TIME),
    LIST(struct server_observed, disks, OBSERVED_DISK_SCHEMA),
    LIST(struct server_observed, nics, OBSERVED_NIC_SCHEMA),
    LIST(struct server_observed, tasks, OBSERVED_TASK_SCHEMA),
};
SCHEMA(SERVER_OBSERVED_SCHEMA, struct server_observed, SERVER_OBSERVED_ROWS);

static const struct field HOST_NUMA_CELL_ROWS[] = {
    ROW(struct host_numa_cell, id, FIELD_INT),
    ROW(struct host_numa_cell, memory_mb, FIELD_INT),
    ROW(struct host_numa_cell, cpus, FIELD_STRING),
    ROW(struct host_numa_cell, pages_2m, FIELD_INT),
    ROW(struct host_numa_cell, pages_1g, FIELD_INT),
};
static SCHEMA(HOST_NUMA_CELL_SCHEMA, struct host_numa_cell, HOST_NUMA_CELL_ROWS);

static const struct field HOST_FACTS_ROWS[] = {
    ROW(struct host_facts, hostname, FIELD_STRING),
    ROW(struct host_facts, driver, FIELD_STRING),
    ROW(struct host_facts, hypervisor_type, FIELD_STRING),
    ROW(struct host_facts, hypervisor_version, FIELD_INT),
    ROW(struct host_facts, accel, FIELD_STRING),
    ROW(struct host_facts, accel_reason, FIELD_STRING),
    ROW(struct host_facts, arch, FIELD_STRING),
    ROW(struct host_facts, host_ip, FIELD_STRING),
    ROW(struct host_facts, vcpus, FIELD_INT),
    ROW(struct host_facts, cpu_cores, FIELD_INT),
    ROW(struct host_facts, cpu_threads, FIELD_INT),
    ROW(struct host_facts, cpu_sockets, FIELD_INT),
    ROW(struct host_facts, cpu_model, FIELD_STRING),
    ROW(struct host_facts, cpu_vendor, FIELD_STRING),
    ROW(struct host_facts, cpu_features, FIELD_STRINGS),
    ROW(struct host_facts, traits, FIELD_STRINGS),
    ROW(struct host_facts, memory_mb, FIELD_INT),
    ROW(struct host_facts, memory_free_mb, FIELD_INT),
    ROW(struct host_facts, disk_gb, FIELD_INT),
    ROW(struct host_facts, disk_free_gb, FIELD_INT),
    ROW(struct host_facts, disk_used_gb, FIELD_INT),
    ROW(struct host_facts, running, FIELD_INT),
    ROW(struct host_facts, load_milli, FIELD_INT),
    ROW(struct host_facts, uptime, FIELD_TIME),
    ROW(struct host_facts, spice, FIELD_BOOL),
    ROW(struct host_facts, uefi, FIELD_BOOL),
    ROW(struct host_facts, secure_boot, FIELD_BOOL),
    ROW(struct host_facts, tpm, FIELD_BOOL),
    ROW(struct host_facts, machine_types, FIELD_STRINGS),
    LIST(struct host_facts, numa, HOST_NUMA_CELL_SCHEMA),
};
SCHEMA(HOST_FACTS_SCHEMA, struct host_facts, HOST_FACTS_ROWS);

struct server_disk *server_spec_disk(const struct server_spec *s, const char *id)
{
    for (size_t i = 0; i < s->disks.n; i++)
        if (str_eq(s->disks.v[i].id, id))
            return &s->disks.v[i];
    return NULL;
}

struct server_nic *server_spec_nic(const struct server_spec *s, const char *port_id)
{
    for (size_t i = 0; i < s->nics.n; i++)
        if (str_eq(s->nics.v[i].port_id, port_id))
            return &s->nics.v[i];
    return NULL;
}
