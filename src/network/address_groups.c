/* Address groups: named lists of addresses that security group rules refer to. */
#include "network/neutron.h"

#include <errno.h>

static const char *const SHARED_FLAG[] = { "shared", NULL };

static bool group_visible(struct call *c, const void *object)
{
    return share_visible(c, &ADDRESS_GROUP_RESOURCE, "address_group", object);
}

static int group_scope(struct call *c, struct query *q)
{
    return share_scope(c, q, "address_group", SHARED_FLAG);
}

static int group_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    (void)full;
    share_render(c, &ADDRESS_GROUP_RESOURCE, "address_group", object, o);
    return 0;
}

/* As a prefix, host bits cleared: two that say the same are one. */
static const char *canonical(struct arena *a, const char *text)
{
    struct cidr net;
    return text && cidr_parse(text, false, &net) ? cidr_text(a, net) : NULL;
}

static int group_create(struct call *c, void *object)
{
    struct address_group *g = object;
    struct strv kept = { 0 };
    VEC_FOREACH (text, &g->addresses) {
        const char *one = canonical(c->arena, *text);
        if (one && !strv_has(&kept, one) && !strv_add(c->arena, &kept, one))
            return -ENOMEM;
    }
    g->addresses = kept;
    return 0;
}

static int group_remove(struct call *c, void *object)
{
    const char *id = ((struct object *)object)->id;
    struct security_rule *rule;
    int r = txn_find_by(c->txn, &SECURITY_RULE_KIND, "remote_address_group_id", id, &rule);
    if (r < 0)
        return r;
    if (rule)
        return call_fault(c, 409, "AddressGroupInUse",
                          "Address group %s is in use on one or more security group rules", id);
    return share_forget(c, id);
}

const struct resource ADDRESS_GROUP_RESOURCE = {
    .one = "address_group",
    .many = "address_groups",
    .kind = &ADDRESS_GROUP_KIND,
    .title = "Address group",
    .not_found = "AddressGroupNotFound",
    .scope = group_scope,
    .visible = group_visible,
    .filter = neutron_filter,
    .render = group_render,
    .create = group_create,
    .remove = group_remove,
};

static int change(struct call *c, bool add)
{
    void *object;
    size_t i;
    json_t *each;
    const json_t *wanted = json_get_array(
        json_get_object(c->body, "address_group") ? json_get_object(c->body, "address_group") : c->body,
        "addresses");
    int r = resource_get(c, &ADDRESS_GROUP_RESOURCE, call_param(c, "id"), &object);
    if (r == 0)
        r = neutron_own(c, &ADDRESS_GROUP_RESOURCE, object);
    if (r)
        return r;
    struct address_group *g = object;
    if (!wanted || !json_array_size(wanted))
        return call_fault(c, 400, "HTTPBadRequest", "Invalid input for addresses. Reason: a list is needed.");
    json_array_foreach(wanted, i, each)
    {
        const char *one = canonical(c->arena, json_string_value(each));
        if (!one)
            return call_fault(c, 400, "HTTPBadRequest",
                              "Invalid input for addresses. Reason: an address or a prefix is "
                              "needed.");
        if (add == strv_has(&g->addresses, one))
            return add ? call_fault(c, 400, "AddressesAlreadyExist",
                                    "Addresses %s already exist in the address group %s.", one, g->head.id)
                       : call_fault(c, 404, "AddressesNotFound",
                                    "Addresses %s not found in the address group %s.", one, g->head.id);
        if (add && !strv_add(c->arena, &g->addresses, one))
            return -ENOMEM;
        if (!add)
            strv_drop(&g->addresses, one);
    }
    standard_touch(&g->std);
    r = txn_put(c->txn, &ADDRESS_GROUP_KIND, g);
    return r ? r : resource_render_one(c, &ADDRESS_GROUP_RESOURCE, g);
}

static int add(struct call *c)
{
    return change(c, true);
}

static int drop(struct call *c)
{
    return change(c, false);
}

int address_group_add(struct call *c)
{
    return call_write(c, add);
}

int address_group_remove(struct call *c)
{
    return call_write(c, drop);
}
