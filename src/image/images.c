/*
 * Images: the declaration, who sees and changes what, and the verbs on the record itself.
 *
 * One document holds all of an image: tags, custom properties, members, where its bytes lie.
 * So a change is one write, and deleting leaves nothing behind. What lists are filtered by
 * beyond columns are keys: "member" (a project that it is shared with), "member_status",
 * "property" (name=value), "blob" (bytes in use).
 *
 * Who may read: everybody a public or community image (community ones are listed on request
 * only), the owner and administrators all, members a shared one. Who may change: the owner and
 * administrators. An image that may not be read does not exist for the caller: 404.
 */
#include "image/internal.h"

#include "base/log.h"
#include "base/macro.h"

#include <errno.h>
#include <inttypes.h>

const char *const IMAGE_DISK_FORMATS[] = { "ami", "ari",   "aki", "vhd", "vhdx", "vmdk",
                                           "raw", "qcow2", "vdi", "iso", NULL };
const char *const IMAGE_CONTAINER_FORMATS[] = { "ami", "ari",    "aki",        "bare", "ovf",
                                                "ova", "docker", "compressed", NULL };
const char *const IMAGE_VISIBILITIES[] = { "community", "public", "private", "shared", NULL };
static const char *const STATUSES[] = { "queued",    "saving",    "active",         "killed",      "deleted",
                                        "uploading", "importing", "pending_delete", "deactivated", NULL };
static const char *const MEMBER_STATUSES[] = { "pending", "accepted", "rejected", NULL };

static const struct field LOCATION_FIELDS[] = {
    { "url", FIELD_STRING, offsetof(struct image_location, url), 0, .doc = "Where the bytes are." },
    { "metadata", FIELD_JSON, offsetof(struct image_location, metadata), 0, .doc = "What its setter noted." },
};
static SCHEMA(LOCATION_SCHEMA, struct image_location, LOCATION_FIELDS);

static const struct field MEMBER_FIELDS[] = {
    { "member_id", FIELD_STRING, offsetof(struct image_member, member_id), 0, .doc = "A project." },
    { "status", FIELD_STRING, offsetof(struct image_member, status), 0, .values = MEMBER_STATUSES,
      .doc = "Whether it has taken the image." },
    { "created_at", FIELD_TIME, offsetof(struct image_member, created_at), 0, .doc = "When it was added." },
    { "updated_at", FIELD_TIME, offsetof(struct image_member, updated_at), 0,
      .doc = "When it last changed." },
};
static SCHEMA(MEMBER_SCHEMA, struct image_member, MEMBER_FIELDS);

