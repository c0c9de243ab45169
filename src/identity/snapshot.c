/*
 * Roles, what they imply, and the catalog, kept in memory as one immutable snapshot.
 *
 * All three change rarely and are needed for every token. The snapshot is read from the store
 * when a watch has seen one of its kinds change; whoever uses it holds a reference. The catalog
 * is kept as text, with marks where a project's or user's id goes, so that rendering it is
 * copying.
 */
#include "identity/internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#define MARK_PROJECT '\x01'
#define MARK_USER '\x02'

struct catalog_endpoint {
    const struct endpoint *e;
    const char *text;  /* as JSON, with marks */
    bool with_project; /* has a project mark: only for tokens of a project */
};

struct catalog_entry {
    const struct catalog_service *s;
    VEC_OF(struct catalog_endpoint) endpoints;
};

struct snapshot {
    _Atomic int refs;
    uint64_t generation;
    struct arena *arena;
    VEC_OF(struct role_entry) roles;
    VEC_OF(struct catalog_entry) services;
    bool narrowed; /* some project has associations */
};

void snapshot_unref(struct snapshot *s)
{
    if (s && atomic_fetch_sub(&s->refs, 1) == 1) {
        arena_free(s->arena);
        free(s);
    }
}

const struct role_entry *snapshot_role(const struct snapshot *s, const char *id)
{
    VEC_FOREACH (r, &s->roles)
        if (STREQ(r->id, id))
            return r;
    return NULL;
}

void snapshot_expand(const struct snapshot *s, struct arena *a, struct strv *role_ids)
{
    /* The list grows while we walk; what is there already is not added, so circles end. */
    for (size_t i = 0; i < role_ids->n; i++) {
        const struct role_entry *r = snapshot_role(s, role_ids->v[i]);
        for (size_t k = 0; r && k < r->implies.n; k++)
            if (!strv_has(role_ids, r->implies.v[k]))
                (void)strv_add(a, role_ids, r->implies.v[k]);
    }
}

/* ---- loading ---- */

static int load_roles(struct txn *t, struct snapshot *s)
{
    struct results roles = { 0 }, implied = { 0 };
    int r = txn_list(t, &(struct query){ .kind = &IDENTITY_ROLE_KIND }, &roles);
    if (r == 0)
        r = txn_list(t, &(struct query){ .kind = &IDENTITY_IMPLIED_ROLE_KIND }, &implied);
    for (size_t i = 0; r == 0 && i < roles.n; i++) {
        const struct role *role = roles.v[i];
        struct role_entry *e = vec_add(s->arena, &s->roles);
        if (!e)
            return -ENOMEM;
        *e = (struct role_entry){ .id = arena_strdup(s->arena, role->head.id),
                                  .name = arena_strdup(s->arena, role->name),
                                  .domain_id = arena_strdup(s->arena, role->domain_id) };
    }
    for (size_t i = 0; r == 0 && i < implied.n; i++) {
        const struct implied_role *p = implied.v[i];
        VEC_FOREACH (e, &s->roles)
            if (STREQ(e->id, p->prior_role_id))
                (void)strv_add(s->arena, &e->implies, p->implied_role_id);
    }
    return r;
}

/* "$(project_id)s" and "%(tenant_id)s" and so on become marks; other names make the URL unusable. */
static bool url_marked(struct buf *out, const char *url, bool *with_project)
{
    for (const char *p = url; *p; p++) {
        if ((*p != '$' && *p != '%') || p[1] != '(') {
            buf_addc(out, *p);
            continue;
        }
        const char *end = strstr(p, ")s");
        size_t n = end ? (size_t)(end - p - 2) : 0;
        if ((n == 10 && memcmp(p + 2, "project_id", 10) == 0) ||
            (n == 9 && memcmp(p + 2, "tenant_id", 9) == 0)) {
            buf_addc(out, MARK_PROJECT);
            *with_project = true;
        } else if (n == 7 && memcmp(p + 2, "user_id", 7) == 0) {
            buf_addc(out, MARK_USER);
        } else {
            return false;
        }
        p = end + 1;
    }
    return true;
}

static bool endpoint_text(struct arena *a, const struct endpoint *e, struct catalog_endpoint *ret)
{
    _cleanup_(buf_done) struct buf url = BUF_MAX(4096);
    _cleanup_(buf_done) struct buf text = BUF_MAX(16384);
    struct json_out o = JSON_OUT(&text);
    if (!url_marked(&url, e->url, &ret->with_project))
        return false;
    json_open_object(&o);
    json_put_string(&o, "id", e->head.id);
    json_put_string(&o, "interface", e->interface);
    json_put_string(&o, "region", e->region_id);
    json_put_string(&o, "region_id", e->region_id);
    json_key(&o, "url");
    /* Not through the writer, which would escape the marks; a URL with characters to escape is
     * left out of the catalog rather than broken. */
    if (strpbrk(buf_text(&url), "\"\\"))
        return false;
    buf_addc(&text, '"');
    buf_adds(&text, buf_text(&url));
    buf_addc(&text, '"');
    json_close_object(&o);
    if (buf_error(&text) || buf_error(&url))
        return false;
    ret->e = schema_copy(&ENDPOINT_SCHEMA, e, a);
    ret->text = arena_strdup(a, buf_text(&text));
    return ret->e && ret->text;
}

