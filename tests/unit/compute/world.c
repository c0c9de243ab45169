/* The cloud of world.h: HTTP, token, store and agents in one thread. */
#include "compute/world.h"
#include "http/websocket.h"
#include "volume/volume.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

struct domain {
    char id[64];
    struct server_observed seen;
    struct observed_disk disks[8];
    char disk_ids[8][64], devices[8][16];
    size_t n_disks;
};

struct sim_host {
    char name[64];
    int64_t vcpus, memory_mb, disk_gb;
    bool silent, break_retry;
    int breaks;
    struct domain domains[64];
    size_t n;
};

struct world {
    struct store *store;
    struct api *api;
    struct http_app app;
    struct watch *watch;
    struct arena *arena;            /* of what callers keep */
    struct sim_host hosts[8];
    size_t n_hosts;
    int status;
    json_t *body;
    char *text;
    const char *token;
    int minor;
};

static struct world *the_world;     /* of the fake HTTP below; a test has one */

/* ---- HTTP without sockets ---- */

static char version_text[64];

const char *http_header(const struct http_request *rq, const char *name)
{
    (void)rq;
    if (strcasecmp(name, "X-Auth-Token") == 0)
        return the_world->token;
    if (strcasecmp(name, "OpenStack-API-Version") == 0) {
        (void)snprintf(version_text, sizeof(version_text), "compute 2.%d", the_world->minor);
        return version_text;
    }
    return strcasecmp(name, "Content-Type") == 0 ? "application/json" : NULL;
}
void http_headers(const struct http_request *rq, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    (void)rq;
    (void)fn;
    (void)arg;
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
    (void)rq;
    (void)type;
    the_world->status = status;
    free(the_world->text);
    the_world->text = body ? strndup(body, size) : strdup("");
    json_decref(the_world->body);
    char error[200];
    the_world->body = size ? json_parse(body, size, error, sizeof(error)) : NULL;
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
void http_answer_file(struct http_request *rq, int status, const char *type, int fd, uint64_t offset, uint64_t size)
{
    (void)offset;
    (void)size;
    (void)close(fd);
    http_answer(rq, status, type, NULL, 0);
}
int websocket_upgrade(struct http_request *rq,
                      void (*run)(int fd, const void *extra, size_t extra_size, void *arg), void *arg,
                      struct fault *fault)
{
    (void)rq;
    (void)run;
    (void)arg;
    return fault_set(fault, 400, "BadRequest", "There are no sockets here.");
}
int websocket_pump(int ws_fd, const void *extra, size_t extra_size, int stream_fd, struct websocket_pump *p)
{
    (void)ws_fd;
    (void)extra;
    (void)extra_size;
    (void)stream_fd;
    (void)p;
    return -ENOTCONN;
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

static int authenticate(struct api *api, struct arena *a, const char *token, struct auth *ret, struct fault *fault)
{
    (void)api;
    bool admin = STREQ(token, "admin");
    *ret = (struct auth){ .user_id = arena_printf(a, "user-%s", token), .user_name = token,
                          .project_id = arena_printf(a, "project-%s", token), .project_name = token,
                          .admin = admin, .token = token, .user_domain_id = "default",
                          .project_domain_id = "default" };
    if (!admin && !STREQ(token, "demo") && !STREQ(token, "other"))
        return fault_set(fault, 401, "Unauthorized", "no");
    static const char *const ROLES[] = { "reader", "member" };
    for (size_t i = 0; i < ARRAY_SIZE(ROLES); i++)
        strv_add(a, &ret->roles, ROLES[i]);
    if (admin)
        strv_add(a, &ret->roles, "admin");
    return 0;
}

int world_call(struct world *w, const char *who, int minor, const char *method, const char *path, const char *body)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    the_world = w;
    w->token = who;
    w->minor = minor;
    w->status = 0;
    char *plain = arena_strdup(a, path), *query = strchr(plain, '?');
    if (query)
        *query++ = 0;
    struct http_request rq = { .method = method, .path = plain, .raw_path = plain, .query = query, .arena = a,
                               .host = "cloud", .id = "req-1", .body = body, .body_size = body ? strlen(body) : 0 };
    char *save = NULL;
    for (char *p = query ? strtok_r(query, "&", &save) : NULL; p; p = strtok_r(NULL, "&", &save)) {
        char *value = strchr(p, '=');
        if (value)
            *value++ = 0;
        char *copy = arena_strdup(a, value ? value : "");
        assert(url_decode(copy, true));
        assert(vec_push(a, &rq.args, ((struct pair){ p, copy })));
    }
    if (w->app.begin(&rq, w->app.app) == 0)
        w->app.handle(&rq, w->app.app);
    w->app.done(&rq, w->app.app);
    return w->status;
}

const json_t *world_body(const struct world *w)
{
    return w->body;
}

const char *world_text(const struct world *w)
{
    return str_or(w->text, "");
}

const json_t *world_get(const struct world *w, const char *path)
{
    const json_t *at = w->body;
    char part[128];
    while (at && *path) {
        size_t n = strcspn(path, ".");
        (void)snprintf(part, sizeof(part), "%.*s", (int)n, path);
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(part)) : json_object_get(at, part);
        path += n + (path[n] == '.');
    }
    return at;
}

