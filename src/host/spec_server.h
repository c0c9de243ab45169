/*
 * The wire between control process and host agents, as far as servers go.
 *
 * server_spec is all that an agent needs to bring one server into its wanted state,
 * without asking anybody: it is what the desired-state poll carries. server_observed is
 * what goes back. host_facts tells what the host is and can do. Each struct has one
 * schema; services encode by it, agents decode by it (both in the 'stored' form, so that
 * secrets travel). Keys that a side doesn't know are dropped, so that a newer control
 * process may talk to an older agent.
 *
 * Orders are no messages. What a tenant orders more than once (reboot, rebuild, new
 * password, NMI) is a generation counter: the control process counts up, the agent acts
 * when the wanted counter is higher than the one it has done, and reports the one it has
 * done. So a lost or repeated poll does no harm. What has a result of its own (a snapshot)
 * is an object with an id in a list; it is worked on until it shows up in 'tasks' as done
 * or failed, and the control process takes it from the list.
 */
#ifndef YUNDUO_HOST_SPEC_SERVER_H
#define YUNDUO_HOST_SPEC_SERVER_H

#include "base/field.h"

/* Wanted power. */
#define POWER_RUNNING "running"
#define POWER_SHUTOFF "shutoff"
#define POWER_PAUSED "paused"
#define POWER_SUSPENDED "suspended"     /* memory saved to disk, nothing in RAM */
/* Observed only. */
#define POWER_ABSENT "absent"           /* there is no domain */
#define POWER_CRASHED "crashed"
extern const char *const POWER_WANTED[];    /* null ended, for rows */
extern const char *const POWER_OBSERVED[];

/* A route of a subnet, for network_data.json. */
struct server_route {
    const char *destination;            /* "10.1.0.0/24" */
    const char *gateway;
};

/* One fixed address of a port. */
struct server_address {
    const char *address;
    int64_t prefix;                     /* length of the subnet's prefix */
    int64_t version;                    /* 4 or 6 */
    const char *subnet_id;
    const char *gateway;                /* null: none */
    const char *ipv6_mode;              /* "slaac", "dhcpv6-stateful", "dhcpv6-stateless" or null */
    bool dhcp;                          /* the subnet serves DHCP: the guest asks instead of being told */
    struct strv dns;
    VEC_OF(struct server_route) routes;
};

struct server_nic {
    const char *port_id;
    const char *network_id;
    const char *network_name;
    const char *mac;
    const char *tap;                    /* device name on the host, at most 15 characters */
    const char *bridge;                 /* null: the network driver made and plugged the tap itself */
    int64_t mtu;                        /* 0: the default */
    const char *model;                  /* "virtio", "e1000", ...; null: as the image says, else virtio */
    const char *tag;                    /* device role tag, or null */
    const char *type;                   /* null or "tap"; "direct" is a PCI function passed through */
    const char *pci_address;            /* "0000:3b:00.1", for "direct" */
    bool offload_off;                   /* switch off virtio offloads (userspace switches need it) */
    bool trusted;
    VEC_OF(struct server_address) addresses;
};

/* Where the bytes of a disk are. 'driver' says which of the members count. */
struct disk_source {
    const char *driver;                 /* "file", "block", "iscsi", "rbd", "nfs" */
    const char *format;                 /* "raw", "qcow2" */
    const char *path;                   /* file, block device; or path inside an NFS export */
    const char *target;                 /* iscsi IQN; rbd "pool/image"; nfs export */
    int64_t lun;                        /* iscsi */
    struct strv hosts;                  /* "10.0.0.1:3260", Ceph monitors */
    const char *user;                   /* CHAP name, Ceph id */
    const char *secret;                 /* CHAP password, Ceph key (SECRET) */
    const char *config;                 /* path of a Ceph configuration file, or null */
};

/* Limits of a disk or 0 for none; per second. */
struct disk_qos {
    int64_t total_iops, read_iops, write_iops;
    int64_t total_bytes, read_bytes, write_bytes;
    int64_t total_iops_max, total_bytes_max;    /* bursts */
};

/* What a disk is; decides who makes it. */
#define DISK_ROOT "root"                /* overlay or copy of the image, made and deleted by the agent */
#define DISK_EPHEMERAL "ephemeral"      /* empty (or formatted), made and deleted by the agent */
#define DISK_SWAP "swap"
#define DISK_CONFIG "config"            /* the config drive */
#define DISK_VOLUME "volume"            /* exists on its own; 'source' says where */
#define DISK_RESCUE "rescue"            /* root disk of a rescue boot, made by the agent */
#define DISK_ISO "iso"                  /* an image attached as CD */
extern const char *const DISK_KINDS[];

