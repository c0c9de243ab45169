/*
 * Projects and domains: trees of projects, each tree under a domain, which is a project too.
 *
 * Invariants, kept by the verbs here: a project's domain is that of its parent; the parent is
 * never changed; a project that is enabled has enabled parents; a project with children, and a
 * domain that is enabled, can't be deleted.
 */
#include "identity/internal.h"

#include <errno.h>
#include <stdio.h>

static const char *const PROJECT_OPTIONS[] = { "immutable", NULL };

static const char *noun(const struct project *p)
{
    return p->is_domain ? "domain" : "project";
}

/* ---- rendering ---- */

static int project_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    const struct project *p = object;
    (void)full;
    json_put_string(o, "domain_id", p->domain_id);
    json_put_string(o, "parent_id", p->parent_id);
    json_put_bool(o, "is_domain", p->is_domain);
    put_options(o, p->options);
    put_extra(o, p->extra);
    put_self(c, o, "projects", p->head.id);
    return 0;
}

static int domain_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    const struct project *p = object;
    (void)full;
    put_options(o, p->options);
    put_extra(o, p->extra);
    put_self(c, o, "domains", p->head.id);
    return 0;
}

/* ---- who sees what ---- */

static int project_scope(struct call *c, struct query *q)
{
    const char *domain_wanted = call_arg(c, "is_domain");
    int r = scope_domain(c, q, "identity:list_projects");
    if (r == 0 && !domain_wanted && !query_where(q, c->arena, "is_domain", Q_EQ, "false"))
        return -ENOMEM;
    return r;
}

static int domain_scope(struct call *c, struct query *q)
{
    int r = call_require(c, "identity:list_domains", NULL);
    return r ? r : query_where(q, c->arena, "is_domain", Q_EQ, "true") ? 0 : -ENOMEM;
}

static bool any_project(struct call *c, const void *object)
{
    (void)c;
    (void)object;
    return true;
}

static bool domain_visible(struct call *c, const void *object)
{
    const struct project *p = object;
    struct strmap m = { 0 };
    if (!p->is_domain)
        return false;
    target_project(c, &m, p);
    return !STREQ(c->route->method, "GET") || call_allowed(c, "identity:get_domain", &m);
}

static int tag_filter(struct call *c, struct query *q, const char *name, const char *value)
{
    enum { GROUP = 1000 }; /* any number that no other group of the query has */
    struct strv tags = { 0 };
    bool any = str_ends(name, "tags-any"), not = str_starts(name, "not-");
    if (!STREQ(name, "tags") && !STREQ(name, "tags-any") && !STREQ(name, "not-tags") &&
        !STREQ(name, "not-tags-any"))
        return filter_operators(c, q, name, value);
    (void)strv_split(c->arena, &tags, value, ",");
    if (any && tags.n) {
        struct condition *w = query_where(q, c->arena, "tags", not ? Q_NO_KEY : Q_KEY, NULL);
        if (!w)
            return -ENOMEM;
        w->list = tags;
        return 0;
    }
    for (size_t i = 0; i < tags.n; i++) {
        struct condition *w = query_where(q, c->arena, "tags", not ? Q_NO_KEY : Q_KEY, tags.v[i]);
        if (!w)
            return -ENOMEM;
        if (not )
            w->any = GROUP; /* it lacks one of them */
    }
    return 0;
}

/* ---- create ---- */

static int taken(struct call *c, const void *object)
{
    const struct project *p = object;
    return conflict(
        c,
        "Conflict occurred attempting to store %s - it is not permitted to have two %ss with the same "
        "name%s: %s.",
        noun(p), noun(p), p->is_domain ? "" : " in the same domain", p->name);
}

static bool tags_unique(struct project *p)
{
    for (size_t i = 0; i < p->tags.n; i++)
        for (size_t k = i + 1; k < p->tags.n; k++)
            if (STREQ(p->tags.v[i], p->tags.v[k]))
                return false;
    return true;
}

static int common_create(struct call *c, struct project *p)
{
    if (!tags_unique(p))
        return bad_request(c, "Invalid input for field 'tags': %s has non-unique elements", "the list");
    int r = options_merge(c, NULL, &p->options, PROJECT_OPTIONS);
    return r ? r : extra_merge(c, &PROJECT_SCHEMA, NULL, &p->extra);
}