#define SET (IN_CREATE | IN_UPDATE)
static const struct field IMAGE_FIELDS[] = {
    FIELD_ID(struct image),
    { "name", FIELD_STRING, offsetof(struct image, name), SET | NULLABLE | FILTER | SORT | INDEX, .max = 255,
      .doc = "Descriptive name for the image" },
    { "status", FIELD_STRING, offsetof(struct image, status), FILTER | SORT, .values = STATUSES,
      .doc = "Status of the image" },
    { "visibility", FIELD_STRING, offsetof(struct image, visibility), SET | FILTER,
      .values = IMAGE_VISIBILITIES, .doc = "Scope of image accessibility" },
    { "owner", FIELD_STRING, offsetof(struct image, owner), SET | NULLABLE | FILTER | INDEX, .max = 255,
      .doc = "Owner of the image" },
    { "container_format", FIELD_STRING, offsetof(struct image, container_format),
      SET | NULLABLE | FILTER | SORT, .values = IMAGE_CONTAINER_FORMATS, .doc = "Format of the container" },
    { "disk_format", FIELD_STRING, offsetof(struct image, disk_format), SET | NULLABLE | FILTER | SORT,
      .values = IMAGE_DISK_FORMATS, .doc = "Format of the disk" },
    { "checksum", FIELD_STRING, offsetof(struct image, checksum), FILTER, .max = 32,
      .doc = "md5 hash of image contents." },
    { "os_hash_algo", FIELD_STRING, offsetof(struct image, hash_algo), FILTER, .max = 64,
      .doc = "Algorithm to calculate the os_hash_value" },
    { "os_hash_value", FIELD_STRING, offsetof(struct image, hash_value), FILTER, .max = 128,
      .doc = "Hexdigest of the image contents using the algorithm specified by the os_hash_algo" },
    { "min_disk", FIELD_INT, offsetof(struct image, min_disk), SET | FILTER, .min = 0, .max = INT32_MAX,
      .doc = "Amount of disk space (in GB) required to boot image." },
    { "min_ram", FIELD_INT, offsetof(struct image, min_ram), SET | FILTER, .min = 0, .max = INT32_MAX,
      .doc = "Amount of ram (in MB) required to boot image." },
    { "size", FIELD_INT, offsetof(struct image, size), FILTER | SORT, .doc = "Size of image file in bytes" },
    { "virtual_size", FIELD_INT, offsetof(struct image, virtual_size), FILTER,
      .doc = "Virtual size of image in bytes" },
    { "protected", FIELD_BOOL, offsetof(struct image, protected), SET | FILTER,
      .doc = "If true, image will not be deletable." },
    { "os_hidden", FIELD_BOOL, offsetof(struct image, hidden), SET | FILTER,
      .doc = "If true, image will not appear in default image list response." },
    { "created_at", FIELD_TIME, offsetof(struct image, created_at), FILTER | SORT | INDEX,
      .doc = "Date and time of image registration" },
    { "updated_at", FIELD_TIME, offsetof(struct image, updated_at), FILTER | SORT,
      .doc = "Date and time of the last image modification" },
    { "tags", FIELD_STRINGS, offsetof(struct image, tags), SET | INDEX, .max = 255,
      .doc = "List of strings related to the image" },
    { "properties", FIELD_MAP, offsetof(struct image, properties), 0, .doc = "What its owner noted." },
    { "blob", FIELD_STRING, offsetof(struct image, blob), HIDDEN, .doc = "Key of the bytes in the stores." },
    { "stores", FIELD_STRINGS, offsetof(struct image, stores), 0, .doc = "Where the bytes lie." },
    { "staged", FIELD_STRING, offsetof(struct image, staged), HIDDEN,
      .doc = "Key of bytes that wait for import." },
    { "staged_size", FIELD_INT, offsetof(struct image, staged_size), HIDDEN | FILTER,
      .doc = "Their length." },
    { "locations", FIELD_OBJECTS, offsetof(struct image, locations), 0, .sub = &LOCATION_SCHEMA,
      .doc = "A set of URLs to access the image file kept in external store" },
    { "members", FIELD_OBJECTS, offsetof(struct image, members), 0, .sub = &MEMBER_SCHEMA,
      .doc = "Projects that it is shared with." },
    { "import_task", FIELD_STRING, offsetof(struct image, import_task), HIDDEN, .doc = "What works on it." },
    { "importing", FIELD_STRINGS, offsetof(struct image, importing), 0, .doc = "Stores that it goes to." },
    { "failed", FIELD_STRINGS, offsetof(struct image, failed), 0, .doc = "Stores that it did not reach." },
    { "imported", FIELD_BOOL, offsetof(struct image, imported), HIDDEN,
      .doc = "An import was asked for once." },
    { "from_host", FIELD_STRING, offsetof(struct image, from_host), HIDDEN,
      .doc = "The host that delivers it." },
};
SCHEMA(IMAGE_SCHEMA, struct image, IMAGE_FIELDS);

#define PROPERTY_KEY_MAX 512

static void image_keys(const void *object, struct key_sink *k)
{
    const struct image *i = object;
    char text[PROPERTY_KEY_MAX];
    key_add(k, "blob", i->blob);
    key_add(k, "blob", i->staged);
    if (str_eq(i->visibility, "shared"))
        VEC_FOREACH (m, &i->members) {
            key_add(k, "member", m->member_id);
            snprintf(text, sizeof(text), "%s/%s", m->member_id, m->status);
            key_add(k, "member_status", text);
        }
    VEC_FOREACH (p, &i->properties)
        if ((size_t)snprintf(text, sizeof(text), "%s=%s", p->key, p->value) < sizeof(text))
            key_add(k, "property", text);
}

