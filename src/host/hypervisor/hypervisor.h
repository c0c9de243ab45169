/*
 * What the agent asks of a hypervisor: a table of functions, one per kind.
 *
 * The model. A *domain* is what a hypervisor knows of one server; its id is the server's.
 * The caller computes what should be (struct server_spec with the source of every disk
 * filled in, see host/disk/instance.h) and calls; the driver makes it so. The driver keeps
 * nothing on disk of its own: what exists is asked of the hypervisor each time, by the mark
 * that every domain of ours carries, so an agent that was killed finds everything again.
 *
 * Rules for every call:
 *   - It runs on a worker thread and may block. Several threads may call at once, but for
 *     one server the caller makes one call at a time.
 *   - It may be repeated: asking for what is already so succeeds and does nothing.
 *   - It keeps no pointer into its arguments. Results live in the caller's arena.
 *   - Returns 0; FAULT with 'fault' filled where the reason can be told to a tenant (no
 *     guest agent, no such device, unsupported property); negative where something broke:
 *     -ENOTCONN while the hypervisor's daemon is away (repeat later), -ENOENT where the
 *     domain doesn't exist and the call needs it.
 *   - A null entry: this kind can't. The hypervisor_*() functions below then fill a fault
 *     with 501 and return FAULT.
 *   - After a failure nothing half-made is left behind, or the next call with the same
 *     arguments cleans it up.
 */
#ifndef YUNDUO_HOST_HYPERVISOR_HYPERVISOR_H
#define YUNDUO_HOST_HYPERVISOR_HYPERVISOR_H

#include "base/error.h"
#include "host/spec_server.h"

struct hypervisor;

enum domain_state {
    DOMAIN_ABSENT,
    DOMAIN_SHUTOFF,         /* defined, not running, no saved memory */
    DOMAIN_RUNNING,
    DOMAIN_PAUSED,
    DOMAIN_SUSPENDED,       /* not running, its memory is saved; start() resumes from it */
    DOMAIN_CRASHED,         /* the guest or its emulator died; counts as not running */
};
/* "running", "shutoff", ...: the POWER_* word of a state. */
const char *domain_state_power(enum domain_state state);

struct domain_disk {
    const char *device;             /* "vda" */
    const char *id;                 /* server_disk.id, from the domain's own mark */
    const char *source;             /* path or remote name, for people */
};

struct domain_nic {
    const char *mac;
    const char *tap;
};

struct domain_info {
    const char *id;                 /* server id */
    const char *name;               /* of the domain: "yun-..." */
    enum domain_state state;
    bool io_error;                  /* paused by the hypervisor for an I/O error, mostly a full disk */
    /* What define() was given, as hypervisor_fingerprint() computes it; differs from that of
     * the spec: define() has something to change at the next cold start. */
    const char *fingerprint;
    const char *console_host;       /* "127.0.0.1" */
    int64_t vnc_port;               /* 0: none or not running */
    int64_t spice_port, spice_tls_port;
    const char *serial_path;        /* unix socket of the serial console, or null */
    VEC_OF(struct domain_disk) disks;
    VEC_OF(struct domain_nic) nics;
};

struct domain_list { struct domain_info *v; size_t n; size_t cap; };

struct domain_cpu_stat { int64_t id, time_ns, utilisation; };
struct domain_disk_stat {
    const char *device;
    int64_t read_bytes, read_requests, write_bytes, write_requests, errors;     /* errors: -1 unknown */
};
struct domain_nic_stat {
    const char *mac, *tap;
    int64_t rx_bytes, rx_packets, rx_drop, rx_errors, tx_bytes, tx_packets, tx_drop, tx_errors;
};
struct domain_diagnostics {
    enum domain_state state;
    usec_t uptime;                  /* since it was started; 0: unknown */
    int64_t memory_max_kb, memory_used_kb;
    VEC_OF(struct domain_cpu_stat) cpus;
    VEC_OF(struct domain_disk_stat) disks;
    VEC_OF(struct domain_nic_stat) nics;
};

enum domain_event {
    DOMAIN_EVENT_STARTED,
    DOMAIN_EVENT_STOPPED,           /* by whomever: the guest, us, an operator, a crash */
    DOMAIN_EVENT_PAUSED,
    DOMAIN_EVENT_RESUMED,
    DOMAIN_EVENT_REBOOTED,          /* the guest restarted itself, or did as reboot() asked */
    DOMAIN_EVENT_AGENT,             /* the guest agent came or went */
    DOMAIN_EVENT_DEVICE,            /* a device came or went (guest let go of a disk) */
    DOMAIN_EVENT_RESYNC,            /* id is null: events may have been lost, look at everything */
};
/* Called on a thread of the driver: must be short and call no function of the driver. */
typedef void (*domain_event_function)(void *cookie, const char *id, enum domain_event event);

