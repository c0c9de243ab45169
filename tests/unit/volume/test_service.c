/*
 * The volume service with a store in memory, no sockets, and a host that is a table: what it is told
 * it does at once, or fails, or says late. So each test sees whole lives, and asks at the end what is
 * left on the host.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "volume/internal.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define HOST "host1"
#define V "/volume/v3/p-demo/"

struct file {
    char id[64], kind[16];
    int64_t size;
    int made;
};

static struct world {
    struct store *store;
    struct api *api;
    struct http_app app;
    struct arena *arena;
    struct file files[64];
    size_t n;
    bool broken;                    /* the host fails whatever it is told to make */
    int minor, status;
    const char *token;
    json_t *body;
} W;

/* ---- HTTP without sockets ---- */

const char *http_header(const struct http_request *rq, const char *name)
{
    static char version[32];
    (void)rq;
    (void)snprintf(version, sizeof(version), "volume 3.%d", W.minor);
    return strcasecmp(name, "X-Auth-Token") == 0          ? W.token
           : strcasecmp(name, "OpenStack-API-Version") == 0 ? version
           : strcasecmp(name, "Content-Type") == 0          ? "application/json"
                                                            : NULL;
}
const char *http_arg(const struct http_request *rq, const char *name)
{
    return strmap_get(&rq->args, name);
}
void http_set_header(struct http_request *rq, const char *name, const char *value)
{
    (void)rq;
    (void)name;
    (void)value;
}
void http_answer(struct http_request *rq, int status, const char *type, const void *body, size_t size)
{
    char error[200];
    (void)rq;
    (void)type;
    W.status = status;
    json_decref(W.body);
    W.body = size ? json_parse(body, size, error, sizeof(error)) : NULL;
}
void http_answer_buf(struct http_request *rq, int status, const char *type, struct buf *body)
{
    http_answer(rq, status, type, buf_text(body), body->len);
    buf_done(body);
}
void http_answer_stream(struct http_request *rq, int status, const char *type, uint64_t size,
                        ssize_t (*next)(void *cookie, uint64_t offset, char *out, size_t max),
                        void (*free_cookie)(void *cookie), void *cookie)
{
    (void)size;
    (void)next;
    if (free_cookie)
        free_cookie(cookie);
    http_answer(rq, status, type, NULL, 0);
}
void http_headers(const struct http_request *rq, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    (void)rq;
    (void)fn;
    (void)arg;
}
struct http_parked *http_park(struct http_request *rq, usec_t timeout,
                              void (*woken)(struct http_request *rq, void *arg, enum http_wake_reason why), void *arg)
{
    (void)rq;
    (void)timeout;
    (void)woken;
    (void)arg;
    return NULL;
}
void http_wake(struct http_parked *p)
{
    (void)p;
}
void http_parked_unref(struct http_parked *p)
{
    (void)p;
}

/* ---- no image service ---- */

int image_get(struct txn *t, const char *project_id, bool admin, const char *id, struct image_view **ret,
              struct fault *fault)
{
    (void)t;
    (void)project_id;
    (void)admin;
    (void)ret;
    return fault_set(fault, 404, "ImageNotFound", "Image %s could not be found.", id);
}
int image_create(struct txn *t, const struct image_new *n, const char **ret_id, struct fault *fault)
{
    (void)n;
    (void)fault;
    *ret_id = uuid_new(txn_arena(t));
    return 0;
}
int image_remove(struct txn *t, const char *id)
{
    (void)t;
    (void)id;
    return 0;
}

/* ---- the world ---- */

static int authenticate(struct api *api, struct arena *a, const char *token, struct auth *ret, struct fault *fault)
{
    (void)api;
    (void)fault;
    *ret = (struct auth){ .user_id = arena_printf(a, "u-%s", token), .project_id = arena_printf(a, "p-%s", token),
                          .admin = STREQ(token, "admin"), .token = token };
    strv_add(a, &ret->roles, "reader");
    strv_add(a, &ret->roles, "member");
    if (ret->admin)
        strv_add(a, &ret->roles, "admin");
    return 0;
}

