/* Quotas: see the header. One object per service and project; rows nobody set are not in it. */
#include "api/quota.h"

#include <errno.h>
#include <stdio.h>

struct quota {
    struct object head;             /* "compute/<project>" */
    struct strmap limits;
};

static const struct field QUOTA_FIELDS[] = {
    FIELD_ID(struct quota),
    { "limits", FIELD_MAP, offsetof(struct quota, limits), .doc = "Limits that were set, by resource." },
};
static SCHEMA(QUOTA_SCHEMA, struct quota, QUOTA_FIELDS);

const struct kind QUOTA_KIND = { .name = "api.quota", .schema = &QUOTA_SCHEMA };

static const struct quota_row *find_row(const struct quota_table *q, const char *name)
{
    for (size_t i = 0; i < q->n; i++)
        if (STREQ(q->rows[i].name, name))
            return &q->rows[i];
    return NULL;
}

static int get(struct txn *t, const struct quota_table *q, const char *project_id, struct quota **ret)
{
    const char *id = arena_printf(txn_arena(t), "%s/%s", q->service, project_id);
    return id ? txn_get(t, &QUOTA_KIND, id, ret) : -ENOMEM;
}

static int stored_limit(struct txn *t, const struct quota_table *q, const char *project_id, const char *name,
                        const char **ret)
{
    struct quota *o;
    int r = get(t, q, project_id, &o);
    *ret = r == 0 && o ? strmap_get(&o->limits, name) : NULL;
    return r;
}

int quota_limit(struct txn *t, const struct quota_table *q, const char *project_id, const char *name, int64_t *ret)
{
    const struct quota_row *row = find_row(q, name);
    assert(row);
    const char *text;
    int r = stored_limit(t, q, project_id, name, &text);
    if (r == 0 && !text)
        r = stored_limit(t, q, "default", name, &text);
    if (r < 0)
        return r;
    *ret = text ? strtoll(text, NULL, 10) : row->limit;
    return 0;
}

int quota_used(struct txn *t, const struct quota_table *q, const char *project_id, const char *name, int64_t *ret)
{
    const struct quota_row *row = find_row(q, name);
    assert(row);
    *ret = 0;
    return row->used ? row->used(t, project_id, ret) : 0;
}

int quota_fits(struct txn *t, const struct quota_table *q, const char *project_id, const char *name, int64_t more,
               int64_t *ret_used, int64_t *ret_limit)
{
    int64_t limit, used = 0;
    int r = quota_limit(t, q, project_id, name, &limit);
    if (r == 0 && (limit >= 0 || ret_used))
        r = quota_used(t, q, project_id, name, &used);
    if (r < 0)
        return r;
    if (ret_used)
        *ret_used = used;
    if (ret_limit)
        *ret_limit = limit;
    return limit >= 0 && (more > limit || used > limit - more) ? 1 : 0;
}

int quota_set(struct txn *t, const struct quota_table *q, const char *project_id, const char *name, int64_t limit)
{
    struct arena *a = txn_arena(t);
    struct quota *o;
    int r = get(t, q, project_id, &o);
    if (r < 0)
        return r;
    if (!o) {
        o = ARENA_NEW(a, struct quota);
        if (!o)
            return -ENOMEM;
        o->head.id = arena_printf(a, "%s/%s", q->service, project_id);
    }
    if (!strmap_set(a, &o->limits, name, arena_printf(a, "%lld", (long long)limit)))
        return -ENOMEM;
    return txn_put(t, &QUOTA_KIND, o);
}

int quota_reset(struct txn *t, const struct quota_table *q, const char *project_id)
{
    const char *id = arena_printf(txn_arena(t), "%s/%s", q->service, project_id);
    return id ? txn_delete(t, &QUOTA_KIND, id) : -ENOMEM;
}