/* How the host and its guests are to be set up. Zero means the default everywhere. */
struct hypervisor_config {
    const char *uri;                /* "qemu:///system" */
    const char *host_name;          /* what this host is called in the cloud; marks domains; null: hostname */
    const char *run_dir;            /* sockets of serial consoles; "/run/yunduo/serial" */
    const char *log_dir;            /* console logs, one folder per server; "/var/lib/yunduo/console" */
    const char *name_prefix;        /* "yun-": domains with it are ours */
    const char *accel;              /* "auto" (default), "kvm", "tcg" */
    const char *machine;            /* "pc" (default), "q35": where the image doesn't say */
    const char *cpu_mode;           /* "host-model" (default), "host-passthrough", "none": under KVM */
    const char *cpu_model;          /* named CPU model, overrides cpu_mode */
    const char *console_host;       /* "127.0.0.1" */
    int64_t console_log_bytes;      /* kept per server; 1 MiB */
    int64_t tcg_cache_mb;           /* translation cache of one guest; 32 */
    bool spice;                     /* offer SPICE beside VNC where the emulator can */
    int64_t memory_reserved_mb;     /* kept for the host itself, for facts */
    const char *data_dir;           /* whose file system counts as the host's disk; "/var/lib/yunduo" */
    domain_event_function on_event; /* or null */
    void *cookie;
    /* Simulated driver only. */
    int64_t sim_vcpus, sim_memory_mb, sim_disk_gb;
    usec_t sim_delay;               /* each start and stop blocks this long */
};

/* Where a live migration goes. */
struct migrate_target {
    const char *uri;                /* libvirt URI of the other end, as this end's daemon sees it */
    const char *address;            /* data goes there; null: what the other end calls itself */
    const struct server_spec *spec; /* as the other end has it: paths of disks, names of taps */
    bool block;                     /* local disks travel too; there, prepared ones wait */
    bool paused;                    /* the guest stands still meanwhile: always comes to an end */
};

struct hypervisor_class {
    const char *name;               /* "libvirt", "simulated" */

    /* Starts the driver. It succeeds although the daemon is away; calls then say -ENOTCONN
     * and the driver goes on trying. FAULT: the configuration can't work. */
    int (*open)(const struct hypervisor_config *config, struct hypervisor **ret, struct fault *fault);
    /* Lets go; domains run on. No event is delivered after it returned. Null is allowed. */
    void (*close)(struct hypervisor *hv);

    /* What the host is. The first call may take a minute (emulators are probed once). */
    int (*facts)(struct hypervisor *hv, struct arena *a, struct host_facts *ret);

    /* All domains of ours, with id, name, state and fingerprint; the other members only
     * where observe() is asked. */
    int (*list)(struct hypervisor *hv, struct arena *a, struct domain_list *ret);
    /* One of them in full. Absent: 0 with state DOMAIN_ABSENT. */
    int (*observe)(struct hypervisor *hv, const char *id, struct arena *a, struct domain_info *ret);

    /* Makes the domain's definition what the spec says. A running one is not touched: the
     * new definition counts from its next cold start (for live changes see attach and
     * friends). FAULT: the spec asks for what this host can't (firmware, model, bus). */
    int (*define)(struct hypervisor *hv, const struct server_spec *spec, struct fault *fault);
    /* From shutoff or crashed: boots. From suspended: goes on from the saved memory (a saved
     * image that can't be restored is dropped and the guest boots). Paused: goes on. */
    int (*start)(struct hypervisor *hv, const char *id, struct fault *fault);
    /* Asks the guest to power off and waits; after 'timeout' pulls the plug. 0: at once.
     * Drops saved memory. An absent domain is stopped. */
    int (*stop)(struct hypervisor *hv, const char *id, usec_t timeout);
    /* Asks the guest to restart; returns when it was asked. FAULT: the guest can't hear. A
     * hard reboot is stop(0), define(), start(): made by the caller, who has the spec. */
    int (*reboot)(struct hypervisor *hv, const char *id, struct fault *fault);
    int (*pause)(struct hypervisor *hv, const char *id, struct fault *fault);
    int (*resume)(struct hypervisor *hv, const char *id, struct fault *fault);
    /* Saves memory to disk and stops; start() goes on from there. */
    int (*suspend)(struct hypervisor *hv, const char *id, struct fault *fault);
    /* Removes the domain, running or not, with saved memory, NVRAM, TPM state, console log
     * and socket. Disks are the caller's. Absent: done. */
    int (*destroy)(struct hypervisor *hv, const char *id);