const char *world_string(const struct world *w, const char *path)
{
    return json_string_value(world_get(w, path));
}

int64_t world_int(const struct world *w, const char *path)
{
    const json_t *v = world_get(w, path);
    return json_is_integer(v) ? json_integer_value(v) : -1;
}

/* ---- networks and images as rows ---- */

struct test_port { struct object head; const char *server_id, *host, *address; bool own; };
static const struct field PORT_ROWS[] = {
    FIELD_ID(struct test_port),
    { "server_id", FIELD_STRING, offsetof(struct test_port, server_id), FILTER | INDEX },
    { "host", FIELD_STRING, offsetof(struct test_port, host), FILTER },
    { "address", FIELD_STRING, offsetof(struct test_port, address), FILTER },
    { "own", FIELD_BOOL, offsetof(struct test_port, own), 0 },
};
static SCHEMA(PORT_SCHEMA, struct test_port, PORT_ROWS);
const struct kind TEST_PORT_KIND = { .name = "test.port", .schema = &PORT_SCHEMA, .host_field = "host" };

static int list_ports(struct txn *t, const char *server_id, struct results *ret)
{
    struct query q = { .kind = &TEST_PORT_KIND };
    query_where(&q, txn_arena(t), "server_id", Q_EQ, server_id);
    return txn_list(t, &q, ret);
}

static int view(struct txn *t, const struct test_port *p, struct port_view *v)
{
    *v = (struct port_view){ .id = p->head.id, .network_id = WORLD_NETWORK, .network_name = "private",
                             .mac = "fa:16:3e:00:00:01", .own = p->own, .admin_up = true, .status = "ACTIVE",
                             .device_name = "tap1", .host = p->host };
    struct port_address *a = vec_add(txn_arena(t), &v->addresses);
    if (!a || !strv_add(txn_arena(t), &v->security_groups, "sg-default"))
        return -ENOMEM;
    *a = (struct port_address){ .ip = p->address, .subnet_id = "s", .cidr = "10.0.0.0/24", .version = 4 };
    return 0;
}

int (*network_server_project)(struct txn *t, const char *server_id, const char **ret);

