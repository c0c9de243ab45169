/*
 * PATCH of an image: Glance's two dialects of JSON patch, and locations.
 *
 * The media type names the dialect: v2.0 is {"add": "/name", "value": 1} (the draft of 2012),
 * v2.1 is {"op": "add", "path": "/name", "value": 1}. Paths are one name deep, but for
 * /locations/N. All changes are made to a copy and checked as a whole, so a request changes
 * everything or nothing.
 */
#include "image/internal.h"

#include "base/macro.h"

#include <ctype.h>
#include <errno.h>

enum op { OP_ADD, OP_REMOVE, OP_REPLACE };
static const char *const OPS[] = { "add", "remove", "replace" };

struct patch_step {
    enum op op;
    const char *root; /* first step of the path */
    const char *rest; /* second, or null */
    json_t *value;    /* of the body */
};

struct patch {
    struct patch_step changes[256];
    size_t n;
    bool draft4;
    int64_t location_size; /* of a location that is added, asked for before the transaction */
    struct image was;
};

#define bad(c, ...) call_fault((c), 400, "BadRequest", __VA_ARGS__)

static int parse_op(struct call *c, const struct patch *p, json_t *raw, struct patch_step *ch,
                    const char **ret_path)
{
    if (p->draft4) {
        int seen = 0;
        for (size_t k = 0; k < ARRAY_SIZE(OPS); k++) {
            json_t *path = json_object_get(raw, OPS[k]);
            if (!path)
                continue;
            seen++;
            ch->op = (enum op)k;
            *ret_path = json_string_value(path);
        }
        if (seen != 1)
            return bad(c, "Operation objects must contain exactly one member named \"add\", \"remove\", or "
                          "\"replace\".");
    } else {
        const char *op = json_get_string(raw, "op");
        if (!op)
            return bad(
                c, "Unable to find `op` in JSON Schema change. It must be one of the following: add, remove, "
                   "replace.");
        size_t k = 0;
        while (k < ARRAY_SIZE(OPS) && !STREQ(OPS[k], op))
            k++;
        if (k == ARRAY_SIZE(OPS))
            return bad(c, "Invalid operation: `%s`. It must be one of the following: add, remove, replace.",
                       op);
        ch->op = (enum op)k;
        *ret_path = json_get_string(raw, "path");
    }
    return *ret_path ? 0 : bad(c, "Unable to find '%s' in JSON Schema change", "path");
}

/* One step of a pointer: "~1" is '/', "~0" is '~'. */
static char *parse_step(struct arena *a, const char *p, size_t n)
{
    char *out = arena_strndup(a, p, n), *w = out;
    if (!out)
        return NULL;
    for (const char *r = out; *r; r++) {
        if (r[0] == '~' && r[1] == '1')
            *w++ = '/', r++;
        else if (r[0] == '~' && r[1] == '0')
            *w++ = '~', r++;
        else
            *w++ = *r;
    }
    *w = 0;
    return out;
}

static int parse_path(struct call *c, struct patch_step *ch, const char *path)
{
    if (path[0] != '/')
        return bad(c, "Pointer `%s` does not start with \"/\".", path);
    if (strstr(path, "//"))
        return bad(c, "Pointer `%s` contains adjacent \"/\".", path);
    if (!path[1] || str_ends(path, "/"))
        return bad(c, "Pointer `%s` end with \"/\".", path);
    for (const char *t = strchr(path, '~'); t; t = strchr(t + 1, '~'))
        if (t[1] != '0' && t[1] != '1')
            return bad(c, "Pointer `%s` contains \"~\" not part of a recognized escape sequence.", path);
    const char *slash = strchr(path + 1, '/');
    ch->root = parse_step(c->arena, path + 1, slash ? (size_t)(slash - path - 1) : strlen(path + 1));
    if (slash)
        ch->rest = arena_strdup(c->arena, slash + 1);
    if (!ch->root || (slash && !ch->rest))
        return -ENOMEM;
    bool two = STREQ(ch->root, "locations") && ch->op != OP_REPLACE;
    if (two != (slash != NULL) || (ch->rest && strchr(ch->rest, '/')))
        return bad(c, "Invalid JSON pointer for this resource: '%s'", path);
    return 0;
}

