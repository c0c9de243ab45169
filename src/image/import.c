/*
 * Import: what POST /v2/images/{id}/import asks for, and the work that follows.
 *
 * The request is checked and becomes a task in the transaction that marks the image
 * ("importing", or still "active" while it is copied). The work is done by tasks.c's threads
 * and ends in one transaction that makes the image active or puts it back; a process that
 * dies in between does it again from the start at the next boot, for nothing was changed.
 *
 * Where the bytes come from differs, all else is one path:
 *     glance-direct    they were staged, as a blob of the first store
 *     web-download     fetched by URL into the first store
 *     glance-download  fetched from an image service of the catalog, with some properties
 *     copy-image       they are in a store already
 * then: the bytes are judged, a signature is checked, perhaps they are converted, and copied
 * to the stores that were asked for.
 */
#include "image/internal.h"

#include "base/log.h"
#include "base/macro.h"
#include "http/client.h"
#include "identity/identity.h"
#include "image/convert.h"

#include <errno.h>
#include <unistd.h>

LOG_MODULE("image.import");

/* Properties that glance-download brings along; Glance's own default. */
static const char *const BROUGHT[] = { "hw_", "trait:", "os_distro", "os_secure_boot", "os_type" };
#define TASK_LIFE HOURS(48)

/* ---- the request ---- */

struct request {
    const char *method, *uri, *region, *remote_id, *interface;
    bool all_stores, all_must_succeed, named_stores;
    struct strv stores;
    struct image_task task;
    bool nothing; /* the image is everywhere already */
};

static int conflict(struct call *c, const char *message)
{
    return call_fault(c, 409, "Conflict", "%s", message);
}

static int bool_of(struct call *c, const char *key, bool otherwise, bool *ret)
{
    json_t *v = json_object_get(c->body, key);
    if (v && !json_is_boolean(v))
        return call_fault(c, 400, "BadRequest", "'%s' must be boolean value only", key);
    *ret = v ? json_is_true(v) : otherwise;
    return 0;
}

static int request_stores(struct call *c, struct image_state *s, struct request *rq)
{
    json_t *list = json_object_get(c->body, "stores"), *v;
    size_t k;
    rq->named_stores = list != NULL;
    if (list && rq->all_stores)
        return call_fault(c, 400, "BadRequest",
                          "All_stores parameter can't be used with x-image-meta-store header or "
                          "stores parameter");
    if (list && !json_is_array(list))
        return call_fault(c, 400, "BadRequest", "'stores' must be a list");
    json_array_foreach(
        list, k, v) if (!json_is_string(v) ||
                        !image_store(s, json_string_value(v))) return call_fault(c, 409, "Conflict",
                                                                                 "Store %s is not known.",
                                                                                 json_is_string(v)
                                                                                     ? json_string_value(v)
                                                                                     : "that is no string");
    const char *header = http_header(c->http, "x-image-meta-store");
    if (!list && !rq->all_stores && header && !image_store(s, header))
        return call_fault(c, 409, "Conflict", "Store %s is not known.", header);
    /* In the order of the configuration, each once. */
    for (k = 0; k < s->n_stores; k++) {
        const char *id = s->stores[k]->id;
        bool wanted = rq->all_stores || (!list && (header ? STREQ(header, id) : k == 0));
        size_t j;
        json_array_foreach(list, j, v) wanted = wanted || STREQ(json_string_value(v), id);
        if (wanted && !strv_has(&rq->stores, id))
            strv_add(c->arena, &rq->stores, id);
    }
    return 0;
}

static int request_read(struct call *c, struct request *rq)
{
    struct image_state *s = image_state(c->api);
    json_t *method = json_get_object(c->body, "method");
    if (!method)
        return call_fault(c, 400, "BadRequest", "Import request requires a 'method' field.");
    rq->method = json_get_string(method, "name");
    if (!rq->method)
        return call_fault(c, 400, "BadRequest", "Import request requires a 'name' field.");
    if (!strv_has(&s->methods, rq->method))
        return call_fault(c, 400, "BadRequest", "Unknown import method name '%s'.", rq->method);
    int r = bool_of(c, "all_stores_must_succeed", true, &rq->all_must_succeed);
    if (r == 0)
        r = bool_of(c, "all_stores", false, &rq->all_stores);
    if (r == 0)
        r = request_stores(c, s, rq);
    if (r != 0)
        return r;
    if (STREQ(rq->method, "web-download")) {
        rq->uri = json_get_string(method, "uri");
        return web_check(s, rq->uri, &c->fault);
    }
    if (STREQ(rq->method, "glance-download")) {
        rq->region = json_get_string(method, "glance_region");
        rq->remote_id = json_get_string(method, "glance_image_id");
        rq->interface = str_or(json_get_string(method, "glance_service_interface"), "public");
        if (!rq->region)
            return call_fault(c, 400, "BadRequest",
                              "'glance_region' needs to be set for glance-download import "
                              "method");
        if (!rq->remote_id)
            return call_fault(c, 400, "BadRequest",
                              "'glance_image_id' needs to be set for glance-download import "
                              "method");
        if (!uuid_valid(rq->remote_id))
            return call_fault(c, 400, "BadRequest", "Remote image id does not look like a UUID: %s",
                              rq->remote_id);
    }
    return 0;
}

