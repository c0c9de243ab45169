/*
 * The volume service put together: families of resources, version documents, and how Cinder says
 * things: its error bodies, links, pages.
 */
#include "volume/internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

LOG_MODULE("volume");

/* ---- version documents ---- */

static void version_render(struct call *c)
{
    struct json_out *o = &c->out;
    json_open_object(o);
    json_put_array(o, "versions");
    json_open_object(o);
    json_put_string(o, "id", "v3.0");
    json_put_string(o, "status", "CURRENT");
    json_put_string(o, "version", "3.70");
    json_put_string(o, "min_version", "3.0");
    json_put_string(o, "updated", "2022-08-31T00:00:00Z");
    json_put_array(o, "links");
    json_open_object(o);
    json_put_string(o, "rel", "describedby");
    json_put_string(o, "type", "text/html");
    json_put_string(o, "href", "https://docs.openstack.org/");
    json_close_object(o);
    json_open_object(o);
    json_put_string(o, "rel", "self");
    json_put_string(o, "href", arena_printf(c->arena, "%s/v3/", call_base_url(c)));
    json_close_object(o);
    json_close_array(o);
    json_put_array(o, "media-types");
    json_open_object(o);
    json_put_string(o, "base", "application/json");
    json_put_string(o, "type", "application/vnd.openstack.volume+json;version=3");
    json_close_object(o);
    json_close_array(o);
    json_close_object(o);
    json_close_array(o);
    json_close_object(o);
}

static int version_show(struct call *c)
{
    version_render(c);
    return 0;
}

static const struct route VERSION_ROUTES[] = {
    { "GET", "/", version_show, NULL, ROUTE_PUBLIC | ROUTE_NO_VERSION, .status = 300, .doc = "The versions of this API." },
    { "GET", "/v3", version_show, NULL, ROUTE_PUBLIC | ROUTE_NO_VERSION, .doc = "The version document." },
};
static const struct policy_rule RULES[] = {
    { "volume:admin", RULE_ADMIN, "What only administrators may." },
    { "volume:read", RULE_READER, "See what the project has." },
    { "volume:write", RULE_MEMBER, "Make and change what the project has." },
};
static VOLUME_PART(VERSION_PART, VERSION_ROUTES);

/* ---- joining the families ---- */

static const struct volume_part *const PARTS[] = {
    &VERSION_PART, &VOLUMES_PART, &VOLUME_ACTIONS_PART, &METADATA_PART, &ATTACHMENTS_PART, &SNAPSHOTS_PART, &TYPES_PART,
    &QOS_PART, &QUOTAS_PART, &MESSAGES_PART, &BACKUPS_PART, &TRANSFERS_PART, &OPERATE_PART, &GROUPS_PART,
};

static struct route routes[400];

static void render_fault(struct call *c, const struct fault *f, struct json_out *o);
static int decode_fault(struct call *c, const struct decode_error *e);
static int denied_fault(struct call *c, const char *rule);
static void page_links(struct call *c, const struct resource *r, const struct results *l, const struct query *q,
                       struct json_out *o);

static const struct agent_section *const SECTIONS[] = { &VOLUMES_SECTION, &BACKENDS_SECTION, NULL };
static const char *const NEWEST_FIRST[] = { "created_at:desc", NULL };
static const struct list_style LISTS = {
    .limit_arg = "limit", .marker_arg = "marker", .sort_key_arg = "sort_key", .sort_dir_arg = "sort_dir",
    .sort_arg = "sort", .default_sort = NEWEST_FIRST, .limit_max = 1000, .limit_default = 1000, .links = page_links,
};

struct service VOLUME_SERVICE = {
    .name = "cinderv3", .type = "volumev3", .prefix = "/volume", .catalog_path = "/v3/%(project_id)s",
    .routes = routes, .kinds = VOLUME_KINDS, .rules = RULES, .n_rules = ARRAY_SIZE(RULES), .sections = SECTIONS,
    .version_major = 3, .version_min = 0, .version_max = 70, .version_type = "volume",
    .time_style = TIME_ISO_MICRO, .list_style = &LISTS,
    .render_fault = render_fault, .decode_fault = decode_fault, .denied_fault = denied_fault,
};

__attribute__((constructor)) static void join_parts(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(PARTS); i++) {
        const struct volume_part *p = PARTS[i];
        assert(VOLUME_SERVICE.n_routes + p->n_routes <= ARRAY_SIZE(routes));
        memcpy(routes + VOLUME_SERVICE.n_routes, p->routes, p->n_routes * sizeof(*routes));
        VOLUME_SERVICE.n_routes += p->n_routes;
    }
}

/* ---- errors ---- */

