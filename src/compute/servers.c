/*
 * Servers: show, change, delete, and what every verb on one begins with.
 */
#include "compute/internal.h"

#include <errno.h>
#include <stdio.h>

/* ---- finding ---- */

int server_get(struct call *c, const char *id, const char *rule, struct server **ret)
{
    struct server *s;
    int r = c->txn ? 0 : call_read(c);
    r = r < 0 ? r : txn_get(c->txn, &SERVER_KIND, id, &s);
    if (r < 0)
        return r;
    if (!s || (!call_is_admin(c) && !str_eq(s->project_id, c->auth->project_id)))
        return call_fault(c, 404, "InstanceNotFound", "Instance %s could not be found.", id);
    *ret = s;
    return rule ? call_require_project(c, rule, s->project_id) : 0;
}

int server_get_unlocked(struct call *c, const char *id, const char *rule, struct server **ret)
{
    int r = server_get(c, id, rule, ret);
    if (r)
        return r;
    if ((*ret)->locked && !call_is_admin(c))
        return call_fault(c, 409, "InstanceIsLocked", "Instance %s is locked", id);
    return 0;
}

static int server_show(struct call *c)
{
    struct server *s;
    int r = server_get(c, call_param(c, "id"), "os_compute_api:servers:show", &s);
    return r ? r : server_render_one(c, s, VIEW_SHOW);
}

/* ---- change ---- */

