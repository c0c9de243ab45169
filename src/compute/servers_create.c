/*
 * Birth of servers: POST /servers.
 *
 * Everything a tenant can get wrong is refused here, before anything is written. Then one
 * transaction takes the quota, writes the servers and makes their ports; the scheduler sees them
 * from there. So a request either has all it asked for or leaves nothing.
 */
#include "compute/internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

/* ---- the body ---- */

struct group_in { const char *name; };
static const struct field GROUP_IN_ROWS[] = {
    { "name", FIELD_STRING, offsetof(struct group_in, name), IN_CREATE, .min = 1, .max = 255, .check = check_name,
      .doc = "Name or id of a security group." },
};
static SCHEMA(GROUP_IN_SCHEMA, struct group_in, GROUP_IN_ROWS);

static const struct field FILE_IN_ROWS[] = {
    { "path", FIELD_STRING, offsetof(struct server_file, path), IN_CREATE | REQUIRED, .max = 255, .doc = "Where." },
    { "contents", FIELD_STRING, offsetof(struct server_file, contents), IN_CREATE | REQUIRED, .check = check_base64,
      .doc = "What, in base64." },
};
SCHEMA(FILE_IN_SCHEMA, struct server_file, FILE_IN_ROWS);

struct network_in { const char *fixed_ip, *port, *uuid, *tag; };
static const char *check_ip(const char *s)
{
    unsigned char raw[16];
    return inet_pton(AF_INET, s, raw) == 1 || inet_pton(AF_INET6, s, raw) == 1 ? NULL : "is not a valid IP address";
}
static const struct field NETWORK_IN_ROWS[] = {
    { "fixed_ip", FIELD_STRING, offsetof(struct network_in, fixed_ip), IN_CREATE, .check = check_ip, .doc = "Address." },
    { "port", FIELD_STRING, offsetof(struct network_in, port), IN_CREATE | NULLABLE, .check = check_uuid, .doc = "Port." },
    { "uuid", FIELD_STRING, offsetof(struct network_in, uuid), IN_CREATE, .doc = "Network." },
    { "tag", FIELD_STRING, offsetof(struct network_in, tag), IN_CREATE, .min = 1, .max = 60, .check = check_tag,
      .since = 32, .doc = "Device role." },
};
static SCHEMA(NETWORK_IN_SCHEMA, struct network_in, NETWORK_IN_ROWS);

struct bdm_in {
    const char *source_type, *destination_type, *uuid, *volume_id, *snapshot_id, *image_id, *virtual_name;
    const char *device_name, *disk_bus, *device_type, *guest_format, *tag, *volume_type, *boot_index;
    const char *no_device, *connection_info;
    int64_t volume_size;
    bool delete_on_termination;
};
static const char *check_device(const char *s)
{
    return strchr(s, ' ') ? "does not match '^[a-zA-Z0-9._-r/]*$'" : NULL;
}
#define D(member, kind_, ...) { #member, kind_, offsetof(struct bdm_in, member), IN_CREATE, ##__VA_ARGS__, .doc = #member }
static const char *const SOURCES[] = { "volume", "image", "snapshot", "blank", NULL };
static const char *const DESTINATIONS[] = { "local", "volume", NULL };
static const struct field BDM_IN_ROWS[] = {
    D(source_type, FIELD_STRING, .values = SOURCES),
    D(destination_type, FIELD_STRING, .values = DESTINATIONS),
    D(uuid, FIELD_STRING, .min = 1, .max = 255),
    D(volume_id, FIELD_STRING, .check = check_uuid),
    D(snapshot_id, FIELD_STRING, .check = check_uuid),
    D(image_id, FIELD_STRING, .check = check_uuid),
    D(virtual_name, FIELD_STRING, .max = 255),
    D(device_name, FIELD_STRING, .min = 1, .max = 255, .check = check_device),
    D(disk_bus, FIELD_STRING, .max = 255),
    D(device_type, FIELD_STRING, .max = 255),
    D(guest_format, FIELD_STRING, .max = 255),
    D(tag, FIELD_STRING, .min = 1, .max = 60, .check = check_tag, .since = 32),
    { "volume_type", FIELD_STRING, offsetof(struct bdm_in, volume_type), IN_CREATE | NULLABLE, .max = 255,
      .since = 67, .doc = "Type of a new volume." },
    { "boot_index", FIELD_JSON, offsetof(struct bdm_in, boot_index), IN_CREATE | NULLABLE, .doc = "Boot order." },
    { "no_device", FIELD_JSON, offsetof(struct bdm_in, no_device), IN_CREATE | NULLABLE, .doc = "Drops a device." },
    D(connection_info, FIELD_STRING),
    { "volume_size", FIELD_INT, offsetof(struct bdm_in, volume_size), IN_CREATE | LOOSE, .min = 1, .max = 0x7FFFFFFF,
      .doc = "GiB." },
    { "delete_on_termination", FIELD_BOOL, offsetof(struct bdm_in, delete_on_termination), IN_CREATE | LOOSE,
      .doc = "Goes with the server." },
};
static SCHEMA(BDM_IN_SCHEMA, struct bdm_in, BDM_IN_ROWS);

