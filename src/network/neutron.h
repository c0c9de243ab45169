/*
 * Neutron's way of the generic verbs: bodies of one or many, older names, tags, revisions,
 * attributes that only administrators may set, and 404 for what a tenant can't see.
 */
#ifndef YUNDUO_NETWORK_NEUTRON_H
#define YUNDUO_NETWORK_NEUTRON_H

#include "network/internal.h"

/* Verbs for route rows with .resource; rows have neither .wrap nor .body. */
int neutron_create(struct call *c);         /* {"network": {}} or {"networks": [{}, {}]} */
int neutron_update(struct call *c);         /* also If-Match: revision_number=N */
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

/* PUT /{many}/{id}/tags and so on. */
extern const struct route TAG_ROUTES[];

extern const struct resource NETWORK_RESOURCE, SUBNET_RESOURCE, PORT_RESOURCE, ROUTER_RESOURCE, FLOATING_RESOURCE,
    SECURITY_GROUP_RESOURCE, SECURITY_RULE_RESOURCE;

/* Special verbs, by file. */
int router_add_interface(struct call *c);
int router_remove_interface(struct call *c);


int groups_list(struct call *c);

#endif
