/*
 * What the compute service keeps, shared by all of its files.
 *
 * The server is the ledger: what a host has given away is the sum of the claims of the servers
 * (and legs) on it, and nothing else counts it. A *leg* is a second host's part in a server's
 * life: the destination of a migration before it has moved, the source after, or a host that
 * must still clean up. It claims like a server does and ends when that host has reported that
 * nothing is left.
 *
 * What a tenant orders is written into the server as desired state: wanted power, generation
 * counters, flags. 'generation' counts each such change, and a report of an older generation
 * does not end a task.
 */
#ifndef YUNDUO_COMPUTE_KINDS_H
#define YUNDUO_COMPUTE_KINDS_H

#include "host/spec_server.h"
#include "store/store.h"

/* ---- flavors ---- */

struct flavor {
    struct object head;             /* our own id; clients know the flavorid */
    const char *flavorid, *name, *description;
    int64_t ram, vcpus, disk, ephemeral, swap;
    double rxtx_factor;
    bool is_public, disabled;
    struct strmap extra_specs;
    struct strv projects;           /* who may use it when it is not public */
    usec_t created_at, updated_at;
};

/* ---- servers ---- */

/* Nova's names of states; see states.h for the moves. */
#define VM_BUILDING "building"
#define VM_ACTIVE "active"
#define VM_PAUSED "paused"
#define VM_SUSPENDED "suspended"
#define VM_STOPPED "stopped"
#define VM_RESCUED "rescued"
#define VM_RESIZED "resized"
#define VM_SOFT_DELETED "soft-delete"
#define VM_DELETED "deleted"
#define VM_ERROR "error"
#define VM_SHELVED "shelved"
#define VM_SHELVED_OFFLOADED "shelved_offloaded"

#define TASK_SCHEDULING "scheduling"
#define TASK_SPAWNING "spawning"
#define TASK_IMAGE_SNAPSHOT "image_snapshot"
#define TASK_IMAGE_BACKUP "image_backup"
#define TASK_UPDATING_PASSWORD "updating_password"
#define TASK_RESIZE_PREP "resize_prep"
#define TASK_RESIZE_MIGRATING "resize_migrating"
#define TASK_RESIZE_FINISH "resize_finish"
#define TASK_RESIZE_REVERTING "resize_reverting"
#define TASK_RESIZE_CONFIRMING "resize_confirming"
#define TASK_REBOOTING "rebooting"
#define TASK_REBOOTING_HARD "rebooting_hard"
#define TASK_PAUSING "pausing"
#define TASK_UNPAUSING "unpausing"
#define TASK_SUSPENDING "suspending"
#define TASK_RESUMING "resuming"
#define TASK_POWERING_OFF "powering-off"
#define TASK_POWERING_ON "powering-on"
#define TASK_RESCUING "rescuing"
#define TASK_UNRESCUING "unrescuing"
#define TASK_REBUILDING "rebuilding"
#define TASK_MIGRATING "migrating"
#define TASK_DELETING "deleting"
#define TASK_RESTORING "restoring"
#define TASK_SHELVING "shelving"
#define TASK_SHELVING_OFFLOADING "shelving_offloading"
#define TASK_UNSHELVING "unshelving"

/* Nova's numbers of power states. */
enum { PS_NOSTATE = 0, PS_RUNNING = 1, PS_PAUSED = 3, PS_SHUTDOWN = 4, PS_CRASHED = 6, PS_SUSPENDED = 7 };

/* A flavor as it was when the server took it. */
struct flavor_copy {
    const char *id;                 /* of the flavor's record */
    const char *flavorid, *name;
    int64_t ram, vcpus, disk, ephemeral, swap;
    double rxtx_factor;
    struct strmap extra_specs;
};

struct server_fault {
    int64_t code;
    const char *message, *details;
    usec_t created_at;
};

/* A row of block_device_mapping_v2. */
struct bdm {
    const char *source_type, *destination_type;     /* volume image snapshot blank; local volume */
    const char *uuid;               /* what the source is */
    const char *volume_id;          /* once there is one */
    int64_t boot_index;             /* -1: never */
    int64_t volume_size;            /* GiB; 0: not said */
    const char *device_name, *disk_bus, *device_type, *guest_format, *tag, *volume_type;
    bool delete_on_termination;
    bool no_device;
};

/* A port the server was given, with what only compute knows of it. */
struct nic_request {
    const char *port_id;
    const char *network_id;
    const char *tag;
    bool made_here;                 /* made for this server: goes with it */
};

struct server {
    struct object head;
    const char *project_id, *user_id, *project_name, *user_name;
    const char *display_name, *display_description, *hostname;
    usec_t created_at, updated_at, launched_at, terminated_at;
    const char *reservation_id;
    int64_t launch_index;

    /* state */
    const char *vm_state, *task_state;
    int64_t power_state;
    int64_t progress;
    usec_t task_since;              /* when the task began; 0: none */
    struct server_fault *fault;
    const char *action_id;          /* of the action under way */
    bool locked;
    const char *locked_by, *locked_reason;      /* "admin", "owner" */
    const char *vm_state_before;    /* where rescue, resize, shelve and soft delete came from */
    usec_t delete_after;            /* soft delete ends */

    /* where */
    const char *host, *node, *instance_name, *root_device_name;
    const char *availability_zone;  /* asked for, or null */
    const char *requested_host;     /* forced, or null */
    bool requested_host_checked;    /* the filters apply to it all the same */
    struct strv hosts_tried;
    int64_t spawn_faults;           /* told by its present host while making it */
    const char *hints;              /* scheduler hints, JSON */
    const char *group_id;
    int64_t claim_vcpus, claim_memory_mb, claim_disk_gb;    /* 0 while it has no host */

