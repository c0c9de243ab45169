/*
 * The image service as a whole: its routes and rules, its stores, its controller.
 *
 * The controller fills the cache, wakes the import threads, drops old task records and sweeps
 * the stores, every quarter of an hour and when another service removed an image: blobs that no
 * record uses and files of writers that died are removed when they are older than minutes.
 */
#include "image/internal.h"

#include "api/controller.h"
#include "base/log.h"
#include "base/macro.h"

#include <errno.h>
#include <stdatomic.h>

LOG_MODULE("image");

#define SWEEP_EVERY MINUTES(15)
#define SWEEP_AGE MINUTES(5)

struct image_state *image_state(const struct api *api)
{
    return api_state(api, &IMAGE_SERVICE);
}

struct blob_store *image_store(struct image_state *s, const char *id)
{
    for (size_t k = 0; k < s->n_stores; k++)
        if (str_eq(s->stores[k]->id, id))
            return s->stores[k];
    return NULL;
}

/* ---- controller ---- */

static int expire_write(struct txn *t, void *arg)
{
    (void)arg;
    struct query q = { .kind = &IMAGE_TASK_KIND, .limit = 500 };
    struct results l = {};
    struct condition *w = query_where(&q, txn_arena(t), "status", Q_IN, NULL);
    if (!w || !query_where(&q, txn_arena(t), "expires_at", Q_LT,
                           arena_printf(txn_arena(t), "%lld", (long long)clock_wall())))
        return -ENOMEM;
    strv_add(txn_arena(t), &w->list, "success");
    strv_add(txn_arena(t), &w->list, "failure");
    int r = txn_list(t, &q, &l);
    for (size_t k = 0; r == 0 && k < l.n; k++)
        r = txn_delete(t, &IMAGE_TASK_KIND, ((struct image_task *)l.v[k])->head.id);
    return r;
}

static int sweep(struct image_state *s)
{
    for (size_t k = 0; k <= s->n_stores; k++) {
        struct blob_store *store = k < s->n_stores ? s->stores[k] : s->cache;
        struct blob_use use = { s, store };
        unsigned removed = 0;
        int r = store->class->sweep(store, SWEEP_AGE, image_blob_used, &use, &removed);
        if (r < 0)
            return r;
        if (removed)
            log_info("orphans were removed", KV("store", store->id), KV("files", removed));
    }
    return 0;
}

static int count_images(struct image_state *s, struct arena *a)
{
    struct query all = { .kind = &IMAGE_KIND }, public = { .kind = &IMAGE_KIND };
    uint64_t n = 0, m = 0;
    _cleanup_(txn_donep) struct txn *t = NULL;
    if (!query_where(&public, a, "visibility", Q_EQ, "public"))
        return -ENOMEM;
    int r = store_read(api_store(s->api), a, &t);
    if (r == 0)
        r = txn_count(t, &all, &n);
    if (r == 0)
        r = txn_count(t, &public, &m);
    s->n_images = n;
    s->n_public = m;
    return r;
}

static int step(struct api *api, struct arena *a, const struct change *changes, size_t n)
{
    static _Atomic(usec_t) swept;
    struct image_state *s = image_state(api);
    (void)changes;
    if (!s)
        return 0;
    tasks_wake(s);
    if (n)
        return 0;
    int r = cache_fill(s, a);
    if (r < 0)
        return r;
    r = count_images(s, a);
    if (r < 0)
        return r;
    if (clock_mono() - swept < SWEEP_EVERY && !image_removed_elsewhere)
        return 0;
    image_removed_elsewhere = false;
    swept = clock_mono();
    r = store_write(api_store(api), a, expire_write, NULL);
    return r < 0 ? r : sweep(s);
}

static const struct kind *const WOKEN_BY[] = { &IMAGE_TASK_KIND, NULL };
static const struct controller_class CONTROLLER = {
    .name = "image.keeper",
    .kinds = WOKEN_BY,
    .interval = SECONDS(60),
    .step = step,
};
static const struct controller_class *const CONTROLLERS[] = { &CONTROLLER, NULL };

/* ---- life ---- */

static void state_free(struct image_state *s)
{
    if (!s)
        return;
    web_stop(s);
    tasks_stop(s);
    watch_close(s->watch);
    pages_free(s->pages);
    for (size_t k = 0; k < s->n_stores; k++)
        blob_store_free(s->stores[k]);
    blob_store_free(s->cache);
    pthread_mutex_destroy(&s->fetch_mutex);
    arena_free(s->arena);
    free(s);
}

