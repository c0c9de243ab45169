/*
 * The walk of a request: route, version, token, rule, body, verb, answer.
 *
 * Everything that can refuse a request without its body runs in begin(), before a byte of the
 * body is read. The paths that belong to no service (/, /healthcheck, /metrics) stand here.
 */
#include "api/internal.h"
#include "api/controller.h"
#include "base/counter.h"

#include <errno.h>
#include <stdio.h>


#define BODY_LIMIT ((size_t)1 << 20)
#define REPLY_LIMIT ((size_t)256 << 20)

/* ---- paths of no service ---- */

static int versions_list(struct call *c)
{
    json_open_object(&c->out);
    json_put_array(&c->out, "services");
    for (size_t i = 0; c->api->options.services[i]; i++) {
        const struct service *s = c->api->options.services[i];
        if (!s->type)
            continue;
        json_open_object(&c->out);
        json_put_string(&c->out, "name", s->name);
        json_put_string(&c->out, "type", s->type);
        json_put_string(&c->out, "url", call_service_url(c, s->name));
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_put_string(&c->out, "version", YUNDUO_VERSION);
    json_close_object(&c->out);
    return 0;
}

static int healthcheck(struct call *c)
{
    int r = call_read(c);
    if (r < 0)
        return r;
    c->content_type = "text/plain";
    buf_adds(&c->buf, "OK\n");
    return 0;
}

static int metrics(struct call *c)
{
    c->content_type = "text/plain; version=0.0.4";
    counters_render(&c->buf);
    return 0;
}

static const struct route ROOT_ROUTES[] = {
    { "GET", "/", versions_list, NULL, ROUTE_PUBLIC, .doc = "The services of this cloud." },
    { "GET", "/healthcheck", healthcheck, NULL, ROUTE_PUBLIC, .doc = "Whether the store can be read." },
    { "GET", "/metrics", metrics, NULL, ROUTE_PUBLIC, .doc = "Counters as Prometheus text." },
};

static const struct service ROOT_SERVICE = {
    .name = "root", .prefix = "", .routes = ROOT_ROUTES, .n_routes = ARRAY_SIZE(ROOT_ROUTES),
};

/* ---- begin: all that needs no body ---- */

static int authenticate(struct call *c)
{
    uint32_t flags = c->route->flags;
    if (flags & ROUTE_AGENT) {
        struct auth *auth = ARENA_NEW(c->arena, struct auth);
        if (!auth)
            return -ENOMEM;
        if (c->http->local && c->api->options.agents_by_local_socket)
            auth->agent_host = str_or(call_arg(c, "host"), "");
        else if (c->http->tls_peer_name)
            auth->agent_host = c->http->tls_peer_name;
        else
            return call_fault(c, 403, "Forbidden", "Only host agents may call this.");
        c->auth = auth;
        return 0;
    }
    const char *token = http_header(c->http, "X-Auth-Token");
    api_authenticator fn = c->api->authenticate;
    if (!token || !*token || !fn) {
        if (flags & ROUTE_PUBLIC)
            return 0;
        return call_fault(c, 401, "Unauthorized", "The request you have made requires authentication.");
    }
    struct auth *auth = ARENA_NEW(c->arena, struct auth);
    if (!auth)
        return -ENOMEM;
    struct fault fault = { 0 };
    int r = fn(c->api, c->arena, token, auth, &fault);
    if (r == 0)
        c->auth = auth;
    if (r == FAULT && (flags & ROUTE_PUBLIC))
        return 0;
    if (r == FAULT)
        c->fault = fault;
    return r;
}

static int route_call(struct call *c)
{
    c->service = router_service(c->api->router, c->http->path);
    if (!c->service)
        return call_fault(c, 404, "NotFound", "The resource could not be found.");
    int r = version_settle(c);
    if (r)
        return r;
    struct router_match m;
    r = router_find(c->api->router, c->service, c->http->method, c->http->path, c->minor, c->arena, &m);
    if (r < 0)
        return r;
    if (!m.route && m.path_known) {
        http_set_header(c->http, "Allow", m.allow);
        return call_fault(c, 405, "MethodNotAllowed", "The method %s is not allowed for this resource.",
                          c->http->method);
    }
    if (!m.route)
        return call_fault(c, 404, "NotFound", "The resource could not be found.");
    c->route = m.route;
    c->params = m.params;
    c->status = m.route->status ? m.route->status : 200;
    r = authenticate(c);
    if (!r && c->auth && c->auth->permits &&
        !c->auth->permits(c->auth, c->service, c->http->method, c->http->path + strlen(c->service->prefix)))
        return call_fault(c, 401, "Unauthorized", "The request you have made requires authentication.");
    if (!r && m.route->rule && c->auth)
        r = call_require(c, m.route->rule, NULL);
    return r;
}

static int api_begin(struct http_request *rq, void *app)
{
    struct api *api = app;
    struct call *c = ARENA_NEW(rq->arena, struct call);
    if (!c) {
        http_answer(rq, 503, NULL, NULL, 0);
        return FAULT;
    }
    *c = (struct call){ .api = api, .http = rq, .arena = rq->arena, .store = api->options.store,
                        .buf = BUF_MAX(REPLY_LIMIT), .content_type = "application/json" };
    c->out = JSON_OUT(&c->buf);
    rq->app_data = c;
    if (cors_preflight(c))
        return FAULT;
    int r = route_call(c);
    if (!r && c->route->begin) {
        r = c->route->begin(c);
        call_end_read(c);
    }
    if (r || c->answered) {
        answer_result(c, r);
        return FAULT;
    }
    bool reads = STREQ(rq->method, "GET") || STREQ(rq->method, "HEAD");
    bool on_loop = reads ? !(c->route->flags & ROUTE_WORKER) : (c->route->flags & ROUTE_INLINE) != 0;
    rq->mode = on_loop ? HTTP_INLINE : HTTP_WORKER;
    rq->sink = c->route->sink;
    rq->sink_limit = -1;
    rq->body_limit = c->route->body_limit ? c->route->body_limit : BODY_LIMIT;
    return 0;
}

/* ---- handle: body, verb ---- */

static int bad_body(struct call *c, const struct decode_error *e)
{
    if (c->service->decode_fault)
        return c->service->decode_fault(c, e);
    return call_fault(c, 400, "ValidationError", "Invalid input: %s", e->message);
}

static int unwrap(struct call *c)
{
    const char *wrap = c->route->wrap;
    if (!wrap)
        return 0;
    json_t *inner = json_is_object(c->body) ? json_object_get(c->body, wrap) : NULL;
    if (!inner) {
        struct decode_error e = { .problem = PROBLEM_REQUIRED };
        (void)snprintf(e.path, sizeof(e.path), "%s", wrap);
        (void)snprintf(e.message, sizeof(e.message), "'%s' is a required property", wrap);
        return bad_body(c, &e);
    }
    json_incref(inner);
    json_decref(c->body);
    c->body = inner;
    return 0;
}

static bool is_json_type(const char *type)
{
    /* Clients that send no type mean JSON; forms and XML are refused. */
    return !type || str_starts(type, "application/json") || strstr(type, "+json") || str_starts(type, "text/plain") ||
           STREQ(type, "application/octet-stream") || STREQ(type, "*/*") || !*type;
}

int api_read_body(struct call *c)
{
    const struct route *route = c->route;
    if (route->sink || (route->flags & ROUTE_ANY_BODY))
        return 0;
    bool expected = route->body || route->wrap;
    const struct schema *s = route->body;
    if (s) {
        c->in = arena_alloc(c->arena, s->size);
        if (!c->in)
            return -ENOMEM;
    }
    if (!c->http->body_size) {
        if (!expected || (route->flags & ROUTE_BODY_OPTIONAL))
            return s ? schema_defaults(s, c->arena, c->in) : 0;
        return call_fault(c, 400, "ValidationError", "The request body is empty: a JSON object is expected.");
    }
    if (!expected && (STREQ(c->http->method, "GET") || STREQ(c->http->method, "HEAD") ||
                      STREQ(c->http->method, "DELETE")))
        return 0;
    if (!is_json_type(http_header(c->http, "Content-Type")))
        return call_fault(c, 415, "HTTPUnsupportedMediaType", "The media type %s is not supported: send "
                          "application/json.", http_header(c->http, "Content-Type"));
    char why[200];
    c->body = json_parse(c->http->body, c->http->body_size, why, sizeof(why));
    if (!c->body)
        return call_fault(c, 400, "ValidationError", "The request body is not valid JSON: %s.", why);
    int r = unwrap(c);
    if (r || !s)
        return r;
    struct decode_error e;
    r = schema_decode(s, c->body, route->mode, c->minor, c->arena, c->in, &c->given, &e);
    return r == FAULT ? bad_body(c, &e) : r;
}

static void api_handle(struct http_request *rq, void *app)
{
    (void)app;
    struct call *c = rq->app_data;
    int r = api_read_body(c);
    if (!r)
        r = c->route->verb(c);
    answer_result(c, r);
}

static void api_done(struct http_request *rq, void *app)
{
    (void)app;
    struct call *c = rq->app_data;
    if (!c)
        return;
    call_end_read(c);
    json_decref(c->body);
    buf_done(&c->buf);
}

struct http_app api_http_app(struct api *api)
{
    return (struct http_app){ api_begin, api_handle, api_done, api };
}

/* ---- life ---- */

static int wire(struct api *api, const struct service *const *services, struct fault *fault)
{
    while (services[api->n_services])
        api->n_services++;
    api->states = calloc(api->n_services + 1, sizeof(*api->states));
    const struct service **all = calloc(api->n_services + 2, sizeof(*all));
    if (!api->states || !all) {
        free(all);
        return -ENOMEM;
    }
    memcpy(all, services, api->n_services * sizeof(*all));
    all[api->n_services] = &ROOT_SERVICE;
    api->options.services = all;
    int r = router_new(all, &api->router, fault);
    return r ? r : policy_new(all, api->options.policy_file, &api->policy, fault);
}

int api_new(const struct api_options *o, struct api **ret, struct fault *fault)
{
    struct api *api = calloc(1, sizeof(*api));
    if (!api)
        return -ENOMEM;
    api->options = *o;
    api->options.services = NULL;
    int r = wire(api, o->services, fault);
    if (r) {
        api_free(api);
        return r;
    }
    *ret = api;
    return 0;
}

int api_start(struct api *api)
{
    size_t n = 0;
    for (size_t i = 0; i < api->n_services; i++) {
        const struct service *s = api->options.services[i];
        int r = s->start ? s->start(api) : 0;
        if (r < 0)
            return r;
        for (size_t j = 0; s->controllers && s->controllers[j]; j++)
            n++;
    }
    api->controllers = calloc(n + 1, sizeof(struct controller *));
    if (!api->controllers)
        return -ENOMEM;
    for (size_t i = 0; i < api->n_services; i++) {
        const struct service *s = api->options.services[i];
        for (size_t j = 0; s->controllers && s->controllers[j]; j++) {
            int r = controller_start(api, s->controllers[j], &api->controllers[api->n_controllers]);
            if (r < 0)
                return r;
            api->n_controllers++;
        }
    }
    return 0;
}

void api_stop(struct api *api)
{
    while (api->n_controllers)
        controller_stop(api->controllers[--api->n_controllers]);
    for (size_t i = api->n_services; i-- > 0; )
        if (api->options.services[i]->stop)
            api->options.services[i]->stop(api);
}

void api_free(struct api *api)
{
    if (!api)
        return;
    router_free(api->router);
    policy_free(api->policy);
    free(api->controllers);
    free(api->states);
    free((void *)(uintptr_t)api->options.services);
    free(api);
}

struct store *api_store(const struct api *api)
{
    return api->options.store;
}

const char *api_data_dir(const struct api *api)
{
    return api->options.data_dir;
}

const void *api_config(const struct api *api)
{
    return api->options.config;
}

const struct service *const *api_services(const struct api *api)
{
    return api->options.services;
}

const struct service *api_service(const struct api *api, const char *name)
{
    for (size_t i = 0; api->options.services[i]; i++)
        if (STREQ(api->options.services[i]->name, name))
            return api->options.services[i];
    return NULL;
}

void api_set_authenticator(struct api *api, api_authenticator fn)
{
    api->authenticate = fn;
}

static size_t service_index(const struct api *api, const struct service *s)
{
    size_t i = 0;
    while (i < api->n_services && api->options.services[i] != s)
        i++;
    assert(i < api->n_services);
    return i;
}

void api_set_state(struct api *api, const struct service *s, void *state)
{
    api->states[service_index(api, s)] = state;
}

void *api_state(const struct api *api, const struct service *s)
{
    return api->states[service_index(api, s)];
}
