/*
 * GET /v3/role_assignments: who has which role where, as it was given or as it takes effect.
 *
 * As it takes effect: a group's assignment becomes one for each member, an inherited one becomes
 * one for each project below, and each role brings those it implies. Links say where each comes
 * from.
 */
#include "identity/internal.h"

#include <errno.h>

/* An assignment as it is shown. */
struct line {
    const struct assignment *from;
    const char *role_id, *prior_role_id;
    const char *user_id, *group_id;     /* group_id with user_id: by membership */
    const char *project_id, *domain_id; /* neither: the system */
    bool inherited;                     /* shown as inherited */
};

struct listing {
    struct call *c;
    const char *user, *group, *role, *project, *domain, *inherited_to;
    bool system, effective, names, subtree;
    struct strv projects; /* wanted: the project and those below */
    struct snapshot *snapshot;
    VEC_OF(struct line) lines;
};

static bool is_wanted(const struct listing *x, const struct line *l)
{
    if (x->user && !str_eq(x->user, l->user_id))
        return false;
    if (x->group && !(str_eq(x->group, l->group_id) && !l->user_id))
        return false;
    if (x->role && !STREQ(x->role, l->role_id))
        return false;
    if (x->project && !(l->project_id && strv_has(&x->projects, l->project_id)))
        return false;
    if (x->domain && !str_eq(x->domain, l->domain_id))
        return false;
    if (x->system && (l->project_id || l->domain_id))
        return false;
    return !x->inherited_to || x->effective || l->inherited;
}

static bool same(const struct line *a, const struct line *b)
{
    return STREQ(a->role_id, b->role_id) && str_eq(a->user_id, b->user_id) &&
           str_eq(a->group_id, b->group_id) && str_eq(a->project_id, b->project_id) &&
           str_eq(a->domain_id, b->domain_id) && a->inherited == b->inherited;
}

static bool add_line(struct listing *x, const struct line *l)
{
    if (!is_wanted(x, l))
        return true;
    if (x->effective)
        VEC_FOREACH (old, &x->lines)
            if (same(old, l))
                return true;
    return vec_push(x->c->arena, &x->lines, *l);
}

/* The role itself and those it implies. */
static int add_roles(struct listing *x, const struct line *l)
{
    struct arena *a = x->c->arena;
    struct strv ids = { 0 };
    (void)strv_add(a, &ids, l->role_id);
    if (x->effective)
        snapshot_expand(x->snapshot, a, &ids);
    for (size_t i = 0; i < ids.n; i++) {
        const struct role_entry *e = snapshot_role(x->snapshot, ids.v[i]);
        if (x->effective && e && e->domain_id)
            continue;
        struct line y = *l;
        y.role_id = ids.v[i];
        y.prior_role_id = i ? l->role_id : NULL;
        if (!add_line(x, &y))
            return -ENOMEM;
    }
    return 0;
}

/* For a group: each member. */
static int add_actors(struct listing *x, const struct line *l)
{
    struct results members = { 0 };
    if (!x->effective || !l->group_id)
        return add_roles(x, l);
    int r = list_where(x->c->txn, &IDENTITY_MEMBERSHIP_KIND, "group_id", l->group_id, &members);
    for (size_t i = 0; i < members.n && r == 0; i++) {
        struct line y = *l;
        y.user_id = ((const struct membership *)members.v[i])->user_id;
        r = add_roles(x, &y);
    }
    return r;
}

static int add_targets(struct listing *x, const struct assignment *a)
{
    struct line l = { .from = a, .role_id = a->role_id, .inherited = a->inherited };
    struct results below = { 0 };
    *(STREQ(a->actor_type, "user") ? &l.user_id : &l.group_id) = a->actor_id;
    if (STREQ(a->target_type, "project"))
        l.project_id = a->target_id;
    else if (STREQ(a->target_type, "domain"))
        l.domain_id = a->target_id;
    if (!x->effective || !a->inherited)
        return add_actors(x, &l);
    int r = project_descendants(x->c->txn, x->c->arena, a->target_id, &below);
    for (size_t i = 0; i < below.n && r == 0; i++) {
        l.domain_id = NULL;
        l.project_id = ((const struct object *)below.v[i])->id;
        r = add_actors(x, &l);
    }
    return r;
}

/* ---- the query ---- */

