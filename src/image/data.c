/*
 * Bytes: upload, staging, download.
 *
 * An upload streams into a blob writer; the inspector, and for signed images the verifier,
 * see each piece as it passes, so memory does not depend on the size. The record says
 * "saving" (or "uploading" while staging) from the first piece on, which keeps a second
 * upload out; it goes back to "queued" when the upload fails in any way, and the blob is
 * dropped. Only after the blob is durable under its name does one transaction make the image
 * active. While that runs the blob is pinned, so a deletion elsewhere can't take it away.
 *
 * A process that dies in between leaves "saving" behind; import_recover() takes that back at
 * the next start, and the sweep drops the half-written file.
 *
 * A download hands an open descriptor to the server, which sends the file from the kernel;
 * deletion meanwhile only removes the name.
 */
#include "image/internal.h"

#include "base/counter.h"
#include "base/log.h"
#include "base/macro.h"

#include <errno.h>
#include <inttypes.h>

LOG_MODULE("image.data");
COUNTER(uploads, "image_uploads_total", "Images whose bytes arrived whole.");
COUNTER(uploads_failed, "image_uploads_failed_total", "Uploads that were cut short or refused.");
COUNTER(refused, "image_refused_total", "Images refused for what their bytes are.");
COUNTER(downloads, "image_downloads_total", "Downloads begun.");

struct upload {
    const char *id;
    bool stage, agent;
    const char *rule;
    bool already; /* an agent delivers again what is there: it did not hear of its success */
    bool claimed; /* the record says that we are at it */
    bool pinned;
    struct blob_store *store;
    struct blob_writer *writer;
    struct inspect *inspect;
    struct verifier *verifier;
    uint64_t limit;
    int failure; /* FAULT: c->fault is set; negative: broken */
    struct blob_info info;
    struct inspect_result verdict;
    struct image *image; /* as it is after the last transaction */
};

/* ---- who uses a blob ---- */

int image_blob_used(void *cookie, const char *key)
{
    struct blob_use *u = cookie;
    struct image_state *s = u->state;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    _cleanup_(txn_donep) struct txn *t = NULL;
    int r = a ? store_read(api_store(s->api), a, &t) : -ENOMEM;
    if (r < 0)
        return r;
    if (u->store == s->cache) {
        struct image_cached *e = NULL;
        r = txn_find_by(t, &IMAGE_CACHED_KIND, "blob", key, &e);
        return r < 0 ? r : e != NULL;
    }
    struct query q = { .kind = &IMAGE_KIND };
    if (!query_where(&q, a, "blob", Q_KEY, key))
        return -ENOMEM;
    struct results l = {};
    r = txn_list(t, &q, &l);
    if (r < 0)
        return r;
    for (size_t k = 0; k < l.n; k++) {
        const struct image *i = l.v[k];
        if (str_eq(i->blob, key) && strv_has(&i->stores, u->store->id))
            return 1;
        if (str_eq(i->staged, key) && u->store == s->stores[0])
            return 1;
    }
    return 0;
}

void image_collect_key(struct image_state *s, struct blob_store *store, const char *key)
{
    if (!key)
        return;
    struct blob_use use = { s, store };
    int r = blob_collect(store, key, image_blob_used, &use);
    if (r < 0)
        log_warning("a blob stays for the sweep", KV("key", key), KV("error", strerror(-r)));
}

void image_collect(struct image_state *s, const struct image *was)
{
    for (size_t k = 0; k < s->n_stores; k++) {
        image_collect_key(s, s->stores[k], was->blob);
        image_collect_key(s, s->stores[k], was->staged);
    }
    if (s->cache)
        image_collect_key(s, s->cache, was->blob);
}

/* ---- judging ---- */

int image_judge(struct image_state *s, struct image *i, const struct inspect_result *r, struct fault *f)
{
    int bad = inspect_check(r, i->disk_format, i->container_format, s->o.image_check_format, f);
    if (bad) {
        counter_inc(&refused);
        return bad;
    }
    bool disk = r->virtual_size &&
                (r->format != IMAGE_RAW || str_eq(i->disk_format, "raw") || str_eq(i->disk_format, "iso"));
    i->virtual_size =
        disk && !str_eq(i->container_format, "compressed") ? (int64_t)r->virtual_size : INT_NULL;
    return 0;
}

/* ---- upload ---- */

