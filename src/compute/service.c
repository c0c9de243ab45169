/*
 * The compute service put together: families of resources, version documents, and how Nova
 * says things: its error bodies, links, pages.
 *
 * Each family brings its routes and rules as a table beside its verbs; they are joined here
 * once, before main() begins.
 */
#include "compute/internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

LOG_MODULE("compute");

#define PAGE_MAX 1000

/* ---- version documents ---- */

static void version_render(struct call *c, bool v21, bool wide, struct json_out *o)
{
    json_open_object(o);
    json_put_string(o, "id", v21 ? "v2.1" : "v2.0");
    json_put_string(o, "status", v21 ? "CURRENT" : "SUPPORTED");
    json_put_string(o, "version", v21 ? "2.93" : "");
    json_put_string(o, "min_version", v21 ? "2.1" : "");
    json_put_string(o, "updated", v21 ? "2013-07-23T11:33:21Z" : "2011-01-21T11:33:21Z");
    json_put_array(o, "links");
    json_open_object(o);
    json_put_string(o, "rel", "self");
    json_put_string(o, "href", arena_printf(c->arena, "%s/%s/", call_base_url(c), v21 ? "v2.1" : "v2"));
    json_close_object(o);
    if (wide) {
        json_open_object(o);
        json_put_string(o, "rel", "describedby");
        json_put_string(o, "type", "text/html");
        json_put_string(o, "href", "http://docs.openstack.org/");
        json_close_object(o);
    }
    json_close_array(o);
    if (wide) {
        json_put_array(o, "media-types");
        json_open_object(o);
        json_put_string(o, "base", "application/json");
        json_put_string(o, "type", v21 ? "application/vnd.openstack.compute+json;version=2.1" :
                                         "application/vnd.openstack.compute+json;version=2");
        json_close_object(o);
        json_close_array(o);
    }
    json_close_object(o);
}

