/*
 * Metering labels and their rules: what is to be counted at routers' gateways. They are kept and told;
 * counters that read them belong to the telemetry service.
 */
#include "network/neutron.h"

#include <errno.h>

static int label_remove(struct call *c, void *object)
{
    struct query q = { .kind = &METERING_RULE_KIND };
    struct results l = { 0 };
    if (!query_where(&q, c->arena, "metering_label_id", Q_EQ, ((struct object *)object)->id))
        return -ENOMEM;
    int r = txn_list(c->txn, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = txn_delete(c->txn, &METERING_RULE_KIND, ((struct object *)l.v[i])->id);
    return r;
}

const struct resource METERING_LABEL_RESOURCE = {
    .one = "metering_label",
    .many = "metering_labels",
    .kind = &METERING_LABEL_KIND,
    .title = "Metering label",
    .not_found = "MeteringLabelNotFound",
    .filter = neutron_filter,
    .remove = label_remove,
};

static int rule_create(struct call *c, void *object)
{
    struct metering_rule *rule = object;
    struct query q = { .kind = &METERING_RULE_KIND };
    struct results l = { 0 };
    void *label;
    struct cidr mine, other;
    int r = resource_get(c, &METERING_LABEL_RESOURCE, rule->metering_label_id, &label);
    if (r)
        return r;
    rule->std.project_id = ((struct metering_label *)label)->std.project_id;
    if (!rule->remote_ip_prefix && !rule->source_ip_prefix && !rule->destination_ip_prefix)
        return call_fault(c, 400, "MeteringLabelRuleInvalid",
                          "A rule needs one of remote_ip_prefix, source_ip_prefix and "
                          "destination_ip_prefix.");
    if (rule->remote_ip_prefix && (rule->source_ip_prefix || rule->destination_ip_prefix))
        return call_fault(c, 400, "MeteringLabelRuleInvalid",
                          "remote_ip_prefix can't be used together with "
                          "source_ip_prefix or destination_ip_prefix.");
    if (rule->remote_ip_prefix && cidr_parse(rule->remote_ip_prefix, false, &mine) && !mine.prefix)
        return call_fault(c, 400, "InvalidInput",
                          "Invalid input for operation: a prefix of length 0 counts everything.");
    if (!query_where(&q, c->arena, "metering_label_id", Q_EQ, rule->metering_label_id) ||
        !query_where(&q, c->arena, "direction", Q_EQ, rule->direction))
        return -ENOMEM;
    r = txn_list(c->txn, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct metering_rule *there = l.v[i];
        if (rule->remote_ip_prefix && there->remote_ip_prefix &&
            cidr_parse(rule->remote_ip_prefix, false, &mine) &&
            cidr_parse(there->remote_ip_prefix, false, &other) && cidr_overlap(mine, other))
            return call_fault(c, 409, "MeteringLabelRuleOverlaps",
                              "Metering label rule with remote_ip_prefix '%s' "
                              "overlaps another.",
                              rule->remote_ip_prefix);
    }
    return r;
}

const struct resource METERING_RULE_RESOURCE = {
    .one = "metering_label_rule",
    .many = "metering_label_rules",
    .kind = &METERING_RULE_KIND,
    .title = "Metering label rule",
    .not_found = "MeteringLabelRuleNotFound",
    .filter = neutron_filter,
    .create = rule_create,
};
