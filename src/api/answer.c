/* From what a verb returned to what the client gets: bodies, faults, CORS. */
#include "api/internal.h"
#include "base/counter.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>

LOG_MODULE("api");
COUNTER(broken, "api_internal_errors_total", "Requests answered with 500.");

static void render_default(struct call *c, const struct fault *f, struct json_out *o)
{
    (void)c;
    json_open_object(o);
    json_put_object(o, "error");
    json_put_int(o, "code", f->status);
    json_put_string(o, "title", http_reason(f->status));
    json_put_string(o, "message", f->message);
    json_close_object(o);
    json_close_object(o);
}

void answer_fault(struct call *c)
{
    struct fault *f = &c->fault;
    _cleanup_(buf_done) struct buf b = BUF_MAX((size_t)1 << 20);
    struct json_out o = JSON_OUT(&b);
    if (c->service && c->service->render_fault)
        c->service->render_fault(c, f, &o);
    else
        render_default(c, f, &o);
    if (f->status == 401 && c->service) {
        const char *url = call_service_url(c, "identity");
        char header[512];
        (void)snprintf(header, sizeof(header), "Keystone uri=\"%s\"", str_or(url, ""));
        http_set_header(c->http, "WWW-Authenticate", header);
    }
    version_headers(c);
    cors_headers(c);
    c->answered = true;
    if (buf_error(&b) || c->arena == NULL)
        http_answer(c->http, 500, NULL, NULL, 0);
    else if (b.len)
        http_answer_buf(c->http, f->status, str_or(c->content_type, "application/json"), &b);
    else
        http_answer(c->http, f->status, NULL, NULL, 0);
}

void answer_result(struct call *c, int r)
{
    call_end_read(c);
    if (c->answered)
        return;
    if (r == 0 && arena_failed(c->arena))
        r = -ENOMEM;
    if (r == 0)
        r = buf_error(&c->buf);
    if (r < 0) {
        counter_inc(&broken);
        log_error("request failed", KV("method", c->http->method), KV("path", c->http->path),
                  KV("error", strerror(-r)));
        c->content_type = "application/json";
        call_fault(c, 500, "InternalServerError",
                   "An unexpected error prevented the server from fulfilling your request.");
        answer_fault(c);
        return;
    }
    if (r > 0) {
        assert(c->fault.status);
        answer_fault(c);
        return;
    }
    version_headers(c);
    cors_headers(c);
    c->answered = true;
    if (c->buf.len)
        http_answer_buf(c->http, c->status, c->content_type, &c->buf);
    else
        http_answer(c->http, c->status, NULL, NULL, 0);
}

/* ---- CORS (Fetch standard, "HTTP CORS protocol") ---- */

static bool origin_listed(const char *list, const char *origin)
{
    size_t n = strlen(origin);
    while (list && *list) {
        list += strspn(list, " ,");
        size_t length = strcspn(list, " ,");
        if ((length == n && memcmp(list, origin, n) == 0) || (length == 1 && *list == '*'))
            return true;
        list += length;
    }
    return false;
}

static const char *allowed_origin(const struct call *c)
{
    const char *origin = c->api->options.cors_origins ? http_header(c->http, "Origin") : NULL;
    return origin && origin_listed(c->api->options.cors_origins, origin) ? origin : NULL;
}

void cors_headers(struct call *c)
{
    const char *origin = allowed_origin(c);
    if (!origin)
        return;
    http_set_header(c->http, "Access-Control-Allow-Origin", origin);
    http_set_header(c->http, "Vary", "Origin");
    http_set_header(c->http, "Access-Control-Expose-Headers",
                    "X-Subject-Token, X-Openstack-Request-Id, OpenStack-API-Version, Location, ETag");
}

bool cors_preflight(struct call *c)
{
    if (!STREQ(c->http->method, "OPTIONS") || !allowed_origin(c) ||
        !http_header(c->http, "Access-Control-Request-Method"))
        return false;
    cors_headers(c);
    http_set_header(c->http, "Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE");
    http_set_header(c->http, "Access-Control-Allow-Headers",
                    str_or(http_header(c->http, "Access-Control-Request-Headers"), "X-Auth-Token, Content-Type"));
    http_set_header(c->http, "Access-Control-Max-Age", "3600");
    c->answered = true;
    http_answer(c->http, 200, NULL, NULL, 0);
    return true;
}