static int place(struct call *c, struct project *p)
{
    struct project *parent, *domain;
    struct results above = { 0 };
    if (p->parent_id) {
        int r = need(c, &IDENTITY_PROJECT_KIND, "project", p->parent_id, &parent);
        if (r)
            return r;
        const char *domain_id = parent->is_domain ? parent->head.id : parent->domain_id;
        if (p->domain_id && !STREQ(p->domain_id, domain_id))
            return bad_request(c, "The parent project %s is in another domain than %s.", p->parent_id,
                               p->domain_id);
        p->domain_id = domain_id;
        if (!parent->enabled)
            return bad_request(c, "Cannot create project in disabled parent %s.", p->parent_id);
        r = project_ancestors(c->txn, c->arena, parent, &above);
        if (r < 0)
            return r;
        if ((int64_t)above.n + 1 > call_identity(c)->config->project_depth_max)
            return call_fault(c, 403, "Forbidden", "Max hierarchy depth reached for %s branch.",
                              p->parent_id);
    } else {
        if (!p->domain_id)
            p->domain_id = domain_for_create(c);
        p->parent_id = p->domain_id;
    }
    int r = need(c, &IDENTITY_PROJECT_KIND, "domain", p->domain_id, &domain);
    if (r == 0 && !domain->is_domain)
        return not_found(c, "domain", p->domain_id);
    if (r == 0 && !domain->enabled)
        return bad_request(c, "Domain %s is disabled.", p->domain_id);
    return r;
}

static int project_create(struct call *c, void *object)
{
    struct project *p = object;
    if (p->is_domain) {
        if (p->domain_id || p->parent_id)
            return bad_request(c, "A project acting as a domain can't have a domain_id or a parent.");
        return common_create(c, p);
    }
    int r = place(c, p);
    return r ? r : common_create(c, p);
}

static int domain_create(struct call *c, void *object)
{
    struct project *p = object;
    const char *own = json_get_string(c->body, "explicit_domain_id");
    p->is_domain = true;
    if (own) {
        struct project *other;
        if (!uuid_valid(own))
            return bad_request(c, "Invalid input for field 'explicit_domain_id': it is not an id");
        int r = txn_get(c->txn, &IDENTITY_PROJECT_KIND, own, &other);
        if (r < 0)
            return r;
        if (other)
            return conflict(c, "Conflict occurred attempting to store domain - Duplicate ID, %s.", own);
        p->head.id = own;
    }
    return common_create(c, p);
}

/* ---- update ---- */

static int may_enable(struct call *c, const struct project *p)
{
    struct results above = { 0 };
    int r = project_ancestors(c->txn, c->arena, p, &above);
    for (size_t i = 0; i < above.n && r == 0; i++)
        if (!((const struct project *)above.v[i])->enabled)
            return call_fault(c, 403, "Forbidden", "Cannot enable project %s since it has disabled parents.",
                              p->head.id);
    return r;
}

static int may_disable(struct call *c, const struct project *p)
{
    struct results below = { 0 };
    if (p->is_domain)
        return 0;
    int r = project_descendants(c->txn, c->arena, p->head.id, &below);
    for (size_t i = 0; i < below.n && r == 0; i++)
        if (((const struct project *)below.v[i])->enabled)
            return call_fault(c, 403, "Forbidden",
                              "Cannot disable project %s since its subtree contains enabled projects.",
                              p->head.id);
    return r;
}

static int project_update(struct call *c, const void *before, void *object)
{
    const struct project *old = before;
    struct project *p = object;
    bool as_domain = c->route->resource == &DOMAIN_RESOURCE;
    p->is_domain = old->is_domain;
    if (as_domain) {
        p->domain_id = p->parent_id = NULL;
    } else {
        const struct project *given = c->in;
        if (GIVEN(&c->given, &PROJECT_SCHEMA, struct project, is_domain) &&
            given->is_domain != old->is_domain)
            return bad_request(c, "Update of `is_domain` is not allowed.");
        if (GIVEN(&c->given, &PROJECT_SCHEMA, struct project, parent_id) &&
            !str_eq(given->parent_id, old->parent_id))
            return call_fault(c, 403, "Forbidden", "Update of `parent_id` is not allowed.");
        if (!str_eq(p->domain_id, old->domain_id))
            return bad_request(c, "Update of `domain_id` is not allowed.");
    }
    if (!tags_unique(p))
        return bad_request(c, "Invalid input for field 'tags': the list has non-unique elements");
    int r = 0;
    if (GIVEN(&c->given, &PROJECT_SCHEMA, struct project, options))
        r = options_merge(c, old->options, &p->options, PROJECT_OPTIONS);
    if (r == 0)
        r = refuse_immutable(c, old->options, str_or(p->options, "{}"), noun(p), p->head.id);
    if (r == 0)
        r = extra_merge(c, &PROJECT_SCHEMA, old->extra, &p->extra);
    if (r == 0 && p->enabled && !old->enabled)
        r = may_enable(c, p);
    if (r == 0 && !p->enabled && old->enabled) {
        r = may_disable(c, p);
        p->valid_from = clock_wall();
    }
    return r;
}

