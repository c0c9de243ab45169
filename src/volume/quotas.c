/*
 * Quotas and limits: counted from the objects themselves. Each volume type has rows of its own
 * ("volumes_<type>", "snapshots_<type>", "gigabytes_<type>"), without a limit unless one is set.
 */
#include "volume/internal.h"

#include <errno.h>
#include <stdio.h>

static int total(struct txn *t, const struct kind *k, const char *project_id, const char *sum, int64_t *ret)
{
    struct query q = { .kind = k };
    uint64_t n = 0;
    if (!query_where(&q, txn_arena(t), "project_id", Q_EQ, project_id))
        return -ENOMEM;
    if (sum)
        return txn_sum(t, &q, sum, ret);
    int r = txn_count(t, &q, &n);
    *ret = (int64_t)n;
    return r;
}

static int used_volumes(struct txn *t, const char *p, int64_t *ret)
{
    return total(t, &VOLUME_KIND, p, NULL, ret);
}
static int used_snapshots(struct txn *t, const char *p, int64_t *ret)
{
    return total(t, &VSNAPSHOT_KIND, p, NULL, ret);
}
static int used_backups(struct txn *t, const char *p, int64_t *ret)
{
    return total(t, &BACKUP_KIND, p, NULL, ret);
}
static int used_groups(struct txn *t, const char *p, int64_t *ret)
{
    return total(t, &GROUP_KIND, p, NULL, ret);
}
static int used_gigabytes(struct txn *t, const char *p, int64_t *ret)
{
    int64_t snapshots = 0;
    int r = total(t, &VOLUME_KIND, p, "size", ret);
    r = r ? r : total(t, &VSNAPSHOT_KIND, p, "size", &snapshots);
    *ret += snapshots;
    return r;
}
static int used_backup_gigabytes(struct txn *t, const char *p, int64_t *ret)
{
    return total(t, &BACKUP_KIND, p, "size", ret);
}

static const struct quota_row ROWS[] = {
    { "volumes", 10, used_volumes }, { "snapshots", 10, used_snapshots }, { "gigabytes", 1000, used_gigabytes },
    { "per_volume_gigabytes", -1, NULL }, { "backups", 10, used_backups },
    { "backup_gigabytes", 1000, used_backup_gigabytes }, { "groups", 10, used_groups },
};
const struct quota_table VOLUME_QUOTAS = { "volume", ROWS, ARRAY_SIZE(ROWS) };

/* A type's own row: the same store, no default. */
static int type_limit(struct txn *t, const char *project_id, const char *what, const char *type, int64_t *ret)
{
    struct quota_row row = { arena_printf(txn_arena(t), "%s_%s", what, type), -1, NULL };
    const struct quota_table table = { "volume", &row, 1 };
    return row.name ? quota_limit(t, &table, project_id, row.name, ret) : -ENOMEM;
}

static int type_used(struct txn *t, const char *project_id, const char *what, const char *type_id, int64_t *ret)
{
    bool snapshots = STREQ(what, "snapshots"), volumes = STREQ(what, "volumes");
    struct results l;
    *ret = 0;
    int r = 0;
    if (!snapshots) {
        struct query q = { .kind = &VOLUME_KIND };
        query_where(&q, txn_arena(t), "project_id", Q_EQ, project_id);
        query_where(&q, txn_arena(t), "type_id", Q_EQ, type_id);
        r = txn_list(t, &q, &l);
        for (size_t i = 0; i < l.n && r == 0; i++)
            *ret += volumes ? 1 : ((struct volume *)l.v[i])->size;
    }
    if (r == 0 && !volumes) {
        r = list_by(t, &VSNAPSHOT_KIND, "project_id", project_id, &l);
        for (size_t i = 0; i < l.n && r == 0; i++)
            if (str_eq(((struct snapshot *)l.v[i])->type_id, type_id))
                *ret += snapshots ? 1 : ((struct snapshot *)l.v[i])->size;
    }
    return r;
}

static int over(struct call *c, const char *what, int64_t asked, int64_t used, int64_t limit)
{
    bool size = strstr(what, "gigabytes") != NULL;
    if (size)
        return call_fault(c, 413, "VolumeSizeExceedsAvailableQuota",
                          "Requested volume or snapshot exceeds allowed %s quota. Requested %lldG, quota is %lldG and "
                          "%lldG has been consumed.", what, (long long)asked, (long long)limit, (long long)used);
    return call_fault(c, 413, STREQ(what, "snapshots") ? "SnapshotLimitExceeded" : "VolumeLimitExceeded",
                      "Maximum number of %s allowed (%lld) exceeded for quota '%s'.", what, (long long)limit, what);
}