static int versions_list(struct call *c)
{
    json_open_object(&c->out);
    json_put_array(&c->out, "versions");
    version_render(c, false, false, &c->out);
    version_render(c, true, false, &c->out);
    json_close_array(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int version_show(struct call *c)
{
    json_open_object(&c->out);
    json_key(&c->out, "version");
    version_render(c, str_starts(c->route->path, "/v2.1"), true, &c->out);
    json_close_object(&c->out);
    return 0;
}

static const struct route VERSION_ROUTES[] = {
    { "GET", "/", versions_list, NULL, ROUTE_PUBLIC | ROUTE_NO_VERSION, .doc = "The versions of this API." },
    { "GET", "/v2.1", version_show, NULL, ROUTE_PUBLIC, .doc = "The version document." },
    { "GET", "/v2", version_show, NULL, ROUTE_PUBLIC, .doc = "The version document of the API of old." },
};
static const struct policy_rule VERSION_RULES[] = {
    { "os_compute_api:os-admin", RULE_ADMIN, "What only administrators may." },
};
static COMPUTE_PART(VERSION_PART, VERSION_ROUTES, VERSION_RULES);

/* ---- joining the families ---- */

static const struct compute_part *const PARTS[] = {
    &VERSION_PART, &FLAVOR_PART, &SERVER_PART, &SERVER_VIEW_PART, &SERVER_LIST_PART, &SERVER_CREATE_PART,
    &ACTION_PART, &RECORD_PART, &ATTACH_PART, &MIGRATION_PART, &QUESTION_PART, &CONSOLE_PART, &VOLUME_PART, &EVENT_PART,
    &KEYPAIR_PART, &HOST_PART, &AGGREGATE_PART, &LIMIT_PART, &IMAGE_PART, &PROXY_PART,
};

static struct route routes[512];
static struct policy_rule rules[256];

static void render_fault(struct call *c, const struct fault *f, struct json_out *o);
static int decode_fault(struct call *c, const struct decode_error *e);
static int denied_fault(struct call *c, const char *rule);
static int service_start(struct api *api);
static void service_stop(struct api *api);

static const struct controller_class *const CONTROLLERS[] = { &COMPUTE_SCHEDULER, &COMPUTE_CONTROLLER, NULL };
static const struct agent_section *const SECTIONS[] = { &HOST_SECTION, &SERVERS_SECTION, &QUESTIONS_SECTION, NULL };

struct service COMPUTE_SERVICE = {
    .name = "compute", .type = "compute", .prefix = "/compute", .catalog_path = "/v2.1",
    .routes = routes, .kinds = COMPUTE_KINDS, .rules = rules,
    .controllers = CONTROLLERS, .sections = SECTIONS,
    .version_major = 2, .version_min = 1, .version_max = 93, .version_type = "compute",
    .version_header_old = "X-OpenStack-Nova-API-Version", .request_id_header = "X-Compute-Request-Id",
    .time_style = TIME_ISO_Z,
    .render_fault = render_fault, .decode_fault = decode_fault, .denied_fault = denied_fault,
    .start = service_start, .stop = service_stop,
};

__attribute__((constructor)) static void join_parts(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(PARTS); i++) {
        const struct compute_part *p = PARTS[i];
        assert(COMPUTE_SERVICE.n_routes + p->n_routes <= ARRAY_SIZE(routes));
        assert(COMPUTE_SERVICE.n_rules + p->n_rules <= ARRAY_SIZE(rules));
        memcpy(routes + COMPUTE_SERVICE.n_routes, p->routes, p->n_routes * sizeof(*routes));
        if (p->n_rules)
            memcpy(rules + COMPUTE_SERVICE.n_rules, p->rules, p->n_rules * sizeof(*rules));
        COMPUTE_SERVICE.n_routes += p->n_routes;
        COMPUTE_SERVICE.n_rules += p->n_rules;
    }
}

static int server_project(struct txn *t, const char *server_id, const char **ret)
{
    struct compute_server_info *i;
    int r = compute_server_info(t, server_id, &i);
    *ret = r == 0 && i ? i->project_id : NULL;
    return r;
}

static int service_start(struct api *api)
{
    network_server_project = server_project;
    struct compute_state *st = compute_state_new();
    if (!st)
        return -ENOMEM;
    api_set_state(api, &COMPUTE_SERVICE, st);
    return 0;
}

static void service_stop(struct api *api)
{
    compute_state_free(api_state(api, &COMPUTE_SERVICE));
    api_set_state(api, &COMPUTE_SERVICE, NULL);
}

/* ---- errors ---- */

static void render_fault(struct call *c, const struct fault *f, struct json_out *o)
{
    static const struct { int status; const char *key; } KEYS[] = {
        { 400, "badRequest" }, { 401, "unauthorized" }, { 403, "forbidden" }, { 404, "itemNotFound" },
        { 405, "badMethod" }, { 406, "notAcceptable" }, { 409, "conflictingRequest" }, { 410, "gone" },
        { 413, "overLimit" }, { 415, "badMediaType" }, { 429, "overLimit" }, { 501, "notImplemented" },
        { 503, "serviceUnavailable" },
    };
    (void)c;
    const char *key = "computeFault";
    for (size_t i = 0; i < ARRAY_SIZE(KEYS); i++)
        if (KEYS[i].status == f->status)
            key = KEYS[i].key;
    json_open_object(o);
    json_put_object(o, key);
    json_put_int(o, "code", f->status);
    json_put_string(o, "message", f->message);
    if (f->status == 413 || f->status == 429)
        json_put_int(o, "retryAfter", 0);
    json_close_object(o);
    json_close_object(o);
}

static int decode_fault(struct call *c, const struct decode_error *e)
{
    const char *last = strrchr(e->path, '.');
    if (e->problem == PROBLEM_UNKNOWN || e->problem == PROBLEM_READ_ONLY)
        return call_fault(c, 400, "ValidationError",
                          "Additional properties are not allowed ('%s' was unexpected)", last ? last + 1 : e->path);
    if (e->problem == PROBLEM_REQUIRED)
        return call_fault(c, 400, "ValidationError", "'%s' is a required property", last ? last + 1 : e->path);
    if (e->problem == PROBLEM_TYPE && !*e->path)
        return call_fault(c, 400, "ValidationError", "Malformed request body");
    return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute %s. Value: %s. %s", e->path,
                      *e->value ? e->value : "****", e->message);
}

static int denied_fault(struct call *c, const char *rule)
{
    return call_fault(c, 403, "PolicyNotAuthorized", "Policy doesn't allow %s to be performed.", rule);
}

int compute_decode(struct call *c, const struct schema *s, const json_t *tree, void *ret, struct given *given)
{
    struct decode_error e = { 0 };
    int r = schema_decode(s, tree, DECODE_CREATE, c->minor, c->arena, ret, given, &e);
    return r == FAULT ? decode_fault(c, &e) : r;
}

