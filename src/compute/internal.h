/*
 * What the files of the compute service share among themselves. Other slices use compute.h.
 */
#ifndef YUNDUO_COMPUTE_INTERNAL_H
#define YUNDUO_COMPUTE_INTERNAL_H

#include "api/agent_link.h"
#include "api/api.h"
#include "api/controller.h"
#include "api/quota.h"
#include "base/log.h"
#include "compute/compute.h"
#include "compute/kinds.h"
#include "compute/states.h"
#include "image/image.h"
#include "network/network.h"

/* ---- putting the service together (service.c) ---- */

/* One family of resources: its routes and rules stand beside its verbs. */
struct compute_part {
    const struct route *routes;
    size_t n_routes;
    const struct policy_rule *rules;
    size_t n_rules;
};
#define COMPUTE_PART(symbol, route_rows, rule_rows) \
    const struct compute_part symbol = { (route_rows), ARRAY_SIZE(route_rows), (rule_rows), ARRAY_SIZE(rule_rows) }

extern const struct compute_part FLAVOR_PART, SERVER_PART, SERVER_VIEW_PART, SERVER_LIST_PART, SERVER_CREATE_PART, ACTION_PART,
    RECORD_PART, ATTACH_PART, MIGRATION_PART, QUESTION_PART, CONSOLE_PART, VOLUME_PART, EVENT_PART,
    KEYPAIR_PART, HOST_PART, AGGREGATE_PART,
    LIMIT_PART, PROXY_PART, IMAGE_PART;
extern const struct controller_class COMPUTE_SCHEDULER, COMPUTE_CONTROLLER;
extern const struct agent_section SERVERS_SECTION, HOST_SECTION, QUESTIONS_SECTION;

/* oslo.policy's words for Nova's usual rules. */
#define RULE_ADMIN "role:admin"
#define RULE_READER "role:admin or (role:reader and project_id:%(project_id)s)"
#define RULE_MEMBER "role:admin or (role:member and project_id:%(project_id)s)"
#define RULE_ANY "@"

/* "links": [self, bookmark] of /v2.1/<collection>/<id>. */
void compute_links(struct call *c, const char *collection, const char *id, struct json_out *o);
void compute_bookmark(struct call *c, const char *collection, const char *id, struct json_out *o);
/* "<collection>_links": [next], when there is more after 'last_id'. */
void compute_next_link(struct call *c, const char *collection, bool more, const char *last_id, struct json_out *o);
/* A part of a body by its own schema: 0; FAULT with the service's 400. */
int compute_decode(struct call *c, const struct schema *s, const json_t *tree, void *ret, struct given *given);
/* limit and marker of the query string. */
int compute_page(struct call *c, size_t *ret_limit, const char **ret_marker);
/* Query arguments that no row names: 400 from 'since' on. 'names' ends with null. */
int compute_known_args(struct call *c, int since, const char *const *names);
/* Times as Nova writes them. */
void compute_put_time(struct json_out *o, const char *key, usec_t t, enum time_style style);
/* field.check functions */
const char *check_name(const char *s);
const char *check_base64(const char *s);
const char *check_hostname(const char *s);
const char *check_tag(const char *s);
/* Of addresses of access: "" is none. */
const char *check_ipv4(const char *s);
const char *check_ipv6(const char *s);
const char *ipv6_plain(struct arena *a, const char *s);   /* its shortest form; null for "" */

/* ---- flavors ---- */

/* By the id that clients know. *ret is null where there is none. */
int flavor_find(struct txn *t, const char *flavorid, struct flavor **ret);
struct flavor_copy *flavor_copy_of(struct arena *a, const struct flavor *f);
/* "flavor": as servers of this microversion show it. */
void flavor_render_in_server(struct call *c, const struct flavor_copy *f, struct json_out *o);

/* ---- servers ---- */

/* The server of this id that the caller may see, in c->txn, with the rule checked; or a 404. */
int server_get(struct call *c, const char *id, const char *rule, struct server **ret);
/* The same for changing it: 409 too where it is locked for the caller. */
int server_get_unlocked(struct call *c, const char *id, const char *rule, struct server **ret);
/* Writes it; every write of a server goes through here. */
int server_put(struct txn *t, struct server *s);
enum server_view { VIEW_SHOW, VIEW_LIST, VIEW_UPDATE, VIEW_REBUILD };
/* The object whole, with braces. */
int server_render(struct call *c, const struct server *s, const struct port_views *ports, enum server_view view);
/* {"server": {...}} of one. */
int server_render_one(struct call *c, struct server *s, enum server_view view);
const char *server_host_id(struct arena *a, const struct server *s);
/* A password as Nova makes them. */
const char *password_new(struct arena *a);
/* The ports of some servers, found by server. */
struct server_ports;
int server_ports_load(struct call *c, struct server *const *servers, size_t n, struct server_ports **ret);
const struct port_views *server_ports_of(const struct server_ports *p, const char *server_id);
/* Checks the image against the flavor and gives what agents need of it. As verbs. */
int server_image_check(struct call *c, const char *image_id, const struct flavor_copy *f, bool local_root,
                       struct server_image **ret);
/* Makes or takes ports for it; faults in Nova's words. */
int server_ports_make(struct call *c, struct server *s, const struct port_wish *wishes, size_t n,
                      const struct strv *groups);
extern const struct schema FILE_IN_SCHEMA;
/* 400, 403 where metadata is beyond its limits. */
int metadata_check(struct call *c, const struct strmap *m);
/* The name with everything but letters, digits and dashes taken out. */
const char *hostname_of(struct arena *a, const char *name, const char *id);