static int request_status(struct call *c, const struct request *rq, const struct image *i)
{
    bool copy = STREQ(rq->method, "copy-image");
    if (STREQ(i->status, IMAGE_ACTIVE) && !copy)
        return conflict(c, "Image with status active cannot be target for import");
    if (!STREQ(i->status, IMAGE_ACTIVE) && copy)
        return conflict(c, "Only images with status active can be targeted for copying");
    if (STREQ(rq->method, "glance-direct")) {
        if (!STREQ(i->status, IMAGE_UPLOADING) || !i->staged)
            return conflict(c, "Image needs to be staged before 'glance-direct' method can be used");
    } else if (!copy && !STREQ(i->status, IMAGE_QUEUED)) {
        return call_fault(c, 409, "Conflict", "Image needs to be in 'queued' state to use '%s' method",
                          rq->method);
    }
    if (!i->container_format)
        return conflict(c, "'container_format' needs to be set before import");
    if (!i->disk_format)
        return conflict(c, "'disk_format' needs to be set before import");
    if (i->import_task)
        return conflict(c, "Image has active task");
    return 0;
}

static int request_write(struct call *c)
{
    struct request *rq = c->data;
    struct image *i;
    bool copy = STREQ(rq->method, "copy-image");
    int r = image_find(c, call_param(c, "image_id"), &i);
    if (r == 0)
        r = request_status(c, rq, i);
    if (r == 0 && copy)
        r = call_require_project(c, "image:copy_image", i->owner);
    else if (r == 0)
        r = image_find_own(c, i->head.id, "image:modify_image", &i);
    if (r == 0)
        r = image_quota(c->txn, i->owner, "image_size_total", copy ? 0 : 1, &c->fault);
    if (r != 0)
        return r;
    struct strv stores = {};
    VEC_FOREACH (id, &rq->stores) {
        if (copy && strv_has(&i->stores, *id)) {
            if (!rq->all_stores)
                return call_fault(c, 400, "BadRequest", "Image is already present at store '%s'", *id);
            continue;
        }
        strv_add(c->arena, &stores, *id);
    }
    i->imported = true;
    i->failed = (struct strv){};
    rq->nothing = copy && stores.n == 0;
    if (rq->nothing)
        return image_save(c->txn, i);
    i->importing = stores;
    i->import_task = rq->task.head.id;
    if (!copy)
        i->status = IMAGE_IMPORTING;
    rq->task.image_id = i->head.id;
    r = image_save(c->txn, i);
    return r ? r : txn_put(c->txn, &IMAGE_TASK_KIND, &rq->task);
}

static const char *task_input(struct call *c, const struct request *rq)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX(1 << 20);
    struct json_out o = JSON_OUT(&b);
    json_open_object(&o);
    json_put_string(&o, "image_id", call_param(c, "image_id"));
    json_key(&o, "import_req");
    json_tree_out(&o, c->body);
    json_put_strings(&o, "backend", &rq->stores);
    json_close_object(&o);
    return buf_error(&b) ? NULL : arena_strdup(c->arena, buf_text(&b));
}

int images_import(struct call *c)
{
    struct request *rq = ARENA_NEW(c->arena, struct request);
    if (!rq)
        return -ENOMEM;
    if (!json_is_object(c->body))
        return call_fault(c, 400, "BadRequest", "Body expected in request.");
    int r = request_read(c, rq);
    if (r != 0)
        return r;
    usec_t now = clock_wall();
    rq->task = (struct image_task){
        .head.id = uuid_new(c->arena),
        .type = "api_image_import",
        .status = "pending",
        .owner = c->auth->project_id,
        .user_id = c->auth->user_id,
        .request_id = arena_strdup(c->arena, c->http->id),
        .message = "",
        .input = task_input(c, rq),
        .created_at = now,
        .updated_at = now,
    };
    if (STREQ(rq->method, "glance-download"))
        rq->task.token = c->auth->token;
    c->data = rq;
    r = call_write(c, request_write);
    if (r == 0 && !rq->nothing)
        tasks_wake(image_state(c->api));
    return r;
}