static void upload_done(struct image_state *s, struct upload *u)
{
    blob_abort(TAKE_PTR(u->writer));
    inspect_free(TAKE_PTR(u->inspect));
    verifier_free(TAKE_PTR(u->verifier));
    if (u->pinned) {
        blob_unpin(u->store, u->info.key);
        image_collect_key(s, u->store, u->info.key);
    }
    u->pinned = false;
}

static int upload_find(struct call *c, struct upload *u, struct image **ret)
{
    if (!u->agent)
        return image_find_own(c, u->id, u->rule, ret);
    struct image *i;
    int r = txn_get(c->txn, &IMAGE_KIND, u->id, &i);
    if (r < 0)
        return r;
    if (!i || !i->from_host || !str_eq(i->from_host, c->auth->agent_host))
        return call_fault(c, 404, "ImageNotFound", "Failed to find image %s", u->id);
    *ret = i;
    return 0;
}

static int upload_ready(struct call *c, const struct image *i, const struct upload *u)
{
    if (!STREQ(i->status, IMAGE_QUEUED))
        return call_fault(c, 409, "Conflict", "Image status transition from %s to %s is not allowed",
                          i->status, u->stage ? IMAGE_UPLOADING : IMAGE_SAVING);
    if (!u->stage && !i->container_format)
        return call_fault(c, 400, "BadRequest",
                          "Properties container_format must be set prior to saving data.");
    if (!u->stage && !i->disk_format)
        return call_fault(c, 400, "BadRequest", "Properties disk_format must be set prior to saving data.");
    return 0;
}

/* Runs before the first byte and refuses what can be known by then. */
static int begin(struct call *c, bool stage, bool agent)
{
    struct image_state *s = image_state(c->api);
    struct upload *u = ARENA_NEW(c->arena, struct upload);
    if (!u)
        return -ENOMEM;
    *u = (struct upload){ .id = call_param(c, agent ? "id" : "image_id"),
                          .stage = stage,
                          .agent = agent,
                          .rule = stage ? "image:modify_image" : "image:upload_image",
                          .store = s->stores[0] };
    c->data = u;
    if (stage && !strv_has(&s->methods, "glance-direct"))
        return call_fault(c, 404, "NotFound", "'glance-direct' method is not available at this site.");
    const char *type = http_header(c->http, "Content-Type");
    if (!agent && (!type || !str_starts(type, "application/octet-stream")))
        return call_fault(c, 415, "UnsupportedMediaType", "Invalid content type %s", str_or(type, "(none)"));
    const char *store = stage || agent ? NULL : http_header(c->http, "x-image-meta-store");
    if (store && !(u->store = image_store(s, store)))
        return call_fault(c, 400, "BadRequest", "Store %s is not known.", store);
    struct image *i;
    int r = call_read(c);
    if (r == 0)
        r = upload_find(c, u, &i);
    if (r == 0 && agent && (STREQ(i->status, IMAGE_ACTIVE) || STREQ(i->status, IMAGE_DEACTIVATED))) {
        u->already = true;
        return 0;
    }
    if (r == 0)
        r = upload_ready(c, i, u);
    if (r != 0)
        return r;
    u->limit = s->o.image_size_max > 0 ? (uint64_t)s->o.image_size_max : UINT64_MAX;
    int64_t left;
    r = image_quota_left(c->txn, i->owner, stage ? "image_stage_total" : "image_size_total", &left);
    if (r == 0 && left >= 0)
        u->limit = MIN(u->limit, (uint64_t)left);
    if (r == 0 &&
        (u->limit == 0 || (c->http->content_length > 0 && (uint64_t)c->http->content_length > u->limit)))
        return call_fault(c, 413, "LimitExceeded",
                          "The image is larger than the %" PRIu64 " bytes that are allowed.", u->limit);
    return r;
}

int upload_begin(struct call *c)
{
    return begin(c, false, false);
}

int stage_begin(struct call *c)
{
    return begin(c, true, false);
}

int agent_upload_begin(struct call *c)
{
    return begin(c, false, true);
}

static int claim_write(struct call *c)
{
    struct upload *u = c->data;
    struct image *i;
    int r = upload_find(c, u, &i);
    if (r == 0)
        r = upload_ready(c, i, u);
    if (r == 0)
        r = image_quota(c->txn, i->owner, "image_count_uploading", 1, &c->fault);
    if (r != 0)
        return r;
    i->status = u->stage ? IMAGE_UPLOADING : IMAGE_SAVING;
    u->image = i;
    return image_save(c->txn, i);
}

static int full(struct call *c)
{
    return call_fault(c, 413, "StorageFull", "Image storage media is full.");
}