struct server_disk {
    const char *id;                     /* volume id, or kind and number: "root", "ephemeral0"; unique here */
    const char *kind;
    const char *device;                 /* "vda"; null: the agent's driver chooses and reports */
    const char *bus;                    /* "virtio", "scsi", "ide", "sata", "usb"; null: by the image or virtio */
    const char *device_type;            /* "disk", "cdrom", "lun"; null: disk */
    int64_t boot_index;                 /* from 0; -1: never */
    int64_t size_bytes;                 /* 0: as large as the source */
    struct disk_source *source;         /* null for what the agent makes itself */
    bool read_only;
    bool multiattach;                   /* several servers have it: no host cache, shareable */
    const char *serial;                 /* seen by the guest; volumes: the id */
    const char *tag;
    const char *guest_format;           /* "ext4", "swap", ...: format ephemeral disks on making, or null */
    const char *cache;                  /* QEMU cache mode; null: none where O_DIRECT works, else writeback */
    const char *io;                     /* "native", "threads", "io_uring"; null: chosen */
    bool discard;                       /* the guest's TRIM reaches the source */
    const char *encryption_secret;      /* passphrase of a LUKS volume (SECRET), or null */
    const char *encryption_format;      /* "luks", "luks2" or null */
    struct disk_qos *qos;
};

struct server_key {
    const char *name;
    const char *public_key;
    const char *type;                   /* "ssh", "x509" */
};

struct server_image {
    const char *id;                     /* null: booted from a volume */
    const char *name;
    const char *hash_algorithm;         /* "sha512" */
    const char *hash;                   /* of the file as stored by the image service */
    const char *disk_format;            /* "qcow2", "raw", "vmdk", "vdi", "vhd", "vhdx", "iso", "ami" */
    const char *container_format;       /* "bare", "ami", "ova" */
    int64_t size;                       /* bytes of the file */
    int64_t min_disk_gb;
    const char *kernel_id;              /* for "ami", or null */
    const char *ramdisk_id;
    struct strmap properties;           /* hw_*, os_*, img_* */
};

/* A wanted copy of a disk as one flat file, handed to the image or volume service. */
struct server_snapshot {
    const char *id;
    const char *disk_id;                /* server_disk.id */
    const char *format;                 /* "qcow2", "raw" */
    const char *image_id;               /* upload to this image; or null */
    const char *target_path;            /* or leave it there */
    bool quiesce;                       /* freeze the guest's file systems; an error without its agent */
};

/* A wanted change that runs across hosts. */
struct server_migration {
    const char *id;
    const char *kind;                   /* "live", "cold", "resize", "evacuate" */
    const char *role;                   /* "source", "destination": which end this host is */
    const char *source_host, *dest_host;
    const char *dest_uri;               /* libvirt URI of the other end, for live */
    const char *dest_address;
    bool block;                         /* local disks travel too */
    bool force_complete;
    bool abort;
};

struct server_file {
    const char *path;
    const char *contents;               /* base64 */
};

struct server_spec {
    const char *id;
    int64_t revision;                   /* of the desired state; echoed in the report */
    const char *name;                   /* display name */
    const char *hostname;
    const char *project_id, *user_id;
    const char *project_name, *user_name;
    const char *availability_zone;
    const char *reservation_id;
    int64_t launch_index;
    usec_t created_at;

    /* Generation counters. */
    int64_t reboot_soft, reboot_hard;
    int64_t rebuild;                    /* root disk is made anew from 'image' */
    int64_t password;                   /* set admin_password in the running guest */
    int64_t nmi;                        /* trigger crash dump */
    int64_t resize;                     /* flavor changed: disks grow, the domain is defined anew */

    const char *power;                  /* wanted: POWER_* */
    bool deleted;                       /* make it vanish: domain, disks, taps */
    bool rescue;                        /* boot from rescue_image, other disks behind */
    bool offloaded;                     /* shelved: nothing is kept here but the promise */
    int64_t stop_timeout;               /* seconds for a clean shutdown; 0: at once; INT_NULL: host's own */

    int64_t vcpus;
    int64_t memory_mb;
    int64_t root_gb;                    /* 0: as large as the image */
    int64_t ephemeral_gb;
    int64_t swap_mb;
    const char *flavor_id, *flavor_name;
    struct strmap extra_specs;          /* hw:*, quota:*, ... */

    struct server_image *image;
    struct server_image *rescue_image;
    const char *rescue_password;        /* SECRET */

    bool config_drive;
    const char *user_data;              /* base64, as it came (SECRET) */
    const char *vendor_data;            /* JSON text, or null */
    struct strmap metadata;
    struct strv tags;
    VEC_OF(struct server_key) keys;
    VEC_OF(struct server_file) personality;
    const char *admin_password;         /* SECRET */
    const char *security_groups;        /* names, comma separated, for the EC2 tree */
    const char *public_ipv4;            /* a floating address, for the EC2 tree, or null */
    const char *encrypted_password;     /* for the metadata service's password page (base64), or null */