struct server_in {
    const char *name, *image, *flavor, *admin_password, *disk_config, *access4, *access6, *zone, *key_name,
        *user_data, *description, *networks, *bdm, *bdm_old, *certs, *host, *node, *hostname;
    struct strmap metadata;
    struct strv tags;
    VEC_OF(struct server_file) personality;
    VEC_OF(struct group_in) groups;
    int64_t min_count, max_count;
    bool config_drive, reservation;
};

static const char *check_image(const char *s)
{
    return *s ? check_uuid(s) : NULL;
}
static const char *check_host(const char *s)
{
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("-._", *s))
            return "does not match '^[a-zA-Z0-9-._]*$'";
    return NULL;
}
#define S(key, member, kind_, flags_, ...) \
    { key, kind_, offsetof(struct server_in, member), IN_CREATE | (flags_), ##__VA_ARGS__, .doc = key }
static const char *const DISK_CONFIGS[] = { "AUTO", "MANUAL", NULL };
static const struct field SERVER_IN_ROWS[] = {
    S("name", name, FIELD_STRING, REQUIRED, .min = 1, .max = 255, .check = check_name),
    S("imageRef", image, FIELD_STRING, 0, .check = check_image),
    S("flavorRef", flavor, FIELD_JSON, REQUIRED),
    S("adminPass", admin_password, FIELD_STRING, SECRET),
    S("metadata", metadata, FIELD_MAP, 0, .max = 255),
    S("networks", networks, FIELD_JSON, 0),
    S("OS-DCF:diskConfig", disk_config, FIELD_STRING, 0, .values = DISK_CONFIGS),
    S("accessIPv4", access4, FIELD_STRING, 0, .check = check_ipv4),
    S("accessIPv6", access6, FIELD_STRING, 0, .check = check_ipv6),
    S("personality", personality, FIELD_OBJECTS, 0, .sub = &FILE_IN_SCHEMA, .until = 56),
    S("availability_zone", zone, FIELD_STRING, 0, .min = 1, .max = 255, .check = check_name),
    S("block_device_mapping", bdm_old, FIELD_JSON, 0),
    S("block_device_mapping_v2", bdm, FIELD_JSON, 0),
    S("config_drive", config_drive, FIELD_BOOL, LOOSE),
    S("key_name", key_name, FIELD_STRING, 0, .min = 1, .max = 255, .check = check_name),
    S("min_count", min_count, FIELD_INT, LOOSE, .min = 1, .max = 1000000, .otherwise = "1"),
    S("max_count", max_count, FIELD_INT, LOOSE, .min = 1, .max = 1000000),
    S("return_reservation_id", reservation, FIELD_BOOL, LOOSE),
    S("security_groups", groups, FIELD_OBJECTS, 0, .sub = &GROUP_IN_SCHEMA),
    S("user_data", user_data, FIELD_STRING, SECRET, .max = 65535, .check = check_base64),
    S("description", description, FIELD_STRING, NULLABLE, .max = 255, .since = 19),
    S("tags", tags, FIELD_STRINGS, 0, .min = 1, .max = 60, .items_max = 50, .check = check_tag, .since = 52),
    S("trusted_image_certificates", certs, FIELD_JSON, NULLABLE, .since = 63),
    S("host", host, FIELD_STRING, 0, .min = 1, .max = 255, .check = check_host, .since = 74),
    S("hypervisor_hostname", node, FIELD_STRING, 0, .min = 1, .max = 255, .check = check_host, .since = 74),
    S("hostname", hostname, FIELD_STRING, 0, .min = 2, .max = 63, .check = check_hostname, .since = 90),
};
static SCHEMA(SERVER_IN_SCHEMA, struct server_in, SERVER_IN_ROWS);

struct create_in { struct server_in *server; const char *hints, *hints_old; };
static const struct field CREATE_ROWS[] = {
    { "server", FIELD_OBJECT, offsetof(struct create_in, server), IN_CREATE | REQUIRED, .sub = &SERVER_IN_SCHEMA,
      .doc = "The server." },
    { "os:scheduler_hints", FIELD_JSON, offsetof(struct create_in, hints), IN_CREATE, .doc = "Hints." },
    { "OS-SCH-HNT:scheduler_hints", FIELD_JSON, offsetof(struct create_in, hints_old), IN_CREATE,
      .doc = "Hints by their old name." },
};
static SCHEMA(CREATE_SCHEMA, struct create_in, CREATE_ROWS);

/* ---- what was asked for, resolved ---- */

struct order {
    struct server_in *in;
    struct server template;
    struct port_wish *wishes;
    size_t n_wishes;
    struct strv groups;
    const char *password;
    int64_t count_min, count_max;
    /* written by the closure */
    struct server *first;
};

static int bad(struct call *c, const char *format, const char *what)
{
    char text[600];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(text, sizeof(text), format, what);
#pragma GCC diagnostic pop
    return call_fault(c, 400, "BadRequest", "%s", text);
}

const char *password_new(struct arena *a)
{
    static const char ALPHABET[] = "23456789ABCDEFGHJKMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    unsigned char raw[12];
    char text[13] = "";
    random_bytes(raw, sizeof(raw));
    for (size_t i = 0; i < sizeof(raw); i++)
        text[i] = ALPHABET[raw[i] % (sizeof(ALPHABET) - 1)];
    return arena_strdup(a, text);
}

const char *hostname_of(struct arena *a, const char *name, const char *id)
{
    char text[64];
    size_t n = 0;
    for (const char *p = name; *p && n < 63; p++) {
        if (isalnum((unsigned char)*p) || *p == '-')
            text[n++] = (char)tolower((unsigned char)*p);
        else if (*p == ' ' || *p == '_' || *p == '.')
            text[n++] = '-';
    }
    text[n] = 0;
    char *start = text;
    while (*start == '-')
        start++;
    n = strlen(start);
    while (n && start[n - 1] == '-')
        start[--n] = 0;
    return n ? arena_strdup(a, start) : arena_printf(a, "server-%s", id);
}

int metadata_check(struct call *c, const struct strmap *m)
{
    int64_t limit;
    int r = quota_limit(c->txn, &COMPUTE_QUOTAS, str_or(c->auth->project_id, ""), "metadata_items", &limit);
    if (r < 0)
        return r;
    if (limit >= 0 && (int64_t)m->n > limit)
        return call_fault(c, 403, "MetadataLimitExceeded", "Maximum number of metadata items exceeds %lld",
                          (long long)limit);
    VEC_FOREACH(p, m) {
        size_t n = strlen(p->key);
        bool good = n >= 1 && n <= 255;
        for (size_t i = 0; i < n && good; i++)
            good = isalnum((unsigned char)p->key[i]) || strchr("-_. :", p->key[i]);
        if (!good)
            return call_fault(c, 400, "ValidationError",
                              "Invalid input for field/attribute metadata. Value: %s. Keys have 1 to 255 letters, "
                              "digits or any of \"-_. :\"", p->key);
    }
    return 0;
}

/* "7" and 7 are the same. */
static const char *plain_text(struct arena *a, const char *json)
{
    size_t n = strlen(json);
    return *json == '"' && n >= 2 ? arena_strndup(a, json + 1, n - 2) : json;
}

static int take_flavor(struct call *c, struct order *o)
{
    struct flavor *f;
    o->in->flavor = plain_text(c->arena, o->in->flavor);
    int r = flavor_find(c->txn, str_or(o->in->flavor, ""), &f);
    if (r < 0)
        return r;
    if (!f || !(f->is_public || call_is_admin(c) || strv_has(&f->projects, str_or(c->auth->project_id, ""))))
        return bad(c, "Flavor %s could not be found.", o->in->flavor);
    o->template.flavor = flavor_copy_of(c->arena, f);
    o->template.instance_type_id = f->head.id;
    return o->template.flavor ? 0 : -ENOMEM;
}

int server_image_check(struct call *c, const char *image_id, const struct flavor_copy *f, bool local_root,
                       struct server_image **ret)
{
    struct image_view *v;
    int r = image_get(c->txn, str_or(c->auth->project_id, ""), call_is_admin(c), image_id, &v, &c->fault);
    if (r == FAULT)
        return call_fault(c, 400, "ImageNotFound", "Can not find requested image");
    if (r < 0)
        return r;
    if (!str_eq(v->status, "active"))
        return call_fault(c, 400, "ImageNotActive", "Image %s is not active.", image_id);
    if (v->min_ram > f->ram)
        return call_fault(c, 400, "FlavorMemoryTooSmall", "Flavor's memory is too small for requested image.");
    long long disk = (long long)f->disk << 30;
    if (local_root && disk > 0) {
        long long size = v->virtual_size != INT_NULL ? MAX(v->size, v->virtual_size) : v->size;
        if (size != INT_NULL && size > disk)
            return call_fault(c, 400, "FlavorDiskSmallerThanImage", "Flavor's disk is too small for requested image. "
                              "Flavor disk is %lld bytes, image is %lld bytes.", disk, size);
        if (v->min_disk > f->disk)
            return call_fault(c, 400, "FlavorDiskSmallerThanMinDisk", "Flavor's disk is smaller than the minimum "
                              "size specified in image metadata. Flavor disk is %lld bytes, minimum size is %lld "
                              "bytes.", disk, (long long)v->min_disk << 30);
    }
    struct server_image *image = ARENA_NEW(c->arena, struct server_image);
    if (!image)
        return -ENOMEM;
    *image = (struct server_image){
        .id = v->id, .name = v->name, .hash_algorithm = v->hash_algo, .hash = v->hash_value,
        .disk_format = v->disk_format, .container_format = v->container_format,
        .size = v->size == INT_NULL ? 0 : v->size, .min_disk_gb = v->min_disk, .properties = v->properties,
        .kernel_id = strmap_get(&v->properties, "kernel_id"),
        .ramdisk_id = strmap_get(&v->properties, "ramdisk_id"),
    };
    *ret = image;
    return 0;
}

/* "zone", "zone:host" or "zone:host:node". */
static int take_zone(struct call *c, struct order *o)
{
    struct server *s = &o->template;
    const char *text = o->in->zone;
    s->requested_host = o->in->host ? o->in->host : o->in->node;
    s->requested_host_checked = s->requested_host != NULL;
    if (s->requested_host) {
        int r = call_require(c, "compute:servers:create:requested_destination", NULL);
        if (r)
            return r;
        struct compute_host *h;
        r = txn_get(c->txn, &COMPUTE_HOST_KIND, s->requested_host, &h);
        if (r < 0)
            return r;
        if (!h)
            return bad(c, "Compute host %s could not be found.", s->requested_host);
    }
    if (!text)
        return 0;
    const char *colon = strchr(text, ':');
    s->availability_zone = colon ? arena_strndup(c->arena, text, (size_t)(colon - text)) : text;
    if (colon) {
        int r = call_require(c, "os_compute_api:servers:create:forced_host", NULL);
        if (r)
            return r;
        const char *host = colon + 1, *second = strchr(host, ':');
        const char *name = second && second == host ? second + 1 : host;
        s->requested_host = arena_strndup(c->arena, name, strcspn(name, ":"));
        s->requested_host_checked = false;
        struct compute_host *h;
        r = txn_get(c->txn, &COMPUTE_HOST_KIND, s->requested_host, &h);
        if (r < 0)
            return r;
        if (!h)
            return bad(c, "Compute host %s could not be found.", s->requested_host);
        return 0;
    }
    if (STREQ(text, "nova"))
        return 0;
    struct query q = { .kind = &AGGREGATE_KIND };
    struct results l;
    int r = txn_list(c->txn, &q, &l);
    if (r < 0)
        return r;
    for (size_t i = 0; i < l.n; i++)
        if (str_eq(strmap_get(&((struct aggregate *)l.v[i])->metadata, "availability_zone"), text))
            return 0;
    return bad(c, "The requested availability zone is not available: %s", text);
}

static int take_key(struct call *c, struct order *o)
{
    struct server *s = &o->template;
    s->key_name = o->in->key_name;
    if (!s->key_name)
        return 0;
    struct keypair *k;
    const char *name = arena_printf(c->arena, "%s/%s", str_or(c->auth->user_id, ""), s->key_name);
    int r = txn_find_by(c->txn, &KEYPAIR_KIND, "user_name", name, &k);
    if (r < 0)
        return r;
    if (!k)
        return bad(c, "Invalid key_name provided.%s", "");
    struct server_key *key = vec_add(c->arena, &s->keys);
    if (!key)
        return -ENOMEM;
    *key = (struct server_key){ k->name, k->public_key, k->type };
    return 0;
}

static int take_hints(struct call *c, struct order *o)
{
    const struct create_in *in = c->in;
    const char *text = in->hints ? in->hints : in->hints_old;
    if (!text)
        return 0;
    char error[128];
    _cleanup_(json_decrefp) json_t *hints = json_parse(text, strlen(text), error, sizeof(error));
    if (!json_is_object(hints))
        return bad(c, "Invalid input for field/attribute os:scheduler_hints. Value: %s.", text);
    o->template.hints = text;
    json_t *group = json_object_get(hints, "group");
    if (!group)
        return 0;
    const char *id = json_string_value(group);
    if (!id || !uuid_valid(id))
        return bad(c, "Invalid input for field/attribute group. Value: %s. is not a 'uuid'", id ? id : "");
    struct server_group *g;
    int r = txn_get(c->txn, &SERVER_GROUP_KIND, id, &g);
    if (r < 0)
        return r;
    if (!g || (!call_is_admin(c) && !str_eq(g->project_id, c->auth->project_id)))
        return bad(c, "Instance group %s could not be found.", id);
    o->template.group_id = g->head.id;
    return 0;
}

static int one_wish(struct call *c, struct order *o, const struct network_in *n)
{
    struct port_wish *w = &o->wishes[o->n_wishes];
    *w = (struct port_wish){ .network_id = n->uuid, .port_id = n->port, .fixed_ip = n->fixed_ip, .tag = n->tag };
    if (n->port) {
        if (n->fixed_ip)
            return call_fault(c, 400, "BadRequest", "Specified Fixed IP '%s' cannot be used with port '%s': the two "
                              "cannot be specified together.", n->fixed_ip, n->port);
        for (size_t i = 0; i < o->n_wishes; i++)
            if (str_eq(o->wishes[i].port_id, n->port))
                return call_fault(c, 400, "BadRequest", "Port ID '%s' was specified twice: you cannot attach a port "
                                  "multiple times.", n->port);
        w->network_id = NULL;
    } else if (!n->uuid) {
        return bad(c, "Bad network format: missing %s", "'uuid'");
    } else if (!uuid_valid(n->uuid)) {
        return bad(c, "Bad networks format: network uuid is not in proper format (%s)", n->uuid);
    }
    o->n_wishes++;
    return 0;
}

static int take_networks(struct call *c, struct order *o)
{
    const char *text = o->in->networks;
    if (!text && c->minor >= 37)
        return bad(c, "'%s' is a required property", "networks");
    o->wishes = ARENA_NEW(c->arena, struct port_wish);
    if (!o->wishes)
        return -ENOMEM;
    if (!text || STREQ(text, "[]") || (STREQ(text, "\"auto\"") && c->minor >= 37)) {
        o->wishes[0].automatic = true;
        o->n_wishes = 1;
        return 0;
    }
    if (STREQ(text, "\"none\"") && c->minor >= 37)
        return 0;
    char error[128];
    _cleanup_(json_decrefp) json_t *list = json_parse(text, strlen(text), error, sizeof(error));
    if (!json_is_array(list) || json_array_size(list) > 64)
        return bad(c, "Invalid input for field/attribute networks. Value: %s.", text);
    o->wishes = ARENA_NEWN(c->arena, struct port_wish, json_array_size(list));
    if (!o->wishes)
        return -ENOMEM;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) {
        struct network_in n = { 0 };
        int r = compute_decode(c, &NETWORK_IN_SCHEMA, item, &n, NULL);
        r = r ? r : one_wish(c, o, &n);
        if (r)
            return r;
    }
    return 0;
}