int network_ports_take(struct call *c, struct txn *t, const char *project_id, const char *server_id,
                       const char *server_name, const char *zone, const struct port_wish *wishes, size_t n,
                       const struct strv *groups, struct port_views *ret, struct fault *fault)
{
    (void)c;
    (void)project_id;
    (void)server_name;
    (void)zone;
    for (size_t i = 0; i < groups->n; i++)
        if (!STREQ(groups->v[i], "default"))
            return fault_set(fault, 404, "SecurityGroupNotFound", "Security group %s not found.", groups->v[i]);
    for (size_t i = 0; i < n; i++) {
        if (!wishes[i].automatic && !str_eq(wishes[i].network_id, WORLD_NETWORK))
            return fault_set(fault, 404, "NetworkNotFound", "Network %s could not be found.", wishes[i].network_id);
        uint64_t number;
        struct query q = { .kind = &TEST_PORT_KIND };
        int r = txn_count(t, &q, &number);
        if (r < 0)
            return r;
        struct test_port p = { .head.id = uuid_new(txn_arena(t)), .server_id = server_id, .own = true,
                               .address = arena_printf(txn_arena(t), "10.0.0.%d", (int)number + 2) };
        r = txn_put(t, &TEST_PORT_KIND, &p);
        struct port_view *v = vec_add(txn_arena(t), ret);
        if (r < 0 || !v)
            return r < 0 ? r : -ENOMEM;
        r = view(t, &p, v);
        if (r < 0)
            return r;
    }
    return 0;
}
int network_ports_of(struct txn *t, const char *server_id, struct port_views *ret)
{
    struct results l;
    int r = list_ports(t, server_id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        struct port_view *v = vec_add(txn_arena(t), ret);
        r = v ? view(t, l.v[i], v) : -ENOMEM;
    }
    return r;
}
int network_ports_of_many(struct txn *t, const struct strv *server_ids,
                          int (*each)(void *arg, const char *server_id, const struct port_view *port), void *arg)
{
    for (size_t i = 0; i < server_ids->n; i++) {
        struct port_views v = { 0 };
        int r = network_ports_of(t, server_ids->v[i], &v);
        VEC_FOREACH(p, &v)
            r = r ? r : each(arg, server_ids->v[i], p);
        if (r)
            return r;
    }
    return 0;
}
int network_ports_bind(struct txn *t, const char *server_id, const char *host, const char *zone)
{
    struct results l;
    (void)zone;
    int r = list_ports(t, server_id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        ((struct test_port *)l.v[i])->host = host;
        r = txn_put(t, &TEST_PORT_KIND, l.v[i]);
    }
    return r;
}
int network_port_release(struct txn *t, const char *server_id, const char *port_id, struct fault *fault)
{
    struct test_port *p;
    int r = txn_get(t, &TEST_PORT_KIND, port_id, &p);
    if (r < 0)
        return r;
    if (!p || !str_eq(p->server_id, server_id))
        return fault_set(fault, 404, "PortNotFound", "Port %s could not be found.", port_id);
    return txn_delete(t, &TEST_PORT_KIND, port_id);
}
int network_ports_release(struct txn *t, const char *server_id)
{
    struct results l;
    int r = list_ports(t, server_id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = txn_delete(t, &TEST_PORT_KIND, ((struct object *)l.v[i])->id);
    return r;
}
int network_ports_group(struct txn *t, const char *project_id, const char *server_id, const char *group, bool add,
                        struct fault *fault)
{
    (void)t;
    (void)project_id;
    (void)server_id;
    (void)add;
    return STREQ(group, "default") ? 0 : fault_set(fault, 404, "SecurityGroupNotFound", "no %s", group);
}
int network_devices_by_ip(struct txn *t, const char *expression, int version, bool regex, struct strv *ret)
{
    struct query q = { .kind = &TEST_PORT_KIND };
    struct results l;
    (void)version;
    query_where(&q, txn_arena(t), "address", regex ? Q_REGEX : Q_EQ, expression);
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++)
        strv_add(txn_arena(t), ret, ((struct test_port *)l.v[i])->server_id);
    return r;
}
int network_group_find(struct txn *t, const char *project_id, const char *group, const char **ret_id,
                       const char **ret_name)
{
    (void)t;
    (void)project_id;
    *ret_id = group;
    *ret_name = "default";
    return 0;
}

/* Volumes: one row each, which is its attachment too. */
struct test_volume { struct object head; const char *server_id, *host, *device, *status; bool bootable; };
static const struct field VOLUME_ROWS[] = {
    FIELD_ID(struct test_volume),
    { "server_id", FIELD_STRING, offsetof(struct test_volume, server_id), FILTER | INDEX },
    { "host", FIELD_STRING, offsetof(struct test_volume, host), FILTER },
    { "device", FIELD_STRING, offsetof(struct test_volume, device), 0 },
    { "status", FIELD_STRING, offsetof(struct test_volume, status), 0 },
    { "bootable", FIELD_BOOL, offsetof(struct test_volume, bootable), 0 },
};
static SCHEMA(VOLUME_SCHEMA, struct test_volume, VOLUME_ROWS);
const struct kind TEST_VOLUME_KIND = { .name = "test.volume", .schema = &VOLUME_SCHEMA, .host_field = "host" };

