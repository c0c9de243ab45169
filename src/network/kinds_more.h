/* What the network slice stores beyond the core: sharing, pools, limits, groups of addresses, counts. */
#ifndef YUNDUO_NETWORK_KINDS_MORE_H
#define YUNDUO_NETWORK_KINDS_MORE_H

#include "network/kinds.h"

/* Lets another project ("*": all) see and use an object. */
struct rbac_policy {
    struct object head;
    struct standard std;
    const char *object_type, *object_id, *action, *target_tenant;
};

struct address_scope {
    struct object head;
    struct standard std;
    const char *name;
    int64_t ip_version;
    bool shared;
};

struct subnet_pool {
    struct object head;
    struct standard std;
    const char *name;
    struct strv prefixes;
    int64_t ip_version, min_prefixlen, max_prefixlen, default_prefixlen, default_quota;
    bool is_default, shared;
    const char *address_scope_id;
};

struct address_group {
    struct object head;
    struct standard std;
    const char *name;
    struct strv addresses;
    bool shared;
};

struct qos_policy {
    struct object head;
    struct standard std;
    const char *name;
    bool shared, is_default;
};

/* One struct for the rules of all types; each type is a kind of its own, with the rows it has. */
struct qos_rule {
    struct object head;
    struct standard std;
    const char *qos_policy_id, *direction;
    int64_t max, max_burst, min, dscp_mark;
};

struct metering_label {
    struct object head;
    struct standard std;
    const char *name;
    bool shared;
};

struct metering_rule {
    struct object head;
    struct standard std;
    const char *metering_label_id, *direction, *remote_ip_prefix, *source_ip_prefix, *destination_ip_prefix;
    bool excluded;
};

extern const struct kind RBAC_KIND, ADDRESS_SCOPE_KIND, SUBNET_POOL_KIND, ADDRESS_GROUP_KIND, QOS_POLICY_KIND,
    QOS_BANDWIDTH_KIND, QOS_DSCP_KIND, QOS_MIN_BANDWIDTH_KIND, METERING_LABEL_KIND, METERING_RULE_KIND;

#endif
