/*
 * The image cache: copies of images' bytes in a folder of this machine, and Glance's API to
 * manage it.
 *
 * Worth it where the stores are far (a folder over NFS, another machine by URL): a cached
 * image is served from here. An entry is a record; "queued" ones are filled a second later,
 * which leaves time to take it back, by the threads of tasks.c. Nothing is cached unless
 * somebody asks, and what is cached can always be dropped.
 */
#include "image/internal.h"

#include "base/log.h"
#include "base/macro.h"

#include <errno.h>

LOG_MODULE("image.cache");

static const char *const STATUSES[] = { "queued", "cached", NULL };
static const struct field FIELDS[] = {
    FIELD_ID(struct image_cached),
    { "status", FIELD_STRING, offsetof(struct image_cached, status), FILTER, .values = STATUSES,
      .doc = "Wanted or there" },
    { "blob", FIELD_STRING, offsetof(struct image_cached, blob), FILTER | INDEX, .doc = "Key of the bytes" },
    { "size", FIELD_INT, offsetof(struct image_cached, size), 0, .doc = "Their length" },
    { "hits", FIELD_INT, offsetof(struct image_cached, hits), 0, .doc = "Reads" },
    { "queued_at", FIELD_TIME, offsetof(struct image_cached, queued_at), SORT,
      .doc = "When it was asked for" },
    { "accessed_at", FIELD_TIME, offsetof(struct image_cached, accessed_at), 0, .doc = "Last read" },
    { "modified_at", FIELD_TIME, offsetof(struct image_cached, modified_at), 0, .doc = "When it was filled" },
};
static SCHEMA(CACHED_SCHEMA, struct image_cached, FIELDS);
const struct kind IMAGE_CACHED_KIND = { .name = "image.cached", .schema = &CACHED_SCHEMA };

static int entries(struct txn *t, struct arena *a, const char *status, struct results *ret)
{
    struct query q = { .kind = &IMAGE_CACHED_KIND };
    if ((status && !query_where(&q, a, "status", Q_EQ, status)) || !query_sort(&q, a, "queued_at", false))
        return -ENOMEM;
    return txn_list(t, &q, ret);
}