int volume_info(struct txn *t, const char *project_id, bool admin, const char *id, struct volume_info **ret,
                struct fault *fault)
{
    struct test_volume *v;
    (void)project_id;
    (void)admin;
    int r = txn_get(t, &TEST_VOLUME_KIND, id, &v);
    if (r < 0)
        return r;
    if (!v)
        return fault_set(fault, 404, "VolumeNotFound", "Volume %s could not be found.", id);
    *ret = ARENA_NEW(txn_arena(t), struct volume_info);
    if (!*ret)
        return -ENOMEM;
    **ret = (struct volume_info){ .id = id, .status = v->server_id ? "in-use" : "available", .size = 1,
                                  .bootable = v->bootable };
    return 0;
}
int volume_make(struct call *c, const struct volume_wish *w, const char **ret_id, struct fault *fault)
{
    (void)fault;
    struct test_volume v = { .head.id = uuid_new(c->arena), .status = "available", .bootable = w->image_id != NULL };
    *ret_id = v.head.id;
    return txn_put(c->txn, &TEST_VOLUME_KIND, &v);
}
int volume_attach_begin(struct txn *t, const struct attach_wish *w, const char **ret_attachment_id,
                        struct fault *fault)
{
    struct test_volume *v;
    int r = txn_get(t, &TEST_VOLUME_KIND, w->volume_id, &v);
    if (r < 0)
        return r;
    if (!v)
        return fault_set(fault, 404, "VolumeNotFound", "Volume %s could not be found.", w->volume_id);
    if (v->server_id)
        return fault_set(fault, 400, "InvalidVolume", "Invalid volume: in use.");
    v->server_id = w->server_id;
    v->host = w->host;
    v->device = w->device;
    v->status = "attaching";
    *ret_attachment_id = v->head.id;
    return txn_put(t, &TEST_VOLUME_KIND, v);
}
static int volume_of(struct txn *t, const char *server_id, const char *volume_id, struct test_volume **ret)
{
    int r = txn_get(t, &TEST_VOLUME_KIND, volume_id, ret);
    if (r == 0 && *ret && !str_eq((*ret)->server_id, server_id))
        *ret = NULL;
    return r;
}
int volume_attached(struct txn *t, const char *server_id, const char *volume_id, const char *host,
                    const char *device, bool *ret_changed)
{
    struct test_volume *v;
    int r = volume_of(t, server_id, volume_id, &v);
    if (r < 0 || !v)
        return r;
    *ret_changed = true;
    v->status = "attached";
    v->host = host;
    v->device = device;
    return txn_put(t, &TEST_VOLUME_KIND, v);
}
int volume_detach_begin(struct txn *t, const char *server_id, const char *volume_id, struct fault *fault)
{
    struct test_volume *v;
    int r = volume_of(t, server_id, volume_id, &v);
    if (r < 0)
        return r;
    if (!v)
        return fault_set(fault, 404, "VolumeNotFound", "not attached");
    v->status = "detaching";
    return txn_put(t, &TEST_VOLUME_KIND, v);
}
int volume_detached(struct txn *t, const char *server_id, const char *volume_id, bool remove)
{
    struct test_volume *v;
    int r = volume_of(t, server_id, volume_id, &v);
    if (r < 0 || !v)
        return r;
    if (remove)
        return txn_delete(t, &TEST_VOLUME_KIND, volume_id);
    v->server_id = v->host = v->device = NULL;
    v->status = "available";
    return txn_put(t, &TEST_VOLUME_KIND, v);
}
int volume_server_moved(struct txn *t, const char *server_id, const char *host)
{
    struct query q = { .kind = &TEST_VOLUME_KIND };
    struct results l;
    query_where(&q, txn_arena(t), "server_id", Q_EQ, server_id);
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        ((struct test_volume *)l.v[i])->host = host;
        r = txn_put(t, &TEST_VOLUME_KIND, l.v[i]);
    }
    return r;
}
int volume_server_place(struct txn *t, const char *server_id, const char **ret_host)
{
    (void)t;
    (void)server_id;
    *ret_host = NULL;
    return 0;
}
int volume_attachments_of(struct txn *t, const char *server_id, struct attachment_views *ret)
{
    static const struct disk_source SOURCE = { .driver = "file", .format = "raw", .path = "/v" };
    struct query q = { .kind = &TEST_VOLUME_KIND };
    struct results l;
    query_where(&q, txn_arena(t), "server_id", Q_EQ, server_id);
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const struct test_volume *v = l.v[i];
        struct attachment_view *a = vec_add(txn_arena(t), ret);
        if (!a)
            return -ENOMEM;
        *a = (struct attachment_view){ .id = v->head.id, .volume_id = v->head.id, .server_id = server_id,
                                       .host = v->host, .device = v->device, .status = v->status, .size = 1,
                                       .source = &SOURCE };
    }
    return r;
}

static int put_volume(struct txn *t, void *arg)
{
    return txn_put(t, &TEST_VOLUME_KIND, arg);
}
const char *world_volume(struct world *w, bool bootable)
{
    struct test_volume v = { .head.id = uuid_new(w->arena), .status = "available", .bootable = bootable };
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    assert(store_write(w->store, a, put_volume, &v) == 0);
    return v.head.id;
}