static int as(const char *who, int minor, const char *method, const char *path, const char *body)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    char *plain = arena_strdup(a, path), *query = strchr(plain, '?'), *save = NULL;
    W.token = who;
    W.minor = minor;
    W.status = 0;
    if (query)
        *query++ = 0;
    struct http_request rq = { .method = method, .path = plain, .raw_path = plain, .query = query, .arena = a,
                               .host = "cloud", .id = "req-1", .body = body, .body_size = body ? strlen(body) : 0 };
    for (char *p = query ? strtok_r(query, "&", &save) : NULL; p; p = strtok_r(NULL, "&", &save)) {
        char *value = strchr(p, '=');
        *value++ = 0;
        assert_true(vec_push(a, &rq.args, ((struct pair){ p, value })));
    }
    if (W.app.begin(&rq, W.app.app) == 0)
        W.app.handle(&rq, W.app.app);
    W.app.done(&rq, W.app.app);
    return W.status;
}
#define call(method, path, body) as("demo", 70, (method), (path), (body))

static const char *text(const char *object, const char *key)
{
    return str_or(json_get_string(json_object_get(W.body, object), key), "");
}

static const char *keep(const char *s)
{
    return arena_strdup(W.arena, s);
}

static const char *path(const char *collection, const char *id, const char *rest)
{
    return arena_printf(W.arena, V "%s/%s%s", collection, id, rest);
}

static const char *status_of(const char *collection, const char *one, const char *id)
{
    return call("GET", path(collection, id, ""), NULL) == 404 ? "gone" : text(one, "status");
}
#define volume_status(id) status_of("volumes", "volume", (id))

/* ---- the host ---- */

static void tell(const struct agent_section *s, const char *report)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    char error[100];
    _cleanup_(json_decrefp) json_t *tree = json_parse(report, strlen(report), error, sizeof(error));
    assert_non_null(tree);
    assert_int_equal(s->observed(W.api, a, HOST, tree), 0);
}

static void backend_tells(void)
{
    tell(&BACKENDS_SECTION, "[{\"name\": \"local\", \"driver\": \"dir\", \"protocol\": \"file\", \"shared\": false, "
         "\"total_bytes\": 1099511627776, \"free_bytes\": 1099511627776}]");
}

static struct file *file_of(const char *id)
{
    for (size_t i = 0; i < W.n; i++)
        if (STREQ(W.files[i].id, id))
            return &W.files[i];
    return NULL;
}

static void carry_out(const struct volume_spec *s, struct buf *out)
{
    struct file *f = file_of(s->id);
    const char *state = ITEM_READY;
    if (s->deleted) {
        if (f)
            *f = W.files[--W.n];
        state = ITEM_GONE;
    } else if (W.broken) {
        state = ITEM_FAILED;
    } else if (STREQ(s->kind, ITEM_VOLUME) || STREQ(s->kind, ITEM_SNAPSHOT) || STREQ(s->kind, ITEM_BACKUP)) {
        /* data is never made anew under the name of what was there */
        assert_true(!s->made || f);
        if (s->origin && !STREQ(s->origin, ORIGIN_OF_IMAGE))
            assert_non_null(file_of(s->origin_id));
        if (!f) {
            f = &W.files[W.n++];
            *f = (struct file){ .size = s->size_bytes };
            (void)snprintf(f->id, sizeof(f->id), "%s", s->id);
            (void)snprintf(f->kind, sizeof(f->kind), "%s", s->kind);
            f->made++;
        }
        f->size = s->size_bytes;
    }
    buf_printf(out, "%s{\"id\": \"%s\", \"kind\": \"%s\", \"revision\": %lld, \"state\": \"%s\", \"hash\": \"h\", "
               "\"source\": {\"driver\": \"file\", \"format\": \"raw\", \"path\": \"/v/%s\"}, \"fault_message\": \"no\"}",
               out->len ? ", " : "", s->id, s->kind, (long long)s->revision, state, s->id);
}