int quota_check(struct call *c, const char *project_id, const char *what, int64_t count, int64_t gigabytes,
                const struct volume_type *type)
{
    bool backups = STREQ(what, "backups");
    const char *names[] = { what, backups ? "backup_gigabytes" : "gigabytes" };
    int64_t wanted[] = { count, gigabytes }, used, limit;
    int r;
    if (!backups && STREQ(what, "volumes")) {
        r = quota_limit(c->txn, &VOLUME_QUOTAS, project_id, "per_volume_gigabytes", &limit);
        if (r < 0)
            return r;
        if (limit >= 0 && gigabytes > limit)
            return call_fault(c, 413, "VolumeSizeExceedsLimit", "Requested volume size %lldG is larger than maximum "
                              "allowed limit %lldG.", (long long)gigabytes, (long long)limit);
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (!wanted[i] || STREQ(names[i], "groups"))
            continue;
        r = quota_fits(c->txn, &VOLUME_QUOTAS, project_id, names[i], wanted[i], &used, &limit);
        if (r)
            return r < 0 ? r : over(c, names[i], wanted[i], used, limit);
        if (!type || backups)
            continue;
        r = type_limit(c->txn, project_id, names[i], type->name, &limit);
        if (r < 0 || limit < 0) {
            if (r < 0)
                return r;
            continue;
        }
        r = type_used(c->txn, project_id, names[i], type->head.id, &used);
        if (r < 0)
            return r;
        if (used + wanted[i] > limit)
            return over(c, names[i], wanted[i], used, limit);
    }
    return 0;
}

/* ---- the API ---- */

static int put_row(struct call *c, const char *name, const char *project_id, int64_t limit, int64_t used, bool usage)
{
    (void)project_id;
    if (!usage) {
        json_put_int(&c->out, name, limit);
        return 0;
    }
    json_put_object(&c->out, name);
    json_put_int(&c->out, "limit", limit);
    json_put_int(&c->out, "in_use", used);
    json_put_int(&c->out, "reserved", 0);
    json_close_object(&c->out);
    return 0;
}

static int put_rows(struct call *c, const char *project_id, bool usage)
{
    static const char *const WHAT[] = { "volumes", "snapshots", "gigabytes" };
    struct results l;
    struct query q = { .kind = &VOLUME_TYPE_KIND };
    int64_t limit, used = 0;
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(ROWS) && r == 0; i++) {
        r = quota_limit(c->txn, &VOLUME_QUOTAS, project_id, ROWS[i].name, &limit);
        if (r == 0 && usage)
            r = quota_used(c->txn, &VOLUME_QUOTAS, project_id, ROWS[i].name, &used);
        r = r ? r : put_row(c, ROWS[i].name, project_id, limit, used, usage);
    }
    r = r ? r : txn_list(c->txn, &q, &l);
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        const struct volume_type *t = l.v[i];
        for (size_t k = 0; k < ARRAY_SIZE(WHAT) && r == 0; k++) {
            r = type_limit(c->txn, project_id, WHAT[k], t->name, &limit);
            if (r == 0 && usage)
                r = type_used(c->txn, project_id, WHAT[k], t->head.id, &used);
            r = r ? r : put_row(c, arena_printf(c->arena, "%s_%s", WHAT[k], t->name), project_id, limit, used, usage);
        }
    }
    return r;
}

static int answer(struct call *c, const char *key, const char *project_id, bool id, bool usage)
{
    json_open_object(&c->out);
    json_put_object(&c->out, key);
    if (id)
        json_put_string(&c->out, "id", call_param(c, "id"));
    int r = put_rows(c, project_id, usage);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

static int show(struct call *c)
{
    const char *id = call_param(c, "id");
    int r = call_read(c);
    if (r == 0 && !call_is_admin(c) && !str_eq(id, c->auth->project_id))
        return call_fault(c, 403, "Forbidden", "Policy doesn't allow another project's quotas to be seen.");
    return r ? r : answer(c, "quota_set", id, true, call_arg_bool(c, "usage", false));
}

static int defaults(struct call *c)
{
    int r = call_read(c);
    return r ? r : answer(c, "quota_set", "default", true, false);
}

/* Whether a row of that name exists, of a type or of the table. */
static int known(struct call *c, const char *name, bool *ret)
{
    static const char *const WHAT[] = { "volumes_", "snapshots_", "gigabytes_" };
    *ret = false;
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++)
        *ret = *ret || STREQ(ROWS[i].name, name);
    for (size_t i = 0; i < ARRAY_SIZE(WHAT) && !*ret; i++) {
        struct volume_type *t = NULL;
        if (!str_starts(name, WHAT[i]))
            continue;
        int r = txn_find_by(c->txn, &VOLUME_TYPE_KIND, "name", name + strlen(WHAT[i]), &t);
        if (r < 0)
            return r;
        *ret = t != NULL;
    }
    return 0;
}