struct test_image { struct object head; const char *name, *owner, *status; };
static const struct field IMAGE_ROWS[] = {
    FIELD_ID(struct test_image),
    { "name", FIELD_STRING, offsetof(struct test_image, name), 0 },
    { "owner", FIELD_STRING, offsetof(struct test_image, owner), 0 },
    { "status", FIELD_STRING, offsetof(struct test_image, status), 0 },
};
static SCHEMA(IMAGE_SCHEMA, struct test_image, IMAGE_ROWS);
const struct kind TEST_IMAGE_KIND = { .name = "test.image", .schema = &IMAGE_SCHEMA };

int image_get(struct txn *t, const char *project_id, bool admin, const char *id, struct image_view **ret,
              struct fault *fault)
{
    (void)project_id;
    (void)admin;
    struct test_image *i = NULL;
    int r = STREQ(id, WORLD_IMAGE) ? 0 : txn_get(t, &TEST_IMAGE_KIND, id, &i);
    if (r < 0)
        return r;
    if (!i && !STREQ(id, WORLD_IMAGE))
        return fault_set(fault, 404, "ImageNotFound", "No image found with ID %s", id);
    struct image_view *v = ARENA_NEW(txn_arena(t), struct image_view);
    if (!v)
        return -ENOMEM;
    *v = (struct image_view){ .id = id, .name = "cirros", .status = i ? i->status : "active", .disk_format = "qcow2",
                              .container_format = "bare", .size = 1 << 20, .virtual_size = 64 << 20 };
    *ret = v;
    return 0;
}
int image_create(struct txn *t, const struct image_new *n, const char **ret_id, struct fault *fault)
{
    (void)fault;
    struct test_image i = { .head.id = uuid_new(txn_arena(t)), .name = n->name, .owner = n->owner, .status = "queued" };
    *ret_id = i.head.id;
    return txn_put(t, &TEST_IMAGE_KIND, &i);
}
int image_remove(struct txn *t, const char *id)
{
    return txn_delete(t, &TEST_IMAGE_KIND, id);
}
/* Of the image calls that are passed on this world knows its own image only. */
int image_list(struct txn *t, const char *project_id, bool admin, const struct image_filter *f,
               struct image_views *ret)
{
    struct image_view *v;
    struct fault fault;
    int r = image_get(t, project_id, admin, WORLD_IMAGE, &v, &fault);
    if (r == 0 && (!f->name || str_eq(f->name, v->name)) && !vec_push(txn_arena(t), &ret->list, *v))
        r = -ENOMEM;
    return r;
}
int image_set_properties(struct txn *t, const char *project_id, bool admin, const char *id,
                         const struct strmap *properties, bool replace, struct image_view **ret, struct fault *fault)
{
    (void)properties;
    (void)replace;
    return image_get(t, project_id, admin, id, ret, fault);
}
int image_delete(struct api *api, struct arena *a, const char *project_id, bool admin, const char *id,
                 struct fault *fault)
{
    (void)api;
    (void)a;
    (void)project_id;
    (void)admin;
    return fault_set(fault, 404, "ImageNotFound", "No image found with ID %s", id);
}

/* ---- the world ---- */

struct world *world_new(void)
{
    static const struct kind *kinds[40];
    size_t n = 0;
    for (; COMPUTE_KINDS[n]; n++)
        kinds[n] = COMPUTE_KINDS[n];
    kinds[n++] = &QUOTA_KIND;
    kinds[n++] = &TEST_PORT_KIND;
    kinds[n++] = &TEST_IMAGE_KIND;
    kinds[n++] = &TEST_VOLUME_KIND;
    kinds[n] = NULL;
    clock_fake(SECONDS(1700000000));
    random_fake(7);
    (void)log_set_levels("error");
    struct world *w = calloc(1, sizeof(*w));
    assert(w);
    the_world = w;
    w->arena = arena_new(0);
    struct fault fault = { 0 };
    int r = store_open(&(struct store_options){ ":memory:", kinds, true }, &w->store, &fault);
    if (r)
        (void)fprintf(stderr, "store: %d %s\n", r, fault.message);
    assert(r == 0);
    static const struct service *const services[] = { (const struct service *)&COMPUTE_SERVICE, NULL };
    r = api_new(&(struct api_options){ .store = w->store, .services = services }, &w->api, &fault);
    if (r)
        (void)fprintf(stderr, "api: %d %s\n", r, fault.message);
    assert(r == 0);
    api_set_authenticator(w->api, authenticate);
    assert(COMPUTE_SERVICE.start(w->api) == 0);
    w->app = api_http_app(w->api);
    static const struct kind *watched[] = { &SERVER_KIND, &LEG_KIND, &COMPUTE_HOST_KIND, &AGGREGATE_KIND,
                                            &MIGRATION_KIND, NULL };
    r = watch_open(w->store, 0, watched, NULL, NULL, &w->watch);
    assert(r == 0);
    return w;
}