/* What the host is told now, as text. */
static const char *told(void)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX(1 << 20);
    struct json_out o = JSON_OUT(&b);
    struct txn *t;
    assert_int_equal(store_read(W.store, W.arena, &t), 0);
    assert_int_equal(VOLUMES_SECTION.desired(W.api, t, HOST, &o), 0);
    txn_done(t);
    return keep(buf_text(&b));
}

static void settle(void)
{
    for (const char *before = "", *now = told(); !STREQ(before, now); before = now, now = told()) {
        _cleanup_(buf_done) struct buf out = BUF_MAX(1 << 20);
        char error[100];
        size_t i;
        json_t *item, *list = json_parse(now, strlen(now), error, sizeof(error));
        json_array_foreach(list, i, item) {
            struct volume_spec s = { 0 };
            assert_int_equal(schema_decode(&VOLUME_SPEC_SCHEMA, item, DECODE_STORED, 0, W.arena, &s, NULL, NULL), 0);
            carry_out(&s, &out);
        }
        json_decref(list);
        tell(&VOLUMES_SECTION, arena_printf(W.arena, "[%s]", buf_text(&out)));
    }
}

static int setup(void **state)
{
    (void)state;
    static const struct service *const SERVICES[] = { (const struct service *)&VOLUME_SERVICE, NULL };
    const struct kind *kinds[32] = { &QUOTA_KIND };
    struct fault f = { 0 };
    for (size_t i = 0; VOLUME_KINDS[i]; i++)
        kinds[i + 1] = VOLUME_KINDS[i];
    (void)log_set_levels("error");
    W = (struct world){ .arena = arena_new(0) };
    clock_fake(1700000000LL * 1000000);
    assert_int_equal(store_open(&(struct store_options){ ":memory:", kinds, true }, &W.store, &f), 0);
    assert_int_equal(api_new(&(struct api_options){ .store = W.store, .services = SERVICES }, &W.api, &f), 0);
    api_set_authenticator(W.api, authenticate);
    W.app = api_http_app(W.api);
    backend_tells();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    api_free(W.api);
    store_close(W.store);
    arena_free(W.arena);
    json_decref(W.body);
    clock_real();
    return 0;
}

static const char *make(const char *members)
{
    int status = call("POST", V "volumes", arena_printf(W.arena, "{\"volume\": {\"size\": 1%s}}", members));
    assert_int_equal(status, 202);
    clock_advance(SECONDS(1));
    return keep(text("volume", "id"));
}

/* ---- tests ---- */

static void a_life(void **state)
{
    (void)state;
    const char *v = make(", \"name\": \"one\"");
    assert_string_equal(volume_status(v), "creating");
    settle();
    assert_string_equal(volume_status(v), "available");

    assert_int_equal(call("POST", V "snapshots", arena_printf(W.arena, "{\"snapshot\": {\"volume_id\": \"%s\"}}", v)), 202);
    const char *s = keep(text("snapshot", "id"));
    settle();
    assert_string_equal(status_of("snapshots", "snapshot", s), "available");
    const char *clone = make(arena_printf(W.arena, ", \"snapshot_id\": \"%s\"", s));
    settle();
    assert_string_equal(volume_status(clone), "available");

    assert_int_equal(call("POST", path("volumes", clone, "/action"), "{\"os-extend\": {\"new_size\": 1}}"), 400);
    assert_int_equal(call("POST", path("volumes", clone, "/action"), "{\"os-extend\": {\"new_size\": 3}}"), 202);
    assert_string_equal(volume_status(clone), "extending");
    settle();
    assert_string_equal(volume_status(clone), "available");
    assert_int_equal(file_of(clone)->size, 3LL << 30);

    assert_int_equal(call("DELETE", path("volumes", v, ""), NULL), 400);        /* it has a snapshot */
    assert_int_equal(call("DELETE", path("snapshots", s, ""), NULL), 202);
    assert_int_equal(call("DELETE", path("volumes", clone, ""), NULL), 202);
    settle();
    assert_int_equal(call("DELETE", path("volumes", v, ""), NULL), 202);
    assert_string_equal(volume_status(v), "deleting");
    settle();
    assert_string_equal(volume_status(v), "gone");
    assert_int_equal(W.n, 0);
    assert_string_equal(told(), "[]");
}