/* ---- links and pages ---- */

static void link_out(struct json_out *o, const char *rel, const char *href)
{
    json_open_object(o);
    json_put_string(o, "rel", rel);
    json_put_string(o, "href", href);
    json_close_object(o);
}

void compute_bookmark(struct call *c, const char *collection, const char *id, struct json_out *o)
{
    json_put_array(o, "links");
    link_out(o, "bookmark", arena_printf(c->arena, "%s/%s/%s", call_base_url(c), collection, id));
    json_close_array(o);
}

void compute_links(struct call *c, const char *collection, const char *id, struct json_out *o)
{
    const char *base = call_base_url(c);
    json_put_array(o, "links");
    link_out(o, "self", arena_printf(c->arena, "%s/v2.1/%s/%s", base, collection, id));
    link_out(o, "bookmark", arena_printf(c->arena, "%s/%s/%s", base, collection, id));
    json_close_array(o);
}

void compute_next_link(struct call *c, const char *collection, bool more, const char *last_id, struct json_out *o)
{
    if (!more || !last_id)
        return;
    json_put_array(o, arena_printf(c->arena, "%s_links", collection));
    link_out(o, "next", call_link(c, "marker", last_id, NULL));
    json_close_array(o);
}

int compute_page(struct call *c, size_t *ret_limit, const char **ret_marker)
{
    *ret_limit = PAGE_MAX;
    *ret_marker = call_arg(c, "marker");
    const char *text = call_arg(c, "limit");
    if (!text)
        return 0;
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno)
        return call_fault(c, 400, "ValidationError",
                          "Invalid input for query parameters limit. Value: %s. '%s' does not match '^[0-9]*$'", text,
                          text);
    /* 0 means as many as there may be. */
    if (n > 0 && n < PAGE_MAX)
        *ret_limit = (size_t)n;
    return 0;
}

int compute_known_args(struct call *c, int since, const char *const *names)
{
    if (c->minor < since)
        return 0;
    VEC_FOREACH(p, &c->http->args) {
        size_t i = 0;
        while (names[i] && !STREQ(names[i], p->key))
            i++;
        if (!names[i])
            return call_fault(c, 400, "ValidationError",
                              "Additional properties are not allowed ('%s' was unexpected)", p->key);
    }
    return 0;
}

void compute_put_time(struct json_out *o, const char *key, usec_t t, enum time_style style)
{
    char text[TIME_TEXT_SIZE];
    json_put_string(o, key, t ? time_format(t, style, text) : NULL);
}

/* ---- checks of values ---- */

const char *check_name(const char *s)
{
    static const char WHY[] = "must be printable characters and can not start or end with whitespace";
    size_t n = strlen(s);
    if (!n || isspace((unsigned char)s[0]) || isspace((unsigned char)s[n - 1]))
        return WHY;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return WHY;
    return NULL;
}

const char *check_base64(const char *s)
{
    size_t n = 0, pad = 0;
    for (; *s; s++) {
        if (isspace((unsigned char)*s))
            continue;
        if (*s == '=')
            pad++;
        else if (pad || !(isalnum((unsigned char)*s) || *s == '+' || *s == '/'))
            return "is not a 'base64'";
        n++;
    }
    return n % 4 || pad > 2 ? "is not a 'base64'" : NULL;
}

const char *check_hostname(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && !(s[i] == '-' && i && i + 1 < n))
            return "does not match '^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$'";
    return NULL;
}

const char *check_tag(const char *s)
{
    return strpbrk(s, "/,") ? "does not match '^[^,/]*$'" : NULL;
}

const char *check_ipv4(const char *s)
{
    unsigned char raw[4];
    return !*s || inet_pton(AF_INET, s, raw) == 1 ? NULL : "is not a 'ipv4'";
}

const char *check_ipv6(const char *s)
{
    unsigned char raw[16];
    return !*s || inet_pton(AF_INET6, s, raw) == 1 ? NULL : "is not a 'ipv6'";
}

const char *ipv6_plain(struct arena *a, const char *s)
{
    unsigned char raw[16];
    char text[INET6_ADDRSTRLEN];
    return !str_empty(s) && inet_pton(AF_INET6, s, raw) == 1 && inet_ntop(AF_INET6, raw, text, sizeof(text)) ?
           arena_strdup(a, text) : NULL;
}
