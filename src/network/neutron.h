/*
 * Neutron's way of the generic verbs: bodies of one or many, older names, tags, revisions,
 * attributes that only administrators may set, and 404 for what a tenant can't see.
 */
#ifndef YUNDUO_NETWORK_NEUTRON_H
#define YUNDUO_NETWORK_NEUTRON_H

#include "network/internal.h"

/* Verbs for route rows with .resource; rows have neither .wrap nor .body. */
int neutron_create(struct call *c); /* {"network": {}} or {"networks": [{}, {}]} */
int neutron_update(struct call *c); /* also If-Match: revision_number=N */
int neutron_delete(struct call *c);

/* The struct standard of an object of this resource; null where the kind has none. */
struct standard *neutron_standard(const struct resource *r, const void *object);
/* FAULT as it stands in 'f', told by this call. */
int neutron_tell(struct call *c, int r, const struct fault *f);
/* 404 in Neutron's words. */
int neutron_absent(struct call *c, const struct resource *r, const char *id);
/* Refuses when the object is seen but not the caller's own. */
int neutron_own(struct call *c, const struct resource *r, const void *object);
/* 400 InvalidInput: "Invalid input for operation: ...." */
int neutron_invalid(struct call *c, const char *format, ...) _printf_(2, 3);
const char *neutron_mac_prefix(const struct call *c);

/* ---- share.c ---- */

/* Whether an RBAC policy lets this project at the object; 'action' null: any. */
bool shared_with(struct txn *t, const char *type, const char *action, const char *object_id,
                 const char *project_id);
/* Ids of the objects of this type that RBAC policies let this project at. */
int shared_ids(struct txn *t, const char *type, const char *action, const char *project_id, struct strv *ret);
/* For 'visible' and 'scope': the project's own, those with one of the flags ("shared"), those by a policy. */
bool share_visible(struct call *c, const struct resource *r, const char *type, const void *object);
int share_scope(struct call *c, struct query *q, const char *type, const char *const *flags);
/* Writes "shared" as the caller sees it. */
void share_render(struct call *c, const struct resource *r, const char *type, const void *object,
                  struct json_out *o);
/* After 'shared' was written: the policy for all follows. */
int share_follow(struct call *c, const struct resource *r, const char *type, const void *object);
/* All policies of an object go with it. */
int share_forget(struct call *c, const char *id);

/* ---- tags.c ---- */

/* "tags", "tags-any", "not-tags", "not-tags-any", "tenant_id"; 1: another filter. Every resource's 'filter'
 * ends in it. */
int neutron_filter(struct call *c, struct query *q, const char *name, const char *value);
int tags_list(struct call *c);
int tags_replace(struct call *c);
int tags_drop(struct call *c);
int tag_show(struct call *c);
int tag_add(struct call *c);
int tag_drop(struct call *c);

extern const struct resource NETWORK_RESOURCE, SUBNET_RESOURCE, PORT_RESOURCE, ROUTER_RESOURCE,
    FLOATING_RESOURCE, SECURITY_GROUP_RESOURCE, SECURITY_RULE_RESOURCE, RBAC_RESOURCE, ADDRESS_SCOPE_RESOURCE,
    SUBNET_POOL_RESOURCE, ADDRESS_GROUP_RESOURCE, QOS_POLICY_RESOURCE, QOS_BANDWIDTH_RESOURCE,
    QOS_DSCP_RESOURCE, QOS_MIN_BANDWIDTH_RESOURCE, METERING_LABEL_RESOURCE, METERING_RULE_RESOURCE,
    FORWARDING_RESOURCE;

/* Special verbs, by file. */
int router_add_interface(struct call *c);
int router_remove_interface(struct call *c);
/* Gives a router a leg in the subnet. */
int router_attach(struct call *c, struct router *r, const char *subnet_id);
int router_add_extraroutes(struct call *c);
int router_remove_extraroutes(struct call *c);
int groups_list(struct call *c);
int address_group_add(struct call *c);
int address_group_remove(struct call *c);
int subnet_pool_add_prefixes(struct call *c);
int subnet_pool_remove_prefixes(struct call *c);
/* Cuts s->cidr from its subnet pool, or checks the one that was given against it. */
int subnet_from_pool(struct call *c, struct subnet *s);
/* The address scope that a network's subnets of this family have by their pool, or null. */
int network_scope_id(struct txn *t, const struct subnets *l, int version, const char **ret);
/* 404 when the policy is none that the caller sees; null is fine. */
int qos_check(struct call *c, const char *id);
/* A new network's policy: what is given, else its project's default. */
int qos_settle(struct call *c, struct network *n);
/* The router that has a leg on the subnet and its gateway on the external network, or null. */
int router_between(struct txn *t, const char *external_network_id, const char *subnet_id, const char **ret);
int qos_types_list(struct call *c);
int qos_type_show(struct call *c);
int agents_list(struct call *c);
int agent_show(struct call *c);
int agent_update(struct call *c);
int agent_delete(struct call *c);
int zones_list(struct call *c);
int agent_networks(struct call *c);
int agent_network_add(struct call *c);
int agent_network_drop(struct call *c);
int agent_routers(struct call *c);
int agent_router_add(struct call *c);
int agent_router_drop(struct call *c);
int network_agents(struct call *c);
int router_agents(struct call *c);
int quotas_list(struct call *c);
int quotas_show(struct call *c);
int quotas_default(struct call *c);
int quotas_details(struct call *c);
int quotas_update(struct call *c);
int quotas_reset(struct call *c);
int quotas_tenant(struct call *c);
int availability_list(struct call *c);
int availability_show(struct call *c);
int providers_list(struct call *c);
int topology_show(struct call *c);
int topology_delete(struct call *c);

#endif
