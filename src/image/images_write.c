/*
 * Images: making, deleting, deactivating; and the rules for what a client may set.
 *
 * A name in a body is one of four things: a member of every image that clients may set, one
 * that only the service sets (403), a reserved name (403), or a custom property, whose value
 * must be a string.
 */
#include "image/internal.h"

#include "base/macro.h"

#include <errno.h>

#define TAGS_MAX 128
#define PROPERTY_MAX 65535

static const char *const READ_ONLY[] = { "created_at",   "updated_at",    "status", "checksum", "size",
                                         "virtual_size", "direct_url",    "self",   "file",     "schema",
                                         "os_hash_algo", "os_hash_value", "stores" };
static const char *const RESERVED[] = { "location", "deleted", "deleted_at" };
static const char *const BASE[] = { "id",          "name",      "visibility",
                                    "protected",   "os_hidden", "container_format",
                                    "disk_format", "min_disk",  "min_ram",
                                    "tags",        "owner" };

bool image_is_base(const char *name)
{
    for (size_t k = 0; k < ARRAY_SIZE(BASE); k++)
        if (STREQ(name, BASE[k]))
            return true;
    return false;
}

int image_name_writable(struct call *c, const char *name)
{
    for (size_t k = 0; k < ARRAY_SIZE(READ_ONLY); k++)
        if (STREQ(name, READ_ONLY[k]))
            return call_fault(c, 403, "Forbidden", "Attribute '%s' is read-only.", name);
    for (size_t k = 0; k < ARRAY_SIZE(RESERVED); k++)
        if (STREQ(name, RESERVED[k]))
            return call_fault(c, 403, "Forbidden", "Attribute '%s' is reserved.", name);
    if (str_starts(name, "os_glance"))
        return call_fault(c, 403, "Forbidden", "Attribute '%s' is reserved.", name);
    if (strlen(name) > 255)
        return call_fault(c, 400, "BadRequest", "Custom property should not be greater than 255 characters.");
    return 0;
}

int image_apply(struct call *c, struct image *i, json_t *base)
{
    struct decode_error e;
    struct given given = {};
    int r = schema_decode(&IMAGE_SCHEMA, base, DECODE_UPDATE, 0, c->arena, i, &given, &e);
    if (r == FAULT)
        return call_fault(c, 400, "BadRequest", "Provided object does not match schema 'image': %s",
                          e.message);
    return r;
}

int image_check(struct call *c, const struct image *i, const struct image *before)
{
    if (i->visibility && str_eq(i->visibility, "public") &&
        !(before && str_eq(before->visibility, "public"))) {
        int r = call_require_project(c, "image:publicize_image", i->owner);
        if (r != 0)
            return r;
    }
    if (str_eq(i->visibility, "community") && !(before && str_eq(before->visibility, "community"))) {
        int r = call_require_project(c, "image:communitize_image", i->owner);
        if (r != 0)
            return r;
    }
    bool formats = !before || !str_eq(before->disk_format, i->disk_format) ||
                   !str_eq(before->container_format, i->container_format);
    if (before && formats && !STREQ(before->status, IMAGE_QUEUED) && !STREQ(before->status, IMAGE_IMPORTING))
        return call_fault(c, 403, "Forbidden", "Attribute %s can be only replaced for a queued image.",
                          str_eq(before->disk_format, i->disk_format) ? "container_format" : "disk_format");
    if (i->properties.n > IMAGE_PROPERTIES_MAX)
        return call_fault(c, 413, "LimitExceeded",
                          "The limit has been exceeded on the number of allowed image "
                          "properties. Attempted: %zu, Maximum: %d",
                          i->properties.n, IMAGE_PROPERTIES_MAX);
    if (i->tags.n > TAGS_MAX)
        return call_fault(c, 413, "LimitExceeded",
                          "The limit has been exceeded on the number of allowed image tags. "
                          "Attempted: %zu, Maximum: %d",
                          i->tags.n, TAGS_MAX);
    return 0;
}

/* Each tag once. */
static void tags_unique(struct strv *tags)
{
    for (size_t k = 0; k < tags->n; k++)
        for (size_t j = tags->n; j-- > k + 1;)
            if (STREQ(tags->v[k], tags->v[j]))
                vec_remove(tags, j);
}

static int create_body(struct call *c, struct image *i)
{
    if (!json_is_object(c->body))
        return call_fault(c, 400, "BadRequest", "Body expected in request.");
    _cleanup_(json_decrefp) json_t *base = json_object();
    const char *key;
    json_t *value;
    json_object_foreach(c->body, key, value)
    {
        if (STREQ(key, "locations")) {
            if (!json_is_array(value) || json_array_size(value))
                return call_fault(c, 403, "Forbidden",
                                  "Locations are set by changing the image, not by creating it.");
            continue;
        }
        int r = image_name_writable(c, key);
        if (r != 0)
            return r;
        if (STREQ(key, "id")) {
            if (!json_is_string(value) || !uuid_valid(json_string_value(value)) ||
                strlen(json_string_value(value)) != UUID_TEXT_SIZE - 1)
                return call_fault(c, 400, "BadRequest",
                                  "Provided object does not match schema 'image': id is not a UUID");
            i->head.id = arena_strdup(c->arena, json_string_value(value));
        } else if (image_is_base(key)) {
            json_object_set(base, key, value);
        } else if (!json_is_string(value)) {
            return call_fault(c, 400, "BadRequest",
                              "Provided object does not match schema 'image': '%s' is not of type 'string'",
                              key);
        } else if (json_string_length(value) > PROPERTY_MAX) {
            return call_fault(c, 400, "BadRequest", "The value of property '%s' is too long.", key);
        } else {
            strmap_set(c->arena, &i->properties, key, json_string_value(value));
        }
    }
    int r = image_apply(c, i, base);
    if (r == 0)
        tags_unique(&i->tags);
    return r;
}

