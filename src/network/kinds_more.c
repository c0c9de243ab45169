/* The rows of what is beyond the core: see the header. */
#include "network/kinds_more.h"
#include "network/address.h"
#include "network/rows.h"

#include <stdio.h>

/* ---- sharing ---- */

static const char *const RBAC_TYPES[] = {
    "network", "qos_policy", "security_group", "address_scope", "subnetpool", "address_group", NULL
};
static const char *const RBAC_ACTIONS[] = { "access_as_shared", "access_as_external", NULL };

static const struct field RBAC_FIELDS[] = {
    OWNED_ROWS(rbac_policy),
    { "object_type", FIELD_STRING, AT(rbac_policy, object_type), IN_CREATE | REQUIRED | FILTER | SORT,
      .values = RBAC_TYPES, .doc = "What kind of object." },
    { "object_id", FIELD_STRING, AT(rbac_policy, object_id), IN_CREATE | REQUIRED | FILTER | SORT | INDEX,
      .check = check_uuid, .doc = "Which one." },
    { "action", FIELD_STRING, AT(rbac_policy, action), IN_CREATE | REQUIRED | FILTER | SORT,
      .values = RBAC_ACTIONS, .doc = "What the other project may do." },
    { "target_tenant", FIELD_STRING, AT(rbac_policy, target_tenant),
      BOTH | REQUIRED | FILTER | SORT | NONEMPTY, .max = 255, .doc = "The project; *: all." },
};
static SCHEMA(RBAC_SCHEMA, struct rbac_policy, RBAC_FIELDS);

static void rbac_keys(const void *object, struct key_sink *k)
{
    const struct rbac_policy *p = object;
    char text[512];
    (void)snprintf(text, sizeof(text), "%s/%s/%s/%s", p->object_type, p->object_id, p->action,
                   p->target_tenant);
    key_add_unique(k, "grant", text);
}

static const char *const RBAC_INDEXES[] = { "target_tenant,object_type", NULL };
const struct kind RBAC_KIND = { "network.rbac_policy", &RBAC_SCHEMA, .keys = rbac_keys,
                                .indexes = RBAC_INDEXES };

/* ---- pools of addresses ---- */

static const struct field ADDRESS_SCOPE_FIELDS[] = {
    STANDARD_ROWS(address_scope),
    NAME_ROW(address_scope),
    { "ip_version", FIELD_INT, AT(address_scope, ip_version), IN_CREATE | REQUIRED | FILTER | SORT | LOOSE,
      .min = 4, .max = 6, .doc = "4 or 6." },
    SHARED_ROW(address_scope, BOTH),
};
static SCHEMA(ADDRESS_SCOPE_SCHEMA, struct address_scope, ADDRESS_SCOPE_FIELDS);
const struct kind ADDRESS_SCOPE_KIND = { "network.address_scope", &ADDRESS_SCOPE_SCHEMA };

static const struct field SUBNET_POOL_FIELDS[] = {
    STANDARD_ROWS(subnet_pool),
    NAME_ROW(subnet_pool),
    { "prefixes", FIELD_STRINGS, AT(subnet_pool, prefixes), BOTH | REQUIRED | LOOSE, .check = check_cidr,
      .doc = "What subnets are cut from." },
    { "ip_version", FIELD_INT, AT(subnet_pool, ip_version), FILTER | SORT, .doc = "4 or 6." },
    { "min_prefixlen", FIELD_INT, AT(subnet_pool, min_prefixlen), BOTH | LOOSE | FILTER, .min = 0, .max = 128,
      .otherwise = "null", .doc = "The largest subnet." },
    { "max_prefixlen", FIELD_INT, AT(subnet_pool, max_prefixlen), BOTH | LOOSE | FILTER, .min = 0, .max = 128,
      .otherwise = "null", .doc = "The smallest subnet." },
    { "default_prefixlen", FIELD_INT, AT(subnet_pool, default_prefixlen), BOTH | LOOSE | FILTER, .min = 0,
      .max = 128, .otherwise = "null", .doc = "What is cut when nothing is said." },
    { "default_quota", FIELD_INT, AT(subnet_pool, default_quota), BOTH | NULLABLE | LOOSE, .min = 0,
      .max = INT32_MAX, .otherwise = "null", .doc = "Addresses (v6: /64s) that one project may have of it." },
    { "is_default", FIELD_BOOL, AT(subnet_pool, is_default), BOTH | FILTER | LOOSE | ADMIN_SETS,
      .otherwise = "false", .doc = "Taken when a subnet wants any pool." },
    { "address_scope_id", FIELD_STRING, AT(subnet_pool, address_scope_id), BOTH | NULLABLE | FILTER | INDEX,
      .check = check_uuid, .doc = "Its scope." },
    SHARED_ROW(subnet_pool, IN_CREATE),
};
static SCHEMA(SUBNET_POOL_SCHEMA, struct subnet_pool, SUBNET_POOL_FIELDS);
const struct kind SUBNET_POOL_KIND = { "network.subnet_pool", &SUBNET_POOL_SCHEMA };