void world_free(struct world *w)
{
    if (!w)
        return;
    effect_fail_at(0, 0);
    watch_close(w->watch);
    COMPUTE_SERVICE.stop(w->api);
    api_free(w->api);
    store_close(w->store);
    arena_free(w->arena);
    json_decref(w->body);
    free(w->text);
    free(w);
}

struct store *world_store(struct world *w)
{
    return w->store;
}

struct api *world_api(struct world *w)
{
    return w->api;
}

/* ---- hosts ---- */

static struct sim_host *host_of(const struct world *w, const char *name)
{
    for (size_t i = 0; i < w->n_hosts; i++)
        if (STREQ(w->hosts[i].name, name))
            return (struct sim_host *)(uintptr_t)&w->hosts[i];
    return NULL;
}

static void post(struct world *w, const struct agent_section *section, const char *host, const char *text)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    char error[200];
    _cleanup_(json_decrefp) json_t *tree = json_parse(text, strlen(text), error, sizeof(error));
    assert(tree);
    (void)section->observed(w->api, a, host, tree);     /* what was lost is reported again */
}

static void report_facts(struct world *w, const struct sim_host *h)
{
    char text[400];
    (void)snprintf(text, sizeof(text), "{\"hostname\": \"%s\", \"driver\": \"simulated\", \"arch\": \"x86_64\", "
                   "\"hypervisor_type\": \"QEMU\", \"vcpus\": %lld, \"memory_mb\": %lld, \"disk_gb\": %lld, "
                   "\"host_ip\": \"192.0.2.1\"}", h->name, (long long)h->vcpus, (long long)h->memory_mb,
                   (long long)h->disk_gb);
    post(w, &HOST_SECTION, h->name, text);
}

void world_host(struct world *w, const char *name, int64_t vcpus, int64_t memory_mb, int64_t disk_gb)
{
    struct sim_host *h = &w->hosts[w->n_hosts++];
    assert(w->n_hosts <= ARRAY_SIZE(w->hosts));
    (void)snprintf(h->name, sizeof(h->name), "%s", name);
    h->vcpus = vcpus;
    h->memory_mb = memory_mb;
    h->disk_gb = disk_gb;
    report_facts(w, h);
}

void world_host_silent(struct world *w, const char *name, bool silent)
{
    host_of(w, name)->silent = silent;
}

void world_host_breaks(struct world *w, const char *name, int n, bool retry)
{
    host_of(w, name)->breaks = n;
    host_of(w, name)->break_retry = retry;
}

static struct domain *domain_of(struct sim_host *h, const char *id)
{
    for (size_t i = 0; i < h->n; i++)
        if (STREQ(h->domains[i].id, id))
            return &h->domains[i];
    return NULL;
}

size_t world_domains(const struct world *w, const char *name)
{
    size_t n = 0;
    const struct sim_host *h = host_of(w, name);
    for (size_t i = 0; i < h->n; i++)
        n += !str_eq(h->domains[i].seen.power, POWER_ABSENT);
    return n;
}

void world_guest_off(struct world *w, const char *server_id)
{
    for (size_t i = 0; i < w->n_hosts; i++) {
        struct domain *d = domain_of(&w->hosts[i], server_id);
        if (d)
            d->seen.power = POWER_SHUTOFF;
    }
}