/* ---- delete ---- */

int project_purge(struct txn *t, struct arena *a, const char *id)
{
    (void)a;
    static const struct {
        const struct kind *kind;
        const char *field;
    } HANGING[] = {
        { &IDENTITY_ASSIGNMENT_KIND, "target_id" },  { &IDENTITY_CATALOG_LINK_KIND, "project_id" },
        { &IDENTITY_CREDENTIAL_KIND, "project_id" }, { &IDENTITY_APP_CRED_KIND, "project_id" },
        { &IDENTITY_TRUST_KIND, "project_id" },      { &IDENTITY_LIMIT_KIND, "project_id" },
        { &IDENTITY_LIMIT_KIND, "domain_id" },
    };
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(HANGING) && r == 0; i++)
        r = delete_where(t, HANGING[i].kind, HANGING[i].field, id);
    /* Users whose default it was keep working, unscoped. */
    struct results users = { 0 };
    if (r == 0)
        r = list_where(t, &IDENTITY_USER_KIND, "default_project_id", id, &users);
    for (size_t i = 0; i < users.n && r == 0; i++) {
        ((struct user *)users.v[i])->default_project_id = NULL;
        r = txn_put(t, &IDENTITY_USER_KIND, users.v[i]);
    }
    return r;
}

static int purge_each(struct txn *t, struct arena *a, const struct kind *k, const char *domain_id,
                      int (*purge)(struct txn *t, struct arena *a, const char *id))
{
    struct results l = { 0 };
    int r = list_where(t, k, "domain_id", domain_id, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const char *id = ((const struct object *)l.v[i])->id;
        r = purge(t, a, id);
        if (r == 0)
            r = txn_delete(t, k, id);
    }
    return r;
}

static int project_remove(struct call *c, void *object)
{
    const struct project *p = object;
    struct results below = { 0 };
    int r = refuse_immutable(c, p->options, NULL, noun(p), p->head.id);
    if (r)
        return r;
    if (p->is_domain && STREQ(p->head.id, DEFAULT_DOMAIN))
        return call_fault(c, 403, "Forbidden", "The default domain can't be deleted.");
    if (p->is_domain && p->enabled)
        return call_fault(c, 403, "ForbiddenNotSecurity",
                          "Cannot delete a domain that is enabled, please disable it first.");
    if (p->is_domain) {
        r = purge_each(c->txn, c->arena, &IDENTITY_PROJECT_KIND, p->head.id, project_purge);
        if (r == 0)
            r = purge_each(c->txn, c->arena, &IDENTITY_USER_KIND, p->head.id, user_purge);
        if (r == 0)
            r = purge_each(c->txn, c->arena, &IDENTITY_GROUP_KIND, p->head.id, group_purge);
        if (r == 0)
            r = purge_each(c->txn, c->arena, &IDENTITY_ROLE_KIND, p->head.id, role_purge);
        if (r == 0)
            r = txn_delete(c->txn, &IDENTITY_DOMAIN_CONFIG_KIND, p->head.id);
    } else {
        r = project_descendants(c->txn, c->arena, p->head.id, &below);
        if (r == 0 && below.n)
            return call_fault(c, 403, "Forbidden",
                              "Cannot delete the project %s since it is not a leaf in the "
                              "hierarchy. Use the cascade option if you want to delete a whole subtree.",
                              p->head.id);
    }
    return r ? r : project_purge(c->txn, c->arena, p->head.id);
}