static const char *const INDEXES[] = { "owner,created_at", "visibility,created_at", NULL };
const struct kind IMAGE_KIND = {
    .name = "image.image", .schema = &IMAGE_SCHEMA, .indexes = INDEXES, .keys = image_keys
};

/* ---- who ---- */

static const char *project_of(const struct call *c)
{
    return c->auth ? c->auth->project_id : NULL;
}

bool image_visible_to(const struct image *i, const char *project_id, bool admin)
{
    if (admin || str_eq(i->visibility, "public") || str_eq(i->visibility, "community"))
        return true;
    if (!project_id)
        return false;
    if (str_eq(i->owner, project_id))
        return true;
    if (str_eq(i->visibility, "shared"))
        VEC_FOREACH (m, &i->members)
            if (str_eq(m->member_id, project_id))
                return true;
    return false;
}

bool image_visible(const struct call *c, const struct image *i)
{
    return image_visible_to(i, project_of(c), call_is_admin(c));
}

bool image_owned(const struct call *c, const struct image *i)
{
    return call_is_admin(c) || (project_of(c) && str_eq(i->owner, project_of(c)));
}

static int not_found(struct call *c, const char *id)
{
    return call_fault(c, 404, "ImageNotFound", "Failed to find image %s", id);
}

int image_find(struct call *c, const char *id, struct image **ret)
{
    struct image *i;
    int r = txn_get(c->txn, &IMAGE_KIND, id, &i);
    if (r < 0)
        return r;
    if (!i || !image_visible(c, i))
        return not_found(c, id);
    *ret = i;
    return 0;
}

int image_find_own(struct call *c, const char *id, const char *rule, struct image **ret)
{
    int r = image_find(c, id, ret);
    if (r != 0)
        return r;
    if (!image_owned(c, *ret))
        return call_fault(c, 403, "Forbidden", "You are not permitted to modify image %s.", id);
    return rule ? call_require_project(c, rule, (*ret)->owner) : 0;
}

int image_save(struct txn *t, struct image *i)
{
    i->updated_at = clock_wall();
    return txn_put(t, &IMAGE_KIND, i);
}

struct image_location *image_add_location(struct arena *a, struct image *i, const char *url,
                                          const char *metadata)
{
    struct image_location *l = vec_add(a, &i->locations);
    if (l)
        *l = (struct image_location){ arena_strdup(a, url), arena_strdup(a, metadata) };
    return l;
}

/* ---- rendering ---- */

static void render_int(struct json_out *o, const char *key, int64_t n)
{
    if (n == INT_NULL)
        json_put_null(o, key);
    else
        json_put_int(o, key, n);
}

static void render_time(struct json_out *o, const char *key, usec_t t)
{
    char text[TIME_TEXT_SIZE];
    json_put_string(o, key, time_format(t, TIME_ISO_Z, text));
}

static void render_locations(struct call *c, const struct image_state *s, const struct image *i,
                             struct json_out *o)
{
    json_put_array(o, "locations");
    VEC_FOREACH (id, &i->stores) {
        struct blob_store *store = image_store((struct image_state *)(uintptr_t)s, *id);
        const char *path =
            store && store->class->path && i->blob ? store->class->path(store, i->blob, c->arena) : NULL;
        json_open_object(o);
        json_put_string(o, "url", arena_printf(c->arena, "file://%s", str_or(path, "")));
        json_put_object(o, "metadata");
        json_put_string(o, "store", *id);
        json_close_object(o);
        json_close_object(o);
    }
    VEC_FOREACH (l, &i->locations) {
        json_open_object(o);
        json_put_string(o, "url", l->url);
        json_put_raw(o, "metadata", str_or(l->metadata, "{}"));
        json_close_object(o);
    }
    json_close_array(o);
}