static int open_stores(struct image_state *s, const char *data_dir)
{
    bool durable = !str_eq(getenv("YUNDUO_RELAXED"), "1");
    VEC_FOREACH (spec, &s->o.image_stores) {
        char *name = arena_strdup(s->arena, *spec), *colon = name ? strchr(name, ':') : NULL;
        if (!colon || colon == name || !colon[1]) {
            log_error("a row of image_stores is not name:folder", KV("row", *spec));
            return -EINVAL;
        }
        *colon = 0;
        if (s->n_stores == STORES_MAX || image_store(s, name)) {
            log_error("image_stores has too many rows or a name twice", KV("row", *spec));
            return -EINVAL;
        }
        const char *path = colon[1] == '/' ? colon + 1 : arena_printf(s->arena, "%s/%s", data_dir, colon + 1);
        int r = path ? blob_dir_new(name, path, NULL, durable, &s->stores[s->n_stores]) : -ENOMEM;
        if (r < 0)
            return r;
        s->n_stores++;
    }
    if (!s->n_stores) {
        const char *path = arena_printf(s->arena, "%s/images", data_dir);
        int r =
            path ? blob_dir_new("local", path, "A folder of this machine", durable, &s->stores[0]) : -ENOMEM;
        if (r < 0)
            return r;
        s->n_stores = 1;
    }
    const char *cache = arena_printf(s->arena, "%s/image-cache", data_dir);
    return cache ? blob_dir_new("cache", cache, NULL, durable, &s->cache) : -ENOMEM;
}

static void image_changed(void *arg)
{
    struct image_state *s = arg;
    s->generation++;
}

static const struct kind *const WATCHED[] = { &IMAGE_KIND, NULL };

static int image_start(struct api *api)
{
    struct image_state *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->api = api;
    pthread_mutex_init(&s->fetch_mutex, NULL);
    s->arena = arena_new(0);
    int r = s->arena ? 0 : -ENOMEM;
    if (r == 0 && cloud_config(api))
        s->o = *cloud_config(api);
    else if (r == 0)
        r = schema_defaults(&CLOUD_CONFIG_SCHEMA, s->arena, &s->o);
    if (r == 0) {
        s->methods = s->o.image_methods;
        image_quota_limits(&s->o);
        r = open_stores(s, str_or(api_data_dir(api), "/var/lib/yunduo"));
    }
    if (r == 0)
        r = import_recover(s);
    if (r == 0)
        r = pages_new(&s->pages);
    if (r == 0)
        r = watch_open(api_store(api), 0, WATCHED, image_changed, s, &s->watch);
    if (r == 0) {
        api_set_state(api, &IMAGE_SERVICE, s);
        r = tasks_start(s);
    }
    if (r < 0) {
        api_set_state(api, &IMAGE_SERVICE, NULL);
        state_free(s);
    }
    return r;
}

static void image_stop(struct api *api)
{
    struct image_state *s = image_state(api);
    api_set_state(api, &IMAGE_SERVICE, NULL);
    image_quota_limits(NULL);
    state_free(s);
}

/* ---- faults ---- */

static void html_text(struct buf *b, const char *s)
{
    for (; *s; s++) {
        if (*s == '<')
            buf_adds(b, "&lt;");
        else if (*s == '>')
            buf_adds(b, "&gt;");
        else if (*s == '&')
            buf_adds(b, "&amp;");
        else
            buf_addc(b, *s);
    }
}

/* As Glance (webob) says errors: in JSON to clients that ask for it, to others as a page, which the
 * glance command takes apart. */
static void render_fault(struct call *c, const struct fault *f, struct json_out *o)
{
    const char *accept = str_or(http_header(c->http, "Accept"), "");
    char code[96];
    snprintf(code, sizeof(code), "%d %s", f->status, http_reason(f->status));
    if (strstr(accept, "json")) {
        json_open_object(o);
        json_put_string(o, "message", f->message);
        json_put_string(o, "code", code);
        json_put_string(o, "title", http_reason(f->status));
        json_close_object(o);
        return;
    }
    c->content_type = "text/html; charset=UTF-8";
    buf_printf(o->buf, "<html>\n <head>\n  <title>%s</title>\n </head>\n <body>\n  <h1>%s</h1>\n  ", code,
               code);
    html_text(o->buf, f->message);
    buf_adds(o->buf, "<br /><br />\n\n\n </body>\n</html>");
}