const struct resource PROJECT_RESOURCE = {
    .one = "project",
    .many = "projects",
    .kind = &IDENTITY_PROJECT_KIND,
    .title = "Project",
    .not_found = "NotFound",
    .not_found_noun = "project",
    .scope = project_scope,
    .visible = any_project,
    .filter = tag_filter,
    .render = project_render,
    .create = project_create,
    .update = project_update,
    .remove = project_remove,
    .taken = taken,
    .hex_ids = true,
};
const struct resource DOMAIN_RESOURCE = {
    .one = "domain",
    .many = "domains",
    .kind = &IDENTITY_PROJECT_KIND,
    .title = "Domain",
    .not_found = "NotFound",
    .not_found_noun = "domain",
    .scope = domain_scope,
    .visible = domain_visible,
    .filter = tag_filter,
    .render = domain_render,
    .create = domain_create,
    .update = project_update,
    .remove = project_remove,
    .taken = taken,
    .hex_ids = true,
};

/* ---- show, with the tree ---- */

static void put_subtree_ids(struct call *c, const struct results *all, const char *parent)
{
    bool any = false;
    for (size_t i = 0; i < all->n; i++) {
        const struct project *p = all->v[i];
        if (!str_eq(p->parent_id, parent))
            continue;
        if (!any)
            json_open_object(&c->out);
        any = true;
        json_key(&c->out, p->head.id);
        put_subtree_ids(c, all, p->head.id);
    }
    if (any)
        json_close_object(&c->out);
    else
        json_null_out(&c->out);
}

static void put_parent_ids(struct call *c, const struct results *above, size_t i)
{
    if (i == above->n) {
        json_null_out(&c->out);
        return;
    }
    json_open_object(&c->out);
    json_key(&c->out, ((const struct object *)above->v[i])->id);
    put_parent_ids(c, above, i + 1);
    json_close_object(&c->out);
}

/* Those on which the caller has a role, or all for an administrator. */
static int put_relatives(struct call *c, const char *key, const struct results *l)
{
    struct results mine = { 0 };
    int r = effective_projects(c->txn, c->arena, c->auth->user_id, false, &mine);
    json_put_array(&c->out, key);
    for (size_t i = 0; i < l->n && r == 0; i++) {
        bool seen = call_is_admin(c);
        for (size_t k = 0; k < mine.n && !seen; k++)
            seen = STREQ(((const struct object *)mine.v[k])->id, ((const struct object *)l->v[i])->id);
        if (!seen)
            continue;
        json_open_object(&c->out);
        json_key(&c->out, "project");
        r = resource_render(c, &PROJECT_RESOURCE, l->v[i], true, NULL, &c->out);
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    return r;
}

/* Reads the project of {id}; who may not see it is told the same whether it is there or not. */
static int project_get(struct call *c, const char *rule, struct project **ret)
{
    struct strmap m = { 0 };
    int r = call_read(c);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_PROJECT_KIND, call_param(c, "id"), ret);
    if (r)
        return r;
    target_project(c, &m, *ret);
    r = call_require(c, rule, &m);
    return r ? r : *ret ? 0 : not_found(c, "project", call_param(c, "id"));
}