static void backups_come_back(void **state)
{
    (void)state;
    const char *v = make(", \"metadata\": {\"k\": \"v\"}");
    settle();
    assert_int_equal(call("POST", V "backups", arena_printf(W.arena, "{\"backup\": {\"volume_id\": \"%s\"}}", v)), 202);
    const char *b = keep(text("backup", "id"));
    assert_string_equal(volume_status(v), "backing-up");
    settle();
    assert_string_equal(volume_status(v), "available");
    assert_string_equal(status_of("backups", "backup", b), "available");
    assert_int_equal(call("POST", path("backups", b, "/restore"), "{\"restore\": {}}"), 202);
    const char *n = keep(text("restore", "volume_id"));
    assert_string_equal(volume_status(n), "restoring-backup");
    /* restoring makes the file: here the errand's report is all there is */
    (void)snprintf(W.files[W.n++].id, sizeof(W.files[0].id), "%s", n);
    settle();
    assert_string_equal(volume_status(n), "available");
    assert_string_equal(json_get_string(json_object_get(json_object_get(W.body, "volume"), "metadata"), "k"), "v");
    assert_string_equal(status_of("backups", "backup", b), "available");
}

static void what_fails_is_told(void **state)
{
    (void)state;
    W.broken = true;
    const char *v = make("");
    settle();
    assert_string_equal(volume_status(v), "error");
    assert_int_equal(call("GET", V "messages", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(W.body, "messages")), 1);
    assert_string_equal(told(), "[]");      /* it is not tried for ever */
    assert_int_equal(call("DELETE", path("volumes", v, ""), NULL), 202);
    settle();
    assert_string_equal(volume_status(v), "gone");
}

static void no_backend_no_volume(void **state)
{
    (void)state;
    clock_advance(BACKEND_DOWN_AFTER + SECONDS(1));
    const char *v = make("");
    assert_string_equal(volume_status(v), "error");
    assert_int_equal(call("DELETE", path("volumes", v, ""), NULL), 202);
    assert_string_equal(volume_status(v), "gone");
}

static void late_reports_end_nothing(void **state)
{
    (void)state;
    const char *v = make("");
    settle();
    const char *late = arena_printf(W.arena, "[{\"id\": \"%s\", \"kind\": \"volume\", \"revision\": 1, \"state\": \"ready\", "
                                    "\"source\": {\"driver\": \"file\", \"path\": \"/v/%s\", \"format\": \"raw\"}}]", v, v);
    assert_int_equal(call("POST", path("volumes", v, "/action"), "{\"os-extend\": {\"new_size\": 2}}"), 202);
    tell(&VOLUMES_SECTION, late);
    assert_string_equal(volume_status(v), "extending");
    settle();
    assert_int_equal(call("DELETE", path("volumes", v, ""), NULL), 202);
    tell(&VOLUMES_SECTION, late);
    assert_string_equal(volume_status(v), "deleting");
    settle();
    tell(&VOLUMES_SECTION, late);
    assert_string_equal(volume_status(v), "gone");
}

struct attach { const char *volume, *server; int result; struct fault fault; int (*fn)(struct txn *t, struct attach *a); };

