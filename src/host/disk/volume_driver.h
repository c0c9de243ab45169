/*
 * Volume backends: where disks live that exist on their own.
 *
 * One table per kind of backend (files in a folder, LVM, NFS, Ceph RBD, iSCSI). A backend
 * keeps volumes and snapshots under the ids that the volume service gave them, and knows
 * nothing else: names, projects, states are the service's. What exists is asked of the
 * backend itself, never remembered. tests/unit/host/volume_conformance.c is the contract as
 * a test; each driver must pass it.
 *
 * Rules for every call:
 *   - It blocks, and may be repeated: creating what is there with the same size succeeds,
 *     removing what is not there succeeds.
 *   - Calls for different ids may run at once; for one id the caller makes one at a time.
 *   - After a failure, or a kill in the middle, nothing half-made is seen by list() or
 *     locate(); leftovers go with the next clean().
 *   - Returns 0; FAULT with 'fault' (404 VolumeNotFound or SnapshotNotFound, 409 for what
 *     can't be while in use, 400, 413 for no space, 501); negative where something broke.
 *   - A null entry: this backend can't; volume_cannot() fills a 501.
 *   - A snapshot holds on its own: its volume may be changed, extended and removed. Where
 *     a backend needs the one for the other it hides that (Ceph: deferred removal).
 */
#ifndef YUNDUO_HOST_DISK_VOLUME_DRIVER_H
#define YUNDUO_HOST_DISK_VOLUME_DRIVER_H

#include "base/error.h"
#include "host/spec_server.h"

struct volume_driver;

struct volume_driver_config {
    const char *name;               /* of the backend, as volume types name it */
    const char *path;               /* dir, nfs: the folder; lvm: the volume group; rbd: the pool */
    const char *format;             /* dir, nfs: "qcow2" (default) or "raw" */
    struct strv hosts;              /* servers of remote backends */
    const char *user;
    const char *secret;
    const char *config_file;        /* rbd: ceph.conf */
    bool wipe;                      /* overwrite with zeros before removal (block backends) */
    usec_t timeout;                 /* of long copies; 0: four hours */
};

struct volume_usage {
    int64_t total_bytes;            /* of the backend; -1: unknown */
    int64_t free_bytes;
    int64_t provisioned_bytes;      /* sum of sizes promised */
    int64_t volumes, snapshots;
};

struct volume_entry {
    const char *id;
    bool snapshot;
    int64_t size_bytes;             /* as the guest sees it */
    int64_t allocated_bytes;        /* -1: unknown */
};
struct volume_list { struct volume_entry *v; size_t n; size_t cap; };

enum volume_origin_kind { ORIGIN_VOLUME, ORIGIN_SNAPSHOT, ORIGIN_FILE };
struct volume_origin {
    enum volume_origin_kind kind;
    const char *id;                 /* volume or snapshot */
    const char *path;               /* a flat file, such as a cached image */
    const char *format;             /* of that file */
};

struct volume_driver_class {
    const char *name;               /* "dir", "lvm", "nfs", "rbd" */
    /* Snapshots of a volume that a guest writes to are consistent. Where false, the agent
     * asks the guest's hypervisor for a copy in scratch() and hands it to snapshot_take(). */
    bool live_snapshots;
    /* extend() works while a guest has it open (the hypervisor is told afterwards). Where
     * false, the hypervisor's extend_disk() grows it. */
    bool live_extend;

    int (*open)(const struct volume_driver_config *config, struct volume_driver **ret, struct fault *fault);
    void (*close)(struct volume_driver *v);
    int (*usage)(struct volume_driver *v, struct volume_usage *ret);
    int (*list)(struct volume_driver *v, struct arena *a, struct volume_list *ret);

    /* An empty volume; it reads as zeros. FAULT 409: there with another size. */
    int (*create)(struct volume_driver *v, const char *id, int64_t size, struct fault *fault);
    /* A volume with the origin's contents, independent of it, grown to 'size' (0: the
     * origin's). FAULT 400: smaller than the origin. */
    int (*clone)(struct volume_driver *v, const struct volume_origin *from, const char *id, int64_t size,
                 struct fault *fault);
    int (*remove)(struct volume_driver *v, const char *id, struct fault *fault);
    /* Smaller than now: FAULT 400. */
    int (*extend)(struct volume_driver *v, const char *id, int64_t size, struct fault *fault);

    int (*snapshot)(struct volume_driver *v, const char *volume_id, const char *snapshot_id,
                    struct fault *fault);
    /* Makes the snapshot of a flat file made elsewhere; the file is moved, it is gone after. */
    int (*snapshot_take)(struct volume_driver *v, const char *volume_id, const char *snapshot_id,
                         const char *path, const char *format, struct fault *fault);
    int (*snapshot_remove)(struct volume_driver *v, const char *snapshot_id, struct fault *fault);
    /* The volume's contents become the snapshot's; its size stays. Not while in use. */
    int (*revert)(struct volume_driver *v, const char *volume_id, const char *snapshot_id,
                  struct fault *fault);

    /* Writes a flat copy of a volume or snapshot to a new file. */
    int (*export)(struct volume_driver *v, const struct volume_origin *from, const char *path,
                  const char *format, struct fault *fault);
    /* How a hypervisor reaches it. Strings in the arena. */
    int (*locate)(struct volume_driver *v, const char *id, struct arena *a, struct disk_source *ret,
                  struct fault *fault);
    /* Path of a temporary file that snapshot_take() can take without copying; or null. */
    const char *(*scratch)(struct volume_driver *v, const char *name, struct arena *a);
    /* Removes what killed calls left; to be called once, before work starts. */
    int (*clean)(struct volume_driver *v);
};

struct volume_driver {
    const struct volume_driver_class *class;
};

extern const struct volume_driver_class VOLUME_DRIVER_DIR;

/* The class of that name, or null. */
const struct volume_driver_class *volume_driver_find(const char *name);
void volume_driver_close(struct volume_driver *v);
static inline void volume_driver_closep(struct volume_driver **v)
{
    volume_driver_close(*v);
}
/* 501 in 'fault', for null entries. */
int volume_cannot(const struct volume_driver *v, const char *what, struct fault *fault);

#endif