void image_render(struct call *c, const struct image *i, struct json_out *o)
{
    const struct image_state *s = image_state(c->api);
    json_open_object(o);
    VEC_FOREACH (p, &i->properties)
        json_put_string(o, p->key, p->value);
    if (i->import_task)
        json_put_string(o, "os_glance_import_task", i->import_task);
    /* Present from the first import on, "" when nothing is under way: clients wait on that. */
    if (i->imported) {
        json_put_string(o, "os_glance_importing_to_stores", strv_join(c->arena, &i->importing, ","));
        json_put_string(o, "os_glance_failed_import", strv_join(c->arena, &i->failed, ","));
    }
    json_put_string(o, "id", i->head.id);
    json_put_string(o, "name", i->name);
    json_put_string(o, "disk_format", i->disk_format);
    json_put_string(o, "container_format", i->container_format);
    json_put_string(o, "visibility", i->visibility);
    render_int(o, "size", i->size);
    render_int(o, "virtual_size", i->virtual_size);
    json_put_string(o, "status", i->status);
    json_put_string(o, "checksum", i->checksum);
    json_put_bool(o, "protected", i->protected);
    json_put_int(o, "min_ram", i->min_ram);
    json_put_int(o, "min_disk", i->min_disk);
    json_put_string(o, "owner", i->owner);
    json_put_bool(o, "os_hidden", i->hidden);
    json_put_string(o, "os_hash_algo", i->hash_algo);
    json_put_string(o, "os_hash_value", i->hash_value);
    render_time(o, "created_at", i->created_at);
    render_time(o, "updated_at", i->updated_at);
    json_put_strings(o, "tags", &i->tags);
    char link[128];
    snprintf(link, sizeof(link), "/v2/images/%s", i->head.id);
    json_put_string(o, "self", link);
    snprintf(link, sizeof(link), "/v2/images/%s/file", i->head.id);
    json_put_string(o, "file", link);
    json_put_string(o, "schema", "/v2/schemas/image");
    if (i->stores.n) {
        struct strv sorted = {};
        VEC_FOREACH (id, &i->stores)
            strv_add(c->arena, &sorted, *id);
        strv_sort(&sorted);
        json_put_string(o, "stores", strv_join(c->arena, &sorted, ","));
    }
    if (s->o.image_locations)
        render_locations(c, s, i, o);
    json_close_object(o);
}

/* ---- list ---- */

#define bad(c, ...) call_fault((c), 400, "BadRequest", __VA_ARGS__)

static int list_sort_key(struct call *c, struct query *q, const char *key, const char *dir)
{
    static const char *const KEYS[] = { "name", "status", "container_format", "disk_format",
                                        "size", "id",     "created_at",       "updated_at" };
    bool known = false;
    for (size_t k = 0; k < ARRAY_SIZE(KEYS); k++)
        known = known || STREQ(KEYS[k], key);
    if (!known)
        return bad(c,
                   "Invalid sort key: %s. It must be one of the following: name, status, container_format, "
                   "disk_format, size, id, created_at, updated_at.",
                   key);
    if (!STREQ(dir, "asc") && !STREQ(dir, "desc"))
        return bad(c, "Invalid sort direction: %s", dir);
    return query_sort(q, c->arena, key, STREQ(dir, "desc")) ? 0 : -ENOMEM;
}

static int list_sort(struct call *c, struct query *q)
{
    struct strv keys = {}, dirs = {};
    const char *sort = NULL;
    VEC_FOREACH (a, &c->http->args) {
        if (STREQ(a->key, "sort"))
            sort = a->value;
        else if (STREQ(a->key, "sort_key"))
            strv_add(c->arena, &keys, a->value);
        else if (STREQ(a->key, "sort_dir"))
            strv_add(c->arena, &dirs, a->value);
    }
    int r = 0;
    if (sort) {
        if (keys.n || dirs.n)
            return bad(c, "Old and new sorting syntax cannot be combined");
        struct strv parts = {};
        strv_split(c->arena, &parts, sort, ", ");
        for (size_t k = 0; r == 0 && k < parts.n; k++) {
            char *key = arena_strdup(c->arena, parts.v[k]), *colon = key ? strchr(key, ':') : NULL;
            if (colon)
                *colon = 0;
            r = key ? list_sort_key(c, q, key, colon && colon[1] ? colon + 1 : "desc") : -ENOMEM;
        }
        return r;
    }
    if (dirs.n > 1 && dirs.n != keys.n)
        return bad(c, "Number of sort dirs does not match the number of sort keys");
    for (size_t k = 0; r == 0 && k < keys.n; k++)
        r = list_sort_key(c, q, keys.v[k], dirs.n == 0 ? "desc" : dirs.n == 1 ? dirs.v[0] : dirs.v[k]);
    if (r == 0 && !keys.n)
        r = list_sort_key(c, q, "created_at", dirs.n ? dirs.v[0] : "desc");
    return r;
}

