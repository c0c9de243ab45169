/*
 * Options of a domain: kept for software that reads them. Users of all domains are kept by this
 * service, so no option has an effect here. Groups are "identity" and "ldap".
 */
#include "identity/internal.h"

#include <errno.h>

/* What an option is when a domain says nothing; null values as in the reference's defaults. */
static const char DEFAULTS[] =
    "{\"identity\": {\"driver\": \"sql\", \"list_limit\": null},"
    " \"ldap\": {\"url\": \"ldap://localhost\", \"user\": null, \"suffix\": \"cn=example,cn=com\","
    " \"query_scope\": \"one\", \"page_size\": 0, \"user_tree_dn\": null, \"user_filter\": null,"
    " \"user_objectclass\": \"inetOrgPerson\", \"user_id_attribute\": \"cn\", \"user_name_attribute\": "
    "\"sn\","
    " \"user_mail_attribute\": \"mail\", \"user_enabled_attribute\": \"enabled\", \"group_tree_dn\": null,"
    " \"group_filter\": null, \"group_objectclass\": \"groupOfNames\", \"group_id_attribute\": \"cn\","
    " \"group_name_attribute\": \"ou\", \"group_member_attribute\": \"member\", \"use_tls\": false}}";

static json_t *parse(const char *text)
{
    char why[200];
    return text ? json_parse(text, strlen(text), why, sizeof(why)) : NULL;
}

static bool known_group(const char *group)
{
    return STREQ(group, "identity") || STREQ(group, "ldap");
}

static int refuse(struct call *c, const char *reason)
{
    return call_fault(c, 403, "InvalidDomainConfig", "Invalid domain specific configuration: %s.", reason);
}

static int no_config(struct call *c)
{
    const char *group = strmap_get(&c->params, "group"), *option = strmap_get(&c->params, "option");
    const char *what = option  ? arena_printf(c->arena, "option %s in group %s", option, group)
                       : group ? arena_printf(c->arena, "group %s", group)
                               : "any options";
    const char *id = strmap_get(&c->params, "id");
    return call_fault(c, 404, "DomainConfigNotFound",
                      "Could not find %s in domain configuration for domain %s.", what,
                      str_or(id, "default"));
}

/* The part of the whole that the path names, as {"config": ...}. */
static int put_part(struct call *c, const json_t *all)
{
    const char *group = strmap_get(&c->params, "group"), *option = strmap_get(&c->params, "option");
    const json_t *part = group ? json_object_get(all, group) : all;
    const json_t *value = option ? json_object_get(part, option) : part;
    if (!value || (!group && !json_object_size(all)))
        return no_config(c);
    json_open_object(&c->out);
    json_key(&c->out, "config");
    if (group) {
        json_open_object(&c->out);
        json_key(&c->out, option ? option : group);
        json_tree_out(&c->out, value);
        json_close_object(&c->out);
    } else {
        json_tree_out(&c->out, value);
    }
    json_close_object(&c->out);
    return 0;
}

int domain_config_default(struct call *c)
{
    const char *group = strmap_get(&c->params, "group");
    _cleanup_(json_decrefp) json_t *all = parse(DEFAULTS);
    if (group && !known_group(group))
        return refuse(c, "the group is not supported");
    return all ? put_part(c, all) : -ENOMEM;
}

static int read_config(struct call *c, struct domain_config **ret)
{
    struct project *d;
    int r = call_read(c);
    if (r == 0)
        r = need(c, &IDENTITY_PROJECT_KIND, "domain", call_param(c, "id"), &d);
    if (r == 0 && !d->is_domain)
        return not_found(c, "domain", call_param(c, "id"));
    return r ? r : txn_get(c->txn, &IDENTITY_DOMAIN_CONFIG_KIND, d->head.id, ret);
}

int domain_config_get(struct call *c)
{
    struct domain_config *x;
    int r = read_config(c, &x);
    if (r)
        return r;
    _cleanup_(json_decrefp) json_t *all = x ? parse(x->config) : NULL;
    return all ? put_part(c, all) : no_config(c);
}