/* ---- rules ---- */

#define ANYBODY "role:reader or role:admin"
#define MEMBER "role:admin or role:member"
#define OWN "role:admin or (role:member and project_id:%(project_id)s)"
static const struct policy_rule RULES[] = {
    { "image:get_images", ANYBODY, "List images and see one; which ones is decided by visibility." },
    { "image:add_image", OWN, "Make an image record." },
    { "image:modify_image", OWN, "Change a record, stage or import its bytes." },
    { "image:delete_image", OWN, "Delete an image." },
    { "image:upload_image", OWN, "Upload the bytes of an image." },
    { "image:download_image", ANYBODY, "Download an image." },
    { "image:publicize_image", "role:admin", "Make an image public." },
    { "image:communitize_image", OWN, "Make an image a community image." },
    { "image:set_image_location", OWN, "Add and change locations." },
    { "image:delete_image_location", OWN, "Remove a location, or the bytes from one store." },
    { "image:add_member", OWN, "Share an image." },
    { "image:delete_member", OWN, "Stop sharing it." },
    { "image:modify_member", MEMBER, "Accept or reject a shared image." },
    { "image:deactivate", OWN, "Forbid the download of an image." },
    { "image:reactivate", OWN, "Allow it again." },
    { "image:copy_image", "role:admin", "Copy an image to other stores." },
    { "image:stores_info_detail", "role:admin", "See details of the stores." },
    { "image:tasks_api_access", "role:admin", "Use the task API." },
    { "image:cache_image", "role:admin", "Manage the image cache." },
    { "image:get_metadef", ANYBODY, "See metadata definitions." },
    { "image:modify_metadef", "role:admin", "Change metadata definitions." },
};

/* ---- routes ---- */

#define IMAGES "/v2/images"
#define ONE "/v2/images/{image_id}"
#define SEE "image:get_images"
#define NS "/v2/metadefs/namespaces"
#define READ "image:get_metadef"
#define CHANGE "image:modify_metadef"

/* "/v2/images/" names no image, and is not the list either. */
static int no_image(struct call *c)
{
    return call_fault(c, 404, "NotFound", "The resource could not be found.");
}

