/*
 * Grants: one role of one user or group on one project, one domain or the system.
 *
 * The same four verbs serve all paths; which parameters the path has says what is meant, and an
 * "inherited_to_projects" in it that the role counts below the target, not on it.
 */
#include "identity/internal.h"

#include <errno.h>

struct grant {
    struct assignment a;
    struct project *target;
    struct user *user;
    struct user_group *group;
    struct role *role;
};

static const char *optional_param(struct call *c, const char *name)
{
    return strmap_get(&c->params, name);
}

static int grant_read(struct call *c, struct grant *g)
{
    const char *user = optional_param(c, "user_id"), *group = optional_param(c, "group_id");
    const char *project = optional_param(c, "project_id"), *domain = optional_param(c, "domain_id");
    const char *role = optional_param(c, "role_id");
    *g = (struct grant){ .a = { .role_id = role,
                                .actor_type = user ? "user" : "group",
                                .actor_id = user ? user : group,
                                .target_type = project  ? "project"
                                               : domain ? "domain"
                                                        : "system",
                                .target_id = project  ? project
                                             : domain ? domain
                                                      : "system",
                                .inherited = strstr(c->route->path, "inherited_to_projects") != NULL } };
    int r = call_read(c);
    if (r == 0 && user)
        r = txn_get(c->txn, &IDENTITY_USER_KIND, user, &g->user);
    if (r == 0 && group)
        r = txn_get(c->txn, &IDENTITY_GROUP_KIND, group, &g->group);
    if (r == 0 && (project || domain))
        r = txn_get(c->txn, &IDENTITY_PROJECT_KIND, g->a.target_id, &g->target);
    if (r == 0 && role)
        r = txn_get(c->txn, &IDENTITY_ROLE_KIND, role, &g->role);
    if (g->target && domain && !g->target->is_domain)
        g->target = NULL;
    return r;
}

static bool on_system(const struct grant *g)
{
    return STREQ(g->a.target_type, "system");
}

/* Whether the caller may, then whether all of it is there. */
static int grant_allowed(struct call *c, const struct grant *g, const char *verb)
{
    struct strmap m = { 0 };
    target_user(c, &m, g->user);
    target_group(c, &m, g->group);
    target_project(c, &m, g->target);
    target_role(c, &m, g->role);
    const char *rule = on_system(g) ? arena_printf(c->arena, "identity:%s_system_grant%s_for_%s", verb,
                                                   STREQ(verb, "list") ? "s" : "", g->a.actor_type)
                       : STREQ(verb, "list") ? "identity:list_grants"
                                             : arena_printf(c->arena, "identity:%s_grant", verb);
    int r = rule ? call_require(c, rule, &m) : -ENOMEM;
    if (r)
        return r;
    if (!g->user && !g->group)
        return not_found(c, g->a.actor_type, g->a.actor_id);
    if (!g->target && !on_system(g))
        return not_found(c, g->a.target_type, g->a.target_id);
    return g->a.role_id && !g->role ? not_found(c, "role", g->a.role_id) : 0;
}

static void grant_id(struct call *c, struct grant *g)
{
    g->a.head.id = PAIR_ID(c->arena, g->a.actor_type, g->a.actor_id, g->a.target_type, g->a.target_id,
                           g->a.role_id, g->a.inherited ? "inherited" : "");
}

int grant_list(struct call *c)
{
    struct grant g;
    struct results l = { 0 };
    int r = grant_read(c, &g);
    if (r == 0)
        r = grant_allowed(c, &g, "list");
    struct query q = { .kind = &IDENTITY_ASSIGNMENT_KIND };
    if (r)
        return r;
    (void)query_where(&q, c->arena, "actor_id", Q_EQ, g.a.actor_id);
    (void)query_where(&q, c->arena, "target_id", Q_EQ, g.a.target_id);
    (void)query_where(&q, c->arena, "target_type", Q_EQ, g.a.target_type);
    (void)query_where(&q, c->arena, "inherited", Q_EQ, g.a.inherited ? "true" : "false");
    r = txn_list(c->txn, &q, &l);
    list_open(c, "roles");
    for (size_t i = 0; i < l.n && r == 0; i++) {
        struct role *role;
        r = txn_get(c->txn, &IDENTITY_ROLE_KIND, ((const struct assignment *)l.v[i])->role_id, &role);
        if (r == 0 && role)
            r = resource_render(c, &ROLE_RESOURCE, role, true, NULL, &c->out);
    }
    list_close(c);
    return r;
}

static int no_such_grant(struct call *c, const struct grant *g)
{
    return call_fault(
        c, 404, "RoleAssignmentNotFound",
        "Could not find role assignment with role: %s, user or group: %s, project, domain, or system: "
        "%s.",
        g->a.role_id, g->a.actor_id, g->a.target_id);
}

int grant_check(struct call *c)
{
    struct grant g;
    struct assignment *there;
    int r = grant_read(c, &g);
    if (r == 0)
        r = grant_allowed(c, &g, "check");
    if (r)
        return r;
    grant_id(c, &g);
    r = txn_get(c->txn, &IDENTITY_ASSIGNMENT_KIND, g.a.head.id, &there);
    if (r)
        return r;
    c->status = 204;
    return there ? 0 : no_such_grant(c, &g);
}

static int put_grant(struct call *c)
{
    struct grant g;
    int r = grant_read(c, &g);
    if (r == 0)
        r = grant_allowed(c, &g, "create");
    if (r)
        return r;
    if (g.role->domain_id) {
        const char *domain = g.target ? g.target->is_domain ? g.target->head.id : g.target->domain_id : NULL;
        if (on_system(&g))
            return bad_request(
                c, "The role %s is a domain-specific role and can't be assigned on the system.", g.a.role_id);
        if (!str_eq(domain, g.role->domain_id))
            return call_fault(c, 403, "DomainSpecificRoleMismatch",
                              "Project %s must be in the same domain as the role %s being assigned.",
                              g.a.target_id, g.a.role_id);
    }
    grant_id(c, &g);
    c->status = 204;
    return txn_put(c->txn, &IDENTITY_ASSIGNMENT_KIND, &g.a);
}

int grant_put(struct call *c)
{
    return call_write(c, put_grant);
}

static int drop_grant(struct call *c)
{
    struct grant g;
    struct assignment *there;
    int r = grant_read(c, &g);
    if (r == 0)
        r = grant_allowed(c, &g, "revoke");
    if (r)
        return r;
    grant_id(c, &g);
    r = txn_get(c->txn, &IDENTITY_ASSIGNMENT_KIND, g.a.head.id, &there);
    if (r)
        return r;
    if (!there)
        return no_such_grant(c, &g);
    c->status = 204;
    return txn_delete(c->txn, &IDENTITY_ASSIGNMENT_KIND, g.a.head.id);
}

int grant_delete(struct call *c)
{
    return call_write(c, drop_grant);
}