/* ---- writing ---- */

static int check(struct call *c, const json_t *all)
{
    const char *group;
    json_t *options;
    if (!json_is_object(all) || !json_object_size(all))
        return refuse(c, "no options specified");
    json_object_foreach((json_t *)(uintptr_t)all, group, options)
    {
        if (!known_group(group))
            return refuse(c, "a group other than identity and ldap is not supported");
        if (!json_is_object(options))
            return refuse(c, "a group is an object of options");
    }
    return 0;
}

static int save(struct call *c, json_t *all)
{
    struct domain_config x = { .head.id = call_param(c, "id"), .config = json_text(c->arena, all) };
    int r = x.config ? txn_put(c->txn, &IDENTITY_DOMAIN_CONFIG_KIND, &x) : -ENOMEM;
    return r;
}

static int put_whole(struct call *c)
{
    struct domain_config *old;
    int r = read_config(c, &old);
    if (r == 0)
        r = check(c, c->body);
    if (r == 0)
        r = save(c, c->body);
    if (r)
        return r;
    c->status = old ? 200 : 201;
    return put_part(c, c->body);
}

int domain_config_put(struct call *c)
{
    return call_write(c, put_whole);
}

/* What the body has is laid over what is there: for a group {"group": {...}}, for an option {"option":
 * value}. */
static int patch(struct call *c)
{
    const char *group = strmap_get(&c->params, "group"), *option = strmap_get(&c->params, "option");
    struct domain_config *old;
    int r = read_config(c, &old);
    if (r)
        return r;
    _cleanup_(json_decrefp) json_t *all = old ? parse(old->config) : NULL;
    if (!all || (group && !json_object_get(all, group)) ||
        (option && !json_object_get(json_object_get(all, group), option)))
        return no_config(c);
    _cleanup_(json_decrefp) json_t *change = NULL;
    if (option) {
        const json_t *value = json_object_get(c->body, option);
        if (!value)
            return refuse(c, "the option of the URL is not in the body");
        change = json_pack("{s:{s:O}}", group, option, (json_t *)(uintptr_t)value);
    } else if (group) {
        const json_t *options = json_object_get(c->body, group);
        if (!options)
            return refuse(c, "the group of the URL is not in the body");
        change = json_pack("{s:O}", group, (json_t *)(uintptr_t)options);
    } else {
        change = json_incref(c->body);
    }
    r = check(c, change);
    const char *name;
    json_t *options;
    json_object_foreach(r ? NULL : change, name, options)
    {
        json_t *there = json_object_get(all, name);
        if (there ? json_object_update(there, options) < 0 : json_object_set(all, name, options) < 0)
            return -ENOMEM;
    }
    if (r == 0)
        r = save(c, all);
    if (r)
        return r;
    json_open_object(&c->out);
    json_key(&c->out, "config");
    json_tree_out(&c->out, all);
    json_close_object(&c->out);
    return 0;
}

int domain_config_patch(struct call *c)
{
    return call_write(c, patch);
}

static int drop(struct call *c)
{
    const char *group = strmap_get(&c->params, "group"), *option = strmap_get(&c->params, "option");
    struct domain_config *old;
    int r = read_config(c, &old);
    if (r)
        return r;
    _cleanup_(json_decrefp) json_t *all = old ? parse(old->config) : NULL;
    json_t *part = group ? json_object_get(all, group) : all;
    if (!part || (option && !json_object_get(part, option)))
        return no_config(c);
    c->status = 204;
    if (!group)
        return txn_delete(c->txn, &IDENTITY_DOMAIN_CONFIG_KIND, old->head.id);
    (void)(option ? json_object_del(part, option) : json_object_del(all, group));
    return save(c, all);
}

int domain_config_delete(struct call *c)
{
    return call_write(c, drop);
}