/* ---- block devices ---- */

static int bdm_bad(struct call *c, const char *why)
{
    return call_fault(c, 400, "InvalidBDMFormat", "Block Device Mapping is Invalid: %s", why);
}

static int one_bdm(struct call *c, struct order *o, const struct bdm_in *in)
{
    struct bdm b = { .source_type = in->source_type, .destination_type = in->destination_type, .uuid = in->uuid,
                     .boot_index = -1, .volume_size = in->volume_size, .device_name = in->device_name,
                     .disk_bus = in->disk_bus, .device_type = in->device_type, .guest_format = in->guest_format,
                     .tag = in->tag, .volume_type = in->volume_type,
                     .delete_on_termination = in->delete_on_termination,
                     .no_device = in->no_device && !STREQ(in->no_device, "false") && !STREQ(in->no_device, "\"\"") };
    if (in->boot_index) {
        const char *text = in->boot_index;
        char *end;
        b.boot_index = strtoll(*text == '"' ? text + 1 : text, &end, 10);
        if (*end && !STREQ(end, "\""))
            return bad(c, "Invalid input for field/attribute boot_index. Value: %s.", text);
    }
    if (b.no_device)
        return 0;
    if (!b.uuid)
        b.uuid = in->volume_id ? in->volume_id : in->snapshot_id ? in->snapshot_id : in->image_id;
    if (!b.source_type)
        b.source_type = in->volume_id ? "volume" : in->snapshot_id ? "snapshot" : in->image_id ? "image" : NULL;
    if (!b.source_type)
        return bdm_bad(c, "Invalid source_type field.");
    if (!b.destination_type)
        b.destination_type = STREQ(b.source_type, "blank") ? "local" : "volume";
    if (STREQ(b.source_type, "blank") && b.uuid)
        return bdm_bad(c, "Invalid device UUID.");
    if (!STREQ(b.source_type, "blank") && !b.uuid)
        return bdm_bad(c, "Missing device UUID.");
    bool local = STREQ(b.destination_type, "local");
    if (STREQ(b.source_type, "image") && local && !(!str_empty(o->in->image) && b.boot_index == 0))
        return bdm_bad(c, "Mapping image to local is not supported.");
    if (local && b.volume_type)
        return bdm_bad(c, "Specifying a volume_type with destination_type=local is not supported.");
    if (STREQ(b.source_type, "volume") && b.volume_type)
        return bdm_bad(c, "Specifying volume type to existing volume is not supported.");
    if (STREQ(b.source_type, "blank") && !local && !b.volume_size)
        return bdm_bad(c, "Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size");
    if (STREQ(b.source_type, "image") && !local && !b.volume_size)
        return bdm_bad(c, "Images with destination_type 'volume' need to have a non-zero size specified");
    if (STREQ(b.source_type, "volume"))
        b.volume_id = b.uuid;
    return vec_push(c->arena, &o->template.bdms, b) ? 0 : -ENOMEM;
}