static int begin(struct txn *t, struct attach *a)
{
    const char *id;
    struct attach_wish w = { .volume_id = a->volume, .server_id = a->server, .project_id = "p-demo", .host = HOST,
                             .device = "/dev/vdb" };
    return volume_attach_begin(t, &w, &id, &a->fault);
}
static int plugged(struct txn *t, struct attach *a)
{
    bool changed;
    return volume_attached(t, a->server, a->volume, HOST, "vdb", &changed);
}
static int unplug(struct txn *t, struct attach *a)
{
    return volume_detach_begin(t, a->server, a->volume, &a->fault);
}
static int unplugged(struct txn *t, struct attach *a)
{
    return volume_detached(t, a->server, a->volume, false);
}
static int in_txn(struct txn *t, void *arg)
{
    struct attach *a = arg;
    return a->fn(t, a);
}
static int attachment(int (*fn)(struct txn *t, struct attach *a), const char *volume, const char *server)
{
    struct attach a = { .volume = volume, .server = server, .fn = fn };
    return store_write(W.store, W.arena, in_txn, &a);
}

static void one_attachment_two_views(void **state)
{
    (void)state;
    const char *v = make(""), *s1 = uuid_new(W.arena), *s2 = uuid_new(W.arena);
    settle();
    assert_int_equal(attachment(begin, v, s1), 0);
    assert_string_equal(volume_status(v), "attaching");
    assert_int_equal(attachment(begin, v, s2), FAULT);
    assert_int_equal(attachment(unplug, v, s1), FAULT);         /* not before it is in */
    assert_int_equal(call("DELETE", path("volumes", v, ""), NULL), 400);
    assert_int_equal(attachment(plugged, v, s1), 0);
    assert_string_equal(volume_status(v), "in-use");
    json_t *l = json_object_get(json_object_get(W.body, "volume"), "attachments");
    assert_int_equal(json_array_size(l), 1);
    assert_string_equal(json_get_string(json_array_get(l, 0), "server_id"), s1);
    const char *id = keep(json_get_string(json_array_get(l, 0), "attachment_id"));
    assert_int_equal(call("GET", path("attachments", id, ""), NULL), 200);
    assert_string_equal(text("attachment", "status"), "attached");
    /* a guest has it open: only the server's API ends that */
    assert_int_equal(call("DELETE", path("attachments", id, ""), NULL), 409);
    assert_int_equal(as("admin", 70, "POST", path("volumes", v, "/action"), "{\"os-force_delete\": {}}"), 400);
    assert_non_null(strstr(told(), s1));                        /* the host knows who has it */
    assert_int_equal(attachment(unplug, v, s1), 0);
    assert_int_equal(attachment(unplugged, v, s1), 0);
    assert_string_equal(volume_status(v), "available");
    assert_int_equal(call("GET", path("attachments", id, ""), NULL), 404);
}

static void quotas_count_what_is_there(void **state)
{
    (void)state;
    assert_int_equal(as("admin", 70, "PUT", "/volume/v3/p-admin/os-quota-sets/p-demo",
                        "{\"quota_set\": {\"volumes\": 2, \"gigabytes\": 3}}"), 200);
    const char *v = make("");
    make("");
    settle();
    assert_int_equal(call("POST", V "volumes", "{\"volume\": {\"size\": 1}}"), 413);
    assert_int_equal(call("POST", path("volumes", v, "/action"), "{\"os-extend\": {\"new_size\": 3}}"), 413);
    assert_int_equal(call("DELETE", path("volumes", v, ""), NULL), 202);
    settle();
    make("");
    assert_int_equal(call("GET", V "os-quota-sets/p-demo?usage=True", NULL), 200);
    const json_t *row = json_object_get(json_object_get(W.body, "quota_set"), "volumes");
    assert_int_equal(json_get_int(row, "in_use", 0), 2);
    assert_int_equal(json_get_int(row, "limit", 0), 2);
}