struct update_in { const char *name, *disk_config, *access4, *access6, *description, *hostname; };
static const char *const DISK_CONFIGS[] = { "AUTO", "MANUAL", NULL };
#define U(key, member, flags_, ...) \
    { key, FIELD_STRING, offsetof(struct update_in, member), IN_CREATE | (flags_), ##__VA_ARGS__, .doc = key }
static const struct field UPDATE_ROWS[] = {
    U("name", name, 0, .min = 1, .max = 255, .check = check_name),
    U("OS-DCF:diskConfig", disk_config, 0, .values = DISK_CONFIGS),
    U("accessIPv4", access4, 0, .check = check_ipv4),
    U("accessIPv6", access6, 0, .check = check_ipv6),
    U("description", description, NULLABLE, .max = 255, .since = 19),
    U("hostname", hostname, 0, .min = 2, .max = 63, .check = check_hostname, .since = 90),
};
static SCHEMA(UPDATE_SCHEMA, struct update_in, UPDATE_ROWS);

static int update_write(struct call *c)
{
    const struct update_in *in = c->in;
    struct server *s;
    int r = server_get(c, call_param(c, "id"), "os_compute_api:servers:update", &s);
    if (r)
        return r;
#define GAVE(member) GIVEN(&c->given, &UPDATE_SCHEMA, struct update_in, member)
    if (GAVE(name))
        s->display_name = in->name;
    if (GAVE(disk_config))
        s->auto_disk_config = STREQ(in->disk_config, "AUTO");
    if (GAVE(access4))
        s->access_ip_v4 = *in->access4 ? in->access4 : NULL;
    if (GAVE(access6))
        s->access_ip_v6 = ipv6_plain(c->arena, in->access6);
    if (GAVE(description))
        s->display_description = in->description;
    if (GAVE(hostname))
        s->hostname = in->hostname;
#undef GAVE
    r = server_put(c->txn, s);
    return r ? r : server_render_one(c, s, VIEW_UPDATE);
}

static int server_update(struct call *c)
{
    return call_write(c, update_write);
}

/* ---- delete ---- */

static int delete_write(struct call *c)
{
    struct server *s;
    int r = server_get_unlocked(c, call_param(c, "id"), "os_compute_api:servers:delete", &s);
    if (r || s->deleting)
        return r;
    r = action_begin_call(c, s, "delete");
    return r ? r : server_delete(c->api, c->txn, s);
}

static int server_delete_verb(struct call *c)
{
    return call_write(c, delete_write);
}

/* ---- metadata ---- */

static int metadata_of_call(struct call *c, const char *rule, struct server **ret)
{
    int r = server_get(c, call_param(c, "id"), rule, ret);
    if (r == FAULT && c->fault.status == 404)
        return call_fault(c, 404, "InstanceNotFound", "Server does not exist");
    return r;
}

static int metadata_changeable(struct call *c, const struct server *s, const char *what)
{
    static const char *const IN[] = { VM_ACTIVE, VM_PAUSED, VM_SUSPENDED, VM_STOPPED };
    if (s->locked && !call_is_admin(c))
        return call_fault(c, 409, "InstanceIsLocked", "Instance %s is locked", s->head.id);
    for (size_t i = 0; i < ARRAY_SIZE(IN); i++)
        if (STREQ(IN[i], s->vm_state))
            return 0;
    return call_fault(c, 409, "InstanceInvalidState", "Cannot '%s' instance %s while it is in vm_state %s", what,
                      s->head.id, s->vm_state);
}

static int metadata_list(struct call *c)
{
    struct server *s;
    int r = metadata_of_call(c, "os_compute_api:server-metadata:index", &s);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_map(&c->out, "metadata", &s->metadata);
    json_close_object(&c->out);
    return 0;
}

static int metadata_show(struct call *c)
{
    struct server *s;
    const char *key = call_param(c, "key");
    int r = metadata_of_call(c, "os_compute_api:server-metadata:show", &s);
    if (r)
        return r;
    const char *value = strmap_get(&s->metadata, key);
    if (!value)
        return call_fault(c, 404, "MetadataItem", "Metadata item was not found");
    json_open_object(&c->out);
    json_put_object(&c->out, "meta");
    json_put_string(&c->out, key, value);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

struct metadata_in { struct strmap map; };
static const struct field METADATA_ROWS[] = {
    { "metadata", FIELD_MAP, offsetof(struct metadata_in, map), IN_CREATE | REQUIRED, .max = 255, .doc = "Items." },
};
static SCHEMA(METADATA_SCHEMA, struct metadata_in, METADATA_ROWS);
static const struct field META_ROWS[] = {
    { "meta", FIELD_MAP, offsetof(struct metadata_in, map), IN_CREATE | REQUIRED, .max = 255, .items_max = 1,
      .doc = "One item." },
};
static SCHEMA(META_SCHEMA, struct metadata_in, META_ROWS);

static int metadata_write(struct call *c)
{
    const struct metadata_in *in = c->in;
    struct server *s;
    bool one = strmap_get(&c->params, "key") != NULL, replace = STREQ(c->route->method, "PUT") && !one;
    int r = metadata_of_call(c, one ? "os_compute_api:server-metadata:update" :
                             replace ? "os_compute_api:server-metadata:update_all" :
                             "os_compute_api:server-metadata:create", &s);
    if (r)
        return r;
    if (one && !strmap_get(&in->map, call_param(c, "key")))
        return call_fault(c, 400, "MetadataKey", "Request body and URI mismatch");
    struct strmap map = { 0 };
    if (!replace)
        map = s->metadata;
    for (size_t i = 0; i < in->map.n; i++)
        strmap_set(c->arena, &map, in->map.v[i].key, in->map.v[i].value);
    r = metadata_check(c, &map);
    r = r ? r : metadata_changeable(c, s, "update metadata");
    if (r)
        return r;
    s->metadata = map;
    r = server_put(c->txn, s);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_map(&c->out, one ? "meta" : "metadata", one ? &in->map : &map);
    json_close_object(&c->out);
    return 0;
}

static int metadata_set(struct call *c)
{
    return call_write(c, metadata_write);
}

static int metadata_delete_write(struct call *c)
{
    struct server *s;
    int r = metadata_of_call(c, "os_compute_api:server-metadata:delete", &s);
    if (r)
        return r;
    if (!strmap_get(&s->metadata, call_param(c, "key")))
        return call_fault(c, 404, "MetadataItem", "Metadata item was not found");
    r = metadata_changeable(c, s, "delete metadata");
    if (r)
        return r;
    strmap_drop(&s->metadata, call_param(c, "key"));
    return server_put(c->txn, s);
}

static int metadata_delete(struct call *c)
{
    return call_write(c, metadata_delete_write);
}

/* ---- tags ---- */

#define TAGS_MAX 50

static int tags_changeable(struct call *c, const struct server *s)
{
    if (STREQ(s->vm_state, VM_ERROR) || STREQ(s->vm_state, VM_SOFT_DELETED) || STREQ(s->vm_state, VM_BUILDING))
        return call_fault(c, 409, "InstanceInvalidState",
                          "Cannot 'tag' instance %s while it is in vm_state %s", s->head.id, s->vm_state);
    return 0;
}

static int tags_list(struct call *c)
{
    struct server *s;
    int r = server_get(c, call_param(c, "id"), "os_compute_api:os-server-tags:index", &s);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_strings(&c->out, "tags", &s->tags);
    json_close_object(&c->out);
    return 0;
}

static int tag_missing(struct call *c, const struct server *s, const char *tag)
{
    return call_fault(c, 404, "ServerTagNotFound", "Server %s has no tag '%s'", s->head.id, tag);
}

static int tag_show(struct call *c)
{
    struct server *s;
    int r = server_get(c, call_param(c, "id"), "os_compute_api:os-server-tags:show", &s);
    return r || strv_has(&s->tags, call_param(c, "tag")) ? r : tag_missing(c, s, call_param(c, "tag"));
}

struct tags_in { struct strv tags; };
static const struct field TAGS_ROWS[] = {
    { "tags", FIELD_STRINGS, offsetof(struct tags_in, tags), IN_CREATE | REQUIRED, .min = 1, .max = 60,
      .items_max = TAGS_MAX, .check = check_tag, .doc = "Tags." },
};
static SCHEMA(TAGS_SCHEMA, struct tags_in, TAGS_ROWS);

static int tags_write(struct call *c)
{
    const struct tags_in *in = c->in;
    struct server *s;
    int r = server_get(c, call_param(c, "id"), "os_compute_api:os-server-tags:update_all", &s);
    r = r ? r : tags_changeable(c, s);
    if (r)
        return r;
    s->tags = (struct strv){ 0 };
    for (size_t i = 0; i < in->tags.n; i++)
        if (!strv_has(&s->tags, in->tags.v[i]))
            strv_add(c->arena, &s->tags, in->tags.v[i]);
    r = server_put(c->txn, s);
    json_open_object(&c->out);
    json_put_strings(&c->out, "tags", &s->tags);
    json_close_object(&c->out);
    return r;
}

static int tags_set(struct call *c)
{
    return call_write(c, tags_write);
}

static int tag_write(struct call *c)
{
    const char *tag = call_param(c, "tag");
    struct server *s;
    int r = server_get(c, call_param(c, "id"), "os_compute_api:os-server-tags:update", &s);
    r = r ? r : tags_changeable(c, s);
    if (r)
        return r;
    if (strlen(tag) > 60 || check_tag(tag))
        return call_fault(c, 400, "ValidationError", "Tag '%s' is invalid. It must be a non empty string without "
                          "characters '/' and ','. Maximum length is 60 characters.", tag);
    c->status = 204;
    if (strv_has(&s->tags, tag))
        return 0;
    if (s->tags.n >= TAGS_MAX)
        return call_fault(c, 400, "ServerTags", "The number of tags exceeded the per-server limit %d", TAGS_MAX);
    strv_add(c->arena, &s->tags, tag);
    c->status = 201;
    return server_put(c->txn, s);
}

static int tag_set(struct call *c)
{
    int r = call_write(c, tag_write);
    if (r == 0 && c->status == 201)
        http_set_header(c->http, "Location", arena_printf(c->arena, "%s/v2.1/servers/%s/tags/%s", call_base_url(c),
                                                          call_param(c, "id"), call_param(c, "tag")));
    return r;
}

static int tag_delete_write(struct call *c)
{
    const char *tag = strmap_get(&c->params, "tag");
    struct server *s;
    int r = server_get(c, call_param(c, "id"), tag ? "os_compute_api:os-server-tags:delete" :
                       "os_compute_api:os-server-tags:delete_all", &s);
    r = r ? r : tags_changeable(c, s);
    if (r)
        return r;
    if (!tag)
        s->tags = (struct strv){ 0 };
    else if (!strv_drop(&s->tags, tag))
        return tag_missing(c, s, tag);
    return server_put(c->txn, s);
}

static int tag_delete(struct call *c)
{
    return call_write(c, tag_delete_write);
}

/* ---- the password that a guest has posted, encrypted for its owner ---- */

static int password_show(struct call *c)
{
    struct server *s;
    int r = server_get(c, call_param(c, "id"), "os_compute_api:os-server-password:show", &s);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_string(&c->out, "password", str_or(s->encrypted_password, ""));
    json_close_object(&c->out);
    return 0;
}

static int password_clear_write(struct call *c)
{
    struct server *s;
    int r = server_get(c, call_param(c, "id"), "os_compute_api:os-server-password:clear", &s);
    if (r)
        return r;
    s->encrypted_password = NULL;
    return server_put(c->txn, s);
}

static int password_clear(struct call *c)
{
    return call_write(c, password_clear_write);
}

#define P "/v2.1/servers/{id}"
static const struct route SERVER_ROUTES[] = {
    { "GET", P, server_show, NULL, 0, .doc = "One server." },
    { "PUT", P, server_update, NULL, .wrap = "server", .body = &UPDATE_SCHEMA, .mode = DECODE_CREATE,
      .doc = "Changes a server." },
    { "DELETE", P, server_delete_verb, NULL, .status = 204, .doc = "Deletes a server, whatever it is doing." },
    { "GET", P "/metadata", metadata_list, NULL, 0, .doc = "Its metadata." },
    { "POST", P "/metadata", metadata_set, NULL, .body = &METADATA_SCHEMA, .mode = DECODE_CREATE,
      .doc = "Adds metadata." },
    { "PUT", P "/metadata", metadata_set, NULL, .body = &METADATA_SCHEMA, .mode = DECODE_CREATE,
      .doc = "Replaces metadata." },
    { "GET", P "/metadata/{key}", metadata_show, NULL, 0, .doc = "One item." },
    { "PUT", P "/metadata/{key}", metadata_set, NULL, .body = &META_SCHEMA, .mode = DECODE_CREATE,
      .doc = "Sets one item." },
    { "DELETE", P "/metadata/{key}", metadata_delete, NULL, .status = 204, .doc = "Deletes one item." },
    { "GET", P "/tags", tags_list, NULL, .since = 26, .doc = "Its tags." },
    { "PUT", P "/tags", tags_set, NULL, .since = 26, .body = &TAGS_SCHEMA, .mode = DECODE_CREATE,
      .doc = "Replaces tags." },
    { "DELETE", P "/tags", tag_delete, NULL, .since = 26, .status = 204, .doc = "Deletes all tags." },
    { "GET", P "/tags/{tag}", tag_show, NULL, .since = 26, .status = 204, .doc = "Whether it has the tag." },
    { "PUT", P "/tags/{tag}", tag_set, NULL, .since = 26, .status = 201, .doc = "Adds a tag." },
    { "GET", P "/os-server-password", password_show, NULL, 0, .doc = "The password its guest has posted." },
    { "DELETE", P "/os-server-password", password_clear, NULL, .status = 204, .doc = "Forgets that password." },
    { "DELETE", P "/tags/{tag}", tag_delete, NULL, .since = 26, .status = 204, .doc = "Deletes a tag." },
};
static const struct policy_rule SERVER_RULES[] = {
    { "os_compute_api:servers:show", RULE_READER, "Show a server." },
    { "os_compute_api:servers:update", RULE_MEMBER, "Change a server." },
    { "os_compute_api:servers:delete", RULE_MEMBER, "Delete a server." },
    { "os_compute_api:server-metadata:index", RULE_READER, "List metadata." },
    { "os_compute_api:server-metadata:show", RULE_READER, "Show an item of metadata." },
    { "os_compute_api:server-metadata:create", RULE_MEMBER, "Add metadata." },
    { "os_compute_api:server-metadata:update_all", RULE_MEMBER, "Replace metadata." },
    { "os_compute_api:server-metadata:update", RULE_MEMBER, "Set an item of metadata." },
    { "os_compute_api:server-metadata:delete", RULE_MEMBER, "Delete an item of metadata." },
    { "os_compute_api:os-server-password:show", RULE_READER, "See the password a guest has posted." },
    { "os_compute_api:os-server-password:clear", RULE_MEMBER, "Forget that password." },
    { "os_compute_api:os-server-tags:index", RULE_READER, "List tags." },
    { "os_compute_api:os-server-tags:show", RULE_READER, "Ask for a tag." },
    { "os_compute_api:os-server-tags:update", RULE_MEMBER, "Add a tag." },
    { "os_compute_api:os-server-tags:update_all", RULE_MEMBER, "Replace tags." },
    { "os_compute_api:os-server-tags:delete", RULE_MEMBER, "Delete a tag." },
    { "os_compute_api:os-server-tags:delete_all", RULE_MEMBER, "Delete all tags." },
};
COMPUTE_PART(SERVER_PART, SERVER_ROUTES, SERVER_RULES);