static int narrow(struct listing *x, struct query *q)
{
    struct call *c = x->c;
    struct strv actors = { 0 }, targets = { 0 };
    int r = 0;
    if (x->user) {
        (void)strv_add(c->arena, &actors, x->user);
        if (x->effective)
            r = groups_of_user(c->txn, c->arena, x->user, &actors);
    } else if (x->group) {
        (void)strv_add(c->arena, &actors, x->group);
    }
    if (x->domain)
        (void)strv_add(c->arena, &targets, x->domain);
    if (x->system)
        (void)strv_add(c->arena, &targets, "system");
    for (size_t i = 0; i < x->projects.n; i++)
        (void)strv_add(c->arena, &targets, x->projects.v[i]);
    if (x->project && x->effective && r == 0) {
        struct project *p;
        struct results above = { 0 };
        r = txn_get(c->txn, &IDENTITY_PROJECT_KIND, x->project, &p);
        if (r == 0 && p)
            r = project_ancestors(c->txn, c->arena, p, &above);
        for (size_t i = 0; i < above.n; i++)
            (void)strv_add(c->arena, &targets, ((const struct object *)above.v[i])->id);
    }
    if (r)
        return r;
    if (actors.n) {
        struct condition *w = query_where(q, c->arena, "actor_id", Q_IN, NULL);
        if (!w)
            return -ENOMEM;
        w->list = actors;
    }
    if (targets.n) {
        struct condition *w = query_where(q, c->arena, "target_id", Q_IN, NULL);
        if (!w)
            return -ENOMEM;
        w->list = targets;
    }
    if (x->role && !x->effective && !query_where(q, c->arena, "role_id", Q_EQ, x->role))
        return -ENOMEM;
    return 0;
}

/* A flag is on when it is there, unless it says no. */
static bool flag(struct call *c, const char *name)
{
    const char *v = call_arg(c, name);
    return v && (!*v || call_arg_bool(c, name, false));
}

static int read_arguments(struct listing *x)
{
    struct call *c = x->c;
    x->user = call_arg(c, "user.id");
    x->group = call_arg(c, "group.id");
    x->role = call_arg(c, "role.id");
    x->project = call_arg(c, "scope.project.id");
    x->domain = call_arg(c, "scope.domain.id");
    x->system = call_arg(c, "scope.system") != NULL;
    x->inherited_to = call_arg(c, "scope.OS-INHERIT:inherited_to");
    x->effective = flag(c, "effective");
    x->names = flag(c, "include_names");
    x->subtree = flag(c, "include_subtree");
    if (x->domain && x->project)
        return bad_request(c, "Specify a domain or project, not both");
    if (x->user && x->group)
        return bad_request(c, "Specify a user or group, not both");
    if (x->effective && x->group)
        return bad_request(c, "Combining effective and group filter will always result in an empty list.");
    if (x->effective && x->domain && x->inherited_to)
        return bad_request(c,
                           "Combining effective, domain and inherited filters will always result in an empty "
                           "list.");
    if (x->subtree && !x->project)
        return bad_request(c, "scope.project.id must be specified if include_subtree is also specified");
    return 0;
}

static int wanted_projects(struct listing *x)
{
    struct results below = { 0 };
    int r = 0;
    if (!x->project)
        return 0;
    (void)strv_add(x->c->arena, &x->projects, x->project);
    if (x->subtree)
        r = project_descendants(x->c->txn, x->c->arena, x->project, &below);
    for (size_t i = 0; i < below.n; i++)
        (void)strv_add(x->c->arena, &x->projects, ((const struct object *)below.v[i])->id);
    return r;
}

/* ---- rendering ---- */

static int put_domain_name(struct call *c, const char *id)
{
    struct project *d;
    int r = txn_get(c->txn, &IDENTITY_PROJECT_KIND, str_or(id, ""), &d);
    if (r < 0 || !d)
        return r;
    json_put_object(&c->out, "domain");
    json_put_string(&c->out, "id", d->head.id);
    json_put_string(&c->out, "name", d->name);
    json_close_object(&c->out);
    return 0;
}

static int put_named(struct call *c, const char *key, const struct kind *k, const char *id, bool names)
{
    void *object = NULL;
    int r = names ? txn_get_(c->txn, k, id, &object) : 0;
    json_put_object(&c->out, key);
    json_put_string(&c->out, "id", id);
    if (object) {
        const char *name = k == &IDENTITY_PROJECT_KIND ? ((struct project *)object)->name
                           : k == &IDENTITY_USER_KIND  ? ((struct user *)object)->name
                           : k == &IDENTITY_GROUP_KIND ? ((struct user_group *)object)->name
                                                       : ((struct role *)object)->name;
        const char *domain = k == &IDENTITY_PROJECT_KIND ? ((struct project *)object)->domain_id
                             : k == &IDENTITY_USER_KIND  ? ((struct user *)object)->domain_id
                             : k == &IDENTITY_GROUP_KIND ? ((struct user_group *)object)->domain_id
                                                         : ((struct role *)object)->domain_id;
        json_put_string(&c->out, "name", name);
        if (domain)
            r = put_domain_name(c, domain);
    }
    json_close_object(&c->out);
    return r;
}