static int parse(struct call *c, struct patch *p)
{
    size_t k;
    json_t *raw;
    if (!json_is_array(c->body))
        return bad(c, "Request body must be a JSON array of operation objects.");
    if (json_array_size(c->body) > ARRAY_SIZE(p->changes))
        return call_fault(c, 413, "LimitExceeded", "More than %zu changes at once.", ARRAY_SIZE(p->changes));
    json_array_foreach(c->body, k, raw)
    {
        struct patch_step *ch = &p->changes[p->n];
        const char *path = NULL;
        if (!json_is_object(raw))
            return bad(c, "Operations must be JSON objects.");
        int r = parse_op(c, p, raw, ch, &path);
        if (r == 0)
            r = parse_path(c, ch, path);
        if (r == 0 && STREQ(ch->root, "id"))
            r = call_fault(c, 403, "Forbidden", "Attribute 'id' is read-only.");
        if (r == 0)
            r = image_name_writable(c, ch->root);
        if (r != 0)
            return r;
        ch->value = json_object_get(raw, "value");
        if (ch->op != OP_REMOVE && !ch->value)
            return bad(c, "Operation \"%s\" requires a member named \"value\".", OPS[ch->op]);
        p->n++;
    }
    return 0;
}

/* ---- locations ---- */

static bool is_web(const char *url)
{
    return str_starts(url, "http://") || str_starts(url, "https://");
}

/* One location from a body; our own stores' are known by their metadata. */
static int location_read(struct call *c, json_t *v, const char **ret_url, json_t **ret_metadata,
                         json_t **ret_check)
{
    const char *url = json_get_string(v, "url");
    json_t *metadata = json_get_object(v, "metadata");
    if (!url || strlen(url) > 255 || !metadata)
        return bad(c,
                   "Provided object does not match schema 'image': a location needs a 'url' and 'metadata'");
    *ret_url = url;
    *ret_metadata = metadata;
    *ret_check = json_get_object(v, "validation_data");
    return 0;
}

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdefABCDEF") == n;
}

static int location_hash(struct call *c, struct image *i, json_t *check)
{
    if (!check)
        return 0;
    const char *sum = json_get_string(check, "checksum"), *algo = json_get_string(check, "os_hash_algo"),
               *value = json_get_string(check, "os_hash_value");
    if (!algo || !value)
        return bad(c, "Provided object does not match schema 'image': 'os_hash_algo' and 'os_hash_value' are "
                      "required");
    struct {
        const char *name, *now, *given;
    } rows[] = { { "checksum", i->checksum, sum },
                 { "os_hash_algo", i->hash_algo, algo },
                 { "os_hash_value", i->hash_value, value } };
    bool fresh = false;
    for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
        if (!rows[k].given || str_eq(rows[k].given, rows[k].now))
            continue;
        if (rows[k].now)
            return call_fault(c, 409, "Conflict", "%s is already set with a different value", rows[k].name);
        fresh = true;
    }
    if (!fresh)
        return 0;
    if (!STREQ(i->status, IMAGE_QUEUED))
        return call_fault(c, 409, "Conflict",
                          "New value(s) for os_hash_value may only be provided when image status "
                          "is 'queued'");
    if (sum && !is_hex(sum, 32))
        return call_fault(c, 409, "Conflict",
                          "checksum (%s) is not the correct size for md5 (should be 16 bytes)", sum);
    if (!STREQ(algo, "sha512"))
        return call_fault(c, 409, "Conflict", "os_hash_algo must be sha512, not %s", algo);
    if (!is_hex(value, 128))
        return call_fault(c, 409, "Conflict",
                          "os_hash_value (%s) is not the correct size for sha512 (should be 64 "
                          "bytes)",
                          value);
    i->checksum = sum ? arena_strdup(c->arena, sum) : i->checksum;
    i->hash_algo = "sha512";
    i->hash_value = arena_strdup(c->arena, value);
    return 0;
}

static int locations_ready(struct call *c, const struct image *i, const char *rule)
{
    if (!image_state(c->api)->o.image_locations)
        return call_fault(c, 403, "Forbidden",
                          "It's not allowed to update locations if locations are invisible.");
    if (!STREQ(i->status, IMAGE_ACTIVE) && !STREQ(i->status, IMAGE_QUEUED))
        return call_fault(c, 409, "Conflict", "It's not allowed to update locations if image status is %s.",
                          i->status);
    return call_require_project(c, rule, i->owner);
}

