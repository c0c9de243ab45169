/*
 * The image calls of old: what Nova passed on to Glance until microversion 2.35 (metadata: 2.38).
 *
 * The same images that the image service has, in Nova's words: properties are metadata, a snapshot
 * has its server. Everything is asked of the image service; nothing is kept here.
 */
#include "compute/internal.h"
#include "image/image.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

static const struct {
    const char *nova, *glance;
    int progress;
} STATUSES[] = {
    { "ACTIVE", "active", 100 },    { "SAVING", "queued", 25 },      { "SAVING", "saving", 50 },
    { "SAVING", "uploading", 50 },  { "SAVING", "importing", 50 },   { "DELETED", "deleted", 0 },
    { "DELETED", "pending_delete", 0 }, { "ERROR", "killed", 0 },
};

static size_t status_of(const struct image_view *v)
{
    size_t i = 0;
    while (i < ARRAY_SIZE(STATUSES) && !str_eq(STATUSES[i].glance, v->status))
        i++;
    return i;
}

static void render_links(struct call *c, const struct image_view *v, struct json_out *o)
{
    const char *base = call_base_url(c), *image = call_service_url(c, "image");
    struct { const char *rel, *href, *type; } links[] = {
        { "self", arena_printf(c->arena, "%s/v2.1/images/%s", base, v->id), NULL },
        { "bookmark", arena_printf(c->arena, "%s/images/%s", base, v->id), NULL },
        { "alternate", arena_printf(c->arena, "%s/images/%s", str_or(image, ""), v->id),
          "application/vnd.openstack.image" },
    };
    json_put_array(o, "links");
    for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
        json_open_object(o);
        json_put_string(o, "rel", links[i].rel);
        json_put_string(o, "href", links[i].href);
        if (links[i].type)
            json_put_string(o, "type", links[i].type);
        json_close_object(o);
    }
    json_close_array(o);
}

static void render(struct call *c, const struct image_view *v, bool full, struct json_out *o)
{
    json_open_object(o);
    json_put_string(o, "id", v->id);
    json_put_string(o, "name", v->name);
    render_links(c, v, o);
    if (full) {
        size_t s = status_of(v);
        const char *server = strmap_get(&v->properties, "instance_uuid"),
                   *config = strmap_get(&v->properties, "auto_disk_config");
        json_put_string(o, "status", s < ARRAY_SIZE(STATUSES) ? STATUSES[s].nova : "UNKNOWN");
        json_put_int(o, "progress", s < ARRAY_SIZE(STATUSES) ? STATUSES[s].progress : 0);
        json_put_int(o, "minDisk", v->min_disk);
        json_put_int(o, "minRam", v->min_ram);
        compute_put_time(o, "created", v->created_at, TIME_ISO_Z);
        compute_put_time(o, "updated", v->updated_at, TIME_ISO_Z);
        json_put_map(o, "metadata", &v->properties);
        json_put_int(o, "OS-EXT-IMG-SIZE:size", v->size == INT_NULL ? 0 : v->size);
        if (config)
            json_put_string(o, "OS-DCF:diskConfig", strcasecmp(config, "true") == 0 ? "AUTO" : "MANUAL");
        if (server) {
            json_put_object(o, "server");
            json_put_string(o, "id", server);
            compute_links(c, "servers", server, o);
            json_close_object(o);
        }
    }
    json_close_object(o);
}

/* ---- lists ---- */

static int read_filter(struct call *c, struct image_filter *f)
{
    int r = compute_page(c, &f->limit, &f->marker);
    if (r)
        return r;
    f->name = call_arg(c, "name");
    const char *status = call_arg(c, "status"), *server = call_arg(c, "server"), *type = call_arg(c, "type"),
               *since = call_arg(c, "changes-since");
    if (status) {
        for (size_t i = 0; i < ARRAY_SIZE(STATUSES); i++)
            if (strcasecmp(STATUSES[i].nova, status) == 0)
                strv_add(c->arena, &f->statuses, STATUSES[i].glance);
        if (!f->statuses.n)
            strv_add(c->arena, &f->statuses, status);
    }
    if (server) {           /* its id, or a link that ends with it */
        const char *slash = strrchr(server, '/');
        strmap_set(c->arena, &f->properties, "instance_uuid", slash ? slash + 1 : server);
    }
    if (type)
        strmap_set(c->arena, &f->properties, "image_type", type);
    VEC_FOREACH(a, &c->http->args)
        if (str_starts(a->key, "property-"))
            strmap_set(c->arena, &f->properties, a->key + strlen("property-"), a->value);
    if (since && time_parse(since, &f->changed_since) < 0)
        return call_fault(c, 400, "BadRequest", "Invalid changes-since value: %s", since);
    return 0;
}

static int list(struct call *c, bool full)
{
    struct image_filter f = { 0 };
    struct image_views l = { 0 };
    int r = read_filter(c, &f);
    if (!r)
        r = call_read(c);
    if (!r)
        r = image_list(c->txn, c->auth->project_id, call_is_admin(c), &f, &l);
    if (r)
        return r;
    if (l.marker_lost)
        return call_fault(c, 400, "BadRequest", "marker [%s] not found", f.marker);
    json_open_object(&c->out);
    json_put_array(&c->out, "images");
    VEC_FOREACH(v, &l.list)
        render(c, v, full, &c->out);
    json_close_array(&c->out);
    if (l.list.n)
        compute_next_link(c, "images", l.more, l.list.v[l.list.n - 1].id, &c->out);
    json_close_object(&c->out);
    return 0;
}

static int images_list(struct call *c)
{
    return list(c, false);
}

static int images_detail(struct call *c)
{
    return list(c, true);
}

/* ---- one ---- */

