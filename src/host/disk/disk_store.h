/*
 * Local disks: cached images, and the disks that a server has on its host.
 *
 *     <dir>/images/<hash>.<format>            images, flat and raw, read-only, one for all
 *     <dir>/instances/<server>/base-0         hard link to the image that root-0 lies on
 *     <dir>/instances/<server>/root-0         overlay; the number is the rebuild counter
 *     <dir>/instances/<server>/ephemeral0     and swap, config-0, rescue, ...
 *
 * All state is in the names. A finished file has its name; one in the making is called
 * ".tmp-..." and is removed when found later. A rebuild makes files with the next number
 * and then removes those of the last. An image is in use as long as it has a second link,
 * and removing it from the cache never hurts a server, which has its own link.
 */
#ifndef YUNDUO_HOST_DISK_DISK_STORE_H
#define YUNDUO_HOST_DISK_DISK_STORE_H

#include "base/error.h"
#include "host/spec_server.h"

struct disk_store;

/* Brings the bytes of an image: writes them to 'fd'. Called on the caller's thread. Returns
 * 0, FAULT, or negative. */
typedef int (*image_fetch_function)(void *cookie, const struct server_image *image, int fd,
                                    struct fault *fault);

struct disk_store_config {
    const char *dir;                /* "/var/lib/yunduo/host" */
    bool raw;                       /* root disks are raw copies instead of qcow2 overlays */
    usec_t convert_timeout;         /* 0: four hours */
    image_fetch_function fetch;
    void *cookie;
};

int disk_store_open(const struct disk_store_config *config, struct disk_store **ret, struct fault *fault);
void disk_store_close(struct disk_store *d);
static inline void disk_store_closep(struct disk_store **d)
{
    disk_store_close(*d);
}

/* Brings the image into the cache (once, whoever asks meanwhile waits), checked by its hash.
 * 'ret_path' is in the arena. FAULT 400 ImageUnacceptable, ImageHashMismatch. */
int disk_store_image(struct disk_store *d, const struct server_image *image, struct arena *a,
                     const char **ret_path, int64_t *ret_size, struct fault *fault);

/* Makes what the server's local disks lack and removes what is no longer wanted, and gives
 * the spec back with 'disks' complete: root, ephemeral, swap, config and rescue disks that
 * the flavor and flags ask for are added where the list doesn't name them, and each has its
 * source. That is the spec for hypervisor define(). Repeat freely; a disk that exists is
 * only grown, and only while no guest has it open.
 *
 * FAULT: FlavorDiskSmallerThanImage, ImageUnacceptable, ... The result is in the arena and
 * shares strings with 'spec'. */
int disk_store_prepare(struct disk_store *d, const struct server_spec *spec, struct arena *a,
                       struct server_spec **ret, struct fault *fault);

/* As prepare() but makes nothing: where things are (or would be). */
int disk_store_resolve(struct disk_store *d, const struct server_spec *spec, struct arena *a,
                       struct server_spec **ret);

/* All that the server has here goes. Absent: done. */
int disk_store_remove(struct disk_store *d, const char *server_id);

/* Servers that have anything here. */
int disk_store_list(struct disk_store *d, struct arena *a, struct strv *ret);
/* Bytes that they take, the shared image not counted. */
int64_t disk_store_usage(struct disk_store *d, const char *server_id);

/* A flat copy of a disk of a server that does not run (a running one is asked of the
 * hypervisor: snapshot_disk). Made under a temporary name, then renamed to 'to'. */
int disk_store_snapshot(struct disk_store *d, const struct server_disk *disk, const char *to,
                        const char *format, struct fault *fault);

/* A path for a temporary file on the same file system, for snapshots on their way. */
const char *disk_store_scratch(struct disk_store *d, const char *name, struct arena *a);

/* Removes files left in the making by a killed agent (call once, before work starts) ... */
int disk_store_clean(struct disk_store *d);
/* ... and images that no server has used for 'age' (call now and then). */
int disk_store_prune(struct disk_store *d, usec_t age);
/* Ids (or hashes) of cached images. */
int disk_store_images(struct disk_store *d, struct arena *a, struct strv *ret);

#endif