/* ---- the work ---- */

struct work {
    struct image_state *s;
    struct arena *a;
    struct image_task *task;
    struct image *image;
    json_t *input, *method;
    const char *name;
    bool copy;
    struct strv stores, reached, failed;
    struct blob_store *from; /* where 'info' lies */
    struct blob_info info;
    bool have; /* 'info' is pinned in 'from' */
    const char *staged;
    struct strmap brought; /* properties from elsewhere */
    struct fault fault;
};

static int give_up(struct work *w, const char *why)
{
    return fault_set(&w->fault, 400, "ImportFailed", "%s", why);
}

static int read_write(struct txn *t, void *arg)
{
    struct work *w = arg;
    int r = txn_get(t, &IMAGE_TASK_KIND, w->task->head.id, &w->task);
    if (r < 0 || !w->task)
        return r;
    return txn_get(t, &IMAGE_KIND, str_or(w->task->image_id, ""), &w->image);
}

static int work_read(struct work *w, const char *task_id)
{
    w->task = ARENA_NEW(w->a, struct image_task);
    if (!w->task)
        return -ENOMEM;
    w->task->head.id = task_id;
    int r = store_write(api_store(w->s->api), w->a, read_write, w);
    if (r < 0 || !w->task)
        return r;
    char why[100];
    w->input = json_parse(w->task->input, strlen(w->task->input), why, sizeof(why));
    w->method = w->input ? json_get_object(json_get_object(w->input, "import_req"), "method") : NULL;
    w->name = w->method ? json_get_string(w->method, "name") : NULL;
    if (!w->name)
        return give_up(w, "The task can't be read.");
    w->copy = STREQ(w->name, "copy-image");
    if (!w->image || !str_eq(w->image->import_task, task_id))
        return give_up(w, "The image is gone.");
    w->stores = w->image->importing;
    w->staged = w->image->staged;
    return 0;
}

/* ---- from another image service ---- */

static int get_json(struct work *w, struct http_client *client, const char *url, const struct strmap *headers,
                    json_t **ret)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX(4 << 20);
    struct http_call call = { .url = url, .headers = *headers, .into = &b };
    struct http_reply reply = {};
    int r = http_client_call(client, &call, w->a, &reply);
    if (r < 0)
        return r == -ENOMEM ? r : give_up(w, "The other image service can't be reached.");
    if (reply.status != 200)
        return give_up(w, arena_printf(w->a, "%s answered %d.", url, reply.status));
    char why[100];
    *ret = json_parse(buf_text(&b), b.len, why, sizeof(why));
    return *ret ? 0 : give_up(w, "The other image service's answer can't be read.");
}

static bool listed(const char *const *list, const char *s)
{
    for (; s && *list; list++)
        if (STREQ(*list, s))
            return true;
    return false;
}

/* From an image service that the catalog names: its address comes from the operator's own records, never
 * from the client. */
static int fetch_elsewhere(struct work *w, uint64_t most)
{
    _cleanup_(http_client_freep) struct http_client *client = NULL;
    _cleanup_(json_decrefp) json_t *remote = NULL;
    struct http_client_options o = { .timeout = SECONDS(60) };
    struct strmap headers = {};
    const char *base = NULL;
    struct txn *t;
    int r = store_read(api_store(w->s->api), w->a, &t);
    if (r < 0)
        return r;
    r = identity_endpoint(t, "image",
                          str_or(json_get_string(w->method, "glance_service_interface"), "public"),
                          json_get_string(w->method, "glance_region"), &base);
    txn_done(t);
    if (r < 0)
        return r;
    if (!base)
        return give_up(w, "The catalog has no image service of this region and interface.");
    while (str_ends(base, "/"))
        base = arena_strndup(w->a, base, strlen(base) - 1);
    strmap_set(w->a, &headers, "X-Auth-Token", str_or(w->task->token, ""));
    r = http_client_new(&o, &client);
    const char *url =
        arena_printf(w->a, "%s/v2/images/%s", base, json_get_string(w->method, "glance_image_id"));
    if (r == 0)
        r = get_json(w, client, url, &headers, &remote);
    if (r != 0)
        return r;
    const char *disk = json_get_string(remote, "disk_format"),
               *container = json_get_string(remote, "container_format");
    if (!str_eq(json_get_string(remote, "status"), IMAGE_ACTIVE))
        return give_up(w, "The other image is not active.");
    if (!listed(IMAGE_DISK_FORMATS, disk) || !listed(IMAGE_CONTAINER_FORMATS, container))
        return give_up(w, "The other image has a format that is not known here.");
    const char *key;
    json_t *v;
    json_object_foreach(remote, key, v)
    {
        for (size_t k = 0; k < ARRAY_SIZE(BROUGHT); k++)
            if (str_starts(key, BROUGHT[k]) && json_is_string(v))
                strmap_set(w->a, &w->brought, key, json_string_value(v));
    }
    w->image->disk_format = arena_strdup(w->a, disk);
    w->image->container_format = arena_strdup(w->a, container);
    return web_fetch(w->s, w->a, arena_printf(w->a, "%s/file", url), &headers, true, most, &w->info,
                     &w->fault);
}