/* With the first piece, on a worker: claims the image and opens what the bytes go to. */
static int upload_open(struct call *c, struct upload *u)
{
    struct image_state *s = image_state(c->api);
    int r = call_write(c, claim_write);
    if (r != 0)
        return r;
    u->claimed = true;
    if (!u->stage) {
        r = verifier_new(s, &u->image->properties, &u->verifier, &c->fault);
        if (r != 0)
            return r;
    }
    if (!(u->inspect = inspect_new()))
        return -ENOMEM;
    uint64_t hint = c->http->content_length > 0 ? (uint64_t)c->http->content_length : 0;
    r = blob_begin(u->store, hint, &u->writer);
    return r == BLOB_FULL ? full(c) : r;
}

static int sink_write(struct http_request *rq, const void *data, size_t n)
{
    struct call *c = rq->app_data;
    struct upload *u = c->data;
    if (u->already)
        return 0;
    if (u->failure)
        return -ECANCELED;
    int r = u->writer ? 0 : upload_open(c, u);
    if (r == 0 && blob_written(u->writer) + n > u->limit)
        r = call_fault(c, 413, "LimitExceeded",
                       "The image is larger than the %" PRIu64 " bytes that are allowed.", u->limit);
    if (r == 0) {
        inspect_feed(u->inspect, data, n);
        if (u->verifier)
            verifier_update(u->verifier, data, n);
        r = blob_write(u->writer, data, n);
        if (r == BLOB_FULL)
            r = full(c);
    }
    u->failure = r;
    return r ? -ECANCELED : 0;
}

const struct http_sink UPLOAD_SINK = { .write = sink_write };

static int revert_write(struct call *c)
{
    const struct upload *u = c->data;
    struct image *i;
    int r = txn_get(c->txn, &IMAGE_KIND, u->id, &i);
    if (r < 0 || !i || !STREQ(i->status, u->stage ? IMAGE_UPLOADING : IMAGE_SAVING) || i->staged)
        return r;
    i->status = IMAGE_QUEUED;
    return image_save(c->txn, i);
}

static int commit_write(struct call *c)
{
    struct upload *u = c->data;
    struct image *i;
    int r = txn_get(c->txn, &IMAGE_KIND, u->id, &i);
    if (r < 0)
        return r;
    if (!i || !STREQ(i->status, u->stage ? IMAGE_UPLOADING : IMAGE_SAVING))
        return call_fault(c, 410, "Gone",
                          "Image %s could not be found after upload. The image may have been deleted "
                          "during the upload, cleaning up the chunks uploaded.",
                          u->id);
    /* Uploads at the same time saw the same room when they began. */
    int64_t left;
    r = image_quota_left(c->txn, i->owner, u->stage ? "image_stage_total" : "image_size_total", &left);
    if (r < 0)
        return r;
    if (left >= 0 && u->info.size > (uint64_t)left)
        return call_fault(c, 413, "LimitExceeded",
                          "The image is larger than the %" PRIi64 " bytes that are allowed.", left);
    if (u->stage) {
        i->staged = u->info.key;
        i->staged_size = (int64_t)u->info.size;
        i->size = i->staged_size;
        return image_save(c->txn, i);
    }
    i->virtual_size = u->image->virtual_size;
    i->disk_format = u->image->disk_format;
    i->blob = u->info.key;
    i->stores = (struct strv){};
    strv_add(c->arena, &i->stores, u->store->id);
    i->size = (int64_t)u->info.size;
    i->checksum = u->info.md5;
    i->hash_algo = "sha512";
    i->hash_value = u->info.key;
    i->status = IMAGE_ACTIVE;
    return image_save(c->txn, i);
}

static int upload_settle(struct call *c, struct upload *u)
{
    struct image_state *s = image_state(c->api);
    if (u->failure)
        return u->failure;
    if (c->http->sink_error)
        return call_fault(c, 400, "BadRequest", "The upload was cut short.");
    int r = u->writer ? 0 : upload_open(c, u); /* an empty body: no piece came */
    if (r != 0)
        return r;
    if (c->http->content_length >= 0 && blob_written(u->writer) != (uint64_t)c->http->content_length)
        return call_fault(c, 400, "BadRequest", "The upload was cut short.");
    r = inspect_finish(u->inspect, &u->verdict);
    if (r == 0 && !u->stage)
        r = image_judge(s, u->image, &u->verdict, &c->fault);
    if (r == 0 && u->verifier)
        r = verifier_check(u->verifier, &c->fault);
    if (r == 0) {
        r = blob_finish(u->writer, &u->info);
        if (r == BLOB_FULL)
            r = full(c);
        u->pinned = r == 0;
    }
    return r ? r : call_write(c, commit_write);
}

