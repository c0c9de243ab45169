/*
 * Groups of volumes, their types and their snapshots (3.11 to 3.14). A group is a name that volumes
 * carry; a group snapshot is a snapshot of each member, made in one transaction, and its state is
 * theirs: nothing is counted twice.
 */
#include "volume/internal.h"

#include <errno.h>
#include <strings.h>

#define DEFAULT_CGSNAPSHOT_TYPE "default_cgsnapshot_type"

/* ---- group types ---- */

static int type_get(struct call *c, struct group_type **ret)
{
    const char *id = call_param(c, "id");
    int r = project_check(c);
    r = r ? r : txn_get(c->txn, &GROUP_TYPE_KIND, id, ret);
    if (r == 0 && (!*ret || (!(*ret)->is_public && !call_is_admin(c))))
        return call_fault(c, 404, "GroupTypeNotFound", "Group type %s could not be found.", id);
    return r;
}

static void type_render(struct call *c, struct json_out *o, const struct group_type *t)
{
    json_open_object(o);
    json_put_string(o, "id", t->head.id);
    json_put_string(o, "name", t->name);
    json_put_string(o, "description", t->description);
    json_put_bool(o, "is_public", t->is_public);
    if (call_is_admin(c))
        json_put_map(o, "group_specs", &t->specs);
    json_close_object(o);
}

static int type_render_one(struct call *c, const struct group_type *t)
{
    json_open_object(&c->out);
    json_key(&c->out, "group_type");
    type_render(c, &c->out, t);
    json_close_object(&c->out);
    return 0;
}

static int type_scope(struct call *c, struct query *q)
{
    const char *is_public = call_arg(c, "is_public");
    if (call_is_admin(c) && is_public && strcasecmp(is_public, "none") == 0)
        return 0;
    bool wanted = !call_is_admin(c) || !is_public || call_arg_bool(c, "is_public", true);
    return query_where(q, c->arena, "is_public", Q_EQ, wanted ? "true" : "false") ? 0 : -ENOMEM;
}
static int type_filter(struct call *c, struct query *q, const char *name, const char *value)
{
    (void)c;
    (void)q;
    (void)value;
    return STREQ(name, "is_public") ? 0 : 1;
}
static const struct resource GROUP_TYPES = { .one = "group_type", .many = "group_types", .kind = &GROUP_TYPE_KIND,
                                             .title = "Group type", .scope = type_scope, .filter = type_filter };

static int types_list(struct call *c)
{
    struct results l = { 0 };
    int r = list_objects(c, &GROUP_TYPES, true, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "group_types");
    for (size_t i = 0; i < l.n; i++)
        type_render(c, &c->out, l.v[i]);
    json_close_array(&c->out);
    c->service->list_style->links(c, &GROUP_TYPES, &l, NULL, &c->out);
    json_close_object(&c->out);
    return 0;
}

/* "default" is the one that consistency groups of old had. */
static int type_default_write(struct call *c)
{
    struct group_type *t;
    int r = txn_find_by(c->txn, &GROUP_TYPE_KIND, "name", DEFAULT_CGSNAPSHOT_TYPE, &t);
    if (r == 0 && !t) {
        t = ARENA_NEW(c->arena, struct group_type);
        if (!t)
            return -ENOMEM;
        *t = (struct group_type){ .head.id = uuid_new(c->arena), .name = DEFAULT_CGSNAPSHOT_TYPE, .is_public = true,
                                  .description = "Default group type for migrating cgsnapshot",
                                  .created_at = clock_wall() };
        strmap_set(c->arena, &t->specs, "consistent_group_snapshot_enabled", "<is> True");
        r = txn_put(c->txn, &GROUP_TYPE_KIND, t);
    }
    return r ? r : type_render_one(c, t);
}

static int type_show(struct call *c)
{
    struct group_type *t;
    if (STREQ(call_param(c, "id"), "default"))
        return call_write(c, type_default_write);
    int r = call_read(c);
    r = r ? r : type_get(c, &t);
    return r ? r : type_render_one(c, t);
}

static int type_put(struct call *c, const struct group_type *t)
{
    int r = txn_put(c->txn, &GROUP_TYPE_KIND, t);
    return r == TXN_TAKEN ? call_fault(c, 409, "GroupTypeExists", "Group Type %s already exists.", t->name) : r;
}

