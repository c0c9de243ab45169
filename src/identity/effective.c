/*
 * Who has which roles where.
 *
 * An assignment gives a role to a user or a group on a project, a domain or the system. On a
 * project count: assignments on the project itself, and inherited ones on any project above it
 * and on its domain. Roles imply others. What a token carries is the sum, without the roles that
 * belong to one domain: those only stand for what they imply.
 */
#include "identity/internal.h"

#include <errno.h>

bool ref_list_has(const struct ref_list *l, const char *id)
{
    for (size_t i = 0; i < l->n; i++)
        if (STREQ(l->v[i].id, id))
            return true;
    return false;
}

int groups_of_user(struct txn *t, struct arena *a, const char *user_id, struct strv *ret_ids)
{
    struct results l = { 0 };
    int r = list_where(t, &IDENTITY_MEMBERSHIP_KIND, "user_id", user_id, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        if (!strv_add(a, ret_ids, ((const struct membership *)l.v[i])->group_id))
            return -ENOMEM;
    return r;
}

int project_ancestors(struct txn *t, struct arena *a, const struct project *p, struct results *ret)
{
    /* Deeper than any tree may be: a circle, which can't be, would end here. */
    for (int depth = 0; p && !p->is_domain && p->parent_id && depth < 64; depth++) {
        struct project *parent;
        int r = txn_get(t, &IDENTITY_PROJECT_KIND, p->parent_id, &parent);
        if (r < 0)
            return r;
        if (parent && !vec_push(a, ret, (void *)parent))
            return -ENOMEM;
        p = parent;
    }
    return 0;
}

int project_descendants(struct txn *t, struct arena *a, const char *id, struct results *ret)
{
    struct results level = { 0 };
    int r = list_where(t, &IDENTITY_PROJECT_KIND, "parent_id", id, &level);
    for (size_t i = 0; r == 0 && i < level.n; i++) {
        if (!vec_push(a, ret, level.v[i]))
            return -ENOMEM;
        r = project_descendants(t, a, ((const struct object *)level.v[i])->id, ret);
    }
    return r;
}

static int actors_of(struct txn *t, struct arena *a, const char *user_id, struct strv *ret)
{
    return strv_add(a, ret, user_id) ? groups_of_user(t, a, user_id, ret) : -ENOMEM;
}

static struct condition *where_in(struct query *q, struct arena *a, const char *field,
                                  const struct strv *list)
{
    struct condition *w = query_where(q, a, field, Q_IN, NULL);
    if (w)
        w->list = *list;
    return w;
}

int effective_roles(struct api *api, struct txn *t, struct arena *a, const char *user_id,
                    enum token_scope scope, const char *target_id, struct ref_list *ret)
{
    static const char *const TYPES[] = { "", "project", "domain", "system" };
    struct strv actors = { 0 }, targets = { 0 }, ids = { 0 };
    struct results above = { 0 }, found = { 0 };
    _cleanup_(snapshot_unrefp) struct snapshot *s = NULL;
    const char *type = TYPES[scope];
    if (scope == SCOPE_NONE)
        return 0;
    if (scope == SCOPE_SYSTEM)
        target_id = "system";
    int r = actors_of(t, a, user_id, &actors);
    (void)strv_add(a, &targets, target_id);
    if (r == 0 && scope == SCOPE_PROJECT) {
        struct project *p;
        r = txn_get(t, &IDENTITY_PROJECT_KIND, target_id, &p);
        if (r == 0 && p && p->is_domain)
            type = "domain";
        if (r == 0)
            r = project_ancestors(t, a, p, &above);
        for (size_t i = 0; i < above.n; i++)
            (void)strv_add(a, &targets, ((const struct object *)above.v[i])->id);
    }
    struct query q = { .kind = &IDENTITY_ASSIGNMENT_KIND };
    if (r < 0 || !where_in(&q, a, "actor_id", &actors) || !where_in(&q, a, "target_id", &targets))
        return r < 0 ? r : -ENOMEM;
    r = txn_list(t, &q, &found);
    if (r < 0)
        return r;
    for (size_t i = 0; i < found.n; i++) {
        const struct assignment *x = found.v[i];
        bool own = STREQ(x->target_id, target_id) && STREQ(x->target_type, type);
        if (own ? !x->inherited : x->inherited)
            if (!strv_has(&ids, x->role_id))
                (void)strv_add(a, &ids, x->role_id);
    }
    r = snapshot_get(api, t, &s);
    if (r < 0)
        return r;
    snapshot_expand(s, a, &ids);
    for (size_t i = 0; i < ids.n; i++) {
        const struct role_entry *e = snapshot_role(s, ids.v[i]);
        if (e && !e->domain_id)
            (void)vec_push(
                a, ret,
                ((struct role_ref){ .id = arena_strdup(a, e->id), .name = arena_strdup(a, e->name) }));
    }
    return arena_failed(a) ? -ENOMEM : 0;
}

static bool results_have(const struct results *l, const char *id)
{
    for (size_t i = 0; i < l->n; i++)
        if (STREQ(((const struct object *)l->v[i])->id, id))
            return true;
    return false;
}

static int add_project(struct txn *t, struct arena *a, const char *id, bool domains, struct results *ret)
{
    struct project *p;
    if (results_have(ret, id))
        return 0;
    int r = txn_get(t, &IDENTITY_PROJECT_KIND, id, &p);
    if (r == 0 && p && p->is_domain == domains && !vec_push(a, ret, (void *)p))
        return -ENOMEM;
    return r;
}

int effective_projects(struct txn *t, struct arena *a, const char *user_id, bool domains, struct results *ret)
{
    struct strv actors = { 0 };
    struct results found = { 0 };
    struct query q = { .kind = &IDENTITY_ASSIGNMENT_KIND };
    int r = actors_of(t, a, user_id, &actors);
    if (r < 0 || !where_in(&q, a, "actor_id", &actors))
        return r < 0 ? r : -ENOMEM;
    r = txn_list(t, &q, &found);
    for (size_t i = 0; r == 0 && i < found.n; i++) {
        const struct assignment *x = found.v[i];
        if (STREQ(x->target_type, "system"))
            continue;
        if (!x->inherited) {
            r = add_project(t, a, x->target_id, domains, ret);
        } else if (!domains) {
            struct results below = { 0 };
            r = project_descendants(t, a, x->target_id, &below);
            for (size_t k = 0; k < below.n && r == 0; k++)
                r = add_project(t, a, ((const struct object *)below.v[k])->id, false, ret);
        }
    }
    return r;
}