    VEC_OF(struct server_nic) nics;
    VEC_OF(struct server_disk) disks;
    VEC_OF(struct server_snapshot) snapshots;
    struct server_migration *migration;

    struct strv pinned_cpus;            /* host CPU of each vCPU, chosen by the scheduler; empty: free */
    const char *numa_topology;          /* JSON text of the scheduler's choice, or null */
    struct strv pci_devices;            /* "0000:3b:00.1" */
};

/* ---- what comes back -------------------------------------------------------------- */

struct observed_disk {
    const char *id;                     /* server_disk.id */
    const char *device;                 /* as attached: "vdb" */
    int64_t size_bytes;
};

struct observed_nic {
    const char *port_id;
    const char *mac;
    const char *tap;
};

/* Progress and end of anything that takes time: an object named in the spec, or a step of
 * making the server ("image", "disks", "network", "define", "start"). */
struct observed_task {
    const char *id;                     /* snapshot or migration id, or the step's name */
    const char *kind;                   /* "snapshot", "migration", "step" */
    const char *state;                  /* "running", "done", "failed" */
    int64_t progress;                   /* percent */
    const char *message;                /* why it failed */
    int64_t size_bytes;                 /* of a finished snapshot */
    const char *path;                   /* where the result is */
};

struct server_observed {
    const char *id;
    int64_t revision;                   /* of the spec that was worked on last */
    const char *power;                  /* POWER_* */
    bool converged;                     /* nothing left to do for that revision */
    bool known;                         /* false: a domain with our mark for which there is no spec */
    const char *instance_name;
    const char *hypervisor_hostname;
    const char *root_device;            /* "/dev/vda" */

    const char *console_host;           /* where the proxies connect: always local to the host */
    int64_t vnc_port;                   /* 0: none */
    int64_t spice_port, spice_tls_port;
    const char *serial_path;            /* unix socket, or null */

    /* Generation counters that are done. */
    int64_t reboot_soft, reboot_hard, rebuild, password, nmi, resize;
    bool rescue;

    int64_t fault_code;                 /* 0: none; else like an HTTP status */
    const char *fault_message;          /* for the tenant */
    const char *fault_details;          /* for administrators */
    usec_t fault_at;
    bool fault_retry;                   /* another host may do better */

    int64_t disk_bytes;                 /* taken on this host by local disks */
    usec_t launched_at;
    VEC_OF(struct observed_disk) disks;
    VEC_OF(struct observed_nic) nics;
    VEC_OF(struct observed_task) tasks;
};

struct host_numa_cell {
    int64_t id;
    int64_t memory_mb;
    const char *cpus;                   /* "0-7,16-23" */
    int64_t pages_2m, pages_1g;         /* huge pages in total */
};

struct host_facts {
    const char *hostname;               /* the hypervisor's own name for itself */
    const char *driver;                 /* "libvirt", "simulated" */
    const char *hypervisor_type;        /* "QEMU" (both with KVM and without), "LXC", ... */
    int64_t hypervisor_version;         /* 7002000 */
    const char *accel;                  /* "kvm", "tcg" */
    const char *accel_reason;           /* why not kvm, or null */
    const char *arch;                   /* "x86_64" */
    const char *host_ip;
    int64_t vcpus;
    int64_t cpu_cores, cpu_threads, cpu_sockets;
    const char *cpu_model, *cpu_vendor;
    struct strv cpu_features;
    struct strv traits;                 /* COMPUTE_*, HW_CPU_X86_* as placement names them */
    int64_t memory_mb;
    int64_t memory_free_mb;
    int64_t disk_gb;
    int64_t disk_free_gb;
    int64_t disk_used_gb;
    int64_t running;                    /* domains of ours that run */
    int64_t load_milli;                 /* load average of a minute, times 1000 */
    usec_t uptime;
    bool spice, uefi, secure_boot, tpm;
    struct strv machine_types;
    VEC_OF(struct host_numa_cell) numa;
};

extern const struct schema SERVER_SPEC_SCHEMA;
extern const struct schema SERVER_OBSERVED_SCHEMA;
extern const struct schema HOST_FACTS_SCHEMA;
/* For those who keep parts on their own. */
extern const struct schema SERVER_NIC_SCHEMA;
extern const struct schema SERVER_DISK_SCHEMA;
extern const struct schema DISK_SOURCE_SCHEMA;
extern const struct schema DISK_QOS_SCHEMA;
extern const struct schema SERVER_IMAGE_SCHEMA;

/* The disk or port of that id, or null. */
struct server_disk *server_spec_disk(const struct server_spec *s, const char *id);
struct server_nic *server_spec_nic(const struct server_spec *s, const char *port_id);

#endif