static int type_write(struct call *c)
{
    json_t *in;
    bool create = STREQ(c->http->method, "POST");
    struct group_type *t = ARENA_NEW(c->arena, struct group_type);
    int r = body_object(c, "group_type", &in);
    if (r || !t)
        return r ? r : -ENOMEM;
    *t = (struct group_type){ .head.id = uuid_new(c->arena), .is_public = true, .created_at = clock_wall() };
    if (!create)
        r = type_get(c, &t);
    r = r ? r : take_name(c, in, &t->name, &t->description);
    r = r ? r : body_bool(c, in, "is_public", &t->is_public);
    r = r ? r : take_metadata(c, json_object_get(in, "group_specs"), &t->specs);
    if (r == 0 && str_empty(t->name))
        return bad_body(c, "Invalid input for field/attribute name. It can not be blank");
    r = r ? r : type_put(c, t);
    return r ? r : type_render_one(c, t);
}
static int type_change(struct call *c)
{
    return call_write(c, type_write);
}

static int type_delete_write(struct call *c)
{
    struct group_type *t;
    uint64_t n = 0;
    int r = type_get(c, &t);
    r = r ? r : count_by(c->txn, &GROUP_KIND, "group_type", t->head.id, &n);
    if (r == 0 && n)
        return bad_body(c, "Target group type is still in use.");
    return r ? r : txn_delete(c->txn, &GROUP_TYPE_KIND, t->head.id);
}
static int type_delete(struct call *c)
{
    return call_write(c, type_delete_write);
}

/* ---- their specs ---- */

static int specs_list(struct call *c)
{
    struct group_type *t;
    int r = call_read(c);
    r = r ? r : type_get(c, &t);
    json_open_object(&c->out);
    if (r == 0)
        json_put_map(&c->out, "group_specs", &t->specs);
    json_close_object(&c->out);
    return r;
}

static int specs_write(struct call *c)
{
    json_t *in;
    struct strmap m = { 0 };
    struct group_type *t;
    int r = body_object(c, "group_specs", &in);
    r = r ? r : type_get(c, &t);
    r = r ? r : take_metadata(c, in, &m);
    if (r)
        return r;
    VEC_FOREACH(p, &m)
        strmap_set(c->arena, &t->specs, p->key, p->value);
    r = type_put(c, t);
    json_open_object(&c->out);
    json_put_map(&c->out, "group_specs", &m);
    json_close_object(&c->out);
    return r;
}
static int specs_create(struct call *c)
{
    return call_write(c, specs_write);
}

static int spec_missing(struct call *c)
{
    return call_fault(c, 404, "GroupTypeSpecsNotFound", "Group Type %s has no specs with key %s.", call_param(c, "id"),
                      call_param(c, "key"));
}

static int put_pair(struct call *c, const char *value)
{
    json_open_object(&c->out);
    json_put_string(&c->out, call_param(c, "key"), value);
    json_close_object(&c->out);
    return 0;
}

static int spec_show(struct call *c)
{
    struct group_type *t;
    int r = call_read(c);
    r = r ? r : type_get(c, &t);
    if (r)
        return r;
    const char *value = strmap_get(&t->specs, call_param(c, "key"));
    return value ? put_pair(c, value) : spec_missing(c);
}

static int spec_write(struct call *c)
{
    struct group_type *t;
    struct strmap m = { 0 };
    const char *key = call_param(c, "key");
    int r = type_get(c, &t);
    if (r)
        return r;
    if (STREQ(c->http->method, "DELETE"))
        return strmap_drop(&t->specs, key) ? type_put(c, t) : spec_missing(c);
    r = take_metadata(c, c->body, &m);
    if (r == 0 && (m.n != 1 || !STREQ(m.v[0].key, key)))
        return bad_body(c, "Request body and URI mismatch");
    if (r)
        return r;
    strmap_set(c->arena, &t->specs, key, m.v[0].value);
    r = type_put(c, t);
    return r ? r : put_pair(c, m.v[0].value);
}
static int spec_change(struct call *c)
{
    return call_write(c, spec_write);
}

/* ---- groups ---- */

static int group_get(struct call *c, const char *id, struct group **ret)
{
    int r = project_check(c);
    r = r ? r : txn_get(c->txn, &GROUP_KIND, id, ret);
    if (r == 0 && (!*ret || !own_visible(c, (*ret)->project_id)))
        return call_fault(c, 404, "GroupNotFound", "Group %s could not be found.", id);
    return r;
}