static void strangers_see_nothing(void **state)
{
    (void)state;
    const char *v = make("");
    settle();
    const char *as_other = arena_printf(W.arena, "/volume/v3/p-other/volumes/%s", v);
    assert_int_equal(as("other", 70, "GET", as_other, NULL), 404);
    assert_int_equal(as("other", 70, "DELETE", as_other, NULL), 404);
    assert_int_equal(as("other", 70, "GET", path("volumes", v, ""), NULL), 400);    /* another's path */
    assert_int_equal(as("other", 70, "GET", "/volume/v3/p-other/volumes?all_tenants=1", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(W.body, "volumes")), 0);
    assert_int_equal(as("admin", 70, "GET", "/volume/v3/p-admin/volumes?all_tenants=1", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(W.body, "volumes")), 1);
    assert_int_equal(call("POST", V "types", "{\"volume_type\": {\"name\": \"mine\"}}"), 403);
}

static void a_transfer_needs_its_key(void **state)
{
    (void)state;
    const char *v = make("");
    settle();
    assert_int_equal(call("POST", V "volume-transfers", arena_printf(W.arena, "{\"transfer\": {\"volume_id\": \"%s\"}}", v)),
                     202);
    const char *id = keep(text("transfer", "id")), *key = keep(text("transfer", "auth_key"));
    assert_string_equal(volume_status(v), "awaiting-transfer");
    /* what is offered can't be had back to attach it meanwhile */
    assert_int_equal(call("POST", path("volumes", v, "/action"), "{\"os-detach\": {}}"), 400);
    assert_string_equal(volume_status(v), "awaiting-transfer");
    const char *accept_path = arena_printf(W.arena, "/volume/v3/p-other/volume-transfers/%s/accept", id);
    assert_int_equal(as("other", 70, "POST", accept_path, "{\"accept\": {\"auth_key\": \"guess\"}}"), 400);
    assert_int_equal(as("other", 70, "POST", accept_path,
                        arena_printf(W.arena, "{\"accept\": {\"auth_key\": \"%s\"}}", key)), 202);
    assert_string_equal(volume_status(v), "gone");
    assert_int_equal(as("other", 70, "GET", arena_printf(W.arena, "/volume/v3/p-other/volumes/%s", v), NULL), 200);
}

static void public_images_are_administrators(void **state)
{
    (void)state;
    const char *v = make("");
    settle();
    assert_int_equal(call("POST", path("volumes", v, "/action"), "{\"os-volume_upload_image\": {\"image_name\": \"i\", "
                          "\"visibility\": \"public\"}}"), 403);
    assert_string_equal(volume_status(v), "available");
}

static void unmanaged_data_stays(void **state)
{
    (void)state;
    const char *v = make("");
    settle();
    assert_int_equal(as("admin", 70, "POST", path("volumes", v, "/action"), "{\"os-unmanage\": {}}"), 202);
    settle();
    assert_string_equal(volume_status(v), "gone");
    assert_int_equal(W.n, 1);
    assert_int_equal(as("admin", 70, "POST", "/volume/v3/p-admin/os-volume-manage",
                        arena_printf(W.arena, "{\"volume\": {\"host\": \"host1@local\", \"ref\": {\"source-name\": "
                                     "\"volume-%s\"}}}", v)), 202);
    const char *again = keep(text("volume", "id"));
    settle();
    assert_int_equal(W.n, 1);
    assert_int_equal(file_of(v)->made, 1);
    assert_int_equal(as("admin", 70, "DELETE", arena_printf(W.arena, "/volume/v3/p-admin/volumes/%s", again), NULL), 202);
    settle();
    assert_int_equal(W.n, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_life), T(backups_come_back), T(what_fails_is_told), T(no_backend_no_volume), T(late_reports_end_nothing),
        T(one_attachment_two_views), T(quotas_count_what_is_there), T(strangers_see_nothing),
        T(a_transfer_needs_its_key), T(public_images_are_administrators),
        T(unmanaged_data_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