static int create_write(struct call *c)
{
    struct image *i = c->data, *there;
    int r = txn_get(c->txn, &IMAGE_KIND, i->head.id, &there);
    if (r < 0)
        return r;
    if (there)
        return call_fault(c, 409, "Duplicate", "Image ID %s already exists!", i->head.id);
    r = image_quota(c->txn, i->owner, "image_count_total", 1, &c->fault);
    if (r == 0)
        r = txn_put(c->txn, &IMAGE_KIND, i);
    if (r == 0)
        image_render(c, i, &c->out);
    return r;
}

int images_create(struct call *c)
{
    struct image_state *s = image_state(c->api);
    struct image *i = ARENA_NEW(c->arena, struct image);
    if (!i)
        return -ENOMEM;
    i->head.id = uuid_new(c->arena);
    i->owner = c->auth->project_id;
    i->size = i->virtual_size = INT_NULL;
    i->status = IMAGE_QUEUED;
    i->visibility = "shared";
    int r = create_body(c, i);
    if (r != 0)
        return r;
    if (!str_eq(i->owner, c->auth->project_id) && !call_is_admin(c))
        return call_fault(c, 403, "Forbidden", "You are not permitted to create images owned by '%s'.",
                          str_or(i->owner, ""));
    r = call_require_project(c, "image:add_image", i->owner);
    if (r == 0)
        r = image_check(c, i, NULL);
    if (r != 0)
        return r;
    i->created_at = i->updated_at = clock_wall();
    i->hash_algo = NULL;
    c->data = i;
    r = call_write(c, create_write);
    if (r != 0)
        return r;
    http_set_header(c->http, "Location",
                    arena_printf(c->arena, "%s/v2/images/%s", call_base_url(c), i->head.id));
    if (s->methods.n)
        http_set_header(c->http, "OpenStack-image-import-methods", strv_join(c->arena, &s->methods, ","));
    struct strv ids = {};
    for (size_t k = 0; k < s->n_stores; k++)
        strv_add(c->arena, &ids, s->stores[k]->id);
    http_set_header(c->http, "OpenStack-image-store-ids", strv_join(c->arena, &ids, ","));
    return 0;
}

static int delete_write(struct call *c)
{
    struct image *i;
    const char *id = call_param(c, "image_id");
    int r = image_find_own(c, id, "image:delete_image", &i);
    if (r != 0)
        return r;
    if (i->protected)
        return call_fault(c, 403, "Forbidden", "Image %s is protected and cannot be deleted.", id);
    c->data = i;
    r = txn_delete(c->txn, &IMAGE_KIND, id);
    return r < 0 ? r : txn_delete(c->txn, &IMAGE_CACHED_KIND, id);
}

int images_delete(struct call *c)
{
    int r = call_write(c, delete_write);
    if (r == 0)
        image_collect(image_state(c->api), c->data);
    return r;
}

static int store_write_delete(struct call *c)
{
    struct image *i;
    const char *id = call_param(c, "image_id"), *store = call_param(c, "store_id");
    int r = image_find_own(c, id, "image:delete_image_location", &i);
    if (r != 0)
        return r;
    if (!STREQ(i->status, IMAGE_ACTIVE))
        return call_fault(c, 409, "Conflict",
                          "It's not allowed to remove image data from store if image status is "
                          "not 'active'");
    if (!strv_has(&i->stores, store))
        return call_fault(c, 404, "NotFound", "Image %s is not stored in store %s.", id, store);
    if (i->stores.n + i->locations.n == 1)
        return call_fault(c, 403, "Forbidden",
                          "Cannot delete image data from the only store containing it. "
                          "Consider deleting the image instead.");
    strv_drop(&i->stores, store);
    c->data = i;
    return image_save(c->txn, i);
}

int images_delete_from_store(struct call *c)
{
    struct image_state *s = image_state(c->api);
    struct blob_store *store = image_store(s, call_param(c, "store_id"));
    if (!store)
        return call_fault(c, 409, "Conflict", "The selected store %s is not available on this node.",
                          call_param(c, "store_id"));
    int r = call_write(c, store_write_delete);
    if (r == 0)
        image_collect_key(s, store, ((struct image *)c->data)->blob);
    return r;
}

static int action_write(struct call *c)
{
    struct image *i;
    const char *action = call_param(c, "action");
    bool off = STREQ(action, "deactivate");
    int r = image_find_own(c, call_param(c, "image_id"), off ? "image:deactivate" : "image:reactivate", &i);
    if (r != 0)
        return r;
    if (!STREQ(i->status, IMAGE_ACTIVE) && !STREQ(i->status, IMAGE_DEACTIVATED))
        return call_fault(c, 403, "Forbidden", "Not allowed to %s an image whose status is %s.", action,
                          i->status);
    i->status = off ? IMAGE_DEACTIVATED : IMAGE_ACTIVE;
    return image_save(c->txn, i);
}

int images_action(struct call *c)
{
    const char *action = call_param(c, "action");
    if (!STREQ(action, "deactivate") && !STREQ(action, "reactivate"))
        return call_fault(c, 404, "NotFound", "There is no action %s.", action);
    return call_write(c, action_write);
}