/* ---- birth and death (life.c): used by verbs, reports and controllers alike ---- */

/* Starts the record of an action; s->action_id names it. */
int action_begin(struct txn *t, struct server *s, const char *action, const char *user_id, const char *request_id);
int action_begin_call(struct call *c, struct server *s, const char *action);
/* Its end: with an error when 'message' is not null. */
int action_end(struct txn *t, struct server *s, const char *message);

/* Wants it gone. Gone at once where no host has it, or its host is down: that one cleans up when
 * it is back. */
int server_delete(struct api *api, struct txn *t, struct server *s);
/* Nothing is left on any host: takes away what belongs to it and the record. */
int server_remove(struct txn *t, struct server *s);
/* Ends what was under way with a fault; the server goes to ERROR when 'broken'. */
int server_fail(struct txn *t, struct server *s, int64_t code, const char *message, const char *details,
                bool broken);
/* Puts it back to the scheduler, away from its present host, which must clean up. */
int server_reschedule(struct txn *t, struct server *s);
/* A new order to the host: counts the generation. */
static inline void server_order(struct server *s)
{
    s->generation++;
}

/* Takes it off its host, which must clean up: shelved and offloaded from here. */
int server_offload(struct txn *t, struct server *s);
/* Begins a snapshot of its root disk: makes the image and the task. As verbs. */
int snapshot_begin(struct call *c, struct server *s, const char *name, const char *purpose,
                   const struct strmap *metadata, const char **ret_image_id);
/* A record of a migration from its present host. */
int migration_record(struct txn *t, struct server *s, const char *type, const char *status, const char *dest);
/* Its open migration, or null. */
int migration_open(struct txn *t, const char *server_id, struct migration **ret);

/* Legs. */
int leg_add(struct txn *t, const struct server *s, const char *host, const char *role, const char *migration_id,
            const struct flavor_copy *claim);
int leg_find(struct txn *t, const char *server_id, const char *host, struct leg **ret);

/* ---- hosts told and heard (desired.c, observed.c) ---- */

int server_spec_build(struct txn *t, const struct server *s, struct server_spec *ret);
int servers_observed(struct api *api, struct arena *a, const char *host, const json_t *value);
bool observation_matters(const struct server *s, const struct server_observed *o);
/* The same for tasks that end in steps of their own (migrations.c, snapshots.c). */
int migration_judge(struct txn *t, struct server *s, const struct server_observed *o, bool *ret_changed);
int migration_leg_judge(struct txn *t, struct server *s, struct leg *leg, const struct server_observed *o);
int snapshot_judge(struct txn *t, struct server *s, const struct server_observed *o, bool *ret_changed);

/* ---- questions to hosts (questions.c) ---- */

struct host_answer;
/* In a transaction: asks the host of the server. As verbs. */
int question_put(struct call *c, const struct server *s, const char *what, int64_t bytes, const char **ret_id);
/* After it: waits for the answer. As verbs; FAULT with what the host said. */
int question_answer(struct call *c, const char *id, struct host_answer **ret);

/* ---- volumes (volumes.c) ---- */

/* Adds its volumes to the disks. */
/* '*ret_ready' is false while one is still in the making. */
int volumes_disks(struct txn *t, const struct server *s, struct server_spec *spec, bool *ret_ready);
/* Whether a report tells something new of its volumes; and takes it in. */
int volumes_news(struct txn *t, const struct server *s, const struct server_observed *o, bool *ret_news);
int volumes_judge(struct txn *t, struct server *s, const struct server_observed *o, bool *ret_changed);
/* The id of a volume that it was to be made with and that could not be made, or null. */
int volumes_broken(struct txn *t, const struct server *s, const char **ret_id);
/* It has another host ("" none). */
int volumes_moved(struct txn *t, const struct server *s, const char *host);
/* The host that its volumes bind it to, or null. */
int volumes_place(struct txn *t, const struct server *s, const char **ret_host);

/* Takes or makes what the block device mappings name. As verbs. */
int volumes_take(struct call *c, struct server *s);
/* Lets all volumes of a server go; those that go with it are deleted. */
int volumes_release(struct txn *t, struct server *s);

/* ---- hosts (hosts.c) ---- */

#define HOST_DOWN_AFTER SECONDS(60)
struct compute_state;           /* the service's memory */
struct compute_state *compute_state(struct api *api);
/* Remembers that the host spoke. */
void host_seen(struct api *api, const char *host);
usec_t host_last_seen(struct api *api, const struct compute_host *h);
bool host_up(struct api *api, const struct compute_host *h);
/* Zone of a host by its aggregates; "nova" without. */
int host_zone(struct txn *t, const char *host, const char **ret);
/* What is taken of a host, counted now. */
struct host_usage { int64_t vcpus, memory_mb, disk_gb, servers; };
int host_usage_count(struct txn *t, const char *host, struct host_usage *ret);
/* What it may give away, overcommit and reserve considered. */
struct host_usage host_capacity(const struct compute_host *h);
struct compute_state *compute_state_new(void);
void compute_state_free(struct compute_state *st);

/* ---- scheduling ---- */

/* What must hold on the host a server goes to. */
struct scheduler;
/* Where the scheduler keeps its table, in the service's memory. */
struct scheduler **compute_scheduler_slot(struct api *api);
void scheduler_free(struct scheduler *s);
struct claim { int64_t vcpus, memory_mb, disk_gb; };
struct claim claim_of(const struct server *s, const struct flavor_copy *f);

extern const struct quota_table COMPUTE_QUOTAS;

#endif