int cache_list(struct call *c)
{
    struct results l = {};
    int r = call_read(c);
    if (r == 0)
        r = entries(c->txn, c->arena, NULL, &l);
    if (r != 0)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "cached_images");
    for (size_t k = 0; k < l.n; k++) {
        const struct image_cached *e = l.v[k];
        if (!STREQ(e->status, "cached"))
            continue;
        json_open_object(&c->out);
        json_put_string(&c->out, "image_id", e->head.id);
        json_put_int(&c->out, "hits", e->hits);
        json_key(&c->out, "last_accessed");
        json_double_out(&c->out, (double)e->accessed_at / 1e6);
        json_key(&c->out, "last_modified");
        json_double_out(&c->out, (double)e->modified_at / 1e6);
        json_put_int(&c->out, "size", e->size);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_put_array(&c->out, "queued_images");
    for (size_t k = 0; k < l.n; k++)
        if (STREQ(((struct image_cached *)l.v[k])->status, "queued"))
            json_string_out(&c->out, ((struct image_cached *)l.v[k])->head.id);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int put_write(struct call *c)
{
    struct image *i;
    struct image_cached *e;
    int r = image_find(c, call_param(c, "image_id"), &i);
    if (r != 0)
        return r;
    if (!STREQ(i->status, IMAGE_ACTIVE))
        return call_fault(c, 400, "BadRequest",
                          "Only images with status active can be targeted for queueing");
    r = txn_get(c->txn, &IMAGE_CACHED_KIND, i->head.id, &e);
    if (r < 0 || e)
        return r;
    struct image_cached fresh = {
        .head.id = i->head.id, .status = "queued", .size = i->size, .queued_at = clock_wall()
    };
    return txn_put(c->txn, &IMAGE_CACHED_KIND, &fresh);
}

int cache_put(struct call *c)
{
    int r = call_write(c, put_write);
    if (r == 0)
        tasks_cache(image_state(c->api));
    return r;
}

static int delete_write(struct call *c)
{
    struct image_cached *e;
    struct image *i;
    const char *id = call_param(c, "image_id");
    int r = txn_get(c->txn, &IMAGE_CACHED_KIND, id, &e);
    if (r == 0)
        r = txn_get(c->txn, &IMAGE_KIND, id, &i);
    if (r < 0)
        return r;
    if (!e && !i)
        return call_fault(c, 404, "NotFound", "Image %s not found.", id);
    c->data = e;
    return txn_delete(c->txn, &IMAGE_CACHED_KIND, id);
}

int cache_delete(struct call *c)
{
    struct image_state *s = image_state(c->api);
    int r = call_write(c, delete_write);
    const struct image_cached *e = c->data;
    if (r == 0 && e)
        image_collect_key(s, s->cache, e->blob);
    return r;
}

struct clear {
    const char *status; /* null: all */
    struct results gone;
};

static int clear_write(struct call *c)
{
    struct clear *w = c->data;
    w->gone = (struct results){};
    int r = entries(c->txn, c->arena, w->status, &w->gone);
    for (size_t k = 0; r == 0 && k < w->gone.n; k++)
        r = txn_delete(c->txn, &IMAGE_CACHED_KIND, ((struct image_cached *)w->gone.v[k])->head.id);
    return r;
}

int cache_clear(struct call *c)
{
    struct image_state *s = image_state(c->api);
    const char *target = str_or(http_header(c->http, "x-image-cache-clear-target"), "");
    struct clear w = {};
    if (strcasecmp(target, "cache") == 0)
        w.status = "cached";
    else if (strcasecmp(target, "queue") == 0)
        w.status = "queued";
    else if (*target)
        return call_fault(c, 400, "BadRequest",
                          "If provided 'x-image-cache-clear-target' must be 'cache', 'queue' or "
                          "empty string.");
    c->data = &w;
    int r = call_write(c, clear_write);
    for (size_t k = 0; r == 0 && k < w.gone.n; k++)
        image_collect_key(s, s->cache, ((struct image_cached *)w.gone.v[k])->blob);
    c->data = NULL;
    return r;
}

/* ---- filling and reading ---- */

struct fill {
    const char *id;
    const char *blob; /* null: drop the entry */
    int64_t size;
};

static int fill_write(struct txn *t, void *arg)
{
    const struct fill *f = arg;
    struct image_cached *e;
    int r = txn_get(t, &IMAGE_CACHED_KIND, f->id, &e);
    if (r < 0 || !e)
        return r;
    if (!f->blob)
        return txn_delete(t, &IMAGE_CACHED_KIND, f->id);
    e->status = "cached";
    e->blob = f->blob;
    e->size = f->size;
    e->modified_at = e->accessed_at = clock_wall();
    return txn_put(t, &IMAGE_CACHED_KIND, e);
}

static int fill_one(struct image_state *s, struct arena *a, const struct image *i, const char *id)
{
    struct fill f = { .id = id };
    struct blob_info info;
    int r = BLOB_MISSING;
    for (size_t k = 0; i && i->blob && r == BLOB_MISSING && k < i->stores.n; k++) {
        struct blob_store *from = image_store(s, i->stores.v[k]);
        if (from)
            r = blob_copy(from, i->blob, s->cache, &info);
    }
    if (i && r == BLOB_MISSING && i->locations.n) {
        struct fault why;
        r = image_fetch(s, a, i, &info, &why);
        if (r == 0) {
            struct blob_info near;
            r = blob_copy(s->stores[0], info.key, s->cache, &near);
            blob_unpin(s->stores[0], info.key);
            image_collect_key(s, s->stores[0], info.key);
            info = near;
        } else if (r == FAULT) {
            r = BLOB_MISSING;
        }
    }
    if (r < 0)
        return r;
    bool got = r == 0;
    if (got) {
        f.blob = info.key;
        f.size = (int64_t)info.size;
    } else {
        log_warning("an image could not be cached", KV("image", id));
    }
    r = store_write(api_store(s->api), a, fill_write, &f);
    if (got) {
        blob_unpin(s->cache, info.key);
        image_collect_key(s, s->cache, info.key);
    }
    return r;
}

int cache_fill(struct image_state *s, struct arena *a)
{
    struct results l = {};
    VEC_OF(struct image *) images = {};
    struct txn *t;
    int r = store_read(api_store(s->api), a, &t);
    if (r < 0)
        return r;
    r = entries(t, a, "queued", &l);
    for (size_t k = 0; r == 0 && k < l.n; k++) {
        struct image **slot = vec_add(a, &images);
        r = slot ? txn_get(t, &IMAGE_KIND, ((struct image_cached *)l.v[k])->head.id, slot) : -ENOMEM;
    }
    txn_done(t);
    for (size_t k = 0; r == 0 && k < l.n; k++)
        if (clock_wall() - ((struct image_cached *)l.v[k])->queued_at >= CACHE_AFTER)
            r = fill_one(s, a, images.v[k], ((struct image_cached *)l.v[k])->head.id);
    return r;
}

static int hit_write(struct txn *t, void *arg)
{
    struct image_cached *e;
    int r = txn_get(t, &IMAGE_CACHED_KIND, arg, &e);
    if (r < 0 || !e)
        return r;
    e->hits++;
    e->accessed_at = clock_wall();
    return txn_put(t, &IMAGE_CACHED_KIND, e);
}

int cache_open(struct image_state *s, struct arena *a, const char *image_id, struct blob_reader *ret)
{
    struct image_cached *e = NULL;
    struct txn *t;
    int r = store_read(api_store(s->api), a, &t);
    if (r < 0)
        return r;
    r = txn_get(t, &IMAGE_CACHED_KIND, image_id, &e);
    txn_done(t);
    if (r < 0)
        return r;
    if (!e || !STREQ(e->status, "cached"))
        return BLOB_MISSING;
    r = blob_open(s->cache, e->blob, ret);
    if (r == 0) {
        int k = store_write(api_store(s->api), a, hit_write, (void *)(uintptr_t)image_id);
        if (k < 0)
            log_warning("a hit was not counted", KV("image", image_id), KV("error", strerror(-k)));
    }
    return r;
}