static int set(struct call *c, const char *wrap, const char *project_id)
{
    json_t *in, *value;
    const char *key;
    int r = body_object(c, wrap, &in);
    if (r)
        return r;
    json_object_foreach(in, key, value) {
        int64_t n = 0;
        bool there;
        if (STREQ(key, "tenant_id") || STREQ(key, "id") || STREQ(key, "class_name"))
            continue;
        r = known(c, key, &there);
        if (r < 0)
            return r;
        if (!there)
            return bad_body(c, "Bad key(s) in quota set: %s", key);
        r = body_int(c, in, key, true, -1, INT32_MAX, &n);
        struct quota_row row = { key, -1, NULL };
        const struct quota_table table = { "volume", &row, 1 };
        r = r ? r : quota_set(c->txn, &table, project_id, key, n);
        if (r)
            return r;
    }
    return answer(c, wrap, project_id, false, false);
}

static int update_write(struct call *c)
{
    return set(c, "quota_set", call_param(c, "id"));
}
static int update(struct call *c)
{
    return call_write(c, update_write);
}
static int delete_write(struct call *c)
{
    return quota_reset(c->txn, &VOLUME_QUOTAS, call_param(c, "id"));
}
static int delete_(struct call *c)
{
    return call_write(c, delete_write);
}
static int class_show(struct call *c)
{
    int r = call_read(c);
    return r ? r : answer(c, "quota_class_set", "default", true, false);
}
static int class_write(struct call *c)
{
    return set(c, "quota_class_set", "default");
}
static int class_update(struct call *c)
{
    return call_write(c, class_write);
}

static int limits(struct call *c)
{
    static const struct { const char *max, *used, *row; } NAMES[] = {
        { "maxTotalVolumes", "totalVolumesUsed", "volumes" },
        { "maxTotalSnapshots", "totalSnapshotsUsed", "snapshots" },
        { "maxTotalVolumeGigabytes", "totalGigabytesUsed", "gigabytes" },
        { "maxTotalBackups", "totalBackupsUsed", "backups" },
        { "maxTotalBackupGigabytes", "totalBackupGigabytesUsed", "backup_gigabytes" },
    };
    const char *project = c->auth->project_id;
    if (call_is_admin(c) && call_arg(c, "project_id"))
        project = call_arg(c, "project_id");
    int r = call_read(c);
    json_open_object(&c->out);
    json_put_object(&c->out, "limits");
    json_put_array(&c->out, "rate");
    json_close_array(&c->out);
    json_put_object(&c->out, "absolute");
    for (size_t i = 0; i < ARRAY_SIZE(NAMES) && r == 0; i++) {
        int64_t limit = 0, used = 0;
        r = quota_limit(c->txn, &VOLUME_QUOTAS, project, NAMES[i].row, &limit);
        r = r ? r : quota_used(c->txn, &VOLUME_QUOTAS, project, NAMES[i].row, &used);
        json_put_int(&c->out, NAMES[i].max, limit);
        json_put_int(&c->out, NAMES[i].used, used);
    }
    json_close_object(&c->out);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return r;
}

static const struct route ROUTES[] = {
    { "GET", P "/os-quota-sets/{id}", show, "volume:read", .doc = "A project's quotas; usage=True with use." },
    { "GET", P "/os-quota-sets/{id}/defaults", defaults, "volume:read", .doc = "Where nothing was set." },
    { "GET", P "/os-quota-sets/{id}/detail", show, "volume:read", .doc = "A project's quotas." },
    { "PUT", P "/os-quota-sets/{id}", update, "volume:admin", .doc = "Sets quotas." },
    { "DELETE", P "/os-quota-sets/{id}", delete_, "volume:admin", .doc = "Back to the defaults." },
    { "GET", P "/os-quota-class-sets/{id}", class_show, "volume:read", .doc = "Everybody's quotas." },
    { "PUT", P "/os-quota-class-sets/{id}", class_update, "volume:admin", .doc = "Sets them." },
    { "GET", P "/limits", limits, "volume:read", .doc = "Limits and use of the project." },
};
VOLUME_PART(QUOTAS_PART, ROUTES);