static void render_fault(struct call *c, const struct fault *f, struct json_out *o)
{
    static const struct { int status; const char *key; } KEYS[] = {
        { 400, "badRequest" }, { 401, "unauthorized" }, { 403, "forbidden" }, { 404, "itemNotFound" },
        { 405, "badMethod" }, { 409, "conflictingRequest" }, { 413, "overLimit" }, { 415, "badMediaType" },
        { 429, "overLimit" }, { 501, "notImplemented" }, { 503, "serviceUnavailable" },
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
    if (f->status == 413)
        json_put_int(o, "retryAfter", 0);
    json_close_object(o);
    json_close_object(o);
}

static int decode_fault(struct call *c, const struct decode_error *e)
{
    if (e->problem == PROBLEM_UNKNOWN || e->problem == PROBLEM_READ_ONLY)
        return bad_body(c, "Additional properties are not allowed ('%s' was unexpected)", e->path);
    if (e->problem == PROBLEM_REQUIRED)
        return bad_body(c, "'%s' is a required property", e->path);
    return bad_body(c, "Invalid input for field/attribute %s. Value: %s. %s", e->path, e->value, e->message);
}

static int denied_fault(struct call *c, const char *rule)
{
    return call_fault(c, 403, "PolicyNotAuthorized", "Policy doesn't allow %s to be performed.", rule);
}

int volume_decode(struct call *c, const struct schema *s, const json_t *tree, void *ret, struct given *given)
{
    struct decode_error e = { 0 };
    int r = schema_decode(s, tree, DECODE_CREATE, c->minor, c->arena, ret, given, &e);
    return r == FAULT ? decode_fault(c, &e) : r;
}

static int fault_v(struct call *c, const char *type, const char *format, va_list ap) _printf_(3, 0);
static int fault_v(struct call *c, const char *type, const char *format, va_list ap)
{
    const char *text = arena_vprintf(c->arena, format, ap);
    return text ? call_fault(c, 400, type, "%s", text) : -ENOMEM;
}

int bad_body(struct call *c, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int r = fault_v(c, "ValidationError", format, ap);
    va_end(ap);
    return r;
}

int invalid(struct call *c, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int r = fault_v(c, "Invalid", format, ap);
    va_end(ap);
    return r;
}

/* ---- who sees what ---- */

int project_check(struct call *c)
{
    const char *project = strmap_get(&c->params, "project_id");
    if (!project || call_is_admin(c) || str_eq(project, c->auth->project_id))
        return 0;
    return call_fault(c, 400, "MalformedRequestUrl", "Malformed request url");
}

int own_scope(struct call *c, struct query *q)
{
    int r = project_check(c);
    if (r)
        return r;
    if (call_is_admin(c) && call_arg_bool(c, "all_tenants", false)) {
        const char *project = call_arg(c, "project_id");
        return !project || query_where(q, c->arena, "project_id", Q_EQ, project) ? 0 : -ENOMEM;
    }
    return query_where(q, c->arena, "project_id", Q_EQ, str_or(c->auth->project_id, "")) ? 0 : -ENOMEM;
}

bool own_visible(struct call *c, const char *project_id)
{
    return call_is_admin(c) || str_eq(project_id, c->auth->project_id);
}

/* ---- links, pages, times ---- */

static void link_out(struct json_out *o, const char *rel, const char *href)
{
    json_open_object(o);
    json_put_string(o, "rel", rel);
    json_put_string(o, "href", href);
    json_close_object(o);
}

void volume_links(struct call *c, const char *collection, const char *id, struct json_out *o)
{
    const char *base = call_base_url(c), *project = str_or(c->auth->project_id, "");
    json_put_array(o, "links");
    link_out(o, "self", arena_printf(c->arena, "%s/v3/%s/%s/%s", base, project, collection, id));
    link_out(o, "bookmark", arena_printf(c->arena, "%s/%s/%s/%s", base, project, collection, id));
    json_close_array(o);
}

static void page_links(struct call *c, const struct resource *r, const struct results *l, const struct query *q,
                       struct json_out *o)
{
    (void)q;
    /* A full page has a next one, be it empty: Cinder does not look ahead. */
    const char *limit = call_arg(c, "limit");
    bool full = limit && l->n && (size_t)strtoull(limit, NULL, 10) == l->n;
    if (!l->n || (!l->more && !full))
        return;
    json_put_array(o, arena_printf(c->arena, "%s_links", r->many));
    link_out(o, "next", call_link(c, "marker", ((struct object *)l->v[l->n - 1])->id, "offset"));
    json_close_array(o);
}

void put_time(struct call *c, struct json_out *o, const char *key, usec_t t)
{
    char text[TIME_TEXT_SIZE];
    json_put_string(o, key, t ? time_format(t, c->service->time_style, text) : NULL);
}

int list_objects(struct call *c, const struct resource *r, bool detail, struct results *ret)
{
    (void)detail;
    struct query q = { .kind = r->kind };
    int64_t offset = 0;
    int result = call_read(c);
    result = result ? result : resource_query(c, r, &q);
    result = result ? result : call_arg_int(c, "offset", 0, INT32_MAX, 0, &offset);
    if (result)
        return result;
    q.offset = (size_t)offset;
    result = txn_list(c->txn, &q, ret);
    if (result == 0 && ret->marker_lost)
        return call_fault(c, 404, "NotFound", "Marker %s could not be found.", q.marker);
    return result;
}

/* ---- bodies ---- */

int body_object(struct call *c, const char *key, json_t **ret)
{
    *ret = json_object_get(c->body, key);
    if (json_is_object(*ret))
        return 0;
    return bad_body(c, "'%s' is a required property", key);
}

int body_text(struct call *c, const json_t *o, const char *key, bool required, const char **ret)
{
    const json_t *v = json_object_get(o, key);
    *ret = NULL;
    if (json_is_string(v)) {
        if (json_string_length(v) > 255)
            return bad_body(c, "Invalid input for field/attribute %s. '%.40s...' is too long", key,
                               json_string_value(v));
        *ret = arena_strdup(c->arena, json_string_value(v));
        return *ret ? 0 : -ENOMEM;
    }
    if (v && !json_is_null(v))
        return bad_body(c, "Invalid input for field/attribute %s. It is not of type 'string'", key);
    return required ? bad_body(c, "'%s' is a required property", key) : 0;
}

int body_int(struct call *c, const json_t *o, const char *key, bool required, int64_t min, int64_t max, int64_t *ret)
{
    const json_t *v = json_object_get(o, key);
    int64_t n;
    if (json_is_integer(v)) {
        n = json_integer_value(v);
    } else if (json_is_string(v)) {
        char *end;
        errno = 0;
        n = strtoll(json_string_value(v), &end, 10);
        if (errno || *end || !*json_string_value(v))
            return bad_body(c, "Invalid input for field/attribute %s. Value: %s. It is no number", key,
                               json_string_value(v));
    } else if (!v || json_is_null(v)) {
        return required ? bad_body(c, "'%s' is a required property", key) : 0;
    } else {
        return bad_body(c, "Invalid input for field/attribute %s. It is not of type 'integer'", key);
    }
    if (n < min || n > max)
        return bad_body(c, "Invalid input for field/attribute %s. Value: %lld. It must be from %lld to %lld", key,
                           (long long)n, (long long)min, (long long)max);
    *ret = n;
    return 0;
}

int body_bool(struct call *c, const json_t *o, const char *key, bool *ret)
{
    static const char *const YES[] = { "1", "true", "t", "yes", "y", "on" };
    static const char *const NO[] = { "0", "false", "f", "no", "n", "off" };
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v))
        return 0;
    if (json_is_boolean(v)) {
        *ret = json_is_true(v);
        return 0;
    }
    for (size_t i = 0; json_is_string(v) && i < ARRAY_SIZE(YES); i++) {
        if (strcasecmp(json_string_value(v), YES[i]) == 0 || strcasecmp(json_string_value(v), NO[i]) == 0) {
            *ret = strcasecmp(json_string_value(v), YES[i]) == 0;
            return 0;
        }
    }
    return bad_body(c, "Invalid input for field/attribute %s. It is not a boolean", key);
}