static int location_add(struct call *c, struct image *i, const struct patch *p, const struct patch_step *ch)
{
    const char *url;
    json_t *metadata, *check;
    int r = locations_ready(c, i, "image:set_image_location");
    if (r == 0)
        r = location_read(c, ch->value, &url, &metadata, &check);
    if (r != 0)
        return r;
    size_t n = i->stores.n + i->locations.n;
    if (!STREQ(ch->rest, "-") && (!is_hex(ch->rest, strlen(ch->rest)) || strtoul(ch->rest, NULL, 10) > n))
        return bad(c, "Invalid position for adding a location.");
    if (!is_web(url))
        return bad(c, "Invalid location: %s", url);
    VEC_FOREACH (l, &i->locations)
        if (str_eq(l->url, url))
            return bad(c, "The location %s already exists", url);
    r = location_hash(c, i, check);
    if (r != 0)
        return r;
    if (!image_add_location(c->arena, i, url, json_text(c->arena, metadata)))
        return -ENOMEM;
    if (STREQ(i->status, IMAGE_QUEUED)) {
        i->status = IMAGE_ACTIVE;
        i->size = p->location_size ? p->location_size : INT_NULL;
    }
    return 0;
}

static int location_remove(struct call *c, struct image *i, const struct patch_step *ch)
{
    int r = locations_ready(c, i, "image:delete_image_location");
    if (r != 0)
        return r;
    size_t n = i->stores.n + i->locations.n;
    char *end;
    unsigned long pos = strtoul(ch->rest, &end, 10);
    if (STREQ(ch->rest, "-"))
        pos = n - 1;
    else if (*end || !isdigit((unsigned char)ch->rest[0]) || pos >= n)
        return bad(c, "Invalid position for removing a location.");
    if (n <= 1)
        return call_fault(c, 403, "Forbidden", "Cannot remove last location in the image.");
    if (pos < i->stores.n)
        vec_remove(&i->stores, pos);
    else
        vec_remove(&i->locations, pos - i->stores.n);
    return 0;
}

/* The same locations again, perhaps with other metadata; a queued image may get its first ones. */
static int locations_replace(struct call *c, struct image *i, const struct patch *p,
                             const struct patch_step *ch)
{
    if (!json_is_array(ch->value))
        return bad(c, "Provided object does not match schema 'image': '%s' is not an array", "locations");
    if (!json_array_size(ch->value))
        return call_fault(c, 403, "Forbidden", "Cannot set locations to empty list.");
    int r = locations_ready(c, i, "image:set_image_location");
    if (r != 0)
        return r;
    size_t k;
    json_t *v;
    if (i->stores.n + i->locations.n == 0) {
        json_array_foreach(ch->value, k, v)
        {
            struct patch_step one = { .op = OP_ADD, .root = "locations", .rest = "-", .value = v };
            r = location_add(c, i, p, &one);
            if (r != 0)
                return r;
        }
        return 0;
    }
    if (json_array_size(ch->value) != i->stores.n + i->locations.n)
        return bad(c, "Original locations is not empty: %s",
                   "the list can't be made longer or shorter this way.");
    json_array_foreach(ch->value, k, v)
    {
        const char *url;
        json_t *metadata, *check;
        r = location_read(c, v, &url, &metadata, &check);
        if (r == 0)
            r = location_hash(c, i, check);
        if (r != 0)
            return r;
        if (k < i->stores.n) {
            if (!str_eq(json_get_string(metadata, "store"), i->stores.v[k]))
                return bad(c, "The location %s is not one of the image.", url);
            continue;
        }
        struct image_location *l = &i->locations.v[k - i->stores.n];
        if (!str_eq(l->url, url))
            return bad(c, "The location %s is not one of the image.", url);
        l->metadata = json_text(c->arena, metadata);
    }
    return 0;
}

/* ---- applying ---- */