/* Does at once what the spec says; a word of the wanted power that outlives the spec. */
static void carry_out(struct sim_host *h, const struct server_spec *s)
{
    static const char *const POWERS[] = { POWER_RUNNING, POWER_SHUTOFF, POWER_PAUSED, POWER_SUSPENDED };
    struct domain *d = domain_of(h, s->id);
    if (!d) {
        assert(h->n < ARRAY_SIZE(h->domains));
        d = &h->domains[h->n++];
        *d = (struct domain){ 0 };
        (void)snprintf(d->id, sizeof(d->id), "%s", s->id);
        d->seen.power = POWER_ABSENT;
    }
    struct server_observed *o = &d->seen;
    bool same = o->revision == s->revision;
    o->id = d->id;
    o->known = true;
    o->fault_code = 0;
    if (s->deleted) {
        o->revision = s->revision;
        o->power = POWER_ABSENT;
        o->converged = true;
        return;
    }
    if (h->breaks > 0 && str_eq(o->power, POWER_ABSENT)) {
        h->breaks -= !same;
        o->revision = s->revision;
        o->fault_code = 500;
        o->fault_message = "The host burned.";
        o->fault_retry = h->break_retry;
        return;
    }
    if (!same || str_eq(o->power, POWER_ABSENT))
        for (size_t i = 0; i < ARRAY_SIZE(POWERS); i++)
            if (str_eq(POWERS[i], s->power))
                o->power = POWERS[i];
    o->revision = s->revision;
    o->converged = true;
    o->rescue = s->rescue;
    o->reboot_soft = s->reboot_soft;
    o->reboot_hard = s->reboot_hard;
    o->rebuild = s->rebuild;
    o->password = s->password;
    o->nmi = s->nmi;
    o->resize = s->resize;
    o->instance_name = "yun-1";
    o->root_device = "/dev/vda";
    o->console_host = "127.0.0.1";
    o->vnc_port = 5900;
    o->serial_path = "/run/yunduo/serial/1";
    d->n_disks = 0;
    VEC_FOREACH(k, &s->disks)
        if (d->n_disks < ARRAY_SIZE(d->disks)) {
            (void)snprintf(d->disk_ids[d->n_disks], sizeof(d->disk_ids[0]), "%s", k->id);
            (void)snprintf(d->devices[d->n_disks], sizeof(d->devices[0]), "%s", k->device ? k->device : "vda");
            d->n_disks++;
        }
}

/* One poll and one report. */
static void host_turn(struct world *w, struct sim_host *h)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    _cleanup_(buf_done) struct buf b = BUF_MAX((size_t)16 << 20);
    struct json_out o = JSON_OUT(&b);
    struct txn *t;
    if (h->silent)
        return;
    report_facts(w, h);
    if (store_read(w->store, a, &t) < 0)
        return;
    int r = SERVERS_SECTION.desired(w->api, t, h->name, &o);
    txn_done(t);
    if (r < 0)
        return;
    char error[200];
    _cleanup_(json_decrefp) json_t *list = json_parse(buf_text(&b), b.len, error, sizeof(error));
    assert(json_is_array(list));
    size_t i;
    json_t *item;
    buf_clear(&b);
    o = JSON_OUT(&b);
    json_open_array(&o);
    bool wanted[ARRAY_SIZE(h->domains)] = { 0 };
    json_array_foreach(list, i, item) {
        struct server_spec *spec = ARENA_NEW(a, struct server_spec);
        struct decode_error e;
        r = schema_decode(&SERVER_SPEC_SCHEMA, item, DECODE_STORED, 0, a, spec, NULL, &e);
        assert(r == 0 && spec->id);
        carry_out(h, spec);
        struct domain *d = domain_of(h, spec->id);
        wanted[d - h->domains] = true;
        VEC_FOREACH(snapshot, &spec->snapshots) {
            struct observed_task *task = vec_add(a, &d->seen.tasks);
            *task = (struct observed_task){ .id = snapshot->id, .kind = "snapshot", .state = "done",
                                            .progress = 100 };
        }
        for (size_t k = 0; k < d->n_disks; k++)
            d->disks[k] = (struct observed_disk){ .id = d->disk_ids[k], .device = d->devices[k] };
        d->seen.disks = (__typeof__(d->seen.disks)){ d->disks, d->n_disks, d->n_disks };
        const struct encode_options opt = { .stored = true };
        schema_encode(&SERVER_OBSERVED_SCHEMA, &d->seen, &opt, &o);
        d->seen.tasks = (__typeof__(d->seen.tasks)){ 0 };
    }
    json_close_array(&o);
    /* What nobody knows any more is dropped once it is absent. */
    size_t kept = 0;
    for (i = 0; i < h->n; i++)
        if (wanted[i] || !str_eq(h->domains[i].seen.power, POWER_ABSENT)) {
            h->domains[kept] = h->domains[i];
            h->domains[kept].seen.id = h->domains[kept].id;
            kept++;
        }
    h->n = kept;
    post(w, &SERVERS_SECTION, h->name, buf_text(&b));
}

