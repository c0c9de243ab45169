/* What the files of the image service share; no other slice includes it. */
#ifndef YUNDUO_IMAGE_INTERNAL_H
#define YUNDUO_IMAGE_INTERNAL_H

#include "api/config.h"
#include "api/quota.h"
#include "image/blob.h"
#include "image/image.h"
#include "image/inspect.h"

#include <pthread.h>

struct image_location {
    const char *url;
    const char *metadata; /* JSON */
};

struct image_member {
    const char *member_id, *status;
    usec_t created_at, updated_at;
};

/* Statuses, as Glance calls them. */
#define IMAGE_QUEUED "queued"       /* a record without bytes */
#define IMAGE_SAVING "saving"       /* an upload is under way */
#define IMAGE_UPLOADING "uploading" /* bytes are being staged, or are */
#define IMAGE_IMPORTING "importing"
#define IMAGE_ACTIVE "active"
#define IMAGE_DEACTIVATED "deactivated"

struct image {
    struct object head;
    const char *name, *status, *visibility, *owner;
    const char *container_format, *disk_format;
    const char *checksum, *hash_algo, *hash_value;
    int64_t min_disk, min_ram, size, virtual_size;
    bool protected, hidden;
    usec_t created_at, updated_at;
    struct strv tags;
    struct strmap properties;

    const char *blob; /* key of the bytes in each of 'stores'; null: there are none */
    struct strv stores;
    const char *staged; /* key of bytes in the first store that wait for import */
    int64_t staged_size;
    VEC_OF(struct image_location) locations; /* elsewhere, by URL */
    VEC_OF(struct image_member) members;
    const char *import_task;       /* the task that works on it */
    struct strv importing, failed; /* stores */
    bool imported;                 /* an import or copy was asked for once: clients wait for its end */
    const char *from_host;         /* the agent that may deliver the bytes */
};

struct image_task {
    struct object head;
    const char *type, *status, *owner, *image_id, *user_id, *request_id, *message;
    const char *input, *result; /* JSON */
    const char *token; /* of the caller, while glance-download needs it */
    usec_t created_at, updated_at, expires_at;
};

/* A copy of an image's bytes kept near. The id is the image's. */
struct image_cached {
    struct object head;
    const char *status; /* "queued", "cached" */
    const char *blob;
    int64_t size, hits;
    usec_t queued_at, accessed_at, modified_at;
};

extern const struct kind IMAGE_KIND, IMAGE_TASK_KIND, IMAGE_CACHED_KIND, METADEF_KIND;
extern const struct schema IMAGE_SCHEMA, IMAGE_TASK_SCHEMA;
extern const struct quota_table IMAGE_QUOTA;
extern const char *const IMAGE_DISK_FORMATS[], *const IMAGE_CONTAINER_FORMATS[], *const IMAGE_VISIBILITIES[];

#define STORES_MAX 8
struct image_state {
    struct api *api;
    struct cloud_config o;
    struct arena *arena;
    struct blob_store *stores[STORES_MAX]; /* the first is the default */
    size_t n_stores;
    struct blob_store *cache;
    struct strv methods;
    struct watch *watch;
    pthread_mutex_t fetch_mutex;
    struct http_client *fetching[16]; /* to be interrupted when we stop */
    _Atomic bool stopping;
    _Atomic uint64_t generation;         /* grows whenever an image changes */
    _Atomic uint64_t n_images, n_public; /* roughly, for the way that lists are read */
    struct pages *pages;
    struct tasks *tasks;
};
struct image_state *image_state(const struct api *api);
struct blob_store *image_store(struct image_state *s, const char *id);

#define IMAGE_PROPERTIES_MAX 128

/* ---- view.c ---- */
/* Another service removed a record in its own transaction: its bytes wait for the next sweep. */
extern _Atomic bool image_removed_elsewhere;

/* ---- images.c ---- */
bool image_visible(const struct call *c, const struct image *i);
bool image_visible_to(const struct image *i, const char *project_id, bool admin);
/* Owner or administrator. */
bool image_owned(const struct call *c, const struct image *i);
/* The image that the caller may see, in c->txn; else 404. */
int image_find(struct call *c, const char *id, struct image **ret);
/* As image_find(), and the caller must be allowed to change it, else 403. */
int image_find_own(struct call *c, const char *id, const char *rule, struct image **ret);
int image_save(struct txn *t, struct image *i);
void image_render(struct call *c, const struct image *i, struct json_out *o);
struct image_location *image_add_location(struct arena *a, struct image *i, const char *url,
                                          const char *metadata);
int images_list(struct call *c), images_show(struct call *c), images_create(struct call *c),
    images_delete(struct call *c), images_delete_from_store(struct call *c), images_action(struct call *c);
/* Sets the members of 'body' that clients may set; 'names' are checked before. FAULT. */
int image_apply(struct call *c, struct image *i, json_t *base);
/* Whether a client may set this name: 0; FAULT 403. */
int image_name_writable(struct call *c, const char *name);
bool image_is_base(const char *name);
int image_check(struct call *c, const struct image *i, const struct image *before);

/* ---- pages.c ---- */
int pages_new(struct pages **ret);
void pages_free(struct pages *p);
/* Adds the page of this key and generation to 'out'; false when there is none. */
bool pages_get(struct pages *p, const char *key, uint64_t generation, struct buf *out);
void pages_put(struct pages *p, const char *key, uint64_t generation, const char *text, size_t n);