static int apply_base(struct call *c, struct image *i, const struct patch_step *ch)
{
    if (ch->op == OP_REMOVE)
        return call_fault(c, 403, "Forbidden", "Property %s may not be removed.", ch->root);
    if (STREQ(ch->root, "owner") && !call_is_admin(c))
        return call_fault(c, 403, "Forbidden", "Owner can't be updated by non admin.");
    _cleanup_(json_decrefp) json_t *base = json_object();
    json_object_set(base, ch->root, ch->value);
    if (STREQ(ch->root, "tags"))
        i->tags = (struct strv){};
    return image_apply(c, i, base);
}

static int apply_property(struct call *c, struct image *i, const struct patch *p, const struct patch_step *ch)
{
    bool there = strmap_get(&i->properties, ch->root) != NULL;
    if (ch->op == OP_REMOVE || ch->op == OP_REPLACE) {
        if (!there)
            return call_fault(c, 409, "Conflict", "Property %s does not exist.", ch->root);
        if (ch->op == OP_REMOVE) {
            strmap_drop(&i->properties, ch->root);
            return 0;
        }
    } else if (there && p->draft4) {
        return call_fault(c, 409, "Conflict", "Property %s already present.", ch->root);
    }
    if (!json_is_string(ch->value))
        return bad(c, "Provided object does not match schema 'image': '%s' is not of type 'string'",
                   ch->root);
    return strmap_set(c->arena, &i->properties, ch->root, json_string_value(ch->value)) ? 0 : -ENOMEM;
}

static int patch_write(struct call *c)
{
    struct patch *p = c->data;
    struct image *i;
    int r = image_find_own(c, call_param(c, "image_id"), "image:modify_image", &i);
    if (r != 0)
        return r;
    struct image *was = schema_copy(&IMAGE_SCHEMA, i, c->arena);
    if (!was)
        return -ENOMEM;
    for (size_t k = 0; r == 0 && k < p->n; k++) {
        const struct patch_step *ch = &p->changes[k];
        if (!STREQ(ch->root, "locations"))
            r = image_is_base(ch->root) ? apply_base(c, i, ch) : apply_property(c, i, p, ch);
        else if (ch->op == OP_ADD)
            r = location_add(c, i, p, ch);
        else if (ch->op == OP_REMOVE)
            r = location_remove(c, i, ch);
        else
            r = locations_replace(c, i, p, ch);
    }
    if (r == 0)
        r = image_check(c, i, was);
    if (r == 0 && p->n)
        r = image_save(c->txn, i);
    if (r == 0)
        image_render(c, i, &c->out);
    p->was = *was;
    return r;
}

/* Asks for the sizes of new locations, which may take a while: outside of the transaction. */
static int ask_sizes(struct call *c, struct patch *p)
{
    struct image_state *s = image_state(c->api);
    for (size_t k = 0; s->o.image_locations && k < p->n; k++) {
        const struct patch_step *ch = &p->changes[k];
        const char *url =
            STREQ(ch->root, "locations") && ch->op == OP_ADD ? json_get_string(ch->value, "url") : NULL;
        if (!url || !is_web(url))
            continue;
        int r = web_check(s, url, &c->fault);
        if (r == 0)
            r = web_size(s, c->arena, url, &p->location_size, &c->fault);
        if (r != 0)
            return r;
    }
    return 0;
}

int images_patch(struct call *c)
{
    struct patch *p = ARENA_NEW(c->arena, struct patch);
    if (!p)
        return -ENOMEM;
    const char *type = str_or(http_header(c->http, "Content-Type"), "");
    p->draft4 = str_starts(type, "application/openstack-images-v2.0-json-patch");
    if (!p->draft4 && !str_starts(type, "application/openstack-images-v2.1-json-patch")) {
        http_set_header(c->http, "Accept-Patch",
                        "application/openstack-images-v2.0-json-patch, "
                        "application/openstack-images-v2.1-json-patch");
        return call_fault(c, 415, "UnsupportedMediaType",
                          "The media type of a patch is "
                          "application/openstack-images-v2.1-json-patch.");
    }
    char why[200];
    if (!(c->body = json_parse(c->http->body, c->http->body_size, why, sizeof(why))))
        return bad(c, "Malformed JSON in request body: %s.", why);
    int r = parse(c, p);
    if (r == 0)
        r = ask_sizes(c, p);
    if (r != 0)
        return r;
    c->data = p;
    r = call_write(c, patch_write);
    if (r == 0)
        image_collect(image_state(c->api), &p->was);
    return r;
}