/* "in:a,"b,c",d": values between commas, which quotes protect. */
static int split_values(struct call *c, const char *text, struct strv *ret)
{
    const char *p = text;
    while (*p) {
        const char *end;
        if (*p == '"') {
            end = strchr(++p, '"');
            if (!end || (end[1] && end[1] != ','))
                return bad(c, "Invalid filter value %s. The quote is not closed.", text);
        } else {
            end = strchrnul(p, ',');
        }
        strv_add(c->arena, ret, arena_strndup(c->arena, p, (size_t)(end - p)));
        p = *end == '"' ? end + 1 : end;
        if (*p == ',')
            p++;
    }
    return 0;
}

static int filter_text(struct call *c, struct query *q, const char *name, const char *value)
{
    if (str_starts(value, "in:")) {
        struct condition *w = query_where(q, c->arena, name, Q_IN, NULL);
        return w ? split_values(c, value + 3, &w->list) : -ENOMEM;
    }
    if (str_starts(value, "eq:"))
        value += 3;
    else if (!STREQ(name, "name") && strchr(value, ':'))
        return bad(c, "Unable to filter by unknown operator '%s'.", value);
    return query_where(q, c->arena, name, Q_EQ, value) ? 0 : -ENOMEM;
}

static int filter_time(struct call *c, struct query *q, const char *name, const char *value)
{
    static const struct {
        const char *text;
        enum query_op op;
    } OPS[] = {
        { "gte:", Q_GE }, { "gt:", Q_GT },  { "lte:", Q_LE },
        { "lt:", Q_LT },  { "neq:", Q_NE }, { "eq:", Q_EQ },
    };
    enum query_op op = Q_EQ;
    for (size_t k = 0; k < ARRAY_SIZE(OPS); k++)
        if (str_starts(value, OPS[k].text)) {
            op = OPS[k].op;
            value += strlen(OPS[k].text);
            break;
        }
    usec_t t;
    if (time_parse(value, &t) < 0)
        return bad(c, "Bad \"%s\" query filter format. Use ISO 8601 DateTime notation.", name);
    return query_where(q, c->arena, name, op, arena_printf(c->arena, "%" PRId64, t)) ? 0 : -ENOMEM;
}

static int filter_range(struct call *c, struct query *q, const char *name, const char *value)
{
    size_t n = strlen(name) - 4;
    char *end;
    errno = 0;
    long long v = strtoll(value, &end, 10);
    if (errno || end == value || *end)
        return bad(c, "Unable to filter on a range with a non-numeric value.");
    const char *field = arena_strndup(c->arena, name, n);
    if (!field || !query_where(q, c->arena, field, str_ends(name, "_min") ? Q_GE : Q_LE,
                               arena_printf(c->arena, "%lld", v)))
        return -ENOMEM;
    return 0;
}