/* A group that is being made of another is ready with its last volume, one that goes is gone with it. */
static int group_status(struct txn *t, const struct group *g, struct results *ret_volumes, const char **ret)
{
    int r = list_by(t, &VOLUME_KIND, "group_id", g->head.id, ret_volumes);
    *ret = g->status;
    if (r < 0 || str_starts(g->status, "error") || STREQ(g->status, "deleting"))
        return r;
    for (size_t i = 0; i < ret_volumes->n; i++) {
        const struct volume *v = ret_volumes->v[i];
        if (str_eq(v->status, "creating"))
            *ret = "creating";
        if (str_eq(v->status, "error") && !STREQ(*ret, "creating") && g->group_snapshot_id)
            *ret = "error";
    }
    return 0;
}

static int group_render(struct call *c, struct json_out *o, const struct group *g)
{
    struct results l;
    const char *status;
    int r = group_status(c->txn, g, &l, &status);
    if (r < 0)
        return r;
    json_open_object(o);
    json_put_string(o, "id", g->head.id);
    json_put_string(o, "name", str_or(g->name, ""));
    json_put_string(o, "description", g->description);
    json_put_string(o, "status", status);
    json_put_string(o, "availability_zone", g->availability_zone);
    put_time(c, o, "created_at", g->created_at);
    json_put_string(o, "group_type", g->group_type);
    json_put_strings(o, "volume_types", &g->volume_types);
    if (c->minor >= 14) {
        json_put_string(o, "group_snapshot_id", g->group_snapshot_id);
        json_put_string(o, "source_group_id", g->source_group_id);
    }
    if (c->minor >= 25 && call_arg_bool(c, "list_volume", false)) {
        json_put_array(o, "volumes");
        for (size_t i = 0; i < l.n; i++)
            json_string_out(o, ((struct object *)l.v[i])->id);
        json_close_array(o);
    }
    if (c->minor >= 38)
        json_put_string(o, "replication_status", "disabled");
    if (c->minor >= 58)
        json_put_string(o, "project_id", g->project_id);
    json_close_object(o);
    return 0;
}

static const struct resource GROUPS = { .one = "group", .many = "groups", .kind = &GROUP_KIND, .title = "Group",
                                        .scope = own_scope };

static int groups(struct call *c, bool full)
{
    struct results l = { 0 };
    int r = list_objects(c, &GROUPS, full, &l);
    json_open_object(&c->out);
    json_put_array(&c->out, "groups");
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const struct group *g = l.v[i];
        if (full) {
            r = group_render(c, &c->out, g);
            continue;
        }
        json_open_object(&c->out);
        json_put_string(&c->out, "id", g->head.id);
        json_put_string(&c->out, "name", str_or(g->name, ""));
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return r;
}
static int groups_list(struct call *c)
{
    return groups(c, false);
}
static int groups_detail(struct call *c)
{
    return groups(c, true);
}
static int group_show(struct call *c)
{
    struct group *g;
    int r = call_read(c);
    r = r ? r : group_get(c, call_param(c, "id"), &g);
    json_open_object(&c->out);
    json_key(&c->out, "group");
    r = r ? r : group_render(c, &c->out, g);
    json_close_object(&c->out);
    return r;
}