static int boot_order(struct call *c, struct order *o)
{
    bool zero = false;
    VEC_FOREACH(b, &o->template.bdms) {
        if (b->boot_index < 0)
            continue;
        zero = zero || b->boot_index == 0;
        VEC_FOREACH(d, &o->template.bdms)
            if (d != b && d->boot_index == b->boot_index)
                return bdm_bad(c, "Boot sequence for the instance and image/block device mapping combination is not "
                               "valid.");
    }
    if (str_empty(o->in->image) && !zero)
        return call_fault(c, 400, o->template.bdms.n ? "InvalidBDMBootSequence" : "BadRequest", "%s",
                          o->template.bdms.n ?
                          "Block Device Mapping is Invalid: Boot sequence for the instance and image/block device "
                          "mapping combination is not valid." :
                          "Invalid imageRef provided.");
    return 0;
}

static int take_bdms(struct call *c, struct order *o)
{
    const char *v2 = o->in->bdm, *old = o->in->bdm_old;
    bool has_v2 = v2 && !STREQ(v2, "[]"), has_old = old && !STREQ(old, "[]");
    if (has_v2 && has_old)
        return bad(c, "Using different block_device_mapping syntaxes is not allowed in the same request.%s", "");
    const char *text = has_v2 ? v2 : has_old ? old : NULL;
    if (text) {
        char error[128];
        _cleanup_(json_decrefp) json_t *list = json_parse(text, strlen(text), error, sizeof(error));
        if (!json_is_array(list) || json_array_size(list) > 64)
            return bad(c, "Invalid input for field/attribute block_device_mapping_v2. Value: %s.", text);
        size_t i;
        json_t *item;
        json_array_foreach(list, i, item) {
            struct bdm_in in = { 0 };
            int r = compute_decode(c, &BDM_IN_SCHEMA, item, &in, NULL);
            r = r ? r : one_bdm(c, o, &in);
            if (r)
                return r;
        }
        if (has_old && str_empty(o->in->image) && o->template.bdms.n)
            o->template.bdms.v[0].boot_index = 0;
    }
    return boot_order(c, o);
}

