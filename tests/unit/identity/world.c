/* See the header. */
#include "world.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>

static const struct service *const SERVICES[] = { &IDENTITY_SERVICE, NULL };
#define START ((usec_t)1800000000 * 1000000)

static int seed(struct txn *t, void *arg)
{
    struct world *w = arg;
    struct seed_options o = { .admin_password = "secret", .public_url = "http://cloud.example.org:8774" };
    return IDENTITY_SERVICE.seed(w->api, t, &o);
}

struct world *world_new(void (*configure)(struct cloud_config *c))
{
    struct world *w = calloc(1, sizeof(*w));
    struct fault f = { 0 };
    assert_non_null(w);
    log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
    clock_fake(START);
    w->arena = arena_new(0);
    w->body = BUF_MAX(16 << 20);
    assert_int_equal(schema_defaults(&CLOUD_CONFIG_SCHEMA, w->arena, &w->config), 0);
    w->config.bcrypt_cost = 4;
    if (configure)
        configure(&w->config);
    struct store_options so = { .path = ":memory:", .kinds = IDENTITY_SERVICE.kinds, .relaxed = true };
    if (store_open(&so, &w->store, &f) != 0)
        fail_msg("store: %s", f.message);
    struct api_options ao = { .store = w->store, .services = SERVICES, .config = &w->config };
    if (api_new(&ao, &w->api, &f) != 0)
        fail_msg("api: %s", f.message);
    assert_int_equal(store_write(w->store, w->arena, seed, w), 0);
    assert_int_equal(api_start(w->api), 0);
    struct http_options ho = {
        .listen = "127.0.0.1:0", .threads = 1, .workers = 2, .app = api_http_app(w->api)
    };
    if (http_server_start(&ho, &w->server, &f) != 0)
        fail_msg("server: %s", f.message);
    struct http_client_options co = { .timeout = SECONDS(20) };
    assert_int_equal(http_client_new(&co, &w->client), 0);
    EXPECT(w, 201, NULL, "POST",
           "{'auth': {'identity': {'methods': ['password'], 'password': {'user': {'name': 'admin',"
           " 'domain': {'id': 'default'}, 'password': 'secret'}}},"
           " 'scope': {'project': {'name': 'admin', 'domain': {'name': 'Default'}}}}}",
           "/auth/tokens");
    w->admin = arena_strdup(w->arena, strmap_get(&w->reply.headers, "x-subject-token"));
    return w;
}

void world_free(struct world *w)
{
    http_client_free(w->client);
    http_server_stop(w->server, SECONDS(2));
    api_stop(w->api);
    api_free(w->api);
    store_close(w->store);
    buf_done(&w->body);
    json_decref(w->json);
    arena_free(w->arena);
    clock_real();
    free(w);
}

const char *format(struct world *w, const char *text, ...)
{
    va_list ap;
    va_start(ap, text);
    const char *s = arena_vprintf(w->arena, text, ap);
    va_end(ap);
    assert_non_null(s);
    return s;
}

int call(struct world *w, const char *token, const char *method, const char *body, const char *path, ...)
{
    va_list ap;
    va_start(ap, path);
    const char *rest = arena_vprintf(w->arena, path, ap);
    va_end(ap);
    char *json = arena_strdup(w->arena, body);
    for (char *p = json; p && *p; p++)
        *p = *p == '\'' ? '"' : *p;
    buf_clear(&w->body);
    json_decref(TAKE_PTR(w->json));
    struct http_call c = {
        .method = method, .body = json, .body_size = json ? strlen(json) : 0, .into = &w->body
    };
    c.url = format(w, "http://127.0.0.1:%u/identity/v3%s", http_server_port(w->server), rest);
    if (token)
        strmap_set(w->arena, &c.headers, "X-Auth-Token", token);
    if (w->subject)
        strmap_set(w->arena, &c.headers, "X-Subject-Token", w->subject);
    if (json)
        strmap_set(w->arena, &c.headers, "Content-Type", "application/json");
    int r = http_client_call(w->client, &c, w->arena, &w->reply);
    if (r < 0)
        fail_msg("%s %s: %s", method, rest, strerror(-r));
    char why[200];
    if (w->body.len && !(w->json = json_parse(buf_text(&w->body), w->body.len, why, sizeof(why))))
        fail_msg("%s %s: %s: %s", method, rest, why, buf_text(&w->body));
    return w->reply.status;
}

