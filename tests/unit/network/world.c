/* See the header. */
#include "network/world.h"
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

struct world {
    struct store *store;
    struct api *api;
    struct http_app app;
    struct arena *arena;
    struct cloud_config config;
};

struct reply {
    const char *token;
    int status;
    char *text;
    json_t *body;
};
static _Thread_local struct reply reply;

/* ---- HTTP without sockets ---- */

const char *http_header(const struct http_request *rq, const char *name)
{
    (void)rq;
    if (strcasecmp(name, "X-Auth-Token") == 0)
        return reply.token;
    return strcasecmp(name, "Content-Type") == 0 ? "application/json" : NULL;
}
void http_headers(const struct http_request *rq, void (*fn)(void *arg, const char *name, const char *value),
                  void *arg)
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
void world_forget(void)
{
    free(reply.text);
    json_decref(reply.body);
    reply.text = NULL;
    reply.body = NULL;
}
void http_answer(struct http_request *rq, int status, const char *type, const void *body, size_t size)
{
    char error[200];
    (void)rq;
    (void)type;
    world_forget();
    reply.status = status;
    reply.text = strndup(body ? body : "", body ? size : 0);
    reply.body = size ? json_parse(body, size, error, sizeof(error)) : NULL;
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
void http_answer_file(struct http_request *rq, int status, const char *type, int fd, uint64_t offset,
                      uint64_t size)
{
    (void)offset;
    (void)size;
    (void)close(fd);
    http_answer(rq, status, type, NULL, 0);
}
struct http_parked *http_park(struct http_request *rq, usec_t timeout,
                              void (*woken)(struct http_request *rq, void *arg, enum http_wake_reason why),
                              void *arg)
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

static int authenticate(struct api *api, struct arena *a, const char *token, struct auth *ret,
                        struct fault *fault)
{
    (void)api;
    bool admin = STREQ(token, "admin");
    *ret = (struct auth){ .user_id = token,
                          .user_name = token,
                          .project_id = arena_printf(a, "project-%s", token),
                          .project_name = token,
                          .admin = admin,
                          .token = token };
    if (!admin && !STREQ(token, "demo") && !STREQ(token, "other"))
        return fault_set(fault, 401, "Unauthorized", "no");
    return strv_add(a, &ret->roles, "reader") && strv_add(a, &ret->roles, "member") &&
                   (!admin || strv_add(a, &ret->roles, "admin"))
               ? 0
               : -ENOMEM;
}

int world_call(struct world *w, const char *who, const char *method, const char *path, const char *format,
               ...)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    va_list ap;
    va_start(ap, format);
    char *body = format ? arena_vprintf(a, format, ap) : NULL;
    va_end(ap);
    world_forget();
    reply.token = who;
    reply.status = 0;
    char *plain = arena_strdup(a, path), *query = strchr(plain, '?'), *save = NULL;
    if (query)
        *query++ = 0;
    struct http_request rq = { .method = method,
                               .path = plain,
                               .raw_path = plain,
                               .query = query,
                               .arena = a,
                               .host = "cloud",
                               .id = "req-1",
                               .body = body,
                               .body_size = body ? strlen(body) : 0 };
    for (char *p = query ? strtok_r(query, "&", &save) : NULL; p; p = strtok_r(NULL, "&", &save)) {
        char *value = strchr(p, '=');
        if (value)
            *value++ = 0;
        char *copy = arena_strdup(a, value ? value : "");
        bool good = url_decode(copy, true) && vec_push(a, &rq.args, ((struct pair){ p, copy }));
        assert(good);
        (void)good;
    }
    if (w->app.begin(&rq, w->app.app) == 0)
        w->app.handle(&rq, w->app.app);
    w->app.done(&rq, w->app.app);
    return reply.status;
}

const char *world_text(void)
{
    return str_or(reply.text, "");
}

static const json_t *at_path(const char *path)
{
    const json_t *at = reply.body;
    char part[128];
    while (at && *path) {
        size_t n = strcspn(path, ".");
        (void)snprintf(part, sizeof(part), "%.*s", (int)n, path);
        at = json_is_array(at) ? json_array_get(at, (size_t)strtol(part, NULL, 10))
                               : json_object_get(at, part);
        path += n + (path[n] == '.');
    }
    return at;
}

const char *world_string(const char *path)
{
    return str_or(json_string_value(at_path(path)), "");
}

int64_t world_int(const char *path)
{
    const json_t *v = at_path(path);
    return json_is_integer(v) ? json_integer_value(v) : json_is_boolean(v) ? json_is_true(v) : -1;
}

int world_size(const char *path)
{
    const json_t *v = at_path(path);
    return json_is_array(v) ? (int)json_array_size(v) : -1;
}

const char *world_keep(struct world *w, const char *path)
{
    return arena_strdup(w->arena, world_string(path));
}

/* ---- the world ---- */