/* ---- the whole ---- */

static bool boots_from_volume(const struct server *s)
{
    VEC_FOREACH(b, &s->bdms)
        if (b->boot_index == 0 && STREQ(b->destination_type, "volume"))
            return true;
    return false;
}

static int take_image(struct call *c, struct order *o)
{
    struct server *s = &o->template;
    bool from_volume = boots_from_volume(s);
    if (str_empty(o->in->image))
        return 0;
    int r = server_image_check(c, o->in->image, s->flavor, !from_volume, &s->image);
    if (r)
        return r;
    if (from_volume) {
        /* The volume is the root; the image was only named. */
        s->image = NULL;
        return 0;
    }
    s->image_ref = o->in->image;
    s->kernel_id = s->image->kernel_id;
    s->ramdisk_id = s->image->ramdisk_id;
    if (s->flavor->disk == 0)
        return call_require(c, "os_compute_api:servers:create:zero_disk_flavor", NULL);
    return 0;
}

static int take_personality(struct call *c, struct order *o)
{
    int64_t limit;
    int r = quota_limit(c->txn, &COMPUTE_QUOTAS, str_or(c->auth->project_id, ""), "injected_files", &limit);
    if (r < 0)
        return r;
    if (limit >= 0 && (int64_t)o->in->personality.n > limit)
        return call_fault(c, 403, "OnsetFileLimitExceeded", "Quota exceeded, too many injected files");
    VEC_FOREACH(f, &o->in->personality)
        if (strlen(f->contents) / 4 * 3 > 10240)
            return call_fault(c, 403, "OnsetFileContentLimitExceeded", "Personality file content too long");
    VEC_FOREACH(f, &o->in->personality)
        if (!vec_push(c->arena, &o->template.personality, *f))
            return -ENOMEM;
    return 0;
}

