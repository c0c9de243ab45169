/* Security groups and their rules. */
#include "network/neutron.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

static bool group_visible(struct call *c, const void *object)
{
    return share_visible(c, &SECURITY_GROUP_RESOURCE, "security_group", object);
}

static int group_scope(struct call *c, struct query *q)
{
    static const char *const FLAGS[] = { "shared", NULL };
    return share_scope(c, q, "security_group", FLAGS);
}

static int rules_of(struct txn *t, const char *group_id, struct results *ret)
{
    struct query q = { .kind = &SECURITY_RULE_KIND };
    if (!query_where(&q, txn_arena(t), "security_group_id", Q_EQ, group_id))
        return -ENOMEM;
    return txn_list(t, &q, ret);
}

static int group_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    (void)full;
    const struct security_group *g = object;
    struct results l = { 0 };
    share_render(c, &SECURITY_GROUP_RESOURCE, "security_group", object, o);
    if (!resource_wants(c, "security_group_rules"))
        return 0;
    int r = rules_of(c->txn, g->head.id, &l);
    json_put_array(o, "security_group_rules");
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = resource_render(c, &SECURITY_RULE_RESOURCE, l.v[i], true, NULL, o);
    json_close_array(o);
    return r;
}

static int open_rule(struct call *c, const struct security_group *g, const char *ethertype)
{
    struct security_rule rule = { .security_group_id = g->head.id,
                                  .direction = "egress",
                                  .ethertype = ethertype,
                                  .port_range_min = INT_NULL,
                                  .port_range_max = INT_NULL };
    standard_new(c->arena, &rule.head, &rule.std, g->std.project_id);
    return rule.head.id ? txn_put(c->txn, &SECURITY_RULE_KIND, &rule) : -ENOMEM;
}

static int group_create(struct call *c, void *object)
{
    struct security_group *g = object;
    struct fault f;
    const char *first;
    if (STREQ(g->name, "default"))
        return call_fault(c, 409, "SecurityGroupDefaultAlreadyExists",
                          "Default security group already exists.");
    int r = default_group(c->txn, g->std.project_id, &first);
    if (r == 0)
        r = neutron_tell(c, quota_take(c->txn, g->std.project_id, "security_group", 1, &f), &f);
    if (r == 0)
        r = open_rule(c, g, "IPv4");
    return r ? r : open_rule(c, g, "IPv6");
}

static int in_use(struct call *c, const struct security_group *g, bool *ret)
{
    struct ports ports = { 0 };
    int r = ports_where(c->txn, "security_groups", Q_KEY, g->head.id, &ports);
    *ret = ports.n > 0;
    return r;
}

static int group_update(struct call *c, const void *before, void *object)
{
    const struct security_group *old = before;
    struct security_group *g = object;
    bool used = false;
    if (STREQ(old->name, "default") && !STREQ(g->name, "default"))
        return call_fault(c, 409, "SecurityGroupCannotUpdateDefault",
                          "Updating default security group not allowed.");
    if (!STREQ(old->name, "default") && STREQ(g->name, "default"))
        return call_fault(c, 409, "SecurityGroupDefaultAlreadyExists",
                          "Default security group already exists.");
    int r = old->stateful != g->stateful ? in_use(c, g, &used) : 0;
    if (r == 0 && used)
        return call_fault(c, 409, "SecurityGroupInUse", "Security Group %s in use.", g->head.id);
    return r;
}