/* ---- groups of addresses ---- */

static const struct field ADDRESS_GROUP_FIELDS[] = {
    STANDARD_ROWS(address_group),
    NAME_ROW(address_group),
    { "addresses", FIELD_STRINGS, AT(address_group, addresses), IN_CREATE, .check = check_ip_or_cidr,
      .doc = "Its addresses." },
    SHARED_ROW(address_group, 0),
};
static SCHEMA(ADDRESS_GROUP_SCHEMA, struct address_group, ADDRESS_GROUP_FIELDS);
const struct kind ADDRESS_GROUP_KIND = { "network.address_group", &ADDRESS_GROUP_SCHEMA };

/* ---- limits ---- */

static const struct field QOS_POLICY_FIELDS[] = {
    STANDARD_ROWS(qos_policy),
    NAME_ROW(qos_policy),
    { "is_default", FIELD_BOOL, AT(qos_policy, is_default), BOTH | FILTER | LOOSE, .otherwise = "false",
      .doc = "New networks of the project have it." },
    SHARED_ROW(qos_policy, BOTH),
};
static SCHEMA(QOS_POLICY_SCHEMA, struct qos_policy, QOS_POLICY_FIELDS);
const struct kind QOS_POLICY_KIND = { "network.qos_policy", &QOS_POLICY_SCHEMA };

#define QOS_RULE_ROWS                                                                                        \
    FIELD_ID(struct qos_rule), { "project_id", FIELD_STRING, AT(qos_rule, std.project_id), HIDDEN },         \
        { "revision_number", FIELD_INT, AT(qos_rule, std.revision_number), HIDDEN },                         \
        { "created_at", FIELD_TIME, AT(qos_rule, std.created_at), HIDDEN | SORT },                           \
    {                                                                                                        \
        "qos_policy_id", FIELD_STRING, AT(qos_rule, qos_policy_id), HIDDEN | FILTER | INDEX,                 \
            .doc = "Its policy."                                                                             \
    }

static const char *const DIRECTIONS[] = { "ingress", "egress", NULL };
#define DIRECTION_ROW(type, fallback)                                                                        \
    {                                                                                                        \
        "direction", FIELD_STRING, AT(type, direction), BOTH | FILTER | SORT,                                \
            .values = DIRECTIONS, .otherwise = fallback, .doc = "From the guest's view."                     \
    }

static const struct field BANDWIDTH_FIELDS[] = {
    QOS_RULE_ROWS,
    { "max_kbps", FIELD_INT, AT(qos_rule, max), BOTH | REQUIRED | FILTER | LOOSE, .min = 0, .max = INT32_MAX,
      .doc = "Kilobits a second." },
    { "max_burst_kbps", FIELD_INT, AT(qos_rule, max_burst), BOTH | FILTER | LOOSE, .min = 0, .max = INT32_MAX,
      .otherwise = "0", .doc = "Kilobits at once." },
    DIRECTION_ROW(qos_rule, "egress"),
};
static SCHEMA(BANDWIDTH_SCHEMA, struct qos_rule, BANDWIDTH_FIELDS);

