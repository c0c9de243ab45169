/*
 * One service calling another as its caller: see call_service().
 *
 * The other verb runs on a call of its own, with its own answer, and the same token, arena and
 * store; it goes through the same route, rule, body reading and verb as a request from outside.
 */
#include "api/internal.h"

#include <errno.h>
#include <stdio.h>

static int split_query(struct arena *a, const char *path, struct http_request *rq)
{
    const char *mark = strchr(path, '?');
    struct strv pairs = { 0 };
    rq->path = rq->raw_path = mark ? arena_strndup(a, path, (size_t)(mark - path)) : arena_strdup(a, path);
    rq->query = mark ? mark + 1 : NULL;
    rq->args = (struct strmap){ 0 };
    if (!rq->path || (mark && !strv_split(a, &pairs, mark + 1, "&") && arena_failed(a)))
        return -ENOMEM;
    VEC_FOREACH(pair, &pairs) {
        char *key = arena_strdup(a, *pair), *equals = key ? strchr(key, '=') : NULL;
        char *value = equals ? equals + 1 : NULL;
        if (!key)
            return -ENOMEM;
        if (equals)
            *equals = 0;
        if (!url_decode(key, true) || (value && !url_decode(value, true)))
            return -EINVAL;
        if (!vec_push(a, &rq->args, ((struct pair){ key, str_or(value, "") })))
            return -ENOMEM;
    }
    return 0;
}

static int route_of(struct call *c)
{
    struct router_match m;
    c->service = router_service(c->api->router, c->http->path);
    if (!c->service)
        return -ENOENT;
    c->minor = c->service->version_min;
    int r = router_find(c->api->router, c->service, c->http->method, c->http->path, c->minor, c->arena, &m);
    if (r < 0)
        return r;
    if (!m.route)
        return -ENOENT;
    c->route = m.route;
    c->params = m.params;
    c->status = m.route->status ? m.route->status : 200;
    return m.route->rule ? call_require(c, m.route->rule, NULL) : 0;
}

static int answer_tree(struct call *c, json_t **ret)
{
    char why[128];
    *ret = NULL;
    if (buf_error(&c->buf))
        return buf_error(&c->buf);
    if (!c->buf.len)
        return 0;
    *ret = json_parse(buf_text(&c->buf), c->buf.len, why, sizeof(why));
    return *ret ? 0 : -EBADMSG;
}

int call_service(struct call *c, const char *method, const char *path, const json_t *body, int *ret_status,
                 json_t **ret_body, const char **ret_message)
{
    call_end_read(c);
    struct http_request rq = *c->http;
    struct call inner = { .api = c->api, .http = &rq, .arena = c->arena, .store = c->store, .auth = c->auth,
                          .buf = BUF_MAX((size_t)64 << 20), .content_type = "application/json" };
    inner.out = JSON_OUT(&inner.buf);
    *ret_body = NULL;
    *ret_message = NULL;
    rq.method = method;
    rq.body = body ? json_text(c->arena, body) : "";
    rq.body_size = rq.body ? strlen(rq.body) : 0;
    int r = rq.body ? split_query(c->arena, path, &rq) : -ENOMEM;
    if (r == 0)
        r = route_of(&inner);
    if (r == 0)
        r = api_read_body(&inner);
    if (r == 0)
        r = inner.route->verb(&inner);
    call_end_read(&inner);
    assert(!inner.answered);
    if (r == 0) {
        *ret_status = inner.status;
        r = answer_tree(&inner, ret_body);
    } else if (r == FAULT) {
        *ret_status = inner.fault.status;
        *ret_message = arena_strdup(c->arena, inner.fault.message);
        r = *ret_message ? 0 : -ENOMEM;
    }
    json_decref(inner.body);
    buf_done(&inner.buf);
    return r;
}
