/*
 * What the volume service keeps, shared by all of its files.
 *
 * A volume is the ledger: what a project uses and what a backend has promised are sums over the
 * volumes, snapshots and backups themselves. Desired state stands in the objects: 'deleting',
 * 'size' with its 'generation', an origin while the status says that it is being made. Errands are
 * objects of their own that vanish when their host has reported the end.
 */
#ifndef YUNDUO_VOLUME_KINDS_H
#define YUNDUO_VOLUME_KINDS_H

#include "host/spec_volume.h"
#include "store/store.h"

struct volume {
    struct object head;
    const char *project_id, *user_id, *name, *description;
    const char *status;
    const char *previous_status;    /* where extending, backing up and so on return to */
    const char *migration_status;
    const char *host;               /* of its backend; null: none took it */
    const char *backend;
    const char *availability_zone, *type_id, *group_id, *provider_id;
    const char *snapshot_id, *source_volid, *image_id, *backup_id;  /* what it was made of */
    const char *name_id;            /* the backend's name of it where that is not the id */
    int64_t size;                   /* GiB, wanted */
    int64_t generation;
    bool made;                      /* it was whole once, whatever the status is set to later */
    bool deleting, bootable, multiattach, encrypted, read_only, shared;
    bool read_only_said;            /* somebody has set it, either way */
    struct strmap metadata, image_metadata;
    struct disk_source *source;     /* as its host told */
    struct server_image *image;     /* while it is made of one */
    usec_t created_at, updated_at, launched_at;
};

/* Of a server or, through the attachments API, of anybody. */
struct attachment {
    struct object head;
    const char *volume_id, *project_id;
    const char *server_id;          /* null: none named */
    const char *host;               /* where it is plugged in */
    const char *host_name;          /* as os-attach was told */
    const char *device;
    const char *status;             /* "reserved", "attaching", "attached", "detaching", "error_attaching" */
    const char *mode;               /* "rw", "ro", "null" */
    const char *connector;          /* JSON */
    bool compute;                   /* a server of ours has it */
    usec_t created_at, attached_at;
};

struct snapshot {
    struct object head;
    const char *project_id, *user_id, *volume_id, *name, *description, *status;
    const char *host, *group_snapshot_id, *type_id, *name_id;
    const char *progress;           /* as somebody set it; null: by the status */
    int64_t size;
    bool made, deleting, bootable;
    struct strmap metadata, image_metadata;
    usec_t created_at, updated_at;
};

struct backup {
    struct object head;
    const char *project_id, *user_id, *volume_id, *snapshot_id, *parent_id;
    const char *name, *description, *status, *fail_reason, *container, *availability_zone;
    const char *host, *hash;
    const char *file_id;            /* of an imported record: the backup whose file it names */
    int64_t size, object_count;
    bool made, incremental, deleting;
    struct strmap metadata;
    struct strmap volume_metadata, image_metadata;  /* of the volume, to be restored with it */
    bool bootable;
    usec_t created_at, updated_at, data_timestamp;
};

/* Work on a volume that ends: see spec_volume.h. */
struct errand {
    struct object head;
    const char *kind;               /* ITEM_UPLOAD, ITEM_RESTORE, ITEM_REVERT */
    const char *host, *volume_id;
    const char *other_id;           /* image, backup or snapshot */
    const char *format;
    usec_t created_at;
};

struct volume_encryption { const char *id, *provider, *cipher, *control_location; int64_t key_size; usec_t created_at; };

struct volume_type {
    struct object head;
    const char *name, *description, *qos_id;
    bool is_public;
    struct strmap extra_specs;
    struct strv projects;           /* who may use it when it is not public */
    struct volume_encryption *encryption;
    usec_t created_at, updated_at;
};

struct qos_spec {
    struct object head;
    const char *name, *consumer;
    struct strmap specs;
    usec_t created_at;
};

struct transfer {
    struct object head;
    const char *project_id, *volume_id, *name, *salt, *hash, *destination_project_id;
    bool accepted, no_snapshots;
    usec_t created_at;
};

struct group_type {
    struct object head;
    const char *name, *description;
    bool is_public;
    struct strmap specs;
    usec_t created_at;
};

struct group {
    struct object head;
    const char *project_id, *user_id, *name, *description, *status, *group_type;
    const char *availability_zone, *group_snapshot_id, *source_group_id;
    struct strv volume_types;
    usec_t created_at;
};

struct group_snapshot {
    struct object head;
    const char *project_id, *user_id, *group_id, *group_type, *name, *description, *status;
    usec_t created_at;
};

/* Why something went wrong, for its owner. */
struct message {
    struct object head;
    const char *project_id, *request_id, *resource_type, *resource_id, *event_id, *user_message, *level;
    usec_t created_at, guaranteed_until;
};

struct backend {
    struct object head;             /* "host@name" */
    const char *host;
    struct volume_backend_facts *facts;
    bool disabled, frozen;
    const char *disabled_reason;
    usec_t created_at, updated_at;
};

/* On a backend, but no volume or snapshot of the cloud any more. The id is the backend's name. */
struct unmanaged {
    struct object head;
    const char *host, *backend, *volume_id;     /* of a snapshot: the volume it was of */
    int64_t size;
    bool snapshot;
};

/* The volume type of those requests of a project that name none; the id is the project's. */
struct default_type { struct object head; const char *type_id; };

extern const struct kind VOLUME_KIND, ATTACHMENT_KIND, VSNAPSHOT_KIND, BACKUP_KIND, ERRAND_KIND, VOLUME_TYPE_KIND,
    QOS_SPEC_KIND, TRANSFER_KIND, GROUP_TYPE_KIND, GROUP_KIND, GROUP_SNAPSHOT_KIND, MESSAGE_KIND, BACKEND_KIND,
    UNMANAGED_KIND, DEFAULT_TYPE_KIND;
extern const struct kind *const VOLUME_KINDS[];

/* The backend's names. */
static inline const char *volume_name(const struct volume *v)
{
    return v->name_id ? v->name_id : v->head.id;
}
static inline const char *backup_name(const struct backup *b)
{
    return b->file_id ? b->file_id : b->head.id;
}
static inline const char *snapshot_name(const struct snapshot *s)
{
    return s->name_id ? s->name_id : s->head.id;
}

#endif