static const char *trimmed(struct arena *a, const char *s)
{
    if (!s)
        return NULL;
    while (isspace((unsigned char)*s))
        s++;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1]))
        n--;
    return arena_strndup(a, s, n);
}

int take_name(struct call *c, const json_t *body, const char **name, const char **description)
{
    const char *keys[] = { "name", "display_name", "description", "display_description" };
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *text, **to = i < 2 ? name : description;
        if (!to || !json_object_get(body, keys[i]))
            continue;
        int r = body_text(c, body, keys[i], false, &text);
        if (r)
            return r;
        *to = trimmed(c->arena, text);
    }
    return 0;
}

int check_metadata(struct call *c, const struct strmap *m)
{
    VEC_FOREACH(p, m) {
        if (!*p->key)
            return bad_body(c, "Metadata property key blank.");
        if (strlen(p->key) > 255)
            return bad_body(c, "Metadata property key greater than 255 characters.");
        if (strlen(p->value) > 255)
            return bad_body(c, "Metadata property value greater than 255 characters.");
    }
    return 0;
}

int take_metadata(struct call *c, const json_t *tree, struct strmap *ret)
{
    const char *key;
    json_t *value;
    if (!tree || json_is_null(tree))
        return 0;
    if (!json_is_object(tree))
        return bad_body(c, "Invalid input for field/attribute metadata. It is not of type 'object'");
    *ret = (struct strmap){ 0 };
    json_object_foreach((json_t *)(uintptr_t)tree, key, value) {
        const char *text = json_is_string(value)    ? json_string_value(value)
                           : json_is_boolean(value) ? (json_is_true(value) ? "True" : "False")
                           : json_is_integer(value) ? arena_printf(c->arena, "%lld", (long long)json_integer_value(value))
                                                    : NULL;
        if (!text)
            return bad_body(c, "Invalid input for field/attribute %s. It is not of type 'string'", key);
        if (!strmap_set(c->arena, ret, key, text))
            return -ENOMEM;
    }
    return check_metadata(c, ret);
}