/* ---- the bytes ---- */

static int take_blob(struct work *w, struct blob_store *store, const char *key)
{
    struct blob_reader r = {};
    int k = key ? blob_open(store, key, &r) : BLOB_MISSING;
    if (k == BLOB_MISSING)
        return give_up(w, "The image's bytes are gone.");
    if (k < 0)
        return k;
    blob_pin(store, key);
    w->have = true;
    w->from = store;
    w->info = (struct blob_info){ .size = r.size };
    snprintf(w->info.key, sizeof(w->info.key), "%s", key);
    snprintf(w->info.md5, sizeof(w->info.md5), "%s", str_or(w->copy ? w->image->checksum : NULL, ""));
    blob_close(&r);
    return 0;
}

/* The most bytes that the image may have now: those of one image, and what the project has left. */
static int room(struct work *w, uint64_t *ret)
{
    struct txn *t;
    int64_t left;
    int r = store_read(api_store(w->s->api), w->a, &t);
    if (r < 0)
        return r;
    r = image_quota_left(t, w->image->owner, "image_size_total", &left);
    txn_done(t);
    *ret = w->s->o.image_size_max > 0 ? (uint64_t)w->s->o.image_size_max : UINT64_MAX;
    if (left >= 0)
        *ret = MIN(*ret, (uint64_t)left);
    return r;
}

static int obtain(struct work *w)
{
    uint64_t most;
    int r = room(w, &most);
    if (r != 0)
        return r;
    if (w->copy) {
        struct blob_store *store = w->image->stores.n ? image_store(w->s, w->image->stores.v[0]) : NULL;
        return store ? take_blob(w, store, w->image->blob) : give_up(w, "The image has no bytes in a store.");
    }
    if (STREQ(w->name, "glance-direct")) {
        r = take_blob(w, w->s->stores[0], w->staged);
        return r == 0 && w->info.size > most ? give_up(w, "The project's quota of image bytes is used up.")
                                             : r;
    }
    if (STREQ(w->name, "web-download")) {
        const char *url = json_get_string(w->method, "uri");
        r = web_check(w->s, url, &w->fault);
        if (r == 0)
            r = web_fetch(w->s, w->a, url, NULL, false, most, &w->info, &w->fault);
    } else {
        r = fetch_elsewhere(w, most);
    }
    if (r == 0) {
        w->have = true;
        w->from = w->s->stores[0];
    }
    return r;
}

/* Reads all of it once more: for the checksum of staged bytes and for a signature. */
static int reread(struct work *w, struct blob_reader *b, struct verifier *v)
{
    _cleanup_(freep) char *buf = malloc(1 << 20);
    if (!buf)
        return -ENOMEM;
    for (uint64_t off = 0; off < b->size;) {
        ssize_t n = blob_pread(b, buf, 1 << 20, off);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        verifier_update(v, buf, (size_t)n);
        off += (uint64_t)n;
    }
    return verifier_check(v, &w->fault);
}

static int judge(struct work *w, struct inspect_result *ret)
{
    struct blob_reader b = {};
    int r = blob_open(w->from, w->info.key, &b);
    if (r != 0)
        return r < 0 ? r : give_up(w, "The image's bytes are gone.");
    r = b.fd >= 0 ? inspect_fd(b.fd, ret) : -ENOTSUP;
    if (r == 0)
        r = image_judge(w->s, w->image, ret, &w->fault);
    _cleanup_(verifier_freep) struct verifier *v = NULL;
    if (r == 0)
        r = verifier_new(w->s, &w->image->properties, &v, &w->fault);
    if (r == 0 && v)
        r = reread(w, &b, v);
    blob_close(&b);
    return r;
}

