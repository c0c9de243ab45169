/* What verbs ask of their call: parameters, transactions, policy, links. */
#include "api/internal.h"
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

const char *call_param(const struct call *c, const char *name)
{
    const char *value = strmap_get(&c->params, name);
    assert(value);
    return value;
}

const char *call_arg(const struct call *c, const char *name)
{
    return http_arg(c->http, name);
}

int call_arg_int(struct call *c, const char *name, int64_t min, int64_t max, int64_t otherwise, int64_t *ret)
{
    const char *text = call_arg(c, name);
    *ret = otherwise;
    if (!text)
        return 0;
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (!*text || *end || isspace((unsigned char)*text))
        return call_fault(c, 400, "InvalidInput", "%s must be an integer, not '%s'.", name, text);
    if (errno || n < min || n > max)
        return call_fault(c, 400, "InvalidInput", "%s must be between %lld and %lld, not '%s'.", name,
                          (long long)min, (long long)max, text);
    *ret = n;
    return 0;
}

bool call_arg_bool(const struct call *c, const char *name, bool otherwise)
{
    static const char *const YES[] = { "1", "t", "true", "on", "y", "yes" };
    const char *text = call_arg(c, name);
    if (!text)
        return otherwise;
    for (size_t i = 0; i < ARRAY_SIZE(YES); i++)
        if (strcasecmp(text, YES[i]) == 0)
            return true;
    return false;
}

int call_fault(struct call *c, int status, const char *type, const char *format, ...)
{
    c->fault.status = status;
    (void)snprintf(c->fault.type, sizeof(c->fault.type), "%s", type ? type : "");
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(c->fault.message, sizeof(c->fault.message), format, ap);
    va_end(ap);
    return FAULT;
}

/* ---- transactions ---- */

struct write_job {
    struct call *call;
    int (*fn)(struct call *c);
};

static void forget_answer(struct call *c)
{
    buf_clear(&c->buf);
    c->out = JSON_OUT(&c->buf);
    c->fault = (struct fault){ 0 };
    c->status = c->route->status ? c->route->status : 200;
}

static int write_closure(struct txn *t, void *arg)
{
    struct write_job *job = arg;
    struct call *c = job->call;
    /* runs on the writer's thread, whose log lines then belong to this request */
    const char *outer = log_request_id();
    log_set_request_id(c->http->id);
    forget_answer(c);
    c->txn = t;
    int r = job->fn(c);
    c->txn = NULL;
    log_set_request_id(outer);
    return r;
}

int call_write(struct call *c, int (*fn)(struct call *c))
{
    call_end_read(c);
    struct write_job job = { c, fn };
    return store_write(c->store, c->arena, write_closure, &job);
}

int call_read(struct call *c)
{
    return c->txn ? 0 : store_read(c->store, c->arena, &c->txn);
}

void call_end_read(struct call *c)
{
    if (c->txn)
        txn_done(TAKE_PTR(c->txn));
}

/* ---- policy ---- */

static bool add_target(struct call *c, struct strmap *m, const char *key, const char *value)
{
    return !value || vec_push(c->arena, m, ((struct pair){ key, value }));
}

bool call_allowed(struct call *c, const char *rule, const struct strmap *target)
{
    if (!c->auth)
        return false;
    struct strmap own = { 0 };
    if (!target) {
        /* A rule asked about the caller alone is asked about what is the caller's own. */
        add_target(c, &own, "project_id", c->auth->project_id);
        add_target(c, &own, "tenant_id", c->auth->project_id);
        add_target(c, &own, "user_id", c->auth->user_id);
        add_target(c, &own, "domain_id", c->auth->domain_id);
        target = &own;
    }
    return policy_check(c->api->policy, rule, c->auth, target);
}

int call_require(struct call *c, const char *rule, const struct strmap *target)
{
    if (call_allowed(c, rule, target))
        return 0;
    if (c->service->denied_fault)
        return c->service->denied_fault(c, rule);
    return call_fault(c, 403, "Forbidden", "You are not authorized to perform the requested action: %s.", rule);
}

int call_require_project(struct call *c, const char *rule, const char *project_id)
{
    struct pair pairs[] = { { "project_id", project_id }, { "tenant_id", project_id } };
    struct strmap target = { pairs, ARRAY_SIZE(pairs), ARRAY_SIZE(pairs) };
    return call_require(c, rule, &target);
}

bool call_is_admin(const struct call *c)
{
    return c->auth && c->auth->admin;
}

/* ---- links ---- */

static const char *root_url(struct call *c)
{
    if (c->api->options.public_url)
        return c->api->options.public_url;
    return arena_printf(c->arena, "%s://%s", c->http->tls ? "https" : "http", str_or(c->http->host, "localhost"));
}

const char *call_base_url(struct call *c)
{
    /* Each item of a list has links. */
    if (!c->base_url)
        c->base_url = arena_printf(c->arena, "%s%s", str_or(root_url(c), ""), c->service->prefix);
    return c->base_url;
}

const char *call_service_url(struct call *c, const char *service_name)
{
    const struct service *s = api_service(c->api, service_name);
    return s ? arena_printf(c->arena, "%s%s", str_or(root_url(c), ""), s->prefix) : NULL;
}

struct encode_options call_encoding(const struct call *c)
{
    return (struct encode_options){ .time_style = c->service->time_style, .minor = c->minor,
                                    .admin = call_is_admin(c) };
}

const char *call_link(struct call *c, const char *argument, const char *value, const char *without)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX(65536);
    buf_adds(&b, root_url(c));
    buf_adds(&b, c->http->raw_path);
    char separator = '?';
    VEC_FOREACH(p, &c->http->args) {
        if (STREQ(p->key, argument) || (without && STREQ(p->key, without)))
            continue;
        buf_addc(&b, separator);
        url_encode(&b, p->key, "");
        buf_addc(&b, '=');
        url_encode(&b, p->value, ":");
        separator = '&';
    }
    if (value) {
        buf_addc(&b, separator);
        url_encode(&b, argument, "");
        buf_addc(&b, '=');
        url_encode(&b, value, "");
    }
    if (buf_error(&b)) {
        arena_fail(c->arena);
        return NULL;
    }
    return arena_strdup(c->arena, buf_text(&b));
}