static int answer_brief(struct call *c, const char *key, const char *id, const char *name, const char *type)
{
    json_open_object(&c->out);
    json_put_object(&c->out, key);
    json_put_string(&c->out, "id", id);
    json_put_string(&c->out, "name", str_or(name, ""));
    if (type)
        json_put_string(&c->out, "group_type_id", type);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int group_create_write(struct call *c)
{
    json_t *in, *item;
    const char *type_id, *zone;
    size_t i;
    struct group_type *type;
    struct group g = { .head.id = uuid_new(c->arena), .project_id = c->auth->project_id, .user_id = c->auth->user_id,
                       .status = "available", .created_at = clock_wall() };
    int r = body_object(c, "group", &in);
    r = r ? r : take_name(c, in, &g.name, &g.description);
    r = r ? r : body_text(c, in, "group_type", true, &type_id);
    r = r ? r : body_text(c, in, "availability_zone", false, &zone);
    r = r ? r : txn_get(c->txn, &GROUP_TYPE_KIND, type_id, &type);
    if (r == 0 && !type)
        r = txn_find_by(c->txn, &GROUP_TYPE_KIND, "name", type_id, &type);
    if (r == 0 && !type)
        return call_fault(c, 404, "GroupTypeNotFound", "Group type %s could not be found.", type_id);
    if (r)
        return r;
    if (!json_array_size(json_object_get(in, "volume_types")))
        return bad_body(c, "'volume_types' is a required property");
    json_array_foreach(json_object_get(in, "volume_types"), i, item) {
        struct volume_type *t = NULL;
        r = json_is_string(item) ? type_find(c, json_string_value(item), &t) : 0;
        if (r == 0 && !t)
            return bad_body(c, "Invalid input received: volume type %s can not be found.",
                            str_or(json_string_value(item), ""));
        if (r < 0 || !strv_add(c->arena, &g.volume_types, t->head.id))
            return r < 0 ? r : -ENOMEM;
    }
    int64_t used, limit;
    r = quota_fits(c->txn, &VOLUME_QUOTAS, g.project_id, "groups", 1, &used, &limit);
    if (r)
        return r < 0 ? r : call_fault(c, 413, "GroupLimitExceeded", "Maximum number of groups allowed (%lld) exceeded.",
                                      (long long)limit);
    g.group_type = type->head.id;
    g.availability_zone = str_or(zone, "nova");
    r = txn_put(c->txn, &GROUP_KIND, &g);
    return r ? r : answer_brief(c, "group", g.head.id, g.name, NULL);
}
static int group_create(struct call *c)
{
    return call_write(c, group_create_write);
}

static int members_change(struct call *c, const struct group *g, const char *list, bool add)
{
    struct strv ids = { 0 };
    strv_split(c->arena, &ids, list, ", ");
    VEC_FOREACH(id, &ids) {
        struct volume *v;
        int r = volume_get(c, *id, &v);
        if (r)
            return r == FAULT ? bad_body(c, "Invalid volume: volume %s could not be found.", *id) : r;
        if (add && v->group_id && !STREQ(v->group_id, g->head.id))
            return bad_body(c, "Invalid volume: volume %s is in another group.", *id);
        if (!add && !str_eq(v->group_id, g->head.id))
            return bad_body(c, "Invalid volume: volume %s is not in the group.", *id);
        if (add && !strv_has(&g->volume_types, str_or(v->type_id, "")))
            return bad_body(c, "Invalid volume: the type of volume %s is not one of the group's.", *id);
        if (!str_eq(v->status, "available") && !str_eq(v->status, "in-use"))
            return bad_body(c, "Invalid volume: volume %s is in status %s.", *id, v->status);
        v->group_id = add ? g->head.id : NULL;
        r = volume_put(c->txn, v);
        if (r)
            return r;
    }
    return 0;
}

static int group_update_write(struct call *c)
{
    json_t *in;
    struct group *g;
    const char *add, *drop;
    int r = body_object(c, "group", &in);
    r = r ? r : group_get(c, call_param(c, "id"), &g);
    r = r ? r : take_name(c, in, &g->name, &g->description);
    if (r)
        return r;
    add = json_get_string(in, "add_volumes");
    drop = json_get_string(in, "remove_volumes");
    r = add ? members_change(c, g, add, true) : 0;
    r = r ? r : drop ? members_change(c, g, drop, false) : 0;
    return r ? r : txn_put(c->txn, &GROUP_KIND, g);
}
static int group_update(struct call *c)
{
    return call_write(c, group_update_write);
}

static int group_delete(struct call *c, struct group *g, bool volumes)
{
    struct results l, snapshots;
    int r = list_by(c->txn, &VOLUME_KIND, "group_id", g->head.id, &l);
    r = r ? r : list_by(c->txn, &GROUP_SNAPSHOT_KIND, "group_id", g->head.id, &snapshots);
    if (r)
        return r;
    if (snapshots.n)
        return invalid(c, "Invalid group: Group %s has group snapshots.", g->head.id);
    if (l.n && !volumes)
        return invalid(c, "Invalid group: Group is not empty. Cannot delete non-empty group without 'delete-volumes'.");
    for (size_t i = 0; i < l.n && r == 0; i++) {
        struct volume *v = l.v[i];
        if (str_eq(v->status, "in-use"))
            return invalid(c, "Invalid group: volume %s is in use.", v->head.id);
        v->group_id = NULL;
        r = volume_begin_delete(c->txn, v);
    }
    return r ? r : txn_delete(c->txn, &GROUP_KIND, g->head.id);
}

static int group_action_write(struct call *c)
{
    const char *name = json_object_iter_key(json_object_iter(c->body)), *status = NULL;
    const json_t *in = name ? json_object_get(c->body, name) : NULL;
    struct group *g;
    bool volumes = false;
    int r = group_get(c, call_param(c, "id"), &g);
    if (r)
        return r;
    if (str_eq(name, "delete")) {
        r = body_bool(c, in, "delete-volumes", &volumes);
        return r ? r : group_delete(c, g, volumes);
    }
    if (str_eq(name, "reset_status") && c->minor >= 20) {
        r = call_require(c, "volume:admin", NULL);
        r = r ? r : body_text(c, in, "status", true, &status);
        g->status = status;
        return r ? r : txn_put(c->txn, &GROUP_KIND, g);
    }
    return bad_body(c, "There is no such action: %s", str_or(name, ""));
}
static int group_action(struct call *c)
{
    return call_write(c, group_action_write);
}

/* ---- group snapshots ---- */

static int gsnapshot_get(struct call *c, const char *id, struct group_snapshot **ret)
{
    int r = project_check(c);
    r = r ? r : txn_get(c->txn, &GROUP_SNAPSHOT_KIND, id, ret);
    if (r == 0 && (!*ret || !own_visible(c, (*ret)->project_id)))
        return call_fault(c, 404, "GroupSnapshotNotFound", "GroupSnapshot %s could not be found.", id);
    return r;
}

static int gsnapshot_status(struct txn *t, const struct group_snapshot *s, struct results *ret_l, const char **ret)
{
    int r = list_by(t, &VSNAPSHOT_KIND, "group_snapshot_id", s->head.id, ret_l);
    *ret = s->status;
    for (size_t i = 0; r == 0 && i < ret_l->n && str_eq(s->status, "available"); i++) {
        const char *one = ((struct snapshot *)ret_l->v[i])->status;
        if (str_eq(one, "creating") || str_eq(one, "error"))
            *ret = one;
    }
    return r;
}

static int gsnapshot_render(struct call *c, struct json_out *o, const struct group_snapshot *s)
{
    struct results l;
    const char *status;
    int r = gsnapshot_status(c->txn, s, &l, &status);
    if (r < 0)
        return r;
    json_open_object(o);
    json_put_string(o, "id", s->head.id);
    json_put_string(o, "name", str_or(s->name, ""));
    json_put_string(o, "description", s->description);
    json_put_string(o, "status", status);
    json_put_string(o, "group_id", s->group_id);
    json_put_string(o, "group_type_id", s->group_type);
    put_time(c, o, "created_at", s->created_at);
    if (c->minor >= 58)
        json_put_string(o, "project_id", s->project_id);
    json_close_object(o);
    return 0;
}

static const struct resource GROUP_SNAPSHOTS = { .one = "group_snapshot", .many = "group_snapshots",
                                                 .kind = &GROUP_SNAPSHOT_KIND, .title = "GroupSnapshot",
                                                 .scope = own_scope };

static int gsnapshots(struct call *c, bool full)
{
    struct results l = { 0 };
    int r = list_objects(c, &GROUP_SNAPSHOTS, full, &l);
    json_open_object(&c->out);
    json_put_array(&c->out, "group_snapshots");
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const struct group_snapshot *s = l.v[i];
        if (full) {
            r = gsnapshot_render(c, &c->out, s);
            continue;
        }
        json_open_object(&c->out);
        json_put_string(&c->out, "id", s->head.id);
        json_put_string(&c->out, "name", str_or(s->name, ""));
        json_close_object(&c->out);
    }
    json_close_array(&c->out);
    json_close_object(&c->out);
    return r;
}
static int gsnapshots_list(struct call *c)
{
    return gsnapshots(c, false);
}
static int gsnapshots_detail(struct call *c)
{
    return gsnapshots(c, true);
}
static int gsnapshot_show(struct call *c)
{
    struct group_snapshot *s;
    int r = call_read(c);
    r = r ? r : gsnapshot_get(c, call_param(c, "id"), &s);
    json_open_object(&c->out);
    json_key(&c->out, "group_snapshot");
    r = r ? r : gsnapshot_render(c, &c->out, s);
    json_close_object(&c->out);
    return r;
}

