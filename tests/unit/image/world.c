/* See the header. */
#include "world.h"

#include "files.h"
#include "image/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int authenticate(struct api *api, struct arena *a, const char *token, struct auth *ret,
                        struct fault *fault)
{
    (void)api;
    struct strv parts = {};
    strv_split(a, &parts, token, "/");
    if (parts.n != 3)
        return fault_set(fault, 401, "Unauthorized", "no");
    *ret = (struct auth){ .user_id = parts.v[0],
                          .user_name = parts.v[0],
                          .project_id = parts.v[1],
                          .project_name = parts.v[1],
                          .token = arena_strdup(a, token) };
    strv_split(a, &ret->roles, parts.v[2], ",");
    ret->admin = strv_has(&ret->roles, "admin");
    return 0;
}

static const struct service *const SERVICES[] = { &IMAGE_SERVICE, &IMAGE_AGENT_SERVICE, NULL };
extern const struct kind QUOTA_KIND;

/* A port that was free a moment ago. */
static unsigned free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    (void)close(fd);
    return ntohs(a.sin_port);
}

struct world *world_new(const char *name, void (*configure)(struct world *w))
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->arena = arena_new(0);
    w->body = BUF_MAX(64 << 20);
    snprintf(w->folder, sizeof(w->folder), "%s", files_path(name));
    setenv("YUNDUO_RELAXED", "1", 1);
    assert_int_equal(schema_defaults(&CLOUD_CONFIG_SCHEMA, w->arena, &w->config), 0);
    w->port = free_port();
    if (configure)
        configure(w);
    const struct kind *kinds[16] = { &QUOTA_KIND };
    for (size_t k = 0; IMAGE_SERVICE.kinds[k]; k++)
        kinds[k + 1] = IMAGE_SERVICE.kinds[k];
    struct fault f = {};
    struct store_options so = { .path = ":memory:", .kinds = kinds, .relaxed = true };
    if (store_open(&so, &w->store, &f) != 0)
        fail_msg("store: %s", f.message);
    struct api_options ao = { .store = w->store,
                              .services = SERVICES,
                              .data_dir = w->folder,
                              .config = &w->config,
                              .agents_by_local_socket = true };
    if (api_new(&ao, &w->api, &f) != 0)
        fail_msg("api: %s", f.message);
    api_set_authenticator(w->api, authenticate);
    assert_int_equal(api_start(w->api), 0);
    (void)mkdir(w->folder, 0755);
    struct http_options ho = { .listen = arena_printf(w->arena, "127.0.0.1:%u", w->port),
                               .unix_path = arena_printf(w->arena, "%s/sock", w->folder),
                               .threads = 1,
                               .workers = 4,
                               .app = api_http_app(w->api) };
    if (http_server_start(&ho, &w->server, &f) != 0)
        fail_msg("server: %s", f.message);
    struct http_client_options co = { .timeout = SECONDS(20) };
    assert_int_equal(http_client_new(&co, &w->client), 0);
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
    free(w);
}

int world_call(struct world *w, const char *token, const char *method, const char *path, const char *type,
               const void *body, size_t size)
{
    buf_clear(&w->body);
    json_decref(TAKE_PTR(w->json));
    struct http_call call = { .method = method, .body = body, .body_size = size, .into = &w->body };
    call.url = arena_printf(w->arena, "http://127.0.0.1:%u%s", http_server_port(w->server), path);
    if (token)
        strmap_set(w->arena, &call.headers, "X-Auth-Token", token);
    if (body)
        strmap_set(w->arena, &call.headers, "Content-Type", type ? type : "application/json");
    int r = http_client_call(w->client, &call, w->arena, &w->reply);
    if (r < 0)
        fail_msg("%s %s: %s", method, path, strerror(-r));
    if (str_starts(str_or(strmap_get(&w->reply.headers, "content-type"), ""), "application/json")) {
        char why[100];
        w->json = json_parse(buf_text(&w->body), w->body.len, why, sizeof(why));
        if (!w->json)
            fail_msg("%s %s: %s: %s", method, path, why, buf_text(&w->body));
    }
    return w->reply.status;
}

int world_get(struct world *w, const char *token, const char *path)
{
    return world_call(w, token, "GET", path, NULL, NULL, 0);
}

int world_post(struct world *w, const char *token, const char *path, const char *json)
{
    return world_call(w, token, "POST", path, NULL, json, strlen(json));
}

const char *world_text(struct world *w, const char *key)
{
    return json_get_string(w->json, key);
}

const char *world_image(struct world *w, const char *token, const char *json)
{
    int status = world_post(w, token, "/image/v2/images", json);
    if (status != 201)
        fail_msg("create: %d %s", status, buf_text(&w->body));
    return arena_strdup(w->arena, world_text(w, "id"));
}

int world_upload(struct world *w, const char *token, const char *id, const void *data, size_t n)
{
    return world_call(w, token, "PUT", arena_printf(w->arena, "/image/v2/images/%s/file", id),
                      "application/octet-stream", data, n);
}

void world_wait(struct world *w, const char *token, const char *id, const char *status)
{
    usec_t until = clock_mono() + SECONDS(10);
    do {
        assert_int_equal(world_get(w, token, arena_printf(w->arena, "/image/v2/images/%s", id)), 200);
        if (str_eq(world_text(w, "status"), status) && !json_object_get(w->json, "os_glance_import_task"))
            return;
    } while (clock_mono() < until);
    fail_msg("image is %s, not %s", world_text(w, "status"), status);
}

static unsigned count;
static const char *wanted;

static int count_file(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st;
    (void)f;
    count += kind == FTW_F && strstr(path, wanted) != NULL;
    return 0;
}

unsigned world_files(struct world *w, const char *part)
{
    count = 0;
    wanted = part;
    assert_int_equal(nftw(w->folder, count_file, 16, FTW_PHYS), 0);
    return count;
}
