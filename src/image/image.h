/*
 * What other services need of the image service.
 *
 * The bytes of an image never pass through here: agents fetch and deliver them by
 *
 *     GET /agent/v1/images/{id}/file      the bytes, with Range; X-Image-Hash, X-Image-Format
 *     PUT /agent/v1/images/{id}/file      the bytes of a snapshot, from the host that was named
 */
#ifndef YUNDUO_IMAGE_IMAGE_H
#define YUNDUO_IMAGE_IMAGE_H

#include "api/api.h"

extern const struct service IMAGE_SERVICE;
/* The agents' two routes; wired beside it. */
extern const struct service IMAGE_AGENT_SERVICE;

/* ---- for compute and volume ---- */

struct image_view {
    const char *id, *name, *status, *owner, *visibility;
    const char *disk_format, *container_format;
    const char *checksum, *hash_algo, *hash_value;
    int64_t size, virtual_size; /* bytes; INT_NULL unknown */
    int64_t min_disk, min_ram;  /* GiB, MiB */
    bool protected, hidden;
    usec_t created_at, updated_at;
    struct strv tags;
    struct strmap properties;
};

/* The image if this project may see it. 0; FAULT 404 "ImageNotFound". Its status is the caller's to
 * judge: only "active" has bytes to boot from. */
int image_get(struct txn *t, const char *project_id, bool admin, const char *id, struct image_view **ret,
              struct fault *fault);

struct image_filter {
    const char *name;
    struct strv statuses;     /* any of them */
    struct strmap properties; /* all of them */
    usec_t changed_since;     /* 0: ever */
    const char *marker;
    size_t limit;
};
struct image_views {
    VEC_OF(struct image_view) list;
    bool more, marker_lost;
};
/* Images that the project may use, newest first: public ones, its own, those shared with it. */
int image_list(struct txn *t, const char *project_id, bool admin, const struct image_filter *f,
               struct image_views *ret);
/* Sets custom properties; a null value drops one; 'replace' drops all others. 0; FAULT 404, 403, 400, 413. */
int image_set_properties(struct txn *t, const char *project_id, bool admin, const char *id,
                         const struct strmap *properties, bool replace, struct image_view **ret,
                         struct fault *fault);
/* Deletes an image and its bytes, in a transaction of its own. 0; FAULT 404, 403. */
int image_delete(struct api *api, struct arena *a, const char *project_id, bool admin, const char *id,
                 struct fault *fault);

struct image_new {
    const char *name, *owner;
    const char *disk_format, *container_format; /* null: set by the upload's bytes later */
    const char *visibility;                     /* null: private */
    int64_t min_disk, min_ram;
    const struct strmap *properties; /* may be null */
    const char *from_host;           /* the host whose agent delivers the bytes; null: a client does */
};
/* Makes a queued image. 0; FAULT 413 over quota. */
int image_create(struct txn *t, const struct image_new *n, const char **ret_id, struct fault *fault);
/* Removes a record, whatever it is; the bytes go within minutes. For a snapshot that failed. */
int image_remove(struct txn *t, const char *id);

/* Bytes for a service on this machine (a volume made from an image without an agent): the descriptor
 * of an active image, whole from offset 0. 0; FAULT 404. The caller closes it. */
int image_open(struct api *api, struct arena *a, const char *id, int *ret_fd, uint64_t *ret_size,
               struct fault *fault);

#endif