static const char *assignment_url(struct call *c, const struct assignment *a)
{
    const char *actor = STREQ(a->actor_type, "user") ? "users" : "groups";
    if (STREQ(a->target_type, "system"))
        return v3_url(c, "system/%s/%s/roles/%s", actor, a->actor_id, a->role_id);
    const char *target = STREQ(a->target_type, "project") ? "projects" : "domains";
    return v3_url(c, "%s%s/%s/%s/%s/roles/%s%s", a->inherited ? "OS-INHERIT/" : "", target, a->target_id,
                  actor, a->actor_id, a->role_id, a->inherited ? "/inherited_to_projects" : "");
}

static int put_line(struct listing *x, const struct line *l)
{
    struct call *c = x->c;
    struct json_out *o = &c->out;
    json_open_object(o);
    json_put_object(o, "links");
    json_put_string(o, "assignment", assignment_url(c, l->from));
    if (l->user_id && l->group_id)
        json_put_string(o, "membership", v3_url(c, "groups/%s/users/%s", l->group_id, l->user_id));
    if (l->prior_role_id)
        json_put_string(o, "prior_role", v3_url(c, "prior_role/%s/implies/%s", l->prior_role_id, l->role_id));
    json_close_object(o);
    int r = put_named(c, "role", &IDENTITY_ROLE_KIND, l->role_id, x->names);
    if (r == 0 && l->user_id)
        r = put_named(c, "user", &IDENTITY_USER_KIND, l->user_id, x->names);
    else if (r == 0)
        r = put_named(c, "group", &IDENTITY_GROUP_KIND, l->group_id, x->names);
    json_put_object(o, "scope");
    if (l->project_id && r == 0)
        r = put_named(c, "project", &IDENTITY_PROJECT_KIND, l->project_id, x->names);
    else if (l->domain_id && r == 0)
        r = put_named(c, "domain", &IDENTITY_PROJECT_KIND, l->domain_id, x->names);
    if (!l->project_id && !l->domain_id) {
        json_put_object(o, "system");
        json_put_bool(o, "all", true);
        json_close_object(o);
    }
    if (l->inherited)
        json_put_string(o, "OS-INHERIT:inherited_to", "projects");
    json_close_object(o);
    json_close_object(o);
    return r;
}

/* A domain's own readers see what concerns the domain. */
static int in_domain(struct call *c, const struct line *l, bool *ret)
{
    struct project *p = NULL;
    *ret = str_eq(l->domain_id, c->auth->domain_id);
    int r = l->project_id ? txn_get(c->txn, &IDENTITY_PROJECT_KIND, l->project_id, &p) : 0;
    if (p)
        *ret = str_eq(p->domain_id, c->auth->domain_id);
    return r;
}

int assignments_list(struct call *c)
{
    struct listing x = { .c = c };
    struct results found = { 0 };
    struct query q = { .kind = &IDENTITY_ASSIGNMENT_KIND };
    struct strmap m = { 0 };
    if (c->auth->domain_id)
        (void)vec_push(c->arena, &m, ((struct pair){ "target.domain_id", c->auth->domain_id }));
    int r = read_arguments(&x);
    if (r == 0)
        r = call_require(
            c, x.subtree ? "identity:list_role_assignments_for_tree" : "identity:list_role_assignments", &m);
    if (r == 0)
        r = call_read(c);
    if (r == 0)
        r = wanted_projects(&x);
    if (r == 0)
        r = narrow(&x, &q);
    if (r == 0)
        r = txn_list(c->txn, &q, &found);
    if (r == 0)
        r = snapshot_get(c->api, c->txn, &x.snapshot);
    for (size_t i = 0; i < found.n && r == 0; i++)
        r = add_targets(&x, found.v[i]);
    list_open(c, "role_assignments");
    VEC_FOREACH (l, &x.lines) {
        bool show = true;
        if (r == 0 && c->auth->domain_id)
            r = in_domain(c, l, &show);
        if (r == 0 && show)
            r = put_line(&x, l);
    }
    list_close(c);
    snapshot_unref(x.snapshot);
    return r;
}