/* Makes it the format that the operator wants, unless it is no disk. */
static int convert(struct work *w, const struct inspect_result *v)
{
    const char *to = w->s->o.image_convert;
    bool ova = v->format == IMAGE_TAR && str_eq(w->image->container_format, "ova");
    enum image_format f = ova ? v->disk_format : v->format;
    if (!to || w->copy || !w->from->class->scratch || (!ova && !str_eq(w->image->container_format, "bare")))
        return 0;
    if (!ova && (f == IMAGE_ISO || f == IMAGE_TAR || f == IMAGE_LUKS || str_eq(w->image->disk_format, to)))
        return 0;
    struct convert_source source = { .path = w->from->class->path(w->from, w->info.key, w->a), .format = f };
    if (ova) {
        source.offset = v->disk_offset;
        source.size = v->disk_size;
    }
    const char *path;
    struct blob_info info;
    int r = w->from->class->scratch(w->from, w->a, &path);
    if (r == 0)
        r = convert_image(&source, to, path, NULL, &w->fault);
    if (r != 0)
        return r;
    r = w->from->class->adopt(w->from, path, &info);
    if (r != 0) {
        (void)unlink(path);
        return r < 0 ? r : give_up(w, "The image store is full.");
    }
    blob_unpin(w->from, w->info.key);
    image_collect_key(w->s, w->from, w->info.key);
    w->info = info;
    w->image->disk_format = to;
    w->image->container_format = "bare";
    struct inspect_result made;
    r = judge(w, &made);
    return r;
}

/* ---- the end ---- */

static int reached_write(struct txn *t, void *arg)
{
    struct work *w = arg;
    struct image *i;
    int r = txn_get(t, &IMAGE_KIND, w->image->head.id, &i);
    if (r < 0 || !i || !str_eq(i->import_task, w->task->head.id))
        return r;
    VEC_FOREACH (id, &w->reached)
        strv_drop(&i->importing, *id);
    VEC_FOREACH (id, &w->failed) {
        strv_drop(&i->importing, *id);
        if (!strv_has(&i->failed, *id))
            strv_add(txn_arena(t), &i->failed, *id);
    }
    return image_save(t, i);
}

static int spread(struct work *w)
{
    bool all = json_get_bool(json_get_object(w->input, "import_req"), "all_stores_must_succeed", true);
    VEC_FOREACH (id, &w->stores) {
        struct blob_store *to = image_store(w->s, *id);
        struct blob_info copied;
        int r = !to ? BLOB_MISSING : to == w->from ? 0 : blob_copy(w->from, w->info.key, to, &copied);
        if (r == -ENOMEM)
            return r;
        if (r != 0) {
            log_warning("an image did not reach a store", KV("image", w->image->head.id), KV("store", *id),
                        KV("error", r));
            strv_add(w->a, &w->failed, *id);
            if (all)
                return give_up(w, r == BLOB_FULL ? "A store is full." : "A store could not be written.");
        } else {
            if (to == w->from)
                blob_pin(to, w->info.key);
            strv_add(w->a, &w->reached, *id);
        }
        if (w->stores.n > 1) {
            r = store_write(api_store(w->s->api), w->a, reached_write, w);
            if (r < 0)
                return r;
        }
    }
    return w->reached.n ? 0 : give_up(w, "No store could be written.");
}

static void task_end(struct work *w, struct image_task *t, bool good)
{
    t->status = good ? "success" : "failure";
    t->message = good ? "" : arena_strdup(w->a, w->fault.message);
    t->result = NULL;
    t->token = NULL;
    t->updated_at = clock_wall();
    t->expires_at = t->updated_at + TASK_LIFE;
}