    /* Adds a disk to the definition and, where it runs, to the guest. 'ret_device' (in the
     * arena) tells the name. Already there (same id): tells the name. FAULT: bus full or
     * not hot-pluggable. */
    int (*attach_disk)(struct hypervisor *hv, const char *id, const struct server_disk *disk,
                       struct arena *a, const char **ret_device, struct fault *fault);
    /* Takes it out, by server_disk.id. A running guest must let go; it is asked and waited
     * for a few seconds. FAULT 409: it has not let go yet, repeat later. */
    int (*detach_disk)(struct hypervisor *hv, const char *id, const char *disk_id, struct fault *fault);
    int (*attach_nic)(struct hypervisor *hv, const char *id, const struct server_nic *nic,
                      struct fault *fault);
    int (*detach_nic)(struct hypervisor *hv, const char *id, const char *mac, struct fault *fault);
    /* Tells the running guest that a disk has grown; for local files it also grows the file.
     * Not running: nothing to do here (host/disk grows files). */
    int (*extend_disk)(struct hypervisor *hv, const char *id, const char *disk_id, int64_t bytes,
                       struct fault *fault);
    int (*limit_disk)(struct hypervisor *hv, const char *id, const char *disk_id, const struct disk_qos *qos,
                      struct fault *fault);
    /* Copies the disk as it is at this moment to a new flat file at 'path' (format "qcow2"
     * or "raw"), while the guest goes on. Base images and the chain of the disk are never
     * written to. Stopped domains: -EINVAL, the caller copies the file itself
     * (host/disk). 'progress' (or null) is called with percents; returning false cancels
     * (-ECANCELED). FAULT: 'quiesce' without a guest agent. */
    int (*snapshot_disk)(struct hypervisor *hv, const char *id, const char *disk_id, const char *path,
                         const char *format, bool quiesce, bool (*progress)(void *cookie, int percent),
                         void *cookie, struct fault *fault);

    /* FAULT 409: no guest agent answers. */
    int (*set_password)(struct hypervisor *hv, const char *id, const char *user, const char *password,
                        struct fault *fault);
    int (*inject_nmi)(struct hypervisor *hv, const char *id, struct fault *fault);
    /* The end of what the guest wrote to its serial console, at most 'max' bytes; works
     * whether it runs or not. */
    int (*console_log)(struct hypervisor *hv, const char *id, struct arena *a, size_t max,
                       const char **ret_text, size_t *ret_n);
    /* Cuts console logs to their bound; to be called every few seconds. */
    int (*trim_logs)(struct hypervisor *hv);
    /* Writes a picture of the screen to 'fd'; 'ret_mime' is a constant. */
    int (*screenshot)(struct hypervisor *hv, const char *id, int fd, const char **ret_mime,
                      struct fault *fault);
    int (*diagnostics)(struct hypervisor *hv, const char *id, struct arena *a, struct domain_diagnostics *ret,
                       struct fault *fault);

    /* Makes ready for a domain that comes by live migration: folders and secrets, as define()
     * would. Defines nothing; destroy() takes it back. */
    int (*expect)(struct hypervisor *hv, const struct server_spec *spec, struct fault *fault);
    /* Moves the running domain; the other end's expect() was called, and its disks and networks
     * stand ready. Returns when it runs there and is gone here, or when it runs on here as if
     * nothing had been. 'progress' as in snapshot_disk(). */
    int (*migrate)(struct hypervisor *hv, const char *id, const struct migrate_target *target,
                   bool (*progress)(void *cookie, int percent), void *cookie, struct fault *fault);
};

/* Each driver's struct begins with this. */
struct hypervisor {
    const struct hypervisor_class *class;
};

extern const struct hypervisor_class HYPERVISOR_LIBVIRT;
extern const struct hypervisor_class HYPERVISOR_SIMULATED;

/* The class of that name, or null. "simulated" must be asked for by name; null gives libvirt. */
const struct hypervisor_class *hypervisor_class_find(const char *name);

/* A short digest of all that define() makes of a spec (not counters, names of people's
 * liking, snapshots, wanted power). In the arena. */
const char *hypervisor_fingerprint(const struct server_spec *spec, struct arena *a);

void hypervisor_close(struct hypervisor *hv);
static inline void hypervisor_closep(struct hypervisor **hv)
{
    hypervisor_close(*hv);
}

/* 501 in 'fault', for null entries. */
int hypervisor_cannot(const struct hypervisor *hv, const char *what, struct fault *fault);

/* Calls an entry that has a 'fault' as its last argument, or tells that there is none:
 *     r = HYPERVISOR_CALL(hv, inject_nmi, &fault, id);
 */
#define HYPERVISOR_CALL(hv, entry, fault, ...) \
    ((hv)->class->entry ? (hv)->class->entry((hv), __VA_ARGS__, (fault)) \
                        : hypervisor_cannot((hv), #entry, (fault)))

#endif