static int list_filter(struct call *c, struct query *q, const char *name, const char *value)
{
    static const char *const IGNORED[] = { "limit",         "marker",     "sort",      "sort_key", "sort_dir",
                                           "member_status", "visibility", "os_hidden", NULL };
    static const char *const TEXTS[] = { "name", "id", "status", "container_format", "disk_format", NULL };
    static const char *const PLAIN[] = { "owner",        "checksum", "os_hash_value",
                                         "os_hash_algo", "size",     "virtual_size",
                                         "min_disk",     "min_ram",  NULL };
    for (size_t k = 0; IGNORED[k]; k++)
        if (STREQ(name, IGNORED[k]))
            return 0;
    for (size_t k = 0; TEXTS[k]; k++)
        if (STREQ(name, TEXTS[k]))
            return filter_text(c, q, name, value);
    for (size_t k = 0; PLAIN[k]; k++)
        if (STREQ(name, PLAIN[k]))
            return query_where(q, c->arena, name, Q_EQ, value) ? 0 : -ENOMEM;
    if (STREQ(name, "created_at") || STREQ(name, "updated_at"))
        return filter_time(c, q, name, value);
    if (STREQ(name, "changes-since"))
        return bad(c, "The \"changes-since\" filter is no longer available on v2.");
    if (STREQ(name, "protected")) {
        if (!STREQ(value, "true") && !STREQ(value, "false"))
            return bad(c, "Invalid value '%s' for 'protected' filter. Valid values are 'true' or 'false'.",
                       value);
        return query_where(q, c->arena, name, Q_EQ, value) ? 0 : -ENOMEM;
    }
    if (STREQ(name, "tag"))
        return query_where(q, c->arena, "tags", Q_KEY, value) ? 0 : -ENOMEM;
    static const char *const RANGES[] = { "size_min",         "size_max",        "min_ram_min",
                                          "min_ram_max",      "min_disk_min",    "min_disk_max",
                                          "virtual_size_min", "virtual_size_max" };
    for (size_t k = 0; k < ARRAY_SIZE(RANGES); k++)
        if (STREQ(name, RANGES[k]))
            return filter_range(c, q, name, value);
    const char *key = arena_printf(c->arena, "%s=%s", name, value);
    return key && query_where(q, c->arena, "property", Q_KEY, key) ? 0 : -ENOMEM;
}

/* Which images the caller may list. */
static int list_scope(struct call *c, struct query *q)
{
    const char *me = project_of(c), *visibility = call_arg(c, "visibility");
    const char *status = str_or(call_arg(c, "member_status"), "accepted");
    if (!STREQ(status, "pending") && !STREQ(status, "accepted") && !STREQ(status, "rejected") &&
        !STREQ(status, "all"))
        return bad(c, "Invalid status: %s", status);
    struct condition *w;
#define ANY(number, field, op, text)                                                                         \
    do {                                                                                                     \
        if (!(w = query_where(q, c->arena, (field), (op), (text))))                                          \
            return -ENOMEM;                                                                                  \
        w->any = (number);                                                                                   \
    } while (0)
    if (!call_is_admin(c)) {
        ANY(1, "visibility", Q_EQ, "public");
        ANY(1, "visibility", Q_EQ, "community");
        if (me) {
            ANY(1, "owner", Q_EQ, me);
            if (STREQ(status, "all"))
                ANY(1, "member", Q_KEY, me);
            else
                ANY(1, "member_status", Q_KEY, arena_printf(c->arena, "%s/%s", me, status));
        }
    }
    if (!visibility) {
        ANY(2, "visibility", Q_NE, "community");
        if (me)
            ANY(2, "owner", Q_EQ, me);
    } else if (!STREQ(visibility, "all")) {
        bool known = false;
        for (size_t k = 0; IMAGE_VISIBILITIES[k]; k++)
            known = known || STREQ(IMAGE_VISIBILITIES[k], visibility);
        if (!known)
            return bad(c, "Invalid visibility value: %s", visibility);
        ANY(0, "visibility", Q_EQ, visibility);
    }
#undef ANY
    const char *hidden = str_or(call_arg(c, "os_hidden"), "false");
    if (strcasecmp(hidden, "true") != 0 && strcasecmp(hidden, "false") != 0)
        return bad(c, "Invalid value '%s' for 'os_hidden' filter. Valid values are 'true' or 'false'.",
                   hidden);
    return query_where(q, c->arena, "os_hidden", Q_EQ, strcasecmp(hidden, "true") == 0 ? "true" : "false")
               ? 0
               : -ENOMEM;
}