static int gsnapshot_create_write(struct call *c)
{
    json_t *in;
    const char *group_id;
    struct group *g;
    struct results l;
    struct group_snapshot s = { .head.id = uuid_new(c->arena), .project_id = c->auth->project_id,
                                .user_id = c->auth->user_id, .status = "available", .created_at = clock_wall() };
    int r = body_object(c, "group_snapshot", &in);
    r = r ? r : take_name(c, in, &s.name, &s.description);
    r = r ? r : body_text(c, in, "group_id", true, &group_id);
    r = r ? r : group_get(c, group_id, &g);
    r = r ? r : list_by(c->txn, &VOLUME_KIND, "group_id", group_id, &l);
    if (r)
        return r;
    if (!l.n)
        return invalid(c, "Invalid group: Source group cannot be empty to create a group snapshot.");
    s.group_id = g->head.id;
    s.group_type = g->group_type;
    for (size_t i = 0; i < l.n && r == 0; i++) {
        struct volume *v = l.v[i];
        struct snapshot *one;
        if (!str_eq(v->status, "available") && !str_eq(v->status, "in-use"))
            return invalid(c, "Invalid volume: volume %s is in status %s.", v->head.id, v->status);
        r = snapshot_create_one(c, v, s.name, s.description, NULL, s.head.id, &one);
    }
    r = r ? r : txn_put(c->txn, &GROUP_SNAPSHOT_KIND, &s);
    return r ? r : answer_brief(c, "group_snapshot", s.head.id, s.name, s.group_type);
}
static int gsnapshot_create(struct call *c)
{
    return call_write(c, gsnapshot_create_write);
}

