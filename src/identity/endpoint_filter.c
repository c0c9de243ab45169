/*
 * OS-EP-FILTER: which endpoints, and groups of them, are associated with which projects.
 */
#include "identity/internal.h"

#include <errno.h>

struct association {
    struct catalog_link link;
    struct project *project;
    struct endpoint *endpoint;
    struct endpoint_group *group;
};

static int read_association(struct call *c, struct association *x)
{
    const char *endpoint = strmap_get(&c->params, "endpoint_id"), *group = strmap_get(&c->params, "group_id");
    *x = (struct association){ 0 };
    int r = call_read(c);
    if (r == 0)
        r = need(c, &IDENTITY_PROJECT_KIND, "project", call_param(c, "project_id"), &x->project);
    if (r == 0 && endpoint)
        r = need(c, &IDENTITY_ENDPOINT_KIND, "endpoint", endpoint, &x->endpoint);
    if (r == 0 && group)
        r = need(c, &IDENTITY_ENDPOINT_GROUP_KIND, "endpoint group", group, &x->group);
    if (r == 0)
        x->link = (struct catalog_link){ .head.id = PAIR_ID(c->arena, x->project->head.id, endpoint, group),
                                         .project_id = x->project->head.id,
                                         .endpoint_id = endpoint,
                                         .endpoint_group_id = group };
    return r;
}

static int put(struct call *c)
{
    struct association x;
    int r = read_association(c, &x);
    c->status = 204;
    return r ? r : txn_put(c->txn, &IDENTITY_CATALOG_LINK_KIND, &x.link);
}

static int find(struct call *c, struct association *x)
{
    struct catalog_link *there;
    int r = read_association(c, x);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_CATALOG_LINK_KIND, x->link.head.id, &there);
    if (r)
        return r;
    c->status = 204;
    return there ? 0 : not_found(c, "association with project", x->project->head.id);
}

static int drop(struct call *c)
{
    struct association x;
    int r = find(c, &x);
    return r ? r : txn_delete(c->txn, &IDENTITY_CATALOG_LINK_KIND, x.link.head.id);
}

int filter_endpoint_put(struct call *c)
{
    return call_write(c, put);
}

int filter_group_put(struct call *c)
{
    return call_write(c, put);
}

int filter_endpoint_delete(struct call *c)
{
    return call_write(c, drop);
}

int filter_group_delete(struct call *c)
{
    return call_write(c, drop);
}

int filter_endpoint_check(struct call *c)
{
    struct association x;
    return find(c, &x);
}

/* Shows the group: its GET is more than a check. */
int filter_group_check(struct call *c)
{
    struct association x;
    int r = find(c, &x);
    c->status = 200;
    return r ? r : resource_render_one(c, &ENDPOINT_GROUP_RESOURCE, x.group);
}

/* ---- lists ---- */

static int links_of(struct call *c, const char *field, const char *id, struct results *l)
{
    return list_where(c->txn, &IDENTITY_CATALOG_LINK_KIND, field, id, l);
}

/* All endpoints that meet a group's filters. */
static int endpoints_of_group(struct call *c, const struct endpoint_group *g, struct results *ret)
{
    struct results all = { 0 };
    char why[200];
    _cleanup_(json_decrefp) json_t *filters = json_parse(g->filters, strlen(g->filters), why, sizeof(why));
    int r = txn_list(c->txn, &(struct query){ .kind = &IDENTITY_ENDPOINT_KIND }, &all);
    for (size_t i = 0; i < all.n && r == 0; i++)
        if (endpoint_fits(all.v[i], filters) && !vec_push(c->arena, ret, all.v[i]))
            return -ENOMEM;
    return r;
}

static bool has(const struct results *l, const void *object)
{
    for (size_t i = 0; i < l->n; i++)
        if (STREQ(((const struct object *)l->v[i])->id, ((const struct object *)object)->id))
            return true;
    return false;
}

static int put_list(struct call *c, const struct resource *res, const struct results *l)
{
    int r = 0;
    list_open(c, res->many);
    for (size_t i = 0; i < l->n && r == 0; i++)
        r = resource_render(c, res, l->v[i], true, NULL, &c->out);
    list_close(c);
    return r;
}

int filter_project_endpoints(struct call *c)
{
    struct association x;
    struct results l = { 0 }, found = { 0 };
    int r = read_association(c, &x);
    if (r == 0)
        r = links_of(c, "project_id", x.project->head.id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const struct catalog_link *link = l.v[i];
        struct results some = { 0 };
        if (link->endpoint_id) {
            struct endpoint *e;
            r = txn_get(c->txn, &IDENTITY_ENDPOINT_KIND, link->endpoint_id, &e);
            if (r == 0 && e)
                (void)vec_push(c->arena, &some, (void *)e);
        } else {
            struct endpoint_group *g;
            r = txn_get(c->txn, &IDENTITY_ENDPOINT_GROUP_KIND, link->endpoint_group_id, &g);
            if (r == 0 && g)
                r = endpoints_of_group(c, g, &some);
        }
        for (size_t k = 0; k < some.n; k++)
            if (!has(&found, some.v[k]))
                (void)vec_push(c->arena, &found, some.v[k]);
    }
    return r ? r : put_list(c, &ENDPOINT_RESOURCE, &found);
}

static int projects_by(struct call *c, const char *field, const char *id)
{
    struct results l = { 0 }, found = { 0 };
    int r = links_of(c, field, id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        struct project *p;
        r = txn_get(c->txn, &IDENTITY_PROJECT_KIND, ((const struct catalog_link *)l.v[i])->project_id, &p);
        if (r == 0 && p)
            (void)vec_push(c->arena, &found, (void *)p);
    }
    return r ? r : put_list(c, &PROJECT_RESOURCE, &found);
}

int filter_endpoint_projects(struct call *c)
{
    struct endpoint *e;
    int r = call_read(c);
    if (r == 0)
        r = need(c, &IDENTITY_ENDPOINT_KIND, "endpoint", call_param(c, "endpoint_id"), &e);
    return r ? r : projects_by(c, "endpoint_id", e->head.id);
}

static int read_group(struct call *c, struct endpoint_group **g)
{
    int r = call_read(c);
    return r ? r : need(c, &IDENTITY_ENDPOINT_GROUP_KIND, "endpoint group", call_param(c, "group_id"), g);
}

int filter_group_projects(struct call *c)
{
    struct endpoint_group *g;
    int r = read_group(c, &g);
    return r ? r : projects_by(c, "endpoint_group_id", g->head.id);
}

int filter_group_endpoints(struct call *c)
{
    struct endpoint_group *g;
    struct results l = { 0 };
    int r = read_group(c, &g);
    if (r == 0)
        r = endpoints_of_group(c, g, &l);
    return r ? r : put_list(c, &ENDPOINT_RESOURCE, &l);
}

int filter_project_groups(struct call *c)
{
    struct association x;
    struct results l = { 0 }, found = { 0 };
    int r = read_association(c, &x);
    if (r == 0)
        r = links_of(c, "project_id", x.project->head.id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const char *id = ((const struct catalog_link *)l.v[i])->endpoint_group_id;
        struct endpoint_group *g = NULL;
        r = id ? txn_get(c->txn, &IDENTITY_ENDPOINT_GROUP_KIND, id, &g) : 0;
        if (r == 0 && g)
            (void)vec_push(c->arena, &found, (void *)g);
    }
    return r ? r : put_list(c, &ENDPOINT_GROUP_RESOURCE, &found);
}