/* "/v2/images?..." with the arguments of this call but the marker; 'marker' may be null. */
static const char *page_link(struct call *c, const char *marker)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX(65536);
    buf_adds(&b, "/v2/images");
    char between = '?';
    VEC_FOREACH (a, &c->http->args) {
        if (STREQ(a->key, "marker"))
            continue;
        buf_addc(&b, between);
        url_encode(&b, a->key, "");
        buf_addc(&b, '=');
        url_encode(&b, a->value, "");
        between = '&';
    }
    if (marker)
        buf_printf(&b, "%cmarker=%s", between, marker);
    return arena_strdup(c->arena, buf_text(&b));
}

#define LIMIT_DEFAULT 25
#define LIMIT_MAX 1000

/* Whether walking all images by the sort key's index until the page is full is quicker than gathering
 * those that the caller sees: it is where a page is full after few steps. */
static bool walk_is_quicker(const struct call *c, const struct image_state *s, size_t limit)
{
    uint64_t seen = call_is_admin(c) ? s->n_images : s->n_public;
    return seen * seen * 3 > s->n_images * limit;
}

static int list_render(struct call *c, struct image_state *s, size_t limit)
{
    struct query q = { .kind = &IMAGE_KIND };
    int r = list_scope(c, &q);
    if (r == 0)
        r = list_sort(c, &q);
    /* Ties go the way of the first key, which lets its index be walked backwards. */
    if (r == 0 && !query_sort(&q, c->arena, "id", q.sort.n && q.sort.v[0].descending))
        r = -ENOMEM;
    VEC_FOREACH (a, &c->http->args)
        if (r == 0)
            r = list_filter(c, &q, a->key, a->value);
    if (r != 0)
        return r;
    q.limit = MAX(limit, (size_t)1);
    q.marker = call_arg(c, "marker");
    q.in_order = walk_is_quicker(c, s, limit);
    struct results l = {};
    r = call_read(c);
    if (r == 0)
        r = txn_list(c->txn, &q, &l);
    if (r != 0)
        return r;
    if (l.marker_lost)
        return call_fault(c, 400, "BadRequest", "Invalid marker: no image with ID %s was found", q.marker);
    size_t n = limit ? l.n : 0;
    json_open_object(&c->out);
    json_put_array(&c->out, "images");
    for (size_t k = 0; k < n; k++)
        image_render(c, l.v[k], &c->out);
    json_close_array(&c->out);
    json_put_string(&c->out, "first", page_link(c, NULL));
    json_put_string(&c->out, "schema", "/v2/schemas/images");
    if (n && (l.more || n == limit))
        json_put_string(&c->out, "next", page_link(c, ((struct image *)l.v[n - 1])->head.id));
    json_close_object(&c->out);
    return 0;
}

int images_list(struct call *c)
{
    struct image_state *s = image_state(c->api);
    size_t limit = LIMIT_DEFAULT;
    const char *text = call_arg(c, "limit");
    if (text) {
        char *end;
        long long v = strtoll(text, &end, 10);
        if (end == text || *end)
            return bad(c, "limit param must be an integer");
        if (v < 0)
            return bad(c, "limit param must be positive");
        limit = (size_t)MIN(v, (long long)LIMIT_MAX);
    }
    /* Read before the store is: a page that an image's change has overtaken is filed as stale. */
    uint64_t generation = s->generation;
    const char *key = arena_printf(c->arena, "%c %s ?%s", call_is_admin(c) ? 'a' : 'u',
                                   str_or(project_of(c), ""), str_or(c->http->query, ""));
    if (!key)
        return -ENOMEM;
    if (pages_get(s->pages, key, generation, &c->buf))
        return 0;
    int r = list_render(c, s, limit);
    if (r == 0 && buf_error(&c->buf) == 0)
        pages_put(s->pages, key, generation, buf_text(&c->buf), c->buf.len);
    return r;
}

int images_show(struct call *c)
{
    struct image *i;
    int r = call_read(c);
    if (r == 0)
        r = image_find(c, call_param(c, "image_id"), &i);
    if (r == 0)
        image_render(c, i, &c->out);
    return r;
}