static int load_catalog(struct txn *t, struct snapshot *s)
{
    struct results services = { 0 }, endpoints = { 0 }, links = { 0 };
    struct query q = { .kind = &IDENTITY_CATALOG_LINK_KIND, .limit = 1 };
    int r = txn_list(t, &(struct query){ .kind = &IDENTITY_SERVICE_KIND }, &services);
    if (r == 0)
        r = txn_list(t, &(struct query){ .kind = &IDENTITY_ENDPOINT_KIND }, &endpoints);
    if (r == 0)
        r = txn_list(t, &q, &links);
    s->narrowed = links.n > 0;
    for (size_t i = 0; r == 0 && i < services.n; i++) {
        const struct catalog_service *service = services.v[i];
        if (!service->enabled)
            continue;
        struct catalog_entry *entry = vec_add(s->arena, &s->services);
        if (!entry)
            return -ENOMEM;
        entry->s = schema_copy(&CATALOG_SERVICE_SCHEMA, service, s->arena);
        for (size_t k = 0; k < endpoints.n; k++) {
            const struct endpoint *e = endpoints.v[k];
            struct catalog_endpoint x = { 0 };
            if (e->enabled && STREQ(e->service_id, service->head.id) && endpoint_text(s->arena, e, &x))
                (void)vec_push(s->arena, &entry->endpoints, x);
        }
    }
    return r;
}

static int load(struct txn *t, uint64_t generation, struct snapshot **ret)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->refs = 1;
    s->generation = generation;
    s->arena = arena_new(0);
    int r = s->arena ? load_roles(t, s) : -ENOMEM;
    if (r == 0)
        r = load_catalog(t, s);
    if (r == 0 && arena_failed(s->arena))
        r = -ENOMEM;
    if (r < 0)
        snapshot_unref(s);
    else
        *ret = s;
    return r;
}

int snapshot_get(struct api *api, struct txn *t, struct snapshot **ret)
{
    struct identity *id = identity_of(api);
    uint64_t generation = atomic_load(&id->snapshot_generation);
    (void)pthread_mutex_lock(&id->snapshot_lock);
    struct snapshot *s = id->snapshot && id->snapshot->generation == generation ? id->snapshot : NULL;
    if (s)
        atomic_fetch_add(&s->refs, 1);
    (void)pthread_mutex_unlock(&id->snapshot_lock);
    if (!s) {
        int r = load(t, generation, &s);
        if (r < 0)
            return error_trace(r);
        atomic_fetch_add(&s->refs, 1);
        (void)pthread_mutex_lock(&id->snapshot_lock);
        struct snapshot *old = id->snapshot;
        id->snapshot = s;
        (void)pthread_mutex_unlock(&id->snapshot_lock);
        snapshot_unref(old);
    }
    *ret = s;
    return 0;
}

/* ---- the catalog ---- */

static void put_marked(struct json_out *o, const char *text, const char *project_id, const char *user_id)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX(65536);
    for (size_t n; *text; text += n) {
        n = strcspn(text, "\x01\x02");
        buf_add(&b, text, n);
        if (!text[n])
            break;
        buf_adds(&b, text[n] == MARK_PROJECT ? str_or(project_id, "") : str_or(user_id, ""));
        n++;
    }
    json_raw_out(o, buf_text(&b));
}

/* Which endpoints the project's associations leave; *ret_all when it has none. */
static int narrowed_endpoints(struct txn *t, struct arena *a, const char *project_id, struct strv *ids,
                              struct strv *groups, bool *ret_all)
{
    struct results l = { 0 };
    int r = list_where(t, &IDENTITY_CATALOG_LINK_KIND, "project_id", project_id, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct catalog_link *link = l.v[i];
        if (link->endpoint_id)
            (void)strv_add(a, ids, link->endpoint_id);
        else if (link->endpoint_group_id)
            (void)strv_add(a, groups, link->endpoint_group_id);
    }
    *ret_all = l.n == 0;
    return r;
}

int snapshot_catalog(const struct snapshot *s, struct txn *t, struct arena *a, const char *project_id,
                     const char *user_id, struct json_out *o)
{
    struct strv ids = { 0 }, group_ids = { 0 };
    VEC_OF(json_t *) filters = { 0 };
    bool all = true;
    int r = s->narrowed && project_id ? narrowed_endpoints(t, a, project_id, &ids, &group_ids, &all) : 0;
    for (size_t i = 0; r == 0 && i < group_ids.n; i++) {
        struct endpoint_group *g;
        r = txn_get(t, &IDENTITY_ENDPOINT_GROUP_KIND, group_ids.v[i], &g);
        char why[200];
        json_t *f = r == 0 && g ? json_parse(g->filters, strlen(g->filters), why, sizeof(why)) : NULL;
        if (f && !vec_push(a, &filters, f))
            json_decref(f);
    }
    json_put_array(o, "catalog");
    VEC_FOREACH (entry, &s->services) {
        json_open_object(o);
        json_put_array(o, "endpoints");
        VEC_FOREACH (e, &entry->endpoints) {
            bool show = (all || strv_has(&ids, e->e->head.id)) && (!e->with_project || project_id);
            for (size_t i = 0; !show && !all && i < filters.n; i++)
                show = endpoint_fits(e->e, filters.v[i]) && (!e->with_project || project_id);
            if (show)
                put_marked(o, e->text, project_id, user_id);
        }
        json_close_array(o);
        json_put_string(o, "id", entry->s->head.id);
        json_put_string(o, "type", entry->s->type);
        json_put_string(o, "name", str_or(entry->s->name, ""));
        json_close_object(o);
    }
    json_close_array(o);
    VEC_FOREACH (f, &filters)
        json_decref(*f);
    return r;
}
