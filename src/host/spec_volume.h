/*
 * The wire between control process and host agents, as far as volumes go.
 *
 * Everything a host is to have or do for the volume service is an item of one list, each with
 * an id: volumes, snapshots and backups, which are there until they are wanted deleted, and
 * errands (upload, restore, revert), which are there until they are reported done. An item may
 * be worked on again at any time: what is so already costs a look. An item that others are made
 * of is not removed while those are in the list with it as their origin.
 *
 * An agent never removes what it was not told of: a file without an item is left alone.
 */
#ifndef YUNDUO_HOST_SPEC_VOLUME_H
#define YUNDUO_HOST_SPEC_VOLUME_H

#include "host/spec_server.h"

#define ITEM_VOLUME "volume"
#define ITEM_SNAPSHOT "snapshot"
#define ITEM_BACKUP "backup"
#define ITEM_UPLOAD "upload"            /* the volume's bytes become an image's */
#define ITEM_RESTORE "restore"          /* a backup's bytes become the volume's */
#define ITEM_REVERT "revert"            /* a snapshot's bytes become the volume's */

#define ORIGIN_OF_IMAGE "image"
#define ORIGIN_OF_SNAPSHOT "snapshot"
#define ORIGIN_OF_VOLUME "volume"

struct volume_spec {
    const char *id;                     /* the backend's name of it */
    const char *kind;                   /* ITEM_* */
    int64_t revision;                   /* echoed in the report */
    bool deleted;
    bool made;                          /* it was whole once: missing, it is not made anew */
    int64_t size_bytes;                 /* of a volume */
    const char *volume_id;              /* of all but volumes: whose (the backend's name) */
    const char *disk_id;                /* what servers call the volume's disk */
    const char *origin;                 /* ORIGIN_*, while it is being made; null: empty */
    const char *origin_id;              /* snapshot, volume (their names), or the backup or snapshot of an errand */
    struct server_image *image;         /* of origin image */
    const char *image_id;               /* of an upload */
    const char *format;                 /* of an upload: "raw", "qcow2", "vmdk", "vdi", "vhd" */
    const char *hash;                   /* of a restore: SHA-256 that the backup's file must have */
    struct strv servers;                /* on this host, that have the volume */
};

#define ITEM_READY "ready"
#define ITEM_GONE "gone"
#define ITEM_FAILED "failed"

struct volume_observed {
    const char *id, *kind;
    int64_t revision;
    const char *state;                  /* ITEM_READY, ITEM_GONE, ITEM_FAILED */
    int64_t size_bytes;
    struct disk_source *source;         /* of a volume: how hypervisors reach it */
    const char *hash;                   /* of a backup */
    int64_t fault_code;
    const char *fault_message;
};

/* A backend as its host tells it. */
struct volume_backend_facts {
    const char *name;                   /* "local" */
    const char *driver;                 /* "dir" */
    const char *protocol;               /* "file" */
    bool shared;                        /* every host reaches its volumes */
    int64_t total_bytes, free_bytes, provisioned_bytes;
    int64_t volumes, snapshots;
};

extern const struct schema VOLUME_SPEC_SCHEMA, VOLUME_OBSERVED_SCHEMA, VOLUME_BACKEND_SCHEMA;

#endif