static int quota_take(struct call *c, const struct order *o, int64_t *ret_count)
{
    const struct flavor_copy *f = o->template.flavor;
    const struct { const char *name; int64_t each; } TAKES[] = {
        { "instances", 1 }, { "cores", f->vcpus }, { "ram", f->ram },
    };
    int64_t n = o->count_max;
    for (size_t i = 0; i < ARRAY_SIZE(TAKES); i++) {
        int64_t used = 0, limit = 0;
        int r = quota_fits(c->txn, &COMPUTE_QUOTAS, str_or(c->auth->project_id, ""), TAKES[i].name, TAKES[i].each * n,
                           &used, &limit);
        if (r < 0)
            return r;
        if (r == 1)
            n = MIN(n - 1, (limit - used) / MAX(TAKES[i].each, (int64_t)1));
        if (n < o->count_min)
            return call_fault(c, 403, "TooManyInstances", "Quota exceeded for %s: Requested %lld, but already used "
                              "%lld of %lld %s", TAKES[i].name, (long long)(TAKES[i].each * o->count_min),
                              (long long)used, (long long)limit, TAKES[i].name);
    }
    *ret_count = n;
    return 0;
}

/* Neutron's faults as Nova passes them on. */
static int network_fault(struct call *c, struct fault f)
{
    int status = f.status == 404 ? 400 : f.status == 413 || f.status == 429 ? 403 : f.status;
    if (f.status == 409 && STREQ(f.type, "OverQuota"))
        status = 403;
    if (STREQ(f.type, "IpAddressGenerationFailure"))
        status = 400;
    return call_fault(c, status, f.type, "%s", f.message);
}