/* ---- patch.c, members.c, schemas.c, metadefs*.c, cache.c ---- */
int images_patch(struct call *c);
int members_list(struct call *c), members_show(struct call *c), members_create(struct call *c),
    members_update(struct call *c), members_delete(struct call *c), tags_put(struct call *c),
    tags_delete(struct call *c);
int schema_show(struct call *c), schema_show_metadef(struct call *c), versions_show(struct call *c),
    info_import(struct call *c), info_stores(struct call *c), info_stores_detail(struct call *c),
    info_usage(struct call *c);
int metadef_types_list(struct call *c), metadef_namespaces_list(struct call *c),
    metadef_namespaces_create(struct call *c), metadef_namespaces_show(struct call *c),
    metadef_namespaces_update(struct call *c), metadef_namespaces_delete(struct call *c),
    metadef_items_list(struct call *c), metadef_items_add(struct call *c),
    metadef_items_clear(struct call *c), metadef_items_show(struct call *c),
    metadef_items_add_tag(struct call *c), metadef_items_change(struct call *c),
    metadef_items_drop(struct call *c);
int cache_list(struct call *c), cache_put(struct call *c), cache_delete(struct call *c),
    cache_clear(struct call *c);
/* Brings queued ones near. For the controller. */
int cache_fill(struct image_state *s, struct arena *a);
/* Opens a copy that is near; BLOB_MISSING. Counts the hit. */
int cache_open(struct image_state *s, struct arena *a, const char *image_id, struct blob_reader *ret);

/* ---- data.c ---- */
extern const struct http_sink UPLOAD_SINK;
int upload_begin(struct call *c), upload_end(struct call *c), stage_begin(struct call *c),
    stage_end(struct call *c), image_download(struct call *c), agent_download(struct call *c),
    agent_upload_begin(struct call *c);
/* Opens the bytes of an active image wherever they are. 0; BLOB_MISSING. */
int image_reader(struct image_state *s, struct arena *a, const struct image *i, struct blob_reader *ret);
/* Fetches an image that is elsewhere into the first store, pinned, and judges it as an upload would be.
 * 0; FAULT. */
int image_fetch(struct image_state *s, struct arena *a, const struct image *i, struct blob_info *ret,
                struct fault *f);
/* Drops blobs of an image that is gone or changed, unless somebody else uses them. */
void image_collect(struct image_state *s, const struct image *was);
void image_collect_key(struct image_state *s, struct blob_store *store, const char *key);
int image_blob_used(void *cookie, const char *key);
struct blob_use {
    struct image_state *state;
    struct blob_store *store;
};
/* Sets what the inspector says: formats, virtual size. */
int image_judge(struct image_state *s, struct image *i, const struct inspect_result *r, struct fault *f);

/* ---- quota.c ---- */
void image_quota_limits(const struct cloud_config *o);
/* 0; FAULT 413. 'more' is in MiB for the sizes. */
int image_quota(struct txn *t, const char *project_id, const char *name, int64_t more, struct fault *f);
/* Bytes that still fit; -1: no limit. */
int image_quota_left(struct txn *t, const char *project_id, const char *name, int64_t *ret_bytes);

/* ---- web.c ---- */
/* Whether a URL may be fetched at all, by its text. 0; FAULT 400. */
int web_check(struct image_state *s, const char *url, struct fault *f);
/* Fetches it into a blob of the first store; pinned. 'trusted': no checks (our own catalog).
 * 0; FAULT with the reason; negative. */
int web_fetch(struct image_state *s, struct arena *a, const char *url, const struct strmap *headers,
              bool trusted, uint64_t size_max, struct blob_info *ret, struct fault *f);
/* Ends fetches under way, and those to come, with FAULT. */
void web_stop(struct image_state *s);
/* The size that a HEAD tells; 0 unknown. FAULT 400 when it can't be had. */
int web_size(struct image_state *s, struct arena *a, const char *url, int64_t *ret_size, struct fault *f);

/* ---- sign.c ---- */
struct verifier;
/* Null in *ret when the image has no signature. 0; FAULT 400. */
int verifier_new(struct image_state *s, const struct strmap *properties, struct verifier **ret,
                 struct fault *f);
void verifier_update(struct verifier *v, const void *data, size_t n);
/* 0; FAULT 400. */
int verifier_check(struct verifier *v, struct fault *f);
void verifier_free(struct verifier *v);
static inline void verifier_freep(struct verifier **v)
{
    verifier_free(*v);
}

/* ---- import.c, tasks.c ---- */
int images_import(struct call *c), images_tasks(struct call *c), tasks_list(struct call *c),
    tasks_show(struct call *c), tasks_create(struct call *c), tasks_delete(struct call *c);
int tasks_start(struct image_state *s);
void tasks_stop(struct image_state *s);
/* Something may be pending. */
void tasks_wake(struct image_state *s);
/* Something is to be cached, after the time in which that can be taken back. */
#define CACHE_AFTER SECONDS(1)
void tasks_cache(struct image_state *s);
/* Does the work of one task that is "processing". */
int import_run(struct image_state *s, struct arena *a, const char *task_id);
/* Takes back what a process that died left: called before serving. */
int import_recover(struct image_state *s);

#endif