static int gsnapshot_delete_write(struct call *c)
{
    struct group_snapshot *s;
    struct results l;
    const char *status;
    int r = gsnapshot_get(c, call_param(c, "id"), &s);
    r = r ? r : gsnapshot_status(c->txn, s, &l, &status);
    if (r)
        return r;
    if (!STREQ(status, "available") && !STREQ(status, "error"))
        return invalid(c, "Invalid group snapshot: GroupSnapshot status must be available or error, but is %s.", status);
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = snapshot_begin_delete(c->txn, l.v[i]);
    return r ? r : txn_delete(c->txn, &GROUP_SNAPSHOT_KIND, s->head.id);
}
static int gsnapshot_delete(struct call *c)
{
    return call_write(c, gsnapshot_delete_write);
}

static int gsnapshot_action_write(struct call *c)
{
    const char *status;
    struct group_snapshot *s;
    json_t *in;
    int r = body_object(c, "reset_status", &in);
    r = r ? r : body_text(c, in, "status", true, &status);
    r = r ? r : gsnapshot_get(c, call_param(c, "id"), &s);
    if (r)
        return r;
    s->status = status;
    return txn_put(c->txn, &GROUP_SNAPSHOT_KIND, s);
}
static int gsnapshot_action(struct call *c)
{
    return call_write(c, gsnapshot_action_write);
}

/* ---- a group of a group snapshot or of a group ---- */

static int from_volume(struct call *c, const struct group *g, const char *volume_id, const char *snapshot_id)
{
    struct volume *of, *made;
    int r = txn_get(c->txn, &VOLUME_KIND, volume_id, &of);
    if (r < 0 || !of)
        return r < 0 ? r : invalid(c, "Invalid volume: volume %s could not be found.", volume_id);
    struct new_volume n = { .wish = { .project_id = g->project_id, .user_id = g->user_id, .name = of->name,
                                      .snapshot_id = snapshot_id, .size = of->size },
                            .source_volid = snapshot_id ? NULL : volume_id, .group_id = g->head.id,
                            .metadata = &of->metadata };
    return volume_create_one(c, &n, &made);
}