int project_show(struct call *c)
{
    struct project *p;
    struct results above = { 0 }, below = { 0 };
    int r = project_get(c, "identity:get_project", &p);
    if (r)
        return r;
    bool parents_list = call_arg(c, "parents_as_list"), parents_ids = call_arg(c, "parents_as_ids");
    bool tree_list = call_arg(c, "subtree_as_list"), tree_ids = call_arg(c, "subtree_as_ids");
    if ((parents_list && parents_ids) || (tree_list && tree_ids))
        return bad_request(c, "Cannot use %s and %s query params at the same time.",
                           parents_list && parents_ids ? "parents_as_list" : "subtree_as_list",
                           parents_list && parents_ids ? "parents_as_ids" : "subtree_as_ids");
    if (parents_list || parents_ids)
        r = project_ancestors(c->txn, c->arena, p, &above);
    if (r == 0 && (tree_list || tree_ids))
        r = project_descendants(c->txn, c->arena, p->head.id, &below);
    if (r)
        return r;
    struct encode_options opt = call_encoding(c);
    json_open_object(&c->out);
    json_put_object(&c->out, "project");
    schema_encode_members(&PROJECT_SCHEMA, p, &opt, &c->out);
    r = project_render(c, p, &c->out, true);
    if (r == 0 && parents_list)
        r = put_relatives(c, "parents", &above);
    if (r == 0 && tree_list)
        r = put_relatives(c, "subtree", &below);
    if (parents_ids) {
        json_key(&c->out, "parents");
        put_parent_ids(c, &above, 0);
    }
    if (tree_ids) {
        json_key(&c->out, "subtree");
        put_subtree_ids(c, &below, p->head.id);
    }
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

/* ---- tags ---- */

static int put_tags(struct call *c, const struct project *p)
{
    json_open_object(&c->out);
    json_put_strings(&c->out, "tags", &p->tags);
    json_put_object(&c->out, "links");
    json_put_null(&c->out, "next");
    json_put_string(&c->out, "self", v3_url(c, "projects/%s/tags", p->head.id));
    json_put_null(&c->out, "previous");
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

int project_tags_list(struct call *c)
{
    struct project *p;
    int r = project_get(c, "identity:list_project_tags", &p);
    return r ? r : put_tags(c, p);
}

int project_tag_get(struct call *c)
{
    struct project *p;
    int r = project_get(c, "identity:get_project_tag", &p);
    if (r == 0 && !strv_has(&p->tags, call_param(c, "tag")))
        return not_found(c, "project tag", call_param(c, "tag"));
    if (r == 0)
        c->status = 204;
    return r;
}

/* What to do with the tags of a project, in the transaction. */
static int change_tags(struct call *c, int (*change)(struct call *c, struct project *p))
{
    struct project *p;
    int r = need(c, &IDENTITY_PROJECT_KIND, "project", call_param(c, "id"), &p);
    if (r == 0)
        r = refuse_immutable(c, p->options, p->options, noun(p), p->head.id);
    if (r == 0)
        r = change(c, p);
    return r ? r : txn_put(c->txn, &IDENTITY_PROJECT_KIND, p);
}

static const char *tag_wrong(const char *tag)
{
    size_t n = tag ? strlen(tag) : 0;
    return !n                   ? "is too short"
           : n > 255            ? "is too long"
           : strpbrk(tag, ",/") ? "does not match '^[^,/]*$'"
                                : NULL;
}

static int set_tags(struct call *c, struct project *p)
{
    const json_t *list = json_object_get(c->body, "tags"), *item;
    size_t i;
    if (!json_is_array(list))
        return bad_request(c, "Invalid input for field 'tags': it is not of type 'array'");
    if (json_array_size(list) > 80)
        return bad_request(c, "Invalid input for field 'tags': it has more than 80 elements");
    p->tags = (struct strv){ 0 };
    json_array_foreach(list, i, item)
    {
        const char *tag = json_string_value(item), *why = tag_wrong(tag);
        if (why || strv_has(&p->tags, tag))
            return bad_request(c, "Invalid input for field 'tags': '%s' %s", str_or(tag, "null"),
                               why ? why : "is there twice");
        (void)strv_add(c->arena, &p->tags, tag);
    }
    return put_tags(c, p);
}

static int clear_tags(struct call *c, struct project *p)
{
    p->tags = (struct strv){ 0 };
    c->status = 204;
    return 0;
}

static int add_tag(struct call *c, struct project *p)
{
    const char *tag = call_param(c, "tag"), *why = tag_wrong(tag);
    if (why)
        return bad_request(c, "Invalid input for field 'tag': '%s' %s", tag, why);
    if (!strv_has(&p->tags, tag) && p->tags.n >= 80)
        return bad_request(c, "Invalid input for field 'tags': it has more than 80 elements");
    if (!strv_has(&p->tags, tag))
        (void)strv_add(c->arena, &p->tags, tag);
    http_set_header(c->http, "Location", v3_url(c, "projects/%s/tags/%s", p->head.id, tag));
    c->status = 201;
    return 0;
}

static int remove_tag(struct call *c, struct project *p)
{
    if (!strv_drop(&p->tags, call_param(c, "tag")))
        return not_found(c, "project tag", call_param(c, "tag"));
    c->status = 204;
    return 0;
}

static int set_tags_txn(struct call *c)
{
    return change_tags(c, set_tags);
}
static int clear_tags_txn(struct call *c)
{
    return change_tags(c, clear_tags);
}
static int add_tag_txn(struct call *c)
{
    return change_tags(c, add_tag);
}
static int remove_tag_txn(struct call *c)
{
    return change_tags(c, remove_tag);
}

int project_tags_set(struct call *c)
{
    return call_write(c, set_tags_txn);
}
int project_tags_clear(struct call *c)
{
    return call_write(c, clear_tags_txn);
}
int project_tag_add(struct call *c)
{
    return call_write(c, add_tag_txn);
}
int project_tag_remove(struct call *c)
{
    return call_write(c, remove_tag_txn);
}