static int end(struct call *c)
{
    struct image_state *s = image_state(c->api);
    struct upload *u = c->data;
    if (u->already)
        return 0;
    int r = upload_settle(c, u);
    if (r != 0) {
        struct fault kept = c->fault;
        counter_inc(&uploads_failed);
        if (u->claimed && call_write(c, revert_write) != 0)
            log_warning("an image stays as if it were uploaded to until the next start", KV("image", u->id));
        c->fault = kept;
    } else {
        counter_inc(&uploads);
    }
    upload_done(s, u);
    return r;
}

int upload_end(struct call *c)
{
    return end(c);
}

int stage_end(struct call *c)
{
    return end(c);
}

/* ---- download ---- */

/* What follows may take long or read for itself: the view of the store is given back first. */
static void read_done(struct call *c)
{
    txn_donep(&c->txn);
    c->txn = NULL;
}

int image_reader(struct image_state *s, struct arena *a, const struct image *i, struct blob_reader *ret)
{
    int r = cache_open(s, a, i->head.id, ret);
    if (r != BLOB_MISSING)
        return r;
    for (size_t k = 0; i->blob && k < i->stores.n; k++) {
        struct blob_store *store = image_store(s, i->stores.v[k]);
        r = store ? blob_open(store, i->blob, ret) : BLOB_MISSING;
        if (r != BLOB_MISSING)
            return r;
    }
    return BLOB_MISSING;
}

static ssize_t piece_next(void *cookie, uint64_t offset, char *out, size_t max)
{
    struct blob_reader *r = cookie;
    if (offset >= r->size)
        return 0;
    ssize_t n = blob_pread(r, out, (size_t)MIN((uint64_t)max, r->size - offset), offset);
    return n == 0 ? -EIO : n;
}

static void piece_free(void *cookie)
{
    blob_close(cookie);
    free(cookie);
}

/* Sends the reader's bytes, or the range that was asked for; takes the reader over. */
static int send_bytes(struct call *c, struct blob_reader *r)
{
    uint64_t first = 0, length = r->size;
    const char *range = http_header(c->http, "Range");
    int status = 200;
    if (range && r->fd >= 0) {
        int k = http_range(range, r->size, &first, &length);
        if (k == FAULT) {
            http_set_header(c->http, "Content-Range", arena_printf(c->arena, "bytes */%" PRIu64, r->size));
            blob_close(r);
            return call_fault(c, 416, "RangeNotSatisfiable", "The range %s is not within the image.", range);
        }
        if (k == 0) {
            status = 206;
            http_set_header(c->http, "Content-Range",
                            arena_printf(c->arena, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
                                         first + length - 1, r->size));
        } else {
            first = 0;
            length = r->size;
        }
    }
    c->answered = true;
    counter_inc(&downloads);
    if (r->fd >= 0) {
        http_set_header(c->http, "Accept-Ranges", "bytes");
        http_answer_file(c->http, status, "application/octet-stream", r->fd, first, length);
        return 0;
    }
    struct blob_reader *own = malloc(sizeof(*own));
    if (!own) {
        blob_close(r);
        c->answered = false;
        return -ENOMEM;
    }
    *own = *r;
    http_answer_stream(c->http, status, "application/octet-stream", r->size, piece_next, piece_free, own);
    return 0;
}

int image_fetch(struct image_state *s, struct arena *a, const struct image *i, struct blob_info *ret,
                struct fault *f)
{
    VEC_FOREACH (l, &i->locations) {
        struct blob_info info;
        struct blob_reader reader = {};
        struct inspect_result verdict;
        struct image judged = *i;
        int r = web_fetch(s, a, l->url, NULL, false, UINT64_MAX, &info, f);
        if (r < 0)
            return r;
        if (r == FAULT)
            continue;
        if (i->hash_value && !STREQ(i->hash_value, info.key))
            r = fault_set(f, 503, "ServiceUnavailable", "The bytes at %s are not what the image's hash says.",
                          l->url);
        if (r == 0)
            r = blob_open(s->stores[0], info.key, &reader);
        if (r == 0)
            r = reader.fd >= 0 ? inspect_fd(reader.fd, &verdict) : -ENOTSUP;
        blob_close(&reader);
        if (r == 0)
            r = image_judge(s, &judged, &verdict, f);
        if (r == 0) {
            *ret = info;
            return 0;
        }
        blob_unpin(s->stores[0], info.key);
        image_collect_key(s, s->stores[0], info.key);
        if (r < 0)
            return r;
    }
    return FAULT;
}

