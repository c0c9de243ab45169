/*
 * What the files of the volume service share among themselves. Other slices use volume.h.
 */
#ifndef YUNDUO_VOLUME_INTERNAL_H
#define YUNDUO_VOLUME_INTERNAL_H

#include "api/agent_link.h"
#include "api/api.h"
#include "api/config.h"
#include "api/controller.h"
#include "api/quota.h"
#include "api/resource.h"
#include "base/log.h"
#include "image/image.h"
#include "volume/kinds.h"
#include "volume/volume.h"

/* ---- putting the service together (service.c) ---- */

struct volume_part {
    const struct route *routes;
    size_t n_routes;
};
#define VOLUME_PART(symbol, route_rows) \
    const struct volume_part symbol = { (route_rows), ARRAY_SIZE(route_rows) }

extern const struct volume_part VOLUMES_PART, VOLUME_ACTIONS_PART, ATTACHMENTS_PART, SNAPSHOTS_PART, TYPES_PART,
    QOS_PART, BACKUPS_PART, TRANSFERS_PART, GROUPS_PART, GROUP_TYPES_PART, QUOTAS_PART, OPERATE_PART, MANAGE_PART,
    METADATA_PART, MESSAGES_PART;
extern const struct agent_section VOLUMES_SECTION, BACKENDS_SECTION;

#define P "/v3/{project_id}"
#define RULE_ADMIN "role:admin"
#define RULE_ANY "@"
/* Most verbs: the object was found by project, the role is all that is left to ask. */
#define RULE_READER "role:admin or role:reader"
#define RULE_MEMBER "role:admin or role:member"

/* Parts of bodies by their own schema: 0; FAULT 400. */
int volume_decode(struct call *c, const struct schema *s, const json_t *tree, void *ret, struct given *given);
int bad_body(struct call *c, const char *format, ...) _printf_(2, 3);
int invalid(struct call *c, const char *format, ...) _printf_(2, 3);       /* InvalidVolume and its like: 400 too */
/* 400 where the path names another project than the token's (administrators may). */
int project_check(struct call *c);
/* What lists show: own project, or all with all_tenants for administrators. */
int own_scope(struct call *c, struct query *q);
bool own_visible(struct call *c, const char *project_id);
/* "links" of /v3/<project>/<collection>/<id>. */
void volume_links(struct call *c, const char *collection, const char *id, struct json_out *o);
void put_time(struct call *c, struct json_out *o, const char *key, usec_t t);
/* Names: "name" and "description" as Cinder takes them: trimmed, at most 255, null allowed. */
int take_name(struct call *c, const json_t *body, const char **name, const char **description);
/* A map of strings of the body; 400 for bad keys and values. Absent: untouched. */
int take_metadata(struct call *c, const json_t *tree, struct strmap *ret);
int check_metadata(struct call *c, const struct strmap *m);
/* Texts and numbers of a parsed body. 'required' 400s name the key. */
int body_text(struct call *c, const json_t *o, const char *key, bool required, const char **ret);
int body_int(struct call *c, const json_t *o, const char *key, bool required, int64_t min, int64_t max, int64_t *ret);
int body_bool(struct call *c, const json_t *o, const char *key, bool *ret);
/* The member of the body that wraps all; 400 when it is no object. */
int body_object(struct call *c, const char *key, json_t **ret);
/* Runs a query of a resource and pages. */
int list_objects(struct call *c, const struct resource *r, bool detail, struct results *ret);

/* ---- volumes ---- */

int volume_get(struct call *c, const char *id, struct volume **ret);
/* Every write of a volume goes through here. */
int volume_put(struct txn *t, struct volume *v);
/* The answer {"volume": {...}}; 'create': what the 202 of a create shows. */
void volume_render(struct call *c, struct json_out *o, const struct volume *v, bool create);
int volume_attachments_list(struct txn *t, const char *volume_id, struct results *ret);
/* The status that its attachments give a volume that nothing else happens to. */
int volume_settle(struct txn *t, struct volume *v);
/* Wants it gone; its record goes when its host has removed it (at once where none has it). */
int volume_begin_delete(struct txn *t, struct volume *v);
int volume_remove(struct txn *t, struct volume *v);
int count_by(struct txn *t, const struct kind *k, const char *field, const char *value, uint64_t *ret);
int list_by(struct txn *t, const struct kind *k, const char *field, const char *value, struct results *ret);
struct new_volume {
    struct volume_wish wish;
    const char *description, *source_volid, *backup_id, *group_id;
    bool multiattach;
    const struct strmap *metadata;
    const struct volume_type *type;     /* null: by wish.type */
};
int volume_create_one(struct call *c, const struct new_volume *n, struct volume **ret);

/* ---- snapshots, backups ---- */

int vsnapshot_get(struct call *c, const char *id, struct snapshot **ret);
int vsnapshot_put(struct txn *t, struct snapshot *s);
int snapshot_begin_delete(struct txn *t, struct snapshot *s);
int snapshot_create_one(struct call *c, struct volume *v, const char *name, const char *description,
                        const struct strmap *metadata, const char *group_snapshot_id, struct snapshot **ret);
void vsnapshot_render(struct call *c, struct json_out *o, const struct snapshot *s, bool detail);
int backup_put(struct txn *t, struct backup *b);
int errand_begin(struct txn *t, const struct volume *v, const char *kind, const char *other, const char *format);
int errand_end(struct txn *t, struct errand *e, const struct volume_observed *o);

/* ---- types ---- */

/* By id or name, that the project may use. *ret null: none. */
int type_find(struct call *c, const char *id_or_name, struct volume_type **ret);
/* Of a request that names none: the project's, else the cloud's, made when it is not there. */
int type_default(struct call *c, const char *project_id, struct volume_type **ret);
int qos_of_type(struct txn *t, const char *type_id, struct disk_qos **ret);

/* ---- scheduling ---- */

#define VENDOR "Yunduo"
#define BACKEND_DOWN_AFTER SECONDS(90)
bool backend_up(const struct backend *b);
/* A backend for so many GiB of this type; *ret null: none fits. 'host' not null: on this one only. */
int backend_choose(struct txn *t, const struct volume_type *type, int64_t size, const char *host,
                   struct backend **ret);

/* ---- quotas, messages ---- */

extern const struct quota_table VOLUME_QUOTAS;
/* 413 OverLimit where volumes (or snapshots, backups) or gigabytes don't fit, also of the type. */
int quota_check(struct call *c, const char *project_id, const char *what, int64_t count, int64_t gigabytes,
                const struct volume_type *type);
int message_add(struct txn *t, const char *project_id, const char *request_id, const char *resource_type,
                const char *resource_id, const char *event, const char *text);

#endif