static int get(struct call *c, struct image_view **ret)
{
    int r = call_read(c);
    return r ? r : image_get(c->txn, c->auth->project_id, call_is_admin(c), call_param(c, "id"), ret, &c->fault);
}

static int image_show(struct call *c)
{
    struct image_view *v;
    int r = get(c, &v);
    if (r)
        return r;
    json_open_object(&c->out);
    json_key(&c->out, "image");
    render(c, v, true, &c->out);
    json_close_object(&c->out);
    return 0;
}

static int image_drop(struct call *c)
{
    return image_delete(c->api, c->arena, c->auth->project_id, call_is_admin(c), call_param(c, "id"), &c->fault);
}

static int no_image(struct call *c)
{
    return call_fault(c, 404, "ImageNotFound", "Image not found.");
}

/* ---- metadata ---- */

struct metadata_change {
    struct strmap set;
    bool replace;
    struct image_view *after;
};

static int metadata_show(struct call *c)
{
    struct image_view *v;
    int r = get(c, &v);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_map(&c->out, "metadata", &v->properties);
    json_close_object(&c->out);
    return 0;
}

static int one_out(struct call *c, const char *key, const char *value)
{
    json_open_object(&c->out);
    json_put_object(&c->out, "meta");
    json_put_string(&c->out, key, value);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int key_show(struct call *c)
{
    struct image_view *v;
    int r = get(c, &v);
    if (r)
        return r;
    const char *key = call_param(c, "key"), *value = strmap_get(&v->properties, key);
    if (!value)
        return call_fault(c, 404, "HTTPNotFound", "Metadata item was not found");
    return one_out(c, key, value);
}

static int change_write(struct call *c)
{
    struct metadata_change *w = c->data;
    return image_set_properties(c->txn, c->auth->project_id, call_is_admin(c), call_param(c, "id"), &w->set, w->replace,
                                &w->after, &c->fault);
}

static int read_pairs(struct call *c, json_t *from, struct strmap *ret)
{
    const char *key;
    json_t *value;
    if (!json_is_object(from))
        return call_fault(c, 400, "BadRequest", "Malformed request body");
    json_object_foreach(from, key, value) {
        if (!json_is_string(value) || !*key || strlen(key) > 255 || json_string_length(value) > 255)
            return call_fault(c, 400, "BadRequest",
                              "Invalid metadata: a key has 1 to 255 characters, a value is a string of at most 255.");
        if (!strmap_set(c->arena, ret, key, json_string_value(value)))
            return -ENOMEM;
    }
    int r = call_read(c);
    return r ? r : metadata_check(c, ret);
}

static int metadata_set(struct call *c)
{
    struct metadata_change w = { .replace = STREQ(c->http->method, "PUT") };
    int r = read_pairs(c, c->body, &w.set);
    if (r)
        return r;
    c->data = &w;
    r = call_write(c, change_write);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_map(&c->out, "metadata", &w.after->properties);
    json_close_object(&c->out);
    return 0;
}

static int key_set(struct call *c)
{
    struct metadata_change w = { .replace = false };
    const char *key = call_param(c, "key");
    int r = read_pairs(c, c->body, &w.set);
    if (r)
        return r;
    /* The image is looked for first: a body for another name says nothing of one that is not there. */
    struct image_view *v;
    r = get(c, &v);
    if (r)
        return r;
    if (w.set.n != 1 || !strmap_get(&w.set, key))
        return call_fault(c, 400, "BadRequest", "Request body and URI mismatch");
    c->data = &w;
    r = call_write(c, change_write);
    return r ? r : one_out(c, key, strmap_get(&w.set, key));
}

static int key_drop(struct call *c)
{
    struct metadata_change w = { .replace = false };
    const char *key = call_param(c, "key");
    struct image_view *v;
    int r = get(c, &v);
    if (r)
        return r;
    if (!strmap_get(&v->properties, key))
        return call_fault(c, 404, "HTTPNotFound", "Invalid metadata key");
    struct pair *p = vec_add(c->arena, &w.set);
    if (!p)
        return -ENOMEM;
    p->key = key;
    c->data = &w;
    return call_write(c, change_write);
}

#define P "/v2.1/images"
static const struct route IMAGE_ROUTES[] = {
    { "GET", P, images_list, NULL, 0, .until = 35, .doc = "Images." },
    { "GET", P "/", no_image, NULL, 0, .until = 35 },
    { "DELETE", P "/", no_image, NULL, 0, .until = 35 },
    { "GET", P "/detail", images_detail, NULL, 0, .until = 35, .doc = "Images with details." },
    { "GET", P "/{id}", image_show, NULL, 0, .until = 35, .doc = "One image." },
    { "DELETE", P "/{id}", image_drop, NULL, 0, .until = 35, .status = 204, .doc = "Deletes it." },
    { "GET", P "/{id}/metadata", metadata_show, NULL, 0, .until = 38, .doc = "Its properties." },
    { "POST", P "/{id}/metadata", metadata_set, NULL, 0, .until = 38, .wrap = "metadata", .doc = "Adds some." },
    { "PUT", P "/{id}/metadata", metadata_set, NULL, 0, .until = 38, .wrap = "metadata", .doc = "Sets all." },
    { "GET", P "/{id}/metadata/{key}", key_show, NULL, 0, .until = 38, .doc = "One property." },
    { "PUT", P "/{id}/metadata/{key}", key_set, NULL, 0, .until = 38, .wrap = "meta", .doc = "Sets it." },
    { "DELETE", P "/{id}/metadata/{key}", key_drop, NULL, 0, .until = 38, .status = 204, .doc = "Drops it." },
};
const struct compute_part IMAGE_PART = { IMAGE_ROUTES, ARRAY_SIZE(IMAGE_ROUTES), NULL, 0 };