/* An image whose bytes are elsewhere is fetched near before it is sent. */
static int fetch_near(struct call *c, struct image_state *s, const struct image *i, struct blob_reader *ret)
{
    struct fault f = {};
    struct blob_info info;
    int r = image_fetch(s, c->arena, i, &info, &f);
    if (r == FAULT)
        return call_fault(c, 503, "ServiceUnavailable",
                          "The image's bytes can't be had from where they are. %s", f.message);
    if (r != 0)
        return r;
    r = blob_open(s->stores[0], info.key, ret);
    blob_unpin(s->stores[0], info.key);
    image_collect_key(s, s->stores[0], info.key);
    return r == BLOB_MISSING ? -ENOENT : r;
}

int image_download(struct call *c)
{
    struct image_state *s = image_state(c->api);
    struct image *i;
    int r = call_read(c);
    if (r == 0)
        r = image_find(c, call_param(c, "image_id"), &i);
    if (r != 0)
        return r;
    if (STREQ(i->status, IMAGE_DEACTIVATED) && !call_is_admin(c))
        return call_fault(c, 403, "Forbidden",
                          "The requested image has been deactivated. Image data download is "
                          "forbidden.");
    read_done(c);
    struct blob_reader reader = {};
    r = i->blob || i->locations.n ? image_reader(s, c->arena, i, &reader) : BLOB_MISSING;
    if (r == BLOB_MISSING && i->locations.n)
        r = fetch_near(c, s, i, &reader);
    else if (r == BLOB_MISSING && i->blob)
        return -ENOENT; /* the record promises bytes that are gone */
    if (r == BLOB_MISSING) {
        c->status = 204;
        return 0;
    }
    if (r != 0)
        return r;
    if (i->checksum)
        http_set_header(c->http, "Content-MD5", i->checksum);
    return send_bytes(c, &reader);
}

int agent_download(struct call *c)
{
    struct image_state *s = image_state(c->api);
    struct image *i;
    int r = call_read(c);
    if (r == 0)
        r = txn_get(c->txn, &IMAGE_KIND, call_param(c, "id"), &i);
    if (r < 0)
        return r;
    if (!i || !(i->blob || i->locations.n) ||
        !(STREQ(i->status, IMAGE_ACTIVE) || STREQ(i->status, IMAGE_DEACTIVATED)))
        return call_fault(c, 404, "ImageNotFound", "There are no bytes of image %s.", call_param(c, "id"));
    read_done(c);
    struct blob_reader reader = {};
    r = image_reader(s, c->arena, i, &reader);
    if (r == BLOB_MISSING && i->locations.n)
        r = fetch_near(c, s, i, &reader);
    if (r != 0)
        return r == BLOB_MISSING ? -ENOENT : r;
    if (i->hash_value)
        http_set_header(c->http, "X-Image-Hash", i->hash_value);
    http_set_header(c->http, "X-Image-Format", str_or(i->disk_format, "raw"));
    struct blob_store *store = i->stores.n ? image_store(s, i->stores.v[0]) : NULL;
    const char *path = c->http->local && store && store->class->path && i->blob
                           ? store->class->path(store, i->blob, c->arena)
                           : NULL;
    if (path)
        http_set_header(c->http, "X-Image-Path", path);
    return send_bytes(c, &reader);
}

int image_open(struct api *api, struct arena *a, const char *id, int *ret_fd, uint64_t *ret_size,
               struct fault *fault)
{
    struct image_state *s = image_state(api);
    struct txn *t;
    struct image *i = NULL;
    int r = store_read(api_store(api), a, &t);
    if (r < 0)
        return r;
    r = txn_get(t, &IMAGE_KIND, id, &i);
    txn_done(t);
    if (r < 0)
        return r;
    struct blob_reader reader = {};
    r = i && STREQ(i->status, IMAGE_ACTIVE) ? image_reader(s, a, i, &reader) : BLOB_MISSING;
    if (r == 0 && reader.fd < 0) {
        blob_close(&reader);
        r = BLOB_MISSING;
    }
    if (r == BLOB_MISSING)
        return fault_set(fault, 404, "ImageNotFound", "Image %s has no bytes that can be read here.", id);
    if (r != 0)
        return r;
    *ret_fd = reader.fd;
    *ret_size = reader.size;
    return 0;
}
