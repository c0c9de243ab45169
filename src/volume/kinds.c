/* The rows of the volume slice: see the header. */
#include "volume/kinds.h"

#include <stdio.h>

#define ROW(name_, type_, struct_, member, flags_, ...) \
    { name_, type_, offsetof(struct struct_, member), (flags_), .doc = "See volume/kinds.h.", ##__VA_ARGS__ }
#define S(struct_, member, flags_) ROW(#member, FIELD_STRING, struct_, member, flags_)
#define I(struct_, member, flags_) ROW(#member, FIELD_INT, struct_, member, flags_)
#define B(struct_, member, flags_) ROW(#member, FIELD_BOOL, struct_, member, flags_)
#define T(struct_, member, flags_) ROW(#member, FIELD_TIME, struct_, member, flags_)
#define M(struct_, member) ROW(#member, FIELD_MAP, struct_, member, 0)
#define FS (FILTER | SORT)

static void metadata_keys(const struct strmap *m, struct key_sink *k)
{
    char text[600];
    VEC_FOREACH(p, m)
        if ((size_t)snprintf(text, sizeof(text), "%s=%s", p->key, p->value) < sizeof(text))
            key_add(k, "metadata", text);
}

static const struct field VOLUME_ROWS[] = {
    FIELD_ID(struct volume),
    S(volume, project_id, FS | INDEX), S(volume, user_id, FILTER), S(volume, name, FS | INDEX),
    S(volume, description, FILTER), S(volume, status, FS), S(volume, previous_status, 0),
    S(volume, migration_status, FILTER), S(volume, host, FS | INDEX), S(volume, backend, FILTER),
    S(volume, availability_zone, FS), S(volume, type_id, FILTER | INDEX), S(volume, group_id, FILTER | INDEX),
    S(volume, provider_id, 0), S(volume, snapshot_id, FILTER | INDEX), S(volume, source_volid, FILTER | INDEX),
    S(volume, image_id, 0), S(volume, backup_id, 0), S(volume, name_id, FILTER | INDEX), I(volume, size, FS),
    I(volume, generation, 0), B(volume, made, 0), B(volume, deleting, FILTER), B(volume, bootable, FS), B(volume, multiattach, FILTER),
    B(volume, encrypted, 0), B(volume, read_only, 0), B(volume, read_only_said, 0), B(volume, shared, 0), M(volume, metadata),
    M(volume, image_metadata),
    ROW("source", FIELD_OBJECT, volume, source, 0, .sub = &DISK_SOURCE_SCHEMA),
    ROW("image", FIELD_OBJECT, volume, image, 0, .sub = &SERVER_IMAGE_SCHEMA),
    T(volume, created_at, FS), T(volume, updated_at, FS), T(volume, launched_at, 0),
    ROW("display_name", FIELD_STRING, volume, name, SORT), /* the name of old, in sort keys */
};
static SCHEMA(VOLUME_SCHEMA, struct volume, VOLUME_ROWS);
static void volume_keys(const void *object, struct key_sink *k)
{
    metadata_keys(&((const struct volume *)object)->metadata, k);
}
static const char *const BY_PROJECT[] = { "project_id,created_at,id", "created_at,id", NULL };
const struct kind VOLUME_KIND = { .name = "volume.volume", .schema = &VOLUME_SCHEMA, .keys = volume_keys,
                                  .indexes = BY_PROJECT, .host_field = "host", .keys_version = 1 };

static const struct field ATTACHMENT_ROWS[] = {
    FIELD_ID(struct attachment),
    S(attachment, volume_id, FS | INDEX), S(attachment, project_id, FILTER | INDEX),
    S(attachment, server_id, FS | INDEX), S(attachment, host, FILTER | INDEX), S(attachment, host_name, 0),
    S(attachment, device, 0), S(attachment, status, FS), S(attachment, mode, FILTER), S(attachment, connector, 0),
    B(attachment, compute, 0), T(attachment, created_at, FS), T(attachment, attached_at, 0),
};
static SCHEMA(ATTACHMENT_SCHEMA, struct attachment, ATTACHMENT_ROWS);
const struct kind ATTACHMENT_KIND = { .name = "volume.attachment", .schema = &ATTACHMENT_SCHEMA,
                                      .host_field = "host" };

static const struct field SNAPSHOT_ROWS[] = {
    FIELD_ID(struct snapshot),
    S(snapshot, project_id, FS | INDEX), S(snapshot, user_id, FILTER), S(snapshot, volume_id, FS | INDEX),
    S(snapshot, name, FS), S(snapshot, description, FILTER), S(snapshot, status, FS), S(snapshot, host, FILTER | INDEX),
    S(snapshot, group_snapshot_id, FILTER | INDEX), S(snapshot, type_id, 0), S(snapshot, progress, 0), S(snapshot, name_id, FILTER | INDEX),
    I(snapshot, size, FS), B(snapshot, made, 0), B(snapshot, deleting, FILTER), B(snapshot, bootable, 0), M(snapshot, metadata),
    M(snapshot, image_metadata), T(snapshot, created_at, FS), T(snapshot, updated_at, FS),
    ROW("display_name", FIELD_STRING, snapshot, name, SORT), /* the name of old, in sort keys */
};
static SCHEMA(SNAPSHOT_SCHEMA, struct snapshot, SNAPSHOT_ROWS);
static void snapshot_keys(const void *object, struct key_sink *k)
{
    metadata_keys(&((const struct snapshot *)object)->metadata, k);
}
const struct kind VSNAPSHOT_KIND = { .name = "volume.snapshot", .schema = &SNAPSHOT_SCHEMA, .keys = snapshot_keys,
                                     .indexes = BY_PROJECT, .host_field = "host", .keys_version = 1 };

static const struct field BACKUP_ROWS[] = {
    FIELD_ID(struct backup),
    S(backup, project_id, FS | INDEX), S(backup, user_id, 0), S(backup, volume_id, FS | INDEX),
    S(backup, snapshot_id, FILTER), S(backup, parent_id, FILTER | INDEX), S(backup, name, FS),
    S(backup, description, 0), S(backup, status, FS), S(backup, fail_reason, 0), S(backup, container, 0),
    S(backup, availability_zone, 0), S(backup, host, FILTER | INDEX), S(backup, hash, 0), S(backup, file_id, FILTER | INDEX), I(backup, size, FS),
    I(backup, object_count, 0), B(backup, made, 0), B(backup, incremental, FILTER), B(backup, deleting, 0), M(backup, metadata),
    M(backup, volume_metadata), M(backup, image_metadata), B(backup, bootable, 0),
    T(backup, created_at, FS), T(backup, updated_at, FS), T(backup, data_timestamp, FS),
};
static SCHEMA(BACKUP_SCHEMA, struct backup, BACKUP_ROWS);
const struct kind BACKUP_KIND = { .name = "volume.backup", .schema = &BACKUP_SCHEMA, .indexes = BY_PROJECT,
                                  .host_field = "host" };

static const struct field ERRAND_ROWS[] = {
    FIELD_ID(struct errand),
    S(errand, kind, 0), S(errand, host, FILTER | INDEX), S(errand, volume_id, FILTER | INDEX), S(errand, other_id, 0),
    S(errand, format, 0), T(errand, created_at, 0),
};
static SCHEMA(ERRAND_SCHEMA, struct errand, ERRAND_ROWS);
const struct kind ERRAND_KIND = { .name = "volume.errand", .schema = &ERRAND_SCHEMA, .host_field = "host" };

static const struct field ENCRYPTION_ROWS[] = {
    S(volume_encryption, id, 0), S(volume_encryption, provider, 0), S(volume_encryption, cipher, 0),
    S(volume_encryption, control_location, 0), I(volume_encryption, key_size, 0), T(volume_encryption, created_at, 0),
};
static SCHEMA(ENCRYPTION_SCHEMA, struct volume_encryption, ENCRYPTION_ROWS);
static const struct field TYPE_ROWS[] = {
    FIELD_ID(struct volume_type),
    S(volume_type, name, FS), S(volume_type, description, 0), S(volume_type, qos_id, FILTER | INDEX),
    B(volume_type, is_public, FS), M(volume_type, extra_specs),
    ROW("projects", FIELD_STRINGS, volume_type, projects, INDEX, .items_max = 10000),
    ROW("encryption", FIELD_OBJECT, volume_type, encryption, 0, .sub = &ENCRYPTION_SCHEMA),
    T(volume_type, created_at, FS), T(volume_type, updated_at, 0),
};
static SCHEMA(TYPE_SCHEMA, struct volume_type, TYPE_ROWS);
static void type_keys(const void *object, struct key_sink *k)
{
    key_add_unique(k, "name", ((const struct volume_type *)object)->name);
}
const struct kind VOLUME_TYPE_KIND = { .name = "volume.type", .schema = &TYPE_SCHEMA, .keys = type_keys };

static const struct field QOS_ROWS[] = {
    FIELD_ID(struct qos_spec),
    S(qos_spec, name, FS), S(qos_spec, consumer, FS), M(qos_spec, specs), T(qos_spec, created_at, FS),
};
static SCHEMA(QOS_SCHEMA, struct qos_spec, QOS_ROWS);
static void qos_keys(const void *object, struct key_sink *k)
{
    key_add_unique(k, "name", ((const struct qos_spec *)object)->name);
}
const struct kind QOS_SPEC_KIND = { .name = "volume.qos", .schema = &QOS_SCHEMA, .keys = qos_keys };

static const struct field TRANSFER_ROWS[] = {
    FIELD_ID(struct transfer),
    S(transfer, project_id, FILTER | INDEX), S(transfer, volume_id, FS | INDEX), S(transfer, name, FS),
    ROW("salt", FIELD_STRING, transfer, salt, SECRET), ROW("hash", FIELD_STRING, transfer, hash, SECRET),
    S(transfer, destination_project_id, 0), B(transfer, accepted, 0), B(transfer, no_snapshots, 0),
    T(transfer, created_at, FS),
};
static SCHEMA(TRANSFER_SCHEMA, struct transfer, TRANSFER_ROWS);
const struct kind TRANSFER_KIND = { .name = "volume.transfer", .schema = &TRANSFER_SCHEMA };

static const struct field GROUP_TYPE_ROWS[] = {
    FIELD_ID(struct group_type),
    S(group_type, name, FS), S(group_type, description, 0), B(group_type, is_public, FS), M(group_type, specs),
    T(group_type, created_at, FS),
};
static SCHEMA(GROUP_TYPE_SCHEMA, struct group_type, GROUP_TYPE_ROWS);
static void group_type_keys(const void *object, struct key_sink *k)
{
    key_add_unique(k, "name", ((const struct group_type *)object)->name);
}
const struct kind GROUP_TYPE_KIND = { .name = "volume.group_type", .schema = &GROUP_TYPE_SCHEMA,
                                      .keys = group_type_keys };

static const struct field GROUP_ROWS[] = {
    FIELD_ID(struct group),
    S(group, project_id, FILTER | INDEX), S(group, user_id, 0), S(group, name, FS), S(group, description, 0),
    S(group, status, FS), S(group, group_type, FILTER | INDEX), S(group, availability_zone, 0),
    S(group, group_snapshot_id, 0), S(group, source_group_id, 0),
    ROW("volume_types", FIELD_STRINGS, group, volume_types, 0), T(group, created_at, FS),
};
static SCHEMA(GROUP_SCHEMA, struct group, GROUP_ROWS);
const struct kind GROUP_KIND = { .name = "volume.group", .schema = &GROUP_SCHEMA };

static const struct field GROUP_SNAPSHOT_ROWS[] = {
    FIELD_ID(struct group_snapshot),
    S(group_snapshot, project_id, FILTER | INDEX), S(group_snapshot, user_id, 0),
    S(group_snapshot, group_id, FS | INDEX), S(group_snapshot, group_type, 0), S(group_snapshot, name, FS),
    S(group_snapshot, description, 0), S(group_snapshot, status, FS), T(group_snapshot, created_at, FS),
};
static SCHEMA(GROUP_SNAPSHOT_SCHEMA, struct group_snapshot, GROUP_SNAPSHOT_ROWS);
const struct kind GROUP_SNAPSHOT_KIND = { .name = "volume.group_snapshot", .schema = &GROUP_SNAPSHOT_SCHEMA };

static const struct field MESSAGE_ROWS[] = {
    FIELD_ID(struct message),
    S(message, project_id, FILTER | INDEX), S(message, request_id, FS), S(message, resource_type, FS),
    ROW("resource_uuid", FIELD_STRING, message, resource_id, FS | INDEX), S(message, event_id, FS),
    S(message, user_message, 0), ROW("message_level", FIELD_STRING, message, level, FS), T(message, created_at, FS),
    T(message, guaranteed_until, FS),
};
static SCHEMA(MESSAGE_SCHEMA, struct message, MESSAGE_ROWS);
const struct kind MESSAGE_KIND = { .name = "volume.message", .schema = &MESSAGE_SCHEMA };

static const struct field BACKEND_KIND_ROWS[] = {
    FIELD_ID(struct backend),
    S(backend, host, FS | INDEX), ROW("facts", FIELD_OBJECT, backend, facts, 0, .sub = &VOLUME_BACKEND_SCHEMA),
    B(backend, disabled, 0), B(backend, frozen, 0), S(backend, disabled_reason, 0), T(backend, created_at, 0),
    T(backend, updated_at, 0),
};
static SCHEMA(BACKEND_SCHEMA, struct backend, BACKEND_KIND_ROWS);
const struct kind BACKEND_KIND = { .name = "volume.backend", .schema = &BACKEND_SCHEMA };

static const struct field UNMANAGED_ROWS[] = {
    FIELD_ID(struct unmanaged),
    S(unmanaged, host, FILTER | INDEX), S(unmanaged, backend, 0), S(unmanaged, volume_id, FILTER),
    I(unmanaged, size, FS), B(unmanaged, snapshot, FILTER),
};
static SCHEMA(UNMANAGED_SCHEMA, struct unmanaged, UNMANAGED_ROWS);
const struct kind UNMANAGED_KIND = { .name = "volume.unmanaged", .schema = &UNMANAGED_SCHEMA };

static const struct field DEFAULT_TYPE_ROWS[] = {
    FIELD_ID(struct default_type), S(default_type, type_id, FILTER | INDEX),
};
static SCHEMA(DEFAULT_TYPE_SCHEMA, struct default_type, DEFAULT_TYPE_ROWS);
const struct kind DEFAULT_TYPE_KIND = { .name = "volume.default_type", .schema = &DEFAULT_TYPE_SCHEMA };

const struct kind *const VOLUME_KINDS[] = {
    &VOLUME_KIND, &ATTACHMENT_KIND, &VSNAPSHOT_KIND, &BACKUP_KIND, &ERRAND_KIND, &VOLUME_TYPE_KIND, &QOS_SPEC_KIND,
    &TRANSFER_KIND, &GROUP_TYPE_KIND, &GROUP_KIND, &GROUP_SNAPSHOT_KIND, &MESSAGE_KIND, &BACKEND_KIND,
    &UNMANAGED_KIND, &DEFAULT_TYPE_KIND, NULL,
};