static int group_remove(struct call *c, void *object)
{
    const struct security_group *g = object;
    bool used;
    struct results l = { 0 };
    int r = in_use(c, g, &used);
    if (r < 0)
        return r;
    if (STREQ(g->name, "default") && !call_is_admin(c))
        return call_fault(c, 409, "SecurityGroupCannotRemoveDefault",
                          "Insufficient rights for removing default "
                          "security group.");
    if (used)
        return call_fault(c, 409, "SecurityGroupInUse", "Security Group %s in use.", g->head.id);
    r = rules_of(c->txn, g->head.id, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = txn_delete(c->txn, &SECURITY_RULE_KIND, ((struct object *)l.v[i])->id);
    /* rules of other groups that refer to this one go with it */
    struct query q = { .kind = &SECURITY_RULE_KIND };
    l = (struct results){ 0 };
    if (!query_where(&q, c->arena, "remote_group_id", Q_EQ, g->head.id))
        return -ENOMEM;
    if (r == 0)
        r = txn_list(c->txn, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = txn_delete(c->txn, &SECURITY_RULE_KIND, ((struct object *)l.v[i])->id);
    return r ? r : share_forget(c, g->head.id);
}

const struct resource SECURITY_GROUP_RESOURCE = {
    .one = "security_group",
    .many = "security_groups",
    .kind = &SECURITY_GROUP_KIND,
    .title = "Security group",
    .not_found = "SecurityGroupNotFound",
    .scope = group_scope,
    .visible = group_visible,
    .filter = neutron_filter,
    .render = group_render,
    .create = group_create,
    .update = group_update,
    .remove = group_remove,
};

/* A list makes the project's default group, as the first port would. */
static int ensure_default(struct call *c)
{
    const char *id;
    return default_group(c->txn, c->auth->project_id, &id);
}

int groups_list(struct call *c)
{
    struct query q = { .kind = &SECURITY_GROUP_KIND };
    struct security_group *found = NULL;
    int r = call_read(c);
    if (r == 0 && c->auth->project_id) {
        if (!query_where(&q, c->arena, "project_id", Q_EQ, c->auth->project_id) ||
            !query_where(&q, c->arena, "name", Q_EQ, "default"))
            return -ENOMEM;
        r = txn_find(c->txn, &q, &found);
        if (r == 0 && !found)
            r = call_write(c, ensure_default);
    }
    return r ? r : resource_list(c);
}

/* ---- rules ---- */

static const char *const PROTOCOLS[] = { "ah",        "dccp",       "egp",       "esp",       "gre",
                                         "hopopt",    "icmp",       "icmpv6",    "igmp",      "ip",
                                         "ipip",      "ipv6-encap", "ipv6-frag", "ipv6-icmp", "ipv6-nonxt",
                                         "ipv6-opts", "ipv6-route", "ospf",      "pgm",       "rsvp",
                                         "sctp",      "tcp",        "udp",       "udplite",   "vrrp" };

static bool protocol_known(const char *p)
{
    char *end;
    long n = strtol(p, &end, 10);
    if (isdigit((unsigned char)*p) && !*end)
        return n >= 0 && n <= 255;
    for (size_t i = 0; i < ARRAY_SIZE(PROTOCOLS); i++)
        if (strcasecmp(PROTOCOLS[i], p) == 0)
            return true;
    return false;
}

static bool is_icmp(const char *p)
{
    return p && (STREQ(p, "icmp") || STREQ(p, "icmpv6") || STREQ(p, "ipv6-icmp") || STREQ(p, "1") ||
                 STREQ(p, "58"));
}

static bool has_ports(const char *p)
{
    static const char *const WITH[] = {
        "tcp", "udp", "dccp", "sctp", "udplite", "6", "17", "33", "132", "136"
    };
    for (size_t i = 0; p && i < ARRAY_SIZE(WITH); i++)
        if (STREQ(WITH[i], p))
            return true;
    return false;
}

static int check_range(struct call *c, const struct security_rule *r)
{
    bool min = r->port_range_min != INT_NULL, max = r->port_range_max != INT_NULL;
    int64_t bad = min && (r->port_range_min < 0 || r->port_range_min > 65535)   ? r->port_range_min
                  : max && (r->port_range_max < 0 || r->port_range_max > 65535) ? r->port_range_max
                                                                                : INT_NULL;
    if (bad != INT_NULL)
        return call_fault(c, 400, "SecurityGroupInvalidPortValue", "Invalid value for port %lld",
                          (long long)bad);
    if (is_icmp(r->protocol)) {
        if (min && r->port_range_min > 255)
            return call_fault(c, 400, "SecurityGroupInvalidIcmpValue",
                              "Invalid value for ICMP type (port_range_min) "
                              "%lld. It must be 0 to 255.",
                              (long long)r->port_range_min);
        if (max && r->port_range_max > 255)
            return call_fault(c, 400, "SecurityGroupInvalidIcmpValue",
                              "Invalid value for ICMP code (port_range_max) "
                              "%lld. It must be 0 to 255.",
                              (long long)r->port_range_max);
        if (max && !min)
            return call_fault(c, 400, "SecurityGroupMissingIcmpType",
                              "ICMP code (port-range-max) %lld is provided but "
                              "ICMP type (port-range-min) is missing.",
                              (long long)r->port_range_max);
        return 0;
    }
    if (!min && !max)
        return 0;
    if (!r->protocol)
        return call_fault(c, 400, "SecurityGroupProtocolRequiredWithPorts",
                          "Must also specify protocol if port range "
                          "is given.");
    if (!has_ports(r->protocol))
        return call_fault(c, 400, "SecurityGroupInvalidProtocolForPort",
                          "Invalid protocol %s for port range, only "
                          "supported for TCP, UDP, UDPLITE, SCTP and DCCP.",
                          r->protocol);
    if (min != max || r->port_range_min > r->port_range_max || r->port_range_min < 1)
        return call_fault(c, 400, "SecurityGroupInvalidPortRange",
                          "For TCP/UDP protocols, port_range_min must be <= "
                          "port_range_max");
    return 0;
}

static int check_remote(struct call *c, struct security_rule *r)
{
    struct cidr net;
    if (!!r->remote_group_id + !!r->remote_ip_prefix + !!r->remote_address_group_id > 1)
        return call_fault(c, 400, "SecurityGroupMultipleRemoteEntites",
                          "Only remote_ip_prefix or remote_group_id or "
                          "remote_address_group_id may be provided.");
    if (r->remote_group_id) {
        struct security_group *g;
        int e = txn_get(c->txn, &SECURITY_GROUP_KIND, r->remote_group_id, &g);
        if (e < 0)
            return e;
        if (!g || !group_visible(c, g))
            return neutron_absent(c, &SECURITY_GROUP_RESOURCE, r->remote_group_id);
    }
    if (r->remote_address_group_id) {
        void *group;
        int e = resource_get(c, &ADDRESS_GROUP_RESOURCE, r->remote_address_group_id, &group);
        if (e)
            return e;
    }
    if (r->remote_ip_prefix && cidr_parse(r->remote_ip_prefix, false, &net)) {
        if ((net.first.version == 4) != STREQ(r->ethertype, "IPv4"))
            return call_fault(c, 400, "SecurityGroupRuleParameterConflict",
                              "Conflicting value ethertype %s for CIDR %s", r->ethertype,
                              r->remote_ip_prefix);
        /* kept as it was given; hosts look at the network only */
        if (!strchr(r->remote_ip_prefix, '/'))
            r->remote_ip_prefix = cidr_text(c->arena, net);
    }
    return 0;
}

static int rule_create(struct call *c, void *object)
{
    struct security_rule *r = object;
    struct security_group *g;
    struct fault f;
    int e = txn_get(c->txn, &SECURITY_GROUP_KIND, r->security_group_id, &g);
    if (e < 0)
        return e;
    if (!g || !group_visible(c, g) || (!call_is_admin(c) && !str_eq(g->std.project_id, c->auth->project_id)))
        return neutron_absent(c, &SECURITY_GROUP_RESOURCE, r->security_group_id);
    r->std.project_id = g->std.project_id;
    r->ethertype = str_or(r->ethertype, "IPv4");
    if (strcasecmp(r->ethertype, "IPv4") != 0 && strcasecmp(r->ethertype, "IPv6") != 0)
        return call_fault(c, 400, "SecurityGroupRuleInvalidEtherType",
                          "Security group rule for ethertype '%s' not "
                          "supported. Allowed values are ['IPv4', 'IPv6'].",
                          r->ethertype);
    r->ethertype = strcasecmp(r->ethertype, "IPv6") == 0 ? "IPv6" : "IPv4";
    if (r->protocol) {
        char *lower = arena_strdup(c->arena, r->protocol);
        for (char *at = lower; at && *at; at++)
            *at = (char)tolower((unsigned char)*at);
        r->protocol = lower && !STREQ(lower, "any") && *lower ? lower : NULL;
    }
    if (r->protocol && !protocol_known(r->protocol))
        return call_fault(c, 400, "SecurityGroupRuleInvalidProtocol",
                          "Security group rule protocol %s not supported. "
                          "Only protocol values and integer representations [0 to 255] are supported.",
                          r->protocol);
    e = check_range(c, r);
    if (e == 0)
        e = check_remote(c, r);
    return e ? e : neutron_tell(c, quota_take(c->txn, r->std.project_id, "security_group_rule", 1, &f), &f);
}

static int rule_taken(struct call *c, const void *object)
{
    const struct security_rule *r = object;
    struct security_rule *other = NULL;
    struct results l = { 0 };
    if (rules_of(c->txn, r->security_group_id, &l) == 0)
        for (size_t i = 0; i < l.n && !other; i++) {
            struct security_rule *o = l.v[i];
            if (str_eq(o->direction, r->direction) && str_eq(o->ethertype, r->ethertype) &&
                str_eq(o->protocol, r->protocol) && o->port_range_min == r->port_range_min &&
                o->port_range_max == r->port_range_max && str_eq(o->remote_ip_prefix, r->remote_ip_prefix) &&
                str_eq(o->remote_group_id, r->remote_group_id))
                other = o;
        }
    return call_fault(c, 409, "SecurityGroupRuleExists", "Security group rule already exists. Rule id is %s.",
                      other ? other->head.id : "unknown");
}

static int rule_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    (void)full;
    const char *prefix = ((const struct security_rule *)object)->remote_ip_prefix;
    struct cidr net;
    if (resource_wants(c, "normalized_cidr"))
        json_put_string(o, "normalized_cidr",
                        prefix && cidr_parse(prefix, false, &net) ? cidr_text(c->arena, net) : NULL);
    return 0;
}

const struct resource SECURITY_RULE_RESOURCE = {
    .one = "security_group_rule",
    .many = "security_group_rules",
    .kind = &SECURITY_RULE_KIND,
    .title = "Security group rule",
    .filter = neutron_filter,
    .not_found = "SecurityGroupRuleNotFound",
    .render = rule_render,
    .create = rule_create,
    .taken = rule_taken,
};