json_t *node_at(struct world *w, const char *path)
{
    struct strv parts = { 0 };
    json_t *n = w->json;
    strv_split(w->arena, &parts, path, ".");
    for (size_t i = 0; n && i < parts.n; i++)
        n = json_is_array(n) ? json_array_get(n, (size_t)strtoul(parts.v[i], NULL, 10))
                             : json_object_get(n, parts.v[i]);
    return n;
}

const char *text_at(struct world *w, const char *path)
{
    return arena_strdup(w->arena, json_string_value(node_at(w, path)));
}

size_t count_at(struct world *w, const char *path)
{
    return json_array_size(node_at(w, path));
}

bool list_has(struct world *w, const char *list, const char *key, const char *value)
{
    size_t i;
    json_t *item;
    json_array_foreach(node_at(w, list), i, item) if (str_eq(json_get_string(item, key), value)) return true;
    return false;
}

const char *make(struct world *w, const char *many, const char *one, const char *body, ...)
{
    va_list ap;
    va_start(ap, body);
    const char *inner = arena_vprintf(w->arena, body, ap);
    va_end(ap);
    EXPECT(w, 201, w->admin, "POST", format(w, "{'%s': %s}", one, inner), "/%s", many);
    const char *id = text_at(w, format(w, "%s.id", one));
    assert_non_null(id);
    return id;
}

static const char *token_of(struct world *w, const char *identity, const char *scope)
{
    int status = call(w, NULL, "POST",
                      format(w, "{'auth': {'identity': %s%s%s%s}}", identity, scope ? ", 'scope': {" : "",
                             str_or(scope, ""), scope ? "}" : ""),
                      "/auth/tokens");
    return status == 201 ? arena_strdup(w->arena, strmap_get(&w->reply.headers, "x-subject-token")) : NULL;
}

const char *login(struct world *w, const char *user_id, const char *password, const char *scope, ...)
{
    va_list ap;
    va_start(ap, scope);
    const char *inner = scope ? arena_vprintf(w->arena, scope, ap) : NULL;
    va_end(ap);
    return token_of(w,
                    format(w,
                           "{'methods': ['password'], 'password': {'user': {'id': '%s', 'password': '%s'}}}",
                           user_id, password),
                    inner);
}

const char *rescope(struct world *w, const char *token, const char *scope, ...)
{
    va_list ap;
    va_start(ap, scope);
    const char *inner = scope ? arena_vprintf(w->arena, scope, ap) : NULL;
    va_end(ap);
    return token_of(w, format(w, "{'methods': ['token'], 'token': {'id': '%s'}}", token), inner);
}

const char *role_id(struct world *w, const char *name)
{
    EXPECT(w, 200, w->admin, "GET", NULL, "/roles?name=%s", name);
    assert_int_equal(count_at(w, "roles"), 1);
    return text_at(w, "roles.0.id");
}

void grant(struct world *w, const char *where, const char *target, const char *user, const char *role)
{
    const char *id = role_id(w, role);
    if (STREQ(where, "system"))
        EXPECT(w, 204, w->admin, "PUT", NULL, "/system/users/%s/roles/%s", user, id);
    else
        EXPECT(w, 204, w->admin, "PUT", NULL, "/%s/%s/users/%s/roles/%s", where, target, user, id);
}

int validate(struct world *w, const char *token)
{
    w->subject = token;
    int status = call(w, w->admin, "GET", NULL, "/auth/tokens");
    w->subject = NULL;
    return status;
}