int server_ports_make(struct call *c, struct server *s, const struct port_wish *wishes, size_t n,
                      const struct strv *groups)
{
    struct port_views made = { 0 };
    struct fault fault = { 0 };
    if (!n)
        return 0;
    int r = network_ports_take(c, c->txn, s->project_id, s->head.id, s->hostname,
                               str_or(s->availability_zone, "nova"), wishes, n, groups, &made, &fault);
    if (r == FAULT)
        return network_fault(c, fault);
    if (r < 0)
        return r;
    VEC_FOREACH(p, &made) {
        struct nic_request *nic = vec_add(c->arena, &s->nics);
        if (!nic)
            return -ENOMEM;
        *nic = (struct nic_request){ .port_id = p->id, .network_id = p->network_id, .tag = p->tag,
                                     .made_here = p->own };
    }
    return 0;
}

static int write_one(struct call *c, struct order *o, int64_t index, int64_t count)
{
    struct server *s = arena_memdup(c->arena, &o->template, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->head.id = uuid_new(c->arena);
    s->launch_index = index;
    if (count > 1)
        s->display_name = arena_printf(c->arena, "%s-%lld", o->template.display_name, (long long)index + 1);
    if (c->minor < 19)
        s->display_description = s->display_name;
    if (!s->hostname)
        s->hostname = hostname_of(c->arena, str_or(s->display_name, ""), s->head.id);
    else if (count > 1)
        s->hostname = arena_printf(c->arena, "%s-%lld", s->hostname, (long long)index + 1);
    s->instance_name = s->head.id;
    s->bdms = (__typeof__(s->bdms)){ 0 };
    VEC_FOREACH(b, &o->template.bdms)
        if (!vec_push(c->arena, &s->bdms, *b))
            return -ENOMEM;
    int r = action_begin_call(c, s, "create");
    r = r ? r : server_move(s, VM_BUILDING, TASK_SCHEDULING);
    r = r ? r : server_ports_make(c, s, o->wishes, o->n_wishes, &o->groups);
    r = r ? r : volumes_take(c, s);
    r = r ? r : server_put(c->txn, s);
    if (!o->first)
        o->first = s;
    return r;
}

static int prepare(struct call *c, struct order *o)
{
    const struct create_in *body = c->in;
    struct server_in *in = o->in = body->server;
    struct server *s = &o->template;
    *s = (struct server){
        .project_id = c->auth->project_id, .user_id = c->auth->user_id, .project_name = c->auth->project_name,
        .user_name = c->auth->user_name, .display_name = in->name, .display_description = in->description,
        .hostname = in->hostname, .created_at = clock_wall(), .user_data = in->user_data,
        .config_drive = in->config_drive, .metadata = in->metadata, .tags = in->tags, .trusted_certs = in->certs,
        .auto_disk_config = !str_eq(in->disk_config, "MANUAL"), .power = POWER_RUNNING, .generation = 1,
        .access_ip_v4 = str_empty(in->access4) ? NULL : in->access4,
        .access_ip_v6 = ipv6_plain(c->arena, in->access6),
    };
    if (!in->disk_config)
        s->auto_disk_config = false;
    char id[UUID_TEXT_SIZE];
    uuid_text(id);
    s->reservation_id = arena_printf(c->arena, "r-%.8s", id);
    o->password = in->admin_password ? in->admin_password : password_new(c->arena);
    s->admin_password = o->password;
    o->count_min = in->min_count;
    o->count_max = in->max_count ? in->max_count : in->min_count;
    if (o->count_min > o->count_max)
        return bad(c, "min_count must be <= max_count%s", "");
    if (str_empty(c->auth->project_id))
        return call_fault(c, 403, "Forbidden", "A project-scoped token is needed to create servers.");
    VEC_FOREACH(g, &in->groups)
        if (g->name && !strv_has(&o->groups, g->name))
            strv_add(c->arena, &o->groups, g->name);
    s->security_groups = o->groups;
    struct strv tags = { 0 };
    for (size_t i = 0; i < in->tags.n; i++)
        if (!strv_has(&tags, in->tags.v[i]))
            strv_add(c->arena, &tags, in->tags.v[i]);
    s->tags = tags;
    return 0;
}

static void answer(struct call *c, struct order *o)
{
    const struct server *s = o->first;
    struct json_out *out = &c->out;
    json_open_object(out);
    if (o->in->reservation) {
        json_put_string(out, "reservation_id", s->reservation_id);
        json_close_object(out);
        return;
    }
    json_put_object(out, "server");
    json_put_string(out, "id", s->head.id);
    compute_links(c, "servers", s->head.id, out);
    json_put_string(out, "OS-DCF:diskConfig", s->auto_disk_config ? "AUTO" : "MANUAL");
    json_put_array(out, "security_groups");
    for (size_t i = 0; i < MAX(o->groups.n, (size_t)1); i++) {
        json_open_object(out);
        json_put_string(out, "name", o->groups.n ? o->groups.v[i] : "default");
        json_close_object(out);
    }
    json_close_array(out);
    json_put_string(out, "adminPass", o->password);
    json_close_object(out);
    json_close_object(out);
}

static int create_write(struct call *c)
{
    struct order o = { 0 };
    int64_t count = 0;
    int r = prepare(c, &o);
    r = r ? r : metadata_check(c, &o.in->metadata);
    r = r ? r : take_flavor(c, &o);
    r = r ? r : take_zone(c, &o);
    r = r ? r : take_bdms(c, &o);
    r = r ? r : take_image(c, &o);
    r = r ? r : take_key(c, &o);
    r = r ? r : take_hints(c, &o);
    r = r ? r : take_networks(c, &o);
    r = r ? r : take_personality(c, &o);
    r = r ? r : quota_take(c, &o, &count);
    if (!r && count > 1 && o.n_wishes)
        for (size_t i = 0; i < o.n_wishes && !r; i++)
            if (o.wishes[i].port_id || o.wishes[i].fixed_ip)
                r = bad(c, "Unable to launch multiple instances with a single configured port ID. Please launch your "
                        "instance one by one with different ports.%s", "");
    for (int64_t i = 0; i < count && !r; i++)
        r = write_one(c, &o, i, o.count_max > 1 ? MAX(count, 2) : 1);
    if (!r) {
        answer(c, &o);
        c->data = o.first;
    }
    return r;
}

static int server_create(struct call *c)
{
    int r = call_write(c, create_write);
    const struct server *s = c->data;
    if (r == 0 && s && s->head.id)
        http_set_header(c->http, "Location", arena_printf(c->arena, "%s/v2.1/servers/%s", call_base_url(c),
                                                          s->head.id));
    return r;
}

static const struct route CREATE_ROUTES[] = {
    { "POST", "/v2.1/servers", server_create, "os_compute_api:servers:create", .status = 202,
      .body = &CREATE_SCHEMA, .mode = DECODE_CREATE, .doc = "Makes servers." },
    { "POST", "/v2.1/os-volumes_boot", server_create, "os_compute_api:servers:create", .status = 202, .until = 35,
      .body = &CREATE_SCHEMA, .mode = DECODE_CREATE, .doc = "The same by its old path." },
};
static const struct policy_rule CREATE_RULES[] = {
    { "os_compute_api:servers:create", RULE_MEMBER, "Make servers." },
    { "os_compute_api:servers:create:forced_host", RULE_ADMIN, "Name the host by the zone." },
    { "compute:servers:create:requested_destination", RULE_ADMIN, "Name the host, which filters must pass." },
    { "os_compute_api:servers:create:zero_disk_flavor", RULE_ADMIN, "A local root disk as large as the image." },
};
COMPUTE_PART(SERVER_CREATE_PART, CREATE_ROUTES, CREATE_RULES);