static void bandwidth_keys(const void *object, struct key_sink *k)
{
    const struct qos_rule *r = object;
    char text[128];
    (void)snprintf(text, sizeof(text), "%s/%s", str_or(r->qos_policy_id, ""), str_or(r->direction, ""));
    key_add_unique(k, "rule", text);
}
const struct kind QOS_BANDWIDTH_KIND = { "network.qos_bandwidth", &BANDWIDTH_SCHEMA, .keys = bandwidth_keys };

static const struct field DSCP_FIELDS[] = {
    QOS_RULE_ROWS,
    { "dscp_mark", FIELD_INT, AT(qos_rule, dscp_mark), BOTH | REQUIRED | FILTER | LOOSE, .min = 0, .max = 56,
      .doc = "The mark." },
};
static SCHEMA(DSCP_SCHEMA, struct qos_rule, DSCP_FIELDS);

static void dscp_keys(const void *object, struct key_sink *k)
{
    key_add_unique(k, "rule", ((const struct qos_rule *)object)->qos_policy_id);
}
const struct kind QOS_DSCP_KIND = { "network.qos_dscp", &DSCP_SCHEMA, .keys = dscp_keys };

static const struct field MIN_BANDWIDTH_FIELDS[] = {
    QOS_RULE_ROWS,
    { "min_kbps", FIELD_INT, AT(qos_rule, min), BOTH | REQUIRED | FILTER | LOOSE, .min = 0, .max = INT32_MAX,
      .doc = "Kilobits a second that must be there: for placement." },
    DIRECTION_ROW(qos_rule, "egress"),
};
static SCHEMA(MIN_BANDWIDTH_SCHEMA, struct qos_rule, MIN_BANDWIDTH_FIELDS);
const struct kind QOS_MIN_BANDWIDTH_KIND = { "network.qos_min_bandwidth", &MIN_BANDWIDTH_SCHEMA,
                                             .keys = bandwidth_keys };

/* ---- metering ---- */

static const struct field METERING_LABEL_FIELDS[] = {
    OWNED_ROWS(metering_label),
    NAME_ROW(metering_label),
    { "description", FIELD_STRING, AT(metering_label, std.description), IN_CREATE | FILTER, .max = 255,
      .otherwise = "", .doc = "For people." },
    { "shared", FIELD_BOOL, AT(metering_label, shared), IN_CREATE | FILTER | LOOSE, .otherwise = "false",
      .doc = "Counts for all projects." },
};
static SCHEMA(METERING_LABEL_SCHEMA, struct metering_label, METERING_LABEL_FIELDS);
const struct kind METERING_LABEL_KIND = { "network.metering_label", &METERING_LABEL_SCHEMA };

static const struct field METERING_RULE_FIELDS[] = {
    OWNED_ROWS(metering_rule),
    { "metering_label_id", FIELD_STRING, AT(metering_rule, metering_label_id),
      IN_CREATE | REQUIRED | FILTER | INDEX, .check = check_uuid, .doc = "Its label." },
    DIRECTION_ROW(metering_rule, "ingress"),
    { "excluded", FIELD_BOOL, AT(metering_rule, excluded), IN_CREATE | FILTER | LOOSE, .otherwise = "false",
      .doc = "Is not counted." },
    { "remote_ip_prefix", FIELD_STRING, AT(metering_rule, remote_ip_prefix), IN_CREATE | FILTER | NULLABLE,
      .check = check_ip_or_cidr, .doc = "The other side." },
    { "source_ip_prefix", FIELD_STRING, AT(metering_rule, source_ip_prefix), IN_CREATE | FILTER | NULLABLE,
      .check = check_ip_or_cidr, .doc = "From where." },
    { "destination_ip_prefix", FIELD_STRING, AT(metering_rule, destination_ip_prefix),
      IN_CREATE | FILTER | NULLABLE, .check = check_ip_or_cidr, .doc = "Where to." },
};
static SCHEMA(METERING_RULE_SCHEMA, struct metering_rule, METERING_RULE_FIELDS);
const struct kind METERING_RULE_KIND = { "network.metering_rule", &METERING_RULE_SCHEMA };