static const struct route ROUTES[] = {
    { "GET", "", versions_show, .flags = ROUTE_PUBLIC, .status = 300, .doc = "Versions." },
    { "GET", "/versions", versions_show, .flags = ROUTE_PUBLIC, .doc = "Versions." },
    { "GET", "/v2", versions_show, .flags = ROUTE_PUBLIC, .status = 300, .doc = "Versions." },
    { "GET", IMAGES "/", no_image, SEE },
    { "DELETE", IMAGES "/", no_image, SEE },
    { "GET", "/v2/schemas/{name}", schema_show, SEE },
    { "GET", "/v2/schemas/metadefs/{name}", schema_show_metadef, SEE },
    { "GET", IMAGES, images_list, SEE, .doc = "List images." },
    { "POST", IMAGES, images_create, .status = 201, .doc = "Make a record." },
    { "GET", ONE, images_show, SEE },
    { "PATCH", ONE, images_patch, .flags = ROUTE_ANY_BODY },
    { "DELETE", ONE, images_delete, .status = 204 },
    { "POST", ONE "/actions/{action}", images_action, .flags = ROUTE_ANY_BODY, .status = 204 },
    { "GET", ONE "/file", image_download, "image:download_image", ROUTE_WORKER },
    { "PUT", ONE "/file", upload_end, .status = 204, .sink = &UPLOAD_SINK, .begin = upload_begin },
    { "PUT", ONE "/stage", stage_end, .status = 204, .sink = &UPLOAD_SINK, .begin = stage_begin },
    { "POST", ONE "/import", images_import, .status = 202 },
    { "GET", ONE "/tasks", images_tasks, SEE },
    { "PUT", ONE "/tags/{tag}", tags_put, .flags = ROUTE_ANY_BODY, .status = 204 },
    { "DELETE", ONE "/tags/{tag}", tags_delete, .status = 204 },
    { "GET", ONE "/members", members_list, SEE },
    { "POST", ONE "/members", members_create },
    { "GET", ONE "/members/{member_id}", members_show, SEE },
    { "PUT", ONE "/members/{member_id}", members_update },
    { "DELETE", ONE "/members/{member_id}", members_delete, .status = 204 },
    { "DELETE", "/v2/stores/{store_id}/{image_id}", images_delete_from_store, .status = 204 },
    { "GET", "/v2/tasks", tasks_list, "image:tasks_api_access" },
    { "POST", "/v2/tasks", tasks_create, "image:tasks_api_access", .status = 201 },
    { "GET", "/v2/tasks/{task_id}", tasks_show, "image:tasks_api_access" },
    { "DELETE", "/v2/tasks/{task_id}", tasks_delete, "image:tasks_api_access" },
    { "GET", "/v2/info/import", info_import, SEE },
    { "GET", "/v2/info/stores", info_stores, SEE },
    { "GET", "/v2/info/stores/detail", info_stores_detail, "image:stores_info_detail" },
    { "GET", "/v2/info/usage", info_usage, SEE },
    { "GET", "/v2/cache", cache_list, "image:cache_image" },
    { "DELETE", "/v2/cache", cache_clear, "image:cache_image", .status = 204 },
    { "PUT", "/v2/cache/{image_id}", cache_put, "image:cache_image", ROUTE_ANY_BODY, .status = 202 },
    { "DELETE", "/v2/cache/{image_id}", cache_delete, "image:cache_image", .status = 204 },
    { "GET", "/v2/metadefs/resource_types", metadef_types_list, READ },
    { "GET", NS, metadef_namespaces_list, READ },
    { "POST", NS, metadef_namespaces_create, CHANGE, .status = 201 },
    { "GET", NS "/{namespace}", metadef_namespaces_show, READ },
    { "PUT", NS "/{namespace}", metadef_namespaces_update, CHANGE },
    { "DELETE", NS "/{namespace}", metadef_namespaces_delete, CHANGE, .status = 204 },
    { "GET", NS "/{namespace}/{family}", metadef_items_list, READ },
    { "POST", NS "/{namespace}/{family}", metadef_items_add, CHANGE, .status = 201 },
    { "DELETE", NS "/{namespace}/{family}", metadef_items_clear, CHANGE, .status = 204 },
    { "GET", NS "/{namespace}/{family}/{name}", metadef_items_show, READ },
    { "POST", NS "/{namespace}/{family}/{name}", metadef_items_add_tag, CHANGE, ROUTE_ANY_BODY,
      .status = 201 },
    { "PUT", NS "/{namespace}/{family}/{name}", metadef_items_change, CHANGE },
    { "DELETE", NS "/{namespace}/{family}/{name}", metadef_items_drop, CHANGE, .status = 204 },
};

static const struct kind *const KINDS[] = { &IMAGE_KIND, &IMAGE_TASK_KIND, &IMAGE_CACHED_KIND, &METADEF_KIND,
                                            NULL };

const struct service IMAGE_SERVICE = {
    .name = "image",
    .type = "image",
    .prefix = "/image",
    .catalog_path = "",
    .routes = ROUTES,
    .n_routes = ARRAY_SIZE(ROUTES),
    .kinds = KINDS,
    .rules = RULES,
    .n_rules = ARRAY_SIZE(RULES),
    .controllers = CONTROLLERS,
    .time_style = TIME_ISO_Z,
    .render_fault = render_fault,
    .start = image_start,
    .stop = image_stop,
};

/* ---- the agents' door ---- */

static const struct route AGENT_ROUTES[] = {
    { "GET", "/{id}/file", agent_download, .flags = ROUTE_AGENT | ROUTE_WORKER,
      .doc = "The bytes of an image, for a host." },
    { "PUT", "/{id}/file", upload_end, .flags = ROUTE_AGENT, .status = 204, .sink = &UPLOAD_SINK,
      .begin = agent_upload_begin, .doc = "The bytes of a snapshot, from the host that makes it." },
};

const struct service IMAGE_AGENT_SERVICE = {
    .name = "image-agent",
    .prefix = "/agent/v1/images",
    .routes = AGENT_ROUTES,
    .n_routes = ARRAY_SIZE(AGENT_ROUTES),
};