void world_settle(struct world *w)
{
    the_world = w;
    for (unsigned round = 0; round < 30; round++) {
        struct change changes[256];
        size_t n = 0;
        _cleanup_(arena_freep) struct arena *a = arena_new(0);
        uint64_t before, after;
        struct txn *t;
        if (store_read(w->store, a, &t) < 0)
            continue;
        before = txn_revision(t);
        txn_done(t);
        (void)watch_next(w->watch, 0, changes, ARRAY_SIZE(changes), &n);
        /* A failed step is made up by a full pass, as the real controllers do. */
        if (!n || COMPUTE_SCHEDULER.step(w->api, a, changes, n) < 0)
            (void)COMPUTE_SCHEDULER.step(w->api, a, NULL, 0);
        (void)COMPUTE_CONTROLLER.step(w->api, a, NULL, 0);
        for (size_t i = 0; i < w->n_hosts; i++)
            host_turn(w, &w->hosts[i]);
        if (store_read(w->store, a, &t) < 0)
            continue;
        after = txn_revision(t);
        txn_done(t);
        if (round > 2 && before == after && !n && !atomic_load(&effect_countdown))
            return;
    }
}

static int make_ready(struct txn *t, void *arg)
{
    struct results l;
    (void)arg;
    int r = txn_list(t, &(struct query){ .kind = &TEST_IMAGE_KIND }, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        ((struct test_image *)l.v[i])->status = "active";
        r = txn_put(t, &TEST_IMAGE_KIND, l.v[i]);
    }
    return r;
}

void world_image_ready(struct world *w)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    assert(store_write(w->store, a, make_ready, NULL) == 0);
}

void world_advance(struct world *w, usec_t by)
{
    (void)w;
    clock_advance(by);
}

/* ---- questions ---- */

const char *world_status(struct world *w, const char *server_id)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/compute/v2.1/servers/%s", server_id);
    return world_call(w, "admin", 93, "GET", path, NULL) == 200 ? world_string(w, "server.status") : "";
}

size_t world_count(struct world *w, const struct kind *k)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct txn *t;
    uint64_t n = 0;
    assert(store_read(w->store, a, &t) == 0);
    struct query q = { .kind = k };
    assert(txn_count(t, &q, &n) == 0);
    txn_done(t);
    return n;
}

size_t world_orphans(struct world *w)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    size_t orphans = 0;
    struct txn *t;
    assert(store_read(w->store, a, &t) == 0);
    struct results ports, legs, tasks;
    assert(txn_list(t, &(struct query){ .kind = &TEST_PORT_KIND }, &ports) == 0);
    assert(txn_list(t, &(struct query){ .kind = &LEG_KIND }, &legs) == 0);
    assert(txn_list(t, &(struct query){ .kind = &SNAPSHOT_TASK_KIND }, &tasks) == 0);
    struct server *s;
    for (size_t i = 0; i < ports.n; i++) {
        assert(txn_get(t, &SERVER_KIND, ((struct test_port *)ports.v[i])->server_id, &s) == 0);
        orphans += !s;
    }
    for (size_t i = 0; i < legs.n; i++) {
        assert(txn_get(t, &SERVER_KIND, ((struct leg *)legs.v[i])->server_id, &s) == 0);
        orphans += !s;
    }
    for (size_t i = 0; i < tasks.n; i++) {
        assert(txn_get(t, &SERVER_KIND, ((struct snapshot_task *)tasks.v[i])->server_id, &s) == 0);
        orphans += !s;
    }
    for (size_t h = 0; h < w->n_hosts; h++)
        for (size_t i = 0; i < w->hosts[h].n; i++) {
            const struct domain *d = &w->hosts[h].domains[i];
            assert(txn_get(t, &SERVER_KIND, d->id, &s) == 0);
            orphans += !str_eq(d->seen.power, POWER_ABSENT) && !(s && str_eq(s->host, w->hosts[h].name));
        }
    txn_done(t);
    return orphans;
}

void world_flavors(struct world *w)
{
    assert(world_call(w, "admin", 1, "POST", "/compute/v2.1/flavors",
                      "{\"flavor\": {\"name\": \"tiny\", \"id\": \"1\", \"ram\": 512, \"vcpus\": 1, \"disk\": 1}}") ==
           200);
    assert(world_call(w, "admin", 1, "POST", "/compute/v2.1/flavors",
                      "{\"flavor\": {\"name\": \"small\", \"id\": 2, \"ram\": \"1024\", \"vcpus\": 2, \"disk\": 2}}") ==
           200);
}

const char *world_boot(struct world *w, const char *name)
{
    char body[400];
    (void)snprintf(body, sizeof(body), "{\"server\": {\"name\": \"%s\", \"imageRef\": \"" WORLD_IMAGE
                   "\", \"flavorRef\": \"1\"}}", name);
    int status = world_call(w, "demo", 1, "POST", "/compute/v2.1/servers", body);
    if (status != 202)
        (void)fprintf(stderr, "boot: %d %s\n", status, world_text(w));
    assert(status == 202);
    return arena_strdup(w->arena, world_string(w, "server.id"));
}