static int success_write(struct txn *t, void *arg)
{
    struct work *w = arg;
    struct image *i;
    struct image_task *task;
    int r = txn_get(t, &IMAGE_TASK_KIND, w->task->head.id, &task);
    if (r == 0)
        r = txn_get(t, &IMAGE_KIND, w->image->head.id, &i);
    if (r < 0)
        return r;
    bool there = i && str_eq(i->import_task, w->task->head.id);
    if (!there)
        (void)give_up(w, "The image was deleted while it was imported.");
    if (task) {
        task_end(w, task, there);
        r = txn_put(t, &IMAGE_TASK_KIND, task);
    }
    if (r != 0 || !there)
        return r;
    i->import_task = NULL;
    i->importing = (struct strv){};
    i->failed = w->failed;
    VEC_FOREACH (id, &w->reached)
        if (!strv_has(&i->stores, *id))
            strv_add(txn_arena(t), &i->stores, *id);
    if (!w->copy) {
        i->blob = w->info.key;
        i->size = (int64_t)w->info.size;
        i->virtual_size = w->image->virtual_size;
        i->checksum = w->info.md5;
        i->hash_algo = "sha512";
        i->hash_value = w->info.key;
        i->disk_format = w->image->disk_format;
        i->container_format = w->image->container_format;
        i->staged = NULL;
        i->staged_size = 0;
        i->status = IMAGE_ACTIVE;
    }
    if (STREQ(w->name, "glance-download")) {
        for (size_t k = i->properties.n; k-- > 0;)
            for (size_t j = 0; j < ARRAY_SIZE(BROUGHT); j++)
                if (str_starts(i->properties.v[k].key, BROUGHT[j])) {
                    vec_remove(&i->properties, k);
                    break;
                }
        VEC_FOREACH (p, &w->brought)
            strmap_set(txn_arena(t), &i->properties, p->key, p->value);
    }
    return image_save(t, i);
}

static int failure_write(struct txn *t, void *arg)
{
    struct work *w = arg;
    struct image *i = NULL;
    struct image_task *task;
    int r = txn_get(t, &IMAGE_TASK_KIND, w->task->head.id, &task);
    if (r == 0 && task) {
        task_end(w, task, false);
        r = txn_put(t, &IMAGE_TASK_KIND, task);
    }
    if (r == 0 && task)
        r = txn_get(t, &IMAGE_KIND, str_or(task->image_id, ""), &i);
    if (r != 0 || !i || !str_eq(i->import_task, w->task->head.id))
        return r;
    i->import_task = NULL;
    VEC_FOREACH (id, &i->importing)
        if (!strv_has(&i->failed, *id))
            strv_add(txn_arena(t), &i->failed, *id);
    i->importing = (struct strv){};
    if (!w->copy) {
        i->status = IMAGE_QUEUED;
        i->staged = NULL;
        i->staged_size = 0;
        i->size = INT_NULL;
    }
    return image_save(t, i);
}

/* The MD5 of staged bytes is not kept: they are hashed again while being made a blob of. */
static int checksum(struct work *w)
{
    if (w->info.md5[0])
        return 0;
    struct blob_info again;
    int r = blob_copy(w->from, w->info.key, w->from, &again);
    if (r != 0)
        return r < 0 ? r : give_up(w, "The image store is full.");
    blob_unpin(w->from, again.key);
    w->info = again;
    return 0;
}

static int work_do(struct work *w)
{
    struct inspect_result verdict;
    int r = obtain(w);
    if (r == 0 && !w->copy)
        r = judge(w, &verdict);
    if (r == 0 && !w->copy)
        r = convert(w, &verdict);
    if (r == 0 && !w->copy)
        r = checksum(w);
    if (r == 0)
        r = spread(w);
    return r ? r : store_write(api_store(w->s->api), w->a, success_write, w);
}

int import_run(struct image_state *s, struct arena *a, const char *task_id)
{
    struct work w = { .s = s, .a = a };
    int r = work_read(&w, task_id);
    if (r == 0 && w.task)
        r = work_do(&w);
    if (r < 0) {
        log_error("an import broke", KV("task", task_id), KV("error", strerror(-r)));
        (void)give_up(&w, "The import broke: see the log of the image service.");
    }
    if (r != 0 && s->stopping) {
        r = 0; /* it stays as it is, and is done again at the next start */
    } else if (r != 0) {
        struct image_task gone = { .head.id = task_id };
        w.task = w.task ? w.task : &gone;
        log_info("an image was not imported", KV("task", task_id), KV("reason", w.fault.message));
        r = store_write(api_store(s->api), a, failure_write, &w);
    }
    VEC_FOREACH (id, &w.reached) {
        struct blob_store *store = image_store(s, *id);
        blob_unpin(store, w.info.key);
        image_collect_key(s, store, w.info.key);
    }
    if (w.have) {
        blob_unpin(w.from, w.info.key);
        image_collect_key(s, w.from, w.info.key);
    }
    image_collect_key(s, s->stores[0], w.staged);
    json_decref(w.input);
    return r;
}