static int group_from_write(struct call *c)
{
    json_t *in;
    const char *snapshot_id, *source_id;
    struct group_snapshot *s = NULL;
    struct group *source, g = { .head.id = uuid_new(c->arena), .project_id = c->auth->project_id,
                                .user_id = c->auth->user_id, .status = "available", .created_at = clock_wall() };
    struct results l;
    int r = body_object(c, "create-from-src", &in);
    r = r ? r : take_name(c, in, &g.name, &g.description);
    r = r ? r : body_text(c, in, "group_snapshot_id", false, &snapshot_id);
    r = r ? r : body_text(c, in, "source_group_id", false, &source_id);
    if (r)
        return r;
    if (!snapshot_id == !source_id)
        return bad_body(c, "Either 'group_snapshot_id' or 'source_group_id' must be provided to create a group from a "
                        "source.");
    r = snapshot_id ? gsnapshot_get(c, snapshot_id, &s) : 0;
    r = r ? r : group_get(c, s ? s->group_id : source_id, &source);
    if (r)
        return r;
    g.group_snapshot_id = snapshot_id;
    g.source_group_id = source_id;
    g.group_type = source->group_type;
    g.volume_types = source->volume_types;
    g.availability_zone = source->availability_zone;
    r = s ? list_by(c->txn, &VSNAPSHOT_KIND, "group_snapshot_id", s->head.id, &l) :
            list_by(c->txn, &VOLUME_KIND, "group_id", source_id, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = s ? from_volume(c, &g, ((struct snapshot *)l.v[i])->volume_id, ((struct object *)l.v[i])->id) :
                from_volume(c, &g, ((struct object *)l.v[i])->id, NULL);
    r = r ? r : txn_put(c->txn, &GROUP_KIND, &g);
    return r ? r : answer_brief(c, "group", g.head.id, g.name, NULL);
}
static int group_from(struct call *c)
{
    return call_write(c, group_from_write);
}

#define T P "/group_types"
#define G P "/groups"
#define S P "/group_snapshots"
static const struct route ROUTES[] = {
    { "GET", T, types_list, "volume:read", .since = 11, .doc = "Group types." },
    { "POST", T, type_change, "volume:admin", .since = 11, .status = 202, .doc = "Makes one." },
    { "GET", T "/{id}", type_show, "volume:read", ROUTE_WORKER, .since = 11, .doc = "One, or the default." },
    { "PUT", T "/{id}", type_change, "volume:admin", .since = 11, .doc = "Changes one." },
    { "DELETE", T "/{id}", type_delete, "volume:admin", .since = 11, .status = 202, .doc = "Deletes one." },
    { "GET", T "/{id}/group_specs", specs_list, "volume:admin", .since = 11, .doc = "Its specs." },
    { "POST", T "/{id}/group_specs", specs_create, "volume:admin", .since = 11, .status = 202, .doc = "Sets some." },
    { "GET", T "/{id}/group_specs/{key}", spec_show, "volume:admin", .since = 11, .doc = "One." },
    { "PUT", T "/{id}/group_specs/{key}", spec_change, "volume:admin", .since = 11, .doc = "Sets one." },
    { "DELETE", T "/{id}/group_specs/{key}", spec_change, "volume:admin", .since = 11, .status = 202, .doc = "Drops." },
    { "GET", G, groups_list, "volume:read", .since = 13, .doc = "Groups." },
    { "GET", G "/detail", groups_detail, "volume:read", .since = 13, .doc = "With all members." },
    { "POST", G, group_create, "volume:write", .since = 13, .status = 202, .doc = "Makes a group." },
    { "POST", G "/action", group_from, "volume:write", .since = 14, .status = 202, .doc = "Makes one of another." },
    { "GET", G "/{id}", group_show, "volume:read", .since = 13, .doc = "One group." },
    { "PUT", G "/{id}", group_update, "volume:write", .since = 13, .status = 202, .doc = "Changes it." },
    { "POST", G "/{id}/action", group_action, "volume:write", .since = 13, .status = 202, .doc = "Deletes, resets." },
    { "GET", S, gsnapshots_list, "volume:read", .since = 14, .doc = "Group snapshots." },
    { "GET", S "/detail", gsnapshots_detail, "volume:read", .since = 14, .doc = "With all members." },
    { "POST", S, gsnapshot_create, "volume:write", .since = 14, .status = 202, .doc = "Snapshots all of a group." },
    { "GET", S "/{id}", gsnapshot_show, "volume:read", .since = 14, .doc = "One." },
    { "DELETE", S "/{id}", gsnapshot_delete, "volume:write", .since = 14, .status = 202, .doc = "Deletes it." },
    { "POST", S "/{id}/action", gsnapshot_action, "volume:admin", .since = 19, .status = 202, .doc = "Resets." },
};
VOLUME_PART(GROUPS_PART, ROUTES);
