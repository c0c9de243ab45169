/* Groups of users: what a group is given, its members have. */
#include "identity/internal.h"

#include <errno.h>

static int group_render(struct call *c, const void *object, struct json_out *o, bool full)
{
    const struct user_group *g = object;
    (void)full;
    put_extra(o, g->extra);
    put_self(c, o, "groups", g->head.id);
    return 0;
}

static int group_scope(struct call *c, struct query *q)
{
    return scope_domain(c, q, "identity:list_groups");
}

static int group_create(struct call *c, void *object)
{
    struct user_group *g = object;
    struct project *d;
    if (!g->domain_id)
        g->domain_id = domain_for_create(c);
    int r = need(c, &IDENTITY_PROJECT_KIND, "domain", g->domain_id, &d);
    if (r == 0 && !d->is_domain)
        return not_found(c, "domain", g->domain_id);
    return r ? r : extra_merge(c, &GROUP_SCHEMA, NULL, &g->extra);
}

static int group_update(struct call *c, const void *before, void *object)
{
    const struct user_group *old = before;
    struct user_group *g = object;
    if (!str_eq(g->domain_id, old->domain_id))
        return bad_request(c, "Cannot change Domain ID");
    return extra_merge(c, &GROUP_SCHEMA, old->extra, &g->extra);
}

int group_purge(struct txn *t, struct arena *a, const char *id)
{
    (void)a;
    int r = delete_where(t, &IDENTITY_ASSIGNMENT_KIND, "actor_id", id);
    return r ? r : delete_where(t, &IDENTITY_MEMBERSHIP_KIND, "group_id", id);
}

static int group_remove(struct call *c, void *object)
{
    return group_purge(c->txn, c->arena, ((const struct object *)object)->id);
}

static int group_taken(struct call *c, const void *object)
{
    const struct user_group *g = object;
    return conflict(
        c,
        "Conflict occurred attempting to store group - Duplicate entry found with name %s at domain "
        "ID %s.",
        g->name, g->domain_id);
}

static bool any_group(struct call *c, const void *object)
{
    (void)c;
    (void)object;
    return true;
}

const struct resource GROUP_RESOURCE = {
    .one = "group",
    .many = "groups",
    .kind = &IDENTITY_GROUP_KIND,
    .title = "Group",
    .not_found = "NotFound",
    .not_found_noun = "group",
    .scope = group_scope,
    .visible = any_group,
    .filter = filter_operators,
    .render = group_render,
    .create = group_create,
    .update = group_update,
    .remove = group_remove,
    .taken = group_taken,
    .hex_ids = true,
};

static int group_get(struct call *c, const char *rule, struct user_group **ret)
{
    struct strmap m = { 0 };
    int r = call_read(c);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_GROUP_KIND, call_param(c, "id"), ret);
    if (r)
        return r;
    target_group(c, &m, *ret);
    r = call_require(c, rule, &m);
    return r ? r : *ret ? 0 : not_found(c, "group", call_param(c, "id"));
}

int group_show(struct call *c)
{
    struct user_group *g;
    int r = group_get(c, "identity:get_group", &g);
    return r ? r : resource_render_one(c, &GROUP_RESOURCE, g);
}

int group_users(struct call *c)
{
    struct user_group *g;
    struct results l = { 0 };
    int r = group_get(c, "identity:list_users_in_group", &g);
    if (r == 0)
        r = list_where(c->txn, &IDENTITY_MEMBERSHIP_KIND, "group_id", g->head.id, &l);
    if (r)
        return r;
    list_open(c, "users");
    for (size_t i = 0; i < l.n && r == 0; i++) {
        struct user *u;
        r = txn_get(c->txn, &IDENTITY_USER_KIND, ((const struct membership *)l.v[i])->user_id, &u);
        if (r == 0 && u)
            r = resource_render(c, &USER_RESOURCE, u, true, NULL, &c->out);
    }
    list_close(c);
    return r;
}

/* ---- members ---- */

static int member_pair(struct call *c, struct membership *m, struct user **u)
{
    struct user_group *g;
    int r = need(c, &IDENTITY_GROUP_KIND, "group", call_param(c, "id"), &g);
    if (r == 0)
        r = need(c, &IDENTITY_USER_KIND, "user", call_param(c, "user_id"), u);
    if (r == 0)
        *m = (struct membership){ .head.id = PAIR_ID(c->arena, g->head.id, (*u)->head.id),
                                  .user_id = (*u)->head.id,
                                  .group_id = g->head.id };
    return r;
}

static int add_member(struct call *c)
{
    struct membership m;
    struct user *u;
    int r = member_pair(c, &m, &u);
    c->status = 204;
    return r ? r : txn_put(c->txn, &IDENTITY_MEMBERSHIP_KIND, &m);
}

static int drop_member(struct call *c)
{
    struct membership m, *there;
    struct user *u;
    int r = member_pair(c, &m, &u);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_MEMBERSHIP_KIND, m.head.id, &there);
    if (r)
        return r;
    if (!there)
        return not_found(c, "user in group", m.user_id);
    c->status = 204;
    /* Tokens that counted on the group's roles are void. */
    u->valid_from = clock_wall();
    r = txn_delete(c->txn, &IDENTITY_MEMBERSHIP_KIND, m.head.id);
    return r ? r : txn_put(c->txn, &IDENTITY_USER_KIND, u);
}

int member_add(struct call *c)
{
    return call_write(c, add_member);
}

int member_remove(struct call *c)
{
    return call_write(c, drop_member);
}

int member_check(struct call *c)
{
    struct user_group *g;
    struct membership *m;
    struct user *u;
    struct strmap target = { 0 };
    const char *user_id = call_param(c, "user_id"), *id = call_param(c, "id");
    int r = call_read(c);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_GROUP_KIND, id, &g);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_USER_KIND, user_id, &u);
    if (r == 0)
        r = txn_get(c->txn, &IDENTITY_MEMBERSHIP_KIND, PAIR_ID(c->arena, id, user_id), &m);
    if (r)
        return r;
    target_group(c, &target, g);
    target_user(c, &target, u);
    r = call_require(c, "identity:check_user_in_group", &target);
    if (r)
        return r;
    if (!m)
        return not_found(c, "user in group", user_id);
    c->status = 204;
    return 0;
}
