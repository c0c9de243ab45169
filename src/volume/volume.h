/*
 * The volume service (Cinder v3): what the rest of the cloud sees of it.
 *
 * An attachment is one record, kept here. Compute begins and ends it with the functions below,
 * inside its own transactions, and its volume views are made of it; the volume API shows the same.
 *
 *     attach_begin  reserved or attaching    the host plugs it in
 *     attached      attached; the volume is in-use
 *     detach_begin  detaching                the host takes it out
 *     detached      the record is gone; the volume is available (or deleted with its server)
 */
#ifndef YUNDUO_VOLUME_VOLUME_H
#define YUNDUO_VOLUME_VOLUME_H

#include "api/api.h"
#include "host/spec_server.h"

extern struct service VOLUME_SERVICE;

struct volume_info {
    const char *id, *name, *status, *project_id, *host, *availability_zone;
    int64_t size;                       /* GiB */
    bool bootable, multiattach;
    struct strmap image_metadata;
};
/* The volume if this project may see it. 0; FAULT 404. */
int volume_info(struct txn *t, const char *project_id, bool admin, const char *id, struct volume_info **ret,
                struct fault *fault);

struct volume_wish {
    const char *project_id, *user_id;
    bool admin;
    const char *name, *type, *zone;
    int64_t size;                       /* GiB; 0: the source's */
    const char *image_id, *snapshot_id; /* or neither: empty */
};
/* Makes a volume. 0; FAULT. */
int volume_make(struct call *c, const struct volume_wish *w, const char **ret_id, struct fault *fault);

struct attach_wish {
    const char *volume_id, *server_id, *project_id;
    bool admin;
    const char *host;                   /* of the server; null while it has none */
    const char *device;                 /* "/dev/vdb" */
    bool new_volume;                    /* made for this server: it may still be in the making */
    bool boot;                          /* of a server that is not made yet */
};
/* 0; FAULT 404, 400 where its state or place forbids. */
int volume_attach_begin(struct txn *t, const struct attach_wish *w, const char **ret_attachment_id,
                        struct fault *fault);
/* The host has plugged it in. *ret_changed: anything was new. */
int volume_attached(struct txn *t, const char *server_id, const char *volume_id, const char *host,
                    const char *device, bool *ret_changed);
/* 0; FAULT 404 where it is not attached, 400 where its state forbids. */
int volume_detach_begin(struct txn *t, const char *server_id, const char *volume_id, struct fault *fault);
/* It is out, or never was in. 'remove': the volume goes too. */
int volume_detached(struct txn *t, const char *server_id, const char *volume_id, bool remove);
/* Its server has another host ("" none). */
int volume_server_moved(struct txn *t, const char *server_id, const char *host);
/* The host where all volumes of a server are that only one host reaches; null: any. */
int volume_server_place(struct txn *t, const char *server_id, const char **ret_host);

struct attachment_view {
    const char *id, *volume_id, *server_id, *host, *device, *status;    /* "attaching", "attached", "detaching", ... */
    const char *volume_status;
    bool read_only, multiattach;
    int64_t size;                       /* GiB */
    const struct disk_source *source;   /* null: not there yet */
    struct disk_qos *qos;
};
struct attachment_views { struct attachment_view *v; size_t n, cap; };
/* Those that compute made for a server, the oldest first. */
int volume_attachments_of(struct txn *t, const char *server_id, struct attachment_views *ret);

/* A snapshot of each of a server's volumes for an image of it. 0; FAULT over quota. */
int volume_snapshot_make(struct call *c, const char *volume_id, const char *name, const char **ret_id,
                         struct fault *fault);

#endif