    /* what */
    struct flavor_copy *flavor;
    struct flavor_copy *new_flavor; /* of a resize under way; the old one after it */
    const char *instance_type_id;   /* the flavor's record, as a column */
    int64_t flavor_vcpus, flavor_ram;   /* likewise: what quotas count */
    const char *image_ref;          /* null or "": booted from a volume */
    struct server_image *image;
    struct server_image *rescue_image;
    struct strv backups;            /* "<image id> <type>", the oldest first */
    const char *shelved_image;      /* made by shelving: its disk until it comes back */
    const char *kernel_id, *ramdisk_id;
    const char *key_name;
    VEC_OF(struct server_key) keys;
    const char *user_data;
    const char *admin_password;
    const char *rescue_password;
    const char *encrypted_password; /* posted by the guest; base64 */
    VEC_OF(struct server_file) personality;
    bool config_drive;
    bool auto_disk_config;
    const char *access_ip_v4, *access_ip_v6;
    struct strmap metadata;
    struct strv tags;
    struct strv security_groups;    /* names or ids asked for at birth */
    const char *trusted_certs;      /* JSON list or null */
    VEC_OF(struct bdm) bdms;
    VEC_OF(struct nic_request) nics;

    /* what agents are to do */
    int64_t generation;
    const char *power;              /* POWER_*: wanted */
    bool rescue;
    bool deleting;
    int64_t reboot_soft, reboot_hard, rebuild, password, nmi, resize;

    /* seen last */
    const char *seen_power;
    const char *console_host, *serial_path;
    int64_t vnc_port, spice_port, spice_tls_port;
};

/* ---- what happens to servers ---- */

struct action_event {
    const char *event, *host, *result, *traceback, *details;
    usec_t start_time, finish_time;
};

struct action {
    struct object head;
    const char *server_id, *project_id, *user_id, *request_id;
    const char *action, *message;
    usec_t start_time, updated_at;
    VEC_OF(struct action_event) events;
};

struct leg {
    struct object head;
    const char *server_id, *host;
    const char *migration_id;       /* null: only cleaning up */
    const char *role;               /* LEG_* */
    int64_t claim_vcpus, claim_memory_mb, claim_disk_gb;
    usec_t created_at;
};
#define LEG_DESTINATION "destination"
#define LEG_SOURCE "source"
#define LEG_CLEANUP "cleanup"       /* to be made to vanish there */

struct migration {
    struct object head;             /* the uuid */
    int64_t number;                 /* "id" of the API */
    const char *server_id, *project_id, *user_id;
    const char *migration_type;     /* "migration", "resize", "live-migration", "evacuation" */
    const char *status;             /* Nova's: "accepted", "queued", "preparing", "running", "done", ... */
    const char *source_compute, *source_node, *dest_compute, *dest_node, *dest_host;
    const char *old_flavor_id, *new_flavor_id;
    const char *requested_host;
    bool block, force_complete, abort, force;
    int64_t memory_total, memory_done, disk_total, disk_done, progress;
    usec_t created_at, updated_at;
};

/* A disk on its way to the image service. */
struct snapshot_task {
    struct object head;
    const char *server_id, *host, *image_id, *disk_id, *format;
    const char *purpose;            /* "image", "backup", "shelve" */
    bool quiesce;
    usec_t created_at;
};

/* ---- where servers live ---- */

struct compute_host {
    struct object head;             /* the id is the host's name */
    const char *service_id;         /* uuid of its nova-compute service */
    const char *node_id;            /* uuid of its hypervisor and resource provider */
    int64_t number;                 /* of the service and hypervisor before uuids */
    struct host_facts *facts;
    usec_t created_at, updated_at;
    usec_t last_seen;               /* written now and then; hosts.h knows better */
    bool disabled, forced_down;
    const char *disabled_reason;
    double cpu_ratio, ram_ratio, disk_ratio;    /* 0: the defaults */
    int64_t reserved_memory_mb, reserved_disk_gb, reserved_vcpus;
};

struct aggregate {
    struct object head;             /* the uuid */
    int64_t number;                 /* "id" of the API */
    const char *name;
    struct strv hosts;
    struct strmap metadata;         /* "availability_zone" among them */
    usec_t created_at, updated_at;
};

struct server_group {
    struct object head;
    const char *project_id, *user_id, *name;
    const char *policy;             /* "affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity" */
    int64_t max_server_per_host;    /* 0: no such rule, which means 1 */
    usec_t created_at;
};

struct keypair {
    struct object head;
    int64_t number;                 /* "id" of the API */
    const char *user_id, *name, *type;          /* "ssh", "x509" */
    const char *public_key, *fingerprint;
    usec_t created_at;
};

/* Numbers that count up: the small integers of old APIs. The id names what is counted. */
struct sequence {
    struct object head;
    int64_t last;
};

extern const struct kind FLAVOR_KIND, SERVER_KIND, DELETED_SERVER_KIND, ACTION_KIND, LEG_KIND, MIGRATION_KIND,
    SNAPSHOT_TASK_KIND, COMPUTE_HOST_KIND, AGGREGATE_KIND, SERVER_GROUP_KIND, KEYPAIR_KIND, SEQUENCE_KIND, QUESTION_KIND;
extern const struct schema FLAVOR_COPY_SCHEMA, SERVER_SCHEMA, BDM_SCHEMA;
extern const struct kind *const COMPUTE_KINDS[];

/* The next number of this name, from 1 on. 0 or negative. */
int sequence_next(struct txn *t, const char *name, int64_t *ret);

#endif