struct world *world_new(void)
{
    static const struct kind *kinds[64];
    static const struct service *const services[] = { &NETWORK_SERVICE, NULL };
    size_t n = 0;
    for (; NETWORK_SERVICE.kinds[n]; n++)
        kinds[n] = NETWORK_SERVICE.kinds[n];
    kinds[n++] = &QUOTA_KIND;
    kinds[n] = NULL;
    clock_fake(SECONDS(1700000000));
    random_fake(7);
    (void)log_set_levels("error");
    struct world *w = calloc(1, sizeof(*w));
    struct fault fault = { 0 };
    assert(w);
    w->arena = arena_new(0);
    int r = schema_defaults(&CLOUD_CONFIG_SCHEMA, w->arena, &w->config);
    bool added = strv_add(w->arena, &w->config.flat_networks, "public");
    assert(r == 0 && added);
    (void)added;
    r = store_open(&(struct store_options){ ":memory:", kinds, true, 0 }, &w->store, &fault);
    if (r)
        (void)fprintf(stderr, "store: %d %s\n", r, fault.message);
    assert(r == 0);
    r = api_new(&(struct api_options){ .store = w->store, .services = services, .config = &w->config },
                &w->api, &fault);
    if (r)
        (void)fprintf(stderr, "api: %d %s\n", r, fault.message);
    assert(r == 0);
    api_set_authenticator(w->api, authenticate);
    w->app = api_http_app(w->api);
    return w;
}

void world_free(struct world *w)
{
    effect_fail_at(0, 0);
    world_forget();
    api_free(w->api);
    store_close(w->store);
    arena_free(w->arena);
    free(w);
}

void world_report(struct world *w, const char *host, const char *json)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    char error[200];
    json_t *tree = json_parse(json, strlen(json), error, sizeof(error));
    assert(tree);
    int r = NETWORK_SECTION.observed(w->api, a, host, tree);
    assert(r == 0);
    (void)r;
    json_decref(tree);
}

json_t *world_section(struct world *w, const char *host)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    _cleanup_(buf_done) struct buf b = BUF_MAX(64 << 20);
    struct json_out o = JSON_OUT(&b);
    struct txn *t;
    char error[200];
    int r = store_read(w->store, a, &t);
    assert(r == 0);
    r = NETWORK_SECTION.desired(w->api, t, host, &o);
    assert(r == 0);
    (void)r;
    txn_done(t);
    return json_parse(buf_text(&b), b.len, error, sizeof(error));
}

size_t world_count(struct world *w, const struct kind *k)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct txn *t;
    uint64_t n = 0;
    int r = store_read(w->store, a, &t);
    assert(r == 0);
    r = txn_count(t, &(struct query){ .kind = k }, &n);
    assert(r == 0);
    (void)r;
    txn_done(t);
    return n;
}

static bool is_there(struct txn *t, const struct kind *k, const char *id)
{
    void *object = NULL;
    return id && txn_get_(t, k, id, &object) == 0 && object;
}

size_t world_faults(struct world *w)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct txn *t;
    struct results ports = { 0 }, subnets = { 0 }, rules = { 0 }, floats = { 0 };
    size_t n = 0;
    int r = store_read(w->store, a, &t);
    assert(r == 0);
    r = txn_list(t, &(struct query){ .kind = &PORT_KIND }, &ports) +
        txn_list(t, &(struct query){ .kind = &SUBNET_KIND }, &subnets) +
        txn_list(t, &(struct query){ .kind = &SECURITY_RULE_KIND }, &rules) +
        txn_list(t, &(struct query){ .kind = &FLOATING_IP_KIND }, &floats);
    assert(r == 0);
    (void)r;
    for (size_t i = 0; i < ports.n; i++) {
        const struct port *p = ports.v[i];
        n += !is_there(t, &NETWORK_KIND, p->network_id);
        n += str_starts(p->device_owner, "network:router") && !is_there(t, &ROUTER_KIND, p->device_id);
        n += STREQ(p->device_owner, OWNER_FLOATING_IP) && !is_there(t, &FLOATING_IP_KIND, p->device_id);
        VEC_FOREACH (ip, &p->fixed_ips) {
            n += !is_there(t, &SUBNET_KIND, ip->subnet_id);
            for (size_t j = 0; j < i; j++)
                VEC_FOREACH (other, &((struct port *)ports.v[j])->fixed_ips)
                    n += STREQ(other->subnet_id, ip->subnet_id) && STREQ(other->ip_address, ip->ip_address);
        }
    }
    for (size_t i = 0; i < subnets.n; i++)
        n += !is_there(t, &NETWORK_KIND, ((struct subnet *)subnets.v[i])->network_id);
    for (size_t i = 0; i < rules.n; i++)
        n += !is_there(t, &SECURITY_GROUP_KIND, ((struct security_rule *)rules.v[i])->security_group_id);
    for (size_t i = 0; i < floats.n; i++) {
        const struct floating_ip *f = floats.v[i];
        n += (f->own_port_id && !is_there(t, &PORT_KIND, f->own_port_id)) ||
             (f->port_id && !is_there(t, &PORT_KIND, f->port_id));
    }
    txn_done(t);
    return n;
}
